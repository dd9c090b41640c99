/*
** due.c: rows whose time has come are claimed back into memory, where they wait to be sent again.
**
** A subscription's place in the agenda is the time of its earliest row that is not in memory. It is
** read for when that comes, and only as much as can be sent.
**
** Those whose turn may not come soon, since their target may not answer or is left alone, may be very
** many. Where a good deal is in memory already they are only called: their rows are read when it is
** their line's turn, and what is to expire expires then. (Of 20,000 that were dead each had a row in
** memory, which filled the window: nothing was read any more for whoever was well.)
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>

#include "fault.h"
#include "memory.h"
#include "state.h"
#include "stopwatch.h"

#define DUE_AT_ONCE 32 /* rows of one subscription claimed in one turn */
#define SUBS_A_TURN 64
#define STEP_US 10000  /* of a turn, but for the row that is under way */
#define READ_AGAIN 500 /* ms before rows that could not be read are tried again */

static bool is_busy(const struct sub *sub, int64_t event) {
    const struct pair *pair;

    TAILQ_FOREACH(pair, &sub->busy, links) {
        if (pair->event->id == event) {
            return true;
        }
    }
    return false;
}

/* Is more in memory than is to be of those whose turn may not come soon? */
static bool is_crowded(const struct outbox *outbox, const struct sub *sub, int64_t now) {
    return (sub->line.health != GOOD || !line_has_room(&sub->line, now)) &&
           outbox->window.pairs_count >= PAIRS_ENOUGH;
}

/* Claims due rows of one subscription into memory; inside a read transaction. */
static void load_rows(struct outbox *outbox, struct sub *sub, int64_t began, int64_t now) {
    bool many =
        line_has_room(&sub->line, now) && sub->status == SUB_SENDS && !is_crowded(outbox, sub, now);
    /* One row takes a subscription's place in the schedule; more only where they can be sent. */
    int wanted = many ? DUE_AT_ONCE : 1;
    int most = sub->busy_count + wanted + 1;
    struct due_row *rows = xcalloc((size_t)most, sizeof *rows);
    struct db *side = journal_db(outbox->journal);

    db_clear(side);
    int count = sub->status == SUB_PROBES
                    ? journal_due_probe(outbox->journal, sub->n, sub->probe, rows)
                    : journal_due(outbox->journal, sub->n, rows, most);
    int64_t next_due = side->rc == SQLITE_OK ? NEVER : now + READ_AGAIN; /* not read: later */
    int loaded = 0;

    for (int i = 0; i < count; i++) {
        if (is_busy(sub, rows[i].event)) {
            continue;
        }
        if (rows[i].next_at > now || loaded >= wanted ||
            (loaded > 0 && stopwatch_work_us() - began > STEP_US)) {
            next_due = rows[i].next_at;
            break;
        }
        if (!fanout_row(outbox, sub, &rows[i], now)) {
            next_due = rows[i].next_at;
            outbox->read_at = now + READ_AGAIN;
            break;
        }
        loaded++;
    }
    if (sub->status == SUB_FAILING) { /* one at a time, and not before the next probe */
        sub->due_waits = sub->again_count > 0;
        next_due = sub->due_waits ? NEVER : failing_next(sub, next_due);
    }
    agenda_set(&outbox->agenda, sub, next_due);
    for (int i = 0; i < count; i++) {
        free(rows[i].reason);
    }
    free(rows);
}

/* May rows be read of one that is due now? If not, its place in the agenda is set anew. */
static bool is_its_time(struct outbox *outbox, struct sub *sub, int64_t now) {
    if (sub->status == SUB_FAILING && sub->probing) {
        agenda_set(&outbox->agenda, sub, NEVER); /* its outcome brings it back */
        return false;
    }
    if (sub->status == SUB_FAILING && now < sub->probe_at) {
        agenda_set(&outbox->agenda, sub, sub->probe_at);
        return false;
    }
    if (sub->again_count > 0) {
        agenda_set(&outbox->agenda, sub, NEVER);
        sub->due_waits = true; /* source.c brings it back when those are sent */
        return false;
    }
    return true;
}

static void load(struct outbox *outbox, struct sub *sub, int64_t began, int64_t now) {
    if (reading_begin(outbox, now)) {
        load_rows(outbox, sub, began, now);
        reader_end(outbox->reader);
        reading_rests(outbox, began, now);
        fault_point("claim.due");
    }
}

void due_load(struct outbox *outbox, int64_t now) {
    struct sub *sub;
    int budget = SUBS_A_TURN;

    if (due_next(outbox) > now) {
        return;
    }
    int64_t began = stopwatch_work_us();

    while (stopwatch_work_us() - began <= STEP_US && !outbox->stalled && outbox->held == NULL &&
           now >= outbox->read_at && budget-- > 0 &&
           (sub = agenda_first(&outbox->agenda)) != NULL && agenda_due(sub) <= now) {
        if (!is_its_time(outbox, sub, now)) {
            continue;
        }
        if (sub->called || is_crowded(outbox, sub, now)) {
            agenda_set(&outbox->agenda, sub, NEVER);
            sub_call(outbox, sub, true);
            sub_announce(sub);
        } else {
            load(outbox, sub, began, now);
        }
    }
}

void due_take(struct outbox *outbox, struct sub *sub, int64_t now) {
    int64_t began = stopwatch_work_us();

    sub_call(outbox, sub, false);
    agenda_set(&outbox->agenda, sub, now);
    /* Some come to nothing: it is still its turn. What is not read the agenda has. */
    for (int rows = 0; rows < DUE_AT_ONCE && agenda_due(sub) <= now && now >= outbox->read_at &&
                       outbox->held == NULL && stopwatch_work_us() - began <= STEP_US &&
                       is_its_time(outbox, sub, now);
         rows++) {
        load(outbox, sub, began, now);
    }
}

int64_t due_next(const struct outbox *outbox) {
    const struct sub *first = agenda_first(&outbox->agenda);

    return first != NULL ? agenda_due(first) : NEVER;
}
