/*
** side.h: the dispatcher's own file beside the database (app.db-resthook), as the extension reads
** it: for one query, and nothing but reading.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_SIDE_H
#define RESTHOOK_SIDE_H

#include "sqlite.h"

/*
** Opens the side file of db's main database on a private connection, begins to read it, and tells
** up to which event it knows everything (its cursor). Returns SQLITE_OK; SQLITE_NOTFOUND when there
** is none, which is no error: no dispatcher has run yet, or the database has no file; otherwise the
** code. *why (sqlite3_free it) says in words what there is instead of a side file; *side is NULL
** then. The caller closes *side.
*/
int side_open(sqlite3 *db, sqlite3 **side, sqlite3_int64 *cursor, char **why);

/* When the file was last touched, ms since 1970: the dispatcher's sign of life for a database that
** it keeps closed. 0: not known. */
sqlite3_int64 side_touched(sqlite3 *side);

#endif
