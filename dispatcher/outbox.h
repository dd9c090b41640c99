/*
** outbox.h: the source over the two files: app.db, where events are, and app.db-resthook, where
** outcomes go.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_OUTBOX_H
#define RESTHOOKD_OUTBOX_H

#include "identity.h"
#include "line.h"
#include "wake.h"

struct outbox;
struct syncer;

struct outbox_options {
    enum adopt adopt;
    bool once;
    struct syncer *syncer; /* brings the side file to the disk; NULL: its own commits do */
    const char *secrets;   /* the directory of secrets' files, which stays; NULL: none */
    int lock; /* what outbox_sleep left, owned by outbox_open from now on; -1: it was not open */
};

/*
** Takes the database at path: lock, inspection, side file, identity. NULL with *error (one line
** that says what to do; the caller frees it) and *status, the exit status of design 3.4.
*/
struct outbox *outbox_open(const char *path, const struct outbox_options *options,
                           struct endpoints *endpoints, struct wake *wake, int64_t now,
                           char **error, int *status);
/* Writes what is finished and says good-bye in the side file. Nothing of it may be in flight.
** false: it could not be written; what it was of is sent again. */
bool outbox_close(struct outbox *outbox, int64_t now);

/*
** Until when nothing is to be done for it, unless somebody writes to the database; 0: something is.
*/
int64_t outbox_idle_until(const struct outbox *outbox, int64_t now);
/* Was anything committed that it has not read? Looks now; its next turn reads it. */
bool outbox_has_news(struct outbox *outbox);
/*
** Closes an idle one down to the lock that makes it ours, which is returned, for outbox_open. The
** application's file alone is then whole: what had to be moved into it from its WAL was.
*/
int outbox_sleep(struct outbox *outbox, int64_t now);
void outbox_checkpoint(struct outbox *outbox); /* does that, before somebody looks at the files */

/* A step of upkeep after everything was sent. Returns whether there is more to do; *gently becomes true
** if there is in app.db. */
bool outbox_upkeep(struct outbox *outbox, int64_t now, bool *gently);

struct source *outbox_source(struct outbox *outbox);
void outbox_stop(struct outbox *outbox); /* starts nothing new; what is in flight is finished */
int outbox_in_flight(const struct outbox *outbox);
bool outbox_syncs(
    const struct outbox *outbox); /* closing would wait for the disk, and all with it */
const char *outbox_path(const struct outbox *outbox); /* real path */
const char *outbox_held(const struct outbox *outbox); /* why nothing is sent; NULL: it isn't held */
bool outbox_unfinished(struct outbox *outbox);        /* is anything recorded that isn't final? */
bool outbox_gave_up(const struct outbox *outbox);     /* did any delivery die without an attempt? */
int64_t outbox_left(
    struct outbox *outbox); /* events and deliveries still to go, roughly; for a progress line */

#endif
