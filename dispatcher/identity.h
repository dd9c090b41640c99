/*
** identity.h: one owner, no clones: may this process send for this database?
**
** A database and its side file carry the same random token, and the side file the database's real
** path. What doesn't fit together is held: a copy or a restored file sends nothing until the
** operator says so (--adopt).
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_IDENTITY_H
#define RESTHOOKD_IDENTITY_H

#include "journal.h"

enum adopt { ADOPT_NO, ADOPT_SEND, ADOPT_SKIP };

/*
** Takes the database for this process: finds its real path and locks a byte of the file itself, far
** outside SQLite's own lock bytes, by an open-file-description lock, so that links and second
** processes meet the same lock. Returns the real path (the caller frees it) and in *lock a
** descriptor that has to stay open as long as any SQLite connection of this process to the file:
** closing it drops their locks. One that is given, of this file and not -1, is used. NULL: *error
** (one line) and *status, the exit status.
*/
char *identity_take(const char *path, int *lock, char **error, int *status);

/* Is it a database with our schema that can be worked on? NULL: it is. Otherwise one line, and
** *status. */
char *identity_inspect(const char *path, int *status);

/*
** Only compares: NULL, they fit, or nothing was ever sent. Otherwise what identity_settle would say
** without --adopt, one line, and *status. Writes nothing and makes no side file.
*/
char *identity_compare(const char *path, int *status);

/*
** Compares, begins or (adopt) renews the identity. Returns the token (the caller frees it); NULL:
** *error and *status: held, or it can't be written.
*/
char *identity_settle(const char *path, struct journal *journal, enum adopt adopt, int64_t now,
                      char **error, int *status);

/*
** The newest event that the side file knows (by an anchor or a delivery) and app.db still has
** unchanged, and when that was captured: what is known of events up to it is true of this file.
** 0: there is none.
*/
int64_t identity_common_past(struct db *app, struct journal *journal, int64_t *created_at);

/* The machine's boot id; "" where there is none. out has 40 bytes. */
void identity_boot(char *out);

#endif
