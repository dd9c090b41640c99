/*
** header.c: which request headers a subscription, or an event, may add. What it refuses would let it
** write a second request into the connection (CR, LF, framing headers), pass for
** another sender (the names that a receiver verifies by) or misdescribe the body. Everything
** else is the subscriber's own affair, authorization included. Nothing is allocated and nothing
** can fail but the check itself.
** SPDX-License-Identifier: MIT
*/
#include "header.h"

#include <string.h>

#define NAME_MAX_BYTES 100
#define VALUE_MAX_BYTES 4096

/* Names that are ours, in lower case; one that ends in '-' reserves all that begin with it. */
static const char *const reserved[] = {
    /* The request and the connection, RFC 9110 7.2, 7.6.1, 7.8, 10.1; RFC 9113 8.2.2 */
    "host",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "proxy-",
    /* The body, RFC 9110 8.3, 8.4, 8.6, 14.4 */
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    /* What says who sends, and what: Standard Webhooks, CloudEvents, and the specification's 3.3; the handshake's */
    "user-agent",
    "x-event-type",
    "x-hook-secret",
    "webhook-",
    "ce-",
};

/* RFC 9110 5.6.2 */
static bool is_token_byte(char c) {
    static const char marks[] = "!#$%&'*+-.^_`|~";

    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           memchr(marks, c, sizeof marks - 1) != NULL;
}

/* In any case. By hand: strncasecmp follows the host's locale; Turkish ones fold 'I' elsewhere. */
static bool begins(const char *name, const char *prefix, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if (c != prefix[i]) {
            return false;
        }
    }
    return true;
}

static bool is_reserved(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        size_t n = strlen(reserved[i]);
        bool prefix = reserved[i][n - 1] == '-';

        if ((prefix ? length >= n : length == n) && begins(name, reserved[i], n)) {
            return true;
        }
    }
    return false;
}

static const char *check_name(const char *name, size_t length) {
    if (length == 0) {
        return "the name of a header is empty";
    }
    if (length > NAME_MAX_BYTES) {
        return "the name of a header is longer than 100 bytes";
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_token_byte(name[i])) {
            return "the name of a header has a character other than ASCII letters, digits and "
                   "!#$%&'*+-.^_`|~";
        }
    }
    return is_reserved(name, length) ? "a header of this name is set by resthook alone" : NULL;
}

const char *header_check_value(const char *value, size_t length) {
    if (length > VALUE_MAX_BYTES) {
        return "the value of a header is longer than 4096 bytes";
    }
    for (size_t i = 0; i < length; i++) {
        if (value[i] != '\t' && (value[i] < ' ' || value[i] > '~')) {
            return "the value of a header has a character other than visible ASCII, space and tab";
        }
    }
    if (length > 0 && (value[0] <= ' ' || value[length - 1] <= ' ')) {
        return "the value of a header begins or ends with a space or a tab";
    }
    return NULL;
}

const char *header_check(const char *name, size_t name_length, const char *value,
                         size_t value_length) {
    const char *wrong = check_name(name, name_length);

    return wrong != NULL ? wrong : header_check_value(value, value_length);
}

/* Lower-case hexadecimal digits, and not all of them 0 where that means none. */
static bool is_hex(const char *text, size_t length, bool may_be_zero) {
    bool zero = true;

    for (size_t i = 0; i < length; i++) {
        if ((text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f')) {
            return false;
        }
        zero = zero && text[i] == '0';
    }
    return may_be_zero || !zero;
}

#define TRACEPARENT 55 /* bytes of version 00 */

bool header_is_traceparent(const char *value, size_t length) {
    if (length < TRACEPARENT || length > VALUE_MAX_BYTES ||
        header_check_value(value, length) != NULL || value[2] != '-' || value[35] != '-' ||
        value[52] != '-') {
        return false;
    }
    if (!is_hex(value, 2, true) || memcmp(value, "ff", 2) == 0 || !is_hex(value + 3, 32, false) ||
        !is_hex(value + 36, 16, false) || !is_hex(value + 53, 2, true)) {
        return false;
    }
    return length == TRACEPARENT || (memcmp(value, "00", 2) != 0 && value[TRACEPARENT] == '-');
}
