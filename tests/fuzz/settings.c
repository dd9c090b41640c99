/*
** settings.c: resthook_set() takes a value within the setting's bounds, which is what strtod reads in it,
** gives it back and takes it again; any other it refuses, and leaves the setting as it was.
** SPDX-License-Identifier: MIT
*/
#include "hooked.h"
#include "value.h"

static sqlite3 *db;
static sqlite3_stmt *set, *get, *bounds;

static void open_once(void) {
    if (db == NULL) {
        db = open_hooked("");
        set = prepare(db, "SELECT resthook_set(?1, ?2)");
        get = prepare(db, "SELECT coalesce(value, standard), typeof(value) FROM resthook_setting "
                          "WHERE name = ?1");
        bounds = prepare(db, "SELECT name, type, least, most FROM resthook_setting "
                             "ORDER BY name LIMIT 1 OFFSET ?1");
    }
}

static char *value_of(const char *name) {
    sqlite3_bind_text(get, 1, name, -1, SQLITE_STATIC);
    MUST(sqlite3_step(get) == SQLITE_ROW, "%s", name);
    char *text = sqlite3_mprintf("%s", sqlite3_column_text(get, 0));
    sqlite3_reset(get);
    return text;
}

/* As the documentation has it: seconds, or a number with a unit. */
static double seconds_of(const struct value *value) {
    char *unit;

    if (value->type != SQLITE_TEXT) {
        return value->type == SQLITE_INTEGER ? (double)value->integer : value->real;
    }
    double number = strtod(value->bytes, &unit);

    return number * (strcmp(unit, "ms") == 0  ? 1e-3
                     : strcmp(unit, "m") == 0 ? 60
                     : strcmp(unit, "h") == 0 ? 3600
                     : strcmp(unit, "d") == 0 ? 86400
                                              : 1);
}

static void check_taken(const char *name, const struct value *value) {
    bool schedule = strcmp((const char *)sqlite3_column_text(bounds, 1), "schedule") == 0;
    char *text = value_of(name);

    if (schedule && value->type != SQLITE_NULL) {
        MUST(value->type == SQLITE_TEXT && strcmp(value->bytes, text) == 0, "%s: %s", name, text);
    } else if (value->type != SQLITE_NULL) { /* that is the default again */
        double number = strtod(text, NULL);

        MUST(number >= sqlite3_column_double(bounds, 2) &&
                 number <= sqlite3_column_double(bounds, 3),
             "%s: %s", name, text);
        MUST(fabs(number - seconds_of(value)) <= fabs(number) * 1e-14, "%s: %s", name, text);
    }
    sqlite3_reset(set);
    sqlite3_bind_text(set, 2, text, -1, SQLITE_STATIC);
    if (!schedule) {
        sqlite3_bind_double(set, 2, strtod(text, NULL));
    }
    /* A whole number's setting takes no real. */
    if (schedule || strcmp((const char *)sqlite3_column_text(bounds, 1), "duration") == 0) {
        MUST(sqlite3_step(set) == SQLITE_ROW, "%s: %s", name, sqlite3_errmsg(db));
        char *again = value_of(name);
        MUST(strtod(again, NULL) == strtod(text, NULL), "%s: %s, %s", name, text, again);
        sqlite3_free(again);
    }
    sqlite3_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};

    open_once();
    sqlite3_bind_int(bounds, 1, take_byte(&input) % 32);
    struct value value = take_value(&input);
    bool known = sqlite3_step(bounds) == SQLITE_ROW;
    const char *name = known ? (const char *)sqlite3_column_text(bounds, 0) : "no setting";
    char *before = known ? value_of(name) : NULL;

    sqlite3_bind_text(set, 1, name, -1, SQLITE_STATIC);
    bind_value(set, 2, &value);
    if (call_succeeds(db, set, "resthook_set: ")) {
        MUST(known, "%s", name);
        check_taken(name, &value);
    } else if (known) {
        sqlite3_reset(set);
        char *after = value_of(name);
        MUST(strcmp(before, after) == 0, "%s: %s, %s", name, before, after);
        sqlite3_free(after);
    }
    sqlite3_reset(set);
    sqlite3_clear_bindings(set);
    sqlite3_reset(bounds);
    sqlite3_free(before);
    free(value.bytes);
    return 0;
}
