/*
** share.c: see share.h.
** SPDX-License-Identifier: MIT
*/
#include "share.h"

#include <limits.h>
#include <stdlib.h>

#include "memory.h"

struct share *share_of(struct shares *shares, struct source *source) {
    struct share *share;

    SLIST_FOREACH(share, shares, links) {
        if (share->source == source) {
            break;
        }
    }
    if (share == NULL) {
        share = xcalloc(1, sizeof *share);
        share->source = source;
        TAILQ_INIT(&share->parked);
        SLIST_INSERT_HEAD(shares, share, links);
    }
    share->lines++;
    return share;
}

void share_drop(struct shares *shares, struct share *share) {
    if (--share->lines == 0) {
        SLIST_REMOVE(shares, share, share, links);
        free(share);
    }
}

int share_room(const struct shares *shares, const struct share *share, int left) {
    if (SLIST_NEXT(SLIST_FIRST(shares), links) == NULL) {
        return INT_MAX; /* it is alone */
    }
    return share->unproven == 0 && left < 1 ? 1 : left - share->unproven;
}
