/*
** files.c: see files.h.
**
** A file is known by its name, and by its inode while it is open: SQLite holds on to a file that
** was replaced or removed, so the name is looked at every second. What is at work for the old one
** is finished and recorded (the side file is found by the name, and is still that of the new one);
** then the name is opened again, and whether the new file may send is decided as at every start.
** SPDX-License-Identifier: MIT
*/
#include "files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "engine.h"
#include "hooks.h"
#include "memory.h"
#include "outbox.h"

#define LOOK_EVERY 500 /* ms */
#define AGAIN 2000     /* ms until a file that could not be opened is tried again */

struct file {
    char *name;            /* as given, or found */
    struct outbox *outbox; /* NULL: not open */
    bool found;            /* in the directory: it may go as it came */
    bool closing;          /* was replaced: is closed when nothing of it is in flight */
    bool silent;           /* it was said why it is not open */
    dev_t device;          /* of the file that is open, or that could not be opened */
    ino_t inode;
    struct timespec changed;
    int64_t next_at; /* not open: when it is tried again */
    int status;      /* why it is not open; 0: it was never tried */
};

struct files {
    const struct options *options;
    struct engine *engine;
    struct endpoints *endpoints;
    struct wake *wake;
    struct file *list;
    int count;
    int64_t look_at;
};

struct files *files_new(const struct options *options, struct engine *engine,
                        struct endpoints *endpoints, struct wake *wake) {
    struct files *files = xcalloc(1, sizeof *files);

    files->options = options;
    files->engine = engine;
    files->endpoints = endpoints;
    files->wake = wake;
    return files;
}

static void add(struct files *files, char *name, bool found) {
    files->list = xrealloc(files->list, (size_t)(files->count + 1) * sizeof *files->list);
    files->list[files->count++] = (struct file){.name = name, .found = found};
}

static bool is_new(const struct file *file, const struct stat *info) {
    return info->st_ino != file->inode || info->st_dev != file->device;
}

static void remember(struct file *file) {
    struct stat info;

    if (stat(file->name, &info) == 0) {
        file->device = info.st_dev;
        file->inode = info.st_ino;
        file->changed = info.st_mtim;
    }
}

/* A file of the directory that has no schema of ours is none of our business. */
static void report(struct file *file, const char *error) {
    if (!file->silent && !(file->found && file->status == EXIT_NO_DATABASE)) {
        log_line(LOG_ERROR, "not delivered for", "reason", error, NULL);
    }
    file->silent = true;
}

static void open_file(struct files *files, struct file *file, int64_t now, char **error) {
    const struct outbox_options options = {.adopt = files->options->adopt,
                                           .once = files->options->once};

    remember(file);
    file->outbox =
        outbox_open(file->name, &options, files->endpoints, files->wake, now, error, &file->status);
    if (file->outbox == NULL) {
        file->next_at = now + (files->options->standby ? LOOK_EVERY : AGAIN);
        return;
    }
    file->status = 0;
    file->silent = false;
    engine_add(files->engine, outbox_source(file->outbox));
    if (outbox_held(file->outbox) == NULL) {
        log_line(LOG_INFO, "ready", "database", outbox_path(file->outbox), "version",
                 RESTHOOK_VERSION, NULL);
    }
}

static void close_file(struct files *files, struct file *file, int64_t now) {
    engine_remove(files->engine, outbox_source(file->outbox));
    outbox_close(file->outbox, now);
    file->outbox = NULL;
    file->closing = false;
}

/* ---- the directory ---- */

static struct file *named(struct files *files, const char *name) {
    for (int i = 0; i < files->count; i++) {
        if (strcmp(files->list[i].name, name) == 0) {
            return &files->list[i];
        }
    }
    return NULL;
}

/* Is it open under another name? */
static bool is_known(const struct files *files, const struct stat *info) {
    for (int i = 0; i < files->count; i++) {
        if (!is_new(&files->list[i], info)) {
            return true;
        }
    }
    return false;
}

static bool is_database(const struct files *files, const char *path) {
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic];
    struct stat info;
    bool same = false;

    /* A file that is open is never opened here: closing it would drop SQLite's locks (fcntl(2)). */
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && !is_known(files, &info)) {
        FILE *file = fopen(path, "rbe");

        same = file != NULL && fread(head, 1, sizeof head, file) == sizeof head &&
               memcmp(head, magic, sizeof magic) == 0;
        if (file != NULL) {
            fclose(file);
        }
    }
    return same;
}

