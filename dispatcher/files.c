/*
** files.c: see files.h.
**
** Of many databases as many stay open as AWAKE says; others sleep while there is nothing to do for
** them (file.h). At a start and after a standstill the sleepers are opened by and by: a look into
** each is due, but nobody waits for it.
** SPDX-License-Identifier: MIT
*/
#include "files.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "directory.h"
#include "engine.h"
#include "file.h"
#include "log.h"
#include "memory.h"
#include "outbox.h"
#include "stopwatch.h"
#include "wake.h"

#define LOOK_EVERY 1000 /* ms */
#define AWAKE 64        /* databases that stay open though there is nothing to do for them */
#define OPENED 64       /* beyond them, opened at one look without a commit that asks for it */

struct files {
    struct surroundings with;
    const struct options *options;
    struct file *list;
    int count;
    int awake, asleep;
    int slept; /* since the memory of those who fell asleep was given back */
    int64_t look_at, turned_at;
};

struct files *files_new(const struct options *options, struct engine *engine,
                        struct endpoints *endpoints, struct wake *wake, struct syncer *syncer) {
    struct files *files = xcalloc(1, sizeof *files);

    files->options = options;
    files->with = (struct surroundings){.options = options,
                                        .engine = engine,
                                        .endpoints = endpoints,
                                        .wake = wake,
                                        .syncer = syncer};
    return files;
}

static void add(struct files *files, char *name, bool found) {
    files->list = xrealloc(files->list, (size_t)(files->count + 1) * sizeof *files->list);
    files->list[files->count++] = (struct file){.name = name, .found = found};
}

