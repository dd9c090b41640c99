/*
** sweep_app.c: see sweep.h: what app.db no longer needs.
**
** Whether a row of the outbox may go is decided inside the transaction that deletes it: it is at or
** below the cursor, old enough, and no unfinished delivery, request or anchor names it.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>

#include "fault.h"
#include "log.h"
#include "memory.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"
#include "sweep.h"
#include "writer.h"

#define BATCH_ROWS 500     /* rows a transaction, and … */
#define BATCH_BYTES 200000 /* … bytes: 1,000 rows of 200 bytes take 1.8 ms, of 20 kB 85 ms */
#define STEP_US 1000       /* of deleting: a captured row's size is not known before */

struct app_sweep {
    struct outbox *outbox;
    int64_t swept_to; /* of the outbox, in this round */
    sqlite3_stmt *old, *remove, *request_any, *requested, *requests_taken, *requests_done, *unused,
        *watches, *backfills, *extra_any, *extra_delete, *extra_strip, *extra_over,
        *extra_delete_over;
    sqlite3_stmt *needed, *anchor; /* of the side file */
};

struct app_sweep *app_sweep_new(struct outbox *outbox) {
    struct app_sweep *sweep = xcalloc(1, sizeof *sweep);
    struct db *side = journal_db(outbox->journal);

    sweep->outbox = outbox;
    sweep->needed = db_prepare(side, sql_needed_next);
    sweep->anchor = db_prepare(side, sql_anchor_next);
    return sweep;
}

void app_sweep_free(struct app_sweep *sweep) {
    free(sweep);
}

void app_sweep_prepare(struct app_sweep *sweep) {
    struct db *app = writer_db(sweep->outbox->writer);

    sweep->old = db_prepare(app, sql_app_old_events);
    sweep->remove = db_prepare(app, sql_app_event_delete);
    sweep->request_any = db_prepare(app, sql_app_request_any);
    sweep->requested = db_prepare(app, sql_app_request_names);
    sweep->requests_taken = db_prepare(app, sql_app_requests_taken);
    sweep->requests_done = db_prepare(app, sql_app_requests_done);
    sweep->unused = db_prepare(app, sql_app_watch_unused);
    sweep->watches = db_prepare(app, sql_app_watch_delete);
    sweep->backfills = db_prepare(app, sql_app_backfill_delete);
    sweep->extra_any = db_prepare(app, sql_app_extra_any);
    sweep->extra_delete = db_prepare(app, sql_app_extra_delete);
    sweep->extra_strip = db_prepare(app, sql_app_extra_strip);
    sweep->extra_over = db_prepare(app, sql_app_extra_over);
    sweep->extra_delete_over = db_prepare(app, sql_app_extra_delete_over);
}

static int64_t next_of(struct db *side, sqlite3_stmt *statement, int64_t from) {
    db_int(side, statement, 1, from);
    return db_value(side, statement, NEVER);
}

/* What app.db is about to lose must not be wanted again after a power loss. */
static bool sync_side(const struct outbox *outbox, int64_t now) {
    journal_begin(outbox->journal, true);
    journal_set(outbox->journal, "heartbeat_at", now);
    return journal_commit(outbox->journal);
}

/* Old events above swept_to that no delivery and no anchor names; reads only. Sets *more when there
** may be others behind them. */
static int find_old(struct app_sweep *sweep, int64_t now, int64_t *ids, bool *more) {
    const struct outbox *outbox = sweep->outbox;
    struct db *app = writer_db(outbox->writer), *side = journal_db(outbox->journal);
    int64_t oldest = now - outbox->subs.settings.keep_events;
    int64_t bytes = 0, needed, anchor;
    int seen = 0, count = 0;

    db_clear(app);
    db_clear(side);
    needed = next_of(side, sweep->needed, sweep->swept_to + 1);
    anchor = next_of(side, sweep->anchor, sweep->swept_to + 1);
    db_int(app, sweep->old, 1, sweep->swept_to);
    db_int(app, sweep->old, 2, outbox->cursor); /* as committed */
    db_int(app, sweep->old, 3, BATCH_ROWS);
    while (bytes < BATCH_BYTES && db_row(app, sweep->old)) {
        int64_t id = sqlite3_column_int64(sweep->old, 0);

        int64_t created_at = sqlite3_column_int64(sweep->old, 1);

        if (created_at > oldest && created_at <= now) {
            break; /* in order of time as of id: the rest is younger */
        }
        seen++;
        if (created_at > now) {
            sweep->swept_to = id; /* of a clock that was wrong: it says nothing of the others */
            continue;
        }
        if (needed < id) {
            needed = next_of(side, sweep->needed, id);
        }
        if (anchor < id) {
            anchor = next_of(side, sweep->anchor, id);
        }
        sweep->swept_to = id;
        if (needed != id && anchor != id) {
            ids[count++] = id;
            bytes += sqlite3_column_int64(sweep->old, 2);
        }
    }
    db_reset(sweep->old);
    *more = bytes >= BATCH_BYTES || seen == BATCH_ROWS;
    return count;
}

/* An idempotency key of this time or older names nothing any more. */
static int64_t key_until(const struct app_sweep *sweep, int64_t now) {
    return now - sweep->outbox->subs.settings.idempotency_window;
}

