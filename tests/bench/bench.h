/*
** bench.h: what the benchmark's programs share. They stand for everything around resthook: a
** receiver, and the writers and senders that it is measured against. None of them links anything of
** resthook's.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_BENCH_H
#define RESTHOOK_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sqlite3.h>

/* Of one clock for all processes: what one of them notes another can subtract. */
static inline int64_t monotonic_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A benchmark that goes on after a failure measures something else. */
static inline void must(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "bench: %s\n", what);
        exit(1);
    }
}

static inline long number(const char *text) {
    char *end;
    long value = strtol(text, &end, 10);

    must(*text != '\0' && *end == '\0' && value >= 0, "an argument is not a number");
    return value;
}

static inline sqlite3 *database(const char *path, const char *sync, int busy_timeout) {
    sqlite3 *db;
    char *pragma = sqlite3_mprintf("PRAGMA synchronous=%s", sync);

    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK, path);
    must(sqlite3_exec(db, pragma, NULL, NULL, NULL) == SQLITE_OK, "PRAGMA synchronous");
    must(sqlite3_busy_timeout(db, busy_timeout) == SQLITE_OK, "busy_timeout");
    sqlite3_free(pragma);
    return db;
}

static inline sqlite3_stmt *statement(sqlite3 *db, const char *sql) {
    sqlite3_stmt *made;

    if (sqlite3_prepare_v2(db, sql, -1, &made, NULL) != SQLITE_OK) {
        must(0, sqlite3_errmsg(db));
    }
    return made;
}

/* One row of the eight columns that tests/bench/run creates; ?1 is the id. */
#define INSERT_ITEM                                                                                \
    "INSERT INTO item(id, name, email, course, status, seats, price, created_at) VALUES "          \
    "(?1, 'Ada Lovelace', 'ada@example.com', 'NFdFJBSwwA8B', 'enrolled', 12, 49.5, 1790000000)"

#endif
