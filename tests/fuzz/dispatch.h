/*
** dispatch.h: a dispatcher's short life over a database and its side file. Nothing is sent: each job is
** looked at as one that could be, and an outcome made up for it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FUZZ_DISPATCH_H
#define RESTHOOK_FUZZ_DISPATCH_H

#include "event.h"
#include "fuzz.h"
#include "header.h"
#include "json.h"
#include "log.h"
#include "outbox.h"
#include "sign.h"
#include "url.h"

#define NOW INT64_C(1790000000000) /* 2026-09-21 */
#define TURNS 6

/* Instead of log.c's: what is said of each input is nobody's to read. */
void log_line(enum log_level level, const char *message, ...) {
    (void)level;
    (void)message;
}
bool log_enabled(enum log_level level) {
    (void)level;
    return false;
}

static void check_header(const char *name, const char *value) {
    MUST(value != NULL, "%s", name);
    MUST(header_check("x", 1, value, strlen(value)) == NULL, "%s: %s", name, value);
}

static void check_headers(const char *const *headers, bool own) {
    for (; headers != NULL && *headers != NULL; headers++) {
        size_t name = strcspn(*headers, ":;");
        const char *value = (*headers)[name] == ';' ? "" : *headers + name + 2;

        if (own) {
            check_header(*headers, value);
        } else {
            MUST(header_check(*headers, name, value, strlen(value)) == NULL, "%s", *headers);
        }
    }
}

/* Could it be sent as it is? */
static void check_job(const struct job *job) {
    const struct target *target = job->target;
    char signature[SIGN_TEXT_MAX];

    MUST(url_check(target->url, strlen(target->url), NULL) == NULL, "%s", target->url);
    MUST(event_check(job->event, strlen(job->event)) == NULL, "%s", job->event);
    MUST(target->timeout > 0 && target->connect_timeout > 0, "%lld, %lld",
         (long long)target->timeout, (long long)target->connect_timeout);
    MUST(target->schedule.count > 0 && target->schedule.count <= RETRY_MAX, "%d",
         target->schedule.count);
    MUST(json_check(job->body, job->body_length, NULL) == NULL, "%s", job->body);
    MUST(is_utf8(job->body, job->body_length), "%s", job->body);
    check_header("webhook-id", job->id);
    check_header("content-type", job->content_type);
    if (job->challenge != NULL) {
        check_header("x-hook-secret", job->challenge);
    }
    check_headers(job->extra, true);
    check_headers(target->headers, false);
    check_headers(job->headers, false);
    sign_request(target->ring, NOW, job->id, job->body, job->body_length, signature);
    check_header("webhook-signature", signature);
}

static void settle(struct source *source, struct job *job, uint8_t answer, int64_t now) {
    static const struct outcome outcomes[] = {
        {.state = VERDICT_DELIVERED,
         .status = 200,
         .error = "",
         .response = "ok",
         .response_length = 2},
        {.state = VERDICT_RETRY,
         .status = 500,
         .class = "status",
         .error = "status: 500",
         .response = "",
         .headers = "x: y",
         .headers_length = 4},
        {.state = VERDICT_DEAD,
         .class = "connect",
         .error = "connect: refused",
         .reason = "no success in 10 attempts",
         .response = ""},
        {.state = VERDICT_DEAD,
         .effect = EFFECT_GONE,
         .status = 410,
         .class = "status",
         .error = "",
         .reason = "gone: 410 from target",
         .response = ""},
        {.state = VERDICT_DELIVERED,
         .effect = EFFECT_CONFIRMED,
         .status = 200,
         .error = "",
         .response = ""},
        {.state = VERDICT_RETRY,
         .effect = EFFECT_THROTTLE,
         .status = 429,
         .class = "status",
         .error = "",
         .response = ""},
    };
    struct outcome outcome = outcomes[answer % (sizeof outcomes / sizeof *outcomes)];

    if (answer == 0xff) {
        place_drop(&job->place);
        source->settle(source, job, NULL, now);
        return;
    }
    if (outcome.effect == EFFECT_CONFIRMED && job->challenge == NULL) {
        outcome.effect = EFFECT_NONE;
    }
    outcome.started_at = now;
    outcome.next_at = now + answer;
    outcome.throttle_until = outcome.effect == EFFECT_THROTTLE ? now + 100 : 0;
    outcome.headers = outcome.headers != NULL ? outcome.headers : "";
    outcome.steps = (struct steps){1, 2, 3, 4};
    place_finish(&job->place, outcome.state == VERDICT_DELIVERED, outcome.throttle_until);
    source->settle(source, job, &outcome, now);
}

/* The answers say besides how time passes, and whether the database is adopted. */
static void dispatch(const char *file, struct input *answers) {
    struct outbox_options options = {.adopt = (enum adopt)(take_byte(answers) % 4), .lock = -1};
    struct endpoints *endpoints = endpoints_new(8, 4);
    struct wake *wake = wake_new();
    char *error = NULL;
    int64_t now = NOW;
    int status = 0;

    options.adopt = options.adopt > ADOPT_SKIP ? ADOPT_NO : options.adopt;
    MUST(wake != NULL, "descriptors");
    struct outbox *outbox = outbox_open(file, &options, endpoints, wake, now, &error, &status);
    MUST(outbox != NULL || (error != NULL && status >= 64), "%d: %s", status, error);
    for (int i = 0; outbox != NULL && i < TURNS; i++) {
        struct source *source = outbox_source(outbox);
        struct line *line;

        now += 1 + (int64_t)take_byte(answers) * 20;
        endpoints_turn(endpoints, now);
        wake_turn(wake);
        (void)source->turn(source, now, true);
        while ((line = endpoints_next(endpoints, now)) != NULL) {
            struct job *job = source->claim(source, line, now);

            if (job != NULL) {
                check_job(job);
                place_take(&job->place, line, now);
                settle(source, job, take_byte(answers), now);
            }
        }
    }
    if (outbox != NULL) {
        bool gently = false;

        (void)outbox_upkeep(outbox, now, &gently);
        (void)outbox_close(outbox, now);
    }
    free(error);
    wake_free(wake);
    endpoints_free(endpoints);
}

#endif
