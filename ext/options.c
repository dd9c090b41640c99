/*
** options.c: see options.h.
** SPDX-License-Identifier: MIT
*/
#include "options.h"

#include <string.h>

#include "header.h"
#include "json.h"
#include "render.h"

#define DOCUMENT_MAX (1 << 20)
#define HEADERS_MOST 50

static const char *const type_names[] = {"a text",        "a whole number",        "a number",
                                         "true or false", "true, false or a text", "an object",
                                         "an array"};

/* "a, b, c" of the keys known; sqlite3_malloc'ed. */
static char *known_keys(const struct option_rule *rules, int count) {
    char *list = NULL;

    for (int i = 0; i < count; i++) {
        char *longer =
            sqlite3_mprintf("%s%s%s", list != NULL ? list : "", i > 0 ? ", " : "", rules[i].key);

        sqlite3_free(list);
        list = longer;
        if (list == NULL) {
            return NULL;
        }
    }
    return list;
}

static bool fits(const char *json_type, enum option_type type) {
    switch (type) {
    case OPTION_TEXT:
        return strcmp(json_type, "text") == 0;
    case OPTION_INTEGER:
        return strcmp(json_type, "integer") == 0;
    case OPTION_NUMBER:
        return strcmp(json_type, "integer") == 0 || strcmp(json_type, "real") == 0;
    case OPTION_BOOLEAN:
        return strcmp(json_type, "true") == 0 || strcmp(json_type, "false") == 0;
    case OPTION_SWITCH:
        return fits(json_type, OPTION_BOOLEAN) || fits(json_type, OPTION_TEXT);
    case OPTION_OBJECT:
        return strcmp(json_type, "object") == 0;
    default:
        return strcmp(json_type, "array") == 0;
    }
}

/* A wrong value is shown, but never that of a secret, or of headers, one of which may be a credential. */
static void fail_type(struct call *call, const struct option_rule *rule, sqlite3_value *value) {
    bool secret = strcmp(rule->key, "secret") == 0 || strcmp(rule->key, "headers") == 0;

    call_fail(call, "option %s is %z, expected %s", rule->key,
              secret ? sqlite3_mprintf("something else") : shown(value), type_names[rule->type]);
}

/* A column's text, invalid UTF-8 replaced; sqlite3_malloc'ed, NULL without memory. */
static char *mended(sqlite3_stmt *row, int column) {
    const char *text = (const char *)sqlite3_column_text(row, column);
    struct buffer buffer = {0};
    char *copy = NULL;

    if (text != NULL) {
        render_json(&buffer, text, strlen(text));
        copy = buffer.failed ? NULL : sqlite3_mprintf("%s", buffer.data != NULL ? buffer.data : "");
        buffer_free(&buffer);
    }
    return copy;
}

static void take_value(struct call *call, sqlite3_stmt *row, const struct option_rule *rule,
                       struct option *option) {
    const char *json_type = (const char *)sqlite3_column_text(row, 1);

    if (option->given) {
        call_fail(call, "option %s is given twice", rule->key);
        return;
    }
    option->given = true;
    option->null = json_type != NULL && strcmp(json_type, "null") == 0;
    if (json_type == NULL || option->null) {
        return;
    }
    if (!fits(json_type, rule->type)) {
        fail_type(call, rule, sqlite3_column_value(row, 2));
        return;
    }
    option->literal = fits(json_type, OPTION_BOOLEAN);
    option->integer = sqlite3_column_int64(row, 2);
    option->number = sqlite3_column_double(row, 2);
    option->text = mended(row, 2);
    if (option->text == NULL) {
        call_check(call, SQLITE_NOMEM);
    }
}

static void take(struct call *call, sqlite3_stmt *row, const struct option_rule *rules, int count,
                 struct option *values) {
    const char *key = (const char *)sqlite3_column_text(row, 0);

    for (int i = 0; key != NULL && i < count; i++) {
        if (strcmp(key, rules[i].key) == 0) {
            take_value(call, row, &rules[i], &values[i]);
            return;
        }
    }
    call_fail(call, "there is no option %z; known are %z", shown(sqlite3_column_value(row, 0)),
              known_keys(rules, count));
}

