/*
** statement.c: how a call runs SQL: statements with bound arguments, and one value out of a query.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "hooks.h"
#include "sql.h"

static sqlite3_stmt *prepare(struct call *call, const char *sql, const char **rest) {
    sqlite3_stmt *statement = NULL;

    if (call->rc == SQLITE_OK) {
        call_check(call, sqlite3_prepare_v2(call->db, sql, -1, &statement, rest));
    }
    return statement;
}

static void bind_all(struct call *call, sqlite3_stmt *statement, const char *types,
                     va_list arguments) {
    for (int i = 0; types[i] != '\0' && call->rc == SQLITE_OK; i++) {
        int rc = SQLITE_OK;

        if (types[i] == 't') {
            rc = sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                   SQLITE_TRANSIENT);
        } else if (types[i] == 'i') {
            rc = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, sqlite3_int64));
        } else if (types[i] == 'd') {
            rc = sqlite3_bind_double(statement, i + 1, va_arg(arguments, double));
        } else if (types[i] == 'v') {
            rc = sqlite3_bind_value(statement, i + 1, va_arg(arguments, sqlite3_value *));
        }
        call_check(call, rc);
    }
}

static sqlite3_stmt *prepare_bound(struct call *call, const char *sql, const char *types,
                                   va_list arguments) {
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
        call_check(call, rc);
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
            call_check(call, SQLITE_NOMEM);
        }
    }
    (void)sqlite3_finalize(statement);
    return text;
}

void call_forget(char *text) {
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        sqlite3_free(text);
    }
}

sqlite3_int64 call_int(struct call *call, sqlite3_int64 otherwise, const char *sql,
                       const char *types, ...) {
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

sqlite3_int64 call_now(struct call *call) {
    return call_int(call, 0, sql_now, "");
}

sqlite3_int64 newest_event(struct call *call) {
    return call_int(call, 0, sql_newest_event, "");
}
