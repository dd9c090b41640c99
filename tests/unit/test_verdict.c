/*
** test_verdict.c: what answers mean.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "failure.h"
#include "verdict.h"

#define NOW INT64_C(1790000000000)  /* Mon, 21 Sep 2026 14:13:20 GMT */
#define MIDDLE UINT32_C(0x80000000) /* of the jitter: none */
#define MOST INT64_C(3600000)

/* Three attempts: at once, after a second, after a minute. */
static const struct target target = {.schedule = {.count = 3, .delay = {0, 1000, 60000}},
                                     .retry_after_most = MOST};

static struct outcome decide(const struct reply *reply, int attempt) {
    struct job job = {.target = &target, .attempt = attempt};
    struct outcome outcome;

    memset(&outcome, 0xa5, sizeof outcome); /* nothing may be left as it was */
    verdict(reply, &job, NOW, MIDDLE, &outcome);
    return outcome;
}

static struct outcome decide_status(int status, int64_t asked, int attempt) {
    struct reply reply = {.status = status, .error = "", .retry_after = asked};

    return decide(&reply, attempt);
}

static void delivers_every_2xx_and_nothing_else(void **state) {
    (void)state;
    for (int status = 100; status < 1000; status++) {
        for (int64_t asked = -1; asked <= 5000; asked += 5001) {
            struct outcome outcome = decide_status(status, asked, 1);
            bool throttles = asked > 0 && (status == 429 || status == 503);

            assert_int_equal(outcome.status, status);
            assert_string_equal(outcome.error, "");
            if (status >= 200 && status <= 299) {
                assert_null(outcome.class);
            } else {
                assert_string_equal(outcome.class, "status");
            }
            if (status >= 200 && status <= 299) {
                assert_int_equal(outcome.state, VERDICT_DELIVERED);
                assert_int_equal(outcome.effect, EFFECT_NONE);
            } else if (status == 410) {
                assert_int_equal(outcome.state, VERDICT_DEAD);
                assert_int_equal(outcome.effect, EFFECT_GONE);
                assert_string_equal(outcome.reason, "gone: 410 from target");
            } else {
                assert_int_equal(outcome.state, VERDICT_RETRY);
                assert_int_equal(outcome.effect, throttles ? EFFECT_THROTTLE : EFFECT_NONE);
                assert_int_equal(outcome.next_at, NOW + (throttles ? 5000 : 1000));
            }
        }
    }
}

/* The secret given back in a success confirms, and changes nothing else. */
static void confirms_who_gives_the_secret_back(void **state) {
    static const char *const given[] = {NULL, "", "secret", "secre", "secrets", "Secret"};

    (void)state;
    for (int status = 200; status < 600; status++) {
        for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
            for (int asked = 0; asked < 2; asked++) {
                struct reply reply = {
                    .status = status, .error = "", .retry_after = -1, .given_back = given[i]};
                struct job job = {
                    .target = &target, .attempt = 1, .challenge = asked ? "secret" : NULL};
                struct outcome plain = decide_status(status, -1, 1), outcome;

                verdict(&reply, &job, NOW, MIDDLE, &outcome);
                assert_int_equal(outcome.state, plain.state);
                assert_int_equal(outcome.effect,
                                 asked && i == 2 && status < 300 ? EFFECT_CONFIRMED : plain.effect);
            }
        }
    }
}

static void retries_every_failure(void **state) {
    (void)state;
    for (int failure = FAILURE_DNS; failure < FAILURES; failure++) {
        /* a status that came before the failure says nothing, whatever it is */
        static const int before[] = {0, 200, 410, 429};

        for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
            struct reply reply = {.failure = (enum failure)failure,
                                  .status = before[i],
                                  .error = "class: text",
                                  .retry_after = -1};
            struct outcome outcome = decide(&reply, 1);

            assert_int_equal(outcome.state, VERDICT_RETRY);
            assert_int_equal(outcome.effect, EFFECT_NONE);
            assert_int_equal(outcome.next_at, NOW + 1000);
            assert_int_equal(outcome.status, 0);
            assert_string_equal(outcome.error, "class: text");
            assert_string_equal(outcome.class, failure_class((enum failure)failure));
        }
    }
}

