/*
** reorder.c: brings what a subscription has to send to its option `ordered`, when that is switched, or
** when the subscription is new to this process and was left in the middle of that: what is in memory at
** once, its rows some in a turn, since there may be millions. Until it has them all (sub->sorted)
** whatever is ordered waits.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "fault.h"
#include "log.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"

#define SORTED_AT_ONCE 1000 /* rows looked at in a step … */
#define STEP_US 1000        /* … and no other one in a turn after so long */
#define SORT_AGAIN 1000     /* ms before rows that could not be read are tried again */

void reorder_open(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    outbox->order_any = db_prepare(side, sql_order_any);
    outbox->order_odd = db_prepare(side, sql_order_odd);
    outbox->order_range = db_prepare(side, sql_order_range);
    outbox->order_adopt = db_prepare(side, sql_order_adopt);
    outbox->order_unstop = db_prepare(side, sql_order_unstop);
    outbox->order_drop = db_prepare(side, sql_order_drop);
}

/* Has it rows that are not as `ordered` wants them? true, too: that can't be read, or not at a glance. */
static bool has_odd(struct outbox *outbox, const struct sub *sub) {
    struct db *side = journal_db(outbox->journal);
    bool off = sub->ordered == ORDERED_NOT;
    sqlite3_stmt *odd = off ? outbox->order_any : outbox->order_odd;

    db_clear(side);
    db_int(side, odd, 1, sub->n);
    if (!off) {
        db_int(side, odd, 2, sub->ordered == ORDERED_SKIP);
        db_int(side, odd, 3, SORTED_AT_ONCE);
    }
    return db_value(side, odd, 1) != 0;
}

/* The last event of those that are next; 0: there are none; -1: it can't be read. */
static int64_t range_end(struct outbox *outbox, const struct sub *sub) {
    struct db *side = journal_db(outbox->journal);

    db_clear(side);
    db_int(side, outbox->order_range, 1, sub->n);
    db_int(side, outbox->order_range, 2, sub->sorted_to);
    db_int(side, outbox->order_range, 3, SORTED_AT_ONCE);
    return db_value(side, outbox->order_range, -1);
}

static void run(struct outbox *outbox, sqlite3_stmt *statement, const struct sub *sub, int64_t to) {
    struct db *side = journal_db(outbox->journal);

    db_int(side, statement, 1, sub->n);
    db_int(side, statement, 2, sub->sorted_to);
    db_int(side, statement, 3, to);
    db_run(side, statement);
}

/* Some of its rows. false: there are more, later. */
static bool sort_rows(struct outbox *outbox, struct sub *sub, int64_t now) {
    struct db *side = journal_db(outbox->journal);
    int64_t to;

    if (sub->sorted_to == 0 && !has_odd(outbox, sub)) {
        return true;
    }
    to = range_end(outbox, sub);
    if (to < 0) {
        log_line(LOG_ERROR, "rows can't be brought to order: what is ordered waits", "subscription",
                 sub->id, "error", journal_error(outbox->journal), NULL);
        sub->sort_at = now + SORT_AGAIN;
    }
    if (to <= 0) {
        return to == 0;
    }
    journal_begin(outbox->journal, false);
    if (sub->ordered != ORDERED_STOP) { /* first: what is dead by now is out of the way */
        db_int(side, outbox->order_unstop, 4, now);
        run(outbox, outbox->order_unstop, sub, to);
    }
    if (sub->ordered == ORDERED_NOT) {
        db_int(side, outbox->order_drop, 4, now);
        run(outbox, outbox->order_drop, sub, to);
    } else {
        run(outbox, outbox->order_adopt, sub, to);
    }
    fault_point("order.before_sort_commit");
    if (!journal_commit(outbox->journal)) {
        record_stall(outbox, now);
        return false;
    }
    fault_point("order.after_sort_commit");
    sub->sorted_to = to;
    sub_due(outbox, sub, now);
    return false;
}

/* A finished pair that is not yet recorded: what it is to be recorded as. */
static void sort_done(struct sub *sub, struct pair *pair, int64_t now) {
    struct delivery *row = &pair->outcome;
    bool without_time = row->state < STATE_DELIVERED && row->next_at == NEVER;

    row->key = pair->key != NULL ? pair->key->text : NULL;
    if (without_time && row->state == STATE_HELD && sub->ordered != ORDERED_STOP) {
        row->state = STATE_DEAD;
        row->finished_at = now;
        row->reason += strlen(ORDER_STOPPED);
    } else if (without_time && row->state != STATE_HELD && sub->ordered == ORDERED_NOT) {
        row->next_at = now;
    }
}

/* What waits in memory and has no key becomes rows again, which get theirs when they are read. */
static void take_back(struct outbox *outbox, struct sub *sub, int64_t now) {
    struct pair *pair;

    while ((pair = TAILQ_FIRST(&sub->fresh)) != NULL) {
        TAILQ_REMOVE(&sub->fresh, pair, links);
        pair->key = key_enter(&sub->keys, ORDER_UNKNOWN);
        pair_mark(outbox, pair, STATE_PENDING, now, NULL, now);
    }
    sub_leave_rows(outbox, sub);
    sub_due(outbox, sub, now);
    sub_announce(sub);
}

static void drop_keys(struct pairs *pairs) {
    struct pair *pair;

    TAILQ_FOREACH(pair, pairs, links) {
        if (pair->key != NULL) {
            key_leave(pair->key, pair->place == PAIR_DONE);
            pair->key = NULL;
        }
    }
}

void reorder(struct outbox *outbox, struct sub *sub, int64_t now) {
    bool is_new = sub->was == SUB_NEW;
    struct pair *pair;

    if (!is_new && sub->ordered == sub->was_ordered) {
        return;
    }
    if (sub->ordered == ORDERED_NOT) {
        drop_keys(&sub->fresh);
        drop_keys(&sub->again);
        drop_keys(&sub->busy);
    } else if (sub->was_ordered == ORDERED_NOT) {
        take_back(outbox, sub, now);
    }
    TAILQ_FOREACH(pair, &sub->busy, links) {
        if (pair->key == NULL && sub->ordered != ORDERED_NOT) {
            pair->key = key_enter(&sub->keys, ORDER_UNKNOWN);
            if (pair->place == PAIR_DONE) {
                key_close(pair->key);
            }
        }
        if (pair->place == PAIR_DONE) {
            sort_done(sub, pair, now);
        }
    }
    sub->was_ordered = sub->ordered;
    if (is_new && (sub->recorded_to == 0 || !journal_has_open(outbox->journal, sub->n))) {
        return; /* there are no rows of it that anything could wait for */
    }
    sub->sorted_to = sub->sort_at = 0;
    sub->sorted = false;
    outbox->order_reviews = true;
    order_review(outbox, sub);
}

bool reorder_is_due(const struct sub *sub, int64_t now) {
    return sub->status != SUB_ENDED && !sub->sorted &&
           (now >= sub->sort_at || sub->sort_at - now > SORT_AGAIN); /* the clock was set back */
}

void reorder_turn(struct outbox *outbox, int64_t now) {
    struct sub *sub;

    if (!outbox->order_reviews || outbox->stalled) {
        return;
    }
    int64_t began = stopwatch_work_us();

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (reorder_is_due(sub, now)) { /* else nobody looks at the clock: they may be thousands */
            sub->sorted = sort_rows(outbox, sub, now);
            if (outbox->stalled || stopwatch_work_us() - began > STEP_US) {
                return;
            }
        }
    }
}
