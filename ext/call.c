/*
** call.c: how an SQL function of ours runs: see struct call in hooks.h.
**
** Whatever a call did is undone when it fails: by a savepoint of its own, or, where SQLite lets none be opened (inside
** INSERT … SELECT f(…)), by the rollback of the statement that called it; for that case functions check everything
** before they write anything.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hooks.h"

#define SHOWN_MAX 80

void call_fail(struct call *call, const char *format, ...) {
    if (call->rc != SQLITE_OK) {
        return;
    }
    va_list arguments;

    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    call->rc = SQLITE_ERROR;
    call->error = text != NULL ? sqlite3_mprintf("%s: %s", call->function, text) : NULL;
    sqlite3_free(text);
    if (call->error == NULL) {
        call->rc = SQLITE_NOMEM;
    }
}

/* Keeps an error of SQLite's with its text, before another call overwrites it. */
static void keep(struct call *call, int rc) {
    if (call->rc != SQLITE_OK || rc == SQLITE_OK) {
        return;
    }
    call->rc = rc;
    if (rc != SQLITE_NOMEM) {
        call->error = sqlite3_mprintf("%s: %s", call->function, sqlite3_errmsg(call->db));
    }
}

static void check_schema(struct call *call) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(call->db, "SELECT value FROM main.resthook_meta WHERE name = 'schema'", -1, &statement,
                                NULL);

    if (rc == SQLITE_ERROR) { /* no such table */
        call_fail(call, "this database has no resthook schema: SELECT resthook_init() first");
    } else if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        int schema = sqlite3_column_int(statement, 0);

        if (schema > SCHEMA_VERSION) {
            call_fail(call, "the schema of this file is version %d, newer than this program's %d", schema,
                      SCHEMA_VERSION);
        }
    }
    rc = rc == SQLITE_OK ? sqlite3_finalize(statement) : rc;
    keep(call, rc);
}

void call_begin(struct call *call, sqlite3_context *context, const char *function, bool needs_schema) {
    memset(call, 0, sizeof *call);
    call->function = function;
    call->context = context;
    call->db = sqlite3_context_db_handle(context);
    call->last_rowid = sqlite3_last_insert_rowid(call->db);
    call->savepoint = sqlite3_exec(call->db, "SAVEPOINT resthook_call", NULL, NULL, NULL) == SQLITE_OK;
    if (needs_schema) {
        check_schema(call);
    }
}

bool call_end(struct call *call) {
    if (call->savepoint && call->rc == SQLITE_OK) {
        keep(call, sqlite3_exec(call->db, "RELEASE resthook_call", NULL, NULL, NULL));
    }
    if (call->savepoint && call->rc != SQLITE_OK) {
        /* A second failure has nothing to add to the first, which is what is reported. */
        (void)sqlite3_exec(call->db, "ROLLBACK TO resthook_call; RELEASE resthook_call", NULL, NULL, NULL);
    }
    sqlite3_set_last_insert_rowid(call->db, call->last_rowid);
    if (call->rc == SQLITE_OK) {
        return true;
    }
    if (call->rc == SQLITE_NOMEM) {
        sqlite3_result_error_nomem(call->context);
    } else {
        sqlite3_result_error(call->context, call->error != NULL ? call->error : sqlite3_errstr(call->rc), -1);
        sqlite3_result_error_code(call->context, call->rc);
    }
    sqlite3_free(call->error);
    call->error = NULL;
    return false;
}

static void bind_all(struct call *call, sqlite3_stmt *statement, const char *types, va_list arguments) {
    for (int i = 0; types[i] != '\0' && call->rc == SQLITE_OK; i++) {
        int rc = SQLITE_OK;

        if (types[i] == 't') {
            rc = sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1, SQLITE_TRANSIENT);
        } else if (types[i] == 'i') {
            rc = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, sqlite3_int64));
        } else if (types[i] == 'v') {
            rc = sqlite3_bind_value(statement, i + 1, va_arg(arguments, sqlite3_value *));
        }
        keep(call, rc);
    }
}

static sqlite3_stmt *prepare(struct call *call, const char *sql, const char **rest) {
    sqlite3_stmt *statement = NULL;

    if (call->rc == SQLITE_OK) {
        keep(call, sqlite3_prepare_v2(call->db, sql, -1, &statement, rest));
    }
    return statement;
}

static sqlite3_stmt *prepare_bound(struct call *call, const char *sql, const char *types, va_list arguments) {
    sqlite3_stmt *statement = prepare(call, sql, NULL);

    if (statement != NULL) {
        bind_all(call, statement, types, arguments);
    }
    if (call->rc != SQLITE_OK) {
        (void)sqlite3_finalize(statement);
        statement = NULL;
    }
    return statement;
}

