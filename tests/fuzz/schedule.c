/*
** schedule.c: a schedule, or a set of statuses, that is accepted prints back to the same; its numbers
** are strtod's, and every delay that follows is within a tenth of what it says.
** SPDX-License-Identifier: MIT
*/
#include <inttypes.h>
#include <math.h>

#include "fuzz.h"
#include "retry.h"
#include "statuses.h"

#define MONTH INT64_C(2592000000) /* ms of 30 days */

static double unit_of(const char *unit) {
    return strncmp(unit, "ms", 2) == 0 ? 1
           : *unit == 'm'              ? 60e3
           : *unit == 'h'              ? 3600e3
           : *unit == 'd'              ? 86400e3
                                       : 1e3;
}

static void check_schedule(const char *text, const struct retry_schedule *schedule) {
    char printed[RETRY_MAX * 24] = "";
    struct retry_schedule again;
    size_t length = 0;

    MUST(schedule->count >= 1 && schedule->count <= RETRY_MAX, "%s", text);
    for (int i = 0; i < schedule->count; i++) {
        int64_t delay = schedule->delay[i];
        char *unit;
        double number = strtod(text, &unit);

        MUST(delay >= 0 && delay <= MONTH, "%s", text);
        MUST(fabs(number * unit_of(unit) - (double)delay) < 0.5, "%s: %" PRId64, text, delay);
        text = strchr(text, ',') != NULL ? strchr(text, ',') + 1 : "";
        length += (size_t)snprintf(printed + length, sizeof printed - length, "%s%" PRId64 "ms",
                                   i > 0 ? ", " : "", delay);
        for (uint64_t random = 0; random <= UINT32_MAX; random += UINT32_MAX / 5) {
            int64_t next = retry_next(schedule, i, (uint32_t)random);

            MUST(next >= delay - delay / 10 && next <= delay + delay / 10, "%" PRId64, next);
        }
    }
    MUST(*text == '\0', "%s is left", text);
    MUST(retry_next(schedule, schedule->count, 0) == -1, "%s", printed);
    MUST(retry_parse(printed, length, &again) == NULL, "%s", printed);
    MUST(again.count == schedule->count &&
             memcmp(again.delay, schedule->delay, (size_t)again.count * sizeof again.delay[0]) == 0,
         "%s", printed);
}

static void check_statuses(const char *text, const struct statuses *statuses) {
    char printed[5 * (STATUS_LAST - STATUS_FIRST + 1)] = "";
    struct statuses again;
    size_t length = 0;
    bool gone = statuses_have(statuses, 410);

    for (int status = -1000; status <= 1000; status++) {
        if (statuses_have(statuses, status) && status != 410) {
            MUST(status >= STATUS_FIRST && status <= STATUS_LAST, "%d", status);
            length += (size_t)snprintf(printed + length, sizeof printed - length, "%s%d",
                                       length > 0 ? "," : "", status);
        }
    }
    MUST(!gone || strstr(text, "4xx") != NULL, "%s", text);
    MUST(statuses_parse(printed, length, &again) == NULL, "%s", printed);
    for (int status = STATUS_FIRST; status <= STATUS_LAST; status++) {
        MUST(status == 410 || statuses_have(&again, status) == statuses_have(statuses, status),
             "%s: %d", text, status);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct retry_schedule schedule = {.count = -1};
    struct statuses statuses;
    size_t length;
    char *text = take_rest(&input, &length);

    if (retry_parse(text, length, &schedule) == NULL) {
        check_schedule(text, &schedule);
    } else {
        MUST(schedule.count == -1, "%s", text);
    }
    if (statuses_parse(text, length, &statuses) == NULL) {
        check_statuses(text, &statuses);
    }
    int64_t duration = retry_duration(text, length);
    if (duration >= 0) {
        char *unit;
        double number = strtod(text, &unit), expected = number * unit_of(unit);

        MUST(fabs(expected - (double)duration) <= expected * 1e-15 + 0.5, "%s: %" PRId64, text,
             duration);
    }
    free(text);
    return 0;
}
