/*
** durable.c: when what is in the side file reaches the disk: at the latest sync_every after it was
** committed (and the time that the disk takes), by the syncer's thread; or, where there is none, it
** failed, or sync_every is 0, by a commit that is synced (record.c).
**
** A WAL that has become long is copied into the file. It begins anew with the first commit that finds
** all of it copied. While outcomes come there is always more by then; so what came meanwhile is copied
** at once too, which is short, and until that is done no group is written that can wait.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>

#include "log.h"
#include "state.h"

void durable_open(struct outbox *outbox, struct syncer *syncer, char *side) {
    outbox->syncer = syncer;
    outbox->side = side;
    outbox->sync.path = side;
    if (syncer != NULL) {
        journal_leave_copying(outbox->journal);
    }
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

bool durable_holds(const struct outbox *outbox) {
    return outbox->sync_short;
}

int64_t durable_due(const struct outbox *outbox) {
    return outbox->unsynced && !outbox->sync_runs
               ? outbox->synced_at + outbox->subs.settings.sync_every
               : NEVER;
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

/* Takes in what the thread has done. Returns whether there is a rest to copy. */
static bool take(struct outbox *outbox) {
    bool was_short = outbox->sync_short;
    int rc;

    if (!syncer_ended(outbox->syncer, &outbox->sync, &rc)) {
        return false;
    }
    outbox->sync_runs = outbox->sync_short = false;
    if (rc == SQLITE_OK) {
        outbox->synced_at =
            outbox->sync_at > outbox->synced_at ? outbox->sync_at : outbox->synced_at;
        outbox->unsynced = outbox->unasked;
    } else {
        log_line(LOG_DEBUG, "the side file is synced in turn", "database", outbox->path, "error",
                 sqlite3_errstr(rc), NULL);
        outbox->sync_failed = true;
    }
    return rc == SQLITE_OK && outbox->sync.copy && !was_short;
}

void durable_turn(struct outbox *outbox, int64_t now) {
    bool rest;

    if (outbox->syncer == NULL) {
        return;
    }
    rest = outbox->sync_runs && take(outbox);
    if (outbox->sync_runs || outbox->stalled || durable_by_itself(outbox)) {
        return;
    }
    if (rest && (outbox->unasked || outbox->done_count > 0)) {
        record_flush(outbox, now);
        if (!outbox->stalled) {
            ask(outbox, true, true, now);
        }
    } else if (now >= durable_due(outbox)) {
        ask(outbox, journal_is_long(outbox->journal), false, now);
    }
}
