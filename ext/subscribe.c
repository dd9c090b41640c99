/*
** subscribe.c: who wants what: resthook_subscribe, _update, _pause, _resume, _unsubscribe, _secret,
** _rotate_secret.
**
** Everything is checked before anything is written. No error ever shows a secret.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "event.h"
#include "hooks.h"
#include "options.h"
#include "retry.h"
#include "secret.h"
#include "sql.h"
#include "statuses.h"
#include "url.h"

enum {
    OPT_SECRET,
    OPT_STATUS,
    OPT_HEADERS,
    OPT_FORMAT,
    OPT_MAX_IN_FLIGHT,
    OPT_TIMEOUT,
    OPT_RETRY_SCHEDULE,
    OPT_RETRY_STATUSES,
    OPT_DESCRIPTION,
    OPT_COUNT
};

static const struct option_rule rules[OPT_COUNT] = {
    [OPT_SECRET] = {"secret", OPTION_TEXT},
    [OPT_STATUS] = {"status", OPTION_TEXT},
    [OPT_HEADERS] = {"headers", OPTION_OBJECT},
    [OPT_FORMAT] = {"format", OPTION_TEXT},
    [OPT_MAX_IN_FLIGHT] = {"max_in_flight", OPTION_INTEGER},
    [OPT_TIMEOUT] = {"timeout", OPTION_NUMBER},
    [OPT_RETRY_SCHEDULE] = {"retry_schedule", OPTION_TEXT},
    [OPT_RETRY_STATUSES] = {"retry_statuses", OPTION_TEXT},
    [OPT_DESCRIPTION] = {"description", OPTION_TEXT},
};

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

static void make_secret(char secret[SECRET_TEXT_MAX]) {
    unsigned char random[SECRET_BYTES_MIN];

    sqlite3_randomness(sizeof random, random);
    secret_format(random, secret);
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

static void check_options(struct call *call, const struct option *options) {
    static const char *const statuses[] = {"active", "inactive", NULL};
    static const char *const formats[] = {"bare", "standard", "cloudevents", "change", NULL};
    const struct option *o;
    const char *wrong = NULL;

    if (call->rc != SQLITE_OK) {
        return;
    }
    o = &options[OPT_SECRET];
    if (o->given && o->null) {
        call_fail(call, "option secret can't be null; resthook_rotate_secret() makes a new one");
    } else if (o->text != NULL) {
        unsigned char key[SECRET_BYTES_MAX];

        if (secret_parse(o->text, strlen(o->text), key, &wrong) == 0) {
            call_fail(call, "option secret %s, expected whsec_ and the base64 of 24 to 64 bytes",
                      wrong);
        }
    }
    if ((o = &options[OPT_STATUS])->text != NULL) {
        check_one_of(call, "status", o->text, statuses, "active, inactive");
    }
    if ((o = &options[OPT_FORMAT])->text != NULL) {
        check_one_of(call, "format", o->text, formats, "bare, standard, cloudevents, change");
    }
    if ((o = &options[OPT_HEADERS])->text != NULL) {
        options_check_headers(call, o->text);
    }
    o = &options[OPT_MAX_IN_FLIGHT];
    if (o->given && !o->null && (o->integer < 1 || o->integer > 1000)) {
        call_fail(call, "option max_in_flight is %lld, expected a number from 1 to 1000",
                  o->integer);
    }
    o = &options[OPT_TIMEOUT];
    if (o->given && !o->null && !(o->number >= 0.1 && o->number <= 300)) {
        call_fail(call, "option timeout is %.20s, expected seconds from 0.1 to 300",
                  o->text != NULL ? o->text : "?");
    }
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
    o = &options[OPT_DESCRIPTION];
    if (o->text != NULL && strlen(o->text) > DESCRIPTION_MOST) {
        call_fail(call, "option description is %d bytes long, expected at most %d",
                  (int)strlen(o->text), DESCRIPTION_MOST);
    }
}

/* ---- writing ---- */

