/*
** source.c: the outbox as the engine's source (source.h): reads what is new, hands out jobs, records
** outcomes in groups.
**
** One delivery's way: fanout.c reads the event and makes a pair for each subscription that wants
** it; claim() gives the pair to the engine; settle() takes it back, finished; flush() writes it,
** and the cursor, in one commit with others. What can't be finished now is written as a row, and
** comes back through load_due() when its time has come.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>

#include "log.h"
#include "memory.h"
#include "repair.h"
#include "retention.h"
#include "state.h"

#define GROUP 256        /* outcomes in a commit at most … */
#define GROUP_AGE 5      /* … or ms that the oldest of them has waited */
#define SPILL_EVERY 10   /* ms between looks for somebody who lacks work behind a full window */
#define STALL 4096       /* unwritten outcomes at which nothing more is sent */
#define DUE_AT_ONCE 32   /* rows of one subscription claimed in one turn */
#define RETRY_COMMIT 500 /* ms before a commit that failed is tried again */
#define BEAT_EVERY 1000  /* ms between signs of life in the side file … */
#define IDLE_BEAT 5000 /* … while nothing happens: a hundred idle databases cost nothing to see */

static struct outbox *of(const struct source *source) {
    return (struct outbox *)(void *)((char *)(uintptr_t)source - offsetof(struct outbox, source));
}

/* ---- recording ---- */

static int64_t next_beat(const struct outbox *outbox) {
    bool idle = !outbox->unsynced && outbox->in_flight == 0 && outbox->done_count == 0;

    return outbox->beat_at + (idle ? IDLE_BEAT : BEAT_EVERY);
}

static void write_state(struct outbox *outbox, bool beat, int64_t now) {
    struct journal *journal = outbox->journal;
    int64_t cursor = window_cursor(&outbox->window);

    if (cursor != outbox->cursor || outbox->check_id != outbox->anchored) {
        journal_set(journal, "cursor", cursor);
        if (outbox->check_id > 0) {
            journal_anchor(journal, outbox->check_id, outbox->check_created);
        }
    }
    if (outbox->counts_moved) {
        if (outbox->boot_known) {
            journal_set_text(journal, "boot", outbox->boot);
        }
        journal_set(journal, "filtered", outbox->filtered);
        journal_set(journal, "wakes_hint", outbox->wakes[WAKE_HINT]);
        journal_set(journal, "wakes_recheck", outbox->wakes[WAKE_RECHECK]);
        journal_set(journal, "wakes_poll", outbox->wakes[WAKE_POLL]);
    }
    if (beat) {
        journal_set(journal, "heartbeat_at", now);
        journal_set(journal, "in_flight", outbox->in_flight);
        journal_set(journal, "intact_schema", outbox->intact_schema);
        journal_set(journal, "intact_at", outbox->intact_at);
    }
}

static void wrote_state(struct outbox *outbox, bool beat, int64_t now) {
    outbox->cursor = window_cursor(&outbox->window);
    outbox->anchored = outbox->check_id;
    outbox->counts_moved = false;
    outbox->beat_at = beat ? now : outbox->beat_at;
}

/* news: it holds more than a sign of life. */
static bool commit(struct outbox *outbox, int64_t now, bool durable, bool news) {
    if (journal_commit(outbox->journal)) {
        if (outbox->stalled) {
            log_line(LOG_INFO, "outcomes are written again", "database", outbox->path, NULL);
        }
        outbox->stalled = false;
        outbox->commit_at = 0;
        outbox->synced_at = durable ? now : outbox->synced_at;
        outbox->unsynced = !durable && (news || outbox->unsynced);
        return true;
    }
    if (!outbox->stalled) {
        log_line(LOG_ERROR, "outcomes can't be written: they are kept and tried again", "database",
                 outbox->path, "error", journal_error(outbox->journal), NULL);
    }
    outbox->stalled = true;
    outbox->commit_at = now + RETRY_COMMIT;
    return false;
}

void source_flush(struct outbox *outbox, int64_t now) {
    bool news = outbox->done_count > 0 || outbox->counts_moved ||
                window_cursor(&outbox->window) != outbox->cursor;
    bool durable =
        (news || outbox->unsynced) && now - outbox->synced_at >= outbox->subs.settings.sync_every;
    bool beat = now >= next_beat(outbox);
    struct pair *pair;

    journal_begin(outbox->journal, durable);
    TAILQ_FOREACH(pair, &outbox->done, done) {
        journal_put(outbox->journal, &pair->outcome);
    }
    write_state(outbox, beat, now);
    if (!commit(outbox, now, durable, news)) {
        return;
    }
    wrote_state(outbox, beat, now);
    while ((pair = TAILQ_FIRST(&outbox->done)) != NULL) {
        struct sub *sub = pair->sub;

        if (pair->outcome.next_at < sub->next_due && sub->status == SUB_SENDS) {
            agenda_set(&outbox->agenda, sub, pair->outcome.next_at);
        }
        TAILQ_REMOVE(&outbox->done, pair, done);
        TAILQ_REMOVE(&sub->busy, pair, links);
        sub->busy_count--;
        pair_free(&outbox->window, pair);
    }
    outbox->done_count = 0;
}

