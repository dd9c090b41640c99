/*
** files.h: the databases that are delivered for: those named, and those found in a directory. One
** that can't be opened, or is replaced or removed while we run, harms no other.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_FILES_H
#define RESTHOOKD_FILES_H

#include <stdbool.h>
#include <stdint.h>

struct endpoints;
struct engine;
struct files;
struct options;
struct syncer;
struct wake;

/* Uses all of them until it is closed. syncer NULL: there is none. */
struct files *files_new(const struct options *options, struct engine *engine,
                        struct endpoints *endpoints, struct wake *wake, struct syncer *syncer);

/*
** Opens what there is. Returns -1, or the exit status of the first that can't be opened (and said
** why), when there is nothing else to deliver for and nothing to wait for (--dir, --standby).
*/
int files_open(struct files *files, int64_t now);

/* Each second: tries again what could not be opened, takes in what was replaced, looks into the
** directory. Returns when it wants to be called next. */
int64_t files_turn(struct files *files, int64_t now);

struct files_counts {
    int known, asleep;
    int idle; /* held, or not open though there is something of ours in it */
};
struct files_counts files_counts(const struct files *files);

bool files_all_held(const struct files *files); /* there is nothing to do but for an operator */
int64_t files_left(const struct files *files);  /* deliveries and events not finished, for people */
/* The exit status that all of them together make. */
int files_status(const struct files *files, bool once);

/* A step of upkeep in each, or in those that come before `until` (stopwatch.h). Returns whether there
** is more to do; *gently: in an app.db, which others want to write as well. */
bool files_upkeep(struct files *files, int64_t now, int64_t until, bool *gently);

/* Records what is finished and closes all. Nothing of them may be in flight. false: something could
** not be recorded. */
bool files_close(struct files *files, int64_t now);

#endif
