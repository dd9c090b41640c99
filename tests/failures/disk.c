/*
** disk.c: see disk.h.
**
** For the power each file has an image of what is safe and a list of what was done to it since its
** last sync, which then becomes part of the image. Names are as safe as SQLite asks for: a file that
** was removed comes back unless its directory was synced, as is done for the first sync of a new one.
** SPDX-License-Identifier: MIT
*/
#include "disk.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512
#define MEDIA_MOST 16

const char *const disk_names[DISK_KINDS] = {"open",  "read", "short read", "WAL's end",
                                            "write", "full", "sync",       "truncation",
                                            "lock",  "BUSY", "deletion",   "shared memory"};
bool disk_suffers;
long disk_struck;

static sqlite3_vfs *real, disk;
static enum disk_kind failing;
static long countdown; /* operations until one fails; 0: none does */
static bool lasting;

/* ---- power ---- */

struct change { /* bytes at a place; without: the file ends there */
    struct change *next;
    sqlite3_int64 at;
    int size;
    unsigned char bytes[];
};

struct media { /* what becomes of a name */
    char path[256];
    unsigned char *image;
    sqlite3_int64 length;
    bool named; /* its directory knows it for sure */
    struct change *changes, **last;
    unsigned char *removed; /* what had the name before, and may have it again */
    sqlite3_int64 removed_length;
};

static struct media media[MEDIA_MOST];
static int media_count;
static long cut_at; /* operations until the power goes; 0: it stays */
static unsigned chance;

static void *some(void *memory) {
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static unsigned toss(void) {
    chance = chance * 1103515245U + 12345U;
    return chance >> 16 & 1;
}

static struct media *media_named(const char *path) {
    if (cut_at == 0 || path == NULL) {
        return NULL;
    }
    for (int i = 0; i < media_count; i++) {
        if (strcmp(media[i].path, path) == 0) {
            return &media[i];
        }
    }
    if (media_count == MEDIA_MOST) {
        abort();
    }
    struct media *one = &media[media_count++];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *one = (struct media){.last = &one->changes};
    snprintf(one->path, sizeof one->path, "%s", path);
    if (fd >= 0) { /* in its first moment, so that no lock of SQLite's is lost with it */
        one->length = lseek(fd, 0, SEEK_END);
        one->image = some(malloc((size_t)one->length + 1));
        one->named = one->length > 0;
        if (pread(fd, one->image, (size_t)one->length, 0) != one->length) {
            abort();
        }
        close(fd);
    }
    return one;
}

static void put(struct media *one, sqlite3_int64 at, const unsigned char *bytes, int size) {
    if (at + size > one->length) {
        one->image = some(realloc(one->image, (size_t)(at + size)));
        memset(one->image + one->length, 0, (size_t)(at + size - one->length));
        one->length = at + size;
    }
    memcpy(one->image + at, bytes, (size_t)size);
}

static void end_at(struct media *one, sqlite3_int64 length) {
    one->length = length < one->length ? length : one->length;
}

static void changed(struct media *one, sqlite3_int64 at, const void *bytes, int size) {
    if (one != NULL) {
        struct change *change = some(malloc(sizeof *change + (size_t)size));

        *change = (struct change){.at = at, .size = size};
        if (size > 0) {
            memcpy(change->bytes, bytes, (size_t)size);
        }
        *one->last = change;
        one->last = &change->next;
    }
}

static void forget_changes(struct media *one) {
    while (one->changes != NULL) {
        struct change *next = one->changes->next;

        free(one->changes);
        one->changes = next;
    }
    one->last = &one->changes;
}

static void directory_synced(void) {
    for (int i = 0; i < media_count; i++) {
        free(media[i].removed);
        media[i].removed = NULL;
    }
}

static void synced(struct media *one) {
    if (one == NULL) {
        return;
    }
    for (const struct change *change = one->changes; change != NULL; change = change->next) {
        if (change->size > 0) {
            put(one, change->at, change->bytes, change->size);
        } else {
            end_at(one, change->at);
        }
    }
    forget_changes(one);
    if (!one->named) {
        one->named = true;
        directory_synced();
    }
}

static void removed(struct media *one, bool sync) {
    if (one == NULL) {
        return;
    }
    if (one->named && one->length > 0) {
        free(one->removed);
        one->removed = one->image;
        one->removed_length = one->length;
        one->image = NULL;
    }
    one->length = 0;
    one->named = false;
    forget_changes(one);
    if (sync) {
        directory_synced();
    }
}

/* What was not synced happened, or some of it, in any order: later writes may stand without earlier ones. */
static void settle_by_chance(struct media *one) {
    if (one->removed != NULL && !one->named && toss()) {
        free(one->image);
        one->image = one->removed;
        one->length = one->removed_length;
        return;
    }
    unsigned how = toss() << 1 | toss(); /* nothing, all, or by chance */

    for (const struct change *change = one->changes; change != NULL; change = change->next) {
        if (change->size == 0) {
            if (how == 1 || (how > 1 && toss())) {
                end_at(one, change->at);
            }
            continue;
        }
        for (int from = 0, to; from < change->size; from = to) {
            to = from + SECTOR - (int)((change->at + from) % SECTOR);
            to = to < change->size ? to : change->size;
            if (how == 1 || (how > 1 && toss())) {
                put(one, change->at + from, change->bytes + from, to - from);
            }
        }
    }
}

static void write_image(const struct media *one) {
    if (one->length == 0 && !one->named) {
        unlink(one->path);
        return;
    }
    int fd = open(one->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, one->image, (size_t)one->length) != one->length) {
        abort();
    }
    close(fd);
}

