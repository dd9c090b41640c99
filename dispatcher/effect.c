/*
** effect.c: what the dispatcher itself changes in a subscription: its end after a 410, that its
** target confirmed that it wants its events, that it is failing, that it has recovered.
**
** It holds at once, is kept in the side file by the commit that records the answer it comes from, and
** is written to app.db when nobody is writing there.
** An end is dropped when the row changed since: then somebody has decided otherwise. A confirmation
** is not, unless another one is asked for by now: the target said so, and will not say it again.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "memory.h"
#include "sql.h"
#include "state.h"
#include "writer.h"

#define AT_ONCE 100 /* written to app.db in one transaction */

struct effect {
    char *subscription, *reason;
    const char *status; /* a constant */
    int64_t revision, updated_at;
    STAILQ_ENTRY(effect) links;
};

void effect_open(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    outbox->effects = db_prepare(side, sql_effect_list);
    outbox->effect_put = db_prepare(side, sql_effect_put);
    outbox->effect_done = db_prepare(side, sql_effect_done);
    outbox->effect_confirms = db_prepare(side, sql_effect_confirms);
    STAILQ_INIT(&outbox->effects_new);
    outbox->effects_wait = true;
}

void effect_prepare(struct outbox *outbox) {
    outbox->effect_set = db_prepare(writer_db(outbox->writer), sql_app_effect);
}

void effect_put(struct outbox *outbox, const struct sub *sub, const char *status,
                const char *reason, int64_t revision) {
    struct effect *effect = xcalloc(1, sizeof *effect);

    effect->subscription = xstrdup(sub->id);
    effect->reason = reason != NULL ? xstrdup(reason) : NULL;
    effect->status = status;
    effect->revision = revision;
    effect->updated_at = sub->updated_at;
    STAILQ_INSERT_TAIL(&outbox->effects_new, effect, links);
}

void effect_keep(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);
    sqlite3_stmt *put = outbox->effect_put;
    const struct effect *effect;

    STAILQ_FOREACH(effect, &outbox->effects_new, links) {
        db_text(side, put, 1, effect->subscription);
        db_text(side, put, 2, effect->status);
        db_text(side, put, 3, effect->reason);
        db_int(side, put, 4, effect->revision);
        db_int(side, put, 5, effect->updated_at);
        db_run(side, put);
        fault_point("effect.before_commit");
    }
}

void effect_kept(struct outbox *outbox) {
    if (!effect_is_kept(outbox)) {
        fault_point("effect.after_commit");
        outbox->effects_wait = true;
        effect_free(outbox);
    }
}

bool effect_is_kept(const struct outbox *outbox) {
    return STAILQ_EMPTY(&outbox->effects_new);
}

void effect_free(struct outbox *outbox) {
    struct effect *effect;

    while ((effect = STAILQ_FIRST(&outbox->effects_new)) != NULL) {
        STAILQ_REMOVE_HEAD(&outbox->effects_new, links);
        free(effect->subscription);
        free(effect->reason);
        free(effect);
    }
}

bool effect_confirms(struct outbox *outbox, const struct sub *sub) {
    struct db *side = journal_db(outbox->journal);
    const struct effect *effect;

    STAILQ_FOREACH(effect, &outbox->effects_new, links) {
        if (strcmp(effect->subscription, sub->id) == 0 &&
            strcmp(effect->status, "confirmed") == 0) {
            return true;
        }
    }
    if (!outbox->effects_wait) {
        return false;
    }
    db_text(side, outbox->effect_confirms, 1, sub->id);
    return db_value(side, outbox->effect_confirms, 1) != 0; /* 1: not read: wait for it too */
}

static void overlay(struct sub *sub, const char *status) {
    if (strcmp(status, "ended") == 0) {
        sub->status = SUB_ENDED; /* what still comes is for it too, and is cancelled */
        sub->ended = "gone: 410 from target";
    } else if (strcmp(status, "failing") == 0 && sub->status == SUB_SENDS) {
        sub->status = SUB_FAILING;
    } else if (strcmp(status, "active") == 0 && sub->status == SUB_FAILING) {
        sub->status = SUB_SENDS;
    }
}

void effect_overlay(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);
    sqlite3_stmt *list = outbox->effects;

    while (db_row(side, list)) {
        struct sub *sub = subscription_named(&outbox->subs, db_string(list, 0));
        const char *status = db_string(list, 1);
        int64_t revision = sqlite3_column_int64(list, 3);

        if (sub == NULL || status == NULL) {
            continue;
        }
        if (strcmp(status, "confirmed") == 0) {
            sub->status =
                sub->status == SUB_PROBES && sub->probe == revision ? SUB_SENDS : sub->status;
        } else if (sub->status != SUB_ENDED && sub->revision == revision &&
                   sub->updated_at == sqlite3_column_int64(list, 4)) {
            overlay(sub, status);
        }
    }
}

/* The row has changed by our hand: a later change of ours may follow before it is read again. */
static void wrote(struct sub *sub, int64_t now) {
    if (sub != NULL) {
        sub->revision++;
        sub->updated_at = now;
    }
}

bool effect_look(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    db_clear(side);
    bool any = db_row(side, outbox->effects);

    outbox->effects_wait = any || side->rc != SQLITE_OK; /* not read: there may be some */
    db_reset(outbox->effects);
    return any;
}

void effect_write(struct outbox *outbox, int64_t now) {
    struct db *app = writer_db(outbox->writer), *side = journal_db(outbox->journal);
    char *done[AT_ONCE];
    bool changed[AT_ONCE];
    int count = 0;

    if (!effect_look(outbox) || !writer_begin(outbox->writer, reader_is_wal(outbox->reader))) {
        return;
    }
    while (count < AT_ONCE && db_row(side, outbox->effects)) {
        char *id = db_copy(outbox->effects, 0);

        db_text(app, outbox->effect_set, 1, id);
        db_text(app, outbox->effect_set, 2, db_string(outbox->effects, 1));
        db_text(app, outbox->effect_set, 3, db_string(outbox->effects, 2));
        db_int(app, outbox->effect_set, 4, sqlite3_column_int64(outbox->effects, 3)); /* revision */
        db_int(app, outbox->effect_set, 5,
               sqlite3_column_int64(outbox->effects, 4)); /* updated_at */
        db_int(app, outbox->effect_set, 6, now);
        changed[count] = db_run(app, outbox->effect_set) && sqlite3_changes(app->handle) > 0;
        done[count++] = id;
    }
    db_reset(outbox->effects);
    fault_point("effect.before_app_commit");
    bool written =
        writer_end(outbox->writer) && writer_sync(outbox->writer, reader_is_wal(outbox->reader));

    fault_point("effect.after_app_commit");
    journal_begin(outbox->journal, true);
    for (int i = 0; i < count; i++) {
        if (written) {
            db_text(side, outbox->effect_done, 1, done[i]);
            db_run(side, outbox->effect_done);
            if (changed[i]) {
                wrote(subscription_named(&outbox->subs, done[i]), now);
            }
        }
        free(done[i]);
    }
    journal_commit(outbox->journal);
    fault_point("effect.done");
}
