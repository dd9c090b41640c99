/*
** durable.c: when what is in the side file reaches the disk: at the latest sync_every after it was
** committed (and the time that the disk takes, for one file after the other), by the syncer's thread; or,
** where there is none, it failed, or sync_every is 0, by a commit that is synced (record.c).
**
** A WAL that has become long is copied into the file. It begins anew with the first commit that finds
** all of it copied. While outcomes come there is always more by then; so what came meanwhile is copied
** at once too, which is short, and until that is done, or for HOLD, nothing is written that can wait.
** SQLite syncs the head of a WAL that begins anew in the commit itself.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>

#include "log.h"
#include "state.h"

#define HOLD 100   /* ms */
#define LONG 10000 /* ms after which it is said that the disk takes long */

void durable_open(struct outbox *outbox, struct syncer *syncer, char *side) {
    outbox->syncer = syncer;
    outbox->side = side;
    outbox->sync.path = side;
}

void durable_close(struct outbox *outbox) {
    if (outbox->syncer != NULL) {
        syncer_wait(outbox->syncer, &outbox->sync);
    }
    free(outbox->side);
}

bool durable_by_itself(const struct outbox *outbox) {
    return outbox->syncer == NULL || outbox->sync_failed || outbox->subs.settings.sync_every == 0;
}

bool durable_holds(const struct outbox *outbox, int64_t now) {
    return outbox->sync_short && now - outbox->sync_at < HOLD;
}

int64_t durable_due(const struct outbox *outbox, int64_t now) {
    if (durable_holds(outbox, now)) {
        return outbox->sync_at + HOLD;
    }
    if (outbox->sync_runs) { /* the syncer says when */
        return outbox->sync_said ? NEVER : outbox->sync_at + LONG;
    }
    return outbox->unsynced ? outbox->synced_at + outbox->subs.settings.sync_every : NEVER;
}

void durable_committed(struct outbox *outbox, bool synced, bool news, int64_t now) {
    if (synced) {
        outbox->synced_at = now;
        outbox->unsynced = outbox->unasked = outbox->sync_failed = false;
    } else if (news) {
        outbox->unsynced = outbox->unasked = true;
    }
}

static void ask(struct outbox *outbox, bool copy, bool is_short, int64_t now) {
    outbox->sync.copy = copy;
    outbox->sync_runs = true;
    outbox->sync_short = is_short;
    outbox->sync_at = now;
    outbox->unasked = false;
    syncer_ask(outbox->syncer, &outbox->sync);
}

/* What was written to the disk without success SQLite, and Linux, take for written; so it is written to
** another place, the file itself. */
static void failed(struct outbox *outbox, int rc) {
    if (!outbox->sync_said) {
        log_line(LOG_WARN, "the side file can't be synced: it is tried again", "database",
                 outbox->path, "error", sqlite3_errstr(rc), NULL);
    }
    outbox->sync_said = outbox->sync_failed = true;
    journal_copy(outbox->journal);
}

/* Takes in what the thread has done. Returns whether there is a rest to copy. */
static bool take(struct outbox *outbox) {
    bool was_short = outbox->sync_short;
    int rc;

    if (!syncer_ended(outbox->syncer, &outbox->sync, &rc)) {
        return false;
    }
    outbox->sync_runs = outbox->sync_short = false;
    if (rc != SQLITE_OK) {
        failed(outbox, rc);
        return false;
    }
    if (outbox->sync_said) {
        log_line(LOG_INFO, "the side file is synced again", "database", outbox->path, NULL);
    }
    outbox->sync_said = false;
    outbox->synced_at = outbox->sync_at > outbox->synced_at ? outbox->sync_at : outbox->synced_at;
    outbox->unsynced = outbox->unasked;
    return outbox->sync.copy && !was_short;
}

bool durable_take(struct outbox *outbox, int64_t now) {
    bool rest = outbox->sync_runs && take(outbox);

    if (outbox->sync_runs && !outbox->sync_said && now - outbox->sync_at >= LONG) {
        log_line(LOG_WARN, "the disk takes long to sync the side file", "database", outbox->path,
                 NULL);
        outbox->sync_said = true;
    }
    return rest;
}

void durable_turn(struct outbox *outbox, int64_t now) {
    bool rest;

    if (outbox->syncer == NULL) {
        return;
    }
    rest = durable_take(outbox, now);
    journal_leave_copying(outbox->journal, !durable_by_itself(outbox));
    if (outbox->sync_runs || outbox->stalled || durable_by_itself(outbox)) {
        return;
    }
    if (rest && (outbox->unasked || outbox->done_count > 0)) {
        record_flush(outbox, now);
        if (!outbox->stalled) {
            ask(outbox, true, true, now);
        }
    } else if (now >= durable_due(outbox, now)) {
        ask(outbox, journal_is_long(outbox->journal), false, now);
    }
}
