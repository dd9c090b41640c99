/*
** test_event.c: event names and patterns.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "event.h"

static const struct {
    const char *text;
    bool name;
    bool pattern;
} vectors[] = {
    {"enrollment.create", true, true},
    {"enrollment", true, true},
    {"a", true, true},
    {"-", true, true},
    {"_", true, true},
    {"0", true, true},
    {"A-b_9.Z.z", true, true},
    {"a.b.c.d.e.f", true, true},
    {"enrollment.*", false, true},
    {"a.b.*", false, true},
    {"*", false, true},
    {"", false, false},
    {".", false, false},
    {".*", false, false},
    {"*.", false, false},
    {"**", false, false},
    {"*.*", false, false},
    {"a*", false, false},
    {"*a", false, false},
    {"a.b*", false, false},
    {"a.*.b", false, false},
    {"a.*.*", false, false},
    {"a..*", false, false},
    {".a", false, false},
    {"a.", false, false},
    {"a..b", false, false},
    {"a b", false, false},
    {" a", false, false},
    {"a ", false, false},
    {"a\n", false, false},
    {"a\r\nx: y", false, false},
    {"a/b", false, false},
    {"a:b", false, false},
    {"a,b", false, false},
    {"a\x7f", false, false},
    {"\xc3\xa9", false, false},
};

static void checks_names_and_patterns(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const char *text = vectors[i].text;

        if ((event_check(text, strlen(text)) == NULL) != vectors[i].name ||
            (event_check_pattern(text, strlen(text)) == NULL) != vectors[i].pattern) {
            fail_msg("'%s'", text);
        }
    }
    assert_non_null(event_check(NULL, 0));
    assert_non_null(event_check_pattern(NULL, 0));
    assert_non_null(event_check("a\0b", 3));
    assert_non_null(event_check("a\0", 2));
}

static void takes_every_word_byte_and_no_other(void **state) {
    static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    (void)state;
    for (int c = 0; c < 256; c++) {
        char name[3] = {'a', (char)c, 'b'};
        bool is_taken = c == '.' || memchr(taken, c, sizeof taken - 1) != NULL;

        assert_int_equal(event_check(name, 3) == NULL, is_taken);
        assert_int_equal(event_check_pattern(name, 3) == NULL, is_taken);
    }
}

static void bounds_the_length(void **state) {
    char text[EVENT_MAX + 1];

    (void)state;
    memset(text, 'a', sizeof text);
    assert_null(event_check(text, EVENT_MAX));
    assert_null(event_check_pattern(text, EVENT_MAX));
    assert_string_equal(event_check(text, EVENT_MAX + 1), "is longer than 200 bytes");
    assert_non_null(event_check_pattern(text, EVENT_MAX + 1));
    memcpy(text + EVENT_MAX - 2, ".*", 2);
    assert_null(event_check_pattern(text, EVENT_MAX));
    memcpy(text + EVENT_MAX - 2, "a.*", 3);
    assert_non_null(event_check_pattern(text, EVENT_MAX + 1));
}

static void matches(void **state) {
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } pairs[] = {
        {"*", "a", true},
        {"*", "a.b.c", true},
        {"a.*", "a.b", true},
        {"a.*", "a.b.c", true},
        {"a.*", "a", false},
        {"a.*", "ab.c", false},
        {"a.*", "b.a.c", false},
        {"a.b.*", "a.b.c", true},
        {"a.b.*", "a.b", false},
        {"a.b.*", "a.c.b", false},
        {"a.b", "a.b", true},
        {"a.b", "a.b.c", false},
        {"a.b.c", "a.b", false},
        {"a.b", "A.b", false},
        {"a.*", "A.b", false},
        {"*", "resthook.ping", false},
        {"resthook.*", "resthook.ping", true},
        {"*", "resthooks", true},
        {"a", "a", true},
        {"a", "aa", false},
        {"aa", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_null(event_check_pattern(pairs[i].pattern, strlen(pairs[i].pattern)));
        assert_null(event_check(pairs[i].name, strlen(pairs[i].name)));
        if (event_matches(pairs[i].pattern, pairs[i].name) != pairs[i].matches) {
            fail_msg("%s %s", pairs[i].pattern, pairs[i].name);
        }
    }
}

static void knows_its_own_names(void **state) {
    (void)state;
    assert_true(event_is_reserved("resthook"));
    assert_true(event_is_reserved("resthook.ping"));
    assert_true(event_is_reserved("resthook.a.b"));
    assert_false(event_is_reserved("resthooks"));
    assert_false(event_is_reserved("resthook-x"));
    assert_false(event_is_reserved("resthoo"));
    assert_false(event_is_reserved("a.resthook"));
    assert_false(event_is_reserved("Resthook.ping"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_names_and_patterns),
        cmocka_unit_test(takes_every_word_byte_and_no_other),
        cmocka_unit_test(bounds_the_length),
        cmocka_unit_test(matches),
        cmocka_unit_test(knows_its_own_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
