/*
** side.c: see side.h.
**
** The file is named as the dispatcher names it: by the real path of the database. It is opened
** read-only and nothing is written, with one exception that is SQLite's own: whoever reads a
** database in WAL mode first makes its -shm file, if he may.
** SPDX-License-Identifier: MIT
*/
#include "side.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SIDE_SCHEMA 2
#define PATIENCE 100 /* ms: the dispatcher's own locks are shorter */

struct head {
    int schema;
    sqlite3_int64 cursor;
    bool foreign; /* has another token than the database */
};

/* Reads what has to be known before anything else. */
static int read_head(sqlite3 *db, sqlite3 *side, struct head *head) {
    sqlite3_stmt *read = NULL, *own = NULL;
    int rc = sqlite3_prepare_v2(side,
                                "SELECT (SELECT value FROM meta WHERE name = 'schema'),"
                                " (SELECT value FROM meta WHERE name = 'cursor'),"
                                " (SELECT value FROM meta WHERE name = 'token')",
                                -1, &read, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(db, "SELECT value FROM main.resthook_meta WHERE name = 'token'", -1,
                                &own, NULL);
    }
    if (rc == SQLITE_OK && sqlite3_step(read) == SQLITE_ROW) {
        head->schema = sqlite3_column_int(read, 0);
        head->cursor = sqlite3_column_int64(read, 1);
        if (sqlite3_step(own) == SQLITE_ROW) {
            const char *ours = (const char *)sqlite3_column_text(own, 0);
            const char *its = (const char *)sqlite3_column_text(read, 2);

            head->foreign = ours != NULL && its != NULL && strcmp(ours, its) != 0;
        }
    }
    (void)sqlite3_finalize(own);
    return sqlite3_finalize(read) != SQLITE_OK && rc == SQLITE_OK ? sqlite3_errcode(side) : rc;
}

static int open_and_read(sqlite3 *db, const char *path, sqlite3 **side, struct head *head) {
    int rc = sqlite3_open_v2(path, side, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_timeout(*side, PATIENCE);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(*side, "BEGIN", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? read_head(db, *side, head) : rc;
}

/* Opening what is no file, a pipe say, could wait for ever; a link could lead to another one's. */
static const char *what_it_is(const char *path) {
    struct stat info;

    if (lstat(path, &info) != 0) {
        return "none: no dispatcher has run for this database yet";
    }
    return S_ISREG(info.st_mode) ? NULL : "it is not a file";
}

int side_open(sqlite3 *db, sqlite3 **side, sqlite3_int64 *cursor, char **why) {
    const char *file = sqlite3_db_filename(db, "main");
    char *real = file != NULL && *file != '\0' ? realpath(file, NULL) : NULL;
    char *path = real != NULL ? sqlite3_mprintf("%s-resthook", real) : NULL;
    struct head head = {0};
    const char *what = NULL;
    int rc = SQLITE_NOTFOUND;

    *side = NULL;
    *cursor = 0;
    *why = NULL;
    if (real == NULL) {
        *why = sqlite3_mprintf("none: the database has no file of its own");
    } else if (path == NULL) {
        rc = SQLITE_NOMEM;
    } else if ((what = what_it_is(path)) != NULL && strncmp(what, "none", 4) == 0) {
        *why = sqlite3_mprintf("%s", what);
    } else if (what != NULL) {
        rc = SQLITE_ERROR;
        *why = sqlite3_mprintf("%s can't be read: %s", path, what);
    } else {
        rc = open_and_read(db, path, side, &head);
        if (rc != SQLITE_OK) {
            *why = sqlite3_mprintf("%s can't be read: %s", path,
                                   *side != NULL ? sqlite3_errmsg(*side) : sqlite3_errstr(rc));
        } else if (head.schema != SIDE_SCHEMA) {
            rc = SQLITE_ERROR;
            *why =
                sqlite3_mprintf("%s can't be read: its schema is version %d, this program knows %d",
                                path, head.schema, SIDE_SCHEMA);
        } else if (head.foreign) {
            rc = SQLITE_ERROR;
            *why = sqlite3_mprintf("%s belongs to another database: a copy or a restore that waits "
                                   "for resthookd --adopt",
                                   path);
        }
        *cursor = head.cursor;
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

sqlite3_int64 side_touched(sqlite3 *side) {
    const char *path = sqlite3_db_filename(side, "main");
    struct stat info;

    return path != NULL && stat(path, &info) == 0
               ? (sqlite3_int64)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000
               : 0;
}
