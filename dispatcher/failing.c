/*
** failing.c: targets that have failed for long.
**
** Since when a subscription's attempts have all failed is kept with their outcomes, in the same
** commit. Once that is longer ago than failing_after, the subscription is failing: nothing of it
** dies for being tried too often, all is kept within keep_pending, and one of its events at a time,
** the one that has been due longest, is sent as a probe, at growing pauses. Any success ends it.
** SPDX-License-Identifier: MIT
*/
#include <stdio.h>

#include "fault.h"
#include "format.h"
#include "sql.h"
#include "state.h"

#define PAUSE_MOST 60 /* times the first one */

void failing_open(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    outbox->failing_get = db_prepare(side, sql_failing_get);
    outbox->failing_set = db_prepare(side, sql_failing_set);
    outbox->failing_keep = db_prepare(side, sql_failing_keep);
}

void failing_load(struct outbox *outbox, struct sub *sub, int64_t now) {
    struct db *side = journal_db(outbox->journal);

    db_int(side, outbox->failing_get, 1, sub->n);
    if (db_row(side, outbox->failing_get)) {
        sub->failing_since = sub->failing_written = sqlite3_column_int64(outbox->failing_get, 0);
        if (sub->failing_since < 0) { /* no time of ours */
            sub->failing_since = 0;
        }
        if (outbox->was_asleep) {
            sub->probe_pause = sooner(sqlite3_column_int64(outbox->failing_get, 2),
                                      outbox->subs.settings.failing_probe * PAUSE_MOST);
            sub->probe_at =
                sooner(sqlite3_column_int64(outbox->failing_get, 1), now + sub->probe_pause);
        }
        db_reset(outbox->failing_get);
    }
}

void failing_sleep(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);
    const struct sub *sub;

    journal_begin(outbox->journal, false);
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sub->status == SUB_FAILING) {
            db_int(side, outbox->failing_keep, 1, sub->n);
            db_int(side, outbox->failing_keep, 2, sub->probe_at);
            db_int(side, outbox->failing_keep, 3, sub->probe_pause);
            db_run(side, outbox->failing_keep);
        }
    }
    journal_commit(outbox->journal);
}

void failing_write(struct outbox *outbox, struct sub *sub) {
    struct db *side = journal_db(outbox->journal);

    if (sub->failing_since == sub->failing_written) {
        return;
    }
    db_int(side, outbox->failing_set, 1, sub->n);
    if (sub->failing_since != 0) {
        db_int(side, outbox->failing_set, 2, sub->failing_since);
    } else {
        db_null(side, outbox->failing_set, 2);
    }
    db_run(side, outbox->failing_set);
}

void failing_forgive(struct outbox *outbox, struct sub *sub) {
    sub->failing_since = 0;
    journal_begin(outbox->journal, false);
    failing_write(outbox, sub);
    fault_point("failing.before_commit");
    if (journal_commit(outbox->journal)) {
        sub->failing_written = 0;
    }
    fault_point("failing.after_commit");
}

void failing_clock(struct outbox *outbox, int64_t now) {
    struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sub->probe_at > now + sub->probe_pause) {
            sub->probe_at = now + sub->probe_pause;
            if (agenda_due(sub) != NEVER) {
                agenda_set(&outbox->agenda, sub, sub->probe_at);
            }
        }
    }
}

int64_t failing_next(const struct sub *sub, int64_t due) {
    return sub->status == SUB_FAILING && due < sub->probe_at ? sub->probe_at : due;
}

static void failed(struct outbox *outbox, struct sub *sub, const struct outcome *outcome,
                   int64_t now) {
    const struct settings *settings = &outbox->subs.settings;
    char reason[300], since[32], last[16];

    if (sub->failing_since == 0 || sub->failing_since > now) {
        sub->failing_since = now;
    }
    if (sub->status == SUB_FAILING && now >= sub->probe_at) {
        int64_t pause = sub->probe_pause > 0 ? sub->probe_pause * 2 : settings->failing_probe;
        int64_t most = settings->failing_probe * PAUSE_MOST;

        sub->probe_pause = sooner(pause, most);
        sub->probe_at = now + sub->probe_pause;
    }
    if (sub->status == SUB_SENDS && settings->failing_after > 0 &&
        now - sub->failing_since >= settings->failing_after &&
        !effect_confirms(outbox, sub)) { /* which would be lost: at a later failure then */
        format_time(sub->failing_since, since);
        snprintf(last, sizeof last, "%d", outcome->status);
        snprintf(reason, sizeof reason, "failing since %s; last: %s", since,
                 outcome->status != 0 ? last : outcome->error);
        sub->probe_pause = settings->failing_probe;
        sub->probe_at = now + sub->probe_pause;
        roster_failing(outbox, sub, reason, now);
    }
}

void failing_attempted(struct outbox *outbox, struct sub *sub, struct outcome *outcome,
                       int64_t now) {
    if (outcome->state == VERDICT_DELIVERED) {
        sub->failing_since = 0;
        if (sub->status == SUB_FAILING) {
            roster_recovered(outbox, sub, now);
        }
    } else if (outcome->effect != EFFECT_GONE) {
        failed(outbox, sub, outcome, now);
        if (sub->status == SUB_FAILING) { /* due; the others before it */
            outcome->state = VERDICT_RETRY;
            outcome->next_at = now;
            outcome->reason = NULL;
        }
    }
}