/* ---- rows that became due ---- */

static bool is_busy(const struct sub *sub, int64_t event) {
    const struct pair *pair;

    TAILQ_FOREACH(pair, &sub->busy, links) {
        if (pair->event->id == event) {
            return true;
        }
    }
    return false;
}

/* Claims due rows of one subscription into memory; inside a read transaction. */
static void load_rows(struct outbox *outbox, struct sub *sub, int64_t now) {
    /* One row takes a subscription's place in the schedule; more only where they can be sent. */
    int wanted = line_has_room(&sub->line, now) ? DUE_AT_ONCE : 1;
    int most = sub->busy_count + wanted + 1;
    struct due_row *rows = xcalloc((size_t)most, sizeof *rows);
    struct db *side = journal_db(outbox->journal);

    db_clear(side);
    int count = journal_due(outbox->journal, sub->n, rows, most);
    int64_t next_due = side->rc == SQLITE_OK ? NEVER : now + RETRY_COMMIT; /* not read: later */
    int loaded = 0;

    for (int i = 0; i < count; i++) {
        if (is_busy(sub, rows[i].event)) {
            continue;
        }
        if (rows[i].next_at > now || loaded >= wanted) {
            next_due = rows[i].next_at;
            break;
        }
        if (!fanout_row(outbox, sub, &rows[i], now)) {
            next_due = rows[i].next_at;
            outbox->read_at = now + RETRY_COMMIT;
            break;
        }
        loaded++;
    }
    agenda_set(&outbox->agenda, sub, next_due);
    free(rows);
}

static void load_due(struct outbox *outbox, int64_t now) {
    struct sub *sub;
    int budget = 64; /* subscriptions a turn */

    while (!outbox->stalled && now >= outbox->read_at && budget-- > 0 &&
           (sub = agenda_first(&outbox->agenda)) != NULL && sub->next_due <= now) {
        if (sub->again_count > 0) {
            agenda_set(&outbox->agenda, sub, NEVER);
            sub->due_waits = true; /* claim() brings it back when those are sent */
            continue;
        }
        if (!reader_begin(outbox->reader)) {
            outbox->read_at = now + 2;
            return;
        }
        load_rows(outbox, sub, now);
        reader_end(outbox->reader);
    }
}

/* ---- the source ---- */

static bool hungry(struct outbox *outbox, int64_t now) {
    struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sub->status == SUB_SENDS && TAILQ_EMPTY(&sub->fresh) && TAILQ_EMPTY(&sub->again) &&
            line_has_room(&sub->line, now)) {
            return true;
        }
    }
    return false;
}

/*
** Makes way: pairs that wait where there is no room, or are in flight, become rows, so that the
** cursor and the reading can go on for the others. Only called when somebody lacks work, so that a
** backlog for one target costs no rows.
*/
static void spill(struct outbox *outbox, int64_t now) {
    struct event *event;
    struct pair *pair, *next;
    int spilled = 0;

    journal_begin(outbox->journal, false);
    TAILQ_FOREACH(event, &outbox->window.events, links) {
        TAILQ_FOREACH(pair, &event->pairs, siblings) {
            pair->spilling = !pair->recorded && pair->place != PAIR_DONE &&
                             (pair->place == PAIR_BUSY || !line_has_room(&pair->sub->line, now));
            if (pair->spilling) {
                struct delivery row = pair_row(pair, STATE_PENDING, now, NULL, now);

                journal_put(outbox->journal, &row);
                spilled++;
            }
        }
    }
    if (!commit(outbox, now, false, true)) {
        return;
    }
    for (event = TAILQ_FIRST(&outbox->window.events); event != NULL;) {
        struct event *following = TAILQ_NEXT(event, links);

        for (pair = TAILQ_FIRST(&event->pairs); pair != NULL; pair = next) {
            next = TAILQ_NEXT(pair, siblings);
            if (!pair->spilling) {
                continue;
            }
            pair->spilling = false;
            pair_settled(pair);
            if (pair->place == PAIR_WAITING) {
                struct sub *sub = pair->sub;

                TAILQ_REMOVE(&sub->fresh, pair, links);
                sub_announce(sub);
                sub_due(outbox, sub, now);
                pair_free(&outbox->window, pair);
            }
        }
        event = following;
    }
    log_line(LOG_DEBUG, "made way", "database", outbox->path, "rows#", (long long)spilled, NULL);
}

