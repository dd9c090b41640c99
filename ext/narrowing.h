/*
** narrowing.h: a query over deliveries or attempts that names a subscription, an event or a
** delivery reads no more than those.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_NARROWING_H
#define RESTHOOK_NARROWING_H

#include <stdbool.h>

#include "sqlite.h"

/* What a query is narrowed by, as bits; their values come in this order. */
enum { BY_SUBSCRIPTION = 1, BY_EVENT = 2, BY_DELIVERY = 4, BY_STATE = 8 };

/* The states that an index of the side file finds; as numbers they are journal.sql's. */
enum { STATE_ANY = -1, STATE_DEAD = 4 };

struct narrowing {
    bool by_subscription, by_event;
    bool none;          /* nothing can match */
    int state;          /* STATE_ANY, STATE_DEAD, or below 3: unfinished */
    bool recorded_only; /* it is a state that no event above the cursor is in */
    char subscription[120];
    sqlite3_int64 event;
};

void narrowing_read(struct narrowing *narrowing, int by, sqlite3_value **values);
/*
** The statement with its marks (SUB) and (EVENT) replaced by conditions on s.id (parameter ?1) and
** event_column (?2), or by 1, and (STATE) by one on d.state. sqlite3_free it; NULL without memory.
*/
char *narrowing_sql(const struct narrowing *narrowing, const char *sql, const char *event_column);
/* Binds its parameters, where they stand in the statement. Returns SQLITE_OK or the code. */
int narrowing_bind(const struct narrowing *narrowing, sqlite3_stmt *statement);

#endif
