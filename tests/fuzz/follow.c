/*
** follow.c: a column's new name, whatever it is, is given to a watched table as to one that is not; after
** resthook_repair() the watch says of a row what it said before, or its events are held.
** SPDX-License-Identifier: MIT
*/
#include "expand.h"
#include "follow.h"
#include "hooked.h"
#include "json.h"

#define TABLE                                                                                      \
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); CREATE TABLE m(x);"                             \
    "INSERT INTO m VALUES (1), ('x'); INSERT INTO t VALUES (1, 'x', 2);"
#define WRITE "UPDATE t SET b = b + 1"

static sqlite3 *db, *plain;
static sqlite3_stmt *watch;

static void open_once(void) {
    if (db == NULL) {
        db = open_hooked(TABLE);
        MUST(sqlite3_open(":memory:", &plain) == SQLITE_OK, "sqlite3_open");
        run(plain, TABLE);
        watch = prepare(db, "SELECT resthook_watch('t', 'update', 'a.b', json_object('when', ?1, "
                            "'old', json('true'), 'record', 'always', 'changed', "
                            "json_array('b'), 'fields', json_object('f', ?1)))");
    }
}

/* What becomes of the newest event, whose payload is the caller's; UNEXPANDABLE: nothing. */
static enum expanded judge_newest(char **payload) {
    sqlite3_stmt *row = prepare(db, "SELECT * FROM resthook_outbox ORDER BY id DESC LIMIT 1");
    struct expander *expander = NULL;
    struct expansion event;
    enum expanded expanded = UNEXPANDABLE;
    const char *why;
    char *error = NULL;

    MUST(sqlite3_step(row) == SQLITE_ROW, "no event");
    *payload = NULL;
    if (expander_open(db, sqlite3_column_int64(row, 7), &expander, &error) == SQLITE_OK) {
        expanded = expander_run(expander, row, FIRST, false, &event, &why);
        *payload = expanded == EXPANDED ? strdup(event.payload.data) : NULL;
    }
    sqlite3_free(error);
    expander_free(expander);
    sqlite3_finalize(row);
    return expanded;
}

/* Says it the same of the same row each time? The row changes by what WRITE does to b alone. */
static bool is_steady(const char *text) {
    static const char *const unsteady[] = {"b",   "rand",    "date",  "time",    "julian",  "unix",
                                           "now", "changes", "rowid", "current", "natural", "*"};
    bool steady = true;

    for (size_t i = 0; i < sizeof unsteady / sizeof *unsteady; i++) {
        steady = steady && strcasestr(text, unsteady[i]) == NULL;
    }
    return steady;
}

static void rename_column(const char *name, const char *text) {
    char *alter = sqlite3_mprintf("ALTER TABLE t RENAME COLUMN a TO \"%w\"", name);
    char *payload[2];
    enum expanded before, after;

    run(db, WRITE);
    before = judge_newest(&payload[0]);
    int rc = sqlite3_exec(plain, alter, NULL, NULL, NULL);
    MUST(sqlite3_exec(db, alter, NULL, NULL, NULL) == rc, "%d: %s: %s", rc, sqlite3_errmsg(db),
         alter);
    run(db, "SELECT resthook_repair()");
    run(db, WRITE);
    after = judge_newest(&payload[1]);
    if (is_steady(text) && before != UNEXPANDABLE && after != UNEXPANDABLE) {
        MUST(before == after, "%s: %s", alter, text);
        MUST(before != EXPANDED || strcmp(payload[0], payload[1]) == 0, "%s, %s: %s", payload[0],
             payload[1], alter);
    }
    free(payload[0]);
    free(payload[1]);
    sqlite3_free(alter);
}

/* Of any trigger's text. */
static void follow_text(const char *trigger) {
    const struct followable version = {
        .captured = "[{\"row\":\"new\",\"column\":\"a\"},{\"row\":\"old\",\"column\":\"b\"}]",
        .of = "[\"a\"]",
        .changed = "[\"b\"]",
        .options = "{\"when\":\"NEW.a\",\"fields\":{\"f\":\"OLD.b\"}}",
        .trigger = trigger};
    struct followed followed;

    MUST(follow(db, &version, &followed) == SQLITE_OK, "%s", trigger);
    MUST(json_check(followed.options, strlen(followed.options), NULL) == NULL, "%s: %s", trigger,
         followed.options);
    MUST(json_check(followed.of, strlen(followed.of), NULL) == NULL, "%s", followed.of);
    followed_free(&followed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    size_t name_length, length;
    char *name = take_line(&input, &name_length), *text = take_rest(&input, &length);

    open_once();
    follow_text(text);
    run(db, "BEGIN");
    run(plain, "BEGIN");
    sqlite3_bind_text(watch, 1, text, -1, SQLITE_STATIC);
    if (call_succeeds(db, watch, "resthook_watch: ")) {
        sqlite3_reset(watch);
        rename_column(name, text);
    }
    sqlite3_reset(watch);
    run(db, "ROLLBACK");
    run(plain, "ROLLBACK");
    free(name);
    free(text);
    return 0;
}
