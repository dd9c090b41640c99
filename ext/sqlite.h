/*
** sqlite.h: which SQLite a room of ext/ is compiled for: the host's, through the extension's table
** of functions, or (SQLITE_CORE) the one it is linked with. resthook.c alone holds the table.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_SQLITE_H
#define RESTHOOK_SQLITE_H

#ifdef SQLITE_CORE
#include <sqlite3.h>
#else
#include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;
#endif

#endif
