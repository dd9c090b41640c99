/*
** linear.h: instr(), replace() and trim() of SQL, in a time that grows with what they read.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_LINEAR_H
#define RESTHOOK_LINEAR_H

#include "sqlite.h"

/* Puts them in the place of SQLite's, on a connection of our own. Returns SQLITE_OK, or the code. */
int linear_install(sqlite3 *db);

#endif
