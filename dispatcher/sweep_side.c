/*
** sweep_side.c: see sweep.h: what was kept too long in the side file ends, what ended long ago goes.
**
** A round goes through the deliveries, then through the attempts, in the order of their keys; a step
** looks at some rows for about a millisecond and remembers where it was, so that nobody waits for
** it, however much there is. While it goes through the unfinished rows of a subscription that keeps
** them, it counts them: when it leaves the subscription it knows how many are too many.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>

#include "fault.h"
#include "memory.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"
#include "sweep.h"

#define BATCH 100    /* rows between two looks at the stopwatch */
#define ROWS 2000    /* in a step at most, … */
#define STEP_US 1000 /* … and as long as this */

struct position {
    bool at_attempts;
    int64_t sub, event, attempt; /* the last row that was looked at */
    int64_t open;                /* unfinished rows of sub that stay, -1: not counted */
    int64_t revision;            /* the subscription's, when the count began, … */
    int turn;                    /* … its claims (of a probe), … */
    int64_t request;             /* … and the last request that had been carried out */
    int64_t over;                /* too many of them, … */
    int64_t ended_to;            /* … which are looked for behind this event of an ordered one */
};

struct side_sweep {
    struct outbox *outbox;
    struct position at;
    int gone;     /* rows that the step ended or forgot */
    bool whole;   /* it came to the last delivery of the round */
    bool deletes; /* most of what it looked at went */
    sqlite3_stmt *walk, *expire, *forget, *first, *wake, *near, *walk_attempts, *forget_attempt;
};

struct row {
    int64_t sub, event, created_at, next_at, attempts, base, finished_at;
    enum delivery_state state;
};

struct side_sweep *side_sweep_new(struct outbox *outbox) {
    struct side_sweep *sweep = xcalloc(1, sizeof *sweep);
    struct db *side = journal_db(outbox->journal);

    sweep->outbox = outbox;
    sweep->walk = db_prepare(side, sql_delivery_walk);
    sweep->expire = db_prepare(side, sql_delivery_expire);
    sweep->forget = db_prepare(side, sql_delivery_forget);
    sweep->first = db_prepare(side, sql_delivery_first);
    sweep->wake = db_prepare(side, sql_order_wake);
    sweep->near = db_prepare(side, sql_delivery_near);
    sweep->walk_attempts = db_prepare(side, sql_attempt_walk);
    sweep->forget_attempt = db_prepare(side, sql_attempt_forget);
    return sweep;
}

void side_sweep_free(struct side_sweep *sweep) {
    free(sweep);
}

static void end(struct side_sweep *sweep, int64_t sub, int64_t event, const char *reason,
                int64_t now) {
    struct db *side = journal_db(sweep->outbox->journal);

    db_int(side, sweep->expire, 1, sub);
    db_int(side, sweep->expire, 2, event);
    db_text(side, sweep->expire, 3, reason);
    db_int(side, sweep->expire, 4, now);
    db_run(side, sweep->expire);
    sweep->gone++;
    struct sub *ended = subscription_numbered(&sweep->outbox->subs, sub);

    if (ended != NULL) {
        order_review(sweep->outbox, ended); /* it may have been the first of its key */
    }
}

static int64_t time_or_never(sqlite3_stmt *row, int column) {
    return sqlite3_column_type(row, column) == SQLITE_NULL ? NEVER
                                                           : sqlite3_column_int64(row, column);
}

/* The rows behind that of this subscription and event, of everybody. */
static int read_rows(struct side_sweep *sweep, int64_t sub, int64_t event, struct row *rows) {
    struct db *side = journal_db(sweep->outbox->journal);
    sqlite3_stmt *walk = sweep->walk;
    int count = 0;

    db_int(side, walk, 1, sub);
    db_int(side, walk, 2, event);
    db_int(side, walk, 3, BATCH);
    while (db_row(side, walk)) {
        rows[count++] = (struct row){
            .sub = sqlite3_column_int64(walk, 0),
            .event = sqlite3_column_int64(walk, 1),
            .state = (enum delivery_state)sqlite3_column_int(walk, 2),
            .created_at = time_or_never(walk, 3),
            .next_at = time_or_never(walk, 4),
            .attempts = sqlite3_column_int64(walk, 5),
            .base = sqlite3_column_int64(walk, 6),
            .finished_at = time_or_never(walk, 7),
        };
    }
    return count;
}

