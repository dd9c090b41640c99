/*
** side.c: see side.h.
**
** The file is named as the dispatcher names it: by the real path of the database. It is opened
** read-only and nothing is written, with one exception that is SQLite's own: whoever reads a
** database in WAL mode first makes its -shm file, if he may.
** SPDX-License-Identifier: MIT
*/
#include "side.h"

#include <stdlib.h>
#include <unistd.h>

#define SIDE_SCHEMA 1
#define PATIENCE 100 /* ms: the dispatcher's own locks are shorter */

/* Reads what has to be known before anything else. */
static int read_head(sqlite3 *side, int *schema, sqlite3_int64 *cursor) {
    sqlite3_stmt *read = NULL;
    int rc = sqlite3_prepare_v2(side,
                                "SELECT (SELECT value FROM meta WHERE name = 'schema'),"
                                " (SELECT value FROM meta WHERE name = 'cursor')",
                                -1, &read, NULL);

    if (rc == SQLITE_OK && sqlite3_step(read) == SQLITE_ROW) {
        *schema = sqlite3_column_int(read, 0);
        *cursor = sqlite3_column_int64(read, 1);
    }
    return rc == SQLITE_OK ? sqlite3_finalize(read) : rc;
}

static int open_and_read(const char *path, sqlite3 **side, int *schema, sqlite3_int64 *cursor) {
    int rc = sqlite3_open_v2(path, side, SQLITE_OPEN_READONLY, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_timeout(*side, PATIENCE);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(*side, "BEGIN", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? read_head(*side, schema, cursor) : rc;
}

int side_open(sqlite3 *db, sqlite3 **side, sqlite3_int64 *cursor, char **why) {
    const char *file = sqlite3_db_filename(db, "main");
    char *real = file != NULL && *file != '\0' ? realpath(file, NULL) : NULL;
    char *path = real != NULL ? sqlite3_mprintf("%s-resthook", real) : NULL;
    int schema = 0;
    int rc = SQLITE_NOTFOUND;

    *side = NULL;
    *cursor = 0;
    *why = NULL;
    if (real == NULL) {
        *why = sqlite3_mprintf("none: the database has no file of its own");
    } else if (path == NULL) {
        rc = SQLITE_NOMEM;
    } else if (access(path, F_OK) != 0) {
        *why = sqlite3_mprintf("none: no dispatcher has run for this database yet");
    } else {
        rc = open_and_read(path, side, &schema, cursor);
        if (rc != SQLITE_OK) {
            *why = sqlite3_mprintf("%s can't be read: %s", path,
                                   *side != NULL ? sqlite3_errmsg(*side) : sqlite3_errstr(rc));
        } else if (schema != SIDE_SCHEMA) {
            rc = SQLITE_ERROR;
            *why =
                sqlite3_mprintf("%s can't be read: its schema is version %d, this program knows %d",
                                path, schema, SIDE_SCHEMA);
        }
    }
    if (rc != SQLITE_OK) {
        (void)sqlite3_close(*side); /* NULL is fine */
        *side = NULL;
        *cursor = 0;
    }
    free(real);
    sqlite3_free(path);
    return rc;
}
