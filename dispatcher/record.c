/*
** record.c: what became of pairs, written to the side file in groups: outcomes, how far that brings
** the cursor, and the signs of life.
**
** A commit that fails leaves everything in memory and is tried again: until then nothing new is
** read, and little is sent (outbox->stalled).
** SPDX-License-Identifier: MIT
*/
#include "fault.h"
#include "log.h"
#include "state.h"

#define GROUP 256        /* outcomes in a commit at most … */
#define GROUP_AGE 5      /* … or ms that the oldest of them has waited */
#define RETRY_COMMIT 500 /* ms before a commit that failed is tried again */
#define BEAT_EVERY 1000  /* ms between signs of life in the side file … */
#define IDLE_BEAT 5000 /* … while nothing happens: a hundred idle databases cost nothing to see */

static int64_t next_beat(const struct outbox *outbox) {
    bool idle = !outbox->unsynced && outbox->in_flight == 0 && outbox->done_count == 0;

    return outbox->beat_at + (idle ? IDLE_BEAT : BEAT_EVERY);
}

/* How many subscriptions are left alone for a moment. */
static int64_t count_cut(const struct outbox *outbox) {
    const struct sub *sub;
    int64_t count = 0;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        count += line_is_cut(&sub->line);
    }
    return count;
}

static void write_state(struct outbox *outbox, bool beat, int64_t now) {
    struct journal *journal = outbox->journal;
    int64_t cursor = window_cursor(&outbox->window);
    const struct sub *sub;

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
        journal_set(journal, "wakes_hint", outbox->wakes[WAKE_HINT]);
        journal_set(journal, "wakes_recheck", outbox->wakes[WAKE_RECHECK]);
        journal_set(journal, "wakes_poll", outbox->wakes[WAKE_POLL]);
    }
    if (outbox->filtered != outbox->filtered_written || !SLIST_EMPTY(&outbox->counted)) {
        journal_set(journal, "filtered", outbox->filtered);
        journal_set(journal, "counted_to", later(outbox->window.read_to, outbox->counted_to));
        SLIST_FOREACH(sub, &outbox->counted, counted) {
            journal_filtered(journal, sub->n, sub->filtered);
        }
    }
    if (beat) {
        journal_set(journal, "heartbeat_at", now);
        journal_set(journal, "in_flight", outbox->in_flight);
        journal_set(journal, "circuit_open",
                    endpoints_any_cut(outbox->endpoints) ? count_cut(outbox) : 0);
        journal_set_text(journal, "journal_mode",
                         reader_is_wal(outbox->reader) ? "wal" : "rollback");
        journal_set(journal, "intact_schema", outbox->intact_schema);
        journal_set(journal, "intact_at", outbox->intact_at);
    }
}

static void wrote_state(struct outbox *outbox, bool beat, int64_t now) {
    outbox->cursor = window_cursor(&outbox->window);
    outbox->anchored = outbox->check_id;
    outbox->counts_moved = false;
    outbox->filtered_written = outbox->filtered;
    while (!SLIST_EMPTY(&outbox->counted)) {
        SLIST_FIRST(&outbox->counted)->filtered = 0;
        SLIST_REMOVE_HEAD(&outbox->counted, counted);
    }
    outbox->beat_at = beat ? now : outbox->beat_at;
}

/* Who had something to send while too much was unwritten was sent away (source.c): he is back. */
static void stalled_no_more(struct outbox *outbox) {
    struct sub *sub;

    log_line(LOG_INFO, "outcomes are written again", "database", outbox->path, NULL);
    outbox->stalled = false;
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        sub_announce(sub);
    }
}

void record_stall(struct outbox *outbox, int64_t now) {
    if (!outbox->stalled) {
        log_line(LOG_ERROR, "outcomes can't be written: they are kept and tried again", "database",
                 outbox->path, "error", journal_error(outbox->journal), NULL);
    }
    outbox->stalled = true;
    outbox->commit_at = now + RETRY_COMMIT;
}

/* news: it holds more than a sign of life. */
static bool commit(struct outbox *outbox, int64_t now, bool durable, bool news) {
    if (journal_commit(outbox->journal)) {
        if (outbox->stalled) {
            stalled_no_more(outbox);
        }
        outbox->commit_at = 0;
        durable_committed(outbox, durable, news, now);
        return true;
    }
    record_stall(outbox, now);
    return false;
}

void record_flush(struct outbox *outbox, int64_t now) {
    bool news = outbox->done_count > 0 || outbox->counts_moved ||
                window_cursor(&outbox->window) != outbox->cursor;
    bool durable = durable_by_itself(outbox) && (news || outbox->unsynced) &&
                   now - outbox->synced_at >= outbox->subs.settings.sync_every;
    /* Only a commit that writes something is synced. */
    bool beat = durable || now >= next_beat(outbox);
    struct pair *pair;

    journal_begin(outbox->journal, durable);
    TAILQ_FOREACH(pair, &outbox->done, done) {
        journal_put(outbox->journal, &pair->outcome);
        fault_point("settle.row");
        failing_write(outbox, pair->sub);
    }
    order_release(outbox, now);
    effect_keep(outbox);
    notice_write(outbox);
    write_state(outbox, beat, now);
    fault_point("settle.before_commit");
    if (!commit(outbox, now, durable, news)) {
        return;
    }
    fault_point("settle.after_commit");
    wrote_state(outbox, beat, now);
    effect_kept(outbox);
    notice_written(outbox);
    while ((pair = TAILQ_FIRST(&outbox->done)) != NULL) {
        struct sub *sub = pair->sub;
        /* Of a failing one another is the next probe, if this one is not sent again. */
        int64_t due = sub->status == SUB_FAILING ? sub->probe_at : pair->outcome.next_at;

        if (due < agenda_due(sub) &&
            (sub->status == SUB_FAILING || subscription_sends(sub, pair->event->id))) {
            agenda_set(&outbox->agenda, sub, due);
        }
        sub->failing_written = sub->failing_since;
        order_released(outbox, sub, now);
        TAILQ_REMOVE(&outbox->done, pair, done);
        TAILQ_REMOVE(&sub->busy, pair, links);
        sub->busy_count--;
        pair_free(&outbox->window, pair);
    }
    outbox->done_count = 0;
}

