/*
** watch.c: no write of any values fails or changes otherwise because of a watch that resthook_watch()
** accepted, whatever its operation and options; and what it captured is expanded to JSON, or held.
** SPDX-License-Identifier: MIT
*/
#include "expand.h"
#include "hooked.h"
#include "json.h"

static sqlite3 *db;
static sqlite3_stmt *watch;

static const char *const writes[] = {
    "INSERT INTO t VALUES (1, 'a', 2, NULL), (2, 9223372036854775807, -0.0, x'00ff')",
    "INSERT INTO t VALUES (1, 'b', 9e999, '{') ON CONFLICT(id) DO UPDATE SET a = excluded.a",
    "UPDATE t SET a = CAST(x'ff00fe' AS TEXT), b = 3",
    "UPDATE OR REPLACE t SET id = 2 WHERE id = 1",
    "DELETE FROM t",
};

static void open_once(void) {
    if (db == NULL) {
        db = open_hooked("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, v AS (a || b),"
                         "s AS (length(a)) STORED); CREATE TABLE m(x); INSERT INTO m VALUES (7)");
        watch = prepare(db, "SELECT resthook_watch('t', ?1, 'a.b', ?2)");
    }
}

static void check_events(const char *options) {
    sqlite3_stmt *events = prepare(db, "SELECT * FROM resthook_outbox");

    while (sqlite3_step(events) == SQLITE_ROW) {
        struct expander *expander = NULL;
        struct expansion event;
        const char *why = NULL;
        char *error = NULL;

        MUST(expander_open(db, sqlite3_column_int64(events, 7), &expander, &error) == SQLITE_OK,
             "%s: %s", error, options);
        switch (expander_run(expander, events, FIRST, true, &event, &why)) {
        case EXPANDED:
            MUST(json_check(event.payload.data, event.payload.length, NULL) == NULL, "%s",
                 event.payload.data);
            MUST(json_check(event.change.data, event.change.length, NULL) == NULL, "%s",
                 event.change.data);
            break;
        case UNEXPANDABLE:
            MUST(why != NULL && *why != '\0', "%s", options);
            break;
        default:
            break;
        }
        expander_free(expander);
    }
    sqlite3_finalize(events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    size_t operation_length, length;
    char *operation = take_line(&input, &operation_length), *options = take_rest(&input, &length);

    open_once();
    run(db, "BEGIN; SELECT resthook_subscribe('*', 'https://example.com/')");
    sqlite3_bind_text(watch, 1, operation, (int)operation_length, SQLITE_STATIC);
    if (length > 0) {
        sqlite3_bind_text(watch, 2, options, (int)length, SQLITE_STATIC);
    }
    if (call_succeeds(db, watch, "resthook_watch: ")) {
        static const int changes[] = {2, 1, 2, 1, 1};

        sqlite3_reset(watch);
        for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
            run(db, writes[i]);
            MUST(sqlite3_changes(db) == changes[i], "%s: %d", writes[i], sqlite3_changes(db));
        }
        check_events(options);
    }
    sqlite3_reset(watch);
    sqlite3_clear_bindings(watch);
    run(db, "ROLLBACK");
    free(operation);
    free(options);
    return 0;
}