/* ---- what is too much ---- */

/* The subscription that the walk is in, when it keeps what comes and nothing of it is on the way. */
static const struct sub *keeper(const struct side_sweep *sweep) {
    const struct sub *sub = subscription_numbered(&sweep->outbox->subs, sweep->at.sub);

    return sub != NULL && sub->status != SUB_SENDS && sub->status != SUB_ENDED &&
                   sub->busy_count == 0 && sub->again_count == 0
               ? sub
               : NULL;
}

/* Has it kept them from the beginning of the count until now, and was nothing cancelled? If not, the
** next round counts anew. */
static bool count_holds(const struct side_sweep *sweep) {
    const struct sub *sub = keeper(sweep);

    return sub != NULL && sub->revision == sweep->at.revision && sub->turn == sweep->at.turn &&
           sweep->outbox->request_cursor == sweep->at.request;
}

static void enter(struct side_sweep *sweep, int64_t n) {
    sweep->at.sub = n;
    sweep->at.open = -1;
    const struct sub *sub = keeper(sweep);

    if (sub != NULL) {
        sweep->at.open = 0;
        sweep->at.revision = sub->revision;
        sweep->at.turn = sub->turn;
        sweep->at.request = sweep->outbox->request_cursor;
    }
}

/* Returns whether there are too many. */
static bool leave(struct side_sweep *sweep) {
    if (sweep->at.open >= 0 && count_holds(sweep)) {
        sweep->at.over = sweep->at.open - sweep->outbox->subs.settings.keep_pending_rows;
        sweep->at.ended_to = 0;
    }
    sweep->at.open = -1;
    return sweep->at.over > 0;
}

/* The event that everything else waits for, 0: none. */
static int64_t handshake(const struct sub *sub) {
    return sub->status == SUB_PROBES ? sub->probe : 0;
}

/* The first unfinished ones of the subscription that the walk is in, `most` at most, in the order in which they
** came. */
static int find_first(struct side_sweep *sweep, int64_t *events, int most) {
    struct db *side = journal_db(sweep->outbox->journal);
    int count = 0;

    db_int(side, sweep->first, 1, sweep->at.sub);
    db_int(side, sweep->first, 2, most);
    db_int(side, sweep->first, 3, handshake(keeper(sweep)));
    while (db_row(side, sweep->first)) {
        events[count++] = sqlite3_column_int64(sweep->first, 0);
    }
    return count;
}

/* … and of an ordered one, in which most have no time: it is walked through once more. */
static int find_earliest(struct side_sweep *sweep, int64_t *events, int most) {
    struct position *at = &sweep->at;
    struct row rows[BATCH];
    int read = read_rows(sweep, at->sub, at->ended_to, rows), count = 0;

    for (int i = 0; i < read && rows[i].sub == at->sub && count < most; i++) {
        at->ended_to = rows[i].event;
        if (rows[i].state < STATE_DELIVERED && rows[i].event != handshake(keeper(sweep))) {
            events[count++] = rows[i].event;
        }
    }
    if (read < BATCH || rows[read - 1].sub != at->sub) {
        at->over = count; /* there are no more */
    }
    return count;
}

