/*
** watch.c: the SQL functions that turn writes to a table into events: resthook_watch,
** resthook_unwatch. What a migration does to them repair.c mends.
**
** A watch is a row of resthook_watch, never changed once written but for its retirement, and a
** trigger that carries the row's id. What it should be is decided first (plan.c) and its
** expressions are tried (expand.c); only then is anything written. Its identity is (table, kind of
** operation, event): watching again retires the version there is and makes a new one. All of it
** happens in the caller's transaction, DDL too.
**
** Errors go through struct call (hooks.h): the first one stays, and what was done is undone.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "blueprint.h"
#include "event.h"
#include "follow.h"
#include "hooks.h"
#include "options.h"
#include "sql.h"
#include "version.h"

#define TABLE_NAME_MAX 1000 /* bytes; SQLite has no limit of its own */
#define OPERATION_MAX 1000000

/* ---- resthook_watch ---- */

enum {
    OPTION_FIELDS,
    OPTION_WHEN,
    OPTION_CHANGED,
    OPTION_KEY,
    OPTION_OLD,
    OPTION_RECORD,
    OPTION_COUNT
};

static const struct option_rule rules[OPTION_COUNT] = {
    [OPTION_FIELDS] = {"fields", OPTION_OBJECT},  [OPTION_WHEN] = {"when", OPTION_TEXT},
    [OPTION_CHANGED] = {"changed", OPTION_ARRAY}, [OPTION_KEY] = {"key", OPTION_TEXT},
    [OPTION_OLD] = {"old", OPTION_BOOLEAN},       [OPTION_RECORD] = {"record", OPTION_TEXT},
};

/* The list behind "update of", as a JSON array. */
static void read_of(struct call *call, const char *names, struct buffer *of) {
    struct buffer name = {0};

    while (names != NULL && call->rc == SQLITE_OK) {
        const char *at = names;
        const char *wrong = clause_next_name(&names, &name);

        if (wrong != NULL) {
            call_fail(call, "operation: %z: %s", shown_text(at), wrong);
        } else {
            buffer_text(of, of->length > 0 ? "," : "[");
            render_text(of, name.data, name.length);
        }
    }
    if (of->length > 0) {
        buffer_text(of, "]");
    }
    if (of->failed || name.failed) {
        call->rc = SQLITE_NOMEM;
    }
    buffer_free(&name);
}

static void read_operation(struct call *call, sqlite3_value **argv, enum operation *operation,
                           struct buffer *of) {
    const char *text = call_text_argument(call, argv, 1, "operation", OPERATION_MAX);
    const char *names = NULL;
    const char *wrong = text != NULL ? clause_operation(text, operation, &names) : NULL;

    if (wrong != NULL) {
        call_fail(call, "operation %z: %s", shown(argv[1]), wrong);
    } else if (text != NULL) {
        read_of(call, names, of);
    }
}

static const char *read_event(struct call *call, sqlite3_value **argv) {
    const char *event = call_text_argument(call, argv, 2, "event", EVENT_MAX);
    const char *wrong = event != NULL ? event_check(event, strlen(event)) : NULL;

    if (wrong != NULL) {
        call_fail(call, "event %z %s, expected a name such as order.paid", shown(argv[2]), wrong);
    } else if (event != NULL && event_is_reserved(event)) {
        call_fail(call, "event %z is reserved: names that begin with resthook are resthook's own",
                  shown(argv[2]));
    }
    return event;
}

/* What the options say about each other and about the operation. Returns `record`. */
static const char *check_options(struct call *call, enum operation operation,
                                 const struct option *options) {
    const char *record =
        options[OPTION_RECORD].text != NULL ? options[OPTION_RECORD].text : "subscribed";

    if (strcmp(record, "subscribed") != 0 && strcmp(record, "always") != 0) {
        call_fail(call, "option record is %z, expected subscribed or always", shown_text(record));
    }
    if (options[OPTION_FIELDS].text != NULL && strcmp(options[OPTION_FIELDS].text, "{}") == 0) {
        call_fail(call, "fields: {}: at least one field is expected");
    }
    if (options[OPTION_CHANGED].text != NULL && operation != OPERATION_UPDATE) {
        call_fail(call, "changed: %s has no columns that change, only update has",
                  clause_operation_name(operation));
    }
    if (options[OPTION_OLD].integer != 0 && operation == OPERATION_INSERT) {
        call_fail(call, "old: an insert has no old row");
    }
    return record;
}

/* Retires what the plan replaces. */
static void replace(struct call *call, const struct plan *plan, sqlite3_int64 at) {
    struct versions list;

    versions_read(call, &list);
    for (int i = 0; i < list.count && call->rc == SQLITE_OK; i++) {
        const struct version *now = &list.at[i];
        if (sqlite3_stricmp(now->text[VERSION_TABLE], plan->table.name) == 0 &&
            strcmp(now->text[VERSION_OPERATION], clause_operation_name(plan->request.operation)) ==
                0 &&
            strcmp(now->text[VERSION_EVENT], plan->request.event) == 0) {
            version_retire(call, now->id, at);
        }
    }
    versions_free(&list);
}

