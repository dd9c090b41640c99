/*
** watches.h: the versions of watches that a database's rows are of, each made ready once, on the
** connection that reads the rows, as long as the schema stays as it is.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_WATCHES_H
#define RESTHOOKD_WATCHES_H

#include "db.h"
#include "expand.h"

#define WATCH_BUCKETS 256

struct watch {
    int64_t id;
    struct expander *expander; /* NULL: it could not be made ready … */
    char *error;               /* … for this reason, or since it is not there (NULL) */
    char *event; /* known also when the expander is NULL, if the version is there and names one */
    struct watch *next;
};

struct watches {
    struct db *db;
    sqlite3_stmt *event;
    struct watch *bucket[WATCH_BUCKETS];
};

void watches_open(struct watches *watches, struct db *db); /* watches is zeroed */
void watches_forget(struct watches *watches); /* the schema has changed, or the end has come */

/* Good until they are forgotten. NULL: it can't be read now, db says why. */
const struct watch *watch_of(struct watches *watches, int64_t id);

#endif
