/*
** generated.h: VIRTUAL generated columns, computed from the captured columns of a row.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_GENERATED_H
#define RESTHOOK_GENERATED_H

#include <stdbool.h>

#include "sqlite.h"

struct generated;

/*
** Makes a private, empty table from its CREATE TABLE text; virtuals are the columns to compute.
** Returns SQLITE_OK, or the code and *error (sqlite3_free it) when the text needs something that
** only the application has.
*/
int generated_open(sqlite3 *like, const char *table, const char *table_sql, char *const *virtuals,
                   int count, struct generated **out, char **error);
void generated_free(struct generated *generated);

/* The table's columns in order, all of them; NULL behind the last. */
const char *generated_column(const struct generated *generated, int i);

/*
** Begins a row: the captured values are set one by one (by the column's name; unknown names are
** passed over), then generated_compute returns a statement whose columns are the virtual ones, good
** until the next row begins, or NULL when an expression fails: generated_error says why.
*/
void generated_begin(struct generated *generated);
void generated_set(struct generated *generated, const char *column, sqlite3_stmt *row, int i);
sqlite3_stmt *generated_compute(struct generated *generated);
const char *generated_error(const struct generated *generated);

#endif
