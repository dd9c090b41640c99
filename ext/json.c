/*
** json.c: one JSON value by the grammar of RFC 8259, read once from front to back. What nests is
** kept as one bit a level, object or array, so that a hostile payload costs neither stack nor
** memory.
**
** Where RFC 8259 leaves a choice:
**   - a byte order mark is refused (8.1 lets a reader ignore it, forbids a writer to send it; we
**     would send it);
**   - an escape of half a surrogate pair, "\ud800", is within the grammar (7, 8.2) and passes:
**     the payload travels as it was written, and what a receiver makes of it is between it and
**     the writer;
**   - numbers of any size and precision, equal keys and a bare scalar pass (4, 6, 2);
**   - nesting stops at JSON_DEPTH (9 allows a limit).
**
** Nothing is allocated; the only failure is the answer.
** SPDX-License-Identifier: MIT
*/
#include "json.h"

#include <string.h>

enum expected {
    VALUE,      /* a value must come */
    FIRST_ITEM, /* after '[': a value or ']' */
    FIRST_KEY,  /* after '{': a key or '}' */
    KEY,        /* a key must come */
    COLON,      /* after a key */
    AFTER_VALUE /* ',' or the closing bracket; at depth 0: nothing more */
};

struct reader {
    const unsigned char *at; /* where it stands, and after an error the byte that is wrong */
    const unsigned char *end;
    enum expected expected;
    int depth;
    unsigned char is_object[(JSON_DEPTH + 7) / 8]; /* a bit a level */
};

static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(unsigned char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool in_object(const struct reader *r) {
    int level = r->depth - 1;

    return (r->is_object[level / 8] >> (level % 8) & 1) != 0;
}

static const char *open_bracket(struct reader *r, bool object) {
    unsigned char bit = (unsigned char)(1U << (r->depth % 8));

    if (r->depth == JSON_DEPTH) {
        return "nested too deeply";
    }
    if (object) {
        r->is_object[r->depth / 8] |= bit;
    } else {
        r->is_object[r->depth / 8] &= (unsigned char)~bit;
    }
    r->depth++;
    r->expected = object ? FIRST_KEY : FIRST_ITEM;
    r->at++;
    return NULL;
}

static const char *close_bracket(struct reader *r) {
    r->depth--;
    r->expected = AFTER_VALUE;
    r->at++;
    return NULL;
}

/* The escape at the backslash; leaves r->at behind it. */
static const char *read_escape(struct reader *r) {
    r->at++;
    if (r->at < r->end && *r->at == 'u') {
        r->at++;
        for (int i = 0; i < 4; i++, r->at++) {
            if (r->at == r->end || !is_hex(*r->at)) {
                return "\\u without four hexadecimal digits";
            }
        }
        return NULL;
    }
    if (r->at == r->end || memchr("\"\\/bfnrt", *r->at, 8) == NULL) {
        return "an escape that JSON does not have";
    }
    r->at++;
    return NULL;
}

/* The string at the opening quote; leaves r->at behind the closing one. */
static const char *read_string(struct reader *r) {
    const char *wrong = NULL;

    r->at++;
    while (wrong == NULL && r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            wrong = read_escape(r);
        } else if (*r->at < 0x20) {
            wrong = "a control character in a string";
        } else {
            r->at++;
        }
    }
    if (wrong == NULL) {
        if (r->at == r->end) {
            return "a string without an end";
        }
        r->at++;
    }
    return wrong;
}

/* At least one digit. */
static bool read_digits(struct reader *r) {
    const unsigned char *start = r->at;

    while (r->at < r->end && is_digit(*r->at)) {
        r->at++;
    }
    return r->at > start;
}

static const char *read_number(struct reader *r) {
    const char *wrong = "a number that JSON does not have";

    if (*r->at == '-') {
        r->at++;
    }
    if (r->at < r->end && *r->at == '0') {
        r->at++;
        if (r->at < r->end && is_digit(*r->at)) {
            return wrong;
        }
    } else if (!read_digits(r)) {
        return wrong;
    }
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!read_digits(r)) {
            return wrong;
        }
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) {
            r->at++;
        }
        if (!read_digits(r)) {
            return wrong;
        }
    }
    return NULL;
}

static const char *read_literal(struct reader *r) {
    static const char *const literals[] = {"true", "false", "null"};

    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
        size_t length = strlen(literals[i]);

        if ((size_t)(r->end - r->at) >= length && memcmp(r->at, literals[i], length) == 0) {
            r->at += length;
            return NULL;
        }
    }
    if (r->end - r->at >= 3 && memcmp(r->at, "\xEF\xBB\xBF", 3) == 0) {
        return "a byte order mark"; /* it can't be seen, so it is named */
    }
    return "a value is expected";
}

static const char *read_value(struct reader *r) {
    unsigned char c = *r->at;

    if (c == '{' || c == '[') {
        return open_bracket(r, c == '{');
    }
    r->expected = AFTER_VALUE;
    if (c == '"') {
        return read_string(r);
    }
    if (c == '-' || is_digit(c)) {
        return read_number(r);
    }
    return read_literal(r);
}

/* One token, at its first byte. */
static const char *read_token(struct reader *r) {
    unsigned char c = *r->at;

    if (r->expected == FIRST_ITEM && c == ']') {
        return close_bracket(r);
    }
    if (r->expected == FIRST_KEY && c == '}') {
        return close_bracket(r);
    }
    switch (r->expected) {
    case VALUE:
    case FIRST_ITEM:
        return read_value(r);
    case FIRST_KEY:
    case KEY:
        r->expected = COLON;
        return c == '"' ? read_string(r) : "a key is expected";
    case COLON:
        if (c != ':') {
            return "':' is expected";
        }
        r->expected = VALUE;
        r->at++;
        return NULL;
    case AFTER_VALUE:
        break;
    }
    if (r->depth == 0) {
        return "something after the value";
    }
    if (c == ',') {
        r->expected = in_object(r) ? KEY : VALUE;
        r->at++;
        return NULL;
    }
    if (c == (in_object(r) ? '}' : ']')) {
        return close_bracket(r);
    }
    return in_object(r) ? "',' or '}' is expected" : "',' or ']' is expected";
}

const char *json_check(const char *text, size_t length, size_t *where) {
    const unsigned char *start = (const unsigned char *)text;
    struct reader r = {.at = start, .expected = VALUE};
    const char *wrong = NULL;
    bool empty = true;

    if (length == 0) {
        if (where != NULL) {
            *where = 0;
        }
        return "it is empty";
    }
    r.end = start + length;
    while (wrong == NULL && r.at < r.end) {
        if (memchr(" \t\n\r", *r.at, 4) != NULL) {
            r.at++;
        } else {
            empty = false;
            wrong = read_token(&r);
        }
    }
    if (wrong == NULL && empty) {
        wrong = "it is empty";
    } else if (wrong == NULL && (r.depth > 0 || r.expected != AFTER_VALUE)) {
        wrong = "it ends too early";
    }
    if (wrong != NULL && where != NULL) {
        *where = (size_t)(r.at - start);
    }
    return wrong;
}
