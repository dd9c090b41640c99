/*
** sweep_side.c: see sweep.h: what was kept too long in the side file ends, what ended long ago goes.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>

#include "memory.h"
#include "sql.h"
#include "state.h"
#include "sweep.h"

#define ROWS 2000 /* in a step */

struct side_sweep {
    struct outbox *outbox;
    int64_t sub,
        event; /* where this round is; 0: at its beginning; event -1: nothing expired yet */
    sqlite3_stmt *next_sub, *forget, *forget_next, *forget_attempts, *expire, *open_count,
        *expire_first;
};

struct side_sweep *side_sweep_new(struct outbox *outbox) {
    struct side_sweep *sweep = xcalloc(1, sizeof *sweep);
    struct db *side = journal_db(outbox->journal);

    sweep->outbox = outbox;
    sweep->next_sub = db_prepare(side, "SELECT min(n) FROM subscription WHERE n > ?1");
    sweep->forget = db_prepare(side, sql_delivery_forget);
    sweep->forget_next = db_prepare(side, sql_delivery_forget_next);
    sweep->forget_attempts = db_prepare(side, sql_attempt_forget);
    sweep->expire = db_prepare(side, sql_delivery_expire);
    sweep->open_count = db_prepare(side, sql_delivery_open_count);
    sweep->expire_first = db_prepare(side, sql_delivery_expire_first);
    return sweep;
}

void side_sweep_free(struct side_sweep *sweep) {
    free(sweep);
}

/* The next subscription's number; NEVER: there is none. */
static int64_t sub_after(struct side_sweep *sweep, int64_t n) {
    struct db *side = journal_db(sweep->outbox->journal);

    db_int(side, sweep->next_sub, 1, n);
    return db_value(side, sweep->next_sub, NEVER);
}

/*
** What is kept for a subscription ends when it is too old, and, while it doesn't send, when it is
** too much: the oldest first. Of one that sends, rows that are due may be at work: they are left
** alone here (their age is looked at when they are claimed). Returns whether there is more.
*/
static bool expire(struct side_sweep *sweep, int64_t now) {
    struct outbox *outbox = sweep->outbox;
    const struct settings *settings = &outbox->subs.settings;
    struct db *side = journal_db(outbox->journal);
    const struct sub *sub = subscription_numbered(&outbox->subs, sweep->sub);
    bool sends =
        sub != NULL && (sub->status == SUB_SENDS || sub->again_count + sub->busy_count > 0);
    int64_t over;
    bool more;

    db_int(side, sweep->expire, 1, sweep->sub);
    db_int(side, sweep->expire, 2, now - settings->keep_pending);
    db_int(side, sweep->expire, 3, now);
    db_int(side, sweep->expire, 4, ROWS);
    db_int(side, sweep->expire, 5, sends ? now + 1 : 0);
    more = db_run(side, sweep->expire) && sqlite3_changes(side->handle) == ROWS;
    if (sub == NULL || sends || sub->status == SUB_ENDED) {
        return more;
    }
    db_int(side, sweep->open_count, 1, sweep->sub);
    over = db_value(side, sweep->open_count, 0) - settings->keep_pending_rows;
    if (over > 0) {
        db_int(side, sweep->expire_first, 1, sweep->sub);
        db_int(side, sweep->expire_first, 2, now);
        db_int(side, sweep->expire_first, 3, over < ROWS ? over : ROWS);
        db_run(side, sweep->expire_first);
    }
    return more || over > ROWS;
}

/* One subscription's share. */
bool side_sweep_step(struct side_sweep *sweep, int64_t now) {
    const struct outbox *outbox = sweep->outbox;
    const struct settings *settings = &outbox->subs.settings;
    struct db *side = journal_db(outbox->journal);
    int64_t next;

    if (sweep->sub == 0) {
        sweep->sub = sub_after(sweep, 0);
        sweep->event = -1;
        if (sweep->sub == NEVER) {
            sweep->sub = 0;
            return false;
        }
    }
    journal_begin(outbox->journal, false);
    if (sweep->event < 0) {
        if (expire(sweep, now)) {
            journal_commit(outbox->journal);
            return true;
        }
        sweep->event = 0;
        db_int(side, sweep->forget_attempts, 1, sweep->sub);
        db_int(side, sweep->forget_attempts, 2, now - settings->keep_attempts);
        db_int(side, sweep->forget_attempts, 3, ROWS);
        db_run(side, sweep->forget_attempts);
    }
    db_int(side, sweep->forget_next, 1, sweep->sub);
    db_int(side, sweep->forget_next, 2, sweep->event);
    db_int(side, sweep->forget_next, 3, ROWS);
    next = db_value(side, sweep->forget_next, NEVER);
    db_int(side, sweep->forget, 1, sweep->sub);
    db_int(side, sweep->forget, 2, now - settings->keep_deliveries);
    db_int(side, sweep->forget, 3, now - settings->keep_dead);
    db_int(side, sweep->forget, 4, ROWS);
    db_int(side, sweep->forget, 5, sweep->event);
    db_int(side, sweep->forget, 6, outbox->cursor); /* above it a row says what was sent already */
    db_run(side, sweep->forget);
    if (!journal_commit(outbox->journal)) {
        return false;
    }
    sweep->event = next;
    if (next == NEVER) {
        sweep->event = -1;
        sweep->sub = sub_after(sweep, sweep->sub);
        if (sweep->sub == NEVER) {
            sweep->sub = 0;
            return false;
        }
    }
    return true;
}
