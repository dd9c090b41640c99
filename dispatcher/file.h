/*
** file.h: one database that is delivered for, from its name on: open, asleep, or not there (yet).
**
** An open database costs some 800 KiB and ten descriptors. Of many, those for which there is
** nothing to do are closed down to their lock (one descriptor) and a look at the names of their
** files; inotify's notice, another size or time of a file, or a delivery that becomes due opens them
** again, in a few milliseconds.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_FILE_H
#define RESTHOOKD_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct endpoints;
struct engine;
struct options;
struct outbox;
struct wake;

struct surroundings { /* what all files share */
    const struct options *options;
    struct engine *engine;
    struct endpoints *endpoints;
    struct wake *wake;
    struct syncer *syncer; /* NULL: none */
};

struct state_of_file { /* which one it is, and as what writing to it leaves it */
    dev_t device;
    ino_t inode, side;
    struct timespec changed, wal_changed;
    off_t size, wal_size;
};

struct file {
    char *name;            /* as given, or found */
    char *path;            /* its real one, beside which are its other files; NULL: not known */
    struct outbox *outbox; /* NULL: not open */
    bool found;            /* in the directory: it may go as it came */
    bool closing;          /* was replaced: is closed when nothing of it is in flight */
    bool silent;           /* it was said why it is not open */
    bool asleep;
    bool adopted;               /* it was open: --adopt was for the file that had the name then */
    int lock, slot;             /* while it is asleep: its own, and the one that wakes it */
    struct state_of_file known; /* when it was opened, could not be, or fell asleep */
    int64_t quiet_since;        /* open: there is nothing to do for it; 0: there is */
    int64_t next_at;            /* not open: when it is tried again, or wakes by itself */
    int64_t touched_at;         /* asleep: the last sign of life */
    int tries;                  /* to open it, in vain since it was last open */
    int status;                 /* why it is not open; 0: it was never tried */
};

/* Tries to open it. NULL, or why it isn't open, to be freed; status says it too. */
char *file_open(struct file *file, const struct surroundings *with, int64_t now);
/* Closes what is open or asleep. Nothing of it may be in flight. false: see outbox_close. */
bool file_close(struct file *file, const struct surroundings *with, int64_t now);

bool file_is_another(const struct file *file, const struct stat *info); /* than was open */
/* Was nothing written to it since it was known? */
bool file_is_unchanged(const struct file *file);

/* For an open one, now and then: has its name another file now, or none? Closes it if so. */
void file_look(struct file *file, const struct surroundings *with, int64_t now);
/* Puts an open one to sleep, if nothing was to be done for it for a while. */
void file_rest(struct file *file, const struct surroundings *with, int64_t now);
/* For one that is asleep: has anything been noticed, or has its time come? The file system is asked
** when look is set. */
bool file_wants_to_wake(struct file *file, const struct surroundings *with, bool look, int64_t now);
void file_clock(struct file *file, int64_t by); /* the clock was set back: it waits no longer */

#endif
