/*
** fence.h: what SQL that came out of a database file may do: read the application's tables, call
** harmless functions, and take so many steps.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FENCE_H
#define RESTHOOK_FENCE_H

#include <stdbool.h>

#include "sqlite.h"

#define FENCE_STEPS 1000000              /* of SQLite's virtual machine: some 50 ms */
#define FENCE_LENGTH (256 * 1024 * 1024) /* bytes of a value, made or read, while a fence is up */

/*
** An authorizer for reading: SELECT of tables that are not resthook_*, sqlite_* or virtual tables
** that look at the system; functions that fence_function allows; nothing else. The context is not
** used.
*/
int fence_reader(void *context, int action, const char *first, const char *second,
                 const char *database, const char *inner);
/* May this function be called? Not those that read or write files, load code, or are ours. */
bool fence_function(const char *name);

/* May rules be put up at all? A host's SQLite built with SQLITE_OMIT_AUTHORIZATION has none: then
** nothing that a file brings along is run. */
bool fence_possible(void);
#define FENCE_IMPOSSIBLE                                                                           \
    "this SQLite was built without sqlite3_set_authorizer(), which expressions are checked by"

/* The step limit. A fence that is up holds the connection's progress handler; it is put down by the
** same caller. In a host whose SQLite has no progress handler there is no limit of steps; the
** dispatcher's has one. */
struct fence {
    sqlite3 *db;
    int left;   /* in thousands of steps */
    int length; /* the connection's own limit */
};
bool fence_counts(void); /* can steps be counted here? */
void fence_up(struct fence *fence, sqlite3 *db);
/* Returns whether the limit was met, which then is why a statement was interrupted. */
bool fence_down(struct fence *fence);
/* How many thousand steps were taken until it was put down. */
int fence_taken(const struct fence *fence);

#endif
