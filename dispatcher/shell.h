/*
** shell.h: the commands that send nothing: `resthookd sql` and `resthookd check`.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SHELL_H
#define RESTHOOKD_SHELL_H

#include <stdbool.h>

#include "guard.h"

/* Runs SQL (NULL: standard input) in a connection that has the resthook functions; prints rows as
** a|b. Returns the exit status: 0, or 1 with the error on standard error. The database is created
** if it isn't there, as by sqlite3. */
int shell_sql(const char *path, const char *sql);

/* Prints what a dispatcher would find: schema, journal mode, permissions, identity, watches,
** targets, and whether the secrets in files can be read (secrets: their directory, NULL: none).
** Returns the exit status that `run` would end with, or 0. */
int shell_check(const char *path, const struct guard *guard, bool allow_http, const char *secrets);

#endif
