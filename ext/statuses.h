/*
** statuses.h: the rule for a set of HTTP statuses, "429, 5xx": which ones are tried again. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_STATUSES_H
#define RESTHOOK_STATUSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_FIRST 300
#define STATUS_LAST 599

struct statuses {
    uint64_t bits[(STATUS_LAST - STATUS_FIRST) / 64 + 1]; /* bit i: STATUS_FIRST + i */
};

/*
** Reads "408, 429, 5xx": statuses from 300 to 599, or 3xx, 4xx, 5xx for a hundred of them, separated
** by commas with or without spaces around them. 410 is refused by itself, since it always ends the
** subscription (4xx may be said all the same). Returns NULL and fills *statuses, or what is wrong, a
** constant text ("has an empty entry").
*/
const char *statuses_parse(const char *text, size_t length, struct statuses *statuses);
/* Any status; one out of the bounds is in no set. */
bool statuses_have(const struct statuses *statuses, int status);

#endif
