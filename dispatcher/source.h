/*
** source.h: the seam between the engine and where deliveries come from: today the outbox of a
** database, in the tests a fake, later a queue that many machines share.
**
** A source announces lines (line.h) that have something to send; the engine decides whose turn it
** is, asks for one job at a time, sends it, and hands back what became of it. A job belongs to the
** engine from claim to settle. Time is an argument: milliseconds since 1970-01-01 UTC, read once a
** turn.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SOURCE_H
#define RESTHOOKD_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "line.h"
#include "retry.h"
#include "statuses.h"

#define NEVER INT64_MAX /* no time at all: wait for an event */

/* Of two times, or of two spans of it. */
static inline int64_t sooner(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

struct secret_ring;

/* What every request of a subscription has in common. Owned by the source, unchanged and alive
** while a job of it is out: a change of the subscription makes a new one. */
struct target {
    const char *url;
    const char *const *headers; /* "name: value" texts, NULL at the end; checked by header_check */
    const struct secret_ring *ring; /* sign.h: the secrets that sign now */
    struct retry_schedule schedule;
    const struct statuses *retried; /* which statuses are tried again; NULL: all */
    int64_t timeout;                /* ms for the whole request */
    int64_t connect_timeout;        /* ms */
    int64_t retry_after_most;       /* ms: how far a Retry-After may put an attempt off */
    size_t response_most;           /* bytes of a response's body that are kept */
    size_t headers_most;            /* … and of its headers, when it is no success */
};

/* One request to make. Allocated by the source, which frees it in settle. */
struct job {
    struct line *line;
    struct place place; /* the engine's */
    bool may_hang; /* likewise: its target has not proven that it answers, and many such wait */
    const struct target *target;
    const char *event;        /* x-event-type */
    const char *id;           /* webhook-id */
    int64_t sequence;         /* webhook-sequence: grows with the order of the events */
    const char *content_type; /* of the body */
    const char *const
        *extra; /* further "name: value" headers of this event (cloudevents), NULL: none */
    const char *const *headers; /* the event's own, NULL: none; one of these stands instead of the
                                   target's of the same name */
    const char *body;
    size_t body_length;
    const char
        *challenge; /* sent as x-hook-secret: does the target give it back? NULL: not asked */
    int attempt;    /* 1: the first */
};

enum verdict_state { VERDICT_DELIVERED, VERDICT_RETRY, VERDICT_DEAD };
/* What it means for the subscription or its endpoint, beside the delivery. */
enum verdict_effect { EFFECT_NONE, EFFECT_THROTTLE, EFFECT_GONE, EFFECT_CONFIRMED };

/*
** When an attempt had come so far, in microseconds from its start; -1: it did not, or there was no
** such step (a connection that was used again needs no name).
*/
struct steps {
    int64_t dns, connect, tls, first_byte;
};

/* What became of a job: all that crosses the seam. Texts are the engine's, good during the call. */
struct outcome {
    enum verdict_state state;
    enum verdict_effect effect;
    int64_t next_at;        /* RETRY: not before this time */
    int64_t throttle_until; /* EFFECT_THROTTLE: nothing to this endpoint before this time */
    const char *reason;     /* DEAD or EFFECT_GONE: why, for people */
    int64_t started_at;
    int64_t duration; /* ms */
    struct steps steps;
    int status;        /* HTTP status, 0: none */
    const char *class; /* of what is no success, a constant: "dns", "status" …; NULL: it is one */
    const char
        *error; /* "" when there was none: class and text, for people; says nothing of the inside */
    const char *response; /* first bytes of the body, UTF-8 (made so) */
    size_t response_length;
    const char *headers; /* first bytes of the headers of an answer that is no success; likewise */
    size_t headers_length;
};

struct source {
    /*
    ** One turn of the source's own work: looks for what is new, makes finished outcomes durable
    ** when their group is due, announces lines. idle: a group gains nothing by waiting for others, since
    ** nothing is in flight for anybody, or something was delivered and only what may hang is. Returns
    ** the time at which it wants its next turn at the latest.
    */
    int64_t (*turn)(struct source *source, int64_t now, bool idle);
    /* The next job of a line that the source announced, or NULL when it has none after all. Calls
    ** line_done when the line has nothing further to send now. */
    struct job *(*claim)(struct source *source, struct line *line, int64_t now);
    /* Takes back a job with its outcome; NULL outcome: it was not sent (the dispatcher stops).
    ** Never fails: an outcome that can not be written is kept and tried again. */
    void (*settle)(struct source *source, struct job *job, const struct outcome *outcome,
                   int64_t now);
    /* Is everything that is due sent and recorded? For --once. */
    bool (*drained)(const struct source *source, int64_t now);
};

#endif
