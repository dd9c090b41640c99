/*
** agenda.c: see agenda.h.
** SPDX-License-Identifier: MIT
*/
#include "agenda.h"

#include <stddef.h>

void agenda_free(struct agenda *agenda) {
    rests_free(&agenda->subs);
}

void agenda_set(struct agenda *agenda, struct sub *sub, int64_t due) {
    if (due != NEVER) {
        rest_begin(&agenda->subs, &sub->due, due);
    } else {
        rest_end(&agenda->subs, &sub->due);
    }
}

int64_t agenda_due(const struct sub *sub) {
    return sub->due.place != 0 ? sub->due.until : NEVER;
}

struct sub *agenda_first(const struct agenda *agenda) {
    struct rest *first = rest_first(&agenda->subs);

    return first != NULL ? (struct sub *)(void *)((char *)first - offsetof(struct sub, due)) : NULL;
}
