/*
** list.c: see list.h.
** SPDX-License-Identifier: MIT
*/
#include "list.h"

const char *list_entry(const char *text, size_t length, size_t *at, struct entry *entry) {
    size_t start = *at, end = start;

    while (end < length && text[end] != ',') {
        end++;
    }
    *at = end + 1;
    while (start < end && text[start] == ' ') {
        start++;
    }
    while (start < end && text[end - 1] == ' ') {
        end--;
    }
    *entry = (struct entry){text + start, end - start};
    if (entry->length > 0) {
        return NULL;
    }
    return length == 0 ? "is empty" : "has an empty entry";
}
