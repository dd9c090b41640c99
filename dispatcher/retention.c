/*
** retention.c: see retention.h.
**
** Everything here is a small step that may be put off. A step in app.db waits until nobody has
** written there for a while (or, where somebody always does, takes one slot of about a millisecond
** every ten seconds), tries its lock once and gives way. Whether a row of the outbox may go is
** decided inside the transaction that deletes it: it is at or below the cursor, old enough, and no
** unfinished delivery, request or anchor names it.
** SPDX-License-Identifier: MIT
*/
#include "retention.h"

#include <stdlib.h>

#include "log.h"
#include "memory.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"

#define QUIET 200          /* ms without a commit of others before app.db is written */
#define SLOT 10000         /* ms between two steps where it is never quiet */
#define EVERY 1000         /* ms between two looks for work … */
#define SOON 50            /* … and between the steps of a round */
#define SWEEP_EVERY 60000  /* ms between two rounds over everything */
#define BATCH_ROWS 500     /* rows a transaction, and … */
#define BATCH_BYTES 200000 /* … bytes: 1,000 rows of 200 bytes take 1.8 ms, of 20 kB 85 ms */
#define STEP_US 1000       /* of deleting: a captured row's size is not known before */
#define SIDE_ROWS 2000

struct retention {
    struct db app; /* a connection of its own, opened when first wanted */
    char *path;
    bool open;
    int64_t disturbed_at, next_at, last_step_at;
    int64_t swept_to; /* of the outbox, in this round */
    int64_t next_sweep;
    bool swept;      /* the last round came to its end */
    bool side_swept; /* this one's part in the side file did */
    bool own;        /* the newest commit in app.db is ours */
    bool wrote;      /* this turn */

    int64_t side_sub, side_event;
    sqlite3_stmt *old, *remove, *requested, *requests_taken, *effect, *requests_done;
    sqlite3_stmt *unused, *watches;
    sqlite3_stmt *needed, *anchor, *effects, *effect_done, *next_sub, *forget, *forget_next,
        *forget_attempts, *expire, *open_count, *expire_first;
};

struct retention *retention_new(const char *path, int64_t now) {
    struct retention *retention = xcalloc(1, sizeof *retention);

    retention->path = xstrdup(path);
    retention->next_at = now + EVERY;
    retention->last_step_at = now;
    retention->next_sweep = now + EVERY;
    return retention;
}

void retention_free(struct retention *retention) {
    if (retention->open) {
        db_close(&retention->app);
    }
    free(retention->path);
    free(retention);
}

bool retention_is_done(const struct retention *retention) {
    return retention->swept;
}

void retention_noticed(struct retention *retention, int64_t now) {
    if (!retention->own) {
        retention->disturbed_at = now;
    }
    retention->own = false;
}

static bool prepare(struct retention *r, struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);
    struct db *app = &r->app;

    if (r->open) {
        return true;
    }
    db_open(app, r->path, true, 0);
    db_exec(app, "PRAGMA synchronous=NORMAL"); /* in WAL; with a rollback journal see begin() */
    r->old = db_prepare(app, sql_app_old_events);
    r->remove = db_prepare(app, sql_app_event_delete);
    r->requested = db_prepare(app, sql_app_request_names);
    r->effect = db_prepare(app, sql_app_effect);
    r->requests_done = db_prepare(app, sql_app_requests_done);
    r->requests_taken = db_prepare(app, sql_app_requests_taken);
    r->unused = db_prepare(app, sql_app_watch_unused);
    r->watches = db_prepare(app, sql_app_watch_delete);
    r->needed = db_prepare(side, sql_needed_next);
    r->anchor = db_prepare(side, sql_anchor_next);
    r->effects = db_prepare(side, sql_effect_list);
    r->effect_done = db_prepare(side, sql_effect_done);
    r->next_sub = db_prepare(side, "SELECT min(n) FROM subscription WHERE n > ?1");
    r->forget = db_prepare(side, sql_delivery_forget);
    r->forget_next = db_prepare(side, sql_delivery_forget_next);
    r->forget_attempts = db_prepare(side, sql_attempt_forget);
    r->expire = db_prepare(side, sql_delivery_expire);
    r->open_count = db_prepare(side, sql_delivery_open_count);
    r->expire_first = db_prepare(side, sql_delivery_expire_first);
    if (!reader_is_wal(outbox->reader)) {
        db_exec(app, "PRAGMA synchronous=FULL"); /* NORMAL is safe against corruption in WAL only */
    }
    if (app->rc != SQLITE_OK || side->rc != SQLITE_OK) {
        db_close(app);
        db_clear(side);
        return false;
    }
    r->open = true;
    return true;
}

