/*
** ahead.c: what stands behind a full window, and whether somebody who lacks work would have some there.
**
** A window is full as long as its events wait for a target, mostly the one whose backlog they are. That
** is worth a row for each of them only if it brings work to somebody who has none. So the rows behind
** the window are looked through, once each, for their names alone. What they bring to few is fetched
** (fetch.c). Else a name is remembered with the newest event of it that was seen, and whom an event for
** one alone is for, likewise, until way is made for whoever lacks work then.
** SPDX-License-Identifier: MIT
*/
#include "state.h"
#include "stopwatch.h"

/* Rows seen in one snapshot; it is given back after LOOK_US, however large they are. With a rollback
** journal a reader can make a commit wait: there less. */
#define ROWS_WAL 4096
#define ROWS_ROLLBACK 1024
#define LOOK_US 1000
#define ROWS_A_GLANCE 32        /* at the time */
#define SPILL_FOR_DOUBTFUL 5000 /* ms before way is made for one whose target failed last */

void ahead_open(struct outbox *outbox) {
    TAILQ_INIT(&outbox->behind);
}

/*
** Does it lack work that it could do? Who has rows that are due does not lack it. Nobody's pairs become
** rows again and again for the sake of those whose target failed last: of them there may be thousands.
*/
static bool lacks_work(const struct sub *sub, bool for_doubtful, int64_t now) {
    return (sub->line.health != DOUBTFUL || for_doubtful) && !sub_has_work(sub) &&
           agenda_due(sub) > now && line_has_room(&sub->line, now);
}

/* Would it send what is not read yet, or at least its probe? */
static bool sends_unread(const struct outbox *outbox, const struct sub *sub) {
    return sub->status == SUB_SENDS ||
           (sub->status == SUB_PROBES && sub->probe > outbox->window.read_to);
}

static bool any_lacks_work(const struct outbox *outbox, bool for_doubtful, int64_t now) {
    const struct sub *sub;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sends_unread(outbox, sub) && lacks_work(sub, for_doubtful, now)) {
            return true;
        }
    }
    return false;
}

/* Of what is for one alone. */
static bool one_wants(const struct outbox *outbox, bool for_doubtful, int64_t now) {
    const struct sub *sub;

    if (outbox->ahead_only <= outbox->window.read_to) {
        return false;
    }
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        if (sub->ahead > outbox->window.read_to && sends_unread(outbox, sub) &&
            lacks_work(sub, for_doubtful, now)) {
            return true;
        }
    }
    return false;
}

static bool any_wants(const struct outbox *outbox, const struct event_name *name, bool for_doubtful,
                      int64_t now) {
    for (int i = 0; i < name->count; i++) {
        const struct sub *sub = name->subs[i];

        if (sub->status == SUB_SENDS && (name->crowded || sub->left_to > outbox->window.read_to) &&
            lacks_work(sub, for_doubtful, now) &&
            subscription_wants(sub, name->ahead, name->text, NULL)) {
            return true;
        }
    }
    return false;
}

static void pass_over(struct outbox *outbox, struct event_name *name) {
    TAILQ_REMOVE(&outbox->behind, name, behind);
    name->ahead = 0;
    name->crowded = false;
}

/* Of what was seen. Names that were read meanwhile are forgotten. */
static bool is_wanted(struct outbox *outbox, bool for_doubtful, int64_t now) {
    struct event_name *name, *next;

    for (name = TAILQ_FIRST(&outbox->behind); name != NULL; name = next) {
        next = TAILQ_NEXT(name, behind);
        if (name->ahead <= outbox->window.read_to) {
            pass_over(outbox, name);
        } else if (any_wants(outbox, names_find(outbox, name->text), for_doubtful, now)) {
            return true; /* by the subscriptions as they are now */
        }
    }
    return one_wants(outbox, for_doubtful, now);
}

void ahead_remember_one(struct outbox *outbox, struct sub *sub, int64_t event) {
    sub->ahead = later(sub->ahead, event);
    outbox->ahead_only = later(outbox->ahead_only, event);
}

void ahead_remember(struct outbox *outbox, struct event_name *name, int64_t event) {
    if (name->ahead == 0) {
        TAILQ_INSERT_TAIL(&outbox->behind, name, behind);
    }
    name->ahead = later(name->ahead, event);
}

