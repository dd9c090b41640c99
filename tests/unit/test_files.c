/*
** test_files.c: when databases that are not open are looked at, by a clock that is given.
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
#include "engine.h"
#include "files.h"
#include "http.h"
#include "line.h"
#include "wake.h"

#define SECOND INT64_C(1000)
#define DAY (86400 * SECOND)

int sqlite3_resthook_init(sqlite3 *db, char **error, const void *api);

static char folder[] = "/tmp/resthook-files-XXXXXX";
static char path[64];
static char *names[] = {path};
static struct options options;
static struct endpoints *endpoints;
static struct engine *engine;
static struct http *http;
static struct wake *wake;
static struct files *files;
static int64_t now;

static int begin(void **state) {
    struct http_options transport = {.user_agent = "test", .connections = 4};

    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    now = INT64_C(1790000000) * SECOND;
    options = (struct options){
        .guard = guard_new(), .names = names, .count = 1, .max_in_flight = 4, .standby = true};
    transport.guard = options.guard;
    http = http_new(&transport);
    endpoints = endpoints_new(4, 4);
    wake = wake_new();
    engine = engine_new(http, endpoints);
    files = files_new(&options, engine, endpoints, wake, NULL);
    return 0;
}

static int end(void **state) {
    static const char *const suffixes[] = {"", "-resthook", "-wal", "-shm"};

    (void)state;
    files_close(files, now);
    engine_free(engine);
    endpoints_free(endpoints);
    http_free(http);
    wake_free(wake);
    guard_free(options.guard);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[96];

        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static void make_database(void) {
    sqlite3 *app;

    assert_int_equal(sqlite3_open(path, &app), SQLITE_OK);
    assert_int_equal(sqlite3_resthook_init(app, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(app, "SELECT resthook_init()", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(app);
}

static bool is_open(void) {
    char side[96];

    snprintf(side, sizeof side, "%s-resthook", path);
    return access(side, F_OK) == 0;
}

/* One that stands by, or waits for a file, is not held up by a time that comes in three days. */
static void a_clock_that_is_set_back_puts_off_no_file(void **state) {
    (void)state;
    assert_int_equal(files_open(files, now), -1);
    files_turn(files, now);
    make_database();
    now -= 3 * DAY;
    for (int seconds = 0; seconds < 10 && !is_open(); seconds++) {
        now += SECOND;
        files_turn(files, now);
    }
    assert_true(is_open());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_clock_that_is_set_back_puts_off_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
