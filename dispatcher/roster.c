/*
** roster.c: subscriptions and requests as they change in app.db, and what a change means for what
** is pending.
**
**   paused            what waits in memory becomes rows; rows are not scanned until it sends again
**   failing           the same, but now and then one is sent to see whether it recovers
**   pending           the same, but for one event, its probe
**   resumed           its rows are due
**   ended             what is pending is cancelled; then it is forgotten
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "log.h"
#include "memory.h"
#include "repair.h"
#include "sql.h"
#include "state.h"

#define CANCEL_ROWS 500    /* in a commit */
#define SECRETS_EVERY 1000 /* ms between looks at files that hold secrets */
#define PATIENCE 500       /* ms for another program's lock, while none is held */

/* What waits in memory leaves it: first attempts as rows of this state, those that are rows already
** as they are. */
static void withdraw(struct outbox *outbox, struct sub *sub, enum delivery_state state,
                     int64_t next_at, const char *reason, int64_t now) {
    struct pair *pair;

    while ((pair = TAILQ_FIRST(&sub->fresh)) != NULL) {
        TAILQ_REMOVE(&sub->fresh, pair, links);
        pair_mark(outbox, pair, state, next_at, reason, now);
    }
    sub_leave_rows(outbox, sub);
    agenda_set(&outbox->agenda, sub, NEVER);
    sub_announce(sub);
}

static void end(struct outbox *outbox, struct sub *sub, int64_t now) {
    struct pair *pair;

    sub->cancel = outbox->cancelling = true;
    outbox->ended++;
    TAILQ_FOREACH(pair, &sub->busy, links) { /* its row may be written after the others' end */
        pair_revoke(pair, sub->ended, now);
    }
    withdraw(outbox, sub, STATE_CANCELLED, NEVER, sub->ended, now);
}

/* due.c finds out when its first row is really due. */
static void look_at_rows(struct outbox *outbox, struct sub *sub, int64_t now) {
    if (sub->was != SUB_NEW ||
        (sub->recorded_to > 0 && journal_has_open(outbox->journal, sub->n))) {
        agenda_set(&outbox->agenda, sub, now);
        sub_announce(sub);
    }
}

static void change(struct outbox *outbox, struct sub *sub, int64_t now) {
    if (sub->was == SUB_NEW) {
        enum delivery_state last = STATE_DELIVERED;

        failing_load(outbox, sub, now);
        sub->recorded_to = journal_newest(outbox->journal, sub->n, &last);
        if (journal_db(outbox->journal)->rc != SQLITE_OK) {
            return;
        }
        if (last == STATE_RETRYING || last == STATE_DEAD) {
            line_doubt(&sub->line); /* it failed before the restart too */
        }
    }
    if (sub->status != SUB_ENDED) {
        reorder(outbox, sub, now);
    }
    if (sub->status == sub->was && !sub->missed) {
        return;
    }
    if (sub->status == SUB_SENDS && sub->was != SUB_SENDS && sub->was != SUB_NEW) {
        failing_forgive(outbox, sub); /* somebody thinks it is well */
    }
    if (sub->status == SUB_ENDED) {
        end(outbox, sub, now);
        return;
    }
    if (sub->status != SUB_SENDS && sub->was != SUB_NEW) {
        withdraw(outbox, sub, STATE_PENDING, now, sub->kept, now);
    }
    if (sub->status != SUB_KEEPS) {
        look_at_rows(outbox, sub, now);
    }
}

/* The rows of a whole copy are obeyed without a lock on app.db. What is still read there, is by
** itself; whoever is committing will have done so soon. */
static bool load_copy(struct outbox *outbox) {
    struct db *app = reader_db(outbox->reader);

    reader_end(outbox->reader);
    sqlite3_busy_timeout(app->handle, PATIENCE);
    bool loaded = subscriptions_load(&outbox->subs, app, outbox->copy, outbox->journal, 0);

    sqlite3_busy_timeout(app->handle, 0);
    roster_copy_drop(outbox->copy);
    return loaded;
}

static enum roster load(struct outbox *outbox, int64_t revision, int64_t schema) {
    struct db *app = reader_db(outbox->reader);

    if (reader_is_wal(outbox->reader)) {
        return subscriptions_load(&outbox->subs, app, NULL, outbox->journal, outbox->window.read_to)
                   ? ROSTER_LOADED
                   : ROSTER_FAILED;
    }
    if (outbox->copy == NULL) {
        outbox->copy = roster_copy_new(app);
    }
    if (outbox->copy == NULL) {
        return ROSTER_FAILED;
    }
    bool whole = roster_copy_slice(outbox->copy, app, revision, schema, outbox->window.read_to);

