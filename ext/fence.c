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
#include <time.h>

#define STRIDE 100 /* steps between two looks at the clock */
#define NANOSECONDS 1000000000

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

/* Of the thread, not of the day: a busy machine is no reason to stop. */
static int64_t processor_time(void) {
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

_Static_assert(FENCE_STEPS == 1000000 && FENCE_SECONDS == 2, "the texts below say so");

static int tick(void *context) {
    struct fence *fence = context;
    int64_t now = processor_time();

    if (fence->ends == 0) { /* most end before the first tick, and cost no look at the clock */
        fence->ends = now + (int64_t)FENCE_SECONDS * NANOSECONDS;
    }
    if (fence->left-- <= 0) {
        fence->met = "more than 1,000,000 steps";
    } else if (now > fence->ends) {
        fence->met = "more than 2 seconds of the processor";
    }
    return fence->met != NULL;
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

static int lower_limit(sqlite3 *db, int which, int most) {
    int own = sqlite3_limit(db, which, -1);

    if (own > most) {
        (void)sqlite3_limit(db, which, most);
    }
    return own;
}

void fence_up(struct fence *fence, sqlite3 *db, int length) {
    *fence = (struct fence){.db = db, .left = FENCE_STEPS / STRIDE};
    fence->length = lower_limit(db, SQLITE_LIMIT_LENGTH, length);
    fence->pattern = lower_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, FENCE_PATTERN);
    count_steps(db, STRIDE, tick, fence);
}

const char *fence_down(struct fence *fence) {
    count_steps(fence->db, 0, NULL, NULL);
    (void)sqlite3_limit(fence->db, SQLITE_LIMIT_LENGTH, fence->length);
    (void)sqlite3_limit(fence->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, fence->pattern);
    return fence->met;
}

int fence_taken(const struct fence *fence) {
    return (FENCE_STEPS - (fence->left > 0 ? fence->left : 0) * STRIDE) / 1000;
}
