/*
** target.c: see target.h. Whatever a row says, it is checked again here: it may have been written by
** other means than the functions.
** SPDX-License-Identifier: MIT
*/
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "header.h"
#include "headers.h"
#include "memory.h"
#include "settings.h"
#include "sign.h"
#include "url.h"

#define TIMEOUT_LEAST 100 /* ms; as resthook_subscribe() has it */
#define TIMEOUT_MOST 300000

void sub_target_hold(struct sub_target *target) {
    target->references++;
}

void sub_target_release(struct sub_target *target) {
    if (target == NULL || --target->references > 0) {
        return;
    }
    secret_ring_free((struct secret_ring *)target->target.ring);
    headers_free(target->headers);
    free(target->url);
    text_forget(target->headers_text);
    free(target->schedule);
    text_forget(target->secret);
    text_forget(target->old_secret);
    text_forget(target->challenge);
    free(target);
}

int64_t target_column(sqlite3_stmt *row, int column, int64_t otherwise) {
    return sqlite3_column_type(row, column) == SQLITE_NULL ? otherwise
                                                           : sqlite3_column_int64(row, column);
}

/* A reason that can stand alone, where "its secret" is not said already. */
static const char *in_its_secret(const char *wrong) {
    static char text[100];

    snprintf(text, sizeof text, "its secret %s", wrong);
    return text;
}

static const char *read_statuses(sqlite3_stmt *row, struct sub_target *target) {
    const char *text = db_string(row, COL_RETRY_STATUSES);

    if (text == NULL) {
        return NULL;
    }
    target->target.retried = &target->statuses;
    return statuses_parse(text, strlen(text), &target->statuses);
}

/* What signs: the secret and, during a rotation, the old one; or what is in a file. */
static const char *add_secrets(const struct secrets *secrets, struct sub_target *target,
                               struct secret_ring *ring) {
    const char *wrong;

    if (target->secret == NULL) {
        return "it has no secret";
    }
    if (target->secret_file != NULL) {
        return secrets_read(secrets, target->secret_file, ring, &target->stamp);
    }
    wrong = secret_ring_add(ring, target->secret, strlen(target->secret), NEVER);
    if (wrong == NULL && target->old_secret != NULL) {
        wrong = secret_ring_add(ring, target->old_secret, strlen(target->old_secret),
                                target->old_secret_until);
    }
    return wrong != NULL ? in_its_secret(wrong) : NULL;
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Is what signed before what signs now? */
static bool signs_alike(const struct sub_target *before, const struct sub_target *now,
                        const struct secrets *secrets) {
    return before != NULL && before->signs && same_text(before->secret, now->secret) &&
           same_text(before->old_secret, now->old_secret) &&
           before->old_secret_until == now->old_secret_until &&
           (before->secret_file == NULL ||
            !secrets_changed(secrets, before->secret_file, &before->stamp));
}

static const char *read_secrets(sqlite3_stmt *row, const struct sub_target *before,
                                const struct secrets *secrets, struct sub_target *target) {
    struct secret_ring *ring;
    const char *wrong = NULL;

    target->secret = db_copy(row, COL_SECRET);
    target->old_secret = db_copy(row, COL_OLD_SECRET);
    target->old_secret_until = target_column(row, COL_OLD_SECRET_UNTIL, 0);
    target->secret_file = target->secret != NULL ? secret_file(target->secret) : NULL;
    if (signs_alike(before, target, secrets)) {
        ring = secret_ring_hold((struct secret_ring *)before->target.ring);
        target->stamp = before->stamp;
    } else {
        ring = secret_ring_new();
        wrong = add_secrets(secrets, target, ring);
    }
    target->target.ring = ring;
    target->signs = wrong == NULL;
    return wrong;
}

struct sub_target *sub_target_read(sqlite3_stmt *row, const struct sub_target *before,
                                   const struct settings *settings, const struct secrets *secrets,
                                   const char **wrong) {
    struct sub_target *target = xcalloc(1, sizeof *target);
    const char *schedule;

    target->references = 1;
    target->url = db_copy(row, COL_TARGET);
    target->challenge = db_copy(row, COL_VERIFY_SECRET);
    target->headers_text = db_copy(row, COL_HEADERS);
    target->schedule = db_copy(row, COL_RETRY_SCHEDULE);
    target->target.url = target->url;
    target->target.timeout = target_column(row, COL_TIMEOUT, settings->timeout);
    target->target.connect_timeout = settings->connect_timeout;
    target->target.retry_after_most = settings->retry_after_most;
    target->target.response_most = (size_t)settings->response_most;
    target->target.headers_most = (size_t)settings->headers_most;
    schedule = target->schedule != NULL ? target->schedule : settings->retry_schedule;
    *wrong = read_secrets(row, before, secrets, target);
    if (*wrong == NULL) {
        *wrong = target->url == NULL ? "it has no target"
                                     : url_check(target->url, strlen(target->url), NULL);
    }
    if (*wrong == NULL) {
        *wrong = retry_parse(schedule, strlen(schedule), &target->target.schedule);
    }
    if (*wrong == NULL) {
        *wrong = read_statuses(row, target);
    }
    if (*wrong == NULL &&
        (target->target.timeout < TIMEOUT_LEAST || target->target.timeout > TIMEOUT_MOST)) {
        *wrong = "its timeout is not from 0.1 to 300 seconds";
    }
    if (*wrong == NULL && target->challenge != NULL &&
        header_check_value(target->challenge, strlen(target->challenge)) != NULL) {
        *wrong = "what it has to give back can't be sent as a header";
    }
    if (*wrong == NULL && target->headers_text != NULL) {
        *wrong = headers_read(target->headers_text, &target->headers);
        target->target.headers = target->headers;
    }
    return target;
}
