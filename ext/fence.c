/*
** fence.c: the rules for SQL that a database file brings along (the expressions of a watch, the
** text of a table). A file may be somebody else's: whoever writes it must not get at the machine of
** whoever reads it.
**
** Both hooks are single-slot in a connection, so they are used on connections of our own only: see
** blueprint.c, evaluate.c and filter.c. Installing an authorizer also makes every statement of its
** connection compile again.
** SPDX-License-Identifier: MIT
*/
#include "fence.h"

#include <string.h>

#define STRIDE 1000 /* steps between two looks at the clock */

static bool begins(const char *name, const char *prefix) {
    return sqlite3_strnicmp(name, prefix, (int)strlen(prefix)) == 0;
}

static bool is_one_of(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (sqlite3_stricmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool fence_function(const char *name) {
    static const char *const refused[] = {"load_extension", "readfile", "writefile", "edit",
                                          "fts3_tokenizer", "lsmode",   "eval"};

    return !begins(name, "resthook_") &&
           !is_one_of(name, refused, sizeof refused / sizeof refused[0]);
}

static bool may_read(const char *table, const char *database) {
    static const char *const refused[] = {"fsdir",      "zipfile",  "dbstat",
                                          "completion", "bytecode", "tables_used"};

    return !begins(table, "resthook_") && !begins(table, "sqlite_") && !begins(table, "pragma_") &&
           !is_one_of(table, refused, sizeof refused / sizeof refused[0]) &&
           (database == NULL || strcmp(database, "main") == 0);
}

int fence_reader(void *context, int action, const char *first, const char *second,
                 const char *database, const char *inner) {
    (void)context;
    (void)inner;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: /* the step limit ends it */
        return SQLITE_OK;
    case SQLITE_READ:
        return first == NULL || may_read(first, database) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        return second == NULL || fence_function(second) ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

bool fence_possible(void) {
#ifndef SQLITE_CORE
    return sqlite3_set_authorizer != NULL;
#else
    return true;
#endif
}

static int tick(void *context) {
    struct fence *fence = context;

    return fence->left-- <= 0;
}

/* A host's SQLite may be built with SQLITE_OMIT_PROGRESS_CALLBACK, as better-sqlite3's is: then its
** interface has nothing in this place. */
bool fence_counts(void) {
#ifdef SQLITE_CORE
    return true;
#else
    return sqlite3_progress_handler != NULL;
#endif
}

static void count_steps(sqlite3 *db, int stride, int (*call)(void *), void *context) {
    if (fence_counts()) {
        sqlite3_progress_handler(db, stride, call, context);
    }
}

void fence_up(struct fence *fence, sqlite3 *db) {
    fence->db = db;
    fence->left = FENCE_STEPS / STRIDE;
    fence->length = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1);
    if (fence->length > FENCE_LENGTH) {
        (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, FENCE_LENGTH);
    }
    count_steps(db, STRIDE, tick, fence);
}

bool fence_down(struct fence *fence) {
    count_steps(fence->db, 0, NULL, NULL);
    (void)sqlite3_limit(fence->db, SQLITE_LIMIT_LENGTH, fence->length);
    return fence->left < 0;
}

int fence_taken(const struct fence *fence) {
    return FENCE_STEPS / STRIDE - (fence->left > 0 ? fence->left : 0);
}
