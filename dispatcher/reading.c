/*
** reading.c: reads the next events of app.db, and sees to it that the one that was read last is still
** there: if it is not, app.db lost its last commits or is another file.
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
#include "stopwatch.h"

/* Rows read in one snapshot. With a rollback journal a reader can make a commit wait: there less,
** under a ms. */
#define ROWS_WAL 256
#define ROWS_ROLLBACK 32
#define PATIENCE 500 /* ms at a start, for another program's lock */
#define READ_US 1000 /* whatever the expressions look up: then the lock is given back */
/* µs of work: then other databases have their turn, and after what took longer, for as long as that
** took */
#define WORK_MOST 10000
#define WORK_LONG 50000

#define GONE                                                                                       \
    "the event that was read last is gone from the outbox: the file was restored from a copy, or " \
    "the outbox was emptied; --adopt sends what is pending, --adopt=skip cancels it"

#define GREATEST                                                                                   \
    "the outbox has the greatest id there is (9223372036854775807), which no event can follow: "   \
    "delete that row"

void reading_rests(struct outbox *outbox, int64_t began, int64_t now) {
    int64_t took = stopwatch_work_us() - began;

    if (took > WORK_LONG && outbox->read_at < now + took / 500) {
        outbox->read_at =
            now + took / 500; /* now is when it began: as long as it took, and that again */
    }
}

/* Reads what stands in app.db beside the events, if it has changed. false: the events come later. */
static bool obey(struct outbox *outbox, int64_t now) {
    struct reader *reader = outbox->reader;
    enum roster loaded = ROSTER_LOADED;

    if (reader_revision(reader) != outbox->revision || reader_schema(reader) != outbox->schema) {
        loaded = roster_load(outbox, now);
    }
    if (loaded == ROSTER_FAILED) {
        const char *error = reader_db(reader)->error;

        log_line(LOG_ERROR, "subscriptions can't be read", "database", outbox->path, "error",
                 *error != '\0' ? error : journal_error(outbox->journal), NULL);
    }
    if (loaded != ROSTER_LOADED) {
        outbox->read_at = loaded == ROSTER_FAILED ? now + 1000 : now;
        return false;
    }
    outbox->unheard = outbox->requests_left;
    return true;
}

/* Hands on what one look takes of the events. work: when it began (stopwatch_work_us). Returns how many
** that were. */
static int take_events(struct outbox *outbox, int64_t work, int64_t now) {
    struct reader *reader = outbox->reader;
    int most = reader_is_wal(reader) ? ROWS_WAL : ROWS_ROLLBACK;
    int64_t began = stopwatch_us();
    struct outbox_row row;
    int count = 0;
    bool more = true;

    reader_rows(reader, outbox->window.read_to, most);
    while (!window_full(&outbox->window) && (more = reader_next(reader, &row))) {
        if (count > 0 && stopwatch_us() - began > READ_US &&
            (!reader_is_wal(reader) || stopwatch_work_us() - work > WORK_MOST)) {
            break;
        }
        if (!fanout_take(outbox, &row, now)) {
            outbox->read_at = now + 500;
            break;
        }
        fault_point("expand.event");
        outbox->window.read_to = row.id;
        if (row.id > outbox->check_id) { /* what a crash makes us read again moves it not back */
            outbox->check_id = row.id;
            outbox->check_created = row.created_at;
        }
        count++;
    }
    bool failed = reader_db(reader)->rc != SQLITE_OK;

    outbox->unread = more || count >= most || failed || outbox->requests_left;
    if (failed) {
        outbox->read_at = now + 20;
    }
    return count;
}

/* What made us look found so many events. */
static void count_cause(struct outbox *outbox, int count) {
    if (count > 0 && outbox->cause != WAKE_NONE) {
        outbox->wakes[wake_found(outbox->wake, outbox->slot, outbox->cause)]++;
        outbox->counts_moved = true;
        log_line(LOG_DEBUG, "read", "database", outbox->path, "events#", (long long)count, "cause#",
                 (long long)outbox->cause, NULL);
    }
    if (!outbox->unread) {
        outbox->cause = WAKE_NONE;
    }
}

