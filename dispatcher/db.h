/*
** db.h: the only door to SQLite in the dispatcher: opening, statements, and errors that stick.
**
** A db is one connection. The first error in it is kept and makes every further call do nothing
** until db_clear, so that a transaction is straight lines, checked once at its end. Statements are
** prepared once and kept.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_DB_H
#define RESTHOOKD_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DB_ENDLESS "it takes for ever: a table or a trigger in it is not resthook's own"

struct db {
    sqlite3 *handle;
    int rc; /* SQLITE_OK, or the first error */
    char error[256];
    sqlite3_stmt **kept; /* every statement prepared, for db_close */
    int count;
    int steps, steps_most; /* of the statement that runs, in millions */
    bool endless;          /* one took more: it stays so until the db is opened anew */
};

/*
** Before anything else is asked of SQLite: no two threads use one connection (the syncer has its own), and
** nobody asks how much memory it has, so it need not lock a connection or count (3 % of the instructions of
** a delivery, by make bench-check; what it locks besides, for there being two threads, none that is seen).
*/
void db_configure(void);

/*
** Opens an existing file for reading and writing. false: db->error says why; db_close it all the
** same. path is a real one, as identity_take gives it: a symbolic link that somebody puts in its
** place, or in that of a directory, is not followed to a file that he has no right to. guest: the
** file is the application's. Then closing takes no lock: SQLite's last connection would lock
** everybody out while it removes the WAL, and whoever opens the file in that moment without a busy
** timeout gets SQLITE_BUSY.
*/
bool db_open(struct db *db, const char *path, bool guest, int busy_timeout);
void db_close(struct db *db);
/*
** A step of a statement of ours takes some thousands of SQLite's own. In a file that somebody made
** for the purpose, a trigger or a view in the place of a table of ours could take for ever, and
** everyone with it: after a hundred million it is interrupted. patient: after two thousand million,
** for what may rightly be long (a migration, --adopt).
*/
void db_patient(struct db *db, bool patient);
void db_watch(
    struct db *db); /* after somebody else had the connection's progress handler (ext/fence.h) */
void db_clear(struct db *db); /* forgets the error */

/* Prepares a statement that lives as long as the db; NULL after an error. */
sqlite3_stmt *db_prepare(struct db *db, const char *sql);
bool db_exec(struct db *db, const char *sql); /* one or more statements, no rows */

/* Bind argument i (from 1). A text of NULL is NULL; it must live until the statement is reset. */
void db_int(struct db *db, sqlite3_stmt *statement, int i, int64_t value);
void db_text(struct db *db, sqlite3_stmt *statement, int i, const char *text);
void db_bytes(struct db *db, sqlite3_stmt *statement, int i, const char *text, size_t length);
void db_null(struct db *db, sqlite3_stmt *statement, int i);

/* Steps: true, a row; false, the end (it is reset) or an error. One that could not be prepared fails. */
bool db_row(struct db *db, sqlite3_stmt *statement);
void db_reset(sqlite3_stmt *statement);              /* ends it early; bindings are cleared */
bool db_run(struct db *db, sqlite3_stmt *statement); /* steps to the end and resets */
int64_t db_value(struct db *db, sqlite3_stmt *statement,
                 int64_t otherwise); /* first column of the first row, reset */

/* Of a code: not because of what is in the file, or of what is asked: the next try may succeed. */
bool db_is_passing(int rc);
/* Keeps a message as the error (rc SQLITE_ERROR) unless there is one already. */
void db_fail(struct db *db, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An SQLite column as text, NULL for NULL alone: SQLite's also says that there is no memory for it (in
** a database of UTF-16 it needs some for each), and what is there must not be taken for what is not. */
const char *db_string(sqlite3_stmt *statement, int column);
/* The same as a string of its own, NULL for NULL; the caller frees it. */
char *db_copy(sqlite3_stmt *statement, int column);

#endif
