/*
** rest.h: who rests until a time, in order of the time: a heap whose entries lie in what rests.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_REST_H
#define RESTHOOKD_REST_H

#include <stddef.h>
#include <stdint.h>

/* All zero: doesn't rest. */
struct rest {
    int64_t until;
    size_t place; /* in the heap; 0: it doesn't rest */
};

struct rests {
    struct rest **heap; /* from 1 */
    size_t count, room;
};

/* It rests until then, whether it rests already or not. */
void rest_begin(struct rests *rests, struct rest *rest, int64_t until);
void rest_end(struct rests *rests, struct rest *rest); /* if it does */
struct rest *rest_first(const struct rests *rests);    /* the earliest; NULL: nobody rests */
void rests_free(struct rests *rests);

#endif
