/*
** file.c: see file.h.
**
** A file is known by its name, and by its inode while it is open: SQLite holds on to a file that
** was replaced or removed, so the name is looked at every second. What is at work for the old one
** is finished and recorded (the side file is found by the name, and is still that of the new one);
** then the name is opened again, and whether the new file may send is decided as at every start.
** SPDX-License-Identifier: MIT
*/
#include "file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "engine.h"
#include "hooks.h"
#include "memory.h"
#include "outbox.h"
#include "stopwatch.h"

#define AGAIN 2000         /* ms until a file that could not be opened is tried again, once … */
#define AGAIN_MOST 60000   /* … and in the end: each time as much later as AGAIN */
#define LONG 3000          /* ms: who takes longer only to fail is tried again … */
#define LONG_PAUSE 50      /* … after so many times as long */
#define STAND_BY 1000      /* the same for one that another dispatcher has */
#define REST_AFTER 2000    /* ms without anything to do; more than the clock's step in file times */
#define SLEEP_MOST 3600000 /* ms: what has become old is to go */
#define LIFE_EVERY 5000    /* ms between signs of life while asleep (ext/side.h) */

static char *beside(const struct file *file, const char *suffix) {
    return xprintf("%s%s", file->path != NULL ? file->path : file->name, suffix);
}

static struct state_of_file state_of(const struct file *file) {
    struct state_of_file state;
    char *wal = beside(file, "-wal");
    char *side = beside(file, "-resthook");
    struct stat info;

    memset(&state, 0, sizeof state); /* with its padding: it is compared as bytes */
    if (stat(file->name, &info) == 0) {
        state.device = info.st_dev;
        state.inode = info.st_ino;
        state.changed = info.st_mtim;
        state.size = info.st_size;
    }
    if (stat(wal, &info) == 0) {
        state.wal_changed = info.st_mtim;
        state.wal_size = info.st_size;
    }
    if (stat(side, &info) == 0) {
        state.side = info.st_ino;
    }
    free(wal);
    free(side);
    return state;
}

bool file_is_another(const struct file *file, const struct stat *info) {
    return info->st_ino != file->known.inode || info->st_dev != file->known.device;
}

bool file_is_unchanged(const struct file *file) {
    struct state_of_file state = state_of(file);

    return memcmp(&state, &file->known, sizeof state) == 0;
}

/* A lock is of the file that was there when it was taken. */
static void forget_what_was_replaced(struct file *file) {
    struct stat info;

    if (file->asleep && (stat(file->name, &info) != 0 || file_is_another(file, &info))) {
        close(file->lock);
        file->asleep = false;
    }
}

char *file_open(struct file *file, const struct surroundings *with, int64_t now) {
    forget_what_was_replaced(file);
    const struct outbox_options options = {
        .adopt = file->adopted ? ADOPT_NO : with->options->adopt,
        .once = with->options->once,
        .syncer = with->syncer,
        .secrets = with->options->secrets,
        .lock = file->asleep ? file->lock : -1,
    };
    bool was_asleep = file->asleep;
    int64_t began = stopwatch_us();
    char *error = NULL;

    file->known = state_of(file);
    file->asleep = false;
    file->quiet_since = 0;
    file->outbox =
        outbox_open(file->name, &options, with->endpoints, with->wake, now, &error, &file->status);
    if (file->outbox == NULL) {
        int64_t took = (stopwatch_us() - began) / 1000;

        file->tries++;
        file->next_at = now + (with->options->standby             ? STAND_BY
                               : file->tries < AGAIN_MOST / AGAIN ? file->tries * AGAIN
                                                                  : AGAIN_MOST);
        if (took > LONG) { /* from everyone's time */
            file->next_at += took * LONG_PAUSE;
        }
        return error;
    }
    file->status = 0;
    file->tries = 0;
    file->adopted = true;
    free(file->path);
    file->path = xstrdup(outbox_path(file->outbox));
    file->known.side = state_of(file).side; /* made by now */
    file->silent = false;
    engine_add(with->engine, outbox_source(file->outbox));
    if (was_asleep) {
        log_line(LOG_DEBUG, "awake", "database", file->path, NULL);
    } else if (outbox_held(file->outbox) == NULL) {
        log_line(LOG_INFO, "ready", "database", file->path, "version", RESTHOOK_VERSION, NULL);
    }
    return NULL;
}