static bool begin(struct retention *r) {
    db_clear(&r->app);
    return db_exec(&r->app, "BEGIN IMMEDIATE");
}

static bool finish(struct retention *r) {
    if (db_exec(&r->app, "COMMIT")) {
        r->own = true;
        r->wrote = true;
        return true;
    }
    db_clear(&r->app);
    if (!sqlite3_get_autocommit(r->app.handle)) {
        db_exec(&r->app, "ROLLBACK");
    }
    db_clear(&r->app);
    return false;
}

/* ---- app.db ---- */

/* The dispatcher's own changes of subscriptions. An effect goes when it is written, or when the row
** changed since: then somebody has decided otherwise. */
static void write_effects(struct retention *r, struct outbox *outbox, int64_t now) {
    struct db *side = journal_db(outbox->journal);
    char *done[100];
    int count = 0;

    db_clear(side);
    outbox->effects_wait = db_row(side, r->effects);
    db_reset(r->effects);
    if (!outbox->effects_wait || !begin(r)) {
        return;
    }
    while (db_row(side, r->effects)) {
        char *id = db_copy(r->effects, 0);

        db_text(&r->app, r->effect, 1, id);
        db_text(&r->app, r->effect, 2, (const char *)sqlite3_column_text(r->effects, 1));
        db_text(&r->app, r->effect, 3, (const char *)sqlite3_column_text(r->effects, 2));
        db_int(&r->app, r->effect, 4, sqlite3_column_int64(r->effects, 3)); /* revision */
        db_int(&r->app, r->effect, 5, sqlite3_column_int64(r->effects, 4)); /* updated_at */
        db_int(&r->app, r->effect, 6, now);
        db_run(&r->app, r->effect);
        done[count++] = id;
    }
    bool written = finish(r);

    journal_begin(outbox->journal, true);
    for (int i = 0; i < count; i++) {
        if (written) {
            db_text(side, r->effect_done, 1, done[i]);
            db_run(side, r->effect_done);
        }
        free(done[i]);
    }
    journal_commit(outbox->journal);
}

static int64_t next_of(struct db *side, sqlite3_stmt *statement, int64_t from) {
    db_int(side, statement, 1, from);
    return db_value(side, statement, NEVER);
}

/* What app.db is about to lose must not be wanted again after a power loss. */
static bool sync_side(struct outbox *outbox, int64_t now) {
    journal_begin(outbox->journal, true);
    journal_set(outbox->journal, "heartbeat_at", now);
    return journal_commit(outbox->journal);
}

/* Old events above swept_to that no delivery and no anchor names; reads only. Sets *more when there
** may be others behind them. */
static int find_old(struct retention *r, struct outbox *outbox, int64_t now, int64_t *ids,
                    bool *more) {
    struct db *side = journal_db(outbox->journal);
    int64_t oldest = now - outbox->subs.settings.keep_events;
    int64_t bytes = 0, needed, anchor;
    int seen = 0, count = 0;

    db_clear(&r->app);
    db_clear(side);
    needed = next_of(side, r->needed, r->swept_to + 1);
    anchor = next_of(side, r->anchor, r->swept_to + 1);
    db_int(&r->app, r->old, 1, r->swept_to);
    db_int(&r->app, r->old, 2, outbox->cursor); /* as committed */
    db_int(&r->app, r->old, 3, BATCH_ROWS);
    while (bytes < BATCH_BYTES && db_row(&r->app, r->old)) {
        int64_t id = sqlite3_column_int64(r->old, 0);

        int64_t created_at = sqlite3_column_int64(r->old, 1);

        if (created_at > oldest && created_at <= now) {
            break; /* in order of time as of id: the rest is younger */
        }
        seen++;
        if (created_at > now) {
            r->swept_to = id; /* of a clock that was wrong: it says nothing of the others */
            continue;
        }
        if (needed < id) {
            needed = next_of(side, r->needed, id);
        }
        if (anchor < id) {
            anchor = next_of(side, r->anchor, id);
        }
        r->swept_to = id;
        if (needed != id && anchor != id) {
            ids[count++] = id;
            bytes += sqlite3_column_int64(r->old, 2);
        }
    }
    db_reset(r->old);
    *more = bytes >= BATCH_BYTES || seen == BATCH_ROWS;
    return count;
}

