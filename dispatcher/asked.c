/*
** asked.c: carries out what resthook_request asks for (sql/schema.sql): replay, cancel, forget.
**
** Requests are consumed in order by a cursor that is committed together with their effect. What is
** asked for may concern a row of the side file, a pair in memory, or an event that was not read
** yet; and a pair that is in flight can't be called back: it is cancelled unless its attempt
** succeeds. What is in memory alone gets its row at once: it would not be known after a crash.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "fault.h"
#include "log.h"
#include "memory.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"

#define REQUESTS 1000    /* in a commit at most, … */
#define STEP_US 1000     /* … and none more after so long: app.db's snapshot is open */
#define ERASE_AGAIN 1000 /* ms */

void asked_open(struct outbox *outbox) {
    struct db *app = reader_db(outbox->reader);
    struct db *side = journal_db(outbox->journal);

    outbox->requests = db_prepare(app, sql_app_requests);
    outbox->requests_taken = db_prepare(app, sql_app_requests_taken);
    outbox->cancel_one = db_prepare(side, sql_delivery_cancel_one);
    outbox->forget_open = db_prepare(side, sql_delivery_cancel_event);
    outbox->forget_rows = db_prepare(side, sql_delivery_erase);
    outbox->forget_attempts = db_prepare(side, sql_attempt_erase);
}

/* What is in memory of a pair is not sent (again). It may be freed. */
static void call_back(struct outbox *outbox, struct pair *pair, const char *reason, int64_t now) {
    struct sub *sub = pair->sub;

    if (pair->place == PAIR_BUSY) {
        pair->cancelled = reason;
    } else if (pair->place == PAIR_DONE) {
        pair_revoke(pair, reason, now);
    } else if (pair->again) { /* its row is cancelled in the side file */
        TAILQ_REMOVE(&sub->again, pair, links);
        sub->again_count--;
        if (sub->again_count == 0 && (sub->due_waits || sub->status == SUB_FAILING)) {
            sub->due_waits = false;
            sub_due(outbox, sub, now);
        }
        pair_free(&outbox->window, pair);
    } else {
        TAILQ_REMOVE(&sub->fresh, pair, links);
        pair_mark(outbox, pair, STATE_CANCELLED, NEVER, reason, now);
    }
}

/* Every pair in memory of the subscription and the event: none, one, or an attempt that is under
** way and its row's successor. Returns how many there were. */
static int call_back_all(struct outbox *outbox, struct sub *sub, int64_t event, bool erase,
                         const char *reason, int64_t now) {
    struct pairs *lists[] = {&sub->fresh, &sub->again, &sub->busy};
    struct pair *pair, *next;
    int count = 0;

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (pair = TAILQ_FIRST(lists[i]); pair != NULL; pair = next) {
            next = TAILQ_NEXT(pair, links);
            if (pair->event->id == event) {
                count++;
                pair->forgotten = pair->forgotten || erase;
                if (erase && pair->place == PAIR_DONE) {
                    pair->outcome.response_length = pair->outcome.headers_length = 0;
                    pair->outcome.key = NULL;
                }
                call_back(outbox, pair, reason, now);
            }
        }
    }
    sub_announce(sub);
    return count;
}

static bool cancel_row(struct outbox *outbox, const struct sub *sub, int64_t event, int64_t now) {
    struct db *side = journal_db(outbox->journal);

    db_int(side, outbox->cancel_one, 1, sub->n);
    db_int(side, outbox->cancel_one, 2, event);
    db_int(side, outbox->cancel_one, 3, now);
    return db_run(side, outbox->cancel_one) && sqlite3_changes(side->handle) > 0;
}

/* An event above what was read: its pair is recorded as cancelled before there is one. */
static bool cancel_unread(struct outbox *outbox, struct sub *sub, int64_t event, int64_t now) {
    struct outbox_row row;
    bool wanted = event > outbox->window.read_to && reader_row(outbox->reader, event, &row) &&
                  row.event != NULL && subscription_wants(sub, event, row.event, row.only);

    if (wanted) {
        struct delivery delivery = {
            .sub = sub->n,
            .event = event,
            .state = STATE_CANCELLED,
            .name = journal_event_name(outbox->journal, row.event),
            .created_at = row.created_at,
            .next_at = NEVER,
            .reason = "cancelled",
            .finished_at = now,
        };

        journal_put(outbox->journal, &delivery);
        sub->recorded_to = event > sub->recorded_to ? event : sub->recorded_to;
    }
    reader_rows_done(outbox->reader);
    return wanted;
}

/* The pairs in memory that are in no row yet are cancelled in one. */
static void record_cancelled(struct outbox *outbox, const struct sub *sub, int64_t event,
                             int64_t now) {
    const struct pair *pair;

    TAILQ_FOREACH(pair, &sub->busy, links) {
        bool asked = pair->cancelled != NULL ||
                     (pair->place == PAIR_DONE && pair->outcome.state == STATE_CANCELLED);

        if (pair->event->id == event && asked &&
            !journal_recorded(outbox->journal, sub->n, event)) {
            struct delivery row = pair_row(pair, STATE_CANCELLED, NEVER, "cancelled", now);

            journal_put(outbox->journal, &row);
        }
    }
}

