/*
** cell.c: reads a value from SQLite and hands it to render.c, type by type. Nothing is converted on
** the way, and where SQLite finds no memory the buffer says so.
** SPDX-License-Identifier: MIT
*/
#include "cell.h"

#include <stdint.h>
#include <string.h>

#include "json.h"

static void render_string(struct cell cell, enum template_type type, struct buffer *out) {
    const char *text = (const char *)sqlite3_column_text(cell.statement, cell.column);
    size_t length = (size_t)sqlite3_column_bytes(cell.statement, cell.column);

    if (text == NULL) {
        out->failed = true;
    } else if (type == TEMPLATE_JSON && json_check(text, length, NULL) == NULL) {
        render_json(out, text, length);
    } else {
        render_text(out, text, length);
    }
}

static void render_bytes(struct cell cell, struct buffer *out) {
    const void *bytes = sqlite3_column_blob(cell.statement, cell.column);
    size_t length = (size_t)sqlite3_column_bytes(cell.statement, cell.column);

    if (bytes == NULL && length > 0) {
        out->failed = true;
    } else {
        render_blob(out, bytes, length);
    }
}

/* Is it one of the words that other databases and JSON have for a truth? In any case. */
static bool is_word(struct cell cell, const char *word) {
    const char *text = (const char *)sqlite3_column_text(cell.statement, cell.column);

    return text != NULL &&
           (size_t)sqlite3_column_bytes(cell.statement, cell.column) == strlen(word) &&
           sqlite3_strnicmp(text, word, (int)strlen(word)) == 0;
}

/* A text that is `true` or `false` is what it says; all else is true where SQLite takes it so. */
static bool is_true(struct cell cell, int kind) {
    double number;

    if (kind == SQLITE_TEXT && is_word(cell, "true")) {
        return true;
    }
    number = sqlite3_column_double(cell.statement, cell.column); /* of 'false' it is 0 */
    return number < 0 || number > 0;
}

bool cell_render(struct cell cell, enum template_type type, struct buffer *out) {
    int kind =
        cell.statement != NULL ? sqlite3_column_type(cell.statement, cell.column) : SQLITE_NULL;
    bool quoted = type == TEMPLATE_TEXT && (kind == SQLITE_INTEGER || kind == SQLITE_FLOAT);

    if (type == TEMPLATE_BOOL && kind != SQLITE_NULL) {
        render_boolean(out, is_true(cell, kind));
        return true;
    }
    buffer_text(out, quoted ? "\"" : "");
    switch (kind) {
    case SQLITE_INTEGER:
        render_integer(out, sqlite3_column_int64(cell.statement, cell.column));
        break;
    case SQLITE_FLOAT:
        render_real(out, sqlite3_column_double(cell.statement, cell.column));
        break;
    case SQLITE_TEXT:
        render_string(cell, type, out);
        break;
    case SQLITE_BLOB:
        render_bytes(cell, out);
        break;
    default:
        render_null(out);
        break;
    }
    buffer_text(out, quoted ? "\"" : "");
    return kind != SQLITE_NULL;
}

bool cell_render_key(struct cell cell, struct buffer *out) {
    size_t before = out->length;

    if (cell.statement != NULL && sqlite3_column_type(cell.statement, cell.column) == SQLITE_TEXT) {
        const void *text = sqlite3_column_text(cell.statement, cell.column);
        buffer_append(out, text, (size_t)sqlite3_column_bytes(cell.statement, cell.column));
        out->failed = out->failed || text == NULL;
        return true;
    }
    if (!cell_render(cell, TEMPLATE_PLAIN, out)) {
        out->length = before;
        return false;
    }
    if (!out->failed && out->data[before] == '"') { /* a BLOB's base64 */
        out->length -= 2;
        memmove(out->data + before, out->data + before + 1, out->length - before);
        out->data[out->length] = '\0';
    }
    return true;
}

static int type_of(struct cell cell) {
    return cell.statement != NULL ? sqlite3_column_type(cell.statement, cell.column) : SQLITE_NULL;
}

bool cell_same(struct cell a, struct cell b) {
    int type = type_of(a);

    if (type != type_of(b)) {
        return false;
    }
    if (type == SQLITE_INTEGER) {
        return sqlite3_column_int64(a.statement, a.column) ==
               sqlite3_column_int64(b.statement, b.column);
    }
    if (type == SQLITE_FLOAT) {
        double x = sqlite3_column_double(a.statement, a.column);
        double y = sqlite3_column_double(b.statement, b.column);

        uint64_t x_bits, y_bits;

        memcpy(&x_bits, &x, sizeof x_bits);
        memcpy(&y_bits, &y, sizeof y_bits);
        return x_bits == y_bits;
    }
    if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
        const void *x = sqlite3_column_blob(a.statement, a.column);
        const void *y = sqlite3_column_blob(b.statement, b.column);
        int length = sqlite3_column_bytes(a.statement, a.column);

        return length == sqlite3_column_bytes(b.statement, b.column) &&
               (length == 0 || (x != NULL && y != NULL && memcmp(x, y, (size_t)length) == 0));
    }
    return true;
}

size_t cell_bytes(struct cell cell) {
    int type = cell.statement != NULL ? sqlite3_column_type(cell.statement, cell.column) : 0;

    return type == SQLITE_TEXT || type == SQLITE_BLOB
               ? (size_t)sqlite3_column_bytes(cell.statement, cell.column)
               : 0;
}
