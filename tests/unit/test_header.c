/*
** test_header.c: which headers a subscription may add.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ctype.h>
#include <cmocka.h>

#include "header.h"

static const char *check(const char *name, const char *value) {
    return header_check(name, strlen(name), value, strlen(value));
}

static void takes_what_users_add(void **state) {
    static const char *const names[] = {
        "Authorization",
        "x-api-key",
        "X-Custom_Header",
        "accept",
        "Cookie",
        "a",
        "x",
        "x-event",
        "hosts",
        "tea",
        "t",
        "content",
        "webhook",
        "ce",
        "proxy",
        "cex",
        "date",
        "x-webhook-id",
        "xproxy-",
        "!#$%&'*+-.^_`|~",
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (check(names[i], "v") != NULL) {
            fail_msg("%s: %s", names[i], check(names[i], "v"));
        }
    }
}

static void refuses_what_is_ours_in_any_case(void **state) {
    static const char *const names[] = {
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "transfer-encoding",
        "content-length",
        "content-type",
        "user-agent",
        "content-encoding",
        "x-event-type",
        "content-range",
        "http2-settings",
        "proxy-connection",
        "proxy-authorization",
        "webhook-id",
        "webhook-sequence",
        "webhook-signature",
        "webhook-timestamp",
        "ce-id",
        "ce-type",
        "webhook-",
        "ce-",
        "proxy-",
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char upper[100] = "";
        char mixed[100] = "";

        for (size_t j = 0; names[i][j] != '\0'; j++) {
            upper[j] = (char)toupper(names[i][j]);
            mixed[j] = j % 2 == 0 ? upper[j] : names[i][j];
        }
        if (check(names[i], "v") == NULL || check(upper, "v") == NULL ||
            check(mixed, "v") == NULL) {
            fail_msg("%s", names[i]);
        }
        assert_string_equal(check(upper, "v"), "a header of this name is set by resthook alone");
    }
}

/* Every byte, by the lists of RFC 9110 5.6.2 (tchar) and 5.5 (without obs-text). */
static void judges_every_byte(void **state) {
    static const char token[] = "!#$%&'*+-.^_`|~"
                                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool in_name = memchr(token, c, sizeof token - 1) != NULL;
        bool in_value = c == '\t' || (c >= 0x20 && c < 0x7f);

        assert_int_equal(header_check(text, 3, "v", 1) == NULL, in_name);
        assert_int_equal(header_check("x", 1, text, 3) == NULL, in_value);
    }
}

static void checks_values(void **state) {
    static const char *const refused[] = {
        " a",        "a ",   "\ta",  "a\t",      " ",     "\t",
        "a\r\nb: c", "a\nb", "a\rb", "\xc3\xa9", "a\x7f", "\x01",
    };

    (void)state;
    assert_null(check("x", ""));
    assert_null(header_check("x", 1, NULL, 0));
    assert_null(check("x", "Bearer abc.def~+/=="));
    assert_null(check("x", "a b\tc"));
    assert_non_null(header_check("x", 1, "a\0b", 3));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (check("x", refused[i]) == NULL) {
            fail_msg("'%s'", refused[i]);
        }
    }
}

static void checks_names(void **state) {
    static const char *const refused[] = {
        "", " x", "x ", "x:", ":authority", "x y", "x\r\ny", "x(", "\"x\"", "x/y", "x\xc3\xa9",
    };

    (void)state;
    assert_non_null(header_check(NULL, 0, "v", 1));
    assert_non_null(header_check("x\0", 2, "v", 1));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (check(refused[i], "v") == NULL) {
            fail_msg("'%s'", refused[i]);
        }
    }
}

static void bounds_the_lengths(void **state) {
    char text[4097];

    (void)state;
    memset(text, 'x', sizeof text);
    assert_null(header_check(text, 100, "v", 1));
    assert_non_null(header_check(text, 101, "v", 1));
    assert_null(header_check("x", 1, text, 4096));
    assert_non_null(header_check("x", 1, text, 4097));
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static const struct {
    const char *value;
    bool is;
} traces[] = {
    {"00-" TRACE "-" PARENT "-01", true},
    {"00-" TRACE "-" PARENT "-00", true},
    {"00-" TRACE "-" PARENT "-ff", true},
    {"00-00000000000000000000000000000001-0000000000000001-00", true},
    {"01-" TRACE "-" PARENT "-01", true},
    {"01-" TRACE "-" PARENT "-01-more", true},
    {"fe-" TRACE "-" PARENT "-01-", true},
    {"", false},
    {"00", false},
    {"00-" TRACE "-" PARENT "-0", false},
    {"00-" TRACE "-" PARENT "-01-more", false},
    {"00-" TRACE "-" PARENT "-01-", false},
    {"01-" TRACE "-" PARENT "-01more", false},
    {"01-" TRACE "-" PARENT "-01-a\nb", false},
    {"01-" TRACE "-" PARENT "-01- ", false},
    {"ff-" TRACE "-" PARENT "-01", false},
    {"0g-" TRACE "-" PARENT "-01", false},
    {"00_" TRACE "-" PARENT "-01", false},
    {"00-" TRACE "_" PARENT "-01", false},
    {"00-" TRACE "-" PARENT "_01", false},
    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", false},
    {"00-" TRACE "-" PARENT "-0A", false},
    {"00-00000000000000000000000000000000-" PARENT "-01", false},
    {"00-" TRACE "-0000000000000000-01", false},
    {" 00-" TRACE "-" PARENT "-01", false},
    {"00-" TRACE "-" PARENT "-01 ", false},
};

static void knows_a_traceparent(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        if (header_is_traceparent(traces[i].value, strlen(traces[i].value)) != traces[i].is) {
            fail_msg("'%s'", traces[i].value);
        }
    }
    assert_true(header_is_traceparent("00-" TRACE "-" PARENT "-01-more", 55)); /* length rules */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_a_traceparent),
        cmocka_unit_test(takes_what_users_add),
        cmocka_unit_test(refuses_what_is_ours_in_any_case),
        cmocka_unit_test(judges_every_byte),
        cmocka_unit_test(checks_values),
        cmocka_unit_test(checks_names),
        cmocka_unit_test(bounds_the_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
