/*
** row.c: what a row says comes out of its trigger, the outbox and the expander as it was written, in the
** payload and in format `change`; `changed` names what differs; a row too large is its key and a mark.
** SPDX-License-Identifier: MIT
*/
#include "expand.h"
#include "hooked.h"
#include "json.h"
#include "value.h"

#define COLUMNS 4
#define CAPTURE_MAX 1024 /* bytes; the least there may be */

static const char *const names[COLUMNS] = {"a", "b", "c d", "\"é'"};
static sqlite3 *db;
static sqlite3_stmt *insert, *update, *captured;
static struct expander *expander;

static void open_once(void) {
    char *error = NULL;

    if (db == NULL) {
        db = open_hooked("SELECT resthook_set('capture_max', 1024);"
                         "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, \"c d\", \"\"\"é'\");"
                         "SELECT resthook_watch('t', 'update', 'a.b', "
                         "'{\"old\":true,\"record\":\"always\"}')");
        insert = prepare(db, "INSERT OR REPLACE INTO t VALUES (1, ?1, ?2, ?3, ?4)");
        update = prepare(db, "UPDATE t SET a=?1, b=?2, \"c d\"=?3, \"\"\"é'\"=?4");
        captured = prepare(db, "SELECT * FROM resthook_outbox ORDER BY id DESC LIMIT 1");
        MUST(expander_open(db, 1, &expander, &error) == SQLITE_OK, "%s", error);
    }
}

static void write(sqlite3_stmt *statement, struct value *values, struct input *input) {
    for (int i = 0; i < COLUMNS; i++) {
        values[i] = take_value(input);
        bind_value(statement, i + 1, &values[i]);
    }
    MUST(sqlite3_step(statement) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    MUST(sqlite3_changes(db) == 1, "%d", sqlite3_changes(db));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

static void check_row(const cJSON *object, const struct value *values) {
    MUST(cJSON_GetArraySize(object) == COLUMNS + 1, "%d", cJSON_GetArraySize(object));
    for (int i = 0; i < COLUMNS; i++) {
        must_be(cJSON_GetObjectItemCaseSensitive(object, names[i]), &values[i]);
    }
}

static void check_change(const cJSON *change, const struct value *old, const struct value *new) {
    const cJSON *changed = cJSON_GetObjectItemCaseSensitive(change, "changed");
    int differ = 0;

    check_row(cJSON_GetObjectItemCaseSensitive(change, "record"), new);
    check_row(cJSON_GetObjectItemCaseSensitive(change, "old_record"), old);
    for (int i = 0; i < COLUMNS; i++) {
        if (!same_value(&old[i], &new[i])) {
            const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(changed, differ++));

            MUST(name != NULL && strcmp(name, names[i]) == 0, "%s", names[i]);
        }
    }
    MUST(cJSON_GetArraySize(changed) == differ, "%d", differ);
}

static cJSON *read(const struct buffer *json) {
    cJSON *read = cJSON_ParseWithOpts(json->data, NULL, 1);

    MUST(json_check(json->data, json->length, NULL) == NULL, "%s", json->data);
    MUST(read != NULL && is_utf8(json->data, json->length), "%s", json->data);
    return read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct value old[COLUMNS], new[COLUMNS];
    struct expansion event;
    const char *error = NULL;
    size_t bytes = 0;

    open_once();
    write(insert, old, &input);
    write(update, new, &input);
    MUST(sqlite3_step(captured) == SQLITE_ROW, "no event");
    MUST(expander_run(expander, captured, FIRST, true, &event, &error) == EXPANDED, "%s", error);
    for (int i = 0; i < COLUMNS; i++) {
        bytes += old[i].length + new[i].length;
    }
    if (event.truncated) {
        MUST(bytes + (2 * COLUMNS + 1) * 25 > CAPTURE_MAX, "%zu bytes", bytes);
        MUST(strcmp(event.payload.data, "{\"id\":1,\"truncated\":true}") == 0, "%s",
             event.payload.data);
    } else {
        cJSON *payload = read(&event.payload), *change = read(&event.change);

        MUST(bytes <= CAPTURE_MAX, "%zu bytes", bytes);
        check_row(payload, new);
        check_change(change, old, new);
        cJSON_Delete(payload);
        cJSON_Delete(change);
    }
    sqlite3_reset(captured);
    run(db, "DELETE FROM resthook_outbox WHERE id < (SELECT max(id) FROM resthook_outbox)");
    for (int i = 0; i < COLUMNS; i++) {
        free(old[i].bytes);
        free(new[i].bytes);
    }
    return 0;
}
