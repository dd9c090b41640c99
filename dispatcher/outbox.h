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

struct outbox_options {
    enum adopt adopt;
    bool once;
};

/*
** Takes the database at path: lock, inspection, side file, identity. NULL with *error (one line
** that says what to do; the caller frees it) and *status, the exit status of design 3.4.
*/
struct outbox *outbox_open(const char *path, const struct outbox_options *options,
                           struct endpoints *endpoints, struct wake *wake, int64_t now,
                           char **error, int *status);
/* Writes what is finished and says good-bye in the side file. Nothing of it may be in flight. */
void outbox_close(struct outbox *outbox, int64_t now);

struct source *outbox_source(struct outbox *outbox);
void outbox_stop(struct outbox *outbox); /* starts nothing new; what is in flight is finished */
int outbox_in_flight(const struct outbox *outbox);
const char *outbox_path(const struct outbox *outbox); /* real path */
const char *outbox_held(const struct outbox *outbox); /* why nothing is sent; NULL: it isn't held */
bool outbox_unfinished(struct outbox *outbox);        /* is anything recorded that isn't final? */
int64_t outbox_left(
    struct outbox *outbox); /* events and deliveries still to go, roughly; for a progress line */

#endif
