/*
** verdict.c: what an answer, or the lack of one, means (design 3.3). Pure: it neither allocates nor
** reads a clock.
**
**   2xx                         delivered; with the job's challenge given back, confirmed besides
**   410                         dead, and the subscription is over
**   a status that the subscription does not have tried again (retry_statuses)
**                               dead
**   429, 503 with Retry-After   again, not before the time asked for, and until then nothing else
**                               of this subscription's line
**   any other status (501 and 4xx too; a 3xx is never followed), and no answer at all
**                               again by the schedule, then dead
**
** A target's wish never shortens the schedule, and never lengthens it beyond
** target->retry_after_most.
** SPDX-License-Identifier: MIT
*/
#include "verdict.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "secret.h"

#define DAY_SECONDS 86400
#define HTTP_GONE 410
#define HTTP_TOO_MANY_REQUESTS 429
#define HTTP_SERVICE_UNAVAILABLE 503

static const char *const classes[FAILURES] = {
    [FAILURE_NONE] = "status",       [FAILURE_DNS] = "dns",
    [FAILURE_REFUSED] = "refused",   [FAILURE_CONNECT] = "connect",
    [FAILURE_TLS] = "tls",           [FAILURE_TIMEOUT] = "timeout",
    [FAILURE_SEND] = "send",         [FAILURE_RECEIVE] = "receive",
    [FAILURE_PROTOCOL] = "protocol", [FAILURE_TOO_LARGE] = "too_large",
    [FAILURE_INTERNAL] = "internal",
};

const char *failure_class(enum failure failure) {
    return classes[failure];
}

/* Why a delivery is dead; good until the next call. */
static const char *not_again(const struct reply *reply) {
    static char text[VERDICT_REASON_MAX];

    snprintf(text, sizeof text, "%d is not in retry_statuses", reply->status);
    return text;
}

static const char *exhausted(const struct reply *reply, int attempts) {
    static char text[VERDICT_REASON_MAX];
    const char *plural = attempts == 1 ? "" : "s";

    if (reply->failure == FAILURE_NONE) {
        snprintf(text, sizeof text, "no success in %d attempt%s; last: %d", attempts, plural,
                 reply->status);
    } else {
        snprintf(text, sizeof text, "no success in %d attempt%s; last: %s", attempts, plural,
                 reply->error);
    }
    return text;
}

/* How long the target asked to be left alone, in ms; 0: it did not. */
static int64_t asked_for(const struct reply *reply, const struct target *target) {
    if ((reply->status != HTTP_TOO_MANY_REQUESTS && reply->status != HTTP_SERVICE_UNAVAILABLE) ||
        reply->retry_after < 0) {
        return 0;
    }
    return reply->retry_after < target->retry_after_most ? reply->retry_after
                                                         : target->retry_after_most;
}

static void decide_failed(const struct reply *reply, const struct job *job, int64_t now,
                          uint32_t random, struct outcome *outcome) {
    int64_t delay = retry_next(&job->target->schedule, job->attempt, random);
    int64_t asked = asked_for(reply, job->target);
    const struct statuses *retried = job->target->retried;

    if (reply->failure == FAILURE_NONE && retried != NULL &&
        !statuses_have(retried, reply->status)) {
        outcome->state = VERDICT_DEAD;
        outcome->reason = not_again(reply);
    } else if (delay < 0) {
        outcome->state = VERDICT_DEAD;
        outcome->reason = exhausted(reply, job->attempt);
    } else {
        outcome->state = VERDICT_RETRY;
        outcome->next_at = now + later(delay, asked);
    }
    if (asked > 0) {
        outcome->effect = EFFECT_THROTTLE;
        outcome->throttle_until = now + asked;
    }
}

/* The handshake of REST hooks: who gives the secret back wants what follows. */
static bool gave_back(const struct reply *reply, const struct job *job) {
    return job->challenge != NULL && reply->given_back != NULL &&
           secret_same(job->challenge, strlen(job->challenge), reply->given_back,
                       strlen(reply->given_back));
}

void verdict(const struct reply *reply, const struct job *job, int64_t now, uint32_t random,
             struct outcome *outcome) {
    bool answered = reply->failure == FAILURE_NONE;

    *outcome = (struct outcome){
        .effect = EFFECT_NONE,
        .started_at = reply->started_at,
        .duration = reply->duration,
        .steps = reply->steps,
        .status = answered ? reply->status : 0,
        .error = reply->error,
        .response = reply->response,
        .response_length = reply->response_length,
        .headers = reply->headers,
        .headers_length = reply->headers_length,
    };
    if (answered && reply->status >= 200 && reply->status <= 299) {
        outcome->state = VERDICT_DELIVERED;
        if (gave_back(reply, job)) {
            outcome->effect = EFFECT_CONFIRMED;
        }
        return;
    }
    outcome->class = failure_class(reply->failure);
    if (answered && reply->status == HTTP_GONE) {
        outcome->state = VERDICT_DEAD;
        outcome->effect = EFFECT_GONE;
        outcome->reason = "gone: 410 from target";
    } else {
        decide_failed(reply, job, now, random, outcome);
    }
}

