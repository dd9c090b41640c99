/*
** answer.h: the rows of one query over what both files know: first the side file's, then those of
** app.db that the side file does not have yet.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_ANSWER_H
#define RESTHOOK_ANSWER_H

#include <stdbool.h>

#include "narrowing.h"
#include "sqlite.h"

/* One virtual table: its columns and the SQL behind it. */
struct kind {
    const char *name, *declaration;
    /* To be narrowed by; -1: none. */
    int delivery_column, event_column, subscription_column, state_column;
    const char *side_sql, *side_event; /* the column of the event's id, for (EVENT) */
    const char *side_state_sql;        /* instead of side_sql, by state */
    const char *app_sql;               /* NULL: none */
    const char *recorded_sql; /* has the side file a row of this pair? NULL: no row is in both */
    bool is_status;           /* it also says what can't be read, and why */
};

enum { ROWS_WHY, ROWS_SIDE, ROWS_APP, ROWS_END }; /* where the rows come from, in this order */

/* A read of the side file that failed on the way, for resthook_status to say: a connection's, since
** no other query need come upon the same page. Gone when all of that table was read again. */
struct damage {
    const struct kind *kind;
    char *why; /* NULL: there is none; sqlite3_malloc'ed */
};

struct answer {
    sqlite3 *db;
    struct damage *damage;
    const struct kind *kind;
    bool open;          /* the snapshots are taken; they stay from one start to the next */
    bool unreadable;    /* there is a side file, but … */
    bool whole;         /* nothing narrows the query */
    sqlite3_stmt *hold; /* keeps app.db's */
    sqlite3 *side;      /* private; NULL: there is none */
    char *why;          /* what there is instead of a side file */
    sqlite3_int64 passed;
    sqlite3_stmt *rows[ROWS_END];
    sqlite3_stmt *recorded;
    int at;
    sqlite3_int64 rowid;
    sqlite3 *failed; /* whose error message says why a call failed; NULL: the code says it all */
};

void answer_open(struct answer *answer, sqlite3 *db, const struct kind *kind,
                 struct damage *damage);
void answer_close(struct answer *answer);
/* Begins, from the first row, and goes to the next. whole: nothing is narrowed. SQLITE_OK or the
** code. */
int answer_start(struct answer *answer, const struct narrowing *narrowing, bool whole);
int answer_next(struct answer *answer);
/* The row, its columns in the order of the declaration; NULL: there is none (more). */
sqlite3_stmt *answer_row(const struct answer *answer);

#endif
