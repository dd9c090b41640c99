/*
** test_retry.c: retry schedules and their jitter.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "retry.h"

#define DAY INT64_C(86400000)

static const struct {
    const char *text;
    int64_t ms;
} durations[] = {
    {"0", 0},
    {"0s", 0},
    {"0ms", 0},
    {"00", 0},
    {"2", 2000},
    {"007", 7000},
    {"15s", 15000},
    {"500ms", 500},
    {"1ms", 1},
    {"1m", 60000},
    {"1h", 3600000},
    {"1d", DAY},
    {"30d", 30 * DAY},
    {"31d", 31 * DAY},
    {"365d", 365 * DAY},
    {"9223372036854775807ms", INT64_MAX},
    {"9223372036854775s", INT64_C(9223372036854775000)},
    {"9223372036854776s", -1},
    {"9223372036854775807", -1},
    {"9223372036854775808ms", -1},
    {"18446744073709551617ms", -1},
    {"99999999999999999999999999999999", -1},
    {"106751991168d", -1},
    {"", -1},
    {"s", -1},
    {"ms", -1},
    {"-1", -1},
    {"-1s", -1},
    {"+1", -1},
    {"1.5s", -1},
    {"1.0", -1},
    {"1,5", -1},
    {".5", -1},
    {"1e3", -1},
    {"0x10", -1},
    {"5 s", -1},
    {" 5s", -1},
    {"5s ", -1},
    {"5S", -1},
    {"5sec", -1},
    {"5mss", -1},
    {"5M", -1},
    {"5w", -1},
    {"5y", -1},
    {"5us", -1},
    {"5s5", -1},
    {"1m30s", -1},
    {"five", -1},
    {"5\xc2\xb5s", -1},
};

static void reads_durations(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        int64_t ms = retry_duration(durations[i].text, strlen(durations[i].text));

        if (ms != durations[i].ms) {
            fail_msg("'%s': %lld", durations[i].text, (long long)ms);
        }
    }
    assert_int_equal(retry_duration(NULL, 0), -1);
    assert_int_equal(retry_duration("5\0", 2), -1);
    assert_int_equal(retry_duration("5s\0", 3), -1);
    assert_int_equal(retry_duration("15s", 2), 15000); /* length rules, not a NUL */
}

static const struct {
    const char *text;
    int count; /* 0: refused */
    int64_t delays[4];
} schedules[] = {
    {"0", 1, {0}},
    {"5s", 1, {5000}},
    {"0,5s,5m", 3, {0, 5000, 300000}},
    {"0, 5s, 5m", 3, {0, 5000, 300000}},
    {"  0 ,5s  ,  5m ", 3, {0, 5000, 300000}},
    {"1ms,1s,1h,1d", 4, {1, 1000, 3600000, DAY}},
    {"5m,0", 2, {300000, 0}},
    {"30d", 1, {30 * DAY}},
    {"2592000000ms,720h", 2, {30 * DAY, 30 * DAY}},
    {"", 0, {0}},
    {" ", 0, {0}},
    {",", 0, {0}},
    {"0,", 0, {0}},
    {",0", 0, {0}},
    {"0,,5s", 0, {0}},
    {"0, ,5s", 0, {0}},
    {"0;5s", 0, {0}},
    {"0 5s", 0, {0}},
    {"0,\t5s", 0, {0}},
    {"0,\n5s", 0, {0}},
    {"0,-5s", 0, {0}},
    {"0,1.5s", 0, {0}},
    {"0,5 s", 0, {0}},
    {"0,5x", 0, {0}},
    {"31d", 0, {0}},
    {"2592001", 0, {0}},
    {"2592000001ms", 0, {0}},
    {"0,99999999999999999999", 0, {0}},
    {"[0,5]", 0, {0}},
};

static void reads_schedules(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        struct retry_schedule schedule = {.count = -7};
        const char *wrong = retry_parse(schedules[i].text, strlen(schedules[i].text), &schedule);

        if ((wrong == NULL) != (schedules[i].count > 0)) {
            fail_msg("'%s': %s", schedules[i].text, wrong != NULL ? wrong : "taken");
        }
        if (wrong != NULL) {
            assert_int_equal(schedule.count, -7);
            continue;
        }
        assert_int_equal(schedule.count, schedules[i].count);
        for (int j = 0; j < schedule.count; j++) {
            assert_int_equal(schedule.delay[j], schedules[i].delays[j]);
        }
    }
}

