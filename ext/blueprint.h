/*
** blueprint.h: a private, empty copy of a database's schema, to try expressions on.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_BLUEPRINT_H
#define RESTHOOK_BLUEPRINT_H

#include "sqlite.h"

/*
** Makes the copy of what db's main schema is at this moment, uncommitted changes included. The
** caller closes it (sqlite3_close). Statements prepared on it are under fence_reader; "text" in
** double quotes is never a string there. Returns SQLITE_OK, or the code, with *copy NULL and, where
** there is one, a text to be freed with sqlite3_free in *error.
*/
int blueprint_open(sqlite3 *db, sqlite3 **copy, char **error);

#endif
