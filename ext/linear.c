/*
** linear.c: see linear.h.
**
** SQLite's own compare everywhere with everything: of two values of a mebibyte each, one call takes
** from ten seconds to an hour, which no progress handler sees. Expressions and filters that come with a
** file, or from a subscriber, run with these. They say the same (tests/unit/test_linear.c compares
** them), but for trim() of what is not valid UTF-8 and for half a character of UTF-16.
** SPDX-License-Identifier: MIT
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "linear.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct text {
    const unsigned char *bytes;
    size_t length;
};

static bool continues(unsigned char byte) {
    return (byte & 0xc0) == 0x80;
}

/* As a text, or as a BLOB. false: it is NULL, and so is the result, or there is no memory for it. */
static bool read_text(sqlite3_context *context, sqlite3_value *value, bool blob,
                      struct text *text) {
    if (sqlite3_value_type(value) == SQLITE_NULL) {
        return false;
    }
    text->bytes = blob ? sqlite3_value_blob(value) : sqlite3_value_text(value);
    text->length = (size_t)sqlite3_value_bytes(value);
    if (text->bytes == NULL && blob) {
        text->bytes = (const unsigned char *)""; /* x'' */
    }
    if (text->bytes == NULL) {
        sqlite3_result_error_nomem(context);
    }
    return text->bytes != NULL;
}

/* Where the needle is, no further than before `end`; NULL: nowhere. */
static const unsigned char *find(const unsigned char *from, const unsigned char *end,
                                 const struct text *needle) {
    return memmem(from, (size_t)(end - from), needle->bytes, needle->length);
}

static void instr(sqlite3_context *context, int count, sqlite3_value **values) {
    bool blobs = sqlite3_value_type(values[0]) == SQLITE_BLOB &&
                 sqlite3_value_type(values[1]) == SQLITE_BLOB;
    struct text text, needle;
    const unsigned char *found;
    sqlite3_int64 place = 1;

    (void)count;
    if (!read_text(context, values[0], blobs, &text) ||
        !read_text(context, values[1], blobs, &needle)) {
        return;
    }
    if (needle.length == 0) {
        sqlite3_result_int(context, 1);
        return;
    }
    /* A character is found where one begins, or at the very beginning. */
    if (!blobs && continues(needle.bytes[0])) {
        found = needle.length <= text.length && memcmp(text.bytes, needle.bytes, needle.length) == 0
                    ? text.bytes
                    : NULL;
    } else {
        found = find(text.bytes, text.bytes + text.length, &needle);
    }
    for (const unsigned char *at = text.bytes + 1; found != NULL && at <= found; at++) {
        place += blobs || !continues(*at);
    }
    sqlite3_result_int64(context, found != NULL ? place : 0);
}

/* Appends, and returns the new end. */
static unsigned char *put(unsigned char *end, const unsigned char *bytes, size_t length) {
    memcpy(end, bytes, length);
    return end + length;
}