/* A file of the directory that has no schema of ours is none of our business. */
static void report(struct file *file, const char *error) {
    if (!file->silent && !(file->found && file->status == EXIT_NO_DATABASE)) {
        log_line(LOG_ERROR, "not delivered for", "reason", error, NULL);
    }
    file->silent = true;
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

/* Does it stand in the list by another name? */
static bool is_known(const struct files *files, const struct stat *info) {
    for (int i = 0; i < files->count; i++) {
        if (!file_is_another(&files->list[i], info)) {
            return true;
        }
    }
    return false;
}

static void scan(struct files *files) {
    const char *name = files->options->directory;
    DIR *directory = opendir(name);
    struct stat info;
    char *path;

    while (directory != NULL && (path = directory_next(directory, name)) != NULL) {
        if (named(files, path) == NULL && directory_offers(path, &info) &&
            !is_known(files, &info) && directory_has_database(path)) {
            add(files, path, true);
        } else {
            free(path);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

/* ---- each look ---- */

/*
** Does another name of the list stand for the same file, which is open or asleep? It must not be
** opened a second time, not even to find that out: closing it would drop SQLite's locks on it
** (fcntl(2)), and its WAL could be deleted under us.
*/
static const struct file *twin_of(const struct files *files, const struct file *file) {
    struct stat info;

    if (stat(file->name, &info) == 0) {
        for (int i = 0; i < files->count; i++) {
            const struct file *other = &files->list[i];

            if (other != file && (other->outbox != NULL || other->asleep) &&
                !file_is_another(other, &info)) {
                return other;
            }
        }
    }
    return NULL;
}

static char *open_unless_twin(struct files *files, struct file *file, int64_t now) {
    const struct file *twin = file->asleep ? NULL : twin_of(files, file);

    if (twin == NULL) {
        return file_open(file, &files->with, now);
    }
    file->next_at = now + 1000;
    file->status = 0;
    return xprintf("%s: this is the same file as %s, and delivered for by that name", file->name,
                   twin->name);
}

static void open_file(struct files *files, struct file *file, int64_t now) {
    char *error = open_unless_twin(files, file, now);

    if (error != NULL) {
        report(file, error);
        free(error);
    }
}

/* One of the directory that is none of our business, and to which nobody has written since. */
static bool is_no_business(const struct file *file) {
    return file->found && file->status == EXIT_NO_DATABASE && file_is_unchanged(file);
}

/* One that is not open. Returns whether it is still there. */
static bool try_again(struct files *files, struct file *file, int *budget, int64_t now) {
    struct stat info;

    if (file->found && stat(file->name, &info) != 0) {
        file_close(file, &files->with, now);
        return false;
    }
    if (file->asleep ? file_wants_to_wake(file, &files->with, true, now)
                     : now >= file->next_at && !is_no_business(file)) {
        if (files->awake < AWAKE || (*budget)-- > 0) {
            open_file(files, file, now);
        }
    }
    return true;
}

static void count(struct files *files) {
    files->awake = files->asleep = 0;
    for (int i = 0; i < files->count; i++) {
        files->awake += files->list[i].outbox != NULL;
        files->asleep += files->list[i].asleep;
    }
}

/* What was noticed of sleepers. */
static void wake_sleepers(struct files *files, int64_t now) {
    for (int i = 0; i < files->count && files->asleep > 0; i++) {
        if (files->list[i].asleep &&
            file_wants_to_wake(&files->list[i], &files->with, false, now)) {
            open_file(files, &files->list[i], now);
        }
    }
}

/* What a database had while it was awake, some hundred KB, lies between what others have: the C library
** would keep it. A thousand that were busy once held a gigabyte for good. */
static void give_back_memory(struct files *files) {
    if (files->slept >= AWAKE) {
        files->slept = 0;
#ifdef __GLIBC__
        (void)malloc_trim(0);
#endif
    }
}

static void clock_went_back(struct files *files, int64_t by) {
    files->look_at -= by;
    for (int i = 0; i < files->count; i++) {
        file_clock(&files->list[i], by);
    }
}

/* It is not there any more. What is the last of the list takes its place. */
static void forget(struct files *files, struct file *file) {
    bool shared = false; /* its path, by another name */

    for (int i = 0; i < files->count; i++) {
        const struct file *other = &files->list[i];

        shared = shared || (other != file && other->path != NULL && file->path != NULL &&
                            strcmp(other->path, file->path) == 0);
    }
    if (file->path != NULL && !shared) {
        wake_forget(files->with.wake, file->path);
    }
    free(file->name);
    free(file->path);
    *file = files->list[--files->count];
}

int64_t files_turn(struct files *files, int64_t now) {
    int budget = OPENED;

    if (now < files->turned_at) {
        clock_went_back(files, files->turned_at - now);
    }
    files->turned_at = now;
    wake_sleepers(files, now);
    if (now < files->look_at) {
        return files->look_at;
    }
    files->look_at = now + LOOK_EVERY;
    if (files->options->once) {
        return NEVER;
    }
    if (files->options->directory != NULL) {
        scan(files);
    }
    count(files);
    for (int i = 0; i < files->count; i++) {
        struct file *file = &files->list[i];
        bool was_open = file->outbox != NULL;

        if (was_open) {
            file_look(file, &files->with, now);
        }
        if (file->outbox == NULL && !try_again(files, file, &budget, now)) {
            forget(files, file);
            i--;
            continue;
        }
        if (was_open && file->outbox != NULL && files->awake > AWAKE) {
            file_rest(file, &files->with, now);
            files->slept += file->asleep;
        }
        files->awake += (file->outbox != NULL) - was_open;
    }
    count(files);
    give_back_memory(files);
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

        if (files->awake >= AWAKE && !options->once) {
            break; /* the others by and by */
        }
        char *error = open_unless_twin(files, file, now);

        open += file->outbox != NULL;
        files->awake = open;
        if (file->outbox == NULL && files->count == 1 && !file->found && !options->standby) {
            log_complaint(error);
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

/* Of the directory's files those that have no schema of ours don't count. */
struct files_counts files_counts(const struct files *files) {
    struct files_counts counts = {0};

    for (int i = 0; i < files->count; i++) {
        const struct file *file = &files->list[i];

        if (file->outbox == NULL && file->found && file->status == EXIT_NO_DATABASE) {
            continue;
        }
        counts.known++;
        counts.asleep += file->asleep;
        counts.idle += file->outbox != NULL ? outbox_held(file->outbox) != NULL : !file->asleep;
    }
    return counts;
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
    bool undelivered = once && engine_counts(files->with.engine)->dead > 0;

    for (int i = 0; i < files->count; i++) {
        const struct file *file = &files->list[i];

        if (file->outbox != NULL && outbox_held(file->outbox) != NULL) {
            return EXIT_HELD;
        }
        if (file->outbox == NULL && once && file->status != 0 &&
            !(file->found && file->status == EXIT_NO_DATABASE)) {
            return file->status;
        }
        undelivered =
            undelivered || (once && file->outbox != NULL &&
                            (outbox_unfinished(file->outbox) || outbox_gave_up(file->outbox)));
    }
    return undelivered ? EXIT_UNDELIVERED : 0;
}

bool files_upkeep(struct files *files, int64_t now, int64_t until, bool *gently) {
    bool more = false;

    *gently = false;
    for (int i = 0; i < files->count && stopwatch_us() < until; i++) {
        struct outbox *outbox = files->list[i].outbox;

        more = (outbox != NULL && outbox_upkeep(outbox, now, gently)) || more;
    }
    return more;
}

bool files_close(struct files *files, int64_t now) {
    bool recorded = true;

    for (int i = 0; i < files->count; i++) {
        recorded = file_close(&files->list[i], &files->with, now) && recorded;
        free(files->list[i].name);
        free(files->list[i].path);
    }
    free(files->list);
    free(files);
    return recorded;
}
