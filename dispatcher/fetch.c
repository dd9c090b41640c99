/*
** fetch.c: single events from behind a full window, for those who lack work, recorded as rows that are
** due (due.c sends them); the reading passes them over when it comes to them.
**
** It is for the event of one that stands behind another's backlog: making way for the cursor would write
** a row for everything before it (400,000 of them took 8 to 20 s). Where most of what stands there is fetched,
** that is cheaper, since it costs the one that hangs its rows and not those who answer. An ordered
** subscription's turn comes only with what is read (order.c).
** SPDX-License-Identifier: MIT
*/
#include "memory.h"
#include "state.h"

/* One in so many of what stands between the window's beginning and the newest event that was seen. */
#define SPARSE 8

/* What waits for it in the window goes first; and nobody's events become rows for nothing. */
static bool can_take(const struct sub *sub, bool for_doubtful, int64_t now) {
    return sub->ordered == ORDERED_NOT && TAILQ_EMPTY(&sub->fresh) &&
           (sub->line.health != DOUBTFUL || for_doubtful) && !line_is_shunned(&sub->line, now);
}

void fetch_begin(struct outbox *outbox) {
    outbox->fetch_look++;
    outbox->fetched_count = 0;
}

/* So many are better served by making way; and they are not looked through for each name. */
static void crowd(struct event_name *name) {
    name->crowded = true;
    name->takers.count = 0;
    name->takers.all = false;
}

static void leave(struct outbox *outbox, struct sub *sub) {
    if (!sub->left) {
        sub->left = true;
        SLIST_INSERT_HEAD(&outbox->left, sub, left_link);
    }
}

static void find_takers(struct outbox *outbox, struct event_name *name, bool for_doubtful,
                        int64_t now) {
    struct takers *takers = &name->takers;

    *takers = (struct takers){.look = outbox->fetch_look, .all = true};
    for (int i = 0; i < name->count; i++) {
        struct sub *sub = name->subs[i];
        bool takes = sub->status == SUB_SENDS && can_take(sub, for_doubtful, now);

        if (name->count > CROWD || (takes && takers->count == TAKERS_MOST)) {
            crowd(name);
            return;
        }
        if (takes) {
            takers->sub[takers->count++] = sub;
        } else if (sub->status != SUB_ENDED) {
            leave(outbox, sub);
            takers->all = false;
        }
    }
}

static void add(struct outbox *outbox, struct sub *sub, struct event_name *name,
                const struct outbox_row *row) {
    if (outbox->fetched_count == outbox->fetched_room) {
        outbox->fetched_room = outbox->fetched_room * 2 + 64;
        outbox->fetched =
            xrealloc(outbox->fetched, (size_t)outbox->fetched_room * sizeof *outbox->fetched);
    }
    outbox->fetched[outbox->fetched_count++] = (struct fetched){
        .sub = sub,
        .name = name,
        .event = row->id,
        .created_at = row->created_at,
        .alone = row->only != NULL,
    };
}

bool fetch_for_all(struct outbox *outbox, struct event_name *name, const struct outbox_row *row,
                   bool for_doubtful, int64_t now) {
    struct takers *takers = &name->takers;

    if (takers->look != outbox->fetch_look) {
        find_takers(outbox, name, for_doubtful, now);
    }
    if (row->conditional) { /* most may be left out: a row for each of these would be for nothing */
        name->crowded = true;
        return false;
    }
    for (int i = 0; i < takers->count; i++) {
        if (subscription_wants(takers->sub[i], row->id, name->text, NULL)) {
            add(outbox, takers->sub[i], name, row);
        }
    }
    return takers->all;
}

bool fetch_for_one(struct outbox *outbox, struct sub *sub, const struct outbox_row *row,
                   bool for_doubtful, int64_t now) {
    bool sends = sub->status == SUB_SENDS || (sub->status == SUB_PROBES && sub->probe == row->id);
    bool takes = sends && !row->conditional && can_take(sub, for_doubtful, now);

    if (takes && subscription_wants(sub, row->id, row->event, row->only)) {
        add(outbox, sub, names_find(outbox, row->event), row);
    }
    return takes || sub->status == SUB_ENDED;
}

static bool is_sparse(const struct outbox *outbox) {
    int64_t before =
        outbox->window.events_count + (outbox->ahead_to - outbox->window.read_to); /* ids, about */

    return (outbox->fetched_before + outbox->fetched_count) * SPARSE <= before;
}

/* What those names are called in the side file; asking may write there. */
static bool are_numbered(struct outbox *outbox) {
    for (int i = 0; i < outbox->fetched_count; i++) {
        if (names_number(outbox, outbox->fetched[i].name) == 0) {
            return false;
        }
    }
    return true;
}

/* Who did not have all fetched has it waiting there, up to what was seen. Whoever missed nothing is not
** looked at: a look comes each few ms, and ten thousand subscriptions, cold in the caches, took 1 ms. */
static void note_left(struct outbox *outbox) {
    struct sub *sub;

    while ((sub = SLIST_FIRST(&outbox->left)) != NULL) {
        SLIST_REMOVE_HEAD(&outbox->left, left_link);
        sub->left_to = outbox->ahead_to;
        sub->left = false;
    }
}

bool fetch_end(struct outbox *outbox, int64_t now) {
    int count = outbox->fetched_count;

    note_left(outbox);
    if (count == 0) {
        return false;
    }
    if (!is_sparse(outbox) || !are_numbered(outbox) || !record_fetched(outbox, now)) {
        for (int i = 0; i < count; i++) {
            const struct fetched *fetched = &outbox->fetched[i];

            if (fetched->alone) {
                ahead_remember_one(outbox, fetched->sub, fetched->event);
            } else {
                ahead_remember(outbox, fetched->name, fetched->event);
                fetched->sub->left_to = later(fetched->sub->left_to, fetched->event);
            }
        }
        return false;
    }
    for (int i = 0; i < count; i++) {
        struct sub *sub = outbox->fetched[i].sub;

        sub->recorded_to = later(sub->recorded_to, outbox->fetched[i].event);
        sub_due(outbox, sub, now);
    }
    outbox->fetched_before += count;
    return true;
}
