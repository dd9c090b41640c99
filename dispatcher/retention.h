/*
** retention.h: what may go, goes: in small steps, in app.db only when nobody is writing.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_RETENTION_H
#define RESTHOOKD_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

struct outbox;
struct retention;

struct retention *retention_new(struct outbox *outbox, int64_t now);
void retention_free(struct retention *retention);
/* Takes a step when it is time for one. Never inside a transaction of the journal. */
void retention_turn(struct retention *retention, int64_t now);
/* When it wants to take the next step of the round that is under way; NEVER. */
int64_t retention_due(const struct retention *retention);
/* A last round: one step of it, without a pause before it. Returns whether there is more to do. */
bool retention_hurry(struct retention *retention, int64_t now);
/* Is there more to do in app.db, in the round that is under way? */
bool retention_wants_app(const struct retention *retention);
/* Has the round over everything that is under way, or the first one, come to its end? */
bool retention_is_done(const struct retention *retention);
/* Something was committed to app.db: if it was somebody else, the steps keep away for a while. */
void retention_noticed(struct retention *retention, int64_t now);
/* The clock was set back: no step waits for the old time to come again. */
void retention_clock(struct retention *retention, int64_t now);

#endif
