/*
** test_expand.c: the expander, as the dispatcher uses it: payload, change, key, filter, limits, a
** changing schema, a hostile file, and no memory. What is captured is tested in
** tests/sql/test_watch.py.
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

#include "expand.h"
#include "fence.h"
#include "hooks.h"

#define FIRST 8 /* the column of v0 in SELECT * FROM resthook_outbox */

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

static void run(sqlite3 *db, const char *sql) {
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", error, sql);
    }
}

/* A database in memory with a table t(id, a, b) and a watch by these arguments. */
static sqlite3 *open_with(const char *operation, const char *options) {
    char *error = NULL;
    char *sql;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_resthook_init(db, &error, NULL), SQLITE_OK);
    run(db,
        "SELECT resthook_init(); CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); CREATE TABLE m(x)");
    sql = sqlite3_mprintf("SELECT resthook_watch('t', %Q, 't.event', %Q)", operation, options);
    run(db, sql);
    sqlite3_free(sql);
    return db;
}

static struct expander *expander_of(sqlite3 *db, int64_t watch) {
    struct expander *expander = NULL;
    char *error = NULL;

    if (expander_open(db, watch, &expander, &error) != SQLITE_OK) {
        fail_msg("%s", error);
    }
    return expander;
}

static const char *text_of(const struct buffer *buffer) {
    return buffer->length > 0 ? buffer->data : "";
}

/* Expands the newest event and compares: NULL expects FILTERED, "!…" an error. */
static void assert_newest(sqlite3 *db, struct expander *expander, const char *payload,
                          const char *change, const char *key) {
    sqlite3_stmt *row;
    struct expansion event;
    const char *error;
    enum expanded result;

    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT * FROM resthook_outbox ORDER BY id DESC LIMIT 1",
                                        -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    result = expander_run(expander, row, FIRST, change != NULL, &event, &error);
    if (payload == NULL) {
        assert_int_equal(result, FILTERED);
    } else if (payload[0] == '!') {
        assert_int_equal(result, UNEXPANDABLE);
        assert_string_equal(error, payload + 1);
    } else {
        if (result != EXPANDED) {
            fail_msg("%d: %s", result, error);
        }
        assert_string_equal(text_of(&event.payload), payload);
        assert_string_equal(text_of(&event.change), change != NULL ? change : "");
        assert_int_equal(event.has_key, key != NULL);
        assert_string_equal(text_of(&event.key), key != NULL ? key : "");
    }
    sqlite3_finalize(row);
}

static void renders_changes(void **state) {
    sqlite3 *db = open_with("insert", "{\"record\":\"always\"}");
    struct expander *expander;

    (void)state;
    run(db, "SELECT resthook_watch('t', 'update', 't.new', '{\"record\":\"always\"}');"
            "SELECT resthook_watch('t', 'delete', 't.gone', '{\"record\":\"always\"}');"
            "INSERT INTO t VALUES (1, 'x', 2.0)");
    expander = expander_of(db, 1);
    assert_string_equal(expander_event(expander), "t.event");
    assert_string_equal(expander_table(expander), "t");
    assert_int_equal(expander_width(expander), 3);
    assert_newest(db, expander, "{\"id\":1,\"a\":\"x\",\"b\":2.0}",
                  "{\"type\":\"INSERT\",\"table\":\"t\",\"schema\":\"main\",\"record\":{\"id\":1,"
                  "\"a\":\"x\",\"b\":2.0}"
                  ",\"old_record\":null}",
                  NULL);
    assert_newest(db, expander, "{\"id\":1,\"a\":\"x\",\"b\":2.0}", NULL, NULL);
    expander_free(expander);

    run(db, "UPDATE t SET a = NULL");
    expander = expander_of(db, 2);
    assert_newest(db, expander, "{\"id\":1,\"a\":null,\"b\":2.0}",
                  "{\"type\":\"UPDATE\",\"table\":\"t\",\"schema\":\"main\",\"record\":{\"id\":1,"
                  "\"a\":null,\"b\":2.0},"
                  "\"old_record\":null}",
                  NULL);
    expander_free(expander);

    run(db, "SELECT resthook_watch('t', 'update', 't.new', '{\"record\":\"always\",\"old\":true}');"
            "UPDATE t SET id = 5");
    expander = expander_of(db, 4);
    assert_newest(db, expander, "{\"id\":5,\"a\":null,\"b\":2.0}",
                  "{\"type\":\"UPDATE\",\"table\":\"t\",\"schema\":\"main\",\"record\":{\"id\":5,"
                  "\"a\":null,\"b\":2.0},"
                  "\"old_record\":{\"id\":1,\"a\":null,\"b\":2.0},\"changed\":[\"id\"]}",
                  NULL);
    expander_free(expander);

    run(db, "DELETE FROM t");
    expander = expander_of(db, 3);
    assert_newest(db, expander, "{\"id\":5,\"a\":null,\"b\":2.0}",
                  "{\"type\":\"DELETE\",\"table\":\"t\",\"schema\":\"main\",\"record\":null,\"old_"
                  "record\":{\"id\":5,"
                  "\"a\":null,\"b\":2.0}}",
                  NULL);
    expander_free(expander);
    sqlite3_close(db);
}

