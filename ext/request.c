/*
** request.c: what is asked of the dispatcher about what was sent, or is to be: resthook_replay,
** resthook_cancel, resthook_forget.
**
** A call only files a row, which the dispatcher carries out in order; so a query over
** resthook_deliveries that asks for each of its rows can't chase its own tail.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "hooks.h"
#include "sql.h"
#include "trigger.h"

/* "sub_…-123" taken apart; false: it is not of this form. */
static bool split_delivery(const char *id, char *subscription, size_t room, sqlite3_int64 *event) {
    const char *dash = strrchr(id, '-');
    char *end = NULL;

    if (dash == NULL || strncmp(id, "sub_", 4) != 0 || (size_t)(dash - id) >= room ||
        dash[1] < '1' || dash[1] > '9') {
        return false;
    }
    memcpy(subscription, id, (size_t)(dash - id));
    subscription[dash - id] = '\0';
    *event = strtoll(dash + 1, &end, 10);
    return *end == '\0' && strlen(dash + 1) <= 18;
}

/* A request about one delivery. What app.db knows is checked; the side file is not opened, since
** who asks for ten thousand holds the write lock meanwhile. What `when` left out, or is in another
** state when the request is read, the dispatcher passes over and says so in its log. */
static void ask(sqlite3_context *context, sqlite3_value **argv, const char *function,
                const char *kind) {
    char subscription[100];
    sqlite3_int64 event = 0;
    struct call call;

    call_begin(&call, context, function, SCHEMA_CURRENT);
    const char *id = call_text_argument(&call, argv, 0, "delivery", 120);

    if (call.rc == SQLITE_OK && !split_delivery(id, subscription, sizeof subscription, &event)) {
        call_fail(&call, "delivery is %z, expected an id of resthook_deliveries such as sub_…-12",
                  shown(argv[0]));
    }
    sqlite3_int64 live =
        call_int(&call, -1, sql_subscription_live, "t", call.rc == SQLITE_OK ? subscription : NULL);

    if (live < 0) {
        call_fail(&call, "delivery %z: there is no such subscription", shown(argv[0]));
    } else if (live == 0) {
        call_fail(&call, "delivery %z: its subscription has ended", shown(argv[0]));
    }
    sqlite3_int64 meant = call_int(&call, -1, sql_request_meant, "ti", subscription, event);

    if (meant < 0) {
        call_fail(&call, "delivery %z: its event is no longer in the outbox", shown(argv[0]));
    } else if (meant == 0) {
        call_fail(&call, "delivery %z: its event was not for this subscription", shown(argv[0]));
    }
    call_exec(&call, sql_request_add, "ttii", kind, subscription, event, call_now(&call));
    sqlite3_result_value(context, argv[0]);
    call_end(&call);
}

static void replay(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    ask(context, argv, "resthook_replay", "replay");
}

static void cancel(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    ask(context, argv, "resthook_cancel", "cancel");
}

/* Empties the event's row. The row itself stays: it may be the newest, whose id must not come back,
** or the one that the dispatcher read last. Nobody receives it: `only` names no subscription. */
static void erase(struct call *call, sqlite3_int64 event) {
    int width = (int)call_int(call, 0, sql_outbox_width, "");
    struct buffer sql = {0};

    buffer_text(&sql, "UPDATE main.resthook_outbox SET only='forgotten',payload=NULL,key=NULL");
    for (int i = 0; i < width; i++) {
        trigger_format(&sql, ",v%d=NULL", i);
    }
    buffer_text(&sql, " WHERE id=?1");
    if (sql.failed) {
        call_check(call, SQLITE_NOMEM);
    } else {
        call_exec(call, sql.data, "i", event);
    }
    buffer_free(&sql);
    call_exec(call, "DELETE FROM main.resthook_extra WHERE event = ?1", "i", event);
}

static void forget(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    call_begin(&call, context, "resthook_forget", SCHEMA_CURRENT);
    sqlite3_int64 event = sqlite3_value_int64(argv[0]);

    if (sqlite3_value_type(argv[0]) != SQLITE_INTEGER || event < 1) {
        call_fail(&call, "event is %z, expected the id of an event, a whole number",
                  shown(argv[0]));
    }
    bool there = call_int(&call, 0, sql_event_remembered, "i", event) != 0;

    if (there) {
        erase(&call, event);
    }
    if (event <= newest_event(&call)) { /* what was answered to it may outlive it */
        call_exec(&call, sql_request_add, "ttii", "forget", NULL, event, call_now(&call));
    }
    sqlite3_result_int(context, there);
    call_end(&call);
}

int request_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_replay", 1, FUNCTION_DIRECT_ONLY, replay},
        {"resthook_cancel", 1, FUNCTION_DIRECT_ONLY, cancel},
        {"resthook_forget", 1, FUNCTION_DIRECT_ONLY, forget},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
