/*
** patience.c: see patience.h.
** SPDX-License-Identifier: MIT
*/
#include "patience.h"

#include <sqlite3.h>
#include <stdint.h>
#include <time.h>

#define STRIDE 100 /* steps between two looks at the clock */
#define NANOSECONDS 1000000000

static int64_t ends;

static int64_t processor_time(void) {
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

bool patience_over(void) {
    return processor_time() > ends;
}

static int tick(void *context) {
    (void)context;
    return patience_over();
}

/* For each connection that is opened. */
static int watch(sqlite3 *db, char **error, const struct sqlite3_api_routines *api) {
    (void)error;
    (void)api;
    sqlite3_progress_handler(db, STRIDE, tick, NULL);
    return SQLITE_OK;
}

/* The type that SQLite's interface wants; it calls it as what it is. */
static void (*const entry)(void) = (void (*)(void))watch;

void patience_begin(int seconds) {
    ends = processor_time() + (int64_t)seconds * NANOSECONDS;
    (void)sqlite3_auto_extension(entry); /* again is once */
}

void patience_end(void) {
    (void)sqlite3_cancel_auto_extension(entry);
}
