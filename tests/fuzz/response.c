/*
** response.c: of any answer a bounded text is kept that is UTF-8 without control characters, the same
** however it comes in pieces; what a Set-Cookie says changes nothing of it; and a Retry-After is what
** libcurl reads in it.
** SPDX-License-Identifier: MIT
*/
#include <ctype.h>
#include <strings.h>

#include <curl/curl.h>

#include "fuzz.h"
#include "response.h"
#include "verdict.h"

#define NOW INT64_C(1790000000000) /* 2026-09-21 */

/* A year below 100, as 0032, libcurl takes for one of two digits. */
static bool has_early_year(const char *value) {
    for (; *value != '\0'; value += strcspn(value, "0123456789")) {
        size_t digits = strspn(value, "0123456789");

        if (digits == 4 && strncmp(value, "00", 2) == 0) {
            return true;
        }
        value += digits;
    }
    return false;
}

static void check_retry_after(const char *value) {
    int64_t asked = retry_after(value, NOW);

    MUST(asked >= -1, "%s", value);
    if (asked < 0) {
        return;
    }
    if (value[strspn(value, "0123456789")] == '\0') {
        double seconds = strtod(value, NULL);

        MUST((double)asked == seconds * 1000 ||
                 (seconds > 9e14 && asked > INT64_C(900000000000000)),
             "%s: %lld", value, (long long)asked);
    } else if (strchr(value, '-') == NULL && !has_early_year(value)) {
        /* … and one of two digits it reads otherwise. */
        int64_t at = curl_getdate(value, NULL) * INT64_C(1000);

        MUST(asked == (at > NOW ? at - NOW : 0), "%s: %lld, %lld", value, (long long)asked,
             (long long)at);
    }
}

static void check_text(const struct buffer *text, size_t most) {
    MUST(text->length <= most, "%zu of %zu bytes", text->length, most);
    if (text->length > 0) {
        MUST(is_utf8(text->data, text->length), "%s", text->data);
    }
    for (size_t i = 0; i < text->length; i++) {
        unsigned char c = (unsigned char)text->data[i];

        MUST((c >= ' ' && c != 0x7f) || c == '\t' || c == '\n', "%02x", c);
        MUST(c != 0xc2 || (unsigned char)text->data[i + 1] >= 0xa0, "a control character");
    }
}

/* Gives a head line by line, as libcurl does. hidden: what a Set-Cookie says is something else. */
static void take_head(struct response *response, const char *head, size_t length, bool hidden) {
    bool cookie = false;

    for (const char *end; length > 0; length -= (size_t)(end - head), head = end) {
        const char *newline = memchr(head, '\n', length);

        end = newline != NULL ? newline + 1 : head + length;
        size_t size = (size_t)(end - head);
        char *line = malloc(size);

        MUST(line != NULL, "memory");
        memcpy(line, head, size);
        if (*line != ' ' && *line != '\t') {
            cookie = size >= 10 && strncasecmp(line, "set-cookie", 10) == 0;
        }
        for (size_t i = *line == ' ' || *line == '\t' ? 1 : 10; hidden && cookie && i < size; i++) {
            line[i] = line[i] == '\r' || line[i] == '\n' ? line[i] : 'Z';
        }
        (void)response_take_line(response, line, size);
        free(line);
    }
}

static bool same(const struct buffer *a, const struct buffer *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct response whole = {0}, pieces = {0};
    struct buffer text[4] = {{0}};
    size_t line_length, length, head_length, head_most = take_byte(&input) * 8U,
                                             body_most = take_byte(&input) * 8U;
    char *line = take_line(&input, &line_length), *rest = take_rest(&input, &length);
    const char *empty = strstr(rest, "\n\n");

    check_retry_after(line);
    head_length = empty != NULL ? (size_t)(empty - rest) + 2 : length;
    response_begin(&whole, head_most, body_most);
    response_begin(&pieces, head_most, body_most);
    take_head(&whole, rest, head_length, false);
    take_head(&pieces, rest, head_length, true);
    (void)response_take(&whole, rest + head_length, length - head_length);
    for (size_t i = head_length; i < length; i++) {
        (void)response_take(&pieces, rest + i, 1);
    }
    response_text(&whole.head, &text[0]);
    response_text(&pieces.head, &text[1]);
    response_text(&whole.body, &text[2]);
    response_text(&pieces.body, &text[3]);
    check_text(&text[0], head_most);
    check_text(&text[2], body_most);
    MUST(same(&text[0], &text[1]), "a cookie shows: %s", text[0].data);
    MUST(same(&text[2], &text[3]), "%s", text[2].data);
    for (int i = 0; i < 4; i++) {
        buffer_free(&text[i]);
    }
    response_free(&whole);
    response_free(&pieces);
    free(line);
    free(rest);
    return 0;
}