/* Deletes a batch of old events. Only this process makes a delivery or an anchor name one; a
** request somebody else may file, so those are looked at inside the transaction. Returns whether
** there may be more. */
static bool delete_events(struct retention *r, struct outbox *outbox, int64_t now) {
    struct db *app = &r->app;
    int64_t ids[BATCH_ROWS], before = r->swept_to;
    bool more;
    int count = find_old(r, outbox, now, ids, &more);

    if (count == 0) {
        return more;
    }
    if (!sync_side(outbox, now) || !begin(r)) {
        r->swept_to = before;
        return true;
    }
    db_int(app, r->requests_taken, 1, outbox->request_cursor);
    db_int(app, r->requests_taken, 2, outbox->request_filed);
    int64_t taken = db_value(app, r->requests_taken, 0);

    int64_t began = stopwatch_us();

    for (int i = 0; i < count; i++) {
        if (i > 0 && stopwatch_us() - began > STEP_US) {
            r->swept_to = ids[i] - 1; /* what is left comes with the next step */
            more = true;
            break;
        }
        db_int(app, r->requested, 1, ids[i]);
        db_int(app, r->requested, 2, taken);
        if (db_value(app, r->requested, 0) == 0) {
            db_int(app, r->remove, 1, ids[i]);
            db_run(app, r->remove);
        }
    }
    if (finish(r)) {
        log_line(LOG_DEBUG, "old events deleted", "database", outbox->path, "events#",
                 (long long)count, NULL);
    }
    return more;
}

static void delete_requests(struct retention *r, struct outbox *outbox, int64_t now) {
    if (sync_side(outbox, now) && begin(r)) {
        db_int(&r->app, r->requests_done, 1, outbox->request_cursor);
        db_run(&r->app, r->requests_done);
        if (finish(r)) {
            outbox->requests_deleted = outbox->request_cursor;
        }
    }
}

/* Versions of watches that no row carries: after a round over the outbox. */
static void delete_watches(struct retention *r) {
    if (db_value(&r->app, r->unused, 0) != 0 && begin(r)) {
        db_run(&r->app, r->watches);
        finish(r);
    }
}

/* ---- the side file ---- */

/*
** What is kept for a subscription ends when it is too old, and, while it doesn't send, when it is
** too much: the oldest first. Of one that sends, rows that are due may be at work: they are left
** alone here (their age is looked at when they are claimed). Returns whether there is more.
*/
static bool expire(struct retention *r, struct outbox *outbox, int64_t now) {
    const struct settings *settings = &outbox->subs.settings;
    struct db *side = journal_db(outbox->journal);
    const struct sub *sub = subscription_numbered(&outbox->subs, r->side_sub);
    bool sends = sub != NULL && sub->status == SUB_SENDS;
    int64_t over;
    bool more;

    db_int(side, r->expire, 1, r->side_sub);
    db_int(side, r->expire, 2, now - settings->keep_pending);
    db_int(side, r->expire, 3, now);
    db_int(side, r->expire, 4, SIDE_ROWS);
    db_int(side, r->expire, 5, sends ? now + 1 : 0);
    more = db_run(side, r->expire) && sqlite3_changes(side->handle) == SIDE_ROWS;
    if (sub == NULL || sub->status != SUB_KEEPS || sub->busy_count > 0) {
        return more;
    }
    db_int(side, r->open_count, 1, r->side_sub);
    over = db_value(side, r->open_count, 0) - settings->keep_pending_rows;
    if (over > 0) {
        db_int(side, r->expire_first, 1, r->side_sub);
        db_int(side, r->expire_first, 2, now);
        db_int(side, r->expire_first, 3, over < SIDE_ROWS ? over : SIDE_ROWS);
        db_run(side, r->expire_first);
    }
    return more || over > SIDE_ROWS;
}

