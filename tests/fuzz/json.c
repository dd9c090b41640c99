/*
** json.c: what passes as JSON is JSON to SQLite and to cJSON, and nothing else is; mended it stays so,
** and is UTF-8.
** SPDX-License-Identifier: MIT
*/
#include <strings.h>

#include <cjson/cJSON.h>
#include <sqlite3.h>

#include "fuzz.h"
#include "json.h"
#include "render.h"

#define CJSON_DIGITS 60 /* of a number; cJSON reads no more than 63 */

static sqlite3 *db;
static sqlite3_stmt *valid;

static bool valid_to_sqlite(const char *text, size_t length) {
    if (db == NULL) {
        MUST(sqlite3_open(":memory:", &db) == SQLITE_OK &&
                 sqlite3_prepare_v2(db, "SELECT json_valid(?1)", -1, &valid, NULL) == SQLITE_OK,
             "sqlite3_open");
    }
    sqlite3_bind_text(valid, 1, text, (int)length, SQLITE_STATIC);
    MUST(sqlite3_step(valid) == SQLITE_ROW, "%s", sqlite3_errmsg(db));
    bool is = sqlite3_column_int(valid, 0) != 0;
    sqlite3_reset(valid);
    return is;
}

/* cJSON refuses half a surrogate pair, and long numbers. */
static bool for_cjson(const char *text) {
    size_t longest = 0;

    for (const char *at = text; *at != '\0'; at++) {
        size_t number = strspn(at, "0123456789.eE+-");

        longest = number > longest ? number : longest;
        if (strncasecmp(at, "\\ud", 3) == 0) {
            return false;
        }
    }
    return longest < CJSON_DIGITS;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct buffer mended = {0};
    size_t length, where = SIZE_MAX;
    char *text = take_rest(&input, &length);
    bool ours = json_check(text, length, &where) == NULL, theirs = valid_to_sqlite(text, length);

    /* json_valid() stops at a NUL. */
    MUST(ours ? theirs : !theirs || strlen(text) < length, "to SQLite %d: %s", theirs, text);
    MUST(ours ? where == SIZE_MAX : where <= length, "at %zu: %s", where, text);
    if (ours && for_cjson(text)) {
        cJSON *read = cJSON_ParseWithLengthOpts(text, length + 1, NULL, 1);

        MUST(read != NULL, "to cJSON: %s", text);
        cJSON_Delete(read);
    }
    render_json(&mended, text, length);
    MUST(mended.data != NULL && is_utf8(mended.data, mended.length), "%s", text);
    MUST(!is_utf8(text, length) ||
             (mended.length == length && memcmp(mended.data, text, length) == 0),
         "%s", text);
    MUST((json_check(mended.data, mended.length, NULL) == NULL) == ours, "%s", mended.data);
    MUST(!ours || valid_to_sqlite(mended.data, mended.length), "%s", mended.data);
    buffer_free(&mended);
    free(text);
    return 0;
}
