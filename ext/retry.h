/*
** retry.h: the rule for a retry schedule, "0, 5s, 5m, 30m, 2h": the delay before each attempt.
** The first delay counts from the event, each further one from the end of the attempt before it.
** Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_RETRY_H
#define RESTHOOK_RETRY_H

#include <stddef.h>
#include <stdint.h>

#define RETRY_MAX 50 /* attempts a schedule may have */
#define RETRY_STANDARD "0, 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h" /* Standard Webhooks 1.0.0 */

struct retry_schedule {
    int count;                /* attempts in all, 1 to RETRY_MAX */
    int64_t delay[RETRY_MAX]; /* ms before attempt i + 1 */
};

/*
** Reads "0,5s,5m": whole numbers with a unit of ms, s, m, h or d (none: seconds), separated by
** commas with or without spaces around them, at most 30 days each. Returns NULL and fills
** *schedule, or what is wrong, a constant text ("has an empty entry").
*/
const char *retry_parse(const char *text, size_t length, struct retry_schedule *schedule);

/*
** One duration in the same form ("15s", "500ms", "2"), without spaces. Returns ms, or -1. What
** an int64_t holds is the only bound: a caller has its own.
*/
int64_t retry_duration(const char *text, size_t length);

/*
** Delay in ms before the attempt after attempt number `made` (1 = the first was made), with
** jitter: the schedule's delay times 0.9 to 1.1, chosen by random. -1: there is no further
** attempt.
*/
int64_t retry_next(const struct retry_schedule *schedule, int made, uint32_t random);

#endif
