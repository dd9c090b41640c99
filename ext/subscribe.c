/*
** subscribe.c: who wants what: resthook_subscribe, _update, _pause, _resume, _unsubscribe.
**
** Everything is checked before anything is written. No error ever shows a secret.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "event.h"
#include "filter.h"
#include "hooks.h"
#include "options.h"
#include "retry.h"
#include "signing.h"
#include "sql.h"
#include "statuses.h"
#include "url.h"
#include "verify.h"

/* Whom it trusts, what it receives, how fast and how often, what people say of it. */
enum {
    OPT_SECRET,
    OPT_SIGNING,
    OPT_VERIFY,
    OPT_STATUS,
    OPT_FILTER,
    OPT_FORMAT,
    OPT_HEADERS,
    OPT_ORDERED,
    OPT_RATE,
    OPT_MAX_IN_FLIGHT,
    OPT_TIMEOUT,
    OPT_RETRY_SCHEDULE,
    OPT_RETRY_STATUSES,
    OPT_DESCRIPTION,
    OPT_COUNT
};

static const struct option_rule rules[OPT_COUNT] = {
    [OPT_SECRET] = {"secret", OPTION_TEXT},
    [OPT_SIGNING] = {"signing", OPTION_TEXT},
    [OPT_VERIFY] = {"verify", OPTION_TEXT},
    [OPT_STATUS] = {"status", OPTION_TEXT},
    [OPT_FILTER] = {"filter", OPTION_TEXT},
    [OPT_FORMAT] = {"format", OPTION_TEXT},
    [OPT_HEADERS] = {"headers", OPTION_OBJECT},
    [OPT_ORDERED] = {"ordered", OPTION_SWITCH},
    [OPT_RATE] = {"rate", OPTION_NUMBER},
    [OPT_MAX_IN_FLIGHT] = {"max_in_flight", OPTION_INTEGER},
    [OPT_TIMEOUT] = {"timeout", OPTION_NUMBER},
    [OPT_RETRY_SCHEDULE] = {"retry_schedule", OPTION_TEXT},
    [OPT_RETRY_STATUSES] = {"retry_statuses", OPTION_TEXT},
    [OPT_DESCRIPTION] = {"description", OPTION_TEXT},
};

#define FILTER_MOST 10000
#define DESCRIPTION_MOST 1000
#define ID_LENGTH 24

/* 'sub_' and 24 of 36 characters: 124 bits. Bytes of 252 and above are thrown away, so that none is
** likelier. */
static void make_id(char id[4 + ID_LENGTH + 1]) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    int count = 0;

    memcpy(id, "sub_", 4);
    while (count < ID_LENGTH) {
        unsigned char byte;

        sqlite3_randomness(1, &byte);
        if (byte < 252) {
            id[4 + count++] = alphabet[byte % 36];
        }
    }
    id[4 + ID_LENGTH] = '\0';
}

/* ---- checking ---- */

static void check_one_of(struct call *call, const char *key, const char *value,
                         const char *const *allowed, const char *list) {
    for (; *allowed != NULL; allowed++) {
        if (strcmp(value, *allowed) == 0) {
            return;
        }
    }
    call_fail(call, "option %s is %z, expected one of %s", key, shown_text(value), list);
}

static void check_numbers(struct call *call, const struct option *options) {
    const struct option *o = &options[OPT_MAX_IN_FLIGHT];

    if (o->given && !o->null && (o->integer < 1 || o->integer > 1000)) {
        call_fail(call, "option max_in_flight is %lld, expected a number from 1 to 1000",
                  o->integer);
    }
    o = &options[OPT_TIMEOUT];
    if (o->given && !o->null && !(o->number >= 0.1 && o->number <= 300)) {
        call_fail(call, "option timeout is %.20s, expected seconds from 0.1 to 300",
                  o->text != NULL ? o->text : "?");
    }
    o = &options[OPT_RATE];
    if (o->given && !o->null && !(o->number >= 0.01 && o->number <= 10000)) {
        call_fail(call, "option rate is %.20s, expected requests a second from 0.01 to 10000",
                  o->text != NULL ? o->text : "?");
    }
}

