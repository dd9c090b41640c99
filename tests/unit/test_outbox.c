/*
** test_outbox.c: a database is opened while another program commits: that nothing can be read for a
** moment proves nothing about what is in it.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "command.h"
#include "line.h"
#include "outbox.h"
#include "wake.h"

int sqlite3_resthook_init(sqlite3 *db, char **error, const void *api);

static char path[] = "/tmp/test_outbox.XXXXXX";
static sqlite3 *app;       /* the application's connection */
static bool commits;       /* it has the lock from the reader's next transaction on */
static const char *broken; /* the statement that fails the next time it is run; NULL: none */
static struct endpoints *endpoints;
static struct wake *wake;

static void run(sqlite3 *db, const char *sql) {
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static const char *beside(const char *suffix) {
    static char name[64];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return name;
}

static int on_statement(unsigned kind, void *context, void *statement, void *sql) {
    const char *file = sqlite3_db_filename(sqlite3_db_handle(statement), "main");

    (void)kind;
    (void)context;
    if (commits && strcmp(sql, "BEGIN") == 0 && file != NULL && strcmp(file, path) == 0) {
        commits = false;
        run(app, "BEGIN EXCLUSIVE");
    }
    if (broken != NULL && strstr(sql, broken) != NULL) {
        broken = NULL;
        sqlite3_interrupt(sqlite3_db_handle(statement));
    }
    return 0;
}

static int on_open(sqlite3 *db, char **error, const void *api) {
    (void)error;
    (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

static struct outbox *opened(char **error, int *status) {
    const struct outbox_options options = {.adopt = ADOPT_NO, .lock = -1};

    *error = NULL;
    return outbox_open(path, &options, endpoints, wake, 1000, error, status);
}

/* A database with one event, and a side file that says it was read. */
static int begin(void **state) {
    sqlite3 *side;
    char *error, sql[200];
    int status;

    (void)state;
    assert_int_not_equal(close(mkstemp(path)), -1);
    assert_int_equal(sqlite3_open(path, &app), SQLITE_OK);
    assert_int_equal(sqlite3_resthook_init(app, NULL, NULL), SQLITE_OK);
    run(app, "SELECT resthook_init(); SELECT resthook_emit('a.b', '{}')");
    endpoints = endpoints_new(64, 256);
    wake = wake_new();
    assert_true(outbox_close(opened(&error, &status), 1000));
    assert_int_equal(sqlite3_open(beside("-resthook"), &side), SQLITE_OK);
    snprintf(sql, sizeof sql,
             "ATTACH '%s' AS app; INSERT INTO anchor(id, created_at) "
             "SELECT id, created_at FROM app.resthook_outbox",
             path);
    run(side, sql);
    sqlite3_close(side);
    return sqlite3_auto_extension((void (*)(void))on_open);
}

static int end(void **state) {
    static const char *const suffixes[] = {"", "-journal", "-resthook", "-resthook-wal",
                                           "-resthook-shm"};

    (void)state;
    sqlite3_reset_auto_extension();
    sqlite3_close(app);
    wake_free(wake);
    endpoints_free(endpoints);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        unlink(beside(suffixes[i]));
    }
    return 0;
}

static void a_lock_at_the_start_is_no_reason_to_hold(void **state) {
    struct outbox *outbox;
    char *error;
    int status = 0;

    (void)state;
    commits = true;
    outbox = opened(&error, &status);
    assert_false(commits);
    assert_null(outbox);
    assert_int_equal(status, EXIT_IO);
    assert_non_null(strstr(error, "database is locked"));
    free(error);
    run(app, "ROLLBACK");
    outbox = opened(&error, &status);
    assert_non_null(outbox);
    assert_null(outbox_held(outbox));
    assert_true(outbox_close(outbox, 1000));
}

/* Without it a restored file would not be known for one. */
static void an_unread_anchor_is_not_a_missing_one(void **state) {
    struct outbox *outbox;
    char *error;
    int status = 0;

    (void)state;
    broken = "FROM anchor ORDER BY";
    outbox = opened(&error, &status);
    assert_null(broken);
    assert_null(outbox);
    assert_int_equal(status, EXIT_IO);
    assert_non_null(strstr(error, "interrupted"));
    free(error);
}

static void a_missing_event_is_one(void **state) {
    struct outbox *outbox;
    char *error;
    int status;

    (void)state;
    run(app, "DROP TRIGGER resthook_outbox_last; DELETE FROM resthook_outbox");
    outbox = opened(&error, &status);
    assert_non_null(strstr(outbox_held(outbox), "the event that was read last is gone"));
    assert_true(outbox_close(outbox, 1000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_at_the_start_is_no_reason_to_hold),
        cmocka_unit_test(an_unread_anchor_is_not_a_missing_one),
        cmocka_unit_test(a_missing_event_is_one),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
