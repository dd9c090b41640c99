/*
** emit.c: events that no table's watch makes, and requests: resthook_emit, resthook_ping,
** resthook_replay.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "hooks.h"
#include "json.h"
#include "options.h"
#include "sql.h"

enum { OPT_KEY, OPT_DELIVER_AT, OPT_COUNT };

#define NESTED_MAX 16
#define LATEST 253402300799LL /* 9999-12-31T23:59:59Z, seconds */

/* deliver_at is ISO 8601 text or seconds since 1970, so its type is looked at here and not by a
** rule. */
static const struct option_rule text_rules[OPT_COUNT] = {
    [OPT_KEY] = {"key", OPTION_TEXT},
    [OPT_DELIVER_AT] = {"deliver_at", OPTION_TEXT},
};
static const struct option_rule number_rules[OPT_COUNT] = {
    [OPT_KEY] = {"key", OPTION_TEXT},
    [OPT_DELIVER_AT] = {"deliver_at", OPTION_NUMBER},
};

static bool deliver_at_is_number(struct call *call, sqlite3_value *document) {
    char *type = NULL;

    if (document != NULL && sqlite3_value_type(document) == SQLITE_TEXT && call->rc == SQLITE_OK &&
        json_check((const char *)sqlite3_value_text(document),
                   (size_t)sqlite3_value_bytes(document), NULL) == NULL) {
        type = call_text(call, "SELECT json_type(?1, '$.deliver_at')", "v", document);
    }
    bool number = type != NULL && (strcmp(type, "integer") == 0 || strcmp(type, "real") == 0);

    sqlite3_free(type);
    return number;
}

/* Milliseconds, or 0 for at once. */
static sqlite3_int64 read_deliver_at(struct call *call, const struct option *option, bool number) {
    sqlite3_int64 at = -1;

    if (!option->given || option->null || call->rc != SQLITE_OK) {
        return 0;
    }
    if (number && option->number >= 0 && option->number <= (double)LATEST) {
        at = (sqlite3_int64)(option->number * 1000.0);
    } else if (!number && option->text[0] >= '0' && option->text[0] <= '9' &&
               strchr(option->text, '-') != NULL) {
        at = call_int(call, -1, sql_time_of, "t", option->text);
    }
    if (at < 0) {
        call_fail(call,
                  "option deliver_at is %z, expected a time such as '2026-01-31T12:00:00Z' or "
                  "seconds since 1970",
                  shown_text(option->text));
    }
    return at;
}

static void check_emitted(struct call *call, sqlite3_value **argv, const char *event) {
    size_t where = 0;
    const char *wrong = call->rc == SQLITE_OK ? event_check(event, strlen(event)) : NULL;

    if (call->rc != SQLITE_OK) {
        return;
    }
    if (wrong != NULL) {
        call_fail(call, "event %z %s, expected a name such as order.paid", shown(argv[0]), wrong);
    } else if (event_is_reserved(event)) {
        call_fail(call, "event %z is reserved: names that begin with resthook are resthook's own",
                  shown(argv[0]));
    } else if (sqlite3_value_type(argv[1]) != SQLITE_TEXT) {
        call_fail(call, "payload is %z, expected JSON text", shown(argv[1]));
    } else {
        const char *payload = (const char *)sqlite3_value_text(argv[1]);

        wrong = payload != NULL ? json_check(payload, (size_t)sqlite3_value_bytes(argv[1]), &where)
                                : NULL;
        if (payload == NULL) {
            call_check(call, SQLITE_NOMEM);
        } else if (wrong != NULL) {
            call_fail(call, "payload %z is not JSON: %s at byte %d", shown(argv[1]), wrong,
                      (int)where);
        }
    }
}

/*
** A trigger on the outbox, or on what that one's writes lead to, may call resthook_emit again: each
** time SQLite runs once more on the C stack, and its own limit on triggers does not count that.
*/
static void check_nesting(struct call *call) {
    int depth = 0;

    for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(call->db, s)) != NULL;) {
        const char *sql = sqlite3_stmt_busy(s) != 0 ? sqlite3_sql(s) : NULL;

        depth += sql != NULL && strcmp(sql, sql_emit_add) == 0;
    }
    if (depth >= NESTED_MAX) {
        call_fail(call, "a trigger on what it writes calls it again, more than %d deep",
                  NESTED_MAX);
    }
}

/* The id of the row that this call just wrote; call_end puts the host's own last_insert_rowid()
** back. */
static void result_id(struct call *call) {
    sqlite3_result_int64(call->context, sqlite3_last_insert_rowid(call->db));
}

static void emit(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct option options[OPT_COUNT];
    struct call call;
    bool number;

    call_begin(&call, context, "resthook_emit", SCHEMA_ANY);
    const char *event = call_text_argument(&call, argv, 0, "event", EVENT_MAX);

    check_emitted(&call, argv, event);
    number = deliver_at_is_number(&call, argc > 2 ? argv[2] : NULL);
    options_read(&call, argc > 2 ? argv[2] : NULL, number ? number_rules : text_rules, OPT_COUNT,
                 options);
    sqlite3_int64 deliver_at = read_deliver_at(&call, &options[OPT_DELIVER_AT], number);

    check_nesting(&call);
    call_exec(&call, sql_emit_add, "tvti", event, argv[1], options[OPT_KEY].text, deliver_at);
    result_id(&call);
    options_free(options, OPT_COUNT);
    call_end(&call);
}

static void ping(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    call_begin(&call, context, "resthook_ping", SCHEMA_CURRENT);
    const char *id = call_text_argument(&call, argv, 0, "id", 100);
    sqlite3_int64 live = call_int(&call, -1, sql_subscription_live, "t", id);

    if (live < 0) {
        call_fail(&call, "there is no subscription %z", shown(argv[0]));
    } else if (live == 0) {
        call_fail(&call, "subscription %z has ended", shown(argv[0]));
    }
    call_exec(&call, sql_emit_ping, "t", id);
    result_id(&call);
    call_end(&call);
}

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

static void replay(sqlite3_context *context, int argc, sqlite3_value **argv) {
    char subscription[100];
    sqlite3_int64 event = 0;
    struct call call;

    (void)argc;
    call_begin(&call, context, "resthook_replay", SCHEMA_CURRENT);
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
    if (call_int(&call, 0, "SELECT 1 FROM main.resthook_outbox WHERE id = ?1", "i", event) == 0) {
        call_fail(&call, "delivery %z: its event is no longer in the outbox", shown(argv[0]));
    }
    call_exec(&call, sql_request_replay, "tii", subscription, event, call_now(&call));
    sqlite3_result_value(context, argv[0]);
    call_end(&call);
}

int emit_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_emit", 2, FUNCTION_ANYWHERE, emit},
        {"resthook_emit", 3, FUNCTION_ANYWHERE, emit},
        {"resthook_ping", 1, FUNCTION_DIRECT_ONLY, ping},
        {"resthook_replay", 1, FUNCTION_DIRECT_ONLY, replay},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
