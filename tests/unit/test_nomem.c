/*
** test_nomem.c: the extension is a guest: when memory ends in the host, a function of ours returns
** SQLITE_NOMEM (or does without), the host's transaction can be rolled back, and nothing leaks (the
** sanitized build looks).
** SPDX-License-Identifier: MIT
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scarce.h"
#include "sql.h"

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

/* Thousands in some statements, most of them SQLite's parser's: of those every so many. The
** sanitized build takes 5 times as long. */
enum { EVERY_ONE = 300, STRIDE = 17 };

static sqlite3 *opened(const char *file) {
    sqlite3 *db;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    /* Allocations that lookaside serves would not be seen. */
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0), SQLITE_OK);
    assert_int_equal(sqlite3_resthook_init(db, NULL, NULL), SQLITE_OK);
    return db;
}

static void run(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%.60s: %s", sql, sqlite3_errmsg(db));
    }
}

/* The one value of a statement, to be freed. Returns what became of it. */
static int text_of(sqlite3 *db, const char *sql, char **text) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(statement, 0);

        rc = value == NULL && failed ? SQLITE_NOMEM : SQLITE_OK;
        *text = strdup(value != NULL ? value : "");
    }
    sqlite3_finalize(statement);
    return rc;
}

static const char prepared[] =
    "CREATE TABLE item(id INTEGER PRIMARY KEY, name, twice AS (name || name));"
    "SELECT resthook_init();"
    "SELECT resthook_watch('item', 'insert', 'item.create', '{\"record\":\"always\"}');"
    "SELECT resthook_subscribe('live', 'https://example.org/');"
    "SELECT resthook_unsubscribe(resthook_subscribe('ended', 'https://example.org/'));"
    "SELECT resthook_subscribe('pair', 'https://example.org/', '{\"signing\":\"v1a\"}');"
    "SELECT resthook_subscribe('asked', 'https://example.org/', '{\"verify\":\"x-hook-secret\"}');"
    "SELECT resthook_subscribe('item.*', 'https://items.example.org/');"
    "SELECT resthook_emit('live', '{}');"
    "INSERT INTO item(name) VALUES ('x');"
    "CREATE TABLE moved(id INTEGER PRIMARY KEY, a, b);"
    "SELECT resthook_watch('moved', 'update of a', 'moved.update', '{\"fields\":{\"x\":\"NEW.a\"},"
    "\"when\":\"NEW.a > 0\",\"key\":\"OLD.a\",\"changed\":[\"a\"]}');"
    "SELECT resthook_watch('moved', 'insert', 'moved.insert',"
    " '{\"record\":\"always\",\"when\":\"NEW.b\"}');"
    "ALTER TABLE moved RENAME COLUMN a TO z; ALTER TABLE moved DROP COLUMN b;"
    "INSERT INTO moved VALUES (1, 2);";

#define LIVE "(SELECT id FROM resthook_subscription WHERE event = 'live')"
#define DELIVERY LIVE " || '-' || (SELECT id FROM resthook_outbox WHERE event = 'live')"
#define PAIR "(SELECT id FROM resthook_subscription WHERE event = 'pair')"
#define ITEMS "(SELECT id FROM resthook_subscription WHERE event = 'item.*')"
#define ASKED "(SELECT id FROM resthook_subscription WHERE event = 'asked')"
#define OPTIONS                                                                                    \
    "'{\"secret\":\"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"status\":\"inactive\"," \
    "\"headers\":{\"a\":\"b\"},\"format\":\"change\",\"max_in_flight\":2,\"timeout\":2.5,"         \
    "\"retry_schedule\":\"0,1s\",\"verify\":\"x-hook-secret\",\"description\":\"d\"}'"