/* The oldest of those that are too many. */
static void end_first(struct side_sweep *sweep, int64_t now) {
    int64_t events[BATCH];
    int count = 0;

    if (!count_holds(sweep)) {
        sweep->at.over = 0;
        return;
    }
    int most = sweep->at.over < BATCH ? (int)sweep->at.over : BATCH;

    if (keeper(sweep)->ordered != ORDERED_NOT) {
        count = find_earliest(sweep, events, most);
    } else {
        count = find_first(sweep, events, most);
        sweep->at.over = count > 0 ? sweep->at.over : 0;
    }
    for (int i = 0; i < count; i++) {
        end(sweep, sweep->at.sub, events[i], "expired: more than keep_pending_rows", now);
    }
    sweep->at.over -= count;
}

/* ---- what is too old ---- */

/*
** The age of an unfinished one counts from the event, or from the time for which it was meant
** (deliver_at, a replay), which is next_at until the first attempt. One that was sent before and is
** replayed has its schedule. Of a subscription that sends, rows that are due may be at work: they
** are left alone here (their age is looked at when they are claimed).
*/
static bool is_expired(const struct side_sweep *sweep, const struct row *row, int64_t now) {
    const struct sub *sub = subscription_numbered(&sweep->outbox->subs, row->sub);
    int64_t oldest = now - sweep->outbox->subs.settings.keep_pending;

    return row->created_at < oldest && row->base <= 0 && row->next_at != NEVER &&
           (row->state != STATE_PENDING || row->attempts > 0 || row->next_at < oldest) &&
           (sub == NULL || row->next_at > now ||
            (!subscription_sends(sub, row->event) && sub->again_count + sub->busy_count == 0));
}

static bool is_forgotten(const struct side_sweep *sweep, const struct row *row, int64_t now) {
    const struct settings *settings = &sweep->outbox->subs.settings;
    int64_t keep = row->state == STATE_DEAD ? settings->keep_dead : settings->keep_deliveries;

    /* Above the cursor a row says what was sent already. */
    return row->event <= sweep->outbox->cursor && row->finished_at < now - keep;
}

/* It waits for its key, and is too old, unless it was meant for later: app.db says so when it is
** claimed, or the next round, of a subscription that doesn't send. */
static void wake(struct side_sweep *sweep, const struct row *row, int64_t now) {
    struct db *side = journal_db(sweep->outbox->journal);
    struct sub *sub = subscription_numbered(&sweep->outbox->subs, row->sub);

    if (sub != NULL && sub->ordered != ORDERED_NOT && row->state < STATE_HELD && row->base <= 0 &&
        row->next_at == NEVER &&
        row->created_at < now - sweep->outbox->subs.settings.keep_pending) {
        db_int(side, sweep->wake, 1, row->sub);
        db_int(side, sweep->wake, 2, row->event);
        db_run(side, sweep->wake);
        sub_due(sweep->outbox, sub, now);
    }
}

/* The clock was set back since this got its time: as long as it had to wait it waits from now on. What
** is for a time of its event's own (deliver_at) is put back to it when it is claimed. */
static void bring_near(struct side_sweep *sweep, const struct row *row, int64_t now) {
    struct db *side = journal_db(sweep->outbox->journal);
    struct sub *sub = subscription_numbered(&sweep->outbox->subs, row->sub);

    db_int(side, sweep->near, 1, row->sub);
    db_int(side, sweep->near, 2, row->event);
    db_int(side, sweep->near, 3, now);
    db_int(side, sweep->near, 4, sweep->outbox->clock_was);
    db_run(side, sweep->near);
    if (sub != NULL) {
        sub_due(sweep->outbox, sub, now);
    }
}

static void sweep_row(struct side_sweep *sweep, const struct row *row, int64_t now) {
    struct db *side = journal_db(sweep->outbox->journal);

    wake(sweep, row, now);
    if (sweep->outbox->clock_was != 0 && row->state < STATE_DELIVERED && row->next_at != NEVER &&
        row->next_at > now) {
        bring_near(sweep, row, now);
    }
    if (row->state >= STATE_DELIVERED) {
        if (is_forgotten(sweep, row, now)) {
            db_int(side, sweep->forget, 1, row->sub);
            db_int(side, sweep->forget, 2, row->event);
            db_run(side, sweep->forget);
            sweep->gone++;
        }
    } else if (is_expired(sweep, row, now)) {
        end(sweep, row->sub, row->event, "expired", now);
    } else if (sweep->at.open >= 0) {
        sweep->at.open++;
    }
}