static void hands_on_what_was_measured(void **state) {
    struct reply reply = {.status = 200,
                          .error = "",
                          .retry_after = -1,
                          .started_at = NOW - 5,
                          .duration = 4,
                          .steps = {1, 2, 3, 4},
                          .response = "abc",
                          .response_length = 3,
                          .headers = "a: b",
                          .headers_length = 4};
    struct outcome outcome = decide(&reply, 1);

    (void)state;
    assert_int_equal(outcome.started_at, NOW - 5);
    assert_int_equal(outcome.duration, 4);
    assert_ptr_equal(outcome.response, reply.response);
    assert_int_equal(outcome.response_length, 3);
    assert_memory_equal(&outcome.steps, &reply.steps, sizeof reply.steps);
    assert_ptr_equal(outcome.headers, reply.headers);
    assert_int_equal(outcome.headers_length, 4);
}

/* Each has its own name, and error texts begin with it. */
static void names_every_class(void **state) {
    (void)state;
    for (int i = 0; i < FAILURES; i++) {
        assert_non_null(failure_class((enum failure)i));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(failure_class((enum failure)i), failure_class((enum failure)j));
        }
    }
    for (int code = 1; code < 200; code++) { /* libcurl's */
        const struct failure_name *name = failure_named(code);
        size_t length = strlen(failure_class(name->failure));

        assert_memory_equal(name->text, failure_class(name->failure), length);
        assert_memory_equal(name->text + length, ": ", 2);
        assert_int_not_equal(name->failure, FAILURE_NONE);
    }
}

static void says_what_came_too_late(void **state) {
    static const struct {
        struct steps steps;
        bool handshake, sent;
        const char *text;
    } cases[] = {
        {{-1, -1, -1, -1}, false, false, "timeout: the name was not resolved in time"},
        {{5, -1, -1, -1}, false, false, "timeout: no connection in time"},
        {{5, -1, -1, -1}, true, false, "timeout: no TLS handshake in time"},
        {{5, 9, 12, -1}, true, true, "timeout: no answer in time"},
        {{-1, -1, -1, -1}, false, true, "timeout: no answer in time"}, /* used again */
        {{5, 9, -1, 30}, false, true, "timeout: no whole answer in time"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct failure_name *name =
            failure_late(&cases[i].steps, cases[i].handshake, cases[i].sent);

        assert_string_equal(name->text, cases[i].text);
        assert_int_equal(name->failure, FAILURE_TIMEOUT);
    }
}

/* Only what the subscription wants is tried again; a failure without a status always is. */
static void tries_again_what_it_is_told(void **state) {
    struct statuses retried;
    struct target some = target;
    struct job job = {.target = &some, .attempt = 1};
    struct outcome outcome;

    (void)state;
    assert_null(statuses_parse("408,429,5xx", 11, &retried));
    some.retried = &retried;
    for (int status = 100; status < 1000; status++) {
        struct reply reply = {.status = status, .error = "", .retry_after = 5000};
        bool again = status == 408 || status == 429 || (status >= 500 && status <= 599);
        char reason[64];

        snprintf(reason, sizeof reason, "%d is not in retry_statuses", status);
        verdict(&reply, &job, NOW, MIDDLE, &outcome);
        if (status >= 200 && status <= 299) {
            assert_int_equal(outcome.state, VERDICT_DELIVERED);
        } else if (status == 410) {
            assert_int_equal(outcome.effect, EFFECT_GONE);
        } else if (again) {
            assert_int_equal(outcome.state, VERDICT_RETRY);
        } else {
            assert_int_equal(outcome.state, VERDICT_DEAD);
            assert_string_equal(outcome.reason, reason);
            assert_string_equal(outcome.class, "status");
        }
    }
    for (int failure = FAILURE_DNS; failure < FAILURES; failure++) {
        struct reply reply = {.failure = (enum failure)failure, .error = "x: y", .retry_after = -1};

        verdict(&reply, &job, NOW, MIDDLE, &outcome);
        assert_int_equal(outcome.state, VERDICT_RETRY);
    }
    assert_null(statuses_parse("500", 3, &retried)); /* it still asked to be left alone */
    outcome = (struct outcome){0};
    verdict(&(struct reply){.status = 429, .error = "", .retry_after = 5000}, &job, NOW, MIDDLE,
            &outcome);
    assert_int_equal(outcome.state, VERDICT_DEAD);
    assert_int_equal(outcome.effect, EFFECT_THROTTLE);
    assert_int_equal(outcome.throttle_until, NOW + 5000);
}

static void goes_through_the_schedule(void **state) {
    struct reply timeout = {
        .failure = FAILURE_TIMEOUT, .error = "timeout: no whole answer in time", .retry_after = -1};
    struct outcome outcome;

    (void)state;
    assert_int_equal(decide_status(500, -1, 1).next_at, NOW + 1000);
    assert_int_equal(decide_status(500, -1, 2).next_at, NOW + 60000);
    outcome = decide_status(503, -1, 3);
    assert_int_equal(outcome.state, VERDICT_DEAD);
    assert_int_equal(outcome.effect, EFFECT_NONE);
    assert_string_equal(outcome.reason, "no success in 3 attempts; last: 503");
    outcome = decide(&timeout, 3);
    assert_int_equal(outcome.state, VERDICT_DEAD);
    assert_string_equal(outcome.reason,
                        "no success in 3 attempts; last: timeout: no whole answer in time");
    /* the schedule became shorter meanwhile */
    outcome = decide_status(301, -1, 12);
    assert_int_equal(outcome.state, VERDICT_DEAD);
    assert_string_equal(outcome.reason, "no success in 12 attempts; last: 301");
}

static void says_one_attempt(void **state) {
    static const struct target once = {.schedule = {.count = 1}, .retry_after_most = MOST};
    struct job job = {.target = &once, .attempt = 1};
    struct reply reply = {.status = 404, .error = "", .retry_after = -1};
    struct outcome outcome;

    (void)state;
    verdict(&reply, &job, NOW, 0, &outcome);
    assert_string_equal(outcome.reason, "no success in 1 attempt; last: 404");
}

static void jitters_within_a_tenth(void **state) {
    struct job job = {.target = &target, .attempt = 2};
    struct reply reply = {.status = 500, .error = "", .retry_after = -1};
    struct outcome outcome;

    (void)state;
    verdict(&reply, &job, NOW, 0, &outcome);
    assert_int_equal(outcome.next_at, NOW + 54000);
    verdict(&reply, &job, NOW, UINT32_MAX, &outcome);
    assert_int_equal(outcome.next_at, NOW + 66000);
}

/* 429 and 503 with Retry-After, after the second attempt: the schedule says a minute. */
static const struct {
    int64_t asked;
    int64_t next;     /* ms from now */
    int64_t throttle; /* the same; 0: none */
} asked[] = {
    {-1, 60000, 0},        {0, 60000, 0},          {1, 60000, 1},
    {59999, 60000, 59999}, {60000, 60000, 60000},  {60001, 60001, 60001},
    {MOST, MOST, MOST},    {MOST + 1, MOST, MOST}, {INT64_MAX, MOST, MOST},
};

static void waits_as_long_as_was_asked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        for (int status = 429; status <= 503; status += 503 - 429) {
            struct outcome outcome = decide_status(status, asked[i].asked, 2);

            assert_int_equal(outcome.state, VERDICT_RETRY);
            assert_int_equal(outcome.next_at, NOW + asked[i].next);
            if (asked[i].throttle > 0) {
                assert_int_equal(outcome.effect, EFFECT_THROTTLE);
                assert_int_equal(outcome.throttle_until, NOW + asked[i].throttle);
            } else {
                assert_int_equal(outcome.effect, EFFECT_NONE);
            }
        }
    }
}