/*
** HTTP dates, RFC 9110 5.6.7, in UTC. A reader of patterns: %a %A %b a name of a table, %d %H %M %S
** %y two digits, %Y four, %e two digits or a space and one; anything else stands for itself.
*/
struct date {
    int year, month, day, hour, minute, second; /* month: 0 to 11 */
    bool short_year;                            /* two digits of it */
};

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/*
** Which of the names the text begins with (with `most` bytes of it at most), or -1; moves *at
** behind it.
*/
static int read_name(const char **at, const char *const *names, int count, size_t most) {
    for (int i = 0; i < count; i++) {
        size_t length = strlen(names[i]) < most ? strlen(names[i]) : most;

        if (strncmp(*at, names[i], length) == 0) {
            *at += length;
            return i;
        }
    }
    return -1;
}

/* A number of exactly so many digits, or -1; moves *at behind it. */
static int read_digits(const char **at, int digits) {
    int number = 0;

    for (; digits > 0; digits--, (*at)++) {
        if (**at < '0' || **at > '9') {
            return -1;
        }
        number = number * 10 + (**at - '0');
    }
    return number;
}

static bool read_field(const char **at, char field, struct date *date) {
    switch (field) {
    case 'a':
        return read_name(at, days, 7, 3) >= 0;
    case 'A':
        return read_name(at, days, 7, SIZE_MAX) >= 0;
    case 'b':
        return (date->month = read_name(at, months, 12, SIZE_MAX)) >= 0;
    case 'd':
        return (date->day = read_digits(at, 2)) >= 0;
    case 'e':
        if (**at == ' ') {
            (*at)++;
            return (date->day = read_digits(at, 1)) >= 0;
        }
        return (date->day = read_digits(at, 2)) >= 0;
    case 'H':
        return (date->hour = read_digits(at, 2)) >= 0;
    case 'M':
        return (date->minute = read_digits(at, 2)) >= 0;
    case 'S':
        return (date->second = read_digits(at, 2)) >= 0;
    case 'y':
        date->short_year = true;
        return (date->year = read_digits(at, 2)) >= 0;
    default: /* 'Y' */
        return (date->year = read_digits(at, 4)) >= 0;
    }
}

static bool read_date(const char *text, const char *pattern, struct date *date) {
    *date = (struct date){0};
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '%') {
            pattern++;
            if (!read_field(&text, *pattern, date)) {
                return false;
            }
        } else if (*text++ != *pattern) {
            return false;
        }
    }
    return *text == '\0';
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Is there such a moment? A leap second, 60, is within the grammar. */
static bool exists(const struct date *date) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int length = lengths[date->month] + (date->month == 1 && is_leap(date->year));

    return date->day >= 1 && date->day <= length && date->hour <= 23 && date->minute <= 59 &&
           date->second <= 60;
}

/* Seconds since 1970-01-01. */
static int64_t date_seconds(const struct date *date) {
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t past = date->year - 1; /* whole years since the year 1, of which 1969 are before 1970 */
    int64_t day = past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[date->month] +
                  date->day - 1;

    if (date->month > 1 && is_leap(date->year)) {
        day++;
    }
    return day * DAY_SECONDS + date->hour * 3600 + date->minute * 60 + date->second;
}

/*
** Two digits are a year of this century, but one more than 50 years ahead is of the last (RFC 9110
** 5.6.7).
*/
static void complete_year(struct date *date, int64_t now) {
    int64_t year =
        1970 + now / 1000 * 400 / ((int64_t)146097 * DAY_SECONDS); /* 400 years are 146097 days */

    date->year += (int)(year - year % 100);
    if (date->year > year + 50) {
        date->year -= 100;
    }
}

/* ms of "120", as long as can be if it is longer; -1: not digits. */
static int64_t read_seconds(const char *text) {
    int64_t seconds = 0;

    if (*text == '\0') {
        return -1;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        seconds = seconds < INT64_MAX / 10000 ? seconds * 10 + (*text - '0') : INT64_MAX / 1000;
    }
    return seconds < INT64_MAX / 1000 ? seconds * 1000 : INT64_MAX;
}

int64_t retry_after(const char *value, int64_t now) {
    static const char *const patterns[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate, the one to send */
        "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
        "%a %b %e %H:%M:%S %Y",      /* asctime() */
    };
    int64_t seconds = read_seconds(value);
    struct date date;

    if (seconds >= 0) {
        return seconds;
    }
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (read_date(value, patterns[i], &date)) {
            int64_t at;

            if (date.short_year) {
                complete_year(&date, now);
            }
            if (!exists(&date)) {
                return -1;
            }
            at = date_seconds(&date) * 1000;
            return at > now ? at - now : 0;
        }
    }
    return -1;
}
