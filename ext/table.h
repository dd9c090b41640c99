/*
** table.h: a table of the application, as a watch needs to know it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_TABLE_H
#define RESTHOOK_TABLE_H

#include <stdbool.h>

#include "sqlite.h"

enum column_kind { COLUMN_PLAIN, COLUMN_VIRTUAL, COLUMN_STORED };

struct table_column {
    char *name;
    enum column_kind kind;
    int key; /* place in the primary key, 0: not part of it */
};

struct table {
    char *name; /* as the schema spells it */
    char *sql;  /* its CREATE TABLE */
    struct table_column *columns;
    int count;
    int key_count;     /* columns of the primary key */
    bool key_is_rowid; /* the primary key is an INTEGER PRIMARY KEY */
    const char
        *rowid; /* without a primary key: the name the rowid is reached by; NULL: there is none */
};

/*
** Describes an ordinary table of the main database, whose name is found in any case. Returns
** SQLITE_OK, or the code; SQLITE_ERROR with *error when it can't be watched: there is none, or it
** is another kind of thing.
*/
int table_describe(sqlite3 *db, const char *name, struct table *table, char **error);
void table_free(struct table *table);

/* The column of that name, in any case; NULL: there is none. */
const struct table_column *table_column(const struct table *table, const char *name);

#endif