/* One subscription's share: what was kept too long ends, what ended long ago goes. Returns whether
** to go on. */
static bool sweep_side(struct retention *r, struct outbox *outbox, int64_t now) {
    const struct settings *settings = &outbox->subs.settings;
    struct db *side = journal_db(outbox->journal);
    int64_t next;

    if (r->side_sub == 0) {
        r->side_sub = next_of(side, r->next_sub, 0);
        r->side_event = -1;
        if (r->side_sub == NEVER) {
            r->side_sub = 0;
            return false;
        }
    }
    journal_begin(outbox->journal, false);
    if (r->side_event < 0) {
        if (expire(r, outbox, now)) {
            journal_commit(outbox->journal);
            return true;
        }
        r->side_event = 0;
        db_int(side, r->forget_attempts, 1, r->side_sub);
        db_int(side, r->forget_attempts, 2, now - settings->keep_attempts);
        db_int(side, r->forget_attempts, 3, SIDE_ROWS);
        db_run(side, r->forget_attempts);
    }
    db_int(side, r->forget_next, 1, r->side_sub);
    db_int(side, r->forget_next, 2, r->side_event);
    db_int(side, r->forget_next, 3, SIDE_ROWS);
    next = db_value(side, r->forget_next, NEVER);
    db_int(side, r->forget, 1, r->side_sub);
    db_int(side, r->forget, 2, now - settings->keep_deliveries);
    db_int(side, r->forget, 3, now - settings->keep_dead);
    db_int(side, r->forget, 4, SIDE_ROWS);
    db_int(side, r->forget, 5, r->side_event);
    db_int(side, r->forget, 6, outbox->cursor); /* above it a row says what was sent already */
    db_run(side, r->forget);
    if (!journal_commit(outbox->journal)) {
        return false;
    }
    r->side_event = next;
    if (next == NEVER) {
        r->side_event = -1;
        r->side_sub = next_of(side, r->next_sub, r->side_sub);
        if (r->side_sub == NEVER) {
            r->side_sub = 0;
            return false;
        }
    }
    return true;
}

void retention_turn(struct retention *r, struct outbox *outbox, int64_t now) {
    bool quiet = now - r->disturbed_at >= QUIET || now - r->last_step_at >= SLOT;
    bool more = false;

    if (now < r->next_at || outbox->stalled || outbox->revision < 0 || !prepare(r, outbox)) {
        return;
    }
    r->next_at = now + EVERY;
    r->wrote = false;
    if (quiet) {
        if (outbox->effects_wait) {
            write_effects(r, outbox, now);
        }
        if (!r->wrote && outbox->request_cursor > outbox->requests_deleted) {
            delete_requests(r, outbox, now);
        }
        if (now >= r->next_sweep) {
            more = r->wrote || delete_events(r, outbox, now);
        }
    } else if (now >= r->next_sweep) {
        more = true; /* the round is not over before it had its turn */
    }
    if (r->wrote) {
        r->last_step_at = now;
    }
    if (now < r->next_sweep) {
        return;
    }
    r->swept = false;
    r->side_swept = r->side_swept || !sweep_side(r, outbox, now);
    if (more || !r->side_swept) {
        r->next_at = now + (r->side_swept && !quiet ? EVERY : SOON);
        return;
    }
    r->next_sweep = now + SWEEP_EVERY;
    r->swept_to = 0;
    r->swept = true;
    r->side_swept = false;
    if (quiet) {
        delete_watches(r);
    }
}