    if (app->rc != SQLITE_OK || roster_copy_db(outbox->copy)->rc != SQLITE_OK) {
        roster_copy_drop(outbox->copy);
        return ROSTER_FAILED;
    }
    if (!whole) {
        return ROSTER_LATER;
    }
    return load_copy(outbox) ? ROSTER_LOADED : ROSTER_FAILED;
}

static void forget(struct outbox *outbox, struct sub *sub) {
    agenda_set(&outbox->agenda, sub, NEVER);
    subscription_drop(&outbox->subs, sub);
    outbox->generation++;
}

/* After a load that failed: what it forbids holds already, what it allows does not yet, since what is not in
** app.db may speak against it. Who is new is nobody: the next load begins with him anew. */
static void hold_back(struct outbox *outbox) {
    struct sub *sub, *next;

    for (sub = TAILQ_FIRST(&outbox->subs.list); sub != NULL; sub = next) {
        next = TAILQ_NEXT(sub, links);
        if (sub->was == SUB_NEW && !sub->obeyed) {
            forget(outbox, sub);
        } else if (!sub->obeyed && sub->status < sub->was) {
            sub->status = sub->was;
        }
    }
}

/* Takes in what was loaded. false: what the side file has of one can't be read now; it is loaded again
** then, and who was not taken in changes from what he was. */
static bool obey(struct outbox *outbox, int64_t now) {
    struct db *side = journal_db(outbox->journal);
    struct sub *sub;

    outbox->generation++;
    db_clear(side);
    effect_overlay(outbox);
    if (side->rc != SQLITE_OK) { /* who answered 410 is not taken for what his row still says */
        return false;
    }
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        change(outbox, sub, now);
        if (side->rc != SQLITE_OK) {
            return false;
        }
        sub->obeyed = true;
    }
    held_retry(outbox);
    fault_point("roster.obeyed");
    return true;
}

enum roster roster_load(struct outbox *outbox, int64_t now) {
    struct reader *reader = outbox->reader;
    int64_t revision = reader_revision(reader), schema = reader_schema(reader);

    if (revision < 0 || revision != outbox->loaded_revision || schema != outbox->loaded_schema) {
        bool wal = reader_is_wal(reader);
        enum roster loaded = load(outbox, revision, schema);

        if (loaded == ROSTER_LOADED && !obey(outbox, now)) {
            loaded = ROSTER_FAILED;
        }
        if (loaded == ROSTER_FAILED) {
            hold_back(outbox);
        }
        if (loaded != ROSTER_LOADED) {
            return loaded;
        }
        outbox->loaded_revision = revision;
        outbox->loaded_schema = schema;
        if (!wal) {
            return ROSTER_LATER; /* its snapshot has ended: is it still so in the next one? */
        }
    }
    repair_subscribed(outbox);
    if (!asked_take(outbox, now)) {
        return ROSTER_FAILED;
    }
    outbox->revision = outbox->requests_left ? -1 : revision;
    outbox->schema = schema;
    return ROSTER_LOADED;
}

void roster_gone(struct outbox *outbox, struct sub *sub, const char *reason, int64_t now) {
    if (sub->status == SUB_ENDED) {
        return;
    }
    log_line(LOG_WARN, "subscription ended", "subscription", sub->id, "target", sub->endpoint,
             "reason", reason, NULL);
    sub->was = sub->status = SUB_ENDED;
    sub->ended = "gone: 410 from target";
    notice_subscription(outbox, sub, "resthook.subscription.gone", reason, now);
    effect_put(outbox, sub, "ended", reason, sub->revision);
    end(outbox, sub, now);
    outbox->generation++;
}

void roster_confirmed(struct outbox *outbox, struct sub *sub, const char *challenge, int64_t now) {
    const char *wanted = sub->target->challenge;

    /* Another handshake may have begun since that was sent, and another secret be asked for. */
    if (sub->status == SUB_ENDED || wanted == NULL || strcmp(wanted, challenge) != 0) {
        return;
    }
    log_line(LOG_INFO, "subscription confirmed", "subscription", sub->id, "target", sub->endpoint,
             NULL);
    effect_put(outbox, sub, "confirmed", NULL, sub->probe);
    if (sub->status == SUB_PROBES) {
        sub->was = sub->status;
        sub->status = SUB_SENDS;
        look_at_rows(outbox, sub, now);
    }
}

