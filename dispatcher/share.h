/*
** share.h: what one source (a database) may have of the places for lines that have not proven
** themselves: so that one with many targets that hang leaves room for every other one's new target.
**
** As many as are left over by all together: one that takes what it can has half of them, two have a
** third each, and so on; there is always something left. A source that is alone, and lines that are
** good, are not bounded. What line.c and endpoint.c share, like endpoint.h.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SHARE_H
#define RESTHOOKD_SHARE_H

#include "line.h"

TAILQ_HEAD(lines, line);

struct share {
    struct source *source;
    int lines;
    int unproven;        /* places that doubtful and new ones of them have */
    struct lines parked; /* of them, what could send if the share had room */
    SLIST_ENTRY(share) links;
};
SLIST_HEAD(shares, share);

/* Made if the source has none. share_drop when a line of it is closed. */
struct share *share_of(struct shares *shares, struct source *source);
void share_drop(struct shares *shares, struct share *share);
/* How many places more it may have of `left`, which are those that nobody has. */
int share_room(const struct shares *shares, const struct share *share, int left);

#endif
