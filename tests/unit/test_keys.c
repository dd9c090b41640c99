/*
** test_keys.c: the keys of a subscription's pairs, against a plain count of each.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "keys.h"

static void knows_a_key_while_somebody_has_it(void **state) {
    struct keys *keys = NULL;
    struct key *a, *same, *none;

    (void)state;
    assert_null(keys_find(keys, "a"));
    assert_int_equal(keys_count(keys), 0);
    keys_free(keys);
    a = key_enter(&keys, "a");
    assert_ptr_equal(keys_find(keys, "a"), a);
    assert_null(keys_find(keys, ""));
    assert_null(keys_find(keys, "A"));
    none = key_enter(&keys, "");
    assert_ptr_equal(keys_find(keys, ""), none);
    same = key_enter(&keys, "a");
    assert_ptr_equal(same, a);
    assert_int_equal(keys_count(keys), 2);
    assert_int_equal(a->pairs, 2);
    assert_int_equal(a->open, 2);
    key_close(a);
    assert_int_equal(a->pairs, 2);
    assert_int_equal(a->open, 1);
    key_leave(a, true);
    assert_int_equal(a->pairs, 1);
    assert_int_equal(a->open, 1);
    key_leave(a, false);
    assert_null(keys_find(keys, "a"));
    key_leave(none, false);
    assert_int_equal(keys_count(keys), 0);
    keys_free(keys);
}

#define KEYS 3000

static struct key *held[KEYS];
static int count[KEYS], closed[KEYS];

static void counts_each_of_many(void **state) {
    struct keys *keys = NULL;
    uint64_t random = 1;
    char text[32];

    (void)state;
    for (int step = 0; step < 200000; step++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        int i = (int)(random >> 33) % KEYS;
        int what = (int)(random >> 20 & 3);

        snprintf(text, sizeof text, "key %d", i);
        assert_ptr_equal(keys_find(keys, text), held[i]);
        if (what < 2 || count[i] == 0) {
            held[i] = key_enter(&keys, text);
            count[i]++;
        } else if (what == 2 && closed[i] < count[i]) {
            key_close(held[i]);
            closed[i]++;
        } else {
            bool finished = closed[i] > 0;

            closed[i] -= finished;
            key_leave(held[i], finished);
            held[i] = --count[i] > 0 ? held[i] : NULL;
        }
        if (held[i] != NULL) {
            assert_string_equal(held[i]->text, text);
            assert_int_equal(held[i]->pairs, count[i]);
            assert_int_equal(held[i]->open, count[i] - closed[i]);
        }
    }
    for (int i = 0; i < KEYS; i++) {
        for (; count[i] > 0; count[i]--) {
            key_leave(held[i], closed[i]-- > 0);
        }
    }
    assert_int_equal(keys_count(keys), 0);
    keys_free(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_a_key_while_somebody_has_it),
        cmocka_unit_test(counts_each_of_many),
    };

    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
