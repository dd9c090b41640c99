/*
** payload.c: resthook_payload(): what an event's receivers are sent, computed as the dispatcher
** does it.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "event.h"
#include "expand.h"
#include "hooks.h"
#include "json.h"
#include "sql.h"
#include "version.h"

/* The column of the first captured value. */
static int first_value(sqlite3_stmt *row) {
    int i = sqlite3_column_count(row);

    while (--i > 0 && strcmp(sqlite3_column_name(row, i), "v0") != 0) {
    }
    return i > 0 ? i : sqlite3_column_count(row);
}

/* A captured row's payload. */
static void expand(struct call *call, sqlite3_stmt *row) {
    struct expander *expander = NULL;
    struct expansion event;
    const char *wrong = NULL;
    char *error = NULL;
    int rc = expander_open_hosted(call->db, sqlite3_column_int64(row, 1), &expander, &error);

    version_fail(call, rc, error);
    if (rc != SQLITE_OK) {
        return;
    }
    switch (expander_run(expander, row, first_value(row), false, &event, &wrong)) {
    case EXPANDED:
        sqlite3_result_text64(call->context, event.payload.data, event.payload.length,
                              SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    case FILTERED:
        sqlite3_result_null(call->context);
        break;
    case UNEXPANDABLE:
        if (strstr(wrong, sqlite3_errstr(SQLITE_NOMEM)) != NULL) { /* the host's, not the watch's */
            call_check(call, SQLITE_NOMEM);
        } else {
            call_fail(call, "%s", wrong);
        }
        break;
    }
    expander_free(expander);
}

/* An emitted event's: any program may have written it. */
static void show_emitted(struct call *call, sqlite3_stmt *row, long long id) {
    int type = sqlite3_column_type(row, 0); /* before column_text, which may change it */
    const char *text = (const char *)sqlite3_column_text(row, 0);
    size_t length = (size_t)sqlite3_column_bytes(row, 0), where = 0;
    const char *event = (const char *)sqlite3_column_text(row, 2);
    struct buffer json = {0};
    const char *wrong;

    if ((text == NULL && type == SQLITE_TEXT) ||
        (event == NULL && sqlite3_column_type(row, 2) == SQLITE_TEXT)) {
        call_check(call, SQLITE_NOMEM);
    } else if (event == NULL || event_check(event, (size_t)sqlite3_column_bytes(row, 2)) != NULL) {
        call_fail(call, "event %lld is not sent: it has no name, or a bad one", id);
    } else if (text == NULL || type == SQLITE_BLOB) {
        call_fail(call, "event %lld is not sent: its payload is not JSON, but %s", id,
                  type == SQLITE_BLOB ? "a BLOB" : "NULL");
    } else if ((wrong = json_check(text, length, &where)) != NULL) {
        call_fail(call, "event %lld is not sent: its payload is not JSON, %s at byte %lld", id,
                  wrong, (long long)where);
    } else {
        render_json(&json, text, length);
        if (json.failed) {
            call_check(call, SQLITE_NOMEM);
        } else {
            sqlite3_result_text64(call->context, json.data, json.length, SQLITE_TRANSIENT,
                                  SQLITE_UTF8);
        }
        buffer_free(&json);
    }
}

static void payload(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;
    sqlite3_stmt *row;

    (void)argc;
    call_open(&call, context, "resthook_payload");
    if (sqlite3_value_type(argv[0]) != SQLITE_INTEGER) {
        call_fail(&call, "id is %z, expected an event's, a whole number", shown(argv[0]));
    }
    row = call_prepare(&call, sql_watch_event, "v", argv[0]);
    if (row != NULL && !call_step(&call, row)) {
        call_fail(&call, "no event has the id %lld", (long long)sqlite3_value_int64(argv[0]));
    } else if (row != NULL && sqlite3_column_type(row, 1) == SQLITE_NULL) {
        show_emitted(&call, row, (long long)sqlite3_value_int64(argv[0]));
    } else if (row != NULL) {
        expand(&call, row);
    }
    (void)sqlite3_finalize(row);
    (void)call_end(&call);
}

int payload_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_payload", 1, FUNCTION_DIRECT_ONLY, payload},
    };

    return register_functions(db, functions, 1);
}
