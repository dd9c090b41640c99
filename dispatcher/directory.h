/*
** directory.h: which files of a directory (--dir) may be databases to deliver for.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_DIRECTORY_H
#define RESTHOOKD_DIRECTORY_H

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

/* The path, to be freed, of the next file whose name is not hidden and not that of a file beside a
** database (app.db-wal); NULL: there is no more. name: the directory's. */
char *directory_next(DIR *directory, const char *name);

/* Is it a file, and there by the will of whom we trust? Fills *info. */
bool directory_offers(const char *path, struct stat *info);

/* Is it an SQLite database? It is opened for that: never ask of one that is open by SQLite, since closing
** it would drop SQLite's locks (fcntl(2)). */
bool directory_has_database(const char *path);

#endif