static void power(void) {
    if (cut_at == 0 || --cut_at > 0) {
        return;
    }
    for (int i = 0; i < media_count; i++) {
        settle_by_chance(&media[i]);
        write_image(&media[i]);
    }
    _exit(DISK_POWER);
}

void disk_cut(long n, unsigned seed) {
    cut_at = n;
    chance = seed;
}

bool disk_is_synced(const char *suffix) {
    for (int i = 0; i < media_count; i++) {
        size_t length = strlen(media[i].path), size = strlen(suffix);

        if (length >= size && strcmp(media[i].path + length - size, suffix) == 0) {
            return media[i].changes == NULL && media[i].removed == NULL;
        }
    }
    return true;
}

/* ---- failures ---- */

void disk_fail(enum disk_kind kind, long n, bool for_long) {
    failing = kind;
    countdown = n;
    lasting = for_long;
    disk_struck = 0;
}

void disk_heal(void) {
    countdown = 0;
}

static bool fails(enum disk_kind kind) {
    if (!disk_suffers || countdown == 0 || kind != failing || (countdown > 1 && --countdown > 0)) {
        return false;
    }
    countdown = lasting ? 1 : 0;
    disk_struck++;
    return true;
}

/* ---- files ---- */

struct file {
    sqlite3_file base;
    struct media *media;
    bool is_wal;
    sqlite3_file *real;
};

static struct file *of(sqlite3_file *file) {
    return (struct file *)(void *)file;
}

static sqlite3_file *under(sqlite3_file *file) {
    return of(file)->real;
}

static size_t short_of(size_t size) {
    return size > 1 && fails(DISK_SHORT) ? size / 2 : size;
}

static ssize_t short_read(int fd, void *bytes, size_t size) {
    return read(fd, bytes, short_of(size));
}

static ssize_t short_pread(int fd, void *bytes, size_t size, off_t at) {
    return pread(fd, bytes, short_of(size), at);
}

static int file_close(sqlite3_file *file) {
    return under(file)->pMethods->xClose(under(file));
}

static int file_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 at) {
    if (fails(DISK_READ)) {
        return SQLITE_IOERR_READ;
    }
    int rc = under(file)->pMethods->xRead(under(file), bytes, size, at);

    if (rc == SQLITE_OK && of(file)->is_wal && fails(DISK_END)) {
        memset((char *)bytes + size / 2, 0, (size_t)(size - size / 2));
        return SQLITE_IOERR_SHORT_READ;
    }
    return rc;
}

