/*
** repair.c: resthook_repair(): the watches as they would be if they were made now. A migration may
** have taken a trigger with its table, or left one that no longer fits.
**
** All of it happens in the caller's transaction; errors go through struct call (hooks.h).
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "blueprint.h"
#include "follow.h"
#include "hooks.h"
#include "sql.h"
#include "version.h"

static bool same(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Is its trigger what it would be, armed or disarmed? */
static bool has_trigger(struct call *call, const struct version *now, const struct plan *plan,
                        bool disarmed) {
    struct buffer trigger = {0};
    bool result;

    plan_trigger(plan, now->id, disarmed, &trigger);
    if (trigger.failed) {
        call->rc = SQLITE_NOMEM;
    }
    result = !trigger.failed && trigger_is(trigger.data, now->text[VERSION_TRIGGER]);
    buffer_free(&trigger);
    return result;
}

/* Is the version what it would be if it were made now? One that nobody is interested in may be armed
** still: it writes nothing. */
static bool is_current(struct call *call, const struct version *now, const struct plan *plan) {
    struct definition_row row = plan_row(plan);

    return (has_trigger(call, now, plan, false) ||
            (!now->wanted && has_trigger(call, now, plan, true))) &&
           same(row.table, now->text[VERSION_STORED_TABLE]) &&
           same(plan_of(plan), now->text[VERSION_OF]) &&
           same(row.captured, now->text[VERSION_CAPTURED]) &&
           same(row.virtuals, now->text[VERSION_VIRTUAL]) &&
           same(row.table_sql, now->text[VERSION_TABLE_SQL]) &&
           same(row.primary_key, now->text[VERSION_PRIMARY_KEY]);
}

/* Is it a version that no longer fits its table? Not when it can't be planned at all: then there is
** nothing better. */
static bool is_stale(struct call *call, const struct version *now,
                     const struct plan_request *request) {
    struct plan plan = {0};
    char *error = NULL;
    bool stale = false;
    int rc = plan_make(call->db, request, &plan, &error);

    if (rc == SQLITE_OK) {
        stale = !is_current(call, now, &plan);
    } else if (rc != SQLITE_ERROR) {
        version_fail(call, rc, error);
        error = NULL;
    }
    sqlite3_free(error);
    plan_free(&plan);
    return stale;
}

/* The plan of a version whose expressions do not compile. A working trigger stays as it is: it
** captures what they need, or no other would. One that is gone, or that reads a column that is
** gone, is made all the same, without regard to them: what it captures is held until the watch is
** mended. */
static int plan_without(struct call *call, const struct version *now,
                        const struct plan_request *request, const struct followed *followed,
                        struct plan *plan, char **error) {
    int rc = plan_make(call->db, request, plan, error);

    if (rc == SQLITE_OK && now->text[VERSION_TRIGGER] != NULL &&
        !followed_lost(followed, &plan->table)) {
        plan_free(plan);
        rc = SQLITE_ERROR;
    }
    return rc;
}

/* Makes a new version of one that no longer fits. Returns whether it made one. */
static bool repair_one(struct call *call, sqlite3 **copy, const struct version *now,
                       sqlite3_int64 capture_max, sqlite3_int64 at) {
    struct followed followed = {0};
    struct plan_request request;
    struct plan plan = {0};
    char *error = NULL;
    bool repaired = false;
    int rc = SQLITE_OK;

    if (!version_request(call, now, capture_max, &followed, &request) ||
        !is_stale(call, now, &request)) {
        followed_free(&followed);
        return false;
    }
    if (*copy == NULL) {
        rc = blueprint_open(call->db, copy, &error);
    }
    if (rc == SQLITE_OK) {
        rc = version_plan(call->db, *copy, &request, &plan, &error);
    }
    if (rc == SQLITE_ERROR) {
        sqlite3_free(error);
        error = NULL;
        request.old = now->old;
        rc = plan_without(call, now, &request, &followed, &plan, &error);
    }
    if (rc == SQLITE_OK) {
        version_retire(call, now->id, at);
        (void)version_install(call, &plan, now->text[VERSION_RECORD], at);
        repaired = true;
    } else if (rc != SQLITE_ERROR) {
        version_fail(call, rc, error);
        error = NULL;
    }
    sqlite3_free(error);
    plan_free(&plan);
    followed_free(&followed);
    return repaired;
}

int watch_count_stale(sqlite3 *db, int *stale) {
    struct call call = {.function = "resthook_repair", .db = db};
    sqlite3_int64 capture_max = setting_int(&call, "capture_max");
    struct versions list;

    *stale = 0;
    versions_read(&call, &list);
    for (int i = 0; i < list.count && call.rc == SQLITE_OK; i++) {
        struct followed followed = {0};
        struct plan_request request;

        *stale += version_request(&call, &list.at[i], capture_max, &followed, &request) &&
                  is_stale(&call, &list.at[i], &request);
        followed_free(&followed);
    }
    versions_free(&list);
    *stale += (int)call_int(&call, 0, sql_watch_misarmed, "");
    sqlite3_free(call.error);
    return call.rc;
}

static void repair(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;
    struct versions list;
    sqlite3 *copy = NULL; /* made when the first one needs it */
    sqlite3_int64 capture_max, at;
    int repaired = 0;

    (void)argc;
    (void)argv;
    call_begin(&call, context, "resthook_repair", SCHEMA_CURRENT);
    call_needs_savepoint(&call);
    capture_max = setting_int(&call, "capture_max");
    at = call_now(&call);
    versions_read(&call, &list);
    for (int i = 0; i < list.count && call.rc == SQLITE_OK; i++) {
        repaired += repair_one(&call, &copy, &list.at[i], capture_max, at + repaired);
    }
    call_exec(&call, sql_schema, ""); /* what is gone of our own: a trigger that somebody dropped */
    call_exec(&call, sql_interest_restore, "");
    arm_and_disarm_triggers(&call);
    sqlite3_result_int(context, repaired);
    (void)call_end(&call);
    (void)sqlite3_close(copy);
    versions_free(&list);
}

int repair_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_repair", 0, FUNCTION_DIRECT_ONLY, repair},
    };

    return register_functions(db, functions, 1);
}
