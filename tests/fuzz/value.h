/*
** value.h: a value of SQLite's made of an input, and whether a JSON value, as cJSON reads it, is it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FUZZ_VALUE_H
#define RESTHOOK_FUZZ_VALUE_H

#include <inttypes.h>
#include <math.h>

#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <sqlite3.h>

#include "fuzz.h"

struct value {
    int type; /* SQLITE_INTEGER … */
    int64_t integer;
    double real;
    char *bytes; /* of a text or a BLOB */
    size_t length;
};

static inline struct value take_value(struct input *input) {
    struct value value = {.type = 1 + take_byte(input) % 5};
    uint64_t bits;

    if (value.type == SQLITE_INTEGER) {
        value.integer = (int64_t)take_number(input, 8);
    } else if (value.type == SQLITE_FLOAT) {
        bits = take_number(input, 8);
        memcpy(&value.real, &bits, sizeof bits);
        if (isnan(value.real)) { /* as SQLite binds it */
            value = (struct value){.type = SQLITE_NULL};
        }
    } else if (value.type != SQLITE_NULL) {
        value.length = take_byte(input);
        value.bytes = take_text(input, &value.length);
    }
    return value;
}

static inline void bind_value(sqlite3_stmt *statement, int i, const struct value *value) {
    int rc = value->type == SQLITE_INTEGER ? sqlite3_bind_int64(statement, i, value->integer)
             : value->type == SQLITE_FLOAT ? sqlite3_bind_double(statement, i, value->real)
             : value->type == SQLITE_TEXT
                 ? sqlite3_bind_text(statement, i, value->bytes, (int)value->length, SQLITE_STATIC)
             : value->type == SQLITE_BLOB
                 ? sqlite3_bind_blob(statement, i, value->bytes, (int)value->length, SQLITE_STATIC)
                 : sqlite3_bind_null(statement, i);

    MUST(rc == SQLITE_OK, "%d", rc);
}

/* Every bit of it: 0.0 is not -0.0. */
static inline uint64_t bits_of(double real) {
    uint64_t bits;

    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static inline bool same_value(const struct value *a, const struct value *b) {
    return a->type == b->type && a->integer == b->integer && a->length == b->length &&
           bits_of(a->real) == bits_of(b->real) &&
           (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

/* Is the JSON text these bytes in base64, to OpenSSL? */
static inline bool is_base64_of(const char *text, const struct value *value) {
    size_t length = strlen(text), padding = length > 0 && text[length - 1] == '=';
    unsigned char *decoded = malloc(length + 1);

    MUST(decoded != NULL, "memory");
    padding += length > 1 && text[length - 2] == '=';
    int count = EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)length);
    bool is = (size_t)count == value->length + padding && length % 4 == 0 &&
              (value->length == 0 || memcmp(decoded, value->bytes, value->length) == 0);
    free(decoded);
    return is;
}

/* json: what cJSON made of the value; it reads numbers by strtod, and a text up to a NUL. */
static inline void must_be(const cJSON *json, const struct value *value) {
    double number = cJSON_IsNumber(json) ? json->valuedouble : (double)NAN;

    switch (value->type) {
    case SQLITE_INTEGER:
        MUST(number == (double)value->integer, "%" PRId64, value->integer);
        break;
    case SQLITE_FLOAT:
        MUST(isfinite(value->real) ? bits_of(number) == bits_of(value->real) : cJSON_IsNull(json),
             "%.17g", value->real);
        break;
    case SQLITE_TEXT:
        MUST(cJSON_IsString(json), "%s", value->bytes);
        MUST(!is_utf8(value->bytes, value->length) || strcmp(json->valuestring, value->bytes) == 0,
             "%s", value->bytes);
        break;
    case SQLITE_BLOB:
        MUST(cJSON_IsString(json) && is_base64_of(json->valuestring, value), "%zu bytes",
             value->length);
        break;
    default:
        MUST(cJSON_IsNull(json), "null");
    }
}

#endif
