/*
** test_statuses.c: sets of HTTP statuses.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "statuses.h"

static const struct {
    const char *text;
    int has[4], has_not[4]; /* 0: no more */
} sets[] = {
    {"429", {429}, {428, 430, 200, 529}},
    {"429,5xx,408", {429, 500, 599, 408}, {409, 499, 400, 300}},
    {"  3xx ,404 ", {300, 399, 304, 404}, {299, 400, 403, 405}},
    {"300,599", {300, 599}, {301, 598, 299, 600}},
    {"500,500,5xx", {500, 501}, {499}},
    {"4xx", {400, 499, 410}, {399, 500}}, /* the verdict knows that 410 is final */
};

static void reads_sets(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct statuses statuses;

        memset(&statuses, 0xa5, sizeof statuses);
        assert_null(statuses_parse(sets[i].text, strlen(sets[i].text), &statuses));
        for (int j = 0; j < 4; j++) {
            assert_true(sets[i].has[j] == 0 || statuses_have(&statuses, sets[i].has[j]));
            assert_true(sets[i].has_not[j] == 0 || !statuses_have(&statuses, sets[i].has_not[j]));
        }
        assert_false(statuses_have(&statuses, -1));
        assert_false(statuses_have(&statuses, 0));
        assert_false(statuses_have(&statuses, INT32_MAX));
    }
}

#define ENTRY "has an entry that is neither a status from 300 to 599 nor 3xx, 4xx or 5xx"

static const struct {
    const char *text, *wrong;
} refused[] = {
    {"", "is empty"},
    {" ", "has an empty entry"},
    {",", "has an empty entry"},
    {"429,", "has an empty entry"},
    {",429", "has an empty entry"},
    {"429,,5xx", "has an empty entry"},
    {"410", "has 410, which is never tried again: it ends the subscription"},
    {"4xx,410", "has 410, which is never tried again: it ends the subscription"},
    {"200", ENTRY},
    {"2xx", ENTRY},
    {"299", ENTRY},
    {"600", ENTRY},
    {"6xx", ENTRY},
    {"5XX", ENTRY},
    {"5x0", ENTRY},
    {"50x", ENTRY},
    {"5xxx", ENTRY},
    {"5x", ENTRY},
    {"0500", ENTRY},
    {"-500", ENTRY},
    {"500 502", ENTRY},
    {"500;502", ENTRY},
    {"500-599", ENTRY},
    {"500\n", ENTRY},
    {"all", ENTRY},
    {"5\xc2\xb9", ENTRY},
};

static void says_what_is_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct statuses statuses = {{7}};
        const char *wrong = statuses_parse(refused[i].text, strlen(refused[i].text), &statuses);

        assert_non_null(wrong);
        assert_string_equal(wrong, refused[i].wrong);
        assert_int_equal(statuses.bits[0], 7); /* left as it was */
    }
    assert_string_equal(statuses_parse("500\0", 4, &(struct statuses){{0}}), ENTRY);
    assert_null(statuses_parse("5000", 3, &(struct statuses){{0}})); /* length rules, not a NUL */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_sets),
        cmocka_unit_test(says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
