/*
** journal.c: see journal.h: transactions, and what is written and read in them. The file itself is
** opened in journal_file.c.
** SPDX-License-Identifier: MIT
*/
#include <stdio.h>

#include "journal_state.h"
#include "source.h"
#include "sql.h"

#define COUNT_MOST 1000000000 /* attempts */

/* Pages of the WAL from which on it is copied into the file: by a commit that is synced, when
** nothing of the WAL is left to be synced, and by any when there are so many. SQLite's own rule (any
** commit, from 1,000 on) makes two further syncs each time, several times a second during a drain,
** and whoever syncs another file of that disk, as the application does, waits for each. Where the
** syncer copies it (is_long), it is done here only if that did not keep up. */
#define CHECKPOINT 1000
#define CHECKPOINT_ANYWAY 4000 /* 16 MiB */
#define CHECKPOINT_LEFT 16000  /* where somebody else copies it, who did not keep up */

/* Called by SQLite after each commit. */
static int committed(void *data, sqlite3 *handle, const char *schema, int frames) {
    struct journal *journal = data;

    (void)handle;
    (void)schema;
    journal->is_long = frames >= CHECKPOINT;
    if (frames >= (journal->left   ? CHECKPOINT_LEFT
                   : journal->full ? CHECKPOINT
                                   : CHECKPOINT_ANYWAY)) {
        journal->long_enough = true;
    }
    return SQLITE_OK;
}

