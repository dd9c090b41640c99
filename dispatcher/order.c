/*
** order.c: strict order within a key, of subscriptions that ask for it (option `ordered`).
**
** The rule: before a pair is sent, nothing earlier of its key is unfinished, in memory or as a row.
** Where something is, the pair becomes a row without a time and the cursor passes; so a target that
** hangs, or a retry of ten hours, holds its own key and nobody else. What keeps it going:
**
**   the first unfinished row of a key has a time, or is stopped, or waits for a pair in memory,
**   or for an earlier event whose key is not known.
**
** Each commit that finishes something restores that for the keys it touched (order_release). What
** ends rows by other ways (a cancellation, retention, a switch of `ordered`, a crash before) asks
** for a review: every key that has unfinished rows is looked at, some in each turn.
**
** An event without a key shares one order with the others that have none. An event whose key can't
** be known yet (its expressions fail; it was unfinished when `ordered` was switched on) stands under
** UNKNOWN, and everything later waits for it.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "memory.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"

#define REVIEWED_AT_ONCE 500 /* keys in a turn … */
#define STEP_US 1000         /* … and no other subscription after so long */

void order_open(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    outbox->order_key = db_prepare(side, sql_order_key);
    outbox->order_earlier = db_prepare(side, sql_order_earlier);
    outbox->order_first = db_prepare(side, sql_order_first);
    outbox->order_set = db_prepare(side, sql_order_set);
    outbox->order_next_key = db_prepare(side, sql_order_next_key);
}

/* After a crash events are read again: what is not read yet may be of any key. */
static bool is_read(const struct outbox *outbox, int64_t event) {
    return event <= outbox->window.read_to || !outbox->unread;
}

/* ---- a pair takes its place ---- */

/* Is a row of this key, or of an unknown one, unfinished that is of an earlier event? */
static bool has_earlier(struct outbox *outbox, const struct sub *sub, const char *key,
                        int64_t event) {
    struct db *side = journal_db(outbox->journal);

    db_int(side, outbox->order_earlier, 1, sub->n);
    db_text(side, outbox->order_earlier, 2, key);
    db_int(side, outbox->order_earlier, 3, event);
    return db_value(side, outbox->order_earlier, 0) != 0;
}

bool order_enter(struct outbox *outbox, struct pair *pair, const char *key) {
    struct sub *sub = pair->sub;
    struct db *side = journal_db(outbox->journal);
    bool waits;

    if (sub->ordered == ORDERED_NOT || pair->event->id == sub->probe) {
        return false; /* what a pending subscription waits for goes before all that it keeps */
    }
    db_clear(side);
    waits = keys_find(sub->keys, key) != NULL || keys_find(sub->keys, ORDER_UNKNOWN) != NULL ||
            has_earlier(outbox, sub, key, pair->event->id) ||
            has_earlier(outbox, sub, ORDER_UNKNOWN, pair->event->id) || !sub->sorted ||
            side->rc != SQLITE_OK; /* not known: it is found out later */
    db_clear(side);
    pair->key = key_enter(&sub->keys, key);
    return waits;
}

bool order_enter_row(struct outbox *outbox, struct pair *pair, const char *key) {
    struct db *side = journal_db(outbox->journal);
    char *kept = NULL;
    bool waits;

    if (pair->sub->ordered == ORDERED_NOT) {
        return false;
    }
    db_clear(side);
    db_int(side, outbox->order_key, 1, pair->sub->n);
    db_int(side, outbox->order_key, 2, pair->event->id);
    if (db_row(side, outbox->order_key)) {
        kept = db_copy(outbox->order_key, 0);
        db_reset(outbox->order_key);
    }
    pair->unknown = kept == NULL || strcmp(kept, ORDER_UNKNOWN) == 0;
    waits = order_enter(outbox, pair, pair->unknown ? key : kept) ||
            (pair->key != NULL && !is_read(outbox, pair->event->id));
    free(kept);
    return waits;
}

char *order_stops(const struct pair *pair, const char *reason) {
    bool stops = pair->sub->ordered == ORDERED_STOP && pair->key != NULL &&
                 strcmp(pair->key->text, ORDER_UNKNOWN) != 0; /* that was sent without an order */

    return stops ? xprintf(ORDER_STOPPED "%s", reason) : NULL;
}

/* ---- what waits is released ---- */