static void says_what_is_wrong(void **state) {
    struct retry_schedule schedule;

    (void)state;
    assert_string_equal(retry_parse(NULL, 0, &schedule), "is empty");
    assert_string_equal(retry_parse("0,,1", 4, &schedule), "has an empty entry");
    assert_string_equal(retry_parse("31d", 3, &schedule), "has an entry of more than 30 days");
    assert_non_null(retry_parse("0\0,5", 4, &schedule));
}

static void bounds_the_entries(void **state) {
    char text[2 * (RETRY_MAX + 1)];
    struct retry_schedule schedule;

    (void)state;
    for (size_t i = 0; i <= RETRY_MAX; i++) {
        memcpy(text + 2 * i, "1,", 2);
    }
    assert_null(retry_parse(text, 2 * RETRY_MAX - 1, &schedule));
    assert_int_equal(schedule.count, RETRY_MAX);
    assert_int_equal(schedule.delay[RETRY_MAX - 1], 1000);
    assert_string_equal(retry_parse(text, 2 * RETRY_MAX + 1, &schedule),
                        "has more than 50 entries");
    assert_non_null(retry_parse(text, 2 * RETRY_MAX, &schedule)); /* 50 and an empty one */
}

/* The bounds are those of the header, 0.9 and 1.1, and both are reached where they are whole. */
static void jitters_by_a_tenth(void **state) {
    static const int64_t delays[] = {0,    1,    5,     9,      10,      11,  99,      1000,
                                     5000, 7777, 60000, 300000, 3600000, DAY, 30 * DAY};
    const uint32_t randoms[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        struct retry_schedule schedule = {.count = 2, .delay = {0, delays[i]}};
        int64_t before = -1;

        for (size_t j = 0; j < sizeof randoms / sizeof *randoms; j++) {
            int64_t delay = retry_next(&schedule, 1, randoms[j]);

            assert_true(delay * 10 >= delays[i] * 9);
            assert_true(delay * 10 <= delays[i] * 11);
            assert_true(delay >= before);
            before = delay;
        }
        assert_int_equal(retry_next(&schedule, 1, 0), delays[i] - delays[i] / 10);
        assert_int_equal(retry_next(&schedule, 1, UINT32_MAX), delays[i] + delays[i] / 10);
    }
}

static void jitters_evenly(void **state) {
    struct retry_schedule schedule = {.count = 2, .delay = {0, 1000}};
    int counts[201] = {0};
    uint32_t random = 0;

    (void)state;
    for (int i = 0; i < 201000; i++) {
        random += 0x9e3779b9; /* the golden ratio: evenly spread */
        counts[retry_next(&schedule, 1, random) - 900]++;
    }
    for (int i = 0; i < 201; i++) {
        assert_in_range(counts[i], 950, 1050);
    }
}

static void ends_after_the_last_attempt(void **state) {
    struct retry_schedule schedule;

    (void)state;
    assert_null(retry_parse(RETRY_STANDARD, strlen(RETRY_STANDARD), &schedule));
    assert_int_equal(schedule.count, 10);
    assert_int_equal(schedule.delay[0], 0);
    assert_int_equal(schedule.delay[9], DAY);
    assert_int_equal(retry_next(&schedule, 0, 1U << 31), 0);
    assert_int_equal(retry_next(&schedule, 1, 1U << 31), 5000);
    assert_int_equal(retry_next(&schedule, 9, 1U << 31), DAY);
    assert_int_equal(retry_next(&schedule, 10, 0), -1);
    assert_int_equal(retry_next(&schedule, 11, 0), -1);
    assert_int_equal(retry_next(&schedule, INT32_MAX, 0), -1);
    assert_int_equal(retry_next(&schedule, -1, 0), -1);
    assert_int_equal(retry_next(&schedule, INT32_MIN, 0), -1);
    assert_null(retry_parse("0", 1, &schedule));
    assert_int_equal(retry_next(&schedule, 1, 0), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(reads_schedules),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(bounds_the_entries),
        cmocka_unit_test(jitters_by_a_tenth),
        cmocka_unit_test(jitters_evenly),
        cmocka_unit_test(ends_after_the_last_attempt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
