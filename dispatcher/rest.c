/*
** rest.c: see rest.h.
** SPDX-License-Identifier: MIT
*/
#include "rest.h"

#include <stdlib.h>

#include "memory.h"

void rests_free(struct rests *rests) {
    free(rests->heap);
    *rests = (struct rests){0};
}

static void put(struct rests *rests, size_t place, struct rest *rest) {
    rests->heap[place] = rest;
    rest->place = place;
}

static void settle(struct rests *rests, size_t place, struct rest *rest) {
    while (place > 1 && rests->heap[place / 2]->until > rest->until) {
        put(rests, place, rests->heap[place / 2]);
        place /= 2;
    }
    for (size_t child; (child = place * 2) <= rests->count; place = child) {
        if (child < rests->count && rests->heap[child + 1]->until < rests->heap[child]->until) {
            child++;
        }
        if (rests->heap[child]->until >= rest->until) {
            break;
        }
        put(rests, place, rests->heap[child]);
    }
    put(rests, place, rest);
}

void rest_begin(struct rests *rests, struct rest *rest, int64_t until) {
    if (rest->place == 0) {
        rest->place = ++rests->count;
        if (rests->count >= rests->room) {
            rests->room = rests->room * 2 + 16;
            rests->heap = xrealloc(rests->heap, rests->room * sizeof(struct rest *));
        }
    }
    rest->until = until;
    settle(rests, rest->place, rest);
}

void rest_end(struct rests *rests, struct rest *rest) {
    struct rest *last;

    if (rest->place == 0) {
        return;
    }
    last = rests->heap[rests->count--];
    if (last != rest) {
        settle(rests, rest->place, last);
    }
    rest->place = 0;
}

struct rest *rest_first(const struct rests *rests) {
    return rests->count > 0 ? rests->heap[1] : NULL;
}