void journal_tidy(struct journal *journal) {
    if (journal->long_enough) {
        journal->long_enough = false;
        sqlite3_wal_checkpoint_v2(journal->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
}

void journal_leave_copying(struct journal *journal, bool left) {
    journal->left = left;
}

void journal_copy(struct journal *journal) {
    journal->long_enough = true;
}

bool journal_is_long(const struct journal *journal) {
    return journal->is_long;
}

void journal_prepare(struct journal *journal) {
    struct db *db = &journal->db;

    if (db->handle != NULL) { /* there was memory for it */
        sqlite3_wal_hook(db->handle, committed, journal);
    }
    journal->begin = db_prepare(db, "BEGIN IMMEDIATE");
    journal->commit = db_prepare(db, "COMMIT");
    journal->rollback = db_prepare(db, "ROLLBACK");
    journal->meta_get = db_prepare(db, sql_meta_get);
    journal->meta_set = db_prepare(db, sql_meta_set);
    journal->known = db_prepare(db, sql_subscription_known);
    journal->subscription = db_prepare(db, sql_subscription_number);
    journal->event_name = db_prepare(db, sql_event_name_number);
    journal->put = db_prepare(db, sql_delivery_put);
    journal->mark = db_prepare(db, sql_delivery_mark);
    journal->keep = db_prepare(db, sql_attempt_keep);
    journal->recorded = db_prepare(db, sql_delivery_recorded);
    journal->due = db_prepare(db, sql_delivery_due);
    journal->fetch = db_prepare(db, sql_delivery_fetch);
    journal->due_probe = db_prepare(db, sql_delivery_due_probe);
    journal->open_of = db_prepare(db, sql_delivery_open_of);
    journal->open_any = db_prepare(db, sql_delivery_open_any);
    journal->newest = db_prepare(db, sql_delivery_newest);
    journal->replay = db_prepare(db, sql_delivery_replay);
    journal->cancel = db_prepare(db, sql_delivery_cancel);
    journal->anchor_add = db_prepare(db, sql_anchor_add);
    journal->anchor_trim = db_prepare(db, sql_anchor_trim);
    journal->filtered = db_prepare(db, sql_subscription_filtered);
}

struct db *journal_db(struct journal *journal) {
    return &journal->db;
}

bool journal_is_new(const struct journal *journal) {
    return journal->is_new;
}

bool journal_begin(struct journal *journal, bool durable) {
    struct db *db = &journal->db;

    db_clear(db);
    if (durable != journal->full &&
        db_exec(db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")) {
        journal->full = durable;
    }
    return db_run(db, journal->begin);
}

bool journal_commit(struct journal *journal) {
    struct db *db = &journal->db;

    if (db_run(db, journal->commit)) {
        return true;
    }
    snprintf(journal->error, sizeof journal->error, "%s", db->error);
    db_clear(db);
    if (!sqlite3_get_autocommit(db->handle)) {
        db_run(db, journal->rollback);
    }
    db_clear(db);
    return false;
}

const char *journal_error(const struct journal *journal) {
    return journal->db.rc != SQLITE_OK ? journal->db.error : journal->error;
}

void journal_set(struct journal *journal, const char *name, int64_t value) {
    db_text(&journal->db, journal->meta_set, 1, name);
    db_int(&journal->db, journal->meta_set, 2, value);
    db_run(&journal->db, journal->meta_set);
}

void journal_set_text(struct journal *journal, const char *name, const char *value) {
    db_text(&journal->db, journal->meta_set, 1, name);
    db_text(&journal->db, journal->meta_set, 2, value);
    db_run(&journal->db, journal->meta_set);
}

int64_t journal_get(struct journal *journal, const char *name, int64_t otherwise) {
    db_text(&journal->db, journal->meta_get, 1, name);
    return db_value(&journal->db, journal->meta_get, otherwise);
}

char *journal_get_text(struct journal *journal, const char *name) {
    char *text = NULL;

    db_text(&journal->db, journal->meta_get, 1, name);
    if (db_row(&journal->db, journal->meta_get)) {
        text = db_copy(journal->meta_get, 0);
        db_reset(journal->meta_get);
    }
    return text;
}

/* What an INSERT gives back. It is run to its end, where it is committed, if it is a transaction of its own: a number
** of which that fails is none. */
static int64_t number(struct db *db, sqlite3_stmt *insert) {
    int64_t n = 0;

    while (db_row(db, insert)) {
        n = sqlite3_column_int64(insert, 0);
    }
    return db->rc == SQLITE_OK ? n : 0;
}

int64_t journal_subscription(struct journal *journal, const char *id, const char *target) {
    struct db *db = &journal->db;

    db_text(db, journal->known, 1, id);
    db_text(db, journal->known, 2, target);
    int64_t n = db_value(db, journal->known, 0);

    if (n == 0) {
        db_text(db, journal->subscription, 1, id);
        db_text(db, journal->subscription, 2, target);
        n = number(db, journal->subscription);
    }
    return n;
}

void journal_filtered(struct journal *journal, int64_t sub, int64_t count) {
    db_int(&journal->db, journal->filtered, 1, sub);
    db_int(&journal->db, journal->filtered, 2, count);
    db_run(&journal->db, journal->filtered);
}

int64_t journal_event_name(struct journal *journal, const char *name) {
    db_text(&journal->db, journal->event_name, 1, name);
    return number(&journal->db, journal->event_name);
}

static void bind_time(struct db *db, sqlite3_stmt *statement, int i, int64_t time) {
    if (time == 0 || time == NEVER) {
        db_null(db, statement, i);
    } else {
        db_int(db, statement, i, time);
    }
}

/* What was not bound is NULL. */
static void bind_step(struct db *db, sqlite3_stmt *statement, int i, int64_t step) {
    if (step >= 0) {
        db_int(db, statement, i, step);
    }
}

void journal_put(struct journal *journal, const struct delivery *d) {
    struct db *db = &journal->db;
    bool attempted = d->started_at != 0;
    sqlite3_stmt *put = attempted ? journal->put : journal->mark;

    if (attempted && d->repeats) {
        db_int(db, journal->keep, 1, d->sub);
        db_int(db, journal->keep, 2, d->event);
        db_run(db, journal->keep);
    }
    db_int(db, put, 1, d->sub);
    db_int(db, put, 2, d->event);
    db_int(db, put, 3, d->state);
    db_int(db, put, 4, d->name);
    db_int(db, put, 5, d->created_at);
    if (!attempted) {
        bind_time(db, put, 6, d->next_at);
        db_text(db, put, 7, d->reason);
        bind_time(db, put, 8, d->finished_at);
        db_text(db, put, 9, d->key);
    } else {
        db_int(db, put, 6, d->attempts);
        bind_time(db, put, 7, d->next_at);
        db_text(db, put, 8, d->reason);
        db_int(db, put, 9, d->started_at);
        db_int(db, put, 10, d->duration);
        if (d->status != 0) {
            db_int(db, put, 11, d->status);
        }
        if (d->error != NULL && *d->error != '\0') {
            db_text(db, put, 12, d->error);
        }
        if (d->response_length > 0) {
            db_bytes(db, put, 13, d->response, d->response_length);
        }
        bind_time(db, put, 14, d->finished_at);
        if (d->class != NULL) {
            db_text(db, put, 15, d->class);
        }
        bind_step(db, put, 16, d->steps.dns);
        bind_step(db, put, 17, d->steps.connect);
        bind_step(db, put, 18, d->steps.tls);
        bind_step(db, put, 19, d->steps.first_byte);
        if (d->headers_length > 0) {
            db_bytes(db, put, 20, d->headers, d->headers_length);
        }
        db_text(db, put, 21, d->key);
        db_int(db, put, 22, d->base);
    }
    db_run(db, put);
}

bool journal_recorded(struct journal *journal, int64_t sub, int64_t event) {
    db_int(&journal->db, journal->recorded, 1, sub);
    db_int(&journal->db, journal->recorded, 2, event);
    return db_value(&journal->db, journal->recorded, 0) != 0;
}

void journal_fetch(struct journal *journal, int64_t sub, int64_t event, int64_t name,
                   int64_t created_at, int64_t now) {
    struct db *db = &journal->db;

    db_int(db, journal->fetch, 1, sub);
    db_int(db, journal->fetch, 2, event);
    db_int(db, journal->fetch, 3, name);
    db_int(db, journal->fetch, 4, created_at);
    db_int(db, journal->fetch, 5, now);
    db_run(db, journal->fetch);
}

/* Of attempts: what can't be counted on from, since a hand wrote it, is none. */
static int count_of(sqlite3_stmt *row, int column, int least, int most) {
    int64_t count = sqlite3_column_int64(row, column);

    return count >= least && count <= most ? (int)count : 0;
}

static int read_due(struct journal *journal, sqlite3_stmt *due, struct due_row *rows) {
    int count = 0;

    while (db_row(&journal->db, due)) {
        int attempts = count_of(due, 2, 0, COUNT_MOST);

        rows[count] = (struct due_row){
            .event = sqlite3_column_int64(due, 0),
            .next_at = sqlite3_column_int64(due, 1),
            .attempts = attempts,
            .base = count_of(due, 3, -attempts, attempts),
            .state = (enum delivery_state)sqlite3_column_int(due, 4),
            .created_at = sqlite3_column_int64(due, 5),
            .replayed = sqlite3_column_int(due, 6) != 0,
            .held_since = sqlite3_column_int64(due, 7),
            .reason = db_copy(due, 8),
        };
        rows[count].judged = rows[count].state != STATE_HELD && !rows[count].replayed &&
                             sqlite3_column_int(due, 9) == 0;
        count++;
    }
    return count;
}

int journal_due(struct journal *journal, int64_t sub, struct due_row *rows, int most) {
    db_int(&journal->db, journal->due, 1, sub);
    db_int(&journal->db, journal->due, 2, most);
    return read_due(journal, journal->due, rows);
}

int journal_due_probe(struct journal *journal, int64_t sub, int64_t event, struct due_row *rows) {
    db_int(&journal->db, journal->due_probe, 1, sub);
    db_int(&journal->db, journal->due_probe, 2, event);
    return read_due(journal, journal->due_probe, rows);
}

bool journal_has_open(struct journal *journal, int64_t sub) {
    db_int(&journal->db, journal->open_of, 1, sub);
    return db_value(&journal->db, journal->open_of, 0) != 0;
}

bool journal_any_open(struct journal *journal) {
    return db_value(&journal->db, journal->open_any, 0) != 0;
}

int64_t journal_newest(struct journal *journal, int64_t sub, enum delivery_state *state) {
    int64_t event = 0;

    db_int(&journal->db, journal->newest, 1, sub);
    if (db_row(&journal->db, journal->newest)) {
        event = sqlite3_column_int64(journal->newest, 0);
        *state = (enum delivery_state)sqlite3_column_int(journal->newest, 1);
        db_reset(journal->newest);
    }
    return event;
}

bool journal_replay(struct journal *journal, int64_t sub, int64_t event, int64_t now) {
    struct db *db = &journal->db;

    db_int(db, journal->replay, 1, sub);
    db_int(db, journal->replay, 2, event);
    db_int(db, journal->replay, 3, now);
    return db_run(db, journal->replay) && sqlite3_changes(db->handle) > 0;
}

int journal_cancel(struct journal *journal, int64_t sub, const char *reason, int64_t now,
                   int most) {
    struct db *db = &journal->db;

    db_int(db, journal->cancel, 1, sub);
    db_text(db, journal->cancel, 2, reason);
    db_int(db, journal->cancel, 3, now);
    db_int(db, journal->cancel, 4, most);
    return db_run(db, journal->cancel) ? sqlite3_changes(db->handle) : 0;
}

void journal_anchor(struct journal *journal, int64_t id, int64_t created_at) {
    db_int(&journal->db, journal->anchor_add, 1, id);
    db_int(&journal->db, journal->anchor_add, 2, created_at);
    db_run(&journal->db, journal->anchor_add);
    db_run(&journal->db, journal->anchor_trim);
}

void journal_rewind(struct journal *journal, int64_t to) {
    static const char *const forget[] = {sql_rewind_deliveries, sql_rewind_attempts,
                                         sql_rewind_anchors};
    struct db *db = &journal->db;

    for (size_t i = 0; i < sizeof forget / sizeof *forget; i++) {
        sqlite3_stmt *statement = db_prepare(db, forget[i]);

        db_int(db, statement, 1, to);
        db_run(db, statement);
    }
    if (journal_get(journal, "cursor", 0) >
        to) { /* never forward: what is in between was not sent */
        journal_set(journal, "cursor", to);
    }
    if (journal_get(journal, "counted_to", 0) > to) { /* above it ids are given out again */
        journal_set(journal, "counted_to", to);
    }
}
