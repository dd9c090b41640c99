/*
** statuses.c: see statuses.h. Nothing is allocated and nothing can fail but the text itself.
** SPDX-License-Identifier: MIT
*/
#include "statuses.h"

#include <string.h>

#include "list.h"

#define GONE 410
#define DIGITS 3

static void add(struct statuses *statuses, int status) {
    statuses->bits[(status - STATUS_FIRST) / 64] |= UINT64_C(1) << (status - STATUS_FIRST) % 64;
}

static const char *read_entry(const struct entry *entry, struct statuses *statuses) {
    const char *text = entry->text;
    static const char wrong[] =
        "has an entry that is neither a status from 300 to 599 nor 3xx, 4xx or 5xx";
    int status = 0;

    if (entry->length != DIGITS || text[0] < '3' || text[0] > '5') {
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

    for (size_t at = 0; at <= length;) {
        struct entry entry;
        const char *wrong = list_entry(text, length, &at, &entry);

        if (wrong == NULL) {
            wrong = read_entry(&entry, &read);
        }
        if (wrong != NULL) {
            return wrong;
        }
    }
    *statuses = read;
    return NULL;
}

bool statuses_have(const struct statuses *statuses, int status) {
    return status >= STATUS_FIRST && status <= STATUS_LAST &&
           (statuses->bits[(status - STATUS_FIRST) / 64] >> (status - STATUS_FIRST) % 64 & 1) != 0;
}
