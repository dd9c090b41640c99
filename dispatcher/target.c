/*
** target.c: see target.h. Whatever a row says, it is checked again here: it may have been written by
** other means than the functions.
** SPDX-License-Identifier: MIT
*/
#include "target.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "header.h"
#include "memory.h"
#include "sign.h"
#include "subscription.h"
#include "url.h"

static void free_secret(char *secret) {
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void sub_target_hold(struct sub_target *target) {
    target->references++;
}

void sub_target_release(struct sub_target *target) {
    if (target == NULL || --target->references > 0) {
        return;
    }
    secret_ring_free((struct secret_ring *)target->target.ring);
    if (target->headers != NULL) {
        for (const char **header = target->headers; *header != NULL; header++) {
            free((char *)*header);
        }
        free(target->headers);
    }
    free(target->url);
    free(target->headers_text);
    free(target->schedule);
    free(target->secret_file);
    free_secret(target->challenge);
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

static const char *read_headers(struct sub_target *target) {
    cJSON *object = cJSON_ParseWithOpts(target->headers_text, NULL, 1);
    const char *wrong = cJSON_IsObject(object) ? NULL : "headers are not a JSON object";
    const cJSON *header;
    int count = 0;

    target->headers = xcalloc((size_t)cJSON_GetArraySize(object) + 1, sizeof *target->headers);
    cJSON_ArrayForEach(header, object) {
        const char *value = cJSON_GetStringValue(header);

        if (wrong == NULL && value == NULL) {
            wrong = "a header's value is not a text";
        }
        if (wrong == NULL) {
            wrong = header_check(header->string, strlen(header->string), value, strlen(value));
        }
        if (wrong == NULL) {
            /* libcurl drops "name: "; an empty value is said with a semicolon. */
            target->headers[count++] = *value != '\0' ? xprintf("%s: %s", header->string, value)
                                                      : xprintf("%s;", header->string);
        }
    }
    cJSON_Delete(object);
    return wrong;
}

/* What signs: the secret and, during a rotation, the old one; or what is in a file. */
static const char *read_secrets(sqlite3_stmt *row, const struct secrets *secrets,
                                struct sub_target *target, struct secret_ring *ring) {
    const char *secret = (const char *)sqlite3_column_text(row, COL_SECRET);
    const char *old = (const char *)sqlite3_column_text(row, COL_OLD_SECRET);
    const char *file = secret != NULL ? secret_file(secret) : NULL;
    const char *wrong;

    if (secret == NULL) {
        return "it has no secret";
    }
    if (file != NULL) {
        target->secret_file = xstrdup(file);
        return secrets_read(secrets, file, ring, &target->stamp);
    }
    wrong = secret_ring_add(ring, secret, strlen(secret), NEVER);
    if (wrong == NULL && old != NULL) {
        wrong =
            secret_ring_add(ring, old, strlen(old), target_column(row, COL_OLD_SECRET_UNTIL, 0));
    }
    return wrong != NULL ? in_its_secret(wrong) : NULL;
}

struct sub_target *sub_target_read(sqlite3_stmt *row, const struct settings *settings,
                                   const struct secrets *secrets, const char **wrong) {
    struct sub_target *target = xcalloc(1, sizeof *target);
    struct secret_ring *ring = secret_ring_new();
    const char *schedule;

    target->references = 1;
    target->url = db_copy(row, COL_TARGET);
    target->challenge = db_copy(row, COL_VERIFY_SECRET);
    target->headers_text = db_copy(row, COL_HEADERS);
    target->schedule = db_copy(row, COL_RETRY_SCHEDULE);
    target->target.url = target->url;
    target->target.ring = ring;
    target->target.timeout = target_column(row, COL_TIMEOUT, settings->timeout);
    target->target.connect_timeout = settings->connect_timeout;
    target->target.retry_after_most = settings->retry_after_most;
    target->target.response_most = settings->response_most;
    schedule = target->schedule != NULL ? target->schedule : settings->retry_schedule;
    *wrong = read_secrets(row, secrets, target, ring);
    if (*wrong == NULL) {
        *wrong = target->url == NULL ? "it has no target"
                                     : url_check(target->url, strlen(target->url), NULL);
    }
    if (*wrong == NULL) {
        *wrong = retry_parse(schedule, strlen(schedule), &target->target.schedule);
    }
    if (*wrong == NULL && target->headers_text != NULL) {
        *wrong = read_headers(target);
        target->target.headers = target->headers;
    }
    return target;
}
