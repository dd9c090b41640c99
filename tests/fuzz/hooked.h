/*
** hooked.h: a database in memory that has resthook, for targets that call its functions.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FUZZ_HOOKED_H
#define RESTHOOK_FUZZ_HOOKED_H

#include <sqlite3.h>

#include "fuzz.h"

#define FIRST 8 /* the column of v0 in SELECT * FROM resthook_outbox */

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

static inline void run(sqlite3 *db, const char *sql) {
    MUST(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sqlite3_errmsg(db), sql);
}

static inline sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;

    MUST(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s",
         sqlite3_errmsg(db), sql);
    return statement;
}

static inline sqlite3 *open_hooked(const char *sql) {
    sqlite3 *db;

    MUST(sqlite3_open(":memory:", &db) == SQLITE_OK, "sqlite3_open");
    MUST(sqlite3_resthook_init(db, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    run(db, "SELECT resthook_init()");
    run(db, sql);
    return db;
}

/* Of a query of one row: its first column. */
static inline int64_t number_of(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = prepare(db, sql);

    MUST(sqlite3_step(statement) == SQLITE_ROW, "%s: %s", sqlite3_errmsg(db), sql);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* Steps a call of one of our functions. false: it failed, and says so as its own. */
static inline bool call_succeeds(sqlite3 *db, sqlite3_stmt *call, const char *function) {
    int rc = sqlite3_step(call);
    const char *error = sqlite3_errmsg(db);

    MUST(rc == SQLITE_ROW || (strncmp(error, function, strlen(function)) == 0 &&
                              is_utf8(error, strlen(error)) && strlen(error) < 1000),
         "%d: %s", rc, error);
    return rc == SQLITE_ROW;
}

#endif
