/*
** source.c: the outbox as the engine's source (source.h): whose turn it is among the rooms, what is
** handed out and taken back.
**
** One delivery's way: reading.c reads the event, fanout.c makes a pair for each subscription that wants
** it; claim() gives the pair to the engine; settle() takes it back, finished; record.c writes it,
** and the cursor, in one commit with others. What can't be finished now is written as a row, and
** comes back through due.c when its time has come.
** SPDX-License-Identifier: MIT
*/
#include "repair.h"
#include "retention.h"
#include "state.h"
#include "writer.h"

/* ms between looks for somebody who lacks work behind a full window, and one more for every so many subscriptions, since
** a look is at each of them (0.1 µs); after a commit; and while what stands there is being found out. */
#define SPILL_EVERY 10
#define SUBS_A_MS 100
#define NEWS_SUBS_A_MS 200
#define AHEAD_EVERY 2
#define AHEAD_SUBS_A_MS 1000
#define STALL 4096         /* unwritten outcomes at which nothing more is sent */
#define APP_PATIENCE 15000 /* ms that --once waits for a lock of app.db: longer than SLOT */

static struct outbox *of(const struct source *source) {
    return (struct outbox *)(void *)((char *)(uintptr_t)source - offsetof(struct outbox, source));
}

/* The window is full: who lacks work has it fetched from behind, or way is made. */
static void look_behind(struct outbox *outbox, int64_t now) {
    if (outbox->spilled_at == 0) {
        outbox->spilled_at = now; /* nobody has lacked anything yet */
    }
    enum ahead ahead = ahead_look(outbox, now);

    outbox->spill_at =
        now + (ahead == AHEAD_UNKNOWN ? AHEAD_EVERY + outbox->subs.count / AHEAD_SUBS_A_MS
                                      : SPILL_EVERY + outbox->subs.count / SUBS_A_MS);
    if (ahead == AHEAD_WANTED) {
        outbox->spilled_at = now;
        record_spill(outbox, now);
        reading_next(outbox, now);
    }
}

static void look(struct outbox *outbox, int64_t now) {
    enum wake_cause cause = wake_take(outbox->wake, outbox->slot);

    bool changed = cause != WAKE_NONE && reader_changed(outbox->reader);

    if (changed) {
        wake_saw(outbox->wake, outbox->slot);
        outbox->unheard = true;
        outbox->ahead_all = false;
        outbox->spill_at = sooner(outbox->spill_at, now + outbox->subs.count / NEWS_SUBS_A_MS);
        retention_noticed(outbox->retention, now);
    }
    if (cause != WAKE_NONE && !changed && !outbox->unread) {
        repair_looked(outbox, outbox->schema, now); /* nothing was committed since that was read */
    }
    if (changed && !outbox->unread) {
        outbox->unread = true;
        outbox->cause = cause;
    } else if (cause == WAKE_HINT && outbox->cause == WAKE_POLL) {
        outbox->cause = cause; /* the poll came upon a lock, before the commit */
    }
    if (!outbox->unread || outbox->stalled || now < outbox->read_at) {
        return;
    }
    /* Where nothing can be taken a pause or an end is heard. */
    if (!window_full(&outbox->window) || outbox->unheard) {
        reading_next(outbox, now);
    }
    if (outbox->held == NULL && outbox->unread && window_full(&outbox->window) &&
        now >= later(outbox->read_at, outbox->spill_at)) {
        look_behind(outbox, now);
    }
}

/* The clock was set back: what was to wait until a time that is now far away waits no longer. Rows are
** brought near by the round of retention that begins. */
static void clock_went_back(struct outbox *outbox, int64_t now) {
    if (outbox->turned_at > outbox->clock_was) {
        outbox->clock_was = outbox->turned_at;
    }
    outbox->read_at = outbox->spill_at = outbox->spilled_at = outbox->commit_at = 0;
    outbox->repair_at = 0;
    outbox->beat_at = outbox->synced_at = 0;
    outbox->sync_at = now;
    outbox->erase_at = outbox->erase_at != 0 ? now : 0;
    outbox->done_since = now;
    failing_clock(outbox, now);
    retention_clock(outbox->retention, now);
}

