/*
** condition.h: the statement that asks a subscription's filter about one event.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_CONDITION_H
#define RESTHOOK_CONDITION_H

#include <stdbool.h>

#include "definition.h"
#include "render.h"

struct condition {
    const char *text;
    const struct definition *d; /* NULL: of emitted events, there is no row */
    bool with_virtual;          /* NEW and OLD have the VIRTUAL generated columns too */
    /* What parameters 1, 2 … are: captured value i is i, virtual column i is width + i of NEW, width
    ** + virtual_count + i of OLD. Room for them all; NULL: the filter is only tried, every value is
    ** NULL and the payload {}. Behind them come the payload and the event's name. */
    int *sources;
    int count; /* filled in */
};

/* Appends the statement: it has a row if the filter is true. */
void condition_write(struct condition *condition, struct buffer *out);

#endif
