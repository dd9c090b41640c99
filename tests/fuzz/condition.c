/*
** condition.c: a text that passes as an expression stays within its brackets, as SQLite reads them; one
** that passes as a filter can be run as one, writes nothing, and says of a row what the same text says as
** a watch's `when`.
** SPDX-License-Identifier: MIT
*/
#include "blueprint.h"
#include "clause.h"
#include "expand.h"
#include "filter.h"
#include "hooked.h"

static sqlite3 *db, *copy;
static sqlite3_stmt *events, *put;

static void open_once(void) {
    char *error = NULL;

    if (db != NULL) {
        return;
    }
    db = open_hooked("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, \"c d\", g AS (a || '!'));"
                     "CREATE TABLE m(x); INSERT INTO m VALUES (1), ('x');"
                     "INSERT INTO t VALUES (1, 'x', 2, NULL), (2, 1.5, x'00', -1), (3, NULL, 1, 0);"
                     "SELECT resthook_watch('t', 'update', 'a.b', '{\"old\":true,"
                     "\"record\":\"always\"}');"
                     "UPDATE t SET a = CASE id WHEN 1 THEN 'y' WHEN 2 THEN 7 END, \"c d\" = id");
    events = prepare(db, "SELECT * FROM resthook_outbox ORDER BY id");
    put = prepare(db, "INSERT OR REPLACE INTO resthook_watch(id, table_name, operation, event, "
                      "options, captured, virtual, table_sql, primary_key, record, created_at, "
                      "retired_at) SELECT 2, table_name, operation, event, json_object('when', ?1),"
                      "captured, virtual, table_sql, primary_key, record, created_at, 1 "
                      "FROM resthook_watch WHERE id = 1");
    MUST(blueprint_open(db, &copy, &error) == SQLITE_OK, "%s", error);
}

static void check_place(const char *text) {
    char *sql = sqlite3_mprintf("SELECT 1 AS first, (\n%s\n) AS second, 3 AS third", text);
    sqlite3_stmt *statement = NULL;
    const char *tail = "";

    if (sqlite3_prepare_v2(db, sql, -1, &statement, &tail) == SQLITE_OK) {
        MUST(*tail == '\0' && sqlite3_column_count(statement) == 3, "%s", text);
        MUST(strcmp(sqlite3_column_name(statement, 0), "first") == 0 &&
                 strcmp(sqlite3_column_name(statement, 1), "second") == 0 &&
                 strcmp(sqlite3_column_name(statement, 2), "third") == 0,
             "%s", text);
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
}

/* Is it sure to say the same each time, of the row alone? A filter knows two names more. */
static bool is_steady(const char *text) {
    static const char *const unsteady[] = {"payload", "event",  "rand",   "date",
                                           "time",    "julian", "unix",   "now",
                                           "changes", "rowid",  "current"};
    bool steady = true;

    for (size_t i = 0; i < sizeof unsteady / sizeof *unsteady; i++) {
        steady = steady && strcasestr(text, unsteady[i]) == NULL;
    }
    return steady;
}

static void compare(const char *text, struct filter *filter, struct expander *plain) {
    struct expander *when = NULL;
    struct expansion event;
    const char *why = NULL;
    char *error = NULL, reason[200];

    sqlite3_bind_text(put, 1, text, -1, SQLITE_STATIC);
    MUST(sqlite3_step(put) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_reset(put);
    if (expander_open(db, 2, &when, &error) != SQLITE_OK) {
        sqlite3_free(error);
    }
    int changes = sqlite3_total_changes(db);
    while (sqlite3_step(events) == SQLITE_ROW) {
        MUST(expander_run(plain, events, FIRST, false, &event, &why) == EXPANDED, "%s", why);
        enum judgement judged = filter_judge(filter, plain, "a.b", event.payload.data,
                                             event.payload.length, reason, sizeof reason);
        MUST(judged != FILTER_STALE, "%s", text);
        enum expanded expanded = when != NULL && is_steady(text)
                                     ? expander_run(when, events, FIRST, false, &event, &why)
                                     : UNEXPANDABLE;
        if (expanded != UNEXPANDABLE && judged != FILTER_FAILS) {
            MUST((expanded == EXPANDED) == (judged == FILTER_PASSES), "%s", text);
        }
    }
    sqlite3_reset(events);
    MUST(sqlite3_total_changes(db) == changes, "%s", text);
    expander_free(when);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    size_t length;
    char *text = take_rest(&input, &length), *error = NULL;

    open_once();
    bool in_place = clause_expression(text) == NULL;
    if (in_place) {
        check_place(text);
    }
    if (filter_check(db, "a.*", text, &error) == SQLITE_OK) {
        struct expander *plain = NULL;
        struct filter *filter = NULL;

        MUST(in_place, "%s", text);
        MUST(expander_open(db, 1, &plain, &error) == SQLITE_OK, "%s", error);
        MUST(filter_open(db, copy, text, plain, &filter, &error) == SQLITE_OK, "%s: %s", error,
             text);
        compare(text, filter, plain);
        filter_free(filter);
        expander_free(plain);
    }
    sqlite3_free(error);
    free(text);
    return 0;
}
