/*
** test_filter.c: filters as the dispatcher asks them: what they see, what is kept ready and how much
** of it, a schema that changes under them, a hostile file, and no memory. What is refused when one
** is set is tested in tests/sql/test_filters.py.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scarce.h"

#include "filters.h"

#define FIRST 8 /* the column of v0 in SELECT * FROM resthook_outbox */
#define PLENTY ((size_t)1 << 30)

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

static void run(sqlite3 *db, const char *sql) {
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", error, sql);
    }
}

/* A database with one captured row of t, and what judges it. */
struct world {
    sqlite3 *db;
    sqlite3_stmt *row;
    struct expander *expander;
    struct expansion event;
    struct filters *filters;
    const char *why;
};

static const char *encoding = "UTF-8";

static void open_world(struct world *w, size_t bytes, const char *insert) {
    const char *why;
    char *error = NULL;

    memset(w, 0, sizeof *w);
    assert_int_equal(sqlite3_open(":memory:", &w->db), SQLITE_OK);
    assert_int_equal(sqlite3_resthook_init(w->db, &error, NULL), SQLITE_OK);
    run(w->db, strcmp(encoding, "UTF-8") == 0 ? "PRAGMA encoding = 'UTF-8'"
                                              : "PRAGMA encoding = 'UTF-16'");
    run(w->db, "SELECT resthook_init(); CREATE TABLE m(x); CREATE TABLE hidden(x);"
               "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, g AS (a || '!'));"
               "SELECT resthook_watch('t', 'insert', 't.create', '{\"record\":\"always\"}')");
    run(w->db, insert);
    assert_int_equal(expander_open(w->db, 1, &w->expander, &error), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(w->db, "SELECT * FROM resthook_outbox", -1, &w->row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(w->row), SQLITE_ROW);
    assert_int_equal(expander_run(w->expander, w->row, FIRST, false, &w->event, &why), EXPANDED);
    w->filters = filters_new(w->db, bytes);
}

static void close_world(struct world *w) {
    filters_free(w->filters);
    expander_free(w->expander);
    sqlite3_finalize(w->row);
    assert_int_equal(sqlite3_close(w->db), SQLITE_OK);
}

static enum judgement judge(struct world *w, const char *text) {
    return filters_judge(w->filters, text, 1, w->expander, "t.create", &w->event.payload, &w->why);
}

static void assert_fails(struct world *w, const char *text, const char *why) {
    if (judge(w, text) != FILTER_FAILS) {
        fail_msg("%s", text);
    }
    assert_string_equal(w->why, why);
}

static void sees_values_as_they_are(void **state) {
    static const char *const true_ones[] = {
        "NEW.id = 7",
        "new.ID = 7 AND \"NEW\".\"id\" = 7 AND [new].[id] = 7",
        "typeof(NEW.a) = 'text' AND instr(NEW.a, 'y') = 3",
        "NEW.a = 'x' || char(0) || 'y'",
        "typeof(NEW.b) = 'blob' AND NEW.b = x'00ff'",
        "NEW.g IS NOT NULL AND OLD.g IS NULL",
        "OLD.id IS NULL AND OLD.a IS NULL",
        "event = 't.create'",
        "json_extract(payload, '$.id') = 7",
        "(SELECT count(*) FROM NEW, OLD) = 1",
        "(SELECT a FROM NEW) = NEW.a",
        "7 IN (SELECT id FROM NEW)",
        "1 /* NEW.nothing */",
        "'0.1'",
    };
    static const char *const false_ones[] = {"NEW.id <> 7", "NULL",          "0",
                                             "'x'",         "NEW.id = NULL", "-0.0"};
    struct world w;

    (void)state;
    open_world(&w, PLENTY, "INSERT INTO t(id, a, b) VALUES (7, 'x' || char(0) || 'y', x'00ff')");
    for (size_t i = 0; i < sizeof true_ones / sizeof *true_ones; i++) {
        if (judge(&w, true_ones[i]) != FILTER_PASSES) {
            fail_msg("%s: %s", true_ones[i], w.why);
        }
    }
    for (size_t i = 0; i < sizeof false_ones / sizeof *false_ones; i++) {
        if (judge(&w, false_ones[i]) != FILTER_STOPS) {
            fail_msg("%s: %s", false_ones[i], w.why);
        }
    }
    close_world(&w);
}

static void sees_them_in_another_encoding(void **state) {
    encoding = "UTF-16";
    sees_values_as_they_are(state);
    encoding = "UTF-8";
}

static void judges_as_where_does(void **state) {
    static const char *const values[] = {
        "1",      "0",  "-1",   "0.5",   "-0.0", "1e-300", "'1'",   "'0'",  "'abc'",
        "'1abc'", "''", "NULL", "x'31'", "x''",  "1 = 1",  "'0x1'", "' 1'", "9223372036854775807",
        "1e999"};
    struct world w;

    (void)state;
    open_world(&w, PLENTY, "INSERT INTO t(id) VALUES (7)");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *sql = sqlite3_mprintf("SELECT 1 FROM t WHERE %s", values[i]);
        sqlite3_stmt *where;
        bool passes;

        assert_int_equal(sqlite3_prepare_v2(w.db, sql, -1, &where, NULL), SQLITE_OK);
        passes = sqlite3_step(where) == SQLITE_ROW;
        sqlite3_finalize(where);
        sqlite3_free(sql);
        if (judge(&w, values[i]) != (passes ? FILTER_PASSES : FILTER_STOPS)) {
            fail_msg("%s", values[i]);
        }
    }
    close_world(&w);
}

