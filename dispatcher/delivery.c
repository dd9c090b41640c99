/*
** delivery.c: a pair's two faces: the job that the engine sends, and the row that the journal
** keeps.
** SPDX-License-Identifier: MIT
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "log.h"
#include "memory.h"
#include "state.h"

bool sub_has_work(const struct sub *sub) {
    return sub->called || !TAILQ_EMPTY(&sub->fresh) || !TAILQ_EMPTY(&sub->again);
}

void sub_announce(struct sub *sub) {
    if (subscription_is_open(sub) && sub_has_work(sub)) {
        line_ready(&sub->line);
    } else {
        line_done(&sub->line);
    }
}

void sub_due(struct outbox *outbox, struct sub *sub, int64_t now) {
    if (sub->again_count > 0) {
        sub->due_waits = true; /* until those are sent */
    } else if (subscription_is_open(sub) && !sub->called && agenda_due(sub) > now) {
        agenda_set(&outbox->agenda, sub, now);
    }
}

void sub_call(struct outbox *outbox, struct sub *sub, bool called) {
    outbox->called_count += (int)called - (int)sub->called;
    sub->called = called;
}

void sub_leave_rows(struct outbox *outbox, struct sub *sub) {
    struct pair *pair;

    while ((pair = TAILQ_FIRST(&sub->again)) != NULL) {
        TAILQ_REMOVE(&sub->again, pair, links);
        pair_free(&outbox->window, pair);
    }
    sub->again_count = 0;
    sub->due_waits = false;
    sub_call(outbox, sub, false);
}

struct delivery pair_row(const struct pair *pair, enum delivery_state state, int64_t next_at,
                         const char *reason, int64_t now) {
    return (struct delivery){
        .sub = pair->sub->n,
        .event = pair->event->id,
        .state = state,
        .name = pair->event->name_n,
        .created_at = pair->event->created_at,
        .attempts = pair->attempts,
        .base = pair->base,
        .next_at = next_at,
        .reason = reason,
        .finished_at = state >= STATE_DELIVERED ? now : 0,
        .key = pair->key != NULL && !pair->forgotten ? pair->key->text : NULL,
    };
}

void pair_done(struct outbox *outbox, struct pair *pair, int64_t now) {
    pair->place = PAIR_DONE;
    pair_settled(pair);
    if (pair->key != NULL) {
        key_close(pair->key);
        outbox->order_waits = outbox->order_waits || pair->outcome.state >= STATE_DELIVERED ||
                              pair->outcome.next_at != NEVER;
    }
    TAILQ_INSERT_TAIL(&outbox->done, pair, done);
    if (pair->outcome.state == STATE_DEAD) {
        notice_dead(outbox, pair, now);
    }
    if (outbox->done_count++ == 0) {
        outbox->done_since = now;
    }
}

void pair_mark(struct outbox *outbox, struct pair *pair, enum delivery_state state, int64_t next_at,
               const char *reason, int64_t now) {
    pair->reason = reason != NULL ? xstrdup(reason) : NULL;
    pair->outcome = pair_row(pair, state, next_at, pair->reason, now);
    TAILQ_INSERT_TAIL(&pair->sub->busy, pair, links);
    pair->sub->busy_count++;
    outbox->given_up += state == STATE_DEAD;
    pair_done(outbox, pair, now);
}

void pair_revoke(struct pair *pair, const char *reason, int64_t now) {
    if (pair->place == PAIR_DONE && pair->outcome.state < STATE_DELIVERED) {
        pair->outcome.state = STATE_CANCELLED;
        pair->outcome.next_at = NEVER;
        pair->outcome.reason = reason;
        pair->outcome.finished_at = now;
    }
}

static void log_outcome(const struct pair *pair, const struct outcome *outcome) {
    static const char *const messages[] = {
        [STATE_RETRYING] = "attempt failed",  [STATE_HELD] = "delivery stops its key",
        [STATE_DELIVERED] = "delivered",      [STATE_DEAD] = "delivery is dead",
        [STATE_CANCELLED] = "attempt failed",
    };
    enum log_level level = outcome->state == VERDICT_DEAD ? LOG_WARN : LOG_DEBUG;
    char id[64];

    if (!log_enabled(level)) { /* a line for each delivery costs even unwritten */
        return;
    }
    snprintf(id, sizeof id, "%s-%lld", pair->sub->id, (long long)pair->event->id);
    log_line(level, messages[pair->outcome.state], "delivery", id, "event", pair->event->name,
             "target", pair->sub->endpoint, "attempt#", (long long)pair->attempts + 1, "status#",
             (long long)outcome->status, "error",
             outcome->error != NULL && *outcome->error != '\0' ? outcome->error : NULL,
             "duration_ms#", (long long)outcome->duration, NULL);
}