/* Is there a \u0000 in a JSON text? Older JSON functions end a string there without a word. */
static bool has_nul(const char *json) {
    for (const char *at = json; (at = strstr(at, "\\u0000")) != NULL; at++) {
        const char *before = at;

        while (before > json && before[-1] == '\\') {
            before--;
        }
        if ((at - before) % 2 == 0) {
            return true;
        }
    }
    return false;
}

/* What is not an object is not shown: a secret may be in it. */
static bool is_object(struct call *call, sqlite3_value *document) {
    if (sqlite3_value_type(document) != SQLITE_TEXT) { /* before sqlite3_value_text changes it */
        call_fail(call, "options are %z, expected a JSON object", shown(document));
        return false;
    }
    const char *text = (const char *)sqlite3_value_text(document);
    size_t length = (size_t)sqlite3_value_bytes(document), where = 0;
    const char *wrong = NULL;

    if (text == NULL) {
        call_check(call, SQLITE_NOMEM);
    } else if (length > DOCUMENT_MAX) {
        call_fail(call, "options are %d bytes long, expected at most %d", (int)length,
                  DOCUMENT_MAX);
    } else if ((wrong = json_check(text, length, &where)) != NULL) {
        call_fail(call, "options are not JSON: %s at byte %d", wrong, (int)where);
    } else if (text[strspn(text, " \t\r\n")] != '{') {
        call_fail(call, "options are JSON, but not an object");
    } else if (has_nul(text)) {
        call_fail(call, "options contain a NUL character (\\u0000)");
    }
    return call->rc == SQLITE_OK;
}

void options_read(struct call *call, sqlite3_value *document, const struct option_rule *rules,
                  int count, struct option *values) {
    memset(values, 0, (size_t)count * sizeof *values);
    if (call->rc != SQLITE_OK || document == NULL || sqlite3_value_type(document) == SQLITE_NULL ||
        !is_object(call, document)) {
        return;
    }
    sqlite3_stmt *rows = NULL;
    int rc =
        sqlite3_prepare_v2(call->db, "SELECT key, type, value FROM json_each(?1)", -1, &rows, NULL);

    if (rc == SQLITE_ERROR) {
        call_fail(call, "options are read by SQLite's json_each(), which can't be used here: %s",
                  sqlite3_errmsg(call->db));
        return;
    }
    call_check(call, rc);
    if (rc == SQLITE_OK) {
        call_check(call, sqlite3_bind_value(rows, 1, document));
    }
    while (call_step(call, rows)) {
        take(call, rows, rules, count, values);
    }
    (void)sqlite3_finalize(rows);
}

static void check_headers_once(struct call *call, const char *object) {
    char *name = call_text(call,
                           "SELECT key FROM json_each(?1) GROUP BY key COLLATE NOCASE"
                           " HAVING count(*) > 1 LIMIT 1",
                           "t", object);

    if (name != NULL) {
        call_fail(call, "header %z is given twice; upper and lower case are the same",
                  shown_text(name));
    }
    sqlite3_free(name);
}

void options_check_headers(struct call *call, const char *object) {
    sqlite3_stmt *rows =
        call_prepare(call, "SELECT key, type, value FROM json_each(?1)", "t", object);
    int count = 0;

    while (call_step(call, rows)) {
        const char *name = (const char *)sqlite3_column_text(rows, 0);
        const char *type = (const char *)sqlite3_column_text(rows, 1);
        const char *value = (const char *)sqlite3_column_text(rows, 2);

        if (name == NULL || type == NULL) {
            call->rc = SQLITE_NOMEM;
        } else if (strcmp(type, "text") != 0 || value == NULL) {
            call_fail(call, "header %z is not a text",
                      shown_before(sqlite3_column_value(rows, 0), ':'));
        } else if (++count > HEADERS_MOST) {
            call_fail(call, "there are more than %d headers", HEADERS_MOST);
        } else {
            const char *wrong = header_check(name, (size_t)sqlite3_column_bytes(rows, 0), value,
                                             (size_t)sqlite3_column_bytes(rows, 2));

            if (wrong != NULL) { /* the value may be a credential, wherever it stands */
                call_fail(call, "header %z: %s", shown_before(sqlite3_column_value(rows, 0), ':'),
                          wrong);
            }
        }
    }
    (void)sqlite3_finalize(rows);
    check_headers_once(call, object);
}

void options_free(struct option *values, int count) {
    for (int i = 0; i < count; i++) {
        sqlite3_free(values[i].text);
        values[i].text = NULL;
    }
}