void roster_failing(struct outbox *outbox, struct sub *sub, const char *reason, int64_t now) {
    log_line(LOG_WARN, "subscription failing: its events are kept", "subscription", sub->id,
             "target", sub->endpoint, "reason", reason, NULL);
    sub->was = sub->status = SUB_FAILING;
    notice_subscription(outbox, sub, "resthook.subscription.failing", reason, now);
    effect_put(outbox, sub, "failing", reason, sub->revision);
    withdraw(outbox, sub, STATE_PENDING, now, NULL, now);
}

void roster_recovered(struct outbox *outbox, struct sub *sub, int64_t now) {
    log_line(LOG_INFO, "subscription recovered", "subscription", sub->id, "target", sub->endpoint,
             NULL);
    sub->was = sub->status = SUB_SENDS;
    notice_subscription(outbox, sub, "resthook.subscription.recovered", NULL, now);
    effect_put(outbox, sub, "active", NULL, sub->revision);
    sub_due(outbox, sub, now);
    sub_announce(sub);
}

void roster_open(struct outbox *outbox) {
    struct db *db = journal_db(outbox->journal);

    subscriptions_open(&outbox->subs, reader_db(outbox->reader), outbox->journal, &outbox->source,
                       outbox->endpoints, &outbox->secrets);
    effect_open(outbox);
    failing_open(outbox);
    notice_open(outbox);
    order_open(outbox);
    reorder_open(outbox);
    asked_open(outbox);
    outbox->next_known = db_prepare(db, sql_delivery_open_next);
    outbox->revision = outbox->loaded_revision = -1;
    held_open(outbox);
}

static bool cancel_some(struct outbox *outbox, int64_t n, const char *reason, int64_t now) {
    journal_begin(outbox->journal, false);
    int cancelled = journal_cancel(outbox->journal, n, reason, now, CANCEL_ROWS);

    fault_point("end.before_commit");
    bool committed = journal_commit(outbox->journal);

    fault_point("end.after_commit");
    if (!committed) {
        record_stall(outbox, now);
    }
    return committed && cancelled < CANCEL_ROWS;
}

/* A dispatcher that stopped between a subscription's end and the last of its rows left some that
** nobody sends: those of subscriptions that were not loaded again. One batch a turn, once a run. */
static void cancel_strangers(struct outbox *outbox, int64_t now) {
    struct db *db = journal_db(outbox->journal);

    for (int budget = 64; budget > 0 && outbox->stranger != NEVER; budget--) {
        int64_t n = NEVER; /* the next that has any */
        bool stranger = false;

        db_clear(db);
        db_int(db, outbox->next_known, 1, outbox->stranger);
        if (db_row(db, outbox->next_known)) {
            n = sqlite3_column_int64(outbox->next_known, 0);
            stranger = subscription_named(&outbox->subs, db_string(outbox->next_known, 1)) == NULL;
            db_reset(outbox->next_known);
        }
        if (db->rc != SQLITE_OK) {
            return; /* that none was read does not say that there is none */
        }
        if (stranger && !cancel_some(outbox, n, "unsubscribed", now)) {
            return;
        }
        outbox->stranger = n;
    }
}

/* A secret's file is no part of the database: nobody tells when it changes. */
static void look_at_secrets(struct outbox *outbox, int64_t now) {
    if (now < outbox->secrets_at && outbox->secrets_at - now <= SECRETS_EVERY) {
        return;
    }
    outbox->secrets_at = now + SECRETS_EVERY;
    if (subscriptions_secrets_changed(&outbox->subs)) {
        outbox->revision = outbox->loaded_revision = -1; /* the roster is loaded anew */
        outbox->unread = outbox->unheard = true;
    }
}

void roster_tidy(struct outbox *outbox, int64_t now) {
    struct sub *sub, *next;
    int budget = 4; /* subscriptions a turn */

    if (outbox->stalled || outbox->revision < 0) {
        return;
    }
    look_at_secrets(outbox, now);
    cancel_strangers(outbox, now);
    if (outbox->ended == 0) {
        return;
    }
    outbox->ended = 0;
    outbox->cancelling = false;
    for (sub = TAILQ_FIRST(&outbox->subs.list); sub != NULL; sub = next) {
        next = TAILQ_NEXT(sub, links);
        if (sub->status != SUB_ENDED) {
            continue;
        }
        if (sub->cancel && !outbox->stalled && budget-- > 0) {
            sub->cancel = !cancel_some(outbox, sub->n, sub->ended, now);
        }
        /* While that was not obeyed, it may have pairs that wait. */
        if (sub->obeyed && !sub->cancel && sub->busy_count == 0 && sub->filtered == 0 &&
            sub->to_id <= outbox->window.read_to) {
            forget(outbox, sub);
        } else {
            outbox->ended++;
            outbox->cancelling = outbox->cancelling || sub->cancel;
        }
    }
}
