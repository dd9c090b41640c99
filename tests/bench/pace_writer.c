/*
** pace_writer.c: an application that commits single rows at a steady pace, by the plain sqlite3
** library with nothing loaded.
**
**   pace_writer DATABASE ROWS PER_SECOND FULL|NORMAL BUSY_TIMEOUT FIRST_ID SQL [URL]
**
** SQL inserts one row; ?1, if it is in it, is the id, from FIRST_ID on. With a URL it also sends
** each row itself, by curl, right after its commit: what a hook costs an application that does
** without resthook, and the floor of every delay. Prints a line a row: id, when the commit had
** returned, how long it took (ns); and last how many commits met SQLITE_BUSY.
** SPDX-License-Identifier: MIT
*/
#include "bench.h"

#include <string.h>

#include <curl/curl.h>

#define MICROSECONDS 1000

struct row {
    int64_t committed, took;
};

static CURL *poster(const char *url) {
    CURL *easy = curl_easy_init();

    must(easy != NULL, "curl_easy_init");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    return easy;
}

static void post(CURL *easy, int64_t id) {
    char body[200];

    snprintf(body, sizeof body,
             "{\"id\":%lld,\"name\":\"Ada Lovelace\",\"email\":\"ada@example.com\",\"course\":"
             "\"NFdFJBSwwA8B\",\"status\":\"enrolled\",\"seats\":12,\"price\":49.5}",
             (long long)id);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    must(curl_easy_perform(easy) == CURLE_OK, "the receiver does not answer");
}

static void sleep_until(int64_t at) {
    struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
    }
}

int main(int argc, char **argv) {
    must(argc == 8 || argc == 9, "usage: pace_writer DATABASE ROWS PER_SECOND FULL|NORMAL "
                                 "BUSY_TIMEOUT FIRST_ID SQL [URL]");
    long rows = number(argv[2]), first = number(argv[6]), busy = 0;
    int64_t gap = 1000000000 / number(argv[3]);
    sqlite3 *db = database(argv[1], argv[4], (int)number(argv[5]));
    sqlite3_stmt *insert = statement(db, argv[7]);
    CURL *easy = argc == 9 ? poster(argv[8]) : NULL;
    struct row *list = calloc((size_t)rows + 1, sizeof *list);

    must(list != NULL, "out of memory");
    int64_t begun = monotonic_ns();

    for (long i = 0; i < rows; i++) {
        /* Not in step with anybody's timer: a pseudo-random part of a millisecond is added. */
        sleep_until(begun + i * gap + i * 7919 % 1000 * MICROSECONDS);
        if (sqlite3_bind_parameter_count(insert) > 0) {
            sqlite3_bind_int64(insert, 1, first + i);
        }
        int64_t since = monotonic_ns();
        int rc = sqlite3_step(insert);

        list[i].committed = monotonic_ns();
        list[i].took = list[i].committed - since;
        sqlite3_reset(insert);
        busy += (rc & 0xff) == SQLITE_BUSY;
        must(rc == SQLITE_DONE || (rc & 0xff) == SQLITE_BUSY, "a row was not written");
        if (easy != NULL) {
            post(easy, first + i);
        }
    }
    for (long i = 0; i < rows; i++) {
        printf("%ld %lld %lld\n", first + i, (long long)list[i].committed, (long long)list[i].took);
    }
    printf("busy %ld\n", busy);
    free(list);
    curl_easy_cleanup(easy);
    sqlite3_finalize(insert);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