/* The columns of an update that differ, type by type and byte by byte. */
static void names_what_changed(void **state) {
    static const struct {
        const char *from, *to, *changed;
    } rows[] = {
        {"1, 'x'", "1, 'x'", "[]"},
        {"1, NULL", "1.0, NULL", "[\"a\",\"g\"]"},
        {"'YQ==', 1", "x'61', 1", "[\"a\",\"g\"]"},
        {"NULL, ''", "NULL, x''", "[\"b\"]"},
        {"'a', 1", "'A', 2", "[\"a\",\"b\",\"g\"]"},
        {"0.0, 0", "-0.0, 0", "[\"a\"]"},
        {"9223372036854775807, 1", "9223372036854775806, 1", "[\"a\",\"g\"]"},
        {"'x' || char(0) || 'y', 1", "'x' || char(0) || 'z', 1", "[\"a\",\"g\"]"},
    };
    sqlite3 *db = open_with("insert", "{}");
    struct expander *expander;

    (void)state;
    run(db,
        "ALTER TABLE t ADD COLUMN g AS (CASE WHEN typeof(a) = 'real' AND a = 0 THEN 0"
        " WHEN a = 'YQ==' THEN 1 ELSE a END);"
        "SELECT resthook_watch('t', 'update', 't.new', '{\"record\":\"always\",\"old\":true}')");
    expander = expander_of(db, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *sql = sqlite3_mprintf("DELETE FROM t; INSERT INTO t(id, a, b) VALUES (7, %s);"
                                    " UPDATE t SET (a, b) = (SELECT %s)",
                                    rows[i].from, rows[i].to);
        sqlite3_stmt *row;
        struct expansion event;
        const char *error, *changed;

        run(db, sql);
        sqlite3_free(sql);
        assert_int_equal(
            sqlite3_prepare_v2(db, "SELECT * FROM resthook_outbox ORDER BY id DESC LIMIT 1", -1,
                               &row, NULL),
            SQLITE_OK);
        assert_int_equal(sqlite3_step(row), SQLITE_ROW);
        assert_int_equal(expander_run(expander, row, FIRST, true, &event, &error), EXPANDED);
        changed = strstr(event.change.data, ",\"changed\":");
        assert_non_null(changed);
        assert_memory_equal(changed + 11, rows[i].changed, strlen(rows[i].changed));
        assert_string_equal(changed + 11 + strlen(rows[i].changed), "}");
        sqlite3_finalize(row);
    }
    expander_free(expander);
    sqlite3_close(db);
}

static void renders_truncated_rows(void **state) {
    sqlite3 *db = open_with(
        "update", "{\"record\":\"always\",\"old\":true,\"key\":\"NEW.a\",\"when\":\"NEW.b = 0\"}");
    struct expander *expander = expander_of(db, 1);

    (void)state;
    run(db, "INSERT INTO t VALUES (7, 'k', zeroblob(3000000)); UPDATE t SET a = 'l'");
    assert_newest(db, expander, "{\"id\":7,\"truncated\":true}",
                  "{\"type\":\"UPDATE\",\"table\":\"t\",\"schema\":\"main\",\"record\":{\"id\":7,"
                  "\"truncated\":true},"
                  "\"old_record\":null}",
                  NULL);
    expander_free(expander);
    run(db, "SELECT resthook_watch('t', 'update', 't.event',"
            " '{\"record\":\"always\",\"when\":\"NEW.a IS NOT OLD.a\"}'); UPDATE t SET a = 'l'");
    expander = expander_of(db, 2);
    assert_newest(db, expander, NULL, NULL, NULL);
    run(db, "UPDATE t SET a = 'm'");
    assert_newest(db, expander, "{\"id\":7,\"truncated\":true}", NULL, NULL);
    expander_free(expander);
    run(db,
        "SELECT resthook_watch('t', 'delete', 't.gone', '{\"record\":\"always\"}'); DELETE FROM t");
    expander = expander_of(db, 3);
    assert_newest(db, expander, "{\"id\":7,\"truncated\":true}",
                  "{\"type\":\"DELETE\",\"table\":\"t\",\"schema\":\"main\",\"record\":null,\"old_"
                  "record\":{\"id\":7,"
                  "\"truncated\":true}}",
                  NULL);
    expander_free(expander);
    sqlite3_close(db);
}

