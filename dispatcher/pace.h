/*
** pace.h: at most so many requests a second: a token bucket of a tenth of a second's worth, but of
** one at least, so that a slow pace is an even one and a fast one needs no finer clock than it has.
** Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_PACE_H
#define RESTHOOKD_PACE_H

#include <stdint.h>

/* All zero: no bound. */
struct pace {
    int64_t interval; /* µs from one to the next; 0: no bound */
    int64_t ahead;    /* µs that may be used up in advance: the bucket */
    int64_t next;     /* µs: when the next is due, were they evenly spaced */
};

/* Another rate, requests a second; 0: no bound. The same again changes nothing. */
void pace_set(struct pace *pace, double rate);
/* One is sent now (ms). Returns the time before which there may be no other; 0: at once. */
int64_t pace_take(struct pace *pace, int64_t now);

#endif
