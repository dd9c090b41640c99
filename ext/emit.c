/*
** emit.c: events that no table's watch makes: resthook_emit, resthook_ping.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "event.h"
#include "header.h"
#include "hooks.h"
#include "json.h"
#include "options.h"
#include "sql.h"

enum { OPT_KEY, OPT_DELIVER_AT, OPT_IDEMPOTENCY_KEY, OPT_HEADERS, OPT_TRACEPARENT, OPT_COUNT };

#define NESTED_MAX 16
#define IDEMPOTENCY_KEY_MAX 500 /* bytes */
#define LATEST 253402300799LL   /* 9999-12-31T23:59:59Z, seconds */

/* deliver_at is ISO 8601 text or seconds since 1970, so its type is looked at here and not by a
** rule. */
#define RULES(deliver_at)                                                                          \
    {                                                                                              \
        [OPT_KEY] = {"key", OPTION_TEXT}, [OPT_DELIVER_AT] = {"deliver_at", deliver_at},           \
        [OPT_IDEMPOTENCY_KEY] = {"idempotency_key", OPTION_TEXT},                                  \
        [OPT_HEADERS] = {"headers", OPTION_OBJECT},                                                \
        [OPT_TRACEPARENT] = {"traceparent", OPTION_TEXT},                                          \
    }
static const struct option_rule text_rules[OPT_COUNT] = RULES(OPTION_TEXT);
static const struct option_rule number_rules[OPT_COUNT] = RULES(OPTION_NUMBER);

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
    } else if (!number) {
        at = call_int(call, -1, sql_time_of, "t", option->text);
    }
    if (at < 0) {
        call_fail(call,
                  "option deliver_at is %z, expected a date and time such as "
                  "'2026-01-31T12:00:00Z' or seconds since 1970",
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

/* What an event has besides is in a table that a file of the first schema lacks. */
static void check_extra(struct call *call, const struct option *headers,
                        const struct option *traceparent) {
    const char *trace = traceparent->text;

    if (call->rc != SQLITE_OK || (headers->text == NULL && trace == NULL)) {
        return;
    }
    if (call->schema < 2) {
        call_fail(call,
                  "option %s needs a newer schema: SELECT resthook_init() brings it up to date",
                  trace != NULL ? "traceparent" : "headers");
    } else if (trace != NULL && !header_is_traceparent(trace, strlen(trace))) {
        call_fail(call,
                  "option traceparent is %z, expected one of W3C Trace Context such as "
                  "'00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'",
                  shown_text(trace));
    } else if (headers->text != NULL) {
        options_check_headers(call, headers->text);
        if (trace != NULL && call_int(call, 0, sql_extra_traces, "t", headers->text) != 0) {
            call_fail(call, "traceparent is given twice, as an option and among the headers");
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

/*
** The key as it is stored: an event's name and the key, so that a key is one event of that name.
** NULL: none is given. The caller's, to be freed with sqlite3_free.
*/
static char *idempotency_key(struct call *call, const char *event, const struct option *option) {
    char *key = NULL;

    if (call->rc != SQLITE_OK || option->text == NULL) {
        return NULL;
    }
    if (option->text[0] == '\0' || strlen(option->text) > IDEMPOTENCY_KEY_MAX) {
        call_fail(call, "option idempotency_key is %z, expected a text of 1 to %d bytes",
                  shown_text(option->text), IDEMPOTENCY_KEY_MAX);
    } else if (call->schema < 2) {
        call_fail(call, "option idempotency_key needs a newer schema: SELECT resthook_init() "
                        "brings it up to date");
    } else if ((key = sqlite3_mprintf("%s %s", event, option->text)) == NULL) {
        call_check(call, SQLITE_NOMEM);
    }
    return key;
}

/* The event that has the key since less than the setting's time; 0: none. */
static sqlite3_int64 event_with(struct call *call, const char *key, sqlite3_int64 now) {
    sqlite3_int64 window = key != NULL ? setting_int(call, "idempotency_window") : 0;

    return key != NULL ? call_int(call, 0, sql_extra_known, "ti", key, now - window * 1000) : 0;
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
    char *key = idempotency_key(&call, event, &options[OPT_IDEMPOTENCY_KEY]);
    sqlite3_int64 now = call_now(&call);
    sqlite3_int64 id = event_with(&call, key, now);

    check_extra(&call, &options[OPT_HEADERS], &options[OPT_TRACEPARENT]);
    check_nesting(&call);
    if (id == 0) {
        const char *headers = options[OPT_HEADERS].text, *trace = options[OPT_TRACEPARENT].text;

        call_exec(&call, sql_emit_add, "tvti", event, argv[1], options[OPT_KEY].text, deliver_at);
        id = sqlite3_last_insert_rowid(call.db); /* call_end puts the host's own back */
        if (key != NULL) {
            call_exec(&call, sql_extra_release, "t", key);
        }
        if (key != NULL || headers != NULL || trace != NULL) {
            call_exec(&call, sql_extra_add, "ittt", id, headers, trace, key);
        }
    }
    sqlite3_result_int64(context, id);
    sqlite3_free(key);
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
    sqlite3_result_int64(context, sqlite3_last_insert_rowid(call.db));
    call_end(&call);
}

int emit_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_emit", 2, FUNCTION_ANYWHERE, emit},
        {"resthook_emit", 3, FUNCTION_ANYWHERE, emit},
        {"resthook_ping", 1, FUNCTION_DIRECT_ONLY, ping},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