/* Writes what was given; null is the default. */
static void write_options(struct call *call, const char *id, const struct option *options) {
    const struct option *o = options;

#define GIVEN(at) (sqlite3_int64) o[at].given, o[at].text
    call_exec(call, sql_subscription_options, "tititititititititit", id, GIVEN(OPT_SECRET),
              GIVEN(OPT_STATUS), GIVEN(OPT_HEADERS), GIVEN(OPT_FORMAT), GIVEN(OPT_MAX_IN_FLIGHT),
              GIVEN(OPT_TIMEOUT), GIVEN(OPT_RETRY_SCHEDULE), GIVEN(OPT_DESCRIPTION),
              GIVEN(OPT_RETRY_STATUSES));
#undef GIVEN
}

static bool any_given(const struct option *options) {
    for (int i = 0; i < OPT_COUNT; i++) {
        if (options[i].given) {
            return true;
        }
    }
    return false;
}

static void add(struct call *call, const char *id, const char *event, const char *target) {
    char secret[SECRET_TEXT_MAX];
    sqlite3_int64 now = call_now(call);

    make_secret(secret);
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
                  shown(argv[1]), wrong);
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
    char *known = call_text(&call, sql_subscription_find, "tt", event, target);
    const char *id = known;

    if (known == NULL) {
        make_id(new_id);
        id = new_id;
        if (call.rc == SQLITE_OK) {
            add(&call, id, event, target);
        }
    }
    if (any_given(options)) {
        write_options(&call, id, options);
        if (known != NULL) {
            call_exec(&call, sql_subscription_touch, "t", id);
        }
    }
    sqlite3_result_text(context, id, -1, SQLITE_TRANSIENT);
    options_free(options, OPT_COUNT);
    sqlite3_free(known);
    call_end(&call);
}

/* The id given, after making sure that it is a subscription's; with may_be_ended false, of one that
** has not ended. */
static const char *subscription_argument(struct call *call, sqlite3_value **argv,
                                         bool may_be_ended) {
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
    if (any_given(options)) {
        write_options(&call, id, options);
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

    other = call_int(&call, 0, "SELECT status <> ?2 FROM main.resthook_subscription WHERE id = ?1",
                     "tt", id, status);
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

static void secret(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    call_open(&call, context, "resthook_secret");
    const char *id = subscription_argument(&call, argv, true);
    char *text =
        call_text(&call, "SELECT secret FROM main.resthook_subscription WHERE id = ?1", "t", id);

    sqlite3_result_text(context, text, -1, sqlite3_free);
    call_end(&call);
}

static void rotate_secret(sqlite3_context *context, int argc, sqlite3_value **argv) {
    char new_secret[SECRET_TEXT_MAX];
    struct call call;

    call_begin(&call, context, "resthook_rotate_secret", SCHEMA_CURRENT);
    const char *id = subscription_argument(&call, argv, false);
    sqlite3_int64 overlap = setting_int(&call, "rotation_overlap");

    if (argc > 1 && sqlite3_value_type(argv[1]) != SQLITE_NULL) {
        overlap = sqlite3_value_type(argv[1]) == SQLITE_INTEGER ? sqlite3_value_int64(argv[1]) : -1;
        if (overlap < 0 || overlap > 604800) {
            call_fail(&call, "overlap is %z, expected seconds from 0 to 604800", shown(argv[1]));
        }
    }
    make_secret(new_secret);
    call_exec(&call, sql_subscription_rotate, "tti", id, new_secret,
              call_now(&call) + overlap * 1000);
    call_exec(&call, sql_subscription_touch, "t", id);
    sqlite3_result_text(context, new_secret, -1, SQLITE_TRANSIENT);
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
        {"resthook_secret", 1, FUNCTION_DIRECT_ONLY, secret},
        {"resthook_rotate_secret", 1, FUNCTION_DIRECT_ONLY, rotate_secret},
        {"resthook_rotate_secret", 2, FUNCTION_DIRECT_ONLY, rotate_secret},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