/* A sleeper's sign of life is its side file's time: none at all says that nobody looks after it any
** more. */
static void show_stop(const struct file *file) {
    static const struct timespec none[2] = {{0, 0}, {0, 0}};
    char *side = beside(file, "-resthook");

    (void)utimensat(AT_FDCWD, side, none, 0); /* it ages by itself, only later */
    free(side);
}

bool file_close(struct file *file, const struct surroundings *with, int64_t now) {
    bool recorded = true;

    if (file->outbox != NULL) {
        engine_remove(with->engine, outbox_source(file->outbox));
        recorded = outbox_close(file->outbox, now);
        file->outbox = NULL;
    }
    if (file->asleep) {
        show_stop(file);
        close(file->lock);
        file->asleep = false;
    }
    file->closing = false;
    file->next_at = now;
    return recorded;
}

void file_look(struct file *file, const struct surroundings *with, int64_t now) {
    struct stat info;
    bool gone = stat(file->name, &info) != 0;

    if (!file->closing && (gone || file_is_another(file, &info))) {
        log_line(LOG_WARN,
                 gone ? "the database is gone: what is in flight is finished"
                      : "another file has the database's name: it is opened anew",
                 "database", outbox_path(file->outbox), NULL);
        outbox_stop(file->outbox);
        file->closing = true;
    } else if (!file->closing && state_of(file).side != file->known.side) {
        log_line(LOG_WARN, "the side file is gone: the database is opened anew", "database",
                 outbox_path(file->outbox), NULL);
        outbox_stop(file->outbox);
        file->closing = true;
    }
    if (file->closing && outbox_in_flight(file->outbox) == 0 && !outbox_syncs(file->outbox)) {
        file_close(file, with, now);
    }
}

/* The side file's time, without opening it: resthook_status shows that somebody is there. */
static void give_sign_of_life(struct file *file, int64_t now) {
    char *side = beside(file, "-resthook");

    (void)utimensat(AT_FDCWD, side, NULL, 0); /* whether it can be written is seen on waking */
    free(side);
    file->touched_at = now;
}

void file_rest(struct file *file, const struct surroundings *with, int64_t now) {
    int64_t until = outbox_idle_until(file->outbox, now);

    if (file->closing || until - now < 2 * REST_AFTER) {
        file->quiet_since = 0;
        return;
    }
    if (file->quiet_since == 0) {
        file->quiet_since = now;
    }
    if (now - file->quiet_since < REST_AFTER) {
        return;
    }
    /* What is committed from the look at the files on changes them; what was before, is news. */
    outbox_checkpoint(file->outbox);
    struct state_of_file state = state_of(file);

    if (state.inode != file->known.inode || state.device != file->known.device) {
        return; /* it was replaced this moment: the next look says so */
    }
    file->known = state;
    if (outbox_has_news(file->outbox)) {
        file->quiet_since = 0;
        return;
    }
    log_line(LOG_DEBUG, "asleep", "database", outbox_path(file->outbox), NULL);
    file->slot = wake_add(with->wake, outbox_path(file->outbox));
    engine_remove(with->engine, outbox_source(file->outbox));
    file->lock = outbox_sleep(file->outbox, now);
    file->outbox = NULL;
    file->asleep = true;
    file->next_at = until - now < SLEEP_MOST ? until : now + SLEEP_MOST;
    file->touched_at = now;
}

bool file_wants_to_wake(struct file *file, const struct surroundings *with, bool look,
                        int64_t now) {
    if (wake_take(with->wake, file->slot) == WAKE_HINT) {
        return !file_is_unchanged(file);
    }
    if (look && now - file->touched_at >= LIFE_EVERY) {
        give_sign_of_life(file, now);
    }
    return now >= file->next_at || (look && !file_is_unchanged(file));
}

void file_clock(struct file *file, int64_t by) {
    file->next_at -= by;
    file->touched_at -= by;
    file->quiet_since -= file->quiet_since != 0 ? by : 0;
}
