/*
** pace.c: see pace.h. The bucket is kept as a time (as in the generic cell rate algorithm): that at
** which it would be full.
** SPDX-License-Identifier: MIT
*/
#include "pace.h"

#define SECOND 1000000 /* µs */
#define BUCKET 10      /* of a second's worth, a tenth */

void pace_set(struct pace *pace, double rate) {
    int64_t interval = rate > 0 ? (int64_t)(SECOND / rate + 0.999) : 0;

    if (interval != pace->interval) {
        *pace = (struct pace){.interval = interval};
        pace->ahead = interval < SECOND / BUCKET ? SECOND / BUCKET - interval : 0;
    }
}

int64_t pace_take(struct pace *pace, int64_t now) {
    int64_t at = now * 1000;

    if (pace->interval == 0) {
        return 0;
    }
    /* It is never further ahead than this, unless the clock was set back. */
    if (pace->next < at || pace->next > at + pace->ahead + pace->interval) {
        pace->next = at;
    }
    pace->next += pace->interval;
    return pace->next - pace->ahead <= at ? 0 : (pace->next - pace->ahead + 999) / 1000;
}