/* When it has work again, at the latest. */
static int64_t next_turn(const struct outbox *outbox, int64_t now) {
    int64_t due = record_due(outbox, now);

    if (outbox->unread && !outbox->stalled) {
        int64_t spill = window_full(&outbox->window) ? outbox->spill_at : 0;

        due = sooner(due, later(spill, outbox->read_at));
    }
    if (!outbox->stalled) {
        due = sooner(due, later(due_next(outbox), outbox->read_at));
    }
    if (outbox->ended > 0 || outbox->stranger != NEVER) {
        due = sooner(due, now + 10);
    }
    if (held_waits(outbox) && !outbox->stalled) {
        due = now;
    }
    if (repair_pending(outbox) && !outbox->stalled) {
        due = sooner(due, outbox->repair_at);
    }
    due = sooner(due, retention_due(outbox->retention));
    if (!outbox->stalled && order_pending(outbox, now)) {
        due = sooner(due, now);
    }
    return due;
}

/* An end that is to be written to app.db, or a trigger that is to be made there: all else is done. */
static bool waits_for_app(const struct outbox *outbox) {
    return (outbox->ended > 0 && !outbox->cancelling) || repair_pending(outbox);
}

/* In a file made for the purpose a statement of ours may take for ever (db.h). Tried again it would take as
** long again, from everyone's time. */
static bool is_endless(const struct outbox *outbox) {
    return reader_db(outbox->reader)->endless || journal_db(outbox->journal)->endless ||
           writer_db(outbox->writer)->endless;
}

static int64_t turn(struct source *source, int64_t now, bool idle) {
    struct outbox *outbox = of(source);

    if (now < outbox->turned_at) {
        clock_went_back(outbox, now);
    }
    outbox->turned_at = now;
    if (outbox->held != NULL) {
        durable_take(outbox, now);
        return NEVER;
    }
    if (outbox->stopped) {
        durable_take(outbox, now);
        if (outbox->done_count > 0) {
            record_flush(outbox, now);
        }
        return NEVER;
    }
    look(outbox, now);
    if (outbox->held != NULL) { /* by what was read: nothing is written any more */
        return NEVER;
    }
    repair_turn(outbox, now);
    held_turn(outbox, now);
    reorder_turn(outbox, now);
    order_turn(outbox, now);
    due_load(outbox, now);
    if (outbox->held != NULL) { /* likewise */
        return NEVER;
    }
    roster_tidy(outbox, now);
    record_turn(outbox, now, idle);
    durable_turn(outbox, now);
    asked_turn(outbox, now);
    retention_turn(outbox->retention, now);
    journal_tidy(outbox->journal);
    if (!waits_for_app(outbox)) {
        outbox->app_since = 0;
    } else if (outbox->app_since == 0 || outbox->app_since > now) {
        outbox->app_since = now;
    }
    if (is_endless(outbox)) {
        outbox_hold(outbox, ENDLESS);
    }
    return next_turn(outbox, now);
}

/* retries_turn: first attempts go before old retries, but don't starve them. */
static struct pair *next_pair(struct sub *sub, bool retries_turn) {
    if (sub->ordered != ORDERED_NOT && !TAILQ_EMPTY(&sub->again) && !TAILQ_EMPTY(&sub->fresh)) {
        struct pair *again = TAILQ_FIRST(&sub->again), *fresh = TAILQ_FIRST(&sub->fresh);

        return again->event->id < fresh->event->id ? again : fresh;
    }
    if (!TAILQ_EMPTY(&sub->again) && (retries_turn || TAILQ_EMPTY(&sub->fresh))) {
        return TAILQ_FIRST(&sub->again);
    }
    return TAILQ_FIRST(&sub->fresh);
}

static struct job *claim(struct source *source, struct line *line, int64_t now) {
    struct outbox *outbox = of(source);
    struct sub *sub = (struct sub *)(void *)((char *)line - offsetof(struct sub, line));
    struct pair *pair;

