/*
** test_response.c: what is kept of a response's body.
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
            response_begin(&response, 16);
            for (size_t at = 0; at < bodies[i].length; at += step) {
                size_t rest = bodies[i].length - at;

                assert_true(
                    response_take(&response, bodies[i].body + at, rest < step ? rest : step));
            }
            assert_true(response.body.length <= 16 + 3); /* room for a character that is cut */
            response_text(&response, &text);
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
        response_begin(&response, round == 0 ? 0 : SIZE_MAX);
        memset(bytes, 'a', sizeof bytes);
        assert_true(response_take(&response, bytes, sizeof bytes - 1));
        assert_true(response_take(&response, bytes, 1));
        assert_false(response_take(&response, bytes, 1));
        response_text(&response, &text);
        assert_int_equal(text.length, round == 0 ? 0 : RESPONSE_READ_MOST);
    }
    response_free(&response);
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_readable_text),
        cmocka_unit_test(takes_so_much_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
