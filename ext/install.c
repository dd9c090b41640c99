/*
** install.c: resthook_init(), resthook_uninstall(), resthook_version().
**
** The schema is made in one savepoint: it is whole or not there. Uninstalling drops the watches'
** triggers first.
** SPDX-License-Identifier: MIT
*/
#include <stddef.h>

#include "hooks.h"
#include "sql.h"

static void init(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    (void)argv;
    call_begin(&call, context, "resthook_init", SCHEMA_NONE);
    call_needs_savepoint(&call);
    if (call.schema == 1) {
        call_exec(&call, sql_upgrade_2, "");
    }
    call_exec(&call, sql_schema, "");
    settings_install(&call);
    call_exec(&call, sql_interest_restore, "");
    arm_and_disarm_triggers(&call);
    sqlite3_result_int(context, SCHEMA_VERSION);
    call_end(&call);
}

/* Drops every trigger of ours that stands on a table of the application; returns how many. */
static int drop_watch_triggers(struct call *call) {
    int count = 0;
    char *sql;

    while ((sql = call_text(call, sql_watch_trigger_drop, "")) != NULL) {
        call_exec(call, sql, "");
        sqlite3_free(sql);
        if (call->rc != SQLITE_OK) {
            break;
        }
        count++;
    }
    return count;
}

static void uninstall(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;
    int count;

    (void)argc;
    (void)argv;
    call_begin(&call, context, "resthook_uninstall", SCHEMA_NONE);
    call_needs_savepoint(&call);
    count = drop_watch_triggers(&call);
    call_exec(&call, sql_uninstall, "");
    sqlite3_result_int(context, count);
    call_end(&call);
}

static void version(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    sqlite3_result_text(context, RESTHOOK_VERSION, -1, SQLITE_STATIC);
}

int install_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_init", 0, FUNCTION_DIRECT_ONLY, init},
        {"resthook_uninstall", 0, FUNCTION_DIRECT_ONLY, uninstall},
        {"resthook_version", 0, FUNCTION_PURE, version},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