bool call_step(struct call *call, sqlite3_stmt *statement) {
    if (call->rc != SQLITE_OK || statement == NULL) {
        return false;
    }
    int rc = sqlite3_step(statement);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        keep(call, rc);
    }
    return rc == SQLITE_ROW;
}

sqlite3_stmt *call_prepare(struct call *call, const char *sql, const char *types, ...) {
    va_list arguments;

    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(call, sql, types, arguments);
    va_end(arguments);
    return statement;
}

/* Statements one after the other; the arguments are the first one's. */
void call_exec(struct call *call, const char *sql, const char *types, ...) {
    va_list arguments;
    bool first = true;

    va_start(arguments, types);
    while (call->rc == SQLITE_OK && *sql != '\0') {
        sqlite3_stmt *statement = prepare(call, sql, &sql);

        if (statement == NULL) { /* white space, or an error */
            continue;
        }
        if (first) {
            bind_all(call, statement, types, arguments);
            first = false;
        }
        while (call_step(call, statement)) {
        }
        (void)sqlite3_finalize(statement); /* its error was kept by the step */
    }
    va_end(arguments);
}

char *call_text(struct call *call, const char *sql, const char *types, ...) {
    va_list arguments;
    char *text = NULL;

    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(call, sql, types, arguments);
    va_end(arguments);
    if (call_step(call, statement) && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        const unsigned char *value = sqlite3_column_text(statement, 0);

        text = value != NULL ? sqlite3_mprintf("%s", value) : NULL;
        if (text == NULL) {
            keep(call, SQLITE_NOMEM);
        }
    }
    (void)sqlite3_finalize(statement);
    return text;
}

sqlite3_int64 call_int(struct call *call, sqlite3_int64 otherwise, const char *sql, const char *types, ...) {
    va_list arguments;
    sqlite3_int64 value = otherwise;

    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(call, sql, types, arguments);
    va_end(arguments);
    if (call_step(call, statement) && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        value = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return value;
}

char *shown(sqlite3_value *value) {
    char text[SHOWN_MAX + 4];
    int type = sqlite3_value_type(value);

    if (type == SQLITE_NULL) {
        return sqlite3_mprintf("NULL");
    }
    if (type == SQLITE_BLOB) {
        return sqlite3_mprintf("a BLOB of %d bytes", sqlite3_value_bytes(value));
    }
    const unsigned char *bytes = sqlite3_value_text(value);
    int length = sqlite3_value_bytes(value), shown_length = length < SHOWN_MAX ? length : SHOWN_MAX;

    if (bytes == NULL) {
        return NULL;
    }
    while (shown_length < length && shown_length > 0 && (bytes[shown_length] & 0xc0) == 0x80) {
        shown_length--; /* not in the middle of a character */
    }
    for (int i = 0; i < shown_length; i++) {
        text[i] = bytes[i] < ' ' || bytes[i] == 127 ? '?' : (char)bytes[i];
    }
    text[shown_length] = '\0';
    if (type != SQLITE_TEXT) {
        return sqlite3_mprintf("%s", text);
    }
    if (shown_length < length) {
        return sqlite3_mprintf("'%s…' (%d bytes)", text, length);
    }
    return sqlite3_mprintf("'%s'", text);
}

const char *call_text_argument(struct call *call, sqlite3_value **argv, int i, const char *what, int most) {
    if (call->rc != SQLITE_OK) {
        return NULL;
    }
    const char *text = NULL;
    char *value = shown(argv[i]);

    if (value == NULL) {
        keep(call, SQLITE_NOMEM);
    } else if (sqlite3_value_type(argv[i]) != SQLITE_TEXT) {
        call_fail(call, "%s is %s, expected text", what, value);
    } else if (sqlite3_value_bytes(argv[i]) > most) {
        call_fail(call, "%s is too long: %s, expected at most %d bytes", what, value, most);
    } else {
        text = (const char *)sqlite3_value_text(argv[i]);
        if (text != NULL && strlen(text) != (size_t)sqlite3_value_bytes(argv[i])) {
            call_fail(call, "%s %s contains a NUL character", what, value);
            text = NULL;
        }
    }
    sqlite3_free(value);
    return text;
}

sqlite3_int64 call_now(struct call *call) {
    return call_int(call, 0, "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", "");
}

sqlite3_int64 newest_event(struct call *call) {
    return call_int(call, 0,
                    "SELECT max(ifnull((SELECT max(id) FROM main.resthook_outbox), 0),"
                    " ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = 'resthook_outbox'), 0))",
                    "");
}
