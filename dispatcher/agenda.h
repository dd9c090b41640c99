/*
** agenda.h: which subscription's rows are due next: in order of the time. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_AGENDA_H
#define RESTHOOKD_AGENDA_H

#include "rest.h"
#include "subscription.h"

struct agenda {
    struct rests subs; /* until something of them is due */
};

void agenda_free(struct agenda *agenda);
/* The subscription has rows due at `due`; NEVER takes it out. */
void agenda_set(struct agenda *agenda, struct sub *sub, int64_t due);
int64_t agenda_due(const struct sub *sub); /* NEVER: it is not in it */
/* The one that is due first; NULL: none. It stays until agenda_set moves it. */
struct sub *agenda_first(const struct agenda *agenda);

#endif
