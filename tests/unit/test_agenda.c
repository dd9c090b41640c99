/*
** test_agenda.c: the heap against a list that is looked through from end to end.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agenda.h"

#define SUBS 150
#define STEPS 300000

static struct agenda agenda;
static struct sub subs[SUBS];

static uint32_t random_below(uint32_t bound) {
    static uint32_t x = 2463534242U; /* xorshift32: the same each time */

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % bound;
}

static int begin(void **state) {
    (void)state;
    memset(subs, 0, sizeof subs);
    return 0;
}

static int end(void **state) {
    (void)state;
    agenda_free(&agenda);
    assert_null(agenda_first(&agenda));
    return 0;
}

static void gives_the_one_that_is_due_first(void **state) {
    (void)state;
    assert_null(agenda_first(&agenda));
    agenda_set(&agenda, &subs[0], NEVER); /* it was not there */
    assert_null(agenda_first(&agenda));
    agenda_set(&agenda, &subs[0], 30);
    agenda_set(&agenda, &subs[1], 10);
    agenda_set(&agenda, &subs[2], 20);
    assert_ptr_equal(agenda_first(&agenda), &subs[1]);
    assert_ptr_equal(agenda_first(&agenda), &subs[1]); /* it stays */
    agenda_set(&agenda, &subs[1], 25);
    assert_ptr_equal(agenda_first(&agenda), &subs[2]);
    agenda_set(&agenda, &subs[0], 0);
    assert_ptr_equal(agenda_first(&agenda), &subs[0]);
    agenda_set(&agenda, &subs[0], NEVER);
    agenda_set(&agenda, &subs[2], NEVER);
    assert_ptr_equal(agenda_first(&agenda), &subs[1]);
    assert_int_equal(agenda_due(&subs[1]), 25);
    agenda_set(&agenda, &subs[1], NEVER);
    assert_null(agenda_first(&agenda));
    assert_int_equal(agenda_due(&subs[1]), NEVER);
}

static int64_t earliest(void) {
    int64_t due = NEVER;

    for (int i = 0; i < SUBS; i++) {
        due = agenda_due(&subs[i]) < due ? agenda_due(&subs[i]) : due;
    }
    return due;
}

static int64_t first_due(void) {
    return agenda_first(&agenda) != NULL ? agenda_due(agenda_first(&agenda)) : NEVER;
}

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Everything that is there comes out once, in order. Returns how much it was. */
static int drain(void) {
    int64_t due[SUBS] = {0};
    int count = 0;

    for (int i = 0; i < SUBS; i++) {
        if (agenda_due(&subs[i]) != NEVER) {
            due[count++] = agenda_due(&subs[i]);
        }
    }
    qsort(due, (size_t)count, sizeof *due, compare_times);
    for (int i = 0; i < count; i++) {
        assert_int_equal(first_due(), due[i]);
        agenda_set(&agenda, agenda_first(&agenda), NEVER);
    }
    assert_null(agenda_first(&agenda));
    return count;
}

static void agrees_with_a_sorted_array(void **state) {
    int most = 0;

    (void)state;
    for (int step = 1; step <= STEPS; step++) {
        struct sub *sub = &subs[random_below(SUBS)];
        int64_t due = random_below(4) == 0 ? NEVER : (int64_t)random_below(1000) - 100;

        if (random_below(8) == 0 && agenda_first(&agenda) != NULL) {
            sub = agenda_first(&agenda);
        }
        agenda_set(&agenda, sub, due);
        assert_int_equal(agenda_due(sub), due);
        assert_int_equal(first_due(), earliest());
        if (step % 997 == 0) {
            int drained = drain();

            most = drained > most ? drained : most;
        }
    }
    assert_true(most > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_the_one_that_is_due_first, begin, end),
        cmocka_unit_test_setup_teardown(agrees_with_a_sorted_array, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