void pair_outcome(struct outbox *outbox, struct pair *pair, const struct outcome *outcome,
                  int64_t now) {
    struct delivery row = pair_row(pair, STATE_DELIVERED, NEVER, NULL, now);

    row.attempts = pair->attempts + 1;
    row.repeats = pair->attempts > 0;
    row.started_at = outcome->started_at;
    row.duration = outcome->duration;
    row.status = outcome->status;
    row.class = outcome->class;
    row.steps = outcome->steps;
    if (outcome->state == VERDICT_DEAD) {
        bool is_last = pair->cancelled != NULL || outcome->effect == EFFECT_GONE ||
                       pair->sub->status == SUB_ENDED;

        pair->reason = is_last ? NULL : order_stops(pair, outcome->reason);
        row.state = pair->reason != NULL ? STATE_HELD : STATE_DEAD;
        row.finished_at = pair->reason != NULL ? 0 : now;
        if (pair->reason == NULL) {
            pair->reason = xstrdup(outcome->reason);
        }
        row.reason = pair->reason;
    } else if (outcome->state == VERDICT_RETRY &&
               (pair->sub->status == SUB_ENDED || pair->cancelled != NULL)) {
        row.state = STATE_CANCELLED;
        row.reason = pair->cancelled != NULL ? pair->cancelled : pair->sub->ended;
    } else if (outcome->state == VERDICT_RETRY) {
        row.state = STATE_RETRYING;
        row.next_at = outcome->next_at;
        row.finished_at = 0;
        if (pair->sub->status == SUB_FAILING) { /* its schedule begins when the target is well */
            row.base = pair->base > 0 ? row.attempts : -row.attempts;
        }
    }
    if (outcome->error != NULL && *outcome->error != '\0') {
        row.error = pair->error = xstrdup(outcome->error);
    }
    if (outcome->response_length > 0 && !pair->forgotten) {
        pair->response = xcalloc(1, outcome->response_length);
        memcpy(pair->response, outcome->response, outcome->response_length);
        row.response = pair->response;
        row.response_length = outcome->response_length;
    }
    if (outcome->headers_length > 0 && !pair->forgotten) {
        pair->headers = xcalloc(1, outcome->headers_length);
        memcpy(pair->headers, outcome->headers, outcome->headers_length);
        row.headers = pair->headers;
        row.headers_length = outcome->headers_length;
    }
    pair->outcome = row;
    log_outcome(pair, outcome);
    pair_done(outbox, pair, now);
}

/* The body in the subscription's format; made from the bare payload when it is first wanted. */
static const struct buffer *body_of(struct event *event, enum format format) {
    struct buffer *body = &event->body[format];
    const struct buffer *bare = &event->body[FORMAT_BARE];

    if (format == FORMAT_CLOUDEVENTS) {
        return bare;
    }
    if (format == FORMAT_STANDARD && body->length == 0) {
        format_standard(body, event->name, event->created_at, bare->data, bare->length);
    }
    if (body->failed) {
        memory_exhausted();
    }
    return body;
}

void pair_job(struct outbox *outbox, struct pair *pair) {
    struct event *event = pair->event;
    enum format format = pair->sub->format;
    const struct buffer *body = body_of(event, format);

    if (event->webhook_id[0] == '\0') {
        snprintf(event->webhook_id, sizeof event->webhook_id, "%s_%lld_%lld", outbox->token,
                 (long long)event->id, (long long)event->created_at);
    }
    if (format == FORMAT_CLOUDEVENTS && event->ce_headers[0] == NULL) {
        char *source = xprintf("/resthook/%s", outbox->token);

        format_cloudevents_headers(event->ce_headers, event->name, event->webhook_id, source,
                                   event->created_at);
        free(source);
    }
    sub_target_release(pair->target);
    pair->target = pair->sub->target;
    sub_target_hold(pair->target);
    pair->job = (struct job){
        .line = &pair->sub->line,
        .target = &pair->target->target,
        .event = event->name,
        .id = event->webhook_id,
        .sequence = event->id,
        .content_type = "application/json",
        .extra = format == FORMAT_CLOUDEVENTS ? event->ce_headers : NULL,
        .headers = event->headers,
        .body = body->data,
        .body_length = body->length,
        .challenge = strcmp(event->name, EVENT_VERIFY) == 0 ? pair->target->challenge : NULL,
        .attempt = pair->attempts - abs(pair->base) + 1,
    };
}