static void delete_event(struct app_sweep *sweep, int64_t id, bool extras, int64_t now) {
    struct db *app = writer_db(sweep->outbox->writer);

    db_int(app, sweep->remove, 1, id);
    db_run(app, sweep->remove);
    fault_point("retention.event");
    if (extras) {
        db_int(app, sweep->extra_delete, 1, id);
        db_int(app, sweep->extra_delete, 2, key_until(sweep, now));
        db_run(app, sweep->extra_delete);
        db_int(app, sweep->extra_strip, 1, id);
        db_run(app, sweep->extra_strip);
    }
}

static void delete_keys(struct app_sweep *sweep, int64_t now) {
    struct db *app = writer_db(sweep->outbox->writer);

    db_int(app, sweep->extra_delete_over, 1, key_until(sweep, now));
    db_run(app, sweep->extra_delete_over);
}

/* Does a request above `taken` name the event? */
static bool is_requested(struct app_sweep *sweep, int64_t id, int64_t taken) {
    struct db *app = writer_db(sweep->outbox->writer);

    db_int(app, sweep->requested, 1, id);
    db_int(app, sweep->requested, 2, taken);
    return db_value(app, sweep->requested, 0) != 0;
}

/* Only this process makes a delivery or an anchor name an event; a request somebody else may file,
** so those are looked at inside the transaction. */
bool app_sweep_events(struct app_sweep *sweep, bool may, int64_t now) {
    const struct outbox *outbox = sweep->outbox;
    struct db *app = writer_db(outbox->writer);
    int64_t ids[BATCH_ROWS], before = sweep->swept_to;
    bool more;
    int count = find_old(sweep, now, ids, &more);

    if (app->rc != SQLITE_OK || journal_db(outbox->journal)->rc != SQLITE_OK) {
        sweep->swept_to = before; /* what was not read says nothing */
        return true;
    }
    if (count == 0) {
        return more;
    }
    if (!may || !sync_side(outbox, now) ||
        !writer_begin(outbox->writer, reader_is_wal(outbox->reader))) {
        sweep->swept_to = before;
        return true;
    }
    fault_point("retention.locked");
    db_int(app, sweep->requests_taken, 1, outbox->request_cursor);
    db_int(app, sweep->requests_taken, 2, outbox->request_filed);
    int64_t taken = db_value(app, sweep->requests_taken, 0);
    bool extras = db_value(app, sweep->extra_any, 0) != 0;
    db_int(app, sweep->request_any, 1, taken);
    bool requests = db_value(app, sweep->request_any, 0) != 0;

    int64_t began = stopwatch_us();

    for (int i = 0; i < count; i++) {
        if (i > 0 && stopwatch_us() - began > STEP_US) {
            sweep->swept_to = ids[i] - 1; /* what is left comes with the next step */
            more = true;
            count = i;
            break;
        }
        if (!requests || !is_requested(sweep, ids[i], taken)) {
            delete_event(sweep, ids[i], extras, now);
        }
    }
    if (extras) {
        delete_keys(sweep, now);
    }
    fault_point("retention.before_commit");
    if (writer_end(outbox->writer)) {
        fault_point("retention.after_commit");
        log_line(LOG_DEBUG, "old events deleted", "database", outbox->path, "events#",
                 (long long)count, NULL);
    }
    return more;
}

void app_sweep_requests(struct app_sweep *sweep, int64_t now) {
    struct outbox *outbox = sweep->outbox;
    struct db *app = writer_db(outbox->writer);

    if (sync_side(outbox, now) && writer_begin(outbox->writer, reader_is_wal(outbox->reader))) {
        db_int(app, sweep->requests_done, 1, outbox->request_cursor);
        db_run(app, sweep->requests_done);
        fault_point("retention.before_requests_commit");
        if (writer_end(outbox->writer)) {
            fault_point("retention.after_requests_commit");
            outbox->requests_deleted = outbox->request_cursor;
        }
    }
}

void app_sweep_keys(struct app_sweep *sweep, int64_t now) {
    const struct outbox *outbox = sweep->outbox;
    struct db *app = writer_db(outbox->writer);

    db_int(app, sweep->extra_over, 1, key_until(sweep, now));
    if (db_value(app, sweep->extra_over, 0) != 0 &&
        writer_begin(outbox->writer, reader_is_wal(outbox->reader))) {
        delete_keys(sweep, now);
        fault_point("retention.before_keys_commit");
        writer_end(outbox->writer);
        fault_point("retention.after_keys_commit");
    }
}

void app_sweep_watches(struct app_sweep *sweep) {
    const struct outbox *outbox = sweep->outbox;
    struct db *app = writer_db(outbox->writer);

    if (db_value(app, sweep->unused, 0) != 0 &&
        writer_begin(outbox->writer, reader_is_wal(outbox->reader))) {
        db_run(app, sweep->watches);
        db_run(app, sweep->backfills);
        fault_point("retention.before_watches_commit");
        writer_end(outbox->writer);
        fault_point("retention.after_watches_commit");
    }
}

void app_sweep_restart(struct app_sweep *sweep) {
    sweep->swept_to = 0;
}