static void put_replaced(sqlite3_context *context, const struct text *text,
                         const struct text *pattern, const struct text *with, size_t times) {
    sqlite3_uint64 length = text->length - times * pattern->length + times * with->length;
    const unsigned char *from = text->bytes, *end = text->bytes + text->length, *found;
    unsigned char *result, *to;

    if (length > (sqlite3_uint64)sqlite3_limit(sqlite3_context_db_handle(context),
                                               SQLITE_LIMIT_LENGTH, -1)) {
        sqlite3_result_error_toobig(context);
        return;
    }
    result = to = sqlite3_malloc64(length + 1);
    if (result == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    while ((found = find(from, end, pattern)) != NULL) {
        to = put(put(to, from, (size_t)(found - from)), with->bytes, with->length);
        from = found + pattern->length;
    }
    *put(to, from, (size_t)(end - from)) = '\0';
    sqlite3_result_text64(context, (const char *)result, length, sqlite3_free, SQLITE_UTF8);
}

static void replace(sqlite3_context *context, int count, sqlite3_value **values) {
    struct text text, pattern, with;
    const unsigned char *found;
    size_t times = 0;

    (void)count;
    if (!read_text(context, values[0], false, &text) ||
        !read_text(context, values[1], false, &pattern)) {
        return;
    }
    if (pattern.bytes[0] == '\0') { /* SQLite's rule, also for a NUL with more behind it */
        sqlite3_result_value(context, values[0]);
        return;
    }
    if (!read_text(context, values[2], false, &with)) {
        return;
    }
    for (const unsigned char *from = text.bytes, *end = text.bytes + text.length;
         (found = find(from, end, &pattern)) != NULL; from = found + pattern.length) {
        times++;
    }
    put_replaced(context, &text, &pattern, &with, times);
}

/* ---- trim ---- */

#define NO_CHARACTER UINT32_MAX
#define CHARACTERS 0x200000 /* what four bytes can say */

/* Reads the character at the beginning of a text that is not empty, returns its bytes. */
static size_t read_character(const struct text *text, uint32_t *character) {
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned char first = text->bytes[0];
    size_t expected = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    size_t length = 1;

    *character = first & masks[expected];
    while (first >= 0xc0 && length < text->length && continues(text->bytes[length])) {
        *character = *character << 6 | (text->bytes[length++] & 0x3f);
    }
    if (length != expected || first >= 0xf8) {
        *character = NO_CHARACTER;
    }
    return length;
}

/* Those to take away, a bit each. */
struct set {
    unsigned char *bits;
    uint32_t end; /* above the largest */
};

static bool set_has(const struct set *set, uint32_t character) {
    return character < set->end && (set->bits[character / 8] >> character % 8 & 1) != 0;
}

/* false: no memory. */
static bool set_read(struct set *set, struct text text) {
    struct text rest = text;
    uint32_t character;

    set->end = 0;
    while (rest.length > 0) {
        size_t length = read_character(&rest, &character);

        rest = (struct text){rest.bytes + length, rest.length - length};
        if (character < CHARACTERS && character >= set->end) {
            set->end = character + 1;
        }
    }
    set->bits = sqlite3_malloc64(set->end / 8 + 1);
    if (set->bits == NULL) {
        return false;
    }
    memset(set->bits, 0, set->end / 8 + 1);
    while (text.length > 0) {
        size_t length = read_character(&text, &character);

        text = (struct text){text.bytes + length, text.length - length};
        if (character < set->end) {
            set->bits[character / 8] |= (unsigned char)(1u << character % 8);
        }
    }
    return true;
}

static void trim_left(const struct set *set, struct text *text) {
    while (text->length > 0) {
        uint32_t character;
        size_t length = read_character(text, &character);

        if (!set_has(set, character)) {
            return;
        }
        *text = (struct text){text->bytes + length, text->length - length};
    }
}

static void trim_right(const struct set *set, struct text *text) {
    while (text->length > 0) {
        struct text last = {text->bytes + text->length - 1, 1};
        uint32_t character;

        while (last.bytes > text->bytes && continues(*last.bytes)) {
            last = (struct text){last.bytes - 1, last.length + 1};
        }
        if (read_character(&last, &character) != last.length || !set_has(set, character)) {
            return;
        }
        text->length -= last.length;
    }
}

enum { LEFT = 1, RIGHT = 2 };

static void trim(sqlite3_context *context, int count, sqlite3_value **values) {
    const int *sides = sqlite3_user_data(context);
    struct text text, characters = {(const unsigned char *)" ", 1};
    struct set set;

    if (!read_text(context, values[0], false, &text) ||
        (count == 2 && !read_text(context, values[1], false, &characters))) {
        return;
    }
    characters.length = strnlen((const char *)characters.bytes, characters.length); /* as SQLite */
    if (!set_read(&set, characters)) {
        sqlite3_result_error_nomem(context);
        return;
    }
    if ((*sides & LEFT) != 0) {
        trim_left(&set, &text);
    }
    if ((*sides & RIGHT) != 0) {
        trim_right(&set, &text);
    }
    sqlite3_free(set.bits);
    sqlite3_result_text64(context, (const char *)text.bytes, text.length, SQLITE_TRANSIENT,
                          SQLITE_UTF8);
}

int linear_install(sqlite3 *db) {
    static const int left = LEFT, right = RIGHT, both = LEFT | RIGHT;
    static const struct {
        const char *name;
        int count;
        const int *sides;
        void (*call)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"instr", 2, NULL, instr},  {"replace", 3, NULL, replace}, {"trim", 1, &both, trim},
        {"trim", 2, &both, trim},   {"ltrim", 1, &left, trim},     {"ltrim", 2, &left, trim},
        {"rtrim", 1, &right, trim}, {"rtrim", 2, &right, trim},
    };
    int rc = SQLITE_OK;

    for (size_t i = 0; i < sizeof functions / sizeof *functions && rc == SQLITE_OK; i++) {
        rc = sqlite3_create_function_v2(db, functions[i].name, functions[i].count,
                                        SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                        (void *)(uintptr_t)functions[i].sides, functions[i].call,
                                        NULL, NULL, NULL);
    }
    return rc;
}
