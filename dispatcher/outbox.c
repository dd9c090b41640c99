/*
** outbox.c: see outbox.h: opening and closing one database's outbox. What it does in between is in
** source.c.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "fault.h"
#include "hooks.h"
#include "log.h"
#include "memory.h"
#include "repair.h"
#include "retention.h"
#include "state.h"
#include "writer.h"

/* Has the clock been set back since somebody last wrote here? Then what was to come soon lies far
** ahead. */
static void compare_clocks(struct outbox *outbox, int64_t now) {
    static const char *const names[] = {"heartbeat_at", "stopped_at", "asleep_since"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int64_t last = journal_get(outbox->journal, names[i], 0);

        if (last > now && last > outbox->clock_was) {
            outbox->clock_was = last;
        }
    }
}

/* The first of the two files that has an error; NULL: neither has. */
static const struct db *failed(const struct outbox *outbox) {
    const struct db *app = reader_db(outbox->reader), *side = journal_db(outbox->journal);

    return app->rc != SQLITE_OK ? app : side->rc != SQLITE_OK ? side : NULL;
}

/* What a hand wrote, and can't be counted on from, is none. */
static int64_t count_of(struct journal *journal, const char *name) {
    int64_t count = journal_get(journal, name, 0);

    return count < 0 || count > INT64_MAX / 2 ? 0 : count;
}

/* false: one of the files can't be read now, or lacks what it should have. */
static bool start(struct outbox *outbox, bool was_asleep, int64_t now) {
    struct journal *journal = outbox->journal;

    source_open(outbox);
    compare_clocks(outbox, now);
    outbox->cursor = journal_get(journal, "cursor", 0);
    outbox->request_cursor = journal_get(journal, "request_cursor", 0);
    outbox->request_filed = journal_get(journal, "request_filed", 0);
    outbox->filtered = count_of(journal, "filtered");
    outbox->filtered_written = -1;
    outbox->counted_to = journal_get(journal, "counted_to", 0);
    outbox->wakes[WAKE_HINT] = count_of(journal, "wakes_hint");
    outbox->wakes[WAKE_RECHECK] = count_of(journal, "wakes_recheck");
    outbox->wakes[WAKE_POLL] = count_of(journal, "wakes_poll");
    window_open(&outbox->window, outbox->cursor);
    outbox->was_asleep = was_asleep;
    roster_open(outbox);
    repair_open(outbox, now);
    outbox->unread = true;
    outbox->cause = WAKE_HINT;
    identity_boot(outbox->boot);
    if (failed(outbox) != NULL || !reading_anchor(outbox)) {
        return false;
    }
    if (outbox->held != NULL) {
        return true;
    }
    journal_begin(journal, true);
    journal_set_text(journal, "version", RESTHOOK_VERSION);
    if (!was_asleep) {
        journal_set(journal, "started_at", now);
    }
    journal_set(journal, "stopped_at", 0);
    journal_set(journal, "asleep_since", 0);
    journal_set_text(journal, "held", "");
    fault_point("start.before_commit");
    journal_commit(journal);
    fault_point("start.after_commit");
    outbox->synced_at = now;
    return true;
}

/* Lets go of all that start() made, and of the rest. */
static void drop(struct outbox *outbox) {
    struct sub *sub;

    fanout_free(outbox);
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        agenda_set(&outbox->agenda, sub, NEVER);
    }
    effect_free(outbox);
    notice_free(outbox);
    subscriptions_close(&outbox->subs);
    agenda_free(&outbox->agenda);
    outbox_free(outbox);
}

struct outbox *outbox_open(const char *path, const struct outbox_options *options,
                           struct endpoints *endpoints, struct wake *wake, int64_t now,
                           char **error, int *status) {
    struct outbox *outbox = xcalloc(1, sizeof *outbox);
    char *side;

    outbox->lock = options->lock;
    outbox->endpoints = endpoints;
    outbox->wake = wake;
    outbox->path = identity_take(path, &outbox->lock, error, status);
    if (outbox->path == NULL) {
        goto failed;
    }
    outbox->secrets = (struct secrets){options->secrets, strrchr(outbox->path, '/') + 1};
    *error = identity_inspect(outbox->path, status);
    if (*error != NULL) {
        goto failed;
    }
    *status = EXIT_IO;
    *error = repair_schema(outbox->path);
    if (*error != NULL) {
        goto failed;
    }
    outbox->reader = reader_open(outbox->path, error);
    if (outbox->reader == NULL) {
        goto failed;
    }
    side = xprintf("%s-resthook", outbox->path);
    outbox->journal = journal_open(side, outbox->path, error);
    if (outbox->journal == NULL) {
        free(side);
        goto failed;
    }
    durable_open(outbox, options->syncer, side);
    outbox->token =
        identity_settle(outbox->path, outbox->journal, options->adopt, now, error, status);
    if (outbox->token == NULL) {
        goto failed;
    }
    if (!start(outbox, options->lock >= 0, now)) {
        *status = EXIT_IO;
        *error = xprintf("%s: %s", outbox->path, failed(outbox)->error);
        drop(outbox);
        return NULL;
    }
    db_patient(journal_db(outbox->journal), false); /* a rewind goes through the whole history */
    outbox->writer = writer_new(outbox->path);
    outbox->retention = retention_new(outbox, now);
    outbox->slot = wake_add(wake, outbox->path);
    return outbox;

failed:
    outbox_free(outbox);
    return NULL;
}

