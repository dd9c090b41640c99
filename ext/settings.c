/*
** settings.c: the settings of a database: one table, from which come defaults, bounds, errors and
** the view resthook_settings. The dispatcher reads them while it runs; the operator's flags are
** ceilings above them.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "hooks.h"
#include "retry.h"
#include "sql.h"

enum setting_type { SETTING_INTEGER, SETTING_DURATION, SETTING_SCHEDULE };

static const char *const type_names[] = {"integer", "duration", "schedule"};

/* Durations are in seconds; as text they may have a unit ("15s", "2h"). */
static const struct setting {
    const char *name;
    enum setting_type type;
    const char *unit;
    const char *standard;
    double least, most;
    const char *help;
} settings[] = {
    {"capture_max", SETTING_INTEGER, "bytes", "1048576", 1024, 268435456,
     "a row larger than this is captured as its primary key; takes effect when a watch is made or "
     "repaired"},
    {"retry_schedule", SETTING_SCHEDULE, "delays", RETRY_STANDARD, 0, 0,
     "delay before each attempt, of subscriptions that have none of their own"},
    {"retry_after_max", SETTING_DURATION, "seconds", "86400", 0, 2592000,
     "how far a target's Retry-After may put an attempt off"},
    {"timeout", SETTING_DURATION, "seconds", "15", 0.1, 300, "for a whole request"},
    {"connect_timeout", SETTING_DURATION, "seconds", "5", 0.1, 300,
     "for name, connection and TLS handshake"},
    {"max_in_flight", SETTING_INTEGER, "requests", "64", 1, 1000,
     "requests at once of one subscription"},
    {"response_max", SETTING_INTEGER, "bytes", "4096", 0, 65536,
     "of a response's body that are kept"},
    {"response_headers_max", SETTING_INTEGER, "bytes", "2048", 0, 65536,
     "of the headers that are kept of a response that is no success"},
    {"rotation_overlap", SETTING_DURATION, "seconds", "86400", 0, 604800,
     "how long the old secret signs too after resthook_rotate_secret()"},
    {"keep_events", SETTING_DURATION, "seconds", "604800", 0, 31536000,
     "settled events stay in the outbox this long, for replay"},
    {"keep_deliveries", SETTING_DURATION, "seconds", "2592000", 0, 315360000,
     "delivered and cancelled deliveries stay in the history"},
    {"keep_dead", SETTING_DURATION, "seconds", "7776000", 0, 315360000,
     "dead deliveries stay in the history"},
    {"keep_attempts", SETTING_DURATION, "seconds", "604800", 0, 315360000,
     "attempts before a delivery's last one stay in the history"},
    {"keep_pending", SETTING_DURATION, "seconds", "2592000", 60, 315360000,
     "what is kept for a paused or failing target ends as dead: expired after this"},
    {"keep_pending_rows", SETTING_INTEGER, "deliveries", "1000000", 1, 1000000000,
     "and beyond so many of one subscription that is paused or failing, the oldest first"},
    {"idempotency_window", SETTING_DURATION, "seconds", "86400", 1, 31536000,
     "how long an idempotency_key of resthook_emit() names the same event"},
    {"backfill_rate", SETTING_INTEGER, "events a second", "100", 0, 1000000,
     "how fast resthook_backfill() sends existing rows; 0: as fast as the target takes them"},
    {"failing_after", SETTING_DURATION, "seconds", "432000", 0, 31536000,
     "a target that has failed this long makes its subscription failing; 0: never"},
    {"failing_probe", SETTING_DURATION, "seconds", "60", 0.1, 86400,
     "between the first probes of a failing target; each pause is twice the last, up to 60 times "
     "this"},
    {"sync_every", SETTING_DURATION, "seconds", "1", 0, 1,
     "how long outcomes may wait to reach the disk; 0: each group of them at once"},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

void settings_install(struct call *call) {
    for (const struct setting *s = settings; s < settings + SETTINGS; s++) {
        call_exec(call, sql_setting_install, "ttttddt", s->name, type_names[s->type], s->unit,
                  s->standard, s->least, s->most, s->help);
    }
}

static const struct setting *find(struct call *call, const char *name) {
    char *known = NULL;

    for (int i = 0; name != NULL && i < SETTINGS; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return &settings[i];
        }
    }
    for (int i = 0; i < SETTINGS; i++) {
        char *longer = sqlite3_mprintf("%s%s%s", known != NULL ? known : "", i > 0 ? ", " : "",
                                       settings[i].name);

        sqlite3_free(known);
        known = longer;
    }
    if (name != NULL) {
        call_fail(call, "there is no setting %z; known are %z", shown_text(name), known);
    } else {
        sqlite3_free(known);
    }
    return NULL;
}

