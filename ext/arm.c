/*
** arm.c: arms the triggers of the watches that somebody is interested in and disarms the others
** (trigger.h): called by whatever may have changed who is interested, in the same transaction.
**
** The version stays: only what stands before the trigger's ON changes, and what a RENAME did to the
** rest stays done. One that is missing, or no longer reads as ours do, is repair.c's.
**
** Errors go through struct call (hooks.h).
** SPDX-License-Identifier: MIT
*/
#include "follow.h"
#include "hooks.h"
#include "sql.h"
#include "version.h"

/* The columns of `update of`, out of their JSON array. */
static void read_of(struct call *call, const char *json, struct trigger *trigger) {
    sqlite3_stmt *statement = json != NULL ? call_prepare(call, sql_watch_names, "t", json) : NULL;
    char **names = NULL;

    while (statement != NULL && call_step(call, statement)) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        char **grown =
            sqlite3_realloc64(names, ((sqlite3_uint64)trigger->of_count + 1) * sizeof *grown);

        names = grown != NULL ? grown : names;
        if (grown == NULL || name == NULL ||
            (names[trigger->of_count] = sqlite3_mprintf("%s", name)) == NULL) {
            call_check(call, SQLITE_NOMEM);
            break;
        }
        trigger->of_count++;
    }
    (void)sqlite3_finalize(statement);
    trigger->of = (const char *const *)names;
}

static void free_of(struct trigger *trigger) {
    for (int i = 0; i < trigger->of_count; i++) {
        sqlite3_free((void *)(uintptr_t)trigger->of[i]);
    }
    sqlite3_free((void *)(uintptr_t)trigger->of);
}

/* Makes the version's trigger anew, armed or disarmed as it should be. */
static void turn(struct call *call, const struct version *now) {
    struct trigger trigger = {.id = now->id, .disarmed = !now->wanted};
    struct followed followed = {0};
    struct plan_request request;
    struct buffer text = {0};

    if (version_request(call, now, 0, &followed, &request)) {
        trigger.operation = request.operation;
        read_of(call, request.of, &trigger);
        if (call->rc == SQLITE_OK && trigger_turn(now->text[VERSION_TRIGGER], &trigger, &text)) {
            version_put_trigger(call, now->id, &text);
        }
        free_of(&trigger);
    }
    buffer_free(&text);
    followed_free(&followed);
}

void arm_triggers(struct call *call) {
    struct versions list;

    if (call_int(call, 0, sql_watch_misarmed, "") == 0) {
        return;
    }
    versions_read(call, &list);
    for (int i = 0; i < list.count && call->rc == SQLITE_OK; i++) {
        const struct version *now = &list.at[i];

        if (now->text[VERSION_TRIGGER] != NULL &&
            trigger_is_disarmed(now->text[VERSION_TRIGGER]) == now->wanted) {
            turn(call, now);
        }
    }
    versions_free(&list);
}
