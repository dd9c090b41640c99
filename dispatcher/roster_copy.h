/*
** roster_copy.h: the subscriptions of a database with a rollback journal, copied in slices.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_ROSTER_COPY_H
#define RESTHOOKD_ROSTER_COPY_H

#include "db.h"

struct roster_copy;

/* NULL: app.db can not be read now. */
struct roster_copy *roster_copy_new(struct db *app);
void roster_copy_free(struct roster_copy *copy);
/*
** Copies for less than a millisecond, in the caller's snapshot, whose revision and schema these are.
** true: it is whole, unless app or roster_copy_db has an error. cursor: of sql_app_subscriptions.
*/
bool roster_copy_slice(struct roster_copy *copy, struct db *app, int64_t revision, int64_t schema,
                       int64_t cursor);
void roster_copy_drop(struct roster_copy *copy); /* it was used */

/* The whole copy: rows as of sql_app_subscriptions. */
struct db *roster_copy_db(struct roster_copy *copy);
sqlite3_stmt *roster_copy_list(struct roster_copy *copy);

#endif
