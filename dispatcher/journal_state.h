/*
** journal_state.h: what the two rooms of the journal share: journal_file.c (the file) and journal.c
** (what is written and read in it). Nobody else includes this.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_JOURNAL_STATE_H
#define RESTHOOKD_JOURNAL_STATE_H

#include "journal.h"

struct journal {
    struct db db;
    bool is_new;
    int schema;       /* version found, 0: new */
    bool full;        /* synchronous is FULL now */
    bool long_enough; /* its WAL, to be copied (journal_tidy) */
    bool is_long;     /* it is worth copying */
    bool left;        /* to somebody else: here only if it is far too long */
    char error[256];
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *meta_get, *meta_set, *known, *subscription, *event_name;
    sqlite3_stmt *put, *mark, *keep, *recorded, *due, *due_probe, *fetch, *open_of, *open_any,
        *newest, *replay, *cancel;
    sqlite3_stmt *anchor_add, *anchor_trim;
    sqlite3_stmt *filtered;
};

/* journal.c */
void journal_prepare(struct journal *journal); /* once the schema is there */

#endif
