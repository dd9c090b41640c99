/*
** db.c: see db.h.
** SPDX-License-Identifier: MIT
*/
#include "db.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "memory.h"

#define STRIDE 1000000 /* of steps between two looks */
#define MOST 100
#define MOST_PATIENT 2000

static bool note(struct db *db, int rc) {
    if (rc != SQLITE_OK && db->rc == SQLITE_OK) {
        db->rc = rc;
        snprintf(db->error, sizeof db->error, "%s",
                 db->endless && (rc & 0xff) == SQLITE_INTERRUPT ? DB_ENDLESS
                 : db->handle != NULL                           ? sqlite3_errmsg(db->handle)
                                                                : sqlite3_errstr(rc));
    }
    return db->rc == SQLITE_OK;
}

static int tick(void *context) {
    struct db *db = context;

    db->endless = db->endless || ++db->steps >= db->steps_most;
    return db->endless;
}

void db_watch(struct db *db) {
    sqlite3_progress_handler(db->handle, STRIDE, tick, db);
}

void db_patient(struct db *db, bool patient) {
    db->steps_most = patient ? MOST_PATIENT : MOST;
}

void db_configure(void) {
    (void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

bool db_open(struct db *db, const char *path, bool guest, int busy_timeout) {
    *db = (struct db){0};
    if (note(db, sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW,
                                 NULL))) {
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, guest, NULL);
        sqlite3_extended_result_codes(db->handle, 1);
        note(db, sqlite3_busy_timeout(db->handle, busy_timeout));
        db_patient(db, false);
        db_watch(db);
    }
    return db->rc == SQLITE_OK;
}

void db_close(struct db *db) {
    for (int i = 0; i < db->count; i++) {
        sqlite3_finalize(db->kept[i]);
    }
    free(db->kept);
    sqlite3_close_v2(db->handle);
    db->kept = NULL;
    db->count = 0;
    db->handle = NULL;
}

void db_clear(struct db *db) {
    db->rc = SQLITE_OK;
    db->error[0] = '\0';
}

bool db_is_passing(int rc) {
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
        return true;
    default:
        return false;
    }
}

void db_fail(struct db *db, const char *format, ...) {
    if (db->rc == SQLITE_OK) {
        va_list arguments;

        db->rc = SQLITE_ERROR;
        va_start(arguments, format);
        vsnprintf(db->error, sizeof db->error, format, arguments);
        va_end(arguments);
    }
}

sqlite3_stmt *db_prepare(struct db *db, const char *sql) {
    sqlite3_stmt *statement = NULL;

    if (db->rc != SQLITE_OK ||
        !note(db, sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                                     NULL))) {
        return NULL;
    }
    db->kept = xrealloc(db->kept, (size_t)(db->count + 1) * sizeof *db->kept);
    db->kept[db->count++] = statement;
    return statement;
}

bool db_exec(struct db *db, const char *sql) {
    db->steps = 0;
    return db->rc == SQLITE_OK && note(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

void db_int(struct db *db, sqlite3_stmt *statement, int i, int64_t value) {
    if (db->rc == SQLITE_OK) {
        note(db, sqlite3_bind_int64(statement, i, value));
    }
}

void db_text(struct db *db, sqlite3_stmt *statement, int i, const char *text) {
    if (db->rc == SQLITE_OK) {
        note(db, sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC));
    }
}

void db_bytes(struct db *db, sqlite3_stmt *statement, int i, const char *text, size_t length) {
    if (db->rc == SQLITE_OK) {
        note(db, sqlite3_bind_text64(statement, i, text, length, SQLITE_STATIC, SQLITE_UTF8));
    }
}

void db_null(struct db *db, sqlite3_stmt *statement, int i) {
    if (db->rc == SQLITE_OK) {
        note(db, sqlite3_bind_null(statement, i));
    }
}

void db_reset(sqlite3_stmt *statement) {
    if (statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
}

bool db_row(struct db *db, sqlite3_stmt *statement) {
    if (statement == NULL) { /* why, was said when it was prepared, and may be cleared by now */
        db_fail(db, "a statement does not fit the tables");
    }
    if (db->rc != SQLITE_OK) {
        db_reset(statement);
        return false;
    }
    db->steps = 0;
    int rc = sqlite3_step(statement);

    if (rc == SQLITE_ROW) {
        return true;
    }
    if (rc != SQLITE_DONE) {
        note(db, rc);
    }
    db_reset(statement);
    return false;
}

bool db_run(struct db *db, sqlite3_stmt *statement) {
    while (db_row(db, statement)) {
    }
    return db->rc == SQLITE_OK;
}

int64_t db_value(struct db *db, sqlite3_stmt *statement, int64_t otherwise) {
    int64_t value = otherwise;

    if (db_row(db, statement)) {
        if (sqlite3_column_type(statement, 0) != SQLITE_NULL) {
            value = sqlite3_column_int64(statement, 0);
        }
        db_reset(statement);
    }
    return value;
}

const char *db_string(sqlite3_stmt *statement, int column) {
    bool is_null = sqlite3_column_type(statement, column) == SQLITE_NULL;
    const unsigned char *text = sqlite3_column_text(statement, column);

    if (text == NULL && !is_null) {
        memory_exhausted();
    }
    return (const char *)text;
}

char *db_copy(sqlite3_stmt *statement, int column) {
    const char *text = db_string(statement, column);

    return text != NULL ? xstrdup(text) : NULL;
}
