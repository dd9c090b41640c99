/*
** fence.h: what SQL that came out of a database file may do: read the application's tables, call
** harmless functions, and take so many steps.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FENCE_H
#define RESTHOOK_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sqlite.h"

#define FENCE_STEPS 1000000              /* of SQLite's virtual machine: some 50 ms */
#define FENCE_SECONDS 2                  /* of processor time, for steps that are large ones */
#define FENCE_LENGTH (256 * 1024 * 1024) /* bytes of a value, made or read, at the very most */
#define FENCE_ROOM (4 * 1024 * 1024) /* of them for what a watch's expression or a column makes */
#define FENCE_PATTERN 100            /* bytes of what LIKE and GLOB compare with */

/*
** An authorizer for reading: SELECT of tables that are not resthook_*, sqlite_* or virtual tables
** that look at the system; functions that fence_function allows; nothing else. The context is not
** used.
*/
int fence_reader(void *context, int action, const char *first, const char *second,
                 const char *database, const char *inner);
/* May this function be called? Not those that read or write files, load code, or are ours; and not
** those of which one call can take minutes. */
bool fence_function(const char *name);

/* May rules be put up at all? A host's SQLite built with SQLITE_OMIT_AUTHORIZATION has none: then
** nothing that a file brings along is run. */
bool fence_possible(void);
#define FENCE_IMPOSSIBLE                                                                           \
    "this SQLite was built without sqlite3_set_authorizer(), which expressions are checked by"

/* The limits of what is run. A fence that is up holds the connection's progress handler; it is put
** down by the same caller. In a host whose SQLite has no progress handler steps and time have no
** limit; the dispatcher's has one. A function that is called is not interrupted, so what one call can
** cost is bounded by the lengths. */
struct fence {
    sqlite3 *db;
    int left;      /* in strides */
    int64_t since; /* in ns; 0: nobody has looked at the clock yet */
    int64_t since_by_thread;
    const char *met;     /* the limit, in words; NULL: none */
    int length, pattern; /* the connection's own limits */
};
bool fence_counts(void); /* can steps be counted here? */
/* Bytes of a value that what is asked about an event may make or read: room for what it makes of its
** own, and twice the largest value of the event, since in UTF-16 that takes twice as many. */
int fence_length(int room, size_t largest);
/* length: bytes of a value, FENCE_LENGTH at most. */
void fence_up(struct fence *fence, sqlite3 *db, int length);
/* Returns the limit that was met, as "more than …", which then is why a statement was interrupted;
** NULL: none. */
const char *fence_down(struct fence *fence);
/* How many thousand steps were taken until it was put down. */
int fence_taken(const struct fence *fence);

#endif
