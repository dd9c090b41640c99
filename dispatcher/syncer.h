/*
** syncer.h: brings side files to the disk in a thread of its own. A sync takes from milliseconds to
** tenths of a second, as the disk is, and nobody's delivery waits for these: with an event in each 5 ms,
** beside a backlog, the 99th of 100 came after 31 ms with the syncs in the same thread, and after 6 so
** (disk with syncs of 4 to 35 ms; medians of make bench's latency_loaded). The few that are left in the
** main thread are of commits: at an opening, a closing, before rows of app.db go, and SQLite's own of a
** WAL's head.
**
** The thread has connections of its own, one for each job, and so SQLite keeps it and us apart.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SYNCER_H
#define RESTHOOKD_SYNCER_H

#include <stdbool.h>
#include <sys/queue.h>

struct syncer;

/* One side file's. Whoever has it keeps it, and what it points to, until it has ended. */
struct sync_job {
    const char *path;
    bool copy; /* what is in the WAL into the file, too */
    /* syncer.c's */
    bool asked, ended;
    int rc;
    STAILQ_ENTRY(sync_job) links;
};

struct syncer *syncer_new(void); /* NULL: there can be no thread, or no descriptor */
/* Nothing may be asked of it any more. */
void syncer_free(struct syncer *syncer);

/* All that is committed now is to reach the disk. */
void syncer_ask(struct syncer *syncer, struct sync_job *job);
/* Has it ended? Says so once; *rc is SQLITE_OK, or why not. */
bool syncer_ended(struct syncer *syncer, struct sync_job *job, int *rc);
/* Waits until nothing is at work for it. */
void syncer_wait(struct syncer *syncer, struct sync_job *job);

/* Readable when a job has ended, until syncer_heard. */
int syncer_descriptor(const struct syncer *syncer);
void syncer_heard(struct syncer *syncer);

#endif
