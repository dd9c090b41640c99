/*
** retry.c: retry schedules. A schedule is checked where it is written (resthook_subscribe,
** resthook_set) and obeyed where an attempt failed (verdict.c); both read it here, so it can not
** mean two things. Nothing is allocated; a text that is refused leaves *schedule as it was.
** SPDX-License-Identifier: MIT
*/
#include "retry.h"

#include <string.h>

#include "list.h"

#define DELAY_MAX ((int64_t)30 * 24 * 3600 * 1000)

_Static_assert(RETRY_MAX == 50, "the text below says 50");

/* ms of a unit; 0: there is no such unit. */
static int64_t unit_ms(const char *unit, size_t length) {
    static const struct {
        char name[3];
        int64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].name) == length && strncmp(unit, units[i].name, length) == 0) {
            return units[i].ms;
        }
    }
    return 0;
}

int64_t retry_duration(const char *text, size_t length) {
    int64_t number = 0;
    int64_t unit;
    size_t i = 0;

    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        int digit = text[i] - '0';

        if (number > (INT64_MAX - digit) / 10) {
            return -1;
        }
        number = number * 10 + digit;
    }
    unit = i > 0 ? unit_ms(text + i, length - i) : 0;
    return unit == 0 || number > INT64_MAX / unit ? -1 : number * unit;
}

const char *retry_parse(const char *text, size_t length, struct retry_schedule *schedule) {
    struct retry_schedule read = {0};

    for (size_t at = 0; at <= length;) {
        struct entry entry;
        const char *wrong = list_entry(text, length, &at, &entry);
        int64_t delay;

        if (wrong != NULL) {
            return wrong;
        }
        if (read.count == RETRY_MAX) {
            return "has more than 50 entries";
        }
        delay = retry_duration(entry.text, entry.length);
        if (delay < 0) {
            return "has an entry that is not a whole number with a unit of ms, s, m, h or d (none: "
                   "seconds)";
        }
        if (delay > DELAY_MAX) {
            return "has an entry of more than 30 days";
        }
        read.delay[read.count++] = delay;
    }
    *schedule = read;
    return NULL;
}

int64_t retry_next(const struct retry_schedule *schedule, int made, uint32_t random) {
    int64_t delay;
    int64_t tenth;

    if (made < 0 || made >= schedule->count) {
        return -1;
    }
    delay = schedule->delay[made];
    tenth = delay / 10;
    /* One of the 2 * tenth + 1 whole numbers from delay - tenth to delay + tenth. 30 days keep the
       product below 2^62. */
    return delay - tenth + (int64_t)(((uint64_t)random * (uint64_t)(2 * tenth + 1)) >> 32);
}