static int file_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at) {
    bool broken = fails(DISK_WRITE), full = !broken && fails(DISK_FULL);

    power();
    if (broken || full) {
        size = size / 2;
    }
    int rc = size > 0 ? under(file)->pMethods->xWrite(under(file), bytes, size, at) : SQLITE_OK;

    if (size > 0) {
        changed(of(file)->media, at, bytes, size);
    }
    return broken ? SQLITE_IOERR_WRITE : full ? SQLITE_FULL : rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 length) {
    if (fails(DISK_TRUNCATE)) {
        return SQLITE_IOERR_TRUNCATE;
    }
    power();
    changed(of(file)->media, length, NULL, 0);
    return under(file)->pMethods->xTruncate(under(file), length);
}

/* No test takes the machine's own power: nothing is really synced. */
static int file_sync(sqlite3_file *file, int flags) {
    (void)flags;
    if (fails(DISK_SYNC)) {
        return SQLITE_IOERR_FSYNC;
    }
    power();
    synced(of(file)->media);
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *length) {
    return under(file)->pMethods->xFileSize(under(file), length);
}

static int locked(void) {
    return fails(DISK_LOCK) ? SQLITE_IOERR_LOCK : fails(DISK_BUSY) ? SQLITE_BUSY : SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level) {
    int rc = locked();

    return rc != SQLITE_OK ? rc : under(file)->pMethods->xLock(under(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
    return under(file)->pMethods->xUnlock(under(file), level);
}

static int file_reserved(sqlite3_file *file, int *is) {
    return under(file)->pMethods->xCheckReservedLock(under(file), is);
}

static int file_control(sqlite3_file *file, int what, void *argument) {
    return under(file)->pMethods->xFileControl(under(file), what, argument);
}

static int file_sector(sqlite3_file *file) {
    return under(file)->pMethods->xSectorSize(under(file));
}

static int file_device(sqlite3_file *file) {
    return under(file)->pMethods->xDeviceCharacteristics(under(file));
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **at) {
    return fails(DISK_SHM) ? SQLITE_IOERR_SHMMAP
                           : under(file)->pMethods->xShmMap(under(file), page, size, extend, at);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    int rc = (flags & SQLITE_SHM_LOCK) != 0 ? locked() : SQLITE_OK;

    return rc != SQLITE_OK ? rc
                           : under(file)->pMethods->xShmLock(under(file), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file) {
    under(file)->pMethods->xShmBarrier(under(file));
}

static int file_shm_unmap(sqlite3_file *file, int delete_it) {
    return under(file)->pMethods->xShmUnmap(under(file), delete_it);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out) {
    struct file *opened = of(file);

    (void)vfs;
    opened->base.pMethods = NULL; /* until it is open there is nothing to close */
    if (fails(DISK_OPEN)) {
        return SQLITE_CANTOPEN;
    }
    opened->media = media_named(path);
    opened->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
    opened->real = (sqlite3_file *)(void *)(opened + 1);
    int rc = real->xOpen(real, path, opened->real, flags, out);

    if (opened->real->pMethods != NULL) {
        opened->base.pMethods = &methods;
    }
    return rc;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync) {
    (void)vfs;
    if (fails(DISK_DELETE)) {
        return SQLITE_IOERR_DELETE;
    }
    power();
    int rc = real->xDelete(real, path, 0);

    if (rc == SQLITE_OK) {
        removed(media_named(path), sync != 0);
    }
    return rc;
}

/* Who waits for a lock need not: nobody else runs. */
static int disk_sleep(sqlite3_vfs *vfs, int microseconds) {
    (void)vfs;
    return microseconds;
}

void disk_install(void) {
    real = sqlite3_vfs_find(NULL);
    real->xSetSystemCall(real, "read", (sqlite3_syscall_ptr)short_read);
    real->xSetSystemCall(real, "pread", (sqlite3_syscall_ptr)short_pread);
    real->xSetSystemCall(real, "pread64", (sqlite3_syscall_ptr)short_pread);
    disk = *real; /* its other methods look at names only */
    disk.pNext = NULL;
    disk.zName = "disk";
    disk.szOsFile = (int)sizeof(struct file) + real->szOsFile;
    disk.xOpen = disk_open;
    disk.xDelete = disk_delete;
    disk.xSleep = disk_sleep;
    if (sqlite3_vfs_register(&disk, 1) != SQLITE_OK) {
        abort();
    }
}
