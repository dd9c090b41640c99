/*
** statuses.c: see statuses.h. Nothing is allocated and nothing can fail but the text itself.
** SPDX-License-Identifier: MIT
*/
#include "statuses.h"

#include <string.h>

#define GONE 410
#define DIGITS 3

static void add(struct statuses *statuses, int status) {
    statuses->bits[(status - STATUS_FIRST) / 64] |= UINT64_C(1) << (status - STATUS_FIRST) % 64;
}

/* One entry without spaces around it. */
static const char *read_entry(const char *text, size_t length, struct statuses *statuses) {
    static const char wrong[] =
        "has an entry that is neither a status from 300 to 599 nor 3xx, 4xx or 5xx";
    int status = 0;

    if (length != DIGITS || text[0] < '3' || text[0] > '5') {
        return wrong;
    }
    if (memcmp(text + 1, "xx", 2) == 0) {
        for (int first = (text[0] - '0') * 100; status < 100; status++) {
            add(statuses, first + status);
        }
        return NULL;
    }
    for (size_t i = 0; i < DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return wrong;
        }
        status = status * 10 + (text[i] - '0');
    }
    if (status == GONE) {
        return "has 410, which is never tried again: it ends the subscription";
    }
    add(statuses, status);
    return NULL;
}

const char *statuses_parse(const char *text, size_t length, struct statuses *statuses) {
    struct statuses read = {{0}};
    size_t start = 0;

    for (size_t i = 0; i <= length; i++) {
        size_t end = i;
        const char *wrong;

        if (i < length && text[i] != ',') {
            continue;
        }
        while (start < end && text[start] == ' ') {
            start++;
        }
        while (start < end && text[end - 1] == ' ') {
            end--;
        }
        if (start == end) {
            return length == 0 ? "is empty" : "has an empty entry";
        }
        wrong = read_entry(text + start, end - start, &read);
        if (wrong != NULL) {
            return wrong;
        }
        start = i + 1;
    }
    *statuses = read;
    return NULL;
}

bool statuses_have(const struct statuses *statuses, int status) {
    return status >= STATUS_FIRST && status <= STATUS_LAST &&
           (statuses->bits[(status - STATUS_FIRST) / 64] >> (status - STATUS_FIRST) % 64 & 1) != 0;
}
