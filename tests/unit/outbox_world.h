/*
** outbox_world.h: a whole outbox over real files, whose time is told by the test. What others commit
** is known when their write returns (inotify), so that nothing waits. Nothing is sent: what is
** claimed ends as the test says.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "retention.h"
#include "state.h"
#include "stopwatch.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

static char folder[] = "/tmp/resthook-retention-XXXXXX";
static char file[64];
static sqlite3 *app; /* the application's connection */
static struct endpoints *endpoints;
static struct wake *wake;
static struct outbox *outbox;
static int64_t now;

/* A machine of its own, neither slow nor fast: what it does in a millisecond is always the same. */
static int64_t look_us; /* from one look at the stopwatch to the next */

int64_t stopwatch_us(void) {
    static int64_t us;

    return us += look_us;
}

int64_t stopwatch_work_us(void) {
    return stopwatch_us();
}

static void sql(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (sqlite3_exec(app, text, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", text, sqlite3_errmsg(app));
    }
    sqlite3_free(text);
}

static int64_t value_of(sqlite3 *db, const char *text) {
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);

    sqlite3_finalize(statement);
    return value;
}

/* Of the side file. */
static int64_t side(const char *text) {
    return value_of(journal_db(outbox->journal)->handle, text);
}

static sqlite3 *locker; /* somebody else, at the side file */

static inline void lock_side(void) {
    char path[96];

    snprintf(path, sizeof path, "%s-resthook", file);
    assert_int_equal(sqlite3_open(path, &locker), SQLITE_OK);
    assert_int_equal(sqlite3_exec(locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static inline void unlock_side(void) {
    sqlite3_close(locker);
}

static struct syncer *with_syncer; /* NULL: it is synced by its own commits */

static void open_outbox(void) {
    struct outbox_options options = {.lock = -1, .syncer = with_syncer};
    char *error = NULL;
    int status;

    outbox = outbox_open(file, &options, endpoints, wake, now, &error, &status);
    if (outbox == NULL) {
        fail_msg("%s", error);
    }
}

static void turn(void) {
    wake_turn(wake);
    outbox_source(outbox)->turn(outbox_source(outbox), now, true);
}

/* A turn each 50 ms; each second where they would be thousands. */
static void turns(int64_t ms) {
    int64_t step = ms > 60 * SECOND ? SECOND : 50;

    for (int64_t end = now + ms; now < end;) {
        now += step;
        turn();
    }
}

/* As the engine does it; NULL: nobody has anything to send now. */
static inline struct job *claim(void) {
    struct line *line;

    endpoints_turn(endpoints, now);
    while ((line = endpoints_next(endpoints, now)) != NULL) {
        struct job *job = line->source->claim(line->source, line, now);

        if (job != NULL) {
            place_take(&job->place, line, now);
            return job;
        }
    }
    return NULL;
}

static inline void settle(struct job *job, enum verdict_state became, int64_t throttle_until) {
    struct source *source = job->line->source;
    struct outcome outcome = {
        .state = became,
        .effect = throttle_until > 0 ? EFFECT_THROTTLE : EFFECT_NONE,
        .next_at = now + SECOND,
        .throttle_until = throttle_until,
        .started_at = now,
        .steps = {-1, -1, -1, -1},
        .status = became == VERDICT_DELIVERED ? 200 : 503,
        .error = "",
        .reason = "for a test",
    };

    place_finish(&job->place, became == VERDICT_DELIVERED, throttle_until);
    source->settle(source, job, &outcome, now);
}

static int begin_world(void) {
    struct timespec clock;

    clock_gettime(CLOCK_REALTIME, &clock);
    now = (int64_t)clock.tv_sec * 1000;
    look_us = 2;
    snprintf(folder + sizeof folder - 7, 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/app.db", folder);
    assert_int_equal(sqlite3_open(file, &app), SQLITE_OK);
    assert_int_equal(sqlite3_resthook_init(app, NULL, NULL), SQLITE_OK);
    sqlite3_wal_autocheckpoint(app, 0);
    sql("PRAGMA journal_mode=WAL");
    sql("PRAGMA synchronous=OFF");
    sql("SELECT resthook_init()");
    endpoints = endpoints_new(256, 64);
    wake = wake_new();
    open_outbox();
    return 0;
}

/* A world in which all that a start brings is over. */
static inline int begin_calm(void **state) {
    (void)state;
    if (begin_world() != 0) {
        return -1;
    }
    turns(SECOND);
    return 0;
}

/* One with a table, whose inserts somebody gets. */
static inline int begin_with_items(void **state) {
    (void)state;
    if (begin_world() != 0) {
        return -1;
    }
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY)");
    sql("SELECT resthook_watch('item', 'insert', 'item.create')");
    sql("SELECT resthook_subscribe('item.*', 'https://example.com/good')");
    turns(SECOND);
    return 0;
}

static int end_world(void **state) {
    static const char *const names[] = {"",          "-wal",          "-shm",
                                        "-resthook", "-resthook-wal", "-resthook-shm"};
    (void)state;
    outbox_close(outbox, now);
    wake_free(wake);
    endpoints_free(endpoints);
    sqlite3_close(app);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[96];

        snprintf(path, sizeof path, "%s%s", file, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}
