/*
** keys.h: which ordering keys of one subscription the pairs in memory have. Pure.
**
** Only keys that something in memory has are here: what waits in rows is found in the side file.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_KEYS_H
#define RESTHOOKD_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keys;

struct key {
    struct keys *keys;
    char *text;
    int pairs;       /* that have it */
    int open;        /* of these, not finished: waiting to be sent, or in flight */
    int64_t visited; /* by the commit of this number: a key is looked at once in each */
    struct key *next;
};

/* One more pair has this key. *keys is made with the first. */
struct key *key_enter(struct keys **keys, const char *text);
void key_close(struct key *key); /* a pair of it is finished, and not yet recorded */
/* A pair of it goes; finished: it was closed. The key goes with the last. */
void key_leave(struct key *key, bool finished);
const struct key *keys_find(const struct keys *keys, const char *text); /* NULL: nobody has it */
size_t keys_count(const struct keys *keys);
void keys_free(struct keys *keys); /* nobody has any; NULL is fine */

#endif
