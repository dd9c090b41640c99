/*
** poll_reader.c: a program that polls a table for new rows, by the plain sqlite3 library and without
** any wait for a lock: the least that anybody does who wants to hear of them. What its locks cost a
** writer is the limit for the dispatcher's.
**
**   poll_reader DATABASE PER_SECOND ROWS
**
** Reads the outbox from its beginning, ROWS at a time and PER_SECOND rows a second, each time in a
** transaction of its own, until it is ended. Prints a line when it has begun.
** SPDX-License-Identifier: MIT
*/
#include "bench.h"

#define SECOND 1000000000

int main(int argc, char **argv) {
    must(argc == 4, "usage: poll_reader DATABASE PER_SECOND ROWS");
    long per_second = number(argv[2]), rows = number(argv[3]);
    sqlite3 *db = database(argv[1], "FULL", 0);
    sqlite3_stmt *look =
        statement(db, "SELECT * FROM resthook_outbox WHERE id > ?1 ORDER BY id LIMIT ?2");
    int64_t last = 0, at = monotonic_ns();

    must(per_second > 0 && rows > 0, "PER_SECOND and ROWS are at least 1");
    puts("reads");
    must(fflush(stdout) == 0, "standard output");
    for (;;) {
        struct timespec until = {.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
        int rc;

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
        }
        sqlite3_bind_int64(look, 1, last);
        sqlite3_bind_int64(look, 2, rows);
        while ((rc = sqlite3_step(look)) == SQLITE_ROW) {
            last = sqlite3_column_int64(look, 0);
        }
        sqlite3_reset(look);
        must(rc == SQLITE_DONE || (rc & 0xff) == SQLITE_BUSY, "the outbox can't be read");
        at += SECOND / per_second * rows;
    }
}