static void judges_emitted_events(void **state) {
    struct buffer payload = {0};
    struct world w;

    (void)state;
    open_world(&w, PLENTY, "INSERT INTO t(id) VALUES (7)");
    buffer_text(&payload, "{\"n\":3}");
    assert_int_equal(filters_judge(w.filters, "payload ->> '$.n' = 3 AND event = 'a.b'", 0, NULL,
                                   "a.b", &payload, &w.why),
                     FILTER_PASSES);
    assert_int_equal(filters_judge(w.filters, "NEW.id = 7", 0, NULL, "a.b", &payload, &w.why),
                     FILTER_FAILS);
    assert_string_equal(w.why, "no such column: NEW.id");
    assert_int_equal(judge(&w, "NEW.id = 7"), FILTER_PASSES);
    buffer_free(&payload);
    close_world(&w);
}

static void shares_what_is_equal(void **state) {
    struct world w;

    (void)state;
    open_world(&w, PLENTY, "INSERT INTO t(id) VALUES (7)");
    for (int i = 0; i < 3; i++) {
        char text[] = "NEW.id = 7"; /* whose text it is does not matter */

        assert_int_equal(judge(&w, text), FILTER_PASSES);
        assert_fails(&w, "nonsense", "no such column: nonsense");
    }
    assert_int_equal(filters_count(w.filters), 2);
    assert_int_equal(judge(&w, "NEW.id =  7"), FILTER_PASSES);
    assert_int_equal(filters_count(w.filters), 3);
    filters_forget(w.filters);
    assert_int_equal(filters_count(w.filters), 0);
    assert_int_equal(judge(&w, "NEW.id = 7"), FILTER_PASSES);
    close_world(&w);
}

static void ask_all(struct world *w, int from, int to) {
    for (int i = from; i < to; i++) {
        char text[40];

        snprintf(text, sizeof text, "NEW.id = %d", i);
        assert_int_equal(judge(w, text), i == 7 ? FILTER_PASSES : FILTER_STOPS);
    }
}

