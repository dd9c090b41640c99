/*
** bare_writer.c: an application that writes rows as fast as it can, by the plain sqlite3 library
** with nothing loaded. On a database without resthook it is the limit, on one with a watch what
** the watch costs.
**
**   bare_writer DATABASE ROWS PER_TRANSACTION FULL|NORMAL keep|prepare
**
** keep: the statement is prepared once; prepare: again for every row, as many drivers do. Prints
** the nanoseconds a row took.
** SPDX-License-Identifier: MIT
*/
#include "bench.h"

#include <stdbool.h>
#include <string.h>

static sqlite3 *db;

static void run(sqlite3_stmt *prepared) {
    if (sqlite3_step(prepared) != SQLITE_DONE) {
        must(0, sqlite3_errmsg(db));
    }
    sqlite3_reset(prepared);
}

int main(int argc, char **argv) {
    must(argc == 6, "usage: bare_writer DATABASE ROWS PER_TRANSACTION FULL|NORMAL keep|prepare");
    long rows = number(argv[2]), each = number(argv[3]);
    bool again = strcmp(argv[5], "prepare") == 0;
    int64_t since;

    db = database(argv[1], argv[4], 5000);
    sqlite3_stmt *begin = statement(db, "BEGIN"), *commit = statement(db, "COMMIT");
    sqlite3_stmt *insert = statement(db, INSERT_ITEM);

    sqlite3_bind_null(insert, 1); /* the next id */
    since = monotonic_ns();
    for (long i = 0; i < rows; i++) {
        if (each > 1 && i % each == 0) {
            run(begin);
        }
        if (again) {
            sqlite3_finalize(insert);
            insert = statement(db, INSERT_ITEM);
        }
        run(insert);
        if (each > 1 && (i % each == each - 1 || i == rows - 1)) {
            run(commit);
        }
    }
    printf("%.1f\n", (double)(monotonic_ns() - since) / (double)rows);
    sqlite3_finalize(insert);
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