    if (outbox->held != NULL || outbox->stopped || !subscription_is_open(sub) ||
        (outbox->stalled && outbox->done_count >= STALL)) {
        line_done(line);
        return NULL;
    }
    bool retries_turn = ++sub->turn % 4 == 0;

    /* Only what is sent then: what is read and not sent stays in memory. */
    if (sub->called && !outbox->stalled &&
        (retries_turn || sub->ordered != ORDERED_NOT || TAILQ_EMPTY(&sub->fresh))) {
        due_take(outbox, sub, now);
    }
    pair = outbox->held == NULL ? next_pair(sub, retries_turn) : NULL;
    if (pair == NULL) {
        line_done(line);
        return NULL;
    }
    if (pair->again) {
        TAILQ_REMOVE(&sub->again, pair, links);
        sub->again_count--;
        if (sub->due_waits && sub->again_count == 0) {
            sub->due_waits = false;
            sub_due(outbox, sub, now);
        }
    } else {
        TAILQ_REMOVE(&sub->fresh, pair, links);
    }
    TAILQ_INSERT_TAIL(&sub->busy, pair, links);
    sub->busy_count++;
    outbox->in_flight++;
    pair->place = PAIR_BUSY;
    pair->probe = sub->status == SUB_FAILING;
    sub->probing = sub->probing || pair->probe;
    pair_job(outbox, pair);
    sub_announce(sub);
    return &pair->job;
}

static void settle(struct source *source, struct job *job, const struct outcome *outcome,
                   int64_t now) {
    struct outbox *outbox = of(source);
    struct pair *pair = (struct pair *)(void *)((char *)job - offsetof(struct pair, job));
    struct sub *sub = pair->sub;

    outbox->in_flight--;
    sub->probing = sub->probing && !pair->probe;
    if (outcome == NULL) { /* not sent: as if it had not been claimed */
        TAILQ_REMOVE(&sub->busy, pair, links);
        sub->busy_count--;
        pair->place = PAIR_WAITING;
        if (pair->again) {
            TAILQ_INSERT_HEAD(&sub->again, pair, links);
            sub->again_count++;
        } else {
            TAILQ_INSERT_HEAD(&sub->fresh, pair, links);
        }
        sub_announce(sub);
        return;
    }
    struct outcome kept = *outcome;

    failing_attempted(outbox, sub, &kept, now);
    pair_outcome(outbox, pair, &kept, now);
    if (outcome->effect == EFFECT_GONE) {
        roster_gone(outbox, sub, outcome->reason, now);
    } else if (outcome->effect == EFFECT_CONFIRMED) {
        roster_confirmed(outbox, sub, job->challenge, now);
    }
    if (sub->status == SUB_FAILING) {
        sub_due(outbox, sub,
                now); /* for the next probe, also where this one is not to be repeated */
    }
}

/* Is every target that anything waits for left alone? */
static bool all_shunned(const struct outbox *outbox, int64_t now) {
    const struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sub->busy_count > 0 || (sub_has_work(sub) && !line_is_shunned(&sub->line, now))) {
            return false;
        }
    }
    return true;
}

static bool drained(const struct source *source, int64_t now) {
    struct outbox *outbox = of(source);
    bool sent =
        outbox->window.pairs_count == 0 && outbox->called_count == 0
            ? !outbox->unread
            : (!outbox->unread || (window_full(&outbox->window) && !ahead_may_come(outbox, now))) &&
                  all_shunned(outbox, now);

    if (outbox->stalled) { /* nothing more can be recorded: it is for the operator */
        return outbox->in_flight == 0;
    }
    return outbox->held != NULL ||
           (sent && outbox->done_count == 0 && outbox->clock_was == 0 && !outbox->cancelling &&
            outbox->stranger == NEVER &&
            (!waits_for_app(outbox) || now - outbox->app_since >= APP_PATIENCE) &&
            !held_waits(outbox) && !order_pending(outbox, now) && due_next(outbox) > now);
}

void source_open(struct outbox *outbox) {
    outbox->source =
        (struct source){.turn = turn, .claim = claim, .settle = settle, .drained = drained};
    TAILQ_INIT(&outbox->done);
    ahead_open(outbox);
}