static void check_options(struct call *call, const struct option *options) {
    static const char *const statuses[] = {"active", "inactive", NULL};
    static const char *const formats[] = {"bare", "standard", "cloudevents", "change", NULL};
    const struct option *o;
    const char *wrong = NULL;

    if (call->rc != SQLITE_OK) {
        return;
    }
    signing_check(call, &options[OPT_SECRET], &options[OPT_SIGNING]);
    verify_check(call, &options[OPT_VERIFY]);
    if ((o = &options[OPT_STATUS])->text != NULL) {
        check_one_of(call, "status", o->text, statuses, "active, inactive");
    }
    if ((o = &options[OPT_FORMAT])->text != NULL) {
        check_one_of(call, "format", o->text, formats, "bare, standard, cloudevents, change");
    }
    if ((o = &options[OPT_HEADERS])->text != NULL) {
        options_check_headers(call, o->text);
    }
    check_numbers(call, options);
    if ((o = &options[OPT_RETRY_SCHEDULE])->text != NULL) {
        struct retry_schedule schedule;

        wrong = retry_parse(o->text, strlen(o->text), &schedule);
        if (wrong != NULL) {
            call_fail(call, "option retry_schedule %z %s, expected delays such as '0,5s,5m'",
                      shown_text(o->text), wrong);
        }
    }
    if ((o = &options[OPT_RETRY_STATUSES])->text != NULL) {
        struct statuses retried;

        wrong = statuses_parse(o->text, strlen(o->text), &retried);
        if (wrong != NULL) {
            call_fail(call, "option retry_statuses %z %s, expected statuses such as '408,429,5xx'",
                      shown_text(o->text), wrong);
        }
    }
    o = &options[OPT_ORDERED];
    if (o->text != NULL && !o->literal && strcmp(o->text, "skip") != 0 &&
        strcmp(o->text, "stop") != 0) {
        call_fail(call, "option ordered is %z, expected true, false, 'skip' or 'stop'",
                  shown_text(o->text));
    }
    o = &options[OPT_DESCRIPTION];
    if (o->text != NULL && strlen(o->text) > DESCRIPTION_MOST) {
        call_fail(call, "option description is %d bytes long, expected at most %d",
                  (int)strlen(o->text), DESCRIPTION_MOST);
    }
}

/* event: the subscription's pattern. */
static void check_filter(struct call *call, const char *event, const char *filter) {
    char *error = NULL;
    int rc;

    if (call->rc != SQLITE_OK || filter == NULL) {
        return;
    }
    if (strlen(filter) > FILTER_MOST) {
        call_fail(call, "option filter is %d bytes long, expected at most %d", (int)strlen(filter),
                  FILTER_MOST);
        return;
    }
    rc = filter_check(call->db, event, filter, &error);
    if (rc == SQLITE_ERROR && error != NULL) {
        call_fail(call, "option filter is %z, which can't be used: %s", shown_text(filter), error);
    } else {
        call_check(call, rc);
    }
    sqlite3_free(error);
}

/* ---- writing ---- */

/* As it is kept: skip, stop; NULL: not ordered. */
static const char *ordered_text(const struct option *o) {
    if (o->literal) {
        return o->integer != 0 ? "skip" : NULL;
    }
    return o->text;
}

/* Writes what was given; null is the default. again: a handshake too that it had already. */
static void write_options(struct call *call, const char *id, const struct option *options,
                          bool again) {
    const struct option *o = options;

#define GIVEN(at) (sqlite3_int64) o[at].given, o[at].text
    call_exec(call, sql_subscription_options, "titititititititititititit", id, GIVEN(OPT_SECRET),
              GIVEN(OPT_STATUS), GIVEN(OPT_HEADERS), GIVEN(OPT_FORMAT), GIVEN(OPT_MAX_IN_FLIGHT),
              GIVEN(OPT_TIMEOUT), GIVEN(OPT_RETRY_SCHEDULE), GIVEN(OPT_DESCRIPTION),
              GIVEN(OPT_RETRY_STATUSES), GIVEN(OPT_FILTER), (sqlite3_int64)o[OPT_ORDERED].given,
              ordered_text(&o[OPT_ORDERED]), GIVEN(OPT_RATE));
#undef GIVEN
    signing_write(call, id, &options[OPT_SIGNING]);
    verify_write(call, id, &options[OPT_VERIFY], again);
}

static bool any_given(const struct option *options) {
    for (int i = 0; i < OPT_COUNT; i++) {
        if (options[i].given) {
            return true;
        }
    }
    return false;
}

static void add(struct call *call, const char *id, const char *event, const char *target,
                const struct option *signing) {
    char secret[SECRET_TEXT_MAX];
    sqlite3_int64 now = call_now(call);

    signing_make(signing, secret);
    call_exec(call, sql_subscription_add, "ttttii", id, event, target, secret, newest_event(call),
              now);
}

/* ---- the functions ---- */

static void check_event_and_target(struct call *call, sqlite3_value **argv, const char *event,
                                   const char *target) {
    const char *wrong;

    if (call->rc != SQLITE_OK) {
        return;
    }
    if ((wrong = event_check_pattern(event, strlen(event))) != NULL) {
        call_fail(call, "event %z %s, expected a name such as enrollment.create, enrollment.* or *",
                  shown(argv[0]), wrong);
    } else if (event_is_reserved(event) && !event_pattern_is_known(event)) {
        call_fail(call, "event %z is reserved and there is no such event; known are %s",
                  shown(argv[0]), event_own);
    } else if ((wrong = url_check(target, strlen(target), NULL)) != NULL) {
        call_fail(call, "target %z %s, expected a URL such as https://example.com/hook",
                  shown_before(argv[1], '?'), wrong);
    }
}

