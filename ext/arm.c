/*
** arm.c: arms the triggers of the watches that somebody is interested in, and disarms others
** (trigger.h), in the transaction of whatever changed who is interested.
**
** The version stays: only what stands before the trigger's ON changes, and what a RENAME did to the
** rest stays done. One that is missing, or no longer reads as ours do, is repair.c's.
**
** Whoever subscribes arms, or fails: what nobody records would be lost. Disarming is for speed alone:
** it comes with what makes triggers anyway, and by the dispatcher.
**
** Errors go through struct call (hooks.h).
** SPDX-License-Identifier: MIT
*/
#include "hooks.h"
#include "sql.h"
#include "version.h"

/* Makes the version's trigger anew, armed or disarmed as it should be. */
static void turn(struct call *call, const struct version *now) {
    struct trigger trigger = {.id = now->id, .disarmed = !now->wanted};
    struct buffer text = {0};
    const char *names;

    if (clause_operation(now->text[VERSION_OPERATION], &trigger.operation, &names) == NULL &&
        trigger_turn(now->text[VERSION_TRIGGER], &trigger, &text)) {
        version_put_trigger(call, now->id, &text);
    }
    buffer_free(&text);
}

static void turn_all(struct call *call, bool disarm) {
    struct versions list;

    versions_read(call, &list);
    for (int i = 0; i < list.count && call->rc == SQLITE_OK; i++) {
        const struct version *now = &list.at[i];

        if (now->text[VERSION_TRIGGER] != NULL && now->text[VERSION_OF] == NULL &&
            trigger_is_disarmed(now->text[VERSION_TRIGGER]) == now->wanted &&
            (now->wanted || disarm)) {
            turn(call, now);
        }
    }
    versions_free(&list);
}

void arm_triggers(struct call *call) {
    if (call_int(call, 0, sql_watch_disarmed, "") != 0) {
        call_needs_savepoint(call);
        turn_all(call, false);
    }
}

void arm_and_disarm_triggers(struct call *call) {
    if (call_int(call, 0, sql_watch_misarmed, "") != 0) {
        turn_all(call, true);
    }
}
