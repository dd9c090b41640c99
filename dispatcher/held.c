/*
** held.c: deliveries whose payload can't be computed, and when that is tried again.
**
** After a minute, then each time after as long again as it has been held for the same reason, at
** most 32 minutes: what can't be mended costs little, however much is held. When subscriptions or
** the schema changed, at once: whatever they wait for may have come.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "fault.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"

#define FIRST 60000       /* ms */
#define MOST (32 * FIRST) /* ms */
#define BATCH 100         /* rows between two looks at the stopwatch */
#define STEP_US 1000      /* of a turn */

void held_open(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    outbox->open_walk = db_prepare(side, sql_delivery_open_walk);
    outbox->unhold = db_prepare(side, sql_delivery_unhold);
    outbox->any_held = true;
}

void held_mark(struct outbox *outbox, struct pair *pair, const struct due_row *row, const char *why,
               int64_t now) {
    bool same = row != NULL && row->reason != NULL && strcmp(row->reason, why) == 0 &&
                row->held_since > 0 && row->held_since <= now;
    int64_t since = same ? row->held_since : now;
    int64_t again = sooner(later(now - since, FIRST), MOST);

    pair_mark(outbox, pair, STATE_HELD, now + again, why, now);
    pair->outcome.finished_at = since;
    outbox->any_held = true;
}

void held_retry(struct outbox *outbox) {
    if (outbox->any_held) {
        outbox->any_held = false;
        outbox->unholding = (struct open_row){.under_way = true};
    }
}

bool held_waits(const struct outbox *outbox) {
    return outbox->unholding.under_way;
}

/* Some of the unfinished rows. Returns whether there are more. */
static bool unhold(struct outbox *outbox, int64_t now) {
    struct db *side = journal_db(outbox->journal);
    struct open_row rows[BATCH];
    int count = 0;

    db_int(side, outbox->open_walk, 1, outbox->unholding.event);
    db_int(side, outbox->open_walk, 2, outbox->unholding.state);
    db_int(side, outbox->open_walk, 3, outbox->unholding.sub);
    db_int(side, outbox->open_walk, 4, BATCH);
    while (db_row(side, outbox->open_walk)) {
        rows[count++] = (struct open_row){
            .under_way = true,
            .event = sqlite3_column_int64(outbox->open_walk, 0),
            .state = sqlite3_column_int64(outbox->open_walk, 1),
            .sub = sqlite3_column_int64(outbox->open_walk, 2),
        };
    }
    for (int i = 0; i < count; i++) {
        struct sub *sub =
            rows[i].state == STATE_HELD ? subscription_numbered(&outbox->subs, rows[i].sub) : NULL;

        if (sub != NULL && subscription_sends(sub, rows[i].event)) {
            db_int(side, outbox->unhold, 1, rows[i].sub);
            db_int(side, outbox->unhold, 2, rows[i].event);
            db_int(side, outbox->unhold, 3, now);
            db_run(side, outbox->unhold);
            sub_due(outbox, sub, now);
        } else if (rows[i].state == STATE_HELD) {
            outbox->any_held = true; /* for when it sends again */
        }
    }
    if (count > 0) {
        outbox->unholding = rows[count - 1];
    }
    return count == BATCH;
}

void held_turn(struct outbox *outbox, int64_t now) {
    struct open_row before = outbox->unholding;
    int64_t began = stopwatch_us();
    bool more = true;

    if (!outbox->unholding.under_way || outbox->stalled) {
        return;
    }
    journal_begin(outbox->journal, false);
    while (more && stopwatch_us() - began < STEP_US) {
        more = unhold(outbox, now);
    }
    fault_point("held.before_commit");
    if (!journal_commit(outbox->journal)) {
        outbox->unholding = before;
        record_stall(outbox, now);
    } else if (!more) {
        outbox->unholding.under_way = false;
    }
    fault_point("held.after_commit");
}