bool reading_begin(struct outbox *outbox, int64_t now) {
    struct reader *reader = outbox->reader;

    if (!reader_begin(reader)) {
        outbox->read_at = now + 2; /* somebody is committing: his transaction is over soon */
        return false;
    }
    bool there = reader_has(reader, outbox->check_id, outbox->check_created);
    bool greatest = reader_newest(reader) == INT64_MAX;

    if (there && !greatest && reader_db(reader)->rc == SQLITE_OK) {
        return true;
    }
    reader_end(reader);
    if (greatest) { /* what came after it has any id: had one been read, others would be below it */
        record_flush(outbox, now);
        outbox_hold(outbox, GREATEST);
    } else if (there) {
        outbox->read_at = now + 20; /* as far as is known */
    } else {
        record_flush(outbox, now); /* with the row that is missed: the next start misses it too */
        outbox_hold(outbox, GONE);
    }
    return false;
}

void reading_next(struct outbox *outbox, int64_t now) {
    struct reader *reader = outbox->reader;

    if (!effect_is_kept(outbox)) { /* subscriptions that are read again are read with them */
        record_flush(outbox, now);
        if (outbox->stalled) {
            return;
        }
    }
    if (!reading_begin(outbox, now)) {
        return;
    }
    fault_point("expand.snapshot");
    if (!obey(outbox, now)) {
        reader_end(reader);
        return;
    }
    repair_looked(outbox, reader_schema(reader), now);
    if (!outbox->boot_known) { /* from now on a missing row can't be a power loss */
        outbox->boot_known = true;
        outbox->counts_moved = true;
    }
    int64_t work = stopwatch_work_us();
    int count = take_events(outbox, work, now);

    reader_end(reader);
    reading_rests(outbox, work, now);
    if (count > 0) {
        fault_point("expand.read");
    }
    count_cause(outbox, count);
}

/* app.db no longer has the last row read. After a reboot it lost its last commits with the machine:
** up to the newest event that both files know all is as it was, above it nothing is known. false:
** which one that is can't be read now. */
static bool go_back(struct outbox *outbox) {
    struct journal *journal = outbox->journal;
    int64_t common = 0, created = 0;

    if (reader_begin(outbox->reader)) {
        common = identity_common_past(reader_db(outbox->reader), journal, &created);
    }
    reader_end(outbox->reader);
    if (reader_db(outbox->reader)->rc != SQLITE_OK) {
        return false;
    }
    if (journal_db(journal)->rc != SQLITE_OK) {
        outbox_hold(outbox, "the newest event that both files know can't be found out");
        return true;
    }
    log_line(LOG_WARN,
             "the database lost its last commits with the machine's last stop: going back",
             "database", outbox->path, "to_event#", (long long)common, NULL);
    journal_begin(journal, true);
    journal_rewind(journal, common);
    fault_point("rewind.before_commit");
    if (!journal_commit(journal)) {
        outbox_hold(outbox, journal_error(journal));
        return true;
    }
    fault_point("rewind.after_commit");
    outbox->check_id = common;
    outbox->check_created = created;
    outbox->cursor = sooner(outbox->cursor, common);
    outbox->counted_to = sooner(outbox->counted_to, common);
    window_open(&outbox->window, outbox->cursor);
    return true;
}

bool reading_anchor(struct outbox *outbox) {
    struct db *journal = journal_db(outbox->journal);
    struct db *app = reader_db(outbox->reader);
    sqlite3_stmt *newest = db_prepare(journal, sql_anchor_newest);
    char *boot = journal_get_text(outbox->journal, "boot");
    bool rebooted = boot != NULL && strcmp(boot, outbox->boot) != 0;
    bool known, there;

    free(boot);
    if (db_row(journal, newest)) {
        outbox->check_id = sqlite3_column_int64(newest, 0);
        outbox->check_created = sqlite3_column_int64(newest, 1);
        db_reset(newest);
    }
    sqlite3_busy_timeout(app->handle,
                         PATIENCE); /* that somebody commits right now proves nothing */
    there = reader_begin(outbox->reader) &&
            reader_has(outbox->reader, outbox->check_id, outbox->check_created);
    reader_end(outbox->reader);
    known = app->rc == SQLITE_OK && journal->rc == SQLITE_OK;
    if (known && !there && rebooted) {
        known = go_back(outbox);
    } else if (known && !there) {
        outbox_hold(outbox, GONE);
    }
    sqlite3_busy_timeout(app->handle, 0);
    return known;
}