void outbox_hold(struct outbox *outbox, const char *why) {
    log_line(LOG_ERROR, "held: nothing is sent", "database", outbox->path, "reason", why, NULL);
    free(outbox->held);
    outbox->held = xstrdup(why);
    journal_begin(outbox->journal, true);
    journal_set_text(outbox->journal, "held", why);
    journal_commit(outbox->journal);
}

void outbox_free(struct outbox *outbox) {
    if (outbox->retention != NULL) {
        retention_free(outbox->retention);
    }
    if (outbox->writer != NULL) {
        writer_free(outbox->writer);
    }
    if (outbox->copy != NULL) {
        roster_copy_free(outbox->copy);
    }
    if (outbox->journal != NULL) {
        durable_close(outbox);
        journal_close(outbox->journal);
    }
    if (outbox->reader != NULL) {
        reader_close(outbox->reader);
    }
    if (outbox->lock >= 0) {
        close(outbox->lock); /* last: closing it drops the process's other locks on the file */
    }
    free(outbox->token);
    free(outbox->path);
    free(outbox->held);
    free(outbox->fetched);
    free(outbox);
}

/* Says in the side file since when it is so: stopped, or asleep. */
static bool leave(struct outbox *outbox, const char *so, int64_t now) {
    bool recorded;

    if (outbox->held == NULL) {
        record_flush(outbox, now);
    }
    journal_begin(outbox->journal, true);
    journal_set(outbox->journal, so, now);
    journal_set(outbox->journal, "in_flight", 0);
    fault_point("stop.before_commit");
    recorded = journal_commit(outbox->journal) && outbox->done_count == 0;
    fault_point("stop.after_commit");
    drop(outbox);
    return recorded;
}

bool outbox_close(struct outbox *outbox, int64_t now) {
    return leave(outbox, "stopped_at", now);
}

bool outbox_gave_up(const struct outbox *outbox) {
    return outbox->given_up > 0;
}

/* Opened again it would not know that somebody is to be left alone for a while. */
static bool any_rests(const struct outbox *outbox, int64_t now) {
    const struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (line_rests(&sub->line, now)) {
            return true;
        }
    }
    return false;
}

int64_t outbox_idle_until(const struct outbox *outbox, int64_t now) {
    if (outbox->held != NULL || outbox->unsynced || outbox->sync_runs || outbox->effects_wait ||
        outbox->notices_wait || outbox->stalled ||
        outbox->subs.secret_missing || /* nobody tells when its file is there */
        outbox->erase_at != 0 || outbox->app_since != 0 || outbox->window.pairs_count > 0 ||
        outbox->called_count > 0 || any_rests(outbox, now) ||
        !outbox->source.drained(&outbox->source, now) || !retention_is_done(outbox->retention)) {
        return 0;
    }
    return due_next(outbox);
}

bool outbox_has_news(struct outbox *outbox) {
    if (!outbox->unread && reader_changed(outbox->reader)) {
        outbox->unread = true;
        outbox->cause = WAKE_POLL;
    }
    return outbox->unread;
}

void outbox_checkpoint(struct outbox *outbox) {
    reader_checkpoint(outbox->reader);
}

int outbox_sleep(struct outbox *outbox, int64_t now) {
    int lock = outbox->lock;

    outbox->lock = -1;
    failing_sleep(outbox);
    leave(outbox, "asleep_since", now);
    return lock;
}

bool outbox_upkeep(struct outbox *outbox, int64_t now, bool *gently) {
    if (outbox->held == NULL && window_cursor(&outbox->window) != outbox->cursor) {
        record_flush(outbox, now); /* nothing above the cursor as it is written goes */
    }
    if (outbox->held != NULL || outbox->stalled) {
        return false;
    }
    if (reader_changed(outbox->reader)) {
        retention_noticed(outbox->retention, now);
    }
    bool more = retention_hurry(outbox->retention, now);

    journal_tidy(outbox->journal);
    *gently = *gently || retention_wants_app(outbox->retention);
    return more;
}

struct source *outbox_source(struct outbox *outbox) {
    return &outbox->source;
}

void outbox_stop(struct outbox *outbox) {
    outbox->stopped = true;
}

int outbox_in_flight(const struct outbox *outbox) {
    return outbox->in_flight;
}

bool outbox_syncs(const struct outbox *outbox) {
    return outbox->sync_runs;
}

const char *outbox_path(const struct outbox *outbox) {
    return outbox->path;
}

const char *outbox_held(const struct outbox *outbox) {
    return outbox->held;
}

bool outbox_unfinished(struct outbox *outbox) {
    return journal_any_open(outbox->journal);
}

int64_t outbox_left(struct outbox *outbox) {
    int64_t newest = reader_newest(outbox->reader);

    return outbox->window.pairs_count +
           (newest > outbox->window.read_to ? newest - outbox->window.read_to : 0);
}
