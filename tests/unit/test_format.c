/*
** test_format.c: the bytes of a body and of the ce-* headers, one by one. What the standards ask
** for (Standard Webhooks 1.0.0, CloudEvents 1.0 and its HTTP binding, RFC 3339) is said beside it.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "event.h"
#include "format.h"
#include "json.h"

#define NOW INT64_C(1767323045678)
#define NOW_TEXT "2026-01-02T03:04:05.678Z"

static void knows_its_names(void **state) {
    static const char *const wrong[] = {"", "Bare", "bare ", "standard\n", "cloudevent", "json"};
    enum format format = FORMATS;

    (void)state;
    assert_true(format_named("bare", &format));
    assert_int_equal(format, FORMAT_BARE);
    assert_true(format_named("standard", &format));
    assert_int_equal(format, FORMAT_STANDARD);
    assert_true(format_named("cloudevents", &format));
    assert_int_equal(format, FORMAT_CLOUDEVENTS);
    assert_true(format_named("change", &format));
    assert_int_equal(format, FORMAT_CHANGE);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(format_named(wrong[i], &format));
        assert_int_equal(format, FORMAT_CHANGE); /* as it was */
    }
}

static void writes_any_time_as_rfc_3339(void **state) {
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {
        {NOW, NOW_TEXT},
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.999Z"},
        {1000, "1970-01-01T00:00:01.000Z"},
        {1709251199005, "2024-02-29T23:59:59.005Z"},
        {-1, "1970-01-01T00:00:00.000Z"}, /* nothing was captured before */
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000Z"},
    };
    char out[32];

    (void)state;
    setenv("TZ", "America/New_York", 1); /* it is UTC all the same */
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        format_time(times[i].ms, out);
        assert_string_equal(out, times[i].text);
    }
    unsetenv("TZ");
}

/* Payloads of every kind: a payload is any JSON text, and stays what it is, to the last byte. */
static const char *const payloads[] = {
    "{\"id\":1}", "{ \"id\" : 12345678901234567890.50 ,\n\"id\":2 }",
    "[]",         "[1,2]",
    "null",       "true",
    "-0.0",       "\"text \\u0000 \xc3\xa9\"",
    "{}",
};

static void expect_body(const struct buffer *body, const char *before, const char *payload,
                        const char *after) {
    char wanted[512];

    snprintf(wanted, sizeof wanted, "%s%s%s", before, payload, after);
    assert_false(body->failed);
    assert_string_equal(body->data, wanted);
    assert_int_equal(body->length, strlen(wanted));
    assert_null(json_check(body->data, body->length, NULL));
}

/* Standard Webhooks 1.0.0, "Payload structure": type, timestamp (ISO 8601), data. */
static void puts_a_payload_into_the_standard_envelope(void **state) {
    struct buffer body = {0};

    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        buffer_clear(&body);
        format_standard(&body, "enrollment.create", NOW, payloads[i], strlen(payloads[i]));
        expect_body(&body,
                    "{\"type\":\"enrollment.create\",\"timestamp\":\"" NOW_TEXT "\",\"data\":",
                    payloads[i], "}");
    }
    buffer_clear(&body);
    format_standard(&body, "a-B_9.z", 999, "[1,2]xyz", 5); /* a payload has a length, and no end */
    expect_body(&body, "{\"type\":\"a-B_9.z\",\"timestamp\":\"1970-01-01T00:00:00.999Z\",\"data\":",
                "[1,2]", "}");
    buffer_clear(&body);
    format_standard(&body, "no\",\"data\":0,\"x\":\"\n", 0, "1", 1); /* it forges no field */
    expect_body(&body,
                "{\"type\":\"no\\\",\\\"data\\\":0,\\\"x\\\":\\\"\\u000a\",\"timestamp\":"
                "\"1970-01-01T00:00:00.000Z\",\"data\":",
                "1", "}");
    buffer_free(&body);
}

static void shows_an_emitted_event_as_a_change(void **state) {
    struct buffer body = {0};

    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        buffer_clear(&body);
        format_emitted_change(&body, payloads[i], strlen(payloads[i]));
        expect_body(&body,
                    "{\"type\":\"EMIT\",\"table\":null,\"schema\":null,\"record\":", payloads[i],
                    ",\"old_record\":null}");
    }
    buffer_clear(&body);
    format_emitted_change(&body, "nullify", 4);
    expect_body(&body, "{\"type\":\"EMIT\",\"table\":null,\"schema\":null,\"record\":", "null",
                ",\"old_record\":null}");
    buffer_free(&body);
}

/* CloudEvents 1.0.2: id, source, specversion and type are required, time is RFC 3339; HTTP binding
** 3.1.3: each is a header with the prefix ce-. datacontenttype is content-type (3.1.1), the job's. */
static void writes_the_headers_of_a_cloudevent(void **state) {
    static const char *const wanted[] = {
        "ce-specversion: 1.0",        "ce-id: 8f_12_1767323045678", "ce-source: /resthook/8f01",
        "ce-type: enrollment.create", ("ce-time: " NOW_TEXT),
    };
    const char *headers[FORMAT_HEADERS] = {[FORMAT_HEADERS - 1] = "x"};

    (void)state;
    format_cloudevents_headers(headers, "enrollment.create", "8f_12_1767323045678",
                               "/resthook/8f01", NOW);
    for (int i = 0; i < FORMAT_HEADERS - 1; i++) {
        assert_string_equal(headers[i], wanted[i]);
        free((char *)headers[i]);
    }
    assert_null(headers[FORMAT_HEADERS - 1]);
}

/* HTTP binding 3.1.3.2: space, '"', '%' and what is outside U+0021 to U+007E would have to be
** percent-encoded. No event name has any of it, so that names are written as they are. */
static void needs_no_percent_encoding(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char name[] = {'a', (char)c, 'b'};

        if (event_check(name, sizeof name) == NULL) {
            assert_in_range(c, 0x21, 0x7e);
            assert_true(c != '"' && c != '%');
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_names),
        cmocka_unit_test(writes_any_time_as_rfc_3339),
        cmocka_unit_test(puts_a_payload_into_the_standard_envelope),
        cmocka_unit_test(shows_an_emitted_event_as_a_change),
        cmocka_unit_test(writes_the_headers_of_a_cloudevent),
        cmocka_unit_test(needs_no_percent_encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