static const char *const statements[] = {
    "SELECT resthook_init()",
    "SELECT resthook_uninstall()",
    "SELECT resthook_version()",
    "SELECT resthook_subscribe('a.*', 'https://example.org/', " OPTIONS ")",
    "SELECT resthook_subscribe('live', 'https://example.org/', " OPTIONS ")",
    "SELECT resthook_subscribe('a.b', 'https://example.org/', '{\"ordered\":\"stop\",\"rate\":5,"
    "\"retry_statuses\":\"429, 5xx\"}')",
    /* arms a trigger, and disarms it */
    "SELECT resthook_unsubscribe(resthook_subscribe('moved.update', 'https://example.org/'))",
    "SELECT resthook_subscribe('a b', 'https://example.org/')",
    "SELECT resthook_subscribe('a.b', 'https://u:p@example.org/')",
    "SELECT resthook_subscribe('a.b', 'https://example.org/', '{\"nothing\":1}')",
    "SELECT resthook_update(" LIVE ", " OPTIONS ")",
    "SELECT resthook_update(" LIVE ", '{\"filter\":\"payload > 1\"}')",
    "SELECT resthook_subscribe('item.*', 'https://example.org/',"
    " '{\"filter\":\"NEW.twice = 1 AND OLD.id IS NULL\"}')",
    "SELECT resthook_subscribe('item.*', 'https://example.org/', '{\"filter\":\"NEW.none = 1\"}')",
    "SELECT resthook_pause(" LIVE ")",
    "SELECT resthook_pause(" LIVE "), resthook_resume(" LIVE ")",
    "SELECT resthook_unsubscribe(" LIVE ")",
    "SELECT resthook_secret(" LIVE ")",
    "SELECT resthook_rotate_secret(" LIVE ", 5)",
    "SELECT resthook_update(" LIVE ", '{\"signing\":\"v1a\"}')",
    "SELECT resthook_public_key(" PAIR ")",
    "SELECT resthook_public_key(" LIVE ")",
    "SELECT resthook_confirm(" ASKED ", (SELECT verify_secret FROM resthook_subscription WHERE"
    " event = 'asked'))",
    "SELECT resthook_confirm(" ASKED ", 'x')",
    "SELECT resthook_emit('a.b', '{\"a\":[1]}', '{\"key\":\"k\",\"deliver_at\":1893456000}')",
    "INSERT INTO item(name) SELECT resthook_emit('a.b', value) FROM json_each('[\"{}\",\"7\"]')",
    "SELECT resthook_ping(" LIVE ")",
    "SELECT resthook_replay(" LIVE " || '-1')",
    "SELECT resthook_replay(" DELIVERY ")",
    "SELECT resthook_replay('sub_x-1')",
    "SELECT resthook_cancel(" DELIVERY ")",
    "SELECT resthook_forget(1)",
    "SELECT resthook_backfill(" ITEMS ", 'item', 'id > 0')",
    "SELECT resthook_backfill(" LIVE ", 'nothing')",
    "INSERT INTO item(name) SELECT 'y' || value FROM json_each('[1,2]')", /* the triggers alone */
    "UPDATE moved SET z = z + 1",
    "SELECT resthook_payload(2)",
    "SELECT resthook_payload(3)",
    "SELECT resthook_watch('item', 'update of name', 'item.update',"
    " '{\"fields\":{\"n\":\"NEW.twice\"},\"when\":\"NEW.id > 0\",\"key\":\"OLD.name\","
    "\"changed\":[\"name\"],\"old\":true}')",
    "SELECT resthook_watch('nothing', 'insert', 'item.create')",
    "SELECT resthook_unwatch('item')",
    "SELECT resthook_unwatch('moved', 'update of z')",
    "SELECT resthook_repair() FROM (SELECT 1)",
    "SELECT resthook_set('timeout', '1m')",
    "SELECT resthook_set('nothing', '1m')",
    "SELECT resthook_get('retry_schedule')",
    "SELECT count(*) FROM resthook_deliveries WHERE id = " LIVE " || '-1'",
    "SELECT count(*) FROM resthook_attempts",
    "SELECT count(*), group_concat(value) FROM resthook_status",
};