static void subscribe(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct option options[OPT_COUNT];
    char new_id[4 + ID_LENGTH + 1];
    struct call call;

    call_begin(&call, context, "resthook_subscribe", SCHEMA_CURRENT);
    const char *event = call_text_argument(&call, argv, 0, "event", EVENT_MAX);
    const char *target = call_text_argument(&call, argv, 1, "target", URL_MAX);

    check_event_and_target(&call, argv, event, target);
    options_read(&call, argc > 2 ? argv[2] : NULL, rules, OPT_COUNT, options);
    check_options(&call, options);
    check_filter(&call, event, options[OPT_FILTER].text);
    char *known = call_text(&call, sql_subscription_find, "tt", event, target);
    const char *id = known;

    if (known == NULL) {
        make_id(new_id);
        id = new_id;
        if (call.rc == SQLITE_OK) {
            add(&call, id, event, target, &options[OPT_SIGNING]);
            arm_triggers(&call);
        }
    }
    if (any_given(options)) {
        write_options(&call, id, options, false);
        if (known != NULL) {
            call_exec(&call, sql_subscription_touch, "t", id);
        }
    }
    sqlite3_result_text(context, id, -1, SQLITE_TRANSIENT);
    options_free(options, OPT_COUNT);
    sqlite3_free(known);
    call_end(&call);
}

const char *subscription_argument(struct call *call, sqlite3_value **argv, bool may_be_ended) {
    const char *id = call_text_argument(call, argv, 0, "id", 100);
    char *status =
        call_text(call, "SELECT status FROM main.resthook_subscription WHERE id = ?1", "t", id);

    if (call->rc == SQLITE_OK && status == NULL) {
        call_fail(call, "there is no subscription %z", shown(argv[0]));
    } else if (call->rc == SQLITE_OK && !may_be_ended && strcmp(status, "ended") == 0) {
        call_fail(call, "subscription %z has ended; resthook_subscribe() makes a new one",
                  shown(argv[0]));
    }
    sqlite3_free(status);
    return id;
}

static void update(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct option options[OPT_COUNT];
    struct call call;

    (void)argc;
    call_begin(&call, context, "resthook_update", SCHEMA_CURRENT);
    const char *id = subscription_argument(&call, argv, false);

    options_read(&call, argv[1], rules, OPT_COUNT, options);
    check_options(&call, options);
    if (options[OPT_FILTER].text != NULL) {
        char *event =
            call_text(&call, "SELECT event FROM main.resthook_subscription WHERE id = ?1", "t", id);

        check_filter(&call, event, options[OPT_FILTER].text);
        sqlite3_free(event);
    }
    if (any_given(options)) {
        write_options(&call, id, options, true);
        call_exec(&call, sql_subscription_touch, "t", id);
    }
    sqlite3_result_value(context, argv[0]);
    options_free(options, OPT_COUNT);
    call_end(&call);
}

static void set_status(sqlite3_context *context, sqlite3_value **argv, const char *function,
                       const char *status) {
    struct call call;
    sqlite3_int64 other;

    call_begin(&call, context, function, SCHEMA_CURRENT);
    const char *id = subscription_argument(&call, argv, false);

    other = call_int(&call, 0, sql_subscription_is_other, "tt", id, status);
    if (other != 0) {
        call_exec(&call, sql_subscription_status, "tt", id, status);
        call_exec(&call, sql_subscription_touch, "t", id);
    }
    sqlite3_result_int(context, other != 0);
    call_end(&call);
}

static void pause_(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    set_status(context, argv, "resthook_pause", "inactive");
}

static void resume(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    set_status(context, argv, "resthook_resume", "active");
}

static void unsubscribe(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;
    sqlite3_int64 live;

    (void)argc;
    call_begin(&call, context, "resthook_unsubscribe", SCHEMA_CURRENT);
    const char *id = subscription_argument(&call, argv, true);

    live = call_int(&call, 0, sql_subscription_live, "t", id);
    if (live != 0) {
        call_exec(&call, sql_subscription_end, "ti", id, newest_event(&call));
        call_exec(&call, sql_subscription_touch, "t", id);
    }
    sqlite3_result_int(context, live != 0);
    call_end(&call);
}

int subscribe_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_subscribe", 2, FUNCTION_DIRECT_ONLY, subscribe},
        {"resthook_subscribe", 3, FUNCTION_DIRECT_ONLY, subscribe},
        {"resthook_update", 2, FUNCTION_DIRECT_ONLY, update},
        {"resthook_pause", 1, FUNCTION_DIRECT_ONLY, pause_},
        {"resthook_resume", 1, FUNCTION_DIRECT_ONLY, resume},
        {"resthook_unsubscribe", 1, FUNCTION_DIRECT_ONLY, unsubscribe},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
