/*
** patience.c: see patience.h.
** SPDX-License-Identifier: MIT
*/
#include "patience.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "stopwatch.h"

#define STRIDE 100 /* steps between two looks at the clock */

static int64_t ends; /* by the processor's time */

bool patience_over(void) {
    return stopwatch_work_us() > ends;
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
    ends = stopwatch_work_us() + (int64_t)seconds * 1000000;
    (void)sqlite3_auto_extension(entry); /* again is once */
}

void patience_end(void) {
    (void)sqlite3_cancel_auto_extension(entry);
}