static void see(struct outbox *outbox, const struct outbox_row *row, bool for_doubtful,
                int64_t now) {
    if (row->event != NULL && row->only != NULL) {
        struct sub *sub = subscription_named(&outbox->subs, row->only);

        if (sub == NULL && outbox->ahead_stranger == 0) {
            outbox->ahead_stranger = row->id;
        } else if (sub != NULL && !fetch_for_one(outbox, sub, row, for_doubtful, now)) {
            ahead_remember_one(outbox, sub, row->id);
        }
    } else if (row->event != NULL) {
        struct event_name *name = names_find(outbox, row->event);

        if (!fetch_for_all(outbox, name, row, for_doubtful, now)) {
            ahead_remember(outbox, name, row->id);
        }
    }
    outbox->ahead_to = row->id;
    outbox->ahead_created = row->created_at;
}

static void forget(struct outbox *outbox) {
    struct event_name *name;
    struct sub *sub;

    while ((name = TAILQ_FIRST(&outbox->behind)) != NULL) {
        pass_over(outbox, name);
    }
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        sub->ahead = 0;
    }
    outbox->ahead_only = outbox->ahead_created = 0;
    outbox->ahead_to = outbox->window.read_to;
}

/* Returns whether anything was fetched. */
static bool look_further(struct outbox *outbox, bool for_doubtful, int64_t now) {
    struct reader *reader = outbox->reader;
    struct outbox_row row;
    int count = 0;

    if (!reading_begin(outbox, now)) {
        return false; /* somebody is committing */
    }
    if (reader_revision(reader) != outbox->revision || reader_schema(reader) != outbox->schema) {
        outbox->unheard = true; /* that is obeyed first */
        reader_end(reader);
        return false;
    }
    /* If the row that was seen last is not there unchanged, the application restored what it had before,
    ** and the ids above are given out again. */
    if (outbox->ahead_to <= outbox->window.read_to ||
        (outbox->ahead_created != 0 &&
         !reader_has(reader, outbox->ahead_to, outbox->ahead_created))) {
        forget(outbox);
    }
    int most = reader_is_wal(reader) ? ROWS_WAL : ROWS_ROLLBACK;
    int64_t began = stopwatch_us();

    fetch_begin(outbox);
    reader_ahead(reader, outbox->ahead_to, most);
    while (reader_next(reader, &row)) {
        see(outbox, &row, for_doubtful, now);
        if (++count % ROWS_A_GLANCE == 0 && stopwatch_us() - began > LOOK_US) {
            most = count; /* there may be more */
            break;
        }
    }
    outbox->ahead_all = count < most && reader_db(reader)->rc == SQLITE_OK;
    reader_end(reader);
    return fetch_end(outbox, now);
}

/* The roster may not have been read as far as the rows were: who was not known then may be now. */
static void look_again(struct outbox *outbox) {
    if (outbox->ahead_stranger > 0 && outbox->ahead_generation != outbox->generation) {
        outbox->ahead_to = outbox->ahead_stranger - 1;
        outbox->ahead_created = 0;
        outbox->ahead_stranger = 0;
        outbox->ahead_all = false;
    }
    outbox->ahead_generation = outbox->generation;
}

enum ahead ahead_look(struct outbox *outbox, int64_t now) {
    bool for_doubtful = now - outbox->spilled_at >= SPILL_FOR_DOUBTFUL;

    look_again(outbox);
    if (!outbox->ahead_all) {
        if (!any_lacks_work(outbox, for_doubtful, now)) {
            return AHEAD_NOTHING;
        }
        if (look_further(outbox, for_doubtful, now) && for_doubtful) {
            outbox->spilled_at = now; /* they had their turn */
        }
    }
    if (outbox->held == NULL && !outbox->stalled && is_wanted(outbox, for_doubtful, now)) {
        outbox->fetched_before = 0;
        return AHEAD_WANTED;
    }
    return outbox->ahead_all ? AHEAD_NOTHING : AHEAD_UNKNOWN;
}

bool ahead_may_come(struct outbox *outbox, int64_t now) {
    return any_lacks_work(outbox, true, now) &&
           (!outbox->ahead_all || is_wanted(outbox, true, now));
}
