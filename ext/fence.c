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

#define STRIDE                                                                                     \
    25 /* steps between two looks at the clock: each may be a call that takes half a second */
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
    /* json_patch() compares all names of one object with all of the other: with a mebibyte of them
    ** one call, which nothing interrupts, takes minutes. optimize() of FTS3 and 4 writes. */
    static const char *const refused[] = {"load_extension", "readfile", "writefile",
                                          "edit",           "eval",     "fts3_tokenizer",
                                          "lsmode",         "optimize", "json_patch"};

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

static int64_t time_of(clockid_t clock) {
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

/*
** By the thread's time, not the day's: a busy machine is no reason to stop. That one is dear to ask
** for, and no more of it has passed than of the day's.
*/
static bool has_taken_long(struct fence *fence) {
    const int64_t most = (int64_t)FENCE_SECONDS * NANOSECONDS;
    int64_t now = time_of(CLOCK_MONOTONIC);

    if (fence->since == 0) { /* most end before the first tick, and cost no look at the clock */
        fence->since = now;
        fence->since_by_thread = time_of(CLOCK_THREAD_CPUTIME_ID);
    }
    return now - fence->since > most &&
           time_of(CLOCK_THREAD_CPUTIME_ID) - fence->since_by_thread > most;
}

_Static_assert(FENCE_STEPS == 1000000 && FENCE_SECONDS == 2, "the texts below say so");

static int tick(void *context) {
    struct fence *fence = context;

    if (fence->left-- <= 0) {
        fence->met = "more than 1,000,000 steps";
    } else if (has_taken_long(fence)) {
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

int fence_length(int room, size_t largest) {
    return largest < (size_t)(FENCE_LENGTH - room) / 2 ? room + 2 * (int)largest : FENCE_LENGTH;
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