static void watch(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;
    struct option options[OPTION_COUNT] = {0};
    struct plan_request request = {0};
    struct plan plan = {0};
    struct buffer of = {0};
    sqlite3 *copy = NULL;
    const char *record = NULL;
    sqlite3_int64 now;

    call_begin(&call, context, "resthook_watch", SCHEMA_CURRENT);
    call_needs_savepoint(&call);
    now = call_now(&call);
    request.table = call_text_argument(&call, argv, 0, "table", TABLE_NAME_MAX);
    read_operation(&call, argv, &request.operation, &of);
    request.of = of.data;
    request.event = read_event(&call, argv);
    options_read(&call, argc > 3 ? argv[3] : NULL, rules, OPTION_COUNT, options);
    request.options = argc > 3 && sqlite3_value_type(argv[3]) != SQLITE_NULL
                          ? (const char *)sqlite3_value_text(argv[3])
                          : "{}";
    if (call.rc == SQLITE_OK) {
        record = check_options(&call, request.operation, options);
    }
    request.changed = options[OPTION_CHANGED].text;
    request.old = options[OPTION_OLD].integer != 0 && request.operation == OPERATION_UPDATE;
    request.capture_max = setting_int(&call, "capture_max");
    if (call.rc == SQLITE_OK) {
        char *error = NULL;
        int rc = blueprint_open(call.db, &copy, &error);
        version_fail(&call, rc, error);
    }
    if (call.rc == SQLITE_OK) {
        char *error = NULL;
        int rc = version_plan(call.db, copy, &request, &plan, &error);
        version_fail(&call, rc, error);
    }
    if (call.rc == SQLITE_OK) {
        replace(&call, &plan, now);
    }
    if (call.rc == SQLITE_OK) {
        sqlite3_int64 id = version_install(&call, &plan, record, now);
        char *name = sqlite3_mprintf("resthook_watch_%lld", (long long)id);
        if (name != NULL) {
            sqlite3_result_text(context, name, -1, sqlite3_free);
        } else {
            call.rc = SQLITE_NOMEM;
        }
    }
    (void)call_end(&call);
    (void)sqlite3_close(copy);
    plan_free(&plan);
    buffer_free(&of);
    options_free(options, OPTION_COUNT);
}

/* ---- resthook_unwatch ---- */

/* Are these the columns of the version's `update of`, as they are called now? */
static bool has_columns(struct call *call, const struct version *now, const char *of) {
    struct followed followed = {0};
    struct plan_request request;
    bool result = version_request(call, now, 0, &followed, &request) && request.of != NULL &&
                  call_int(call, 0, sql_watch_same_names, "tt", request.of, of) != 0;

    followed_free(&followed);
    return result;
}

static void unwatch(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;
    struct versions list = {0};
    struct buffer of = {0};
    enum operation operation = OPERATION_INSERT;
    const char *table;
    const char *event = NULL;
    int retired = 0;

    call_begin(&call, context, "resthook_unwatch", SCHEMA_CURRENT);
    call_needs_savepoint(&call);
    table = call_text_argument(&call, argv, 0, "table", TABLE_NAME_MAX);
    if (argc > 1) {
        read_operation(&call, argv, &operation, &of);
    }
    if (argc > 2) {
        event = call_text_argument(&call, argv, 2, "event", EVENT_MAX);
    }
    versions_read(&call, &list);
    for (int i = 0; i < list.count && call.rc == SQLITE_OK; i++) {
        const struct version *now = &list.at[i];
        if (sqlite3_stricmp(now->text[VERSION_TABLE], table) == 0 &&
            (argc < 2 ||
             strcmp(now->text[VERSION_OPERATION], clause_operation_name(operation)) == 0) &&
            (event == NULL || strcmp(now->text[VERSION_EVENT], event) == 0) &&
            (of.length == 0 || has_columns(&call, now, of.data))) {
            version_retire(&call, now->id, call_now(&call));
            retired++;
        }
    }
    sqlite3_result_int(context, retired);
    (void)call_end(&call);
    versions_free(&list);
    buffer_free(&of);
}

int watch_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_watch", 3, FUNCTION_DIRECT_ONLY, watch},
        {"resthook_watch", 4, FUNCTION_DIRECT_ONLY, watch},
        {"resthook_unwatch", 1, FUNCTION_DIRECT_ONLY, unwatch},
        {"resthook_unwatch", 2, FUNCTION_DIRECT_ONLY, unwatch},
        {"resthook_unwatch", 3, FUNCTION_DIRECT_ONLY, unwatch},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