/* Is it in the way? What can be sent is not, but of those who may not answer and have their turns one by
** one no more than `room` stays. Where targets are new and answer, as after a start, all is sent soon:
** rows for that would be for nothing (of 60,000 deliveries to 3,000 of them 40,000). */
static bool is_in_the_way(const struct pair *pair, int room, int64_t now) {
    const struct line *line = &pair->sub->line;

    return pair->place == PAIR_BUSY || !line_has_room(line, now) ||
           (line_is_dubious(line) && room <= 0);
}

/* What are rows already needs no commit to leave the memory. It keeps its line's turn. */
static void call_rows(struct outbox *outbox, int64_t now) {
    struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sub->again_count > 0 &&
            (line_is_dubious(&sub->line) || !line_has_room(&sub->line, now))) {
            sub_leave_rows(outbox, sub);
            sub_call(outbox, sub, true);
            sub_announce(sub);
        }
    }
}

void record_spill(struct outbox *outbox, int64_t now) {
    struct event *event;
    struct pair *pair, *next;
    int spilled = 0, room = PAIRS_ENOUGH;

    journal_begin(outbox->journal, false);
    TAILQ_FOREACH(event, &outbox->window.events, links) {
        TAILQ_FOREACH(pair, &event->pairs, siblings) {
            bool may_be = !pair->recorded && pair->place != PAIR_DONE;

            pair->spilling = may_be && is_in_the_way(pair, room, now);
            room -= may_be && !pair->spilling && line_is_dubious(&pair->sub->line);
            if (pair->spilling) {
                struct delivery row = pair_row(pair, STATE_PENDING, now, NULL, now);

                journal_put(outbox->journal, &row);
                spilled++;
            }
        }
    }
    fault_point("spill.before_commit");
    if (!commit(outbox, now, false, true)) {
        return;
    }
    fault_point("spill.after_commit");
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
    if (window_full(&outbox->window)) {
        call_rows(outbox, now);
    }
    log_line(LOG_DEBUG, "made way", "database", outbox->path, "rows#", (long long)spilled, NULL);
}

bool record_fetched(struct outbox *outbox, int64_t now) {
    bool newest = outbox->ahead_to > outbox->check_id;

    journal_begin(outbox->journal, false);
    for (int i = 0; i < outbox->fetched_count; i++) {
        const struct fetched *fetched = &outbox->fetched[i];

        journal_fetch(outbox->journal, fetched->sub->n, fetched->event, fetched->name->n,
                      fetched->created_at, now);
    }
    /* A file that is restored from before it gives these ids out again, to other events. */
    if (newest) {
        journal_anchor(outbox->journal, outbox->ahead_to, outbox->ahead_created);
    }
    fault_point("fetch.before_commit");
    if (!commit(outbox, now, false, true)) {
        return false;
    }
    fault_point("fetch.after_commit");
    if (newest) {
        outbox->check_id = outbox->anchored = outbox->ahead_to;
        outbox->check_created = outbox->ahead_created;
    }
    log_line(LOG_DEBUG, "fetched", "database", outbox->path, "rows#",
             (long long)outbox->fetched_count, NULL);
    return true;
}

/* A commit for its own sake: a sign of life, or the sync. */
static int64_t next_of_itself(const struct outbox *outbox, int64_t now) {
    int64_t beat = next_beat(outbox);

    return durable_by_itself(outbox) ? sooner(beat, durable_due(outbox, now)) : beat;
}

void record_turn(struct outbox *outbox, int64_t now, bool idle) {
    /* Where each commit is a sync it waits for what is under way, though that may hang. */
    bool whole = idle && (outbox->in_flight == 0 || outbox->subs.settings.sync_every > 0);
    bool group_is_due = outbox->done_count > 0 &&
                        (now - outbox->done_since >= GROUP_AGE || whole || outbox->order_waits);
    bool due =
        outbox->done_count >= GROUP || outbox->stalled ||
        (!durable_holds(outbox, now) && (group_is_due || now >= next_of_itself(outbox, now)));

    if (now >= outbox->commit_at && due) {
        record_flush(outbox, now);
    }
}

int64_t record_due(const struct outbox *outbox, int64_t now) {
    int64_t due = next_of_itself(outbox, now);

    if (outbox->stalled) {
        return outbox->commit_at;
    }
    if (durable_holds(outbox, now)) { /* or until the syncer says */
        return durable_due(outbox, now);
    }
    if (outbox->done_count > 0) {
        due = sooner(due, outbox->done_since + (outbox->order_waits ? 0 : GROUP_AGE));
    }
    return sooner(due, durable_due(outbox, now));
}