/* What has no room is judged all the same; what is in use stays, what is idle goes. */
static void stays_within_its_bytes(void **state) {
    sqlite3_int64 before;
    struct world w;
    int kept, made;

    (void)state;
    open_world(&w, 400000, "INSERT INTO t(id) VALUES (7)");
    before = sqlite3_memory_used();
    for (int round = 0; round < 5; round++) {
        ask_all(&w, 0, 200);
        assert_in_range(filters_count(w.filters), 50, 150);
    }
    filters_rest(w.filters);
    assert_true(sqlite3_memory_used() - before < 500000);
    kept = filters_count(w.filters);
    made = filters_made(w.filters);
    ask_all(&w, 0, 200);
    assert_int_equal(filters_made(w.filters) - made, 200 - kept);
    for (int round = 0; round < 1000; round++) {
        ask_all(&w, 1000, 1005);
    }
    made = filters_made(w.filters);
    ask_all(&w, 1000, 1005);
    assert_int_equal(filters_made(w.filters), made);
    close_world(&w);
}

/* Nobody said that the schema has changed: it is noticed, and the rules are applied anew. */
static void follows_the_schema(void **state) {
    static const char text[] = "(SELECT count(*) FROM m) = 1";
    struct world w;

    (void)state;
    open_world(&w, PLENTY, "INSERT INTO t(id) VALUES (7)");
    sqlite3_reset(w.row); /* it would lock the tables */
    assert_int_equal(judge(&w, text), FILTER_STOPS);
    run(w.db, "INSERT INTO m VALUES (1)");
    assert_int_equal(judge(&w, text), FILTER_PASSES);
    run(w.db, "ALTER TABLE m ADD COLUMN y");
    assert_int_equal(judge(&w, text), FILTER_PASSES);
    run(w.db, "DROP TABLE m; CREATE VIEW m AS SELECT secret FROM resthook_subscription");
    assert_fails(&w, text, "access to resthook_subscription.secret is prohibited");
    run(w.db, "DROP VIEW m; CREATE TABLE m(x)");
    filters_forget(w.filters);
    assert_int_equal(judge(&w, text), FILTER_STOPS);
    close_world(&w);
}

static void stops_at_the_limit(void **state) {
    struct world w;

    (void)state;
    open_world(&w, PLENTY, "INSERT INTO t(id) VALUES (7)");
    assert_fails(&w,
                 "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                 " SELECT count(*) FROM n)",
                 "it took more than 1,000,000 steps");
    assert_fails(&w, "randomblob(1000000000)", "string or blob too big");
    assert_fails(&w, "abs(-9223372036854775807 - NEW.id / 7)", "integer overflow");
    /* few steps, each a large one */
    assert_fails(
        &w,
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT sum(length(hex(zeroblob(500000 + i % 2))) + length(hex(zeroblob(500000))))"
        " FROM n)",
        "it took more than 2 seconds of the processor");
    /* a step that nothing can stop: it is small, then */
    assert_int_not_equal(judge(&w, "length(printf('%.*c', 2000000, 'a')) > 0"), FILTER_PASSES);
    assert_int_not_equal(judge(&w, "length(printf('%*d', 2000000, 1)) > 0"), FILTER_PASSES);
    assert_fails(&w, "NEW.id = 7 AND zeroblob(2000000) = ''", "string or blob too big");
    assert_fails(&w, "NEW.id = 7 AND 'a' LIKE '%' || printf('%.*c', 100, 'a')",
                 "LIKE or GLOB pattern too complex");
    assert_fails(&w, "NEW.id = 7 AND 'a' GLOB '*' || printf('%.*c', 100, 'a')",
                 "LIKE or GLOB pattern too complex");
    assert_int_equal(judge(&w, "'aa' NOT LIKE '%' || printf('%.*c', 99, 'a')"), FILTER_PASSES);
    assert_int_equal(judge(&w, "NEW.id = 7"), FILTER_PASSES);
    close_world(&w);
}