static bool is_side(const char *name) {
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", "-resthook"};
    size_t length = strlen(name);

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t size = strlen(suffixes[i]);

        if (length > size && strcmp(name + length - size, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void scan(struct files *files) {
    DIR *directory = opendir(files->options->directory);
    const struct dirent *entry;

    if (directory == NULL) {
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        char *path = xprintf("%s/%s", files->options->directory, entry->d_name);

        if (entry->d_name[0] != '.' && !is_side(entry->d_name) && named(files, path) == NULL &&
            is_database(files, path)) {
            add(files, path, true);
        } else {
            free(path);
        }
    }
    closedir(directory);
}

/* ---- each second ---- */

/* Has its name another file now, or none? */
static void look_at(struct files *files, struct file *file, int64_t now) {
    struct stat info;
    bool gone = stat(file->name, &info) != 0;

    if (gone || is_new(file, &info)) {
        log_line(LOG_WARN,
                 gone ? "the database is gone: what is in flight is finished"
                      : "another file has the database's name: it is opened anew",
                 "database", outbox_path(file->outbox), NULL);
        outbox_stop(file->outbox);
        file->closing = true;
    }
    if (file->closing && outbox_in_flight(file->outbox) == 0) {
        close_file(files, file, now);
        file->next_at = now;
    }
}

/* One that is not open. Returns whether it is still there. */
static bool try_again(struct files *files, struct file *file, int64_t now) {
    struct stat info;
    char *error = NULL;

    if (stat(file->name, &info) != 0) {
        if (file->found) {
            return false;
        }
    } else if (file->found && file->status == EXIT_NO_DATABASE && !is_new(file, &info) &&
               info.st_mtim.tv_sec == file->changed.tv_sec &&
               info.st_mtim.tv_nsec == file->changed.tv_nsec) {
        return true; /* nobody has written to it since it was no business of ours */
    }
    if (now >= file->next_at) {
        open_file(files, file, now, &error);
        if (file->outbox == NULL) {
            report(file, error);
        }
        free(error);
    }
    return true;
}

int64_t files_turn(struct files *files, int64_t now) {
    if (now < files->look_at && files->look_at - now <= LOOK_EVERY) {
        return files->look_at;
    }
    files->look_at = now + LOOK_EVERY;
    if (files->options->once) {
        return NEVER;
    }
    if (files->options->directory != NULL) {
        scan(files);
    }
    for (int i = 0; i < files->count; i++) {
        struct file *file = &files->list[i];

        if (file->outbox != NULL && file->closing) {
            if (outbox_in_flight(file->outbox) == 0) {
                close_file(files, file, now);
                file->next_at = now;
            }
        } else if (file->outbox != NULL) {
            look_at(files, file, now);
        }
        if (file->outbox == NULL && !try_again(files, file, now)) {
            free(file->name);
            *file = files->list[--files->count];
            i--;
        }
    }
    return files->look_at;
}

int files_open(struct files *files, int64_t now) {
    const struct options *options = files->options;
    int open = 0, status = 0;

    for (int i = 0; i < options->count; i++) {
        add(files, xstrdup(options->names[i]), false);
    }
    if (options->directory != NULL) {
        scan(files);
    }
    for (int i = 0; i < files->count; i++) {
        struct file *file = &files->list[i];
        char *error = NULL;

        open_file(files, file, now, &error);
        open += file->outbox != NULL;
        if (file->outbox == NULL && files->count == 1 && !file->found && !options->standby) {
            fprintf(stderr, "resthookd: %s\n", error);
        } else if (file->outbox == NULL) {
            report(file, error);
        }
        if (file->outbox == NULL && status == 0) {
            status = file->status;
        }
        free(error);
    }
    files->look_at = now + LOOK_EVERY;
    return open > 0 || options->directory != NULL || (options->standby && !options->once) ? -1
                                                                                          : status;
}

bool files_all_held(const struct files *files) {
    for (int i = 0; i < files->count; i++) {
        if (files->list[i].outbox == NULL || outbox_held(files->list[i].outbox) == NULL) {
            return false;
        }
    }
    return files->count > 0 && files->options->directory == NULL;
}

int64_t files_left(const struct files *files) {
    int64_t left = 0;

    for (int i = 0; i < files->count; i++) {
        left += files->list[i].outbox != NULL ? outbox_left(files->list[i].outbox) : 0;
    }
    return left;
}

int files_status(const struct files *files, bool once) {
    bool undelivered = once && engine_counts(files->engine)->dead > 0;

    for (int i = 0; i < files->count; i++) {
        const struct file *file = &files->list[i];

        if (file->outbox != NULL && outbox_held(file->outbox) != NULL) {
            return EXIT_HELD;
        }
        if (file->outbox == NULL && once && !(file->found && file->status == EXIT_NO_DATABASE)) {
            return file->status;
        }
        undelivered =
            undelivered || (once && file->outbox != NULL && outbox_unfinished(file->outbox));
    }
    return undelivered ? EXIT_UNDELIVERED : 0;
}

void files_close(struct files *files, int64_t now) {
    for (int i = 0; i < files->count; i++) {
        if (files->list[i].outbox != NULL) {
            close_file(files, &files->list[i], now);
        }
        free(files->list[i].name);
    }
    free(files->list);
    free(files);
}