static bool cancel(struct outbox *outbox, struct sub *sub, int64_t event, int64_t now) {
    int in_memory = call_back_all(outbox, sub, event, false, "cancelled", now);
    bool row = cancel_row(outbox, sub, event, now);

    record_cancelled(outbox, sub, event, now);
    order_review(outbox, sub);
    fault_point("request.cancel");
    return in_memory > 0 || row || cancel_unread(outbox, sub, event, now);
}

/* What was cancelled and is still in memory: what is under way is the first attempt of the replay. */
static void take_up_again(struct sub *sub, int64_t event, int64_t now) {
    struct pair *pair;

    TAILQ_FOREACH(pair, &sub->busy, links) {
        if (pair->event->id == event && pair->place == PAIR_BUSY) {
            pair->cancelled = NULL;
            pair->base = pair->attempts;
            pair->job.attempt = 1;
        } else if (pair->event->id == event && pair->outcome.state == STATE_CANCELLED) {
            pair->outcome.state = STATE_PENDING;
            pair->outcome.base = pair->outcome.attempts;
            pair->outcome.next_at = now;
            pair->outcome.reason = NULL;
            pair->outcome.finished_at = 0;
        }
    }
}

static bool replay(struct outbox *outbox, struct sub *sub, int64_t event, int64_t now) {
    if (!journal_replay(outbox->journal, sub->n, event, now)) {
        return false;
    }
    take_up_again(sub, event, now);
    sub_due(outbox, sub, now);
    fault_point("request.replay");
    return true;
}

/* What is overwritten in the side file is still in its WAL, until that is checkpointed (asked_turn).
** Its row in app.db is empty by now, and nobody receives it (resthook_forget). */
static void forget(struct outbox *outbox, int64_t event, int64_t now) {
    struct db *side = journal_db(outbox->journal);
    struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        call_back_all(outbox, sub, event, true, "forgotten", now);
        order_review(outbox, sub);
    }
    db_int(side, outbox->forget_open, 1, event);
    db_int(side, outbox->forget_open, 2, now);
    db_run(side, outbox->forget_open);
    db_int(side, outbox->forget_rows, 1, event);
    db_run(side, outbox->forget_rows);
    db_int(side, outbox->forget_attempts, 1, event);
    db_run(side, outbox->forget_attempts);
    fault_point("request.forget");
    outbox->erase_at = now;
}

void asked_turn(struct outbox *outbox, int64_t now) {
    struct db *side = journal_db(outbox->journal);

    if (outbox->erase_at == 0 || now < outbox->erase_at || outbox->stalled ||
        outbox->requests_left) { /* once, after the last of many */
        return;
    }
    /* A reader would be waited for, with all other databases: he is asked again later instead. */
    fault_point("request.before_erase");
    sqlite3_busy_timeout(side->handle, 0);
    int rc = sqlite3_wal_checkpoint_v2(side->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    sqlite3_busy_timeout(side->handle, JOURNAL_PATIENCE);
    outbox->erase_at = rc == SQLITE_OK ? 0 : now + ERASE_AGAIN;
    fault_point("request.after_erase");
}

/* false: there was nothing to act on. */
static bool carry_out(struct outbox *outbox, const char *kind, const char *id, int64_t event,
                      int64_t now) {
    struct sub *sub = id != NULL ? subscription_named(&outbox->subs, id) : NULL;

    if (kind != NULL && strcmp(kind, "forget") == 0) {
        forget(outbox, event, now);
        return true;
    }
    if (kind == NULL || sub == NULL || sub->status == SUB_ENDED) {
        return false;
    }
    if (strcmp(kind, "replay") == 0) {
        return replay(outbox, sub, event, now);
    }
    return strcmp(kind, "cancel") == 0 && cancel(outbox, sub, event, now);
}

bool asked_take(struct outbox *outbox, int64_t now) {
    struct db *app = reader_db(outbox->reader);
    sqlite3_stmt *list = outbox->requests;
    int64_t taken = outbox->request_cursor, filed = outbox->request_filed;
    int64_t began = stopwatch_work_us();
    int count = 0;

    db_int(app, outbox->requests_taken, 1, taken);
    db_int(app, outbox->requests_taken, 2, filed);
    taken = db_value(app, outbox->requests_taken, 0);
    if (app->rc != SQLITE_OK) {
        return false; /* it is not known which are done: none is done twice */
    }
    journal_begin(outbox->journal, false);
    db_int(app, list, 1, taken);
    db_int(app, list, 2, REQUESTS);
    outbox->requests_left = false;
    while (!outbox->requests_left && db_row(app, list)) {
        const char *id = db_string(list, 2);

        taken = sqlite3_column_int64(list, 0);
        filed = sqlite3_column_int64(list, 4);
        outbox->requests_left = ++count == REQUESTS || stopwatch_work_us() - began > STEP_US;
        if (!carry_out(outbox, db_string(list, 1), id, sqlite3_column_int64(list, 3), now)) {
            log_line(LOG_INFO, "a request has nothing to act on", "database", outbox->path,
                     "request#", (long long)taken, "subscription", id, NULL);
        }
    }
    db_reset(list);
    journal_set(outbox->journal, "request_cursor", taken);
    journal_set(outbox->journal, "request_filed", filed);
    fault_point("request.before_commit");
    if (!journal_commit(outbox->journal)) {
        return false;
    }
    fault_point("request.after_commit");
    outbox->request_cursor = taken;
    outbox->request_filed = filed;
    return app->rc == SQLITE_OK;
}
