/*
** test_response.c: what is kept of a response.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "response.h"

/* Bodies, and what is kept of them in 16 bytes. */
static const struct {
    const char *body;
    size_t length;
    const char *kept;
} bodies[] = {
    {"plain\ttext\n", 11, "plain\ttext\n"},
    {"a\r\nb\rc\n", 7, "a\nbc\n"},
    {"a\0b\x01\x1b[31mc\x7f", 11, "ab[31mc"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82"},
    {"a\xc2\x85z\xc2\x9f\xc2\xa0", 8, "az\xc2\xa0"},
    {"\xff\xfe", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"a\xc3", 2, "a\xef\xbf\xbd"},
    {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"0123456789abcdef", 16, "0123456789abcdef"},
    {"0123456789abcdefg", 17, "0123456789abcdef"},
    {"0123456789abcd\xe2\x82\xac", 17, "0123456789abcd"},
    {"0123456789abcde\xc3\xa9", 17, "0123456789abcde"},
    {"0123456789abc\xf0\x9f\x99\x82", 17, "0123456789abc"},
    {"0123456789abc\xe2\x82\xac", 16, "0123456789abc\xe2\x82\xac"},
    {"\xff\xff\xff\xff\xff\xff\xff\xff", 8,
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
};

static void keeps_readable_text(void **state) {
    struct response response = {0};
    struct buffer text = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (size_t step = 1; step <= bodies[i].length; step++) { /* however it comes */
            response_begin(&response, 0, 16);
            for (size_t at = 0; at < bodies[i].length; at += step) {
                size_t rest = bodies[i].length - at;

                assert_true(
                    response_take(&response, bodies[i].body + at, rest < step ? rest : step));
            }
            assert_true(response.body.bytes.length <=
                        16 + 3); /* room for a character that is cut */
            response_text(&response.body, &text);
            if (text.length != strlen(bodies[i].kept) ||
                memcmp(text.data, bodies[i].kept, text.length) != 0) {
                fail_msg("%zu: '%.*s'", i, (int)text.length, text.data);
            }
        }
    }
    response_free(&response);
    buffer_free(&text);
}

static void takes_so_much_and_no_more(void **state) {
    static char bytes[RESPONSE_READ_MOST];
    struct response response = {0};
    struct buffer text = {0};

    (void)state;
    for (int round = 0; round < 2; round++) {
        response_begin(&response, 0, round == 0 ? 0 : SIZE_MAX);
        memset(bytes, 'a', sizeof bytes);
        assert_true(response_take(&response, bytes, sizeof bytes - 1));
        assert_true(response_take(&response, bytes, 1));
        assert_false(response_take(&response, bytes, 1));
        response_text(&response.body, &text);
        assert_int_equal(text.length, round == 0 ? 0 : RESPONSE_READ_MOST);
    }
    response_free(&response);
    buffer_free(&text);
}

/* Heads, a line each, and what is kept of them in 40 bytes. */
static const struct {
    const char *lines[8];
    bool whole;
    const char *kept;
} heads[] = {
    {{"HTTP/1.1 503 No\r\n", "Retry-After: 5\r\n", "X: y\r\n", "\r\n"},
     true,
     "Retry-After: 5\nX: y\n"},
    {{"HTTP/1.1 503 No\n", "a: b\n", "\n"}, true, "a: b\n"},
    {{"HTTP/2 500 \r\n", "a: b\r\n"}, false, "a: b\n"},
    {{"HTTP/1.1 500 No\r\n", "\r\n", "x-trailer: 1\r\n"}, true, ""},
    {{"HTTP/1.1 200 OK\r\n", "a: b\r\n", "\r\n"}, true, ""},
    {{"HTTP/2 204 \r\n", "a: b\r\n"}, false, ""},
    {{"HTTP/1.1\r\n", "a: b\r\n"}, false, "a: b\n"},
    {{"HTTP/1.1 ", "a: b\r\n"}, false, "a: b\n"},
    {{"HTTP/1.1 103 Hints\r\n", "link: x\r\n", "\r\n", "HTTP/1.1 404 No\r\n", "a: b\r\n", "\r\n"},
     true,
     "a: b\n"},
    {{"HTTP/1.1 100 Go on\r\n", "\r\n", "HTTP/1.1 404 No\r\n", "a: b\r\n"}, false, "a: b\n"},
    {{"HTTP/1.1 500 No\r\n", "Set-Cookie: a=secret\r\n", "b: c\r\n"},
     false,
     "Set-Cookie: (left out)\nb: c\n"},
    {{"HTTP/1.1 500 No\r\n", "set-cookie: a=1;\r\n", "\tsecret\r\n", " more\r\n", "b: c\r\n"},
     false,
     "set-cookie: (left out)\nb: c\n"},
    {{"HTTP/1.1 500 No\r\n", "SET-COOKIE2 : secret\r\n"}, false, "SET-COOKIE: (left out)\n"},
    {{"HTTP/1.1 500 No\r\n", "a: b\r\n", " folded\r\n"}, false, "a: b\n folded\n"},
    {{"HTTP/1.1 500 No\r\n", "a: \xff\x1b[31m\r\n"}, false, "a: \xef\xbf\xbd[31m\n"},
    {{"HTTP/1.1 500 No\r\n", "0123456789012345678901234567890123456789\r\n"},
     false,
     "0123456789012345678901234567890123456789"},
    {{"HTTP/1.1 500 No\r\n", "0123456789012345678901234567890\r\n", "Set-Cookie: secret\r\n"},
     false,
     "0123456789012345678901234567890\nSet-Coo"},
};

static void keeps_headers_but_no_cookie(void **state) {
    struct response response = {0};
    struct buffer text = {0};

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        response_begin(&response, 40, 0);
        for (const char *const *line = heads[i].lines; *line != NULL; line++) {
            assert_true(response_take_line(&response, *line, strlen(*line)));
        }
        assert_int_equal(response.whole_head, heads[i].whole);
        response_text(&response.head, &text);
        if (text.length != strlen(heads[i].kept) ||
            memcmp(heads[i].kept, text.length > 0 ? text.data : "", text.length) != 0) {
            fail_msg("%zu: '%.*s'", i, (int)text.length, text.data);
        }
    }
    response_begin(&response, 0, 0); /* none */
    assert_true(response_take_line(&response, "a: b\r\n", 6));
    response_text(&response.head, &text);
    assert_int_equal(text.length, 0);
    response_free(&response);
    buffer_free(&text);
}

static void takes_so_many_lines_and_no_more(void **state) {
    static const char *const lines[] = {"a: b\r\n", "HTTP/1.1 100 Go on\r\n", "\r\n"};
    struct response response = {0};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) { /* of whatever kind */
        size_t length = strlen(lines[i]);

        response_begin(&response, 40, 0);
        for (size_t taken = length; taken <= RESPONSE_HEAD_MOST; taken += length) {
            assert_true(response_take_line(&response, lines[i], length));
        }
        assert_false(response_take_line(&response, lines[i], length));
        assert_true(response.head.bytes.length <= 40 + 3);
    }
    response_free(&response);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_readable_text),
        cmocka_unit_test(takes_so_much_and_no_more),
        cmocka_unit_test(keeps_headers_but_no_cookie),
        cmocka_unit_test(takes_so_many_lines_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
