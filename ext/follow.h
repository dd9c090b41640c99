/*
** follow.h: a watch's row as it must read after its table's columns were renamed.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FOLLOW_H
#define RESTHOOK_FOLLOW_H

#include <stdbool.h>

#include "sqlite.h"
#include "table.h"

/* A captured column: as its version has it, and as the version's trigger spells it now. */
struct rename {
    bool rowid; /* it is none, and has no names */
    char *was;
    char *now;
};

struct followed {
    struct rename *columns; /* one a captured value */
    int count;
    bool collides; /* a column got the name of one that is gone: who is who is not to be known */
    bool renamed;  /* one at least is called otherwise */
    /* What the version has, with the new names; NULL where it has none. */
    char *of;
    char *changed;
    char *options;
};

/* The texts of a version that the names stand in. trigger NULL: it is gone, and nothing is known. */
struct followable {
    const char *captured, *of, *changed, *options, *trigger;
};

/*
** Reads what ALTER TABLE RENAME COLUMN did to the trigger, and does it to the rest. Returns
** SQLITE_OK, or the code; free what came out in any case.
*/
int follow(sqlite3 *db, const struct followable *version, struct followed *followed);
void followed_free(struct followed *followed);

/* Does the trigger read a column that the table no longer has? It sees NULL there. */
bool followed_lost(const struct followed *followed, const struct table *table);

#endif
