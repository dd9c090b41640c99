/*
** payload.c: resthook_payload(): what an event's receivers are sent, computed as the dispatcher
** does it.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "expand.h"
#include "hooks.h"
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

static void payload(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;
    sqlite3_stmt *row;

    (void)argc;
    call_open(&call, context, "resthook_payload");
    if (sqlite3_value_type(argv[0]) != SQLITE_INTEGER) {
        call_fail(&call, "%z is not the id of an event", shown(argv[0]));
    }
    row = call_prepare(&call, sql_watch_event, "v", argv[0]);
    if (row != NULL && !call_step(&call, row)) {
        call_fail(&call, "no event has the id %lld", (long long)sqlite3_value_int64(argv[0]));
    } else if (row != NULL && sqlite3_column_type(row, 1) == SQLITE_NULL) {
        sqlite3_result_value(context, sqlite3_column_value(row, 0));
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