static void filters_and_gives_keys(void **state) {
    static const struct {
        const char *insert;
        const char *key;
    } vectors[] = {
        {"INSERT INTO t VALUES (1, 'k\"1', 1)", "k\"1"},
        {"INSERT INTO t VALUES (2, -7, 1)", "-7"},
        {"INSERT INTO t VALUES (3, 0.1, 1)", "0.1"},
        {"INSERT INTO t VALUES (4, x'00ff', 1)", "AP8="},
        {"INSERT INTO t VALUES (5, NULL, 1)", NULL},
        {"INSERT INTO t VALUES (6, '', 1)", ""},
        {"INSERT INTO t VALUES (7, x'', 1)", ""},
    };
    sqlite3 *db = open_with("insert", "{\"record\":\"always\",\"key\":\"NEW.a\",\"when\":\"NEW.b\","
                                      "\"fields\":{\"id\":\"1\"}}");
    struct expander *expander = expander_of(db, 1);

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        run(db, vectors[i].insert);
        assert_newest(db, expander, "{\"id\":1}", NULL, vectors[i].key);
    }
    run(db, "INSERT INTO t VALUES (10, 'x', 0)");
    assert_newest(db, expander, NULL, NULL, NULL);
    run(db, "INSERT INTO t VALUES (11, 'x', NULL)");
    assert_newest(db, expander, NULL, NULL, NULL);
    expander_free(expander);
    sqlite3_close(db);
}

static void stops_at_the_limit(void **state) {
    sqlite3 *db = open_with(
        "insert",
        "{\"record\":\"always\",\"fields\":{\"n\":\"(WITH RECURSIVE r(n) AS (SELECT 1 UNION "
        "ALL SELECT n + 1 FROM r WHERE n < NEW.a) SELECT count(*) FROM r)\"}}");
    struct expander *expander = expander_of(db, 1);
    int most = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1);

    (void)state;
    run(db, "INSERT INTO t(a) VALUES (1000000000)");
    assert_newest(db, expander, "!an expression took more than 1,000,000 steps", NULL, NULL);
    run(db, "INSERT INTO t(a) VALUES (10)");
    assert_newest(db, expander, "{\"n\":10}", NULL, NULL);
    expander_free(expander);
    /* Nothing of the fence stays. */
    assert_int_equal(sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1), most);
    run(db, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 300000) "
            "SELECT count(*) FROM r");
    sqlite3_close(db);
}

/* One call of a function is not interrupted: what it can cost is bounded by the lengths. */
static void makes_no_value_that_is_too_large(void **state) {
    sqlite3 *db = open_with("insert", "{\"record\":\"always\",\"fields\":{\"n\":\"length(hex("
                                      "zeroblob(NEW.a)))\",\"m\":\"length(NEW.b)\"}}");
    struct expander *expander = expander_of(db, 1);

    (void)state;
    run(db, "INSERT INTO t(a) VALUES ((2 << 20) - 1)"); /* hex() wants a byte more than it gives */
    assert_newest(db, expander, "{\"n\":4194302,\"m\":null}", NULL, NULL);
    run(db, "INSERT INTO t(a) VALUES (2 << 20)");
    assert_newest(db, expander, "!string or blob too big", NULL, NULL);
    run(db, "INSERT INTO t(a, b) VALUES (2 << 20, zeroblob(900000))");
    assert_newest(db, expander, "{\"n\":4194304,\"m\":900000}", NULL, NULL);
    expander_free(expander);
    sqlite3_close(db);
}

static void follows_the_schema(void **state) {
    sqlite3 *db = open_with(
        "insert", "{\"record\":\"always\",\"fields\":{\"n\":\"(SELECT max(x) FROM m)\"}}");
    struct expander *expander = expander_of(db, 1);

    (void)state;
    run(db, "INSERT INTO m VALUES (1); INSERT INTO t(a) VALUES (1)");
    assert_newest(db, expander, "{\"n\":1}", NULL, NULL);
    run(db, "CREATE TABLE another(x); INSERT INTO m VALUES (2)");
    assert_newest(db, expander, "{\"n\":2}", NULL, NULL);
    run(db, "DROP TABLE m");
    assert_newest(db, expander, "!fields: n: no such table: m: (SELECT max(x) FROM m)", NULL, NULL);
    run(db, "CREATE VIEW m AS SELECT secret AS x FROM resthook_subscription");
    assert_newest(
        db, expander,
        "!fields: n: access to resthook_subscription.secret is prohibited: (SELECT max(x) FROM m)",
        NULL, NULL);
    run(db, "DROP VIEW m; CREATE TABLE m(x)");
    assert_newest(db, expander, "{\"n\":null}", NULL, NULL);
    expander_free(expander);
    sqlite3_close(db);
}

