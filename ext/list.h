/*
** list.h: the entries of a text such as "0, 5s, 5m": separated by commas with or without spaces around
** them. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_LIST_H
#define RESTHOOK_LIST_H

#include <stddef.h>

struct entry {
    const char *text; /* without the spaces around it */
    size_t length;
};

/*
** The entry that begins at *at, which then is where the next one begins, or beyond the length when
** there is none: for (size_t at = 0; at <= length;). Returns NULL and fills *entry, or what is
** wrong, a constant text: "is empty", "has an empty entry".
*/
const char *list_entry(const char *text, size_t length, size_t *at, struct entry *entry);

#endif
