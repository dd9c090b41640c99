/*
** event.c: event names and patterns. A name becomes the value of a request header as it is and
** is compared byte by byte by the triggers in schema.sql too, so the rule is narrow: no folding
** of case, no other alphabet. Nothing is allocated and nothing can fail but the check itself.
** SPDX-License-Identifier: MIT
*/
#include "event.h"

#include <string.h>

#define RESERVED "resthook"

_Static_assert(EVENT_MAX == 200, "the text below says 200");

static bool is_word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

const char *event_check(const char *name, size_t length) {
    bool in_word = false;

    if (length == 0) {
        return "is empty";
    }
    if (length > EVENT_MAX) {
        return "is longer than 200 bytes";
    }
    for (size_t i = 0; i < length; i++) {
        if (is_word_byte(name[i])) {
            in_word = true;
        } else if (name[i] != '.') {
            return "has a character other than ASCII letters, digits, '_', '-' and '.'";
        } else if (!in_word) {
            break;
        } else {
            in_word = false;
        }
    }
    return in_word ? NULL : "has an empty word: a '.' at its beginning or end, or two together";
}

const char *event_check_pattern(const char *pattern, size_t length) {
    if (length == 1 && pattern[0] == '*') {
        return NULL;
    }
    if (length > EVENT_MAX) {
        return "is longer than 200 bytes";
    }
    if (length > 2 && memcmp(pattern + length - 2, ".*", 2) == 0) {
        length -= 2;
    }
    if (length > 0 && memchr(pattern, '*', length) != NULL) {
        return "has a '*' that is neither the whole pattern nor its last word";
    }
    return event_check(pattern, length);
}

bool event_matches(const char *pattern, const char *name) {
    size_t length = strlen(pattern);

    if (length == 1 && pattern[0] == '*') {
        return !event_is_reserved(name);
    }
    if (length > 0 && pattern[length - 1] == '*') {
        return strncmp(pattern, name, length - 1) == 0; /* up to and with the '.' */
    }
    return strcmp(pattern, name) == 0;
}

static const char *const own[] = {
    "resthook.ping",
    "resthook.subscription.failing",
    "resthook.subscription.recovered",
    "resthook.subscription.gone",
    "resthook.delivery.dead",
};
const char event_own[] = "resthook.ping, resthook.subscription.failing, "
                         "resthook.subscription.recovered, resthook.subscription.gone, "
                         "resthook.delivery.dead";

bool event_pattern_is_known(const char *pattern) {
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (event_matches(pattern, own[i])) {
            return true;
        }
    }
    return false;
}

bool event_is_reserved(const char *name) {
    size_t length = strlen(RESERVED);

    return strncmp(name, RESERVED, length) == 0 && (name[length] == '\0' || name[length] == '.');
}