static void throttles_after_the_last_attempt_too(void **state) {
    struct outcome outcome = decide_status(429, 7000, 3);

    (void)state;
    assert_int_equal(outcome.state, VERDICT_DEAD);
    assert_string_equal(outcome.reason, "no success in 3 attempts; last: 429");
    assert_int_equal(outcome.effect, EFFECT_THROTTLE);
    assert_int_equal(outcome.throttle_until, NOW + 7000);
}

static const struct {
    const char *value;
    int64_t after; /* ms */
} values[] = {
    {"0", 0},
    {"1", 1000},
    {"120", 120000},
    {"0120", 120000},
    {"922337203685477", INT64_C(922337203685477000)},
    {"9223372036854776", INT64_MAX},
    {"9223372036854775807", INT64_MAX},
    {"99999999999999999999999999999999", INT64_MAX},
    /* the three forms, RFC 9110 5.6.7 */
    {"Mon, 21 Sep 2026 14:13:21 GMT", 1000},
    {"Monday, 21-Sep-26 14:13:21 GMT", 1000},
    {"Mon Sep 21 14:13:21 2026", 1000},
    {"Thu Oct  1 00:00:00 2026", 812800000},
    {"Thu, 01 Oct 2026 00:00:00 GMT", 812800000},
    {"Mon, 21 Sep 2026 14:13:20 GMT", 0},
    {"Mon, 21 Sep 2026 14:13:19 GMT", 0},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 0},
    {"Sun Nov  6 08:49:37 1994", 0},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Mon, 01 Jan 0001 00:00:00 GMT", 0},
    {"Mon, 01 Jan 0000 00:00:00 GMT", 0},
    {"Tue, 29 Feb 2028 00:00:00 GMT", INT64_C(1835395200000) - NOW},
    {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799000) - NOW},
    {"Wed, 31 Dec 2031 23:59:60 GMT", INT64_C(1956528000000) - NOW}, /* a leap second */
    /* two digits: at most 50 years ahead */
    {"Tuesday, 01-Jan-76 00:00:00 GMT", INT64_C(3345062400000) - NOW},
    {"Saturday, 01-Jan-77 00:00:00 GMT", 0},
    /* neither */
    {"", -1},
    {" ", -1},
    {" 1", -1},
    {"1 ", -1},
    {"-1", -1},
    {"+1", -1},
    {"1.5", -1},
    {"1e3", -1},
    {"0x10", -1},
    {"1s", -1},
    {"soon", -1},
    {"GMT", -1},
    {"2026-09-21T14:13:21Z", -1},
    {"Mon, 21 Sep 2026 14:13:21", -1},
    {"Mon, 21 Sep 2026 14:13:21 UTC", -1},
    {"Mon, 21 Sep 2026 14:13:21 +0000", -1},
    {"Mon, 21 Sep 2026 14:13:21 GMT ", -1},
    {"Mon, 21 Sep 2026 14:13:21 GMTx", -1},
    {"mon, 21 sep 2026 14:13:21 gmt", -1},
    {"Xxx, 21 Sep 2026 14:13:21 GMT", -1},
    {"Mon, 21 Xxx 2026 14:13:21 GMT", -1},
    {"Mon, 1 Oct 2026 00:00:00 GMT", -1},
    {"Mon,21 Sep 2026 14:13:21 GMT", -1},
    {"Mon, 21 Sep 26 14:13:21 GMT", -1},
    {"Mon, 21-Sep-26 14:13:21 GMT", -1},
    {"Monday, 21-Sep-2026 14:13:21 GMT", -1},
    {"Mon Sep 1 14:13:21 2026", -1},
    {"Mon, 00 Sep 2026 14:13:21 GMT", -1},
    {"Mon, 31 Sep 2026 14:13:21 GMT", -1},
    {"Sun, 29 Feb 2026 00:00:00 GMT", -1},
    {"Sun, 29 Feb 2100 00:00:00 GMT", -1},
    {"Mon, 21 Sep 2026 24:00:00 GMT", -1},
    {"Mon, 21 Sep 2026 14:60:00 GMT", -1},
    {"Mon, 21 Sep 2026 14:13:61 GMT", -1},
    {"Mon, 21 Sep 2026 1:13:21 GMT", -1},
    {"Mon, 21 Sep -026 14:13:21 GMT", -1},
};