double setting_within(const char *name, double value) {
    for (const struct setting *s = settings; s < settings + SETTINGS; s++) {
        if (strcmp(s->name, name) == 0) {
            return value < s->least ? s->least : value > s->most ? s->most : value;
        }
    }
    return value;
}

sqlite3_int64 setting_int(struct call *call, const char *name) {
    return call_int(call, 0, sql_setting_value, "t", name);
}

static void set_schedule(struct call *call, const struct setting *s, sqlite3_value *value) {
    struct retry_schedule schedule;
    const char *wrong = "is not text";

    if (sqlite3_value_type(value) == SQLITE_TEXT) {
        wrong = retry_parse((const char *)sqlite3_value_text(value),
                            (size_t)sqlite3_value_bytes(value), &schedule);
    }
    if (wrong != NULL) {
        call_fail(call, "%s %z %s, expected delays such as '0, 5s, 5m, 2h'", s->name, shown(value),
                  wrong);
    }
    call_exec(call, "UPDATE main.resthook_setting SET value = ?2 WHERE name = ?1", "tv", s->name,
              value);
}

static void set_number(struct call *call, const struct setting *s, sqlite3_value *value) {
    int type = sqlite3_value_type(value);
    double number = sqlite3_value_double(value);
    bool ok = type == SQLITE_INTEGER || (type == SQLITE_FLOAT && s->type == SETTING_DURATION);

    if (type == SQLITE_TEXT && s->type == SETTING_DURATION) {
        int64_t ms = retry_duration((const char *)sqlite3_value_text(value),
                                    (size_t)sqlite3_value_bytes(value));

        ok = ms >= 0;
        number = (double)ms / 1000.0;
    }
    if (!ok || number < s->least || number > s->most) {
        call_fail(call, "%s is %z, expected a %s of %s from %.15g to %.15g", s->name, shown(value),
                  s->type == SETTING_INTEGER ? "whole number" : "number", s->unit, s->least,
                  s->most);
    }
    call_exec(call, sql_setting_number, "td", s->name, number);
}

/* The value in force, with its type. */
static void result(struct call *call, const char *name) {
    sqlite3_stmt *row = call_prepare(call, sql_setting_value, "t", name);

    if (call_step(call, row)) {
        sqlite3_result_value(call->context, sqlite3_column_value(row, 0));
    }
    (void)sqlite3_finalize(row);
}

static void set(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    call_begin(&call, context, "resthook_set", SCHEMA_CURRENT);
    const struct setting *s = find(&call, call_text_argument(&call, argv, 0, "name", 100));

    if (s != NULL && sqlite3_value_type(argv[1]) == SQLITE_NULL) {
        call_exec(&call, "UPDATE main.resthook_setting SET value = NULL WHERE name = ?1", "t",
                  s->name);
    } else if (s != NULL && s->type == SETTING_SCHEDULE) {
        set_schedule(&call, s, argv[1]);
    } else if (s != NULL) {
        set_number(&call, s, argv[1]);
    }
    if (s != NULL) {
        result(&call, s->name);
    }
    call_end(&call);
}

static void get(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    (void)argc;
    call_open(&call, context, "resthook_get");
    const struct setting *s = find(&call, call_text_argument(&call, argv, 0, "name", 100));

    if (s != NULL) {
        result(&call, s->name);
    }
    call_end(&call);
}

int settings_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_set", 2, FUNCTION_DIRECT_ONLY, set},
        {"resthook_get", 1, FUNCTION_DIRECT_ONLY, get},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
