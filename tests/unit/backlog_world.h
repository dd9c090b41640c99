/*
** backlog_world.h: an outbox (outbox_world.h) whose window is full of events for a target that asked to be
** left alone.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <string.h>

static inline void subscribe(const char *event, const char *host, const char *options) {
    sql("SELECT resthook_subscribe('%s', 'https://%s/', '%s')", event, host, options);
}

static inline void emit(const char *event, int count) {
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO resthook_outbox(event, payload) SELECT '%s', '{}' FROM n",
        count, event);
}

/* Sends all that can be sent. Returns how much that was. */
static inline int send_all(int most) {
    struct job *job;
    int count = 0;

    while (count < most && (job = claim()) != NULL) {
        settle(job, VERDICT_DELIVERED, 0);
        count++;
    }
    return count;
}

static inline const struct sub *at(const char *host) {
    const struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (strstr(sub->endpoint, host) != NULL) {
            return sub;
        }
    }
    fail_msg("nobody is at %s", host);
    return NULL;
}

/* One target asks to be left alone for a day. */
static inline void throttle_one(void) {
    struct job *job;

    emit("slow.a", 1);
    turns(SECOND);
    job = claim();
    assert_non_null(job);
    settle(job, VERDICT_RETRY, now + 24 * HOUR);
}

/* … and what is read is full of events for it. */
static inline void fill_with_one(void) {
    throttle_one();
    emit("slow.a", 6000);
    turns(SECOND);
    assert_true(window_full(&outbox->window));
}
