/*
** render.c: values as JSON (RFC 8259). Integers and reals are written so that whoever reads them
** with 64 bits gets the same value; text and BLOBs so that no byte of them can end the string
** they stand in.
**
** A buffer's bytes are the C library's (the file knows no SQLite), and its owner frees them by
** buffer_free. The only failure is a lack of memory: it sets `failed`, keeps what was written,
** and stops every later append. render_text runs for every value delivered: it looks at eight
** bytes at once and appends runs, never bytes.
** SPDX-License-Identifier: MIT
*/
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

#define ROOM_MIN 128
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Makes room for `more` bytes and the closing NUL. */
static bool reserve(struct buffer *buffer, size_t more) {
    size_t needed = buffer->length + more + 1;
    size_t room = buffer->room < ROOM_MIN ? ROOM_MIN : buffer->room;
    char *data = NULL;

    if (buffer->failed) {
        return false;
    }
    if (needed > more) { /* else the sum has gone round */
        if (needed <= buffer->room) {
            return true;
        }
        while (room < needed) {
            room = room > SIZE_MAX / 2 ? needed : room * 2;
        }
        data = realloc(buffer->data, room);
    }
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->room = room;
    return true;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
    if (!reserve(buffer, length)) {
        return;
    }
    if (length > 0) {
        memcpy(buffer->data + buffer->length, bytes, length);
    }
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void buffer_text(struct buffer *buffer, const char *text) {
    buffer_append(buffer, text, strlen(text));
}

void buffer_clear(struct buffer *buffer) {
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->data != NULL) {
        buffer->data[0] = '\0';
    }
}

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void render_null(struct buffer *out) {
    buffer_append(out, "null", 4);
}

void render_boolean(struct buffer *out, bool value) {
    buffer_text(out, value ? "true" : "false");
}

void render_integer(struct buffer *out, int64_t value) {
    char digits[20]; /* of -9223372036854775808 */
    char *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--at = '-';
    }
    buffer_append(out, at, (size_t)(digits + sizeof digits - at));
}

/*
** printf writes the decimal point of the host's locale, which may be any text, and another
** thread may change the locale at any time: so whatever is not part of a C-locale number is the
** point. One without point and exponent is given ".0", so that a reader of typed JSON sees a
** real.
*/
static void append_in_c_locale(struct buffer *out, const char *text) {
    char number[64];
    size_t n = 0;
    bool has_point = false;
    bool has_exponent = false;

    for (; *text != '\0'; text++) {
        if (strchr("+-0123456789e", *text) != NULL) {
            number[n++] = *text;
            has_exponent |= *text == 'e';
        } else if (!has_point) {
            number[n++] = '.';
            has_point = true;
        }
    }
    buffer_append(out, number, n);
    if (!has_point && !has_exponent) {
        buffer_append(out, ".0", 2);
    }
}

void render_real(struct buffer *out, double value) {
    char text[64];

    if (!isfinite(value)) {
        render_null(out);
        return;
    }
    /* 15 digits are always kept by a double, 17 always tell it from its neighbours (C11 5.2.4.2.2).
     */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    append_in_c_locale(out, text);
}

/*
** How many bytes at the beginning are ASCII and, if quoted, need no escape. Eight at once: a
** byte below N, that has its high bit clear, borrows from its high bit when N is subtracted from
** it.
*/
static size_t plain_run(const unsigned char *text, size_t length, bool quoted) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t i = 0;

    for (; length - i >= 8; i += 8) {
        uint64_t word;
        uint64_t found;

        memcpy(&word, text + i, 8);
        found = word;
        if (quoted) {
            found |= word - ones * 0x20;
            found |= (word ^ ones * '"') - ones;
            found |= (word ^ ones * '\\') - ones;
        }
        if ((found & ones * 0x80) != 0) {
            break;
        }
    }
    while (i < length && text[i] < 0x80 &&
           !(quoted && (text[i] < 0x20 || text[i] == '"' || text[i] == '\\'))) {
        i++;
    }
    return i;
}

/*
** Is there a character of valid UTF-8 (Unicode 3.9, table 3-7)? *part is its length, or else the
** length of the maximal subpart of one, at least 1, that one U+FFFD stands for.
*/
static bool utf8_part(const unsigned char *text, size_t length, size_t *part) {
    unsigned char lead = text[0];
    unsigned char low = lead == 0xE0   ? 0xA0
                        : lead == 0xF0 ? 0x90
                                       : 0x80;       /* no longer than needed */
    unsigned char high = lead == 0xED ? 0x9F : 0xBF; /* no surrogates */
    size_t whole = lead < 0xC2 || lead > 0xF4 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    size_t n = 1;

    if (lead == 0xF4) {
        high = 0x8F; /* nothing above U+10FFFF */
    }
    while (n < whole && n < length && text[n] >= low && text[n] <= high) {
        n++;
        low = 0x80;
        high = 0xBF;
    }
    *part = n;
    return n == whole;
}

/* Appends text with U+FFFD for what is not UTF-8; quoted: with the escapes of a JSON string too. */
static void append_mended(struct buffer *out, const char *text, size_t length, bool quoted) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)text;
    size_t start = 0; /* of the run that is not appended yet */
    size_t i = 0;

    if (length == 0) {
        text = ""; /* NULL is the text of no bytes too */
    }
    if (!reserve(out, length)) {
        return;
    }
    while (i < length) {
        unsigned char c = bytes[i];
        size_t part = 1;

        if (c < 0x80) {
            i += plain_run(bytes + i, length - i, quoted);
            if (i == length || bytes[i] >= 0x80) {
                continue;
            }
            c = bytes[i];
        } else if (utf8_part(bytes + i, length - i, &part)) {
            i += part;
            continue;
        }
        buffer_append(out, text + start, i - start);
        if (c >= 0x80) {
            buffer_append(out, REPLACEMENT, 3);
        } else if (c < 0x20) {
            char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

            buffer_append(out, escape, sizeof escape);
        } else {
            char escape[] = {'\\', (char)c};

            buffer_append(out, escape, sizeof escape);
        }
        i += part;
        start = i;
    }
    buffer_append(out, text + start, length - start);
}

void render_text(struct buffer *out, const char *text, size_t length) {
    buffer_append(out, "\"", 1);
    append_mended(out, text, length, true);
    buffer_append(out, "\"", 1);
}

void render_blob(struct buffer *out, const void *bytes, size_t length) {
    if (length > SIZE_MAX / 2) {
        out->failed = true; /* its base64 has no size */
    }
    buffer_append(out, "\"", 1);
    if (length > 0 && !out->failed && reserve(out, (length + 2) / 3 * 4)) {
        out->length += base64_encode(bytes, length, out->data + out->length);
    }
    buffer_append(out, "\"", 1);
}

void render_json(struct buffer *out, const char *json, size_t length) {
    append_mended(out, json, length, false);
}

void render_plain(struct buffer *out, const char *text, size_t length) {
    size_t i = out->length;

    render_json(out, text, length);
    for (; i < out->length; i++) {
        unsigned char *c = (unsigned char *)out->data + i;

        if (c[0] == 0xc2 && c[1] < 0xa0) { /* U+0080 to U+009F; c[1] is there, since it is mended */
            c[0] = c[1] = '?';
        } else if (c[0] < ' ' || c[0] == 0x7f) {
            c[0] = '?';
        }
    }
}
