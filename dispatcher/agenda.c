/*
** agenda.c: see agenda.h. A binary heap; sub->heap is the sub's place in it, so that it can be
** moved.
** SPDX-License-Identifier: MIT
*/
#include "agenda.h"

#include <stdlib.h>

#include "memory.h"

void agenda_free(struct agenda *agenda) {
    free(agenda->heap);
    *agenda = (struct agenda){0};
}

static void put(struct agenda *agenda, size_t place, struct sub *sub) {
    agenda->heap[place] = sub;
    sub->heap = place;
}

static size_t rise(struct agenda *agenda, size_t place, struct sub *sub) {
    while (place > 1 && agenda->heap[place / 2]->next_due > sub->next_due) {
        put(agenda, place, agenda->heap[place / 2]);
        place /= 2;
    }
    return place;
}

static size_t sink(struct agenda *agenda, size_t place, struct sub *sub) {
    for (;;) {
        size_t child = place * 2;

        if (child + 1 <= agenda->count &&
            agenda->heap[child + 1]->next_due < agenda->heap[child]->next_due) {
            child++;
        }
        if (child > agenda->count || agenda->heap[child]->next_due >= sub->next_due) {
            return place;
        }
        put(agenda, place, agenda->heap[child]);
        place = child;
    }
}

static void settle_at(struct agenda *agenda, size_t place, struct sub *sub) {
    place = rise(agenda, place, sub);
    put(agenda, sink(agenda, place, sub), sub);
}

void agenda_set(struct agenda *agenda, struct sub *sub, int64_t due) {
    size_t place = sub->heap;

    sub->next_due = due;
    if (due != NEVER) {
        if (place == 0) {
            place = ++agenda->count;
            if (place >= agenda->room) {
                agenda->room = agenda->room * 2 + 16;
                agenda->heap = xrealloc(agenda->heap, agenda->room * sizeof *agenda->heap);
            }
        }
        settle_at(agenda, place, sub);
    } else if (place != 0) {
        struct sub *last = agenda->heap[agenda->count--];

        sub->heap = 0;
        if (last != sub) {
            settle_at(agenda, place, last);
        }
    }
}

struct sub *agenda_first(const struct agenda *agenda) {
    return agenda->count > 0 ? agenda->heap[1] : NULL;
}
