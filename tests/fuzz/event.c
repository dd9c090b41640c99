/*
** event.c: event names and patterns are what two regular expressions say they are, and a pattern
** matches what fnmatch() says and the condition in schema.sql's triggers says.
** SPDX-License-Identifier: MIT
*/
#include <fnmatch.h>
#include <regex.h>

#include <sqlite3.h>

#include "event.h"
#include "fuzz.h"

#define NAME "[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*"

static regex_t name_form, pattern_form;
static sqlite3 *db;
static sqlite3_stmt *trigger; /* as resthook_interest_subscribed has it */

static void open_once(void) {
    if (db == NULL) {
        MUST(regcomp(&name_form, "^" NAME "$", REG_EXTENDED | REG_NOSUB) == 0, "regcomp");
        MUST(regcomp(&pattern_form, "^(\\*|" NAME "(\\.\\*)?)$", REG_EXTENDED | REG_NOSUB) == 0,
             "regcomp");
        MUST(sqlite3_open(":memory:", &db) == SQLITE_OK, "sqlite3_open");
        MUST(sqlite3_prepare_v2(
                 db,
                 "SELECT ?1 = ?2 OR ?1 = '*' OR (substr(?1, -2) = '.*' AND substr(?2, 1, length(?1)"
                 " - 1) = substr(?1, 1, length(?1) - 1))",
                 -1, &trigger, NULL) == SQLITE_OK,
             "%s", sqlite3_errmsg(db));
    }
}

static bool is(const regex_t *form, const char *text, size_t length) {
    return strlen(text) == length && length <= EVENT_MAX && regexec(form, text, 0, NULL, 0) == 0;
}

static void check_match(const char *pattern, const char *name) {
    bool ours = event_matches(pattern, name);
    bool reserved = strcmp(name, "resthook") == 0 || strncmp(name, "resthook.", 9) == 0;

    MUST(event_is_reserved(name) == reserved, "%s", name);
    if (strcmp(pattern, "*") == 0 && reserved) {
        MUST(!ours, "%s", name);
        return;
    }
    MUST(ours == (fnmatch(pattern, name, 0) == 0), "%s: %s", pattern, name);
    sqlite3_bind_text(trigger, 1, pattern, -1, SQLITE_STATIC);
    sqlite3_bind_text(trigger, 2, name, -1, SQLITE_STATIC);
    MUST(sqlite3_step(trigger) == SQLITE_ROW, "%s", sqlite3_errmsg(db));
    MUST(ours == (sqlite3_column_int(trigger, 0) != 0), "%s: %s", pattern, name);
    sqlite3_reset(trigger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    size_t pattern_length, length;
    char *pattern = take_line(&input, &pattern_length), *name = take_rest(&input, &length);
    bool pattern_good = event_check_pattern(pattern, pattern_length) == NULL;
    bool good = event_check(name, length) == NULL;

    open_once();
    MUST(good == is(&name_form, name, length), "%s", name);
    MUST(pattern_good == is(&pattern_form, pattern, pattern_length), "%s", pattern);
    if (good && pattern_good) {
        check_match(pattern, name);
    }
    free(pattern);
    free(name);
    return 0;
}