/* The first unfinished row of a key gets a time, if it is its turn. */
static void release(struct outbox *outbox, struct sub *sub, const char *text, int64_t now) {
    struct db *side = journal_db(outbox->journal);
    const struct key *key = keys_find(sub->keys, text);
    const struct key *unknown = keys_find(sub->keys, ORDER_UNKNOWN);
    int64_t event = 0;

    db_int(side, outbox->order_first, 1, sub->n);
    db_text(side, outbox->order_first, 2, text);
    if (db_row(side, outbox->order_first)) {
        bool waits = sqlite3_column_int(outbox->order_first, 1) != 0;

        event = waits ? sqlite3_column_int64(outbox->order_first, 0) : 0;
        db_reset(outbox->order_first);
    }
    if (event == 0 || (key != NULL && key->open > 0) || (unknown != NULL && unknown->open > 0)) {
        return;
    }
    if (!is_read(outbox, event) || !sub->sorted) {
        order_review(outbox, sub);
    } else if (!has_earlier(outbox, sub, ORDER_UNKNOWN, event)) {
        db_int(side, outbox->order_set, 1, sub->n);
        db_int(side, outbox->order_set, 2, event);
        db_int(side, outbox->order_set, 3, now);
        db_run(side, outbox->order_set);
        sub->released = true;
    }
}

void order_release(struct outbox *outbox, int64_t now) {
    struct pair *pair;

    outbox->order_commits++;
    TAILQ_FOREACH(pair, &outbox->done, done) {
        struct key *key = pair->key;

        if (pair->unknown || (key != NULL && strcmp(key->text, ORDER_UNKNOWN) == 0)) {
            order_review(outbox, pair->sub); /* everything later may have waited for it */
        }
        if (key != NULL && key->visited != outbox->order_commits) {
            key->visited = outbox->order_commits;
            release(outbox, pair->sub, key->text, now);
        }
    }
    outbox->order_waits = false;
}

void order_released(struct outbox *outbox, struct sub *sub, int64_t now) {
    if (sub->released) {
        sub->released = false;
        sub_due(outbox, sub, now);
    }
}

/* ---- reviews ---- */

void order_review(struct outbox *outbox, struct sub *sub) {
    if (sub->ordered != ORDERED_NOT) {
        sub->review = true;
        outbox->order_reviews = true;
    }
}

static bool can_review(const struct outbox *outbox, const struct sub *sub) {
    return sub->reviewed != NULL || (sub->review && is_read(outbox, sub->recorded_to));
}

bool order_pending(const struct outbox *outbox, int64_t now) {
    const struct sub *sub;

    if (outbox->order_reviews) {
        TAILQ_FOREACH(sub, &outbox->subs.list, links) {
            if (reorder_is_due(sub, now) ||
                (sub->status != SUB_ENDED && sub->sorted && can_review(outbox, sub))) {
                return true;
            }
        }
    }
    return false;
}

/* The next key after the one looked at last; NULL: there is none. */
static char *next_key(struct outbox *outbox, const struct sub *sub) {
    struct db *side = journal_db(outbox->journal);
    char *text = NULL;

    db_int(side, outbox->order_next_key, 1, sub->n);
    db_text(side, outbox->order_next_key, 2, sub->reviewed);
    if (db_row(side, outbox->order_next_key)) {
        text = db_copy(outbox->order_next_key, 0);
        db_reset(outbox->order_next_key);
    }
    return text;
}

static void review_some(struct outbox *outbox, struct sub *sub, int64_t now) {
    bool begins = sub->reviewed == NULL;

    journal_begin(outbox->journal, false);
    if (begins) {
        sub->review = false; /* what asks for one from here on gets another */
        sub->reviewed = xstrdup("");
        release(outbox, sub, "", now);
    }
    for (int i = 0; i < REVIEWED_AT_ONCE && sub->reviewed != NULL; i++) {
        char *key = next_key(outbox, sub);

        free(sub->reviewed);
        sub->reviewed = key;
        if (key != NULL) {
            release(outbox, sub, key, now);
        }
    }
    fault_point("order.before_review_commit");
    if (!journal_commit(outbox->journal)) { /* from the beginning, later */
        free(sub->reviewed);
        sub->reviewed = NULL;
        sub->review = true;
        record_stall(outbox, now);
        return;
    }
    fault_point("order.after_review_commit");
    order_released(outbox, sub, now);
}

/* ---- each turn ---- */

void order_turn(struct outbox *outbox, int64_t now) {
    struct sub *sub;
    bool more = false, enough = false;

    if (!outbox->order_reviews || outbox->stalled) {
        return;
    }
    int64_t began = stopwatch_work_us();

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sub->status == SUB_ENDED) {
            continue;
        }
        if (!enough && sub->sorted && !outbox->stalled && can_review(outbox, sub)) {
            review_some(outbox, sub, now);
            enough = stopwatch_work_us() - began > STEP_US;
        }
        more = more || !sub->sorted || sub->review || sub->reviewed != NULL;
    }
    outbox->order_reviews = more;
}