static void look(struct outbox *outbox, int64_t now) {
    enum wake_cause cause = wake_take(outbox->wake, outbox->slot);

    bool changed = cause != WAKE_NONE && reader_changed(outbox->reader);

    if (changed) {
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
    if (window_full(&outbox->window)) {
        if (changed) { /* nothing can be taken, but a pause or an end is heard */
            fanout_read(outbox, now);
        }
        if (now < outbox->spill_at) {
            return;
        }
        outbox->spill_at = now + SPILL_EVERY;
        if (!hungry(outbox, now)) {
            return;
        }
        spill(outbox, now);
    }
    fanout_read(outbox, now);
}

static int64_t earliest(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The clock was set back: what was to wait until a time that is now far away waits no longer. */
static void clock_went_back(struct outbox *outbox, int64_t now) {
    outbox->read_at = outbox->spill_at = outbox->commit_at = outbox->repair_at = 0;
    outbox->beat_at = outbox->synced_at = 0;
    outbox->done_since = now;
}

static int64_t turn(struct source *source, int64_t now, bool idle) {
    struct outbox *outbox = of(source);
    const struct sub *first;
    int64_t due = NEVER;

    if (now < outbox->turned_at) {
        clock_went_back(outbox, now);
    }
    outbox->turned_at = now;
    if (outbox->held != NULL) {
        return NEVER;
    }
    if (outbox->stopped) {
        if (outbox->done_count > 0) {
            source_flush(outbox, now);
        }
        return NEVER;
    }
    look(outbox, now);
    repair_turn(outbox, now);
    load_due(outbox, now);
    roster_tidy(outbox, now);
    if (outbox->done_count > 0 && now >= outbox->commit_at &&
        (outbox->done_count >= GROUP || now - outbox->done_since >= GROUP_AGE || idle)) {
        source_flush(outbox, now);
    } else if (now >= next_beat(outbox) && now >= outbox->commit_at) {
        source_flush(outbox, now);
    }
    retention_turn(outbox->retention, outbox, now);
    if (outbox->done_count > 0) {
        due = earliest(outbox->stalled ? outbox->commit_at : outbox->done_since + GROUP_AGE, due);
    }
    if (outbox->unread && !outbox->stalled) {
        due = earliest(due, window_full(&outbox->window) ? outbox->spill_at : outbox->read_at);
    }
    first = agenda_first(&outbox->agenda);
    if (first != NULL && !outbox->stalled) {
        due = earliest(due, first->next_due > outbox->read_at ? first->next_due : outbox->read_at);
    }
    if (outbox->ended > 0 || outbox->stranger != NEVER) {
        due = earliest(due, now + 10);
    }
    if (repair_pending(outbox)) {
        due = earliest(due, outbox->repair_at);
    }
    int64_t beat = next_beat(outbox);

    return earliest(due, outbox->stalled && outbox->commit_at > beat ? outbox->commit_at : beat);
}

static struct pair *next_pair(struct sub *sub) {
    bool retries_turn =
        ++sub->turn % 4 == 0; /* first attempts go before old retries, but don't starve them */

    if (!TAILQ_EMPTY(&sub->again) && (retries_turn || TAILQ_EMPTY(&sub->fresh))) {
        return TAILQ_FIRST(&sub->again);
    }
    return TAILQ_FIRST(&sub->fresh);
}

static struct job *claim(struct source *source, struct line *line, int64_t now) {
    struct outbox *outbox = of(source);
    struct sub *sub = (struct sub *)(void *)((char *)line - offsetof(struct sub, line));
    struct pair *pair;

    if (outbox->held != NULL || outbox->stopped || sub->status != SUB_SENDS ||
        (outbox->stalled && outbox->done_count >= STALL)) {
        line_done(line);
        return NULL;
    }
    pair = next_pair(sub);
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
    pair_outcome(outbox, pair, outcome, now);
    if (outcome->effect == EFFECT_GONE) {
        roster_gone(outbox, sub, outcome->reason, now);
    }
}

/* Has every target that anything waits for asked to be left alone (Retry-After)? */
static bool all_throttled(const struct outbox *outbox, int64_t now) {
    const struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        bool waits = !(TAILQ_EMPTY(&sub->fresh) && TAILQ_EMPTY(&sub->again));

        if (sub->busy_count > 0 || (waits && sub->line.throttle_until <= now)) {
            return false;
        }
    }
    return true;
}

static bool drained(const struct source *source, int64_t now) {
    const struct outbox *outbox = of(source);
    const struct sub *first = agenda_first(&outbox->agenda);
    bool sent =
        outbox->window.pairs_count == 0
            ? !outbox->unread
            : (!outbox->unread || window_full(&outbox->window)) && all_throttled(outbox, now);

    if (outbox->stalled) { /* nothing more can be recorded: it is for the operator */
        return outbox->in_flight == 0;
    }
    return outbox->held != NULL ||
           (sent && outbox->done_count == 0 && outbox->ended == 0 && outbox->stranger == NEVER &&
            !repair_pending(outbox) && (first == NULL || first->next_due > now));
}

int64_t source_next_due(const struct outbox *outbox) {
    const struct sub *first = agenda_first(&outbox->agenda);

    return first != NULL ? first->next_due : NEVER;
}

void source_open(struct outbox *outbox) {
    outbox->source =
        (struct source){.turn = turn, .claim = claim, .settle = settle, .drained = drained};
    TAILQ_INIT(&outbox->done);
}