static void reads_retry_after(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        int64_t after = retry_after(values[i].value, NOW);

        if (after != values[i].after) {
            fail_msg("'%s': %lld", values[i].value, (long long)after);
        }
    }
}

/* Against the C library, some days of every month of two centuries, in all forms. */
static void agrees_with_the_c_library(void **state) {
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y",
                                        "%A, %d-%b-%y %H:%M:%S GMT"};

    (void)state;
    for (time_t at = 1790000001; at < INT64_C(1790000000) + 86400LL * 366 * 200; at += 876543) {
        struct tm tm;
        bool short_year = at < INT64_C(1790000000) + 86400LL * 365 * 50;

        assert_non_null(gmtime_r(&at, &tm));
        for (int i = 0; i < (short_year ? 3 : 2); i++) {
            char text[64];

            assert_true(strftime(text, sizeof text, forms[i], &tm) > 0);
            if (retry_after(text, NOW) != (int64_t)at * 1000 - NOW) {
                fail_msg("%s: %lld", text, (long long)retry_after(text, NOW));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_every_2xx_and_nothing_else),
        cmocka_unit_test(confirms_who_gives_the_secret_back),
        cmocka_unit_test(retries_every_failure),
        cmocka_unit_test(hands_on_what_was_measured),
        cmocka_unit_test(names_every_class),
        cmocka_unit_test(says_what_came_too_late),
        cmocka_unit_test(tries_again_what_it_is_told),
        cmocka_unit_test(goes_through_the_schedule),
        cmocka_unit_test(says_one_attempt),
        cmocka_unit_test(jitters_within_a_tenth),
        cmocka_unit_test(waits_as_long_as_was_asked),
        cmocka_unit_test(throttles_after_the_last_attempt_too),
        cmocka_unit_test(reads_retry_after),
        cmocka_unit_test(agrees_with_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