/* What an event brings can be read, whatever its size. */
static void reads_large_values(void **state) {
    static const char *const encodings[] = {"UTF-8", "UTF-16"};

    (void)state;
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        struct world w;

        encoding = encodings[i];
        open_world(&w, PLENTY,
                   "INSERT INTO t(id, a) VALUES (7, replace(hex(zeroblob(250000)), '0', 'z'))");
        assert_int_equal(judge(&w, "length(NEW.a) = 500000 AND NEW.a || NEW.id LIKE '%z7'"),
                         FILTER_PASSES);
        assert_int_equal(judge(&w, "length(payload ->> '$.a') = 500000"), FILTER_PASSES);
        assert_int_equal(judge(&w, "length(NEW.a || payload) > 1000000"), FILTER_PASSES);
        close_world(&w);
        open_world(&w, PLENTY,
                   "SELECT resthook_set('capture_max', 10000000), resthook_repair();"
                   "INSERT INTO t(id, a) VALUES (7, zeroblob(9000000))");
        assert_int_equal(judge(&w, "length(NEW.a) = 9000000 AND length(payload) > 12000000"),
                         FILTER_PASSES);
        assert_fails(&w, "length(NEW.a || payload || NEW.a || payload || payload) > 0",
                     "string or blob too big");
        close_world(&w);
    }
    encoding = "UTF-8";
}

/* The file may be somebody's who wrote its rows himself. */
static void refuses_a_hostile_file(void **state) {
    static const char *const texts[][2] = {
        {"1) OR (1", "a closing parenthesis has no opening one"},
        {"1;DELETE FROM t", "a semicolon can't be part of an expression"},
        {"?1", "a parameter can't be part of an expression"},
        {"", "an expression is expected"},
        {"(SELECT secret FROM resthook_subscription)",
         "access to resthook_subscription.secret is prohibited"},
        {"load_extension('x')", "not authorized to use function: load_extension"},
        {"resthook_ping('x')", "no such function: resthook_ping"},
        {"readfile('/etc/passwd')", "no such function: readfile"},
        {"count(*)", NULL},
    };
    struct world w;

    (void)state;
    open_world(&w, PLENTY, "INSERT INTO t(id) VALUES (7)");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (judge(&w, texts[i][0]) != FILTER_FAILS) {
            fail_msg("%s", texts[i][0]);
        }
        if (texts[i][1] != NULL) { /* in SQLite's words, which change */
            assert_string_equal(w.why, texts[i][1]);
        }
    }
    close_world(&w);
}

/* The Nth allocation of SQLite fails, until none does: then the filter can't be judged, which is
** never taken for a no, and is forgotten as soon as there is memory. */
static void survives_without_memory(void **state) {
    static const char text[] =
        "NEW.g = 'a!' AND payload LIKE '%a%' AND (SELECT count(*) FROM m) = 0";
    struct world w;

    (void)state;
    sqlite3_shutdown();
    assert_int_equal(make_memory_scarce(), 0);
    open_world(&w, PLENTY, "INSERT INTO t(id, a) VALUES (7, 'a')");
    for (int ready = 0; ready < 2; ready++) {
        long n = 0;

        for (failed = true; failed; n++) {
            enum judgement said;

            if (!ready) {
                filters_forget(w.filters);
            }
            /* What is computed of a row once is computed again. */
            assert_int_equal(expander_run(w.expander, w.row, FIRST, false, &w.event, &w.why),
                             EXPANDED);
            failed = false;
            countdown = n;
            said = judge(&w, text);
            countdown = -1;
            assert_true(said == FILTER_PASSES || (failed && said == FILTER_FAILS));
        }
        assert_true(n > (ready ? 1 : 100));
        assert_int_equal(expander_run(w.expander, w.row, FIRST, false, &w.event, &w.why), EXPANDED);
        assert_int_equal(judge(&w, text), FILTER_PASSES);
    }
    close_world(&w);
    sqlite3_shutdown();
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &plain), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_values_as_they_are),
        cmocka_unit_test(judges_as_where_does),
        cmocka_unit_test(sees_them_in_another_encoding),
        cmocka_unit_test(judges_emitted_events),
        cmocka_unit_test(shares_what_is_equal),
        cmocka_unit_test(stays_within_its_bytes),
        cmocka_unit_test(follows_the_schema),
        cmocka_unit_test(stops_at_the_limit),
        cmocka_unit_test(reads_large_values),
        cmocka_unit_test(refuses_a_hostile_file),
        cmocka_unit_test(survives_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