/* Rows of resthook_watch as somebody else may have written them. */
static void refuses_a_hostile_file(void **state) {
    static const char *const updates[] = {
        "id = 99",
        "captured = '[]'",
        "captured = '{'",
        "captured = '[1]'",
        "captured = '[{\"row\":\"new\"}]'",
        "operation = 'truncate'",
        "operation = x'00'",
        "options = '{\"fields\":{\"x\":\"1) UNION SELECT secret FROM resthook_subscription --\"}}'",
        "options = '{\"fields\":{\"x\":\"(SELECT secret FROM resthook_subscription)\"}}'",
        "options = '{\"fields\":{\"x\":\"(SELECT value FROM resthook_meta)\"}}'",
        "options = '{\"fields\":{\"x\":\"load_extension(1)\"}}'",
        "options = '{\"fields\":{\"x\":\"resthook_secret(1)\"}}'",
        "options = '{\"fields\":{\"x\":\"(SELECT name FROM pragma_database_list)\"}}'",
        "options = '{\"fields\":{\"x.y\":\"1\",\"x\":\"2\"}}'",
        "options = '{\"fields\":{\"x\":7}}'",
        "options = '{\"when\":\"1;\"}'",
        "options = 'x'",
        "primary_key = '[{\"name\":\"id\",\"value\":3}]'",
        "primary_key = '[{\"name\":\"id\",\"value\":-1}]'",
        "primary_key = '[{}]'",
        "virtual = '[\"v\"]'",
        "virtual = '[\"v\"]', table_sql = 'ATTACH ''/tmp/x'' AS y'",
        "virtual = '[\"v\"]', table_sql = 'CREATE TABLE u(v)'",
        "virtual = '[\"v\"]', table_sql = 'CREATE TABLE t(id, v AS (load_extension(1)))'",
        "virtual = '[\"v\"]', table_sql = 'CREATE TABLE t AS SELECT load_extension(1)'",
        "virtual = '[\"v\"]', table_sql = 'PRAGMA writable_schema = 1'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        sqlite3 *db = open_with("insert", "{\"record\":\"always\"}");
        struct expander *expander = NULL;
        char *error = NULL;
        char *sql = sqlite3_mprintf("UPDATE resthook_watch SET %s", updates[i]);

        run(db, sql);
        if (expander_open(db, 1, &expander, &error) == SQLITE_OK) {
            fail_msg("%s", sql);
        }
        assert_null(expander);
        assert_non_null(error);
        sqlite3_free(sql);
        sqlite3_free(error);
        sqlite3_close(db);
    }
}

/* A definition that asks for more values than the row has. */
static void takes_a_row_too_short(void **state) {
    sqlite3 *db = open_with("insert", "{\"record\":\"always\"}");
    struct expander *expander;

    (void)state;
    run(db, "UPDATE resthook_watch SET captured = "
            "'[{\"row\":\"new\",\"column\":\"id\"},{\"row\":\"new\",\"column\":\"x\"},"
            "{\"row\":\"new\",\"column\":\"y\"},{\"row\":\"new\",\"column\":\"z\"},{\"row\":"
            "\"new\",\"column\":\"zz\"}]';"
            "INSERT INTO t VALUES (1, 2, 3)");
    expander = expander_of(db, 1);
    assert_newest(db, expander, "{\"id\":1,\"x\":2,\"y\":3,\"z\":null,\"zz\":null}", NULL, NULL);
    expander_free(expander);
    sqlite3_close(db);
}

static void guards_functions(void **state) {
    (void)state;
    assert_true(fence_function("upper"));
    assert_true(fence_function("json_extract"));
    assert_false(fence_function("LOAD_EXTENSION"));
    assert_false(fence_function("resthook_secret"));
    assert_false(fence_function("Resthook_"));
    assert_int_equal(fence_reader(NULL, SQLITE_ATTACH, "x", NULL, NULL, NULL), SQLITE_DENY);
    assert_int_equal(fence_reader(NULL, SQLITE_PRAGMA, "x", NULL, NULL, NULL), SQLITE_DENY);
    assert_int_equal(fence_reader(NULL, SQLITE_READ, "t", "a", "temp", NULL), SQLITE_DENY);
    assert_int_equal(fence_reader(NULL, SQLITE_READ, "t", "a", "main", NULL), SQLITE_OK);
    assert_int_equal(fence_reader(NULL, SQLITE_READ, "Sqlite_Master", "a", "main", NULL),
                     SQLITE_DENY);
}