/* What must be as it was. */
static int64_t state_of(sqlite3 *db) {
    sqlite3_stmt *statement;
    int64_t state;

    assert_int_equal(
        sqlite3_prepare_v2(
            db,
            "SELECT (SELECT count(*) FROM sqlite_master) + 1000 * (SELECT count(*) FROM"
            " resthook_outbox) + 100000 * (SELECT sum(revision) FROM resthook_subscription)"
            " + 10000000 * (SELECT count(*) FROM resthook_watch WHERE retired_at IS NULL)"
            " + 100000000 * (SELECT count(*) FROM resthook_setting WHERE value IS NOT NULL)"
            " + 1000000000 * (SELECT count(*) FROM resthook_request) + total(id) * 0"
            " FROM item",
            -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    state = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return state;
}

static void survives_without_memory(void **state) {
    sqlite3 *db = opened(":memory:");
    int64_t before;

    (void)state;
    run(db, prepared);
    before = state_of(db);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        int expected;

        run(db, "BEGIN");
        expected = sqlite3_exec(db, statements[i], NULL, NULL, NULL);
        run(db, "ROLLBACK");
        for (long n = 0;; n += n < EVERY_ONE ? 1 : STRIDE) {
            int rc;

            run(db, "BEGIN");
            failed = false;
            countdown = n;
            rc = sqlite3_exec(db, statements[i], NULL, NULL, NULL);
            countdown = -1;
            if (rc != expected && !(failed && rc == SQLITE_NOMEM)) {
                print_error("%s\nallocation %ld fails: %s\n", statements[i], n, sqlite3_errmsg(db));
            }
            assert_true(rc == expected || (failed && rc == SQLITE_NOMEM));
            if (!sqlite3_get_autocommit(db)) { /* SQLite may have rolled back by itself */
                run(db, "ROLLBACK");
            }
            assert_int_equal(state_of(db), before);
            if (!failed) {
                assert_int_equal(rc, expected);
                break;
            }
        }
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static const char history[] =
    "INSERT INTO meta VALUES ('token', 't'), ('path', 'p'), ('cursor', 2), ('heartbeat_at', 1);"
    "INSERT INTO event_name VALUES (1, 'a.b');"
    "INSERT INTO delivery(sub, event, state, name, created_at, attempts, started_at, status, error)"
    " SELECT n, i, 3 + i % 2, 1, 1, 2, 5, 503, 'status: 503' FROM subscription, (SELECT 1 AS i"
    " UNION ALL SELECT 2);"
    "INSERT INTO attempt(sub, event, attempt, started_at) SELECT sub, event, 1, 3 FROM delivery;";

/* Of both files: all rows, or none and SQLITE_NOMEM. What is half is none. */
static void reads_the_history_without_memory(void **state) {
    static const char *const reads[] = {
        "SELECT group_concat(id || state || attempts || last_error) FROM resthook_deliveries",
        "SELECT group_concat(delivery_id || attempt || started_at) FROM resthook_attempts",
        "SELECT group_concat(name || value) FROM resthook_status WHERE name NOT LIKE '%age%'",
    };
    char folder[] = "/tmp/resthook-nomem-XXXXXX", file[64], side_file[80], attach[240];
    sqlite3 *db, *side;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/app.db", folder);
    snprintf(side_file, sizeof side_file, "%s-resthook", file);
    db = opened(file);
    run(db, prepared);
    assert_int_equal(sqlite3_open(side_file, &side), SQLITE_OK);
    run(side, sql_journal);
    run(side, "INSERT INTO meta VALUES ('schema', 2)");
    snprintf(attach, sizeof attach,
             "ATTACH '%s' AS app; INSERT INTO main.subscription(id, target)"
             " SELECT id, target FROM app.resthook_subscription; DETACH app;",
             file);
    run(side, attach);
    run(side, history);
    sqlite3_close(side);
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        char *expected = NULL;

        failed = false;
        assert_int_equal(text_of(db, reads[i], &expected), SQLITE_OK);
        assert_true(expected != NULL && strlen(expected) > 100);
        for (long n = 0; n == 0 || failed; n += n < EVERY_ONE ? 1 : STRIDE) {
            char *text = NULL;

            failed = false;
            countdown = n;
            int rc = text_of(db, reads[i], &text);
            countdown = -1;
            if (rc == SQLITE_OK) {
                assert_string_equal(text, expected);
            } else {
                assert_true(failed);
                assert_int_equal(rc, SQLITE_NOMEM);
            }
            free(text);
        }
        free(expected);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    unlink(side_file);
    unlink(file);
    assert_int_equal(rmdir(folder), 0);
}

static void registers_without_memory(void **state) {
    (void)state;
    for (long n = 0;; n++) {
        sqlite3 *db;
        char *error = NULL;
        int rc;

        assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
        failed = false;
        countdown = n;
        rc = sqlite3_resthook_init(db, &error, NULL);
        countdown = -1;
        assert_true(rc == SQLITE_OK || (failed && rc == SQLITE_NOMEM));
        sqlite3_free(error);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        if (!failed) {
            assert_int_equal(rc, SQLITE_OK);
            return;
        }
    }
}

static int replace_allocator(void **state) {
    (void)state;
    return make_memory_scarce();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_without_memory),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(reads_the_history_without_memory),
    };

    return cmocka_run_group_tests(tests, replace_allocator, NULL);
}
