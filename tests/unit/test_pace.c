/*
** test_pace.c: at most so many a second, at any rate, by a clock that is given.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pace.h"

#define T0 INT64_C(1790000000000)

/* Sends whenever it may, looking each ms, for so many ms. Returns how many were sent. */
static int run(struct pace *pace, int64_t from, int64_t ms) {
    int64_t next = 0;
    int sent = 0;

    for (int64_t now = from; now < from + ms; now++) {
        while (next <= now) {
            next = pace_take(pace, now);
            sent++;
        }
    }
    return sent;
}

static void no_rate_is_no_bound(void **state) {
    struct pace pace = {0};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(pace_take(&pace, T0), 0);
    }
}

static void any_rate_is_kept_and_used(void **state) {
    static const double rates[] = {0.01, 0.3, 1, 5, 9.5, 10, 11, 60, 333, 1000, 3000, 10000};

    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct pace pace = {0};
        int64_t seconds = rates[i] < 1 ? 1000 : 20;
        double most = rates[i] * (double)seconds;
        double bucket = rates[i] / 10 > 1 ? rates[i] / 10 : 1;

        pace_set(&pace, rates[i]);
        int sent = run(&pace, T0, seconds * 1000);

        assert_true(sent <= most + bucket + 1);
        assert_true(sent >= most * 0.97 - 1);
    }
}

static void a_slow_pace_is_an_even_one(void **state) {
    struct pace pace = {0};

    (void)state;
    pace_set(&pace, 5);
    assert_int_equal(pace_take(&pace, T0), T0 + 200);
    assert_int_equal(pace_take(&pace, T0 + 200), T0 + 400);
    assert_int_equal(pace_take(&pace, T0 + 5000), T0 + 5200); /* nothing is saved up */
}

static void a_fast_one_saves_a_tenth_of_a_second(void **state) {
    struct pace pace = {0};
    int at_once = 0;

    (void)state;
    pace_set(&pace, 100);
    while (pace_take(&pace, T0) <= T0) {
        at_once++;
    }
    assert_int_equal(at_once + 1, 10);
}

static void another_rate_begins_anew_and_the_same_does_not(void **state) {
    struct pace pace = {0};

    (void)state;
    pace_set(&pace, 1);
    assert_int_equal(pace_take(&pace, T0), T0 + 1000);
    pace_set(&pace, 1);
    assert_int_equal(pace_take(&pace, T0 + 1), T0 + 2000);
    pace_set(&pace, 10);
    assert_int_equal(pace_take(&pace, T0 + 2), T0 + 102);
    pace_set(&pace, 0);
    assert_int_equal(pace_take(&pace, T0 + 2), 0);
}

static void a_clock_that_is_set_back_silences_nobody(void **state) {
    struct pace pace = {0};

    (void)state;
    pace_set(&pace, 1);
    pace_take(&pace, T0);
    assert_int_equal(pace_take(&pace, T0 - 3600000), T0 - 3600000 + 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rate_is_no_bound),
        cmocka_unit_test(any_rate_is_kept_and_used),
        cmocka_unit_test(a_slow_pace_is_an_even_one),
        cmocka_unit_test(a_fast_one_saves_a_tenth_of_a_second),
        cmocka_unit_test(another_rate_begins_anew_and_the_same_does_not),
        cmocka_unit_test(a_clock_that_is_set_back_silences_nobody),
    };

    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