/* ---- no memory ---- */

static int64_t number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement;
    int64_t value;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static const char watch[] =
    "SELECT resthook_watch('t', 'update of a', 't.event', "
    "'{\"record\":\"always\",\"key\":\"NEW.id\","
    "\"changed\":[\"a\"],\"fields\":{\"a.b\":\"NEW.a || OLD.b\",\"g\":\"NEW.g\"}}')";
static const char expected[] = "{\"a\":{\"b\":\"cb\"},\"g\":\"c!\"}";

/* Makes the watch anew; it is there once, before and after. */
static void watch_without_memory(sqlite3 *db, long n) {
    int rc;

    countdown = n;
    rc = sqlite3_exec(db, watch, NULL, NULL, NULL);
    countdown = -1;
    if (rc != SQLITE_OK) {
        assert_true(failed);
        /* Until the outer statement ends SQLite refuses to do anything, a release too. */
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    assert_int_equal(number(db, "SELECT count(*) FROM resthook_watches WHERE operation = 'update'"),
                     1);
    assert_int_equal(number(db, "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND "
                                "name GLOB 'resthook_watch_[0-9]*'"),
                     2);
}

static void expand_without_memory(sqlite3 *db, long n) {
    struct expander *expander = NULL;
    struct expansion event;
    const char *why;
    char *error = NULL;
    sqlite3_stmt *row = NULL;
    int rc;

    assert_int_equal(sqlite3_prepare_v2(db, "SELECT * FROM resthook_outbox", -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    countdown = n;
    rc = expander_open(db, sqlite3_column_int64(row, 7), &expander, &error);
    if (rc == SQLITE_OK) {
        enum expanded result = expander_run(expander, row, FIRST, true, &event, &why);

        countdown = -1;
        assert_true(result == EXPANDED || (failed && result == UNEXPANDABLE));
        if (result == EXPANDED) {
            assert_string_equal(text_of(&event.payload), expected);
            assert_string_equal(text_of(&event.key), "1");
        }
    } else {
        assert_true(failed);
        assert_int_equal(rc, SQLITE_NOMEM); /* what is damaged stays so, and is not asked again */
        assert_null(expander);
    }
    countdown = -1;
    expander_free(expander);
    sqlite3_free(error);
    sqlite3_finalize(row);
}

/* The Nth allocation of SQLite fails, until none does: each of the first ones, then one in 13. What
** fails says so, nothing leaks (the sanitizer's word), and what was there goes on. */
static void survives_without_memory(void **state) {
    static void (*const stages[])(sqlite3 *, long) = {watch_without_memory, expand_without_memory};
    sqlite3 *db;

    (void)state;
    sqlite3_shutdown();
    assert_int_equal(make_memory_scarce(), 0);
    db = open_with("insert", "{}");
    run(db,
        "ALTER TABLE t ADD COLUMN g AS (a || '!'); INSERT INTO t(id, a, b) VALUES (1, 'a', 'b')");
    run(db, watch);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        struct expander *expander;
        long n = 0;

        run(db, "UPDATE t SET a = 'x'; UPDATE t SET a = 'c';"
                "DELETE FROM resthook_outbox WHERE id < (SELECT max(id) FROM resthook_outbox)");
        for (failed = true; failed; n += n < 200 ? 1 : 13) {
            failed = false;
            stages[i](db, n);
        }
        assert_true(n > 1000);
        run(db, "UPDATE t SET a = 'x'; UPDATE t SET a = 'c'");
        expander = expander_of(db, number(db, "SELECT max(id) FROM resthook_watches"));
        assert_newest(db, expander, expected, NULL, "1");
        expander_free(expander);
    }
    sqlite3_close(db);
    sqlite3_shutdown();
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &plain), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_changes),
        cmocka_unit_test(names_what_changed),
        cmocka_unit_test(renders_truncated_rows),
        cmocka_unit_test(filters_and_gives_keys),
        cmocka_unit_test(stops_at_the_limit),
        cmocka_unit_test(makes_no_value_that_is_too_large),
        cmocka_unit_test(follows_the_schema),
        cmocka_unit_test(refuses_a_hostile_file),
        cmocka_unit_test(takes_a_row_too_short),
        cmocka_unit_test(guards_functions),
        cmocka_unit_test(survives_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
