/*
** repair.h: keeps the watches' triggers in step with the tables they stand on: a migration that
** rebuilt a table took its triggers with it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_REPAIR_H
#define RESTHOOKD_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

struct outbox;

/*
** Before anything else: brings the schema of resthook's tables in app.db up to this program's, if it
** is older, as resthook_init() does. Returns NULL, or why not (the caller frees it).
*/
char *repair_schema(const char *path);
/* At the start: what the side file knows of the last time that all was in order. */
void repair_open(struct outbox *outbox, int64_t now);
/* In a snapshot in which subscriptions changed: did whoever wrote them leave a watch armed for nobody, or
** disarmed? Then there is something to repair. Errors stay in the reader's db. */
void repair_subscribed(struct outbox *outbox);
/* app.db was looked at just now: is its schema still the one that was in order? */
void repair_looked(struct outbox *outbox, int64_t schema, int64_t now);
/*
** When it is not, and app.db lets us: does what resthook_repair() does, and records for each watch
** whose trigger was missing from when to when. Outside any transaction.
*/
void repair_turn(struct outbox *outbox, int64_t now);
/* Is there a schema that was not looked through yet, and no reason known why it can't be? */
bool repair_pending(const struct outbox *outbox);

#endif