/* Some deliveries. Returns whether there are more. */
static bool walk_deliveries(struct side_sweep *sweep, int64_t now) {
    struct row rows[BATCH];
    int count = read_rows(sweep, sweep->at.sub, sweep->at.event, rows);

    for (int i = 0; i < count; i++) {
        if (rows[i].sub != sweep->at.sub) {
            if (leave(sweep)) {
                return true; /* it comes back to this row */
            }
            enter(sweep, rows[i].sub);
        }
        sweep_row(sweep, &rows[i], now);
        sweep->at.event = rows[i].event;
    }
    return count == BATCH || leave(sweep);
}

/* Some attempts before a delivery's last one. Returns whether there are more. */
static bool walk_attempts(struct side_sweep *sweep, int64_t now) {
    struct db *side = journal_db(sweep->outbox->journal);
    int64_t oldest = now - sweep->outbox->subs.settings.keep_attempts;
    struct position old[BATCH], *at = &sweep->at;
    int count = 0, forgotten = 0;

    db_int(side, sweep->walk_attempts, 1, at->sub);
    db_int(side, sweep->walk_attempts, 2, at->event);
    db_int(side, sweep->walk_attempts, 3, at->attempt);
    db_int(side, sweep->walk_attempts, 4, BATCH);
    while (db_row(side, sweep->walk_attempts)) {
        at->sub = sqlite3_column_int64(sweep->walk_attempts, 0);
        at->event = sqlite3_column_int64(sweep->walk_attempts, 1);
        at->attempt = sqlite3_column_int64(sweep->walk_attempts, 2);
        if (time_or_never(sweep->walk_attempts, 3) < oldest) {
            old[forgotten++] = *at;
        }
        count++;
    }
    for (int i = 0; i < forgotten; i++) {
        db_int(side, sweep->forget_attempt, 1, old[i].sub);
        db_int(side, sweep->forget_attempt, 2, old[i].event);
        db_int(side, sweep->forget_attempt, 3, old[i].attempt);
        db_run(side, sweep->forget_attempt);
    }
    sweep->gone += forgotten;
    return count == BATCH;
}

/* Returns whether there is more in this round. */
static bool go_on(struct side_sweep *sweep, int64_t now) {
    if (sweep->at.at_attempts) {
        return walk_attempts(sweep, now);
    }
    if (sweep->at.over > 0) {
        end_first(sweep, now);
    } else if (!walk_deliveries(sweep, now)) {
        sweep->at = (struct position){.at_attempts = true};
        sweep->whole = true;
    }
    return true;
}

bool side_sweep_step(struct side_sweep *sweep, int64_t now) {
    int64_t began = stopwatch_us();
    bool more = true;
    int rows;

    sweep->whole = false;
    sweep->gone = 0;
    journal_begin(sweep->outbox->journal, false);
    for (rows = 0; more && rows < ROWS && stopwatch_us() - began < STEP_US; rows += BATCH) {
        more = go_on(sweep, now);
    }
    sweep->deletes = sweep->gone >= rows / 2;
    fault_point("retention.before_side_commit");
    if (!journal_commit(sweep->outbox->journal)) {
        more = false; /* the next round tries again */
    } else if (sweep->whole) {
        sweep->outbox->clock_was = 0;
    }
    fault_point("retention.after_side_commit");
    if (!more) {
        side_sweep_restart(sweep);
    }
    return more;
}

bool side_sweep_deletes(const struct side_sweep *sweep) {
    return sweep->deletes;
}

void side_sweep_restart(struct side_sweep *sweep) {
    sweep->at = (struct position){0};
}
