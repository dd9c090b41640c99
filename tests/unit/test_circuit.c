/*
** test_circuit.c: when an endpoint is left alone, and how it comes back.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "circuit.h"

#define T0 INT64_C(1790000000000)

static void fail_times(struct circuit *circuit, int times, int64_t now) {
    for (int i = 0; i < times; i++) {
        circuit_failed(circuit, now, now, 0);
    }
}

static void opens_after_failures_in_a_row(void **state) {
    struct circuit circuit = {0};

    (void)state;
    fail_times(&circuit, CIRCUIT_FAILURES - 1, T0);
    circuit_answered(&circuit);
    fail_times(&circuit, CIRCUIT_FAILURES - 1, T0);
    assert_int_equal(circuit.state, CIRCUIT_CLOSED);
    fail_times(&circuit, 1, T0);
    assert_int_equal(circuit.state, CIRCUIT_OPEN);
    assert_true(circuit.until > T0);
}

static void pauses_grow_to_a_bound(void **state) {
    struct circuit circuit = {0};
    int64_t now = T0, wanted = CIRCUIT_FIRST;

    (void)state;
    fail_times(&circuit, CIRCUIT_FAILURES, now);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(circuit.pause, wanted);
        now = circuit.until;
        circuit_try(&circuit);
        assert_int_equal(circuit.state, CIRCUIT_HALF_OPEN);
        fail_times(&circuit, 1, now);
        assert_int_equal(circuit.state, CIRCUIT_OPEN);
        wanted = wanted * 2 < CIRCUIT_MOST ? wanted * 2 : CIRCUIT_MOST;
    }
    circuit_try(&circuit);
    circuit_answered(&circuit);
    assert_int_equal(circuit.state, CIRCUIT_CLOSED);
    fail_times(&circuit, CIRCUIT_FAILURES, now);
    assert_int_equal(circuit.pause, CIRCUIT_FIRST); /* from the beginning */
}

static void jitter_is_a_fifth_either_way(void **state) {
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    for (uint32_t random = 0; random < 1000; random++) {
        struct circuit circuit = {0};

        for (int i = 0; i < CIRCUIT_FAILURES; i++) {
            circuit_failed(&circuit, T0, T0, random);
        }
        least = circuit.until - T0 < least ? circuit.until - T0 : least;
        most = circuit.until - T0 > most ? circuit.until - T0 : most;
    }
    assert_int_equal(least, CIRCUIT_FIRST - CIRCUIT_FIRST / 5);
    assert_int_equal(most, CIRCUIT_FIRST + CIRCUIT_FIRST / 5);
}

static void what_was_under_way_says_nothing_new(void **state) {
    struct circuit circuit = {0};

    (void)state;
    fail_times(&circuit, CIRCUIT_FAILURES, T0);
    int64_t until = circuit.until;

    circuit_failed(&circuit, T0, T0 + 10, 0);
    assert_int_equal(circuit.until, until);
    circuit_try(&circuit);
    circuit_failed(&circuit, T0, until + 1, 0); /* sent before it opened */
    assert_int_equal(circuit.state, CIRCUIT_HALF_OPEN);
    circuit_failed(&circuit, until, until + 1, 0); /* the one that tried */
    assert_int_equal(circuit.state, CIRCUIT_OPEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(pauses_grow_to_a_bound),
        cmocka_unit_test(jitter_is_a_fifth_either_way),
        cmocka_unit_test(what_was_under_way_says_nothing_new),
    };

    return cmocka_run_group_tests_name("circuit", tests, NULL, NULL);
}
