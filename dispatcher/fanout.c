/*
** fanout.c: an event becomes pairs: one for each subscription that wants it.
**
** Rows are read together with the subscriptions they are matched with, in one snapshot of app.db. A
** pair that can be sent waits in its subscription's line; one that can't (paused, for later, held,
** not JSON) is written as a row.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "log.h"
#include "memory.h"
#include "state.h"

void fanout_free(struct outbox *outbox) {
    struct sub *sub;
    struct pair *pair;

    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        struct pairs *lists[] = {&sub->fresh, &sub->again, &sub->busy};

        line_done(&sub->line);
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
            while ((pair = TAILQ_FIRST(lists[i])) != NULL) {
                TAILQ_REMOVE(lists[i], pair, links);
                pair_free(&outbox->window, pair);
            }
        }
    }
    names_free(outbox);
}

/* Was it kept too long? Its age counts from the time for which it was meant: deliver_at, or the
** replay of one that was never sent. */
static bool is_expired(const struct outbox *outbox, const struct outbox_row *row, int64_t meant_for,
                       int64_t now) {
    int64_t since = later(row->deliver_at, row->created_at);

    since = later(since, meant_for);
    return row->created_at > 0 && now - since > outbox->subs.settings.keep_pending;
}

/* What can never be sent. */
static void mark_unsendable(struct outbox *outbox, struct pair *pair, const char *why,
                            int64_t now) {
    char *stopped = order_stops(pair, why);

    pair_mark(outbox, pair, stopped != NULL ? STATE_HELD : STATE_DEAD, NEVER,
              stopped != NULL ? stopped : why, now);
    free(stopped);
}

/* What the row that was read is ordered by. */
static const char *key_read(const struct outbox *outbox) {
    const char *key = reader_key(outbox->reader);

    return key != NULL ? key : ORDER_UNKNOWN;
}

/* Where a new pair goes. */
static void place_pair(struct outbox *outbox, struct pair *pair, const struct outbox_row *row,
                       enum reading reading, const char *why, int64_t now) {
    struct sub *sub = pair->sub;
    int64_t next_at = later(row->deliver_at, now);
    bool waits = order_enter(outbox, pair, key_read(outbox));

    if (sub->status == SUB_ENDED) {
        pair_mark(outbox, pair, STATE_CANCELLED, NEVER, sub->ended, now);
    } else if (reading == READ_DEAD) {
        mark_unsendable(outbox, pair, why, now);
    } else if (is_expired(outbox, row, 0, now)) { /* nobody has delivered for so long */
        pair_mark(outbox, pair, STATE_DEAD, NEVER, "expired", now);
    } else if (reading == READ_HELD) {
        held_mark(outbox, pair, NULL, why, now);
    } else if (waits) {
        pair_mark(outbox, pair, STATE_PENDING, NEVER, NULL, now);
    } else if (!subscription_sends(sub, row->id) || row->deliver_at > now) {
        pair_mark(outbox, pair, STATE_PENDING, next_at, sub->kept, now);
    } else {
        TAILQ_INSERT_TAIL(&sub->fresh, pair, links);
        sub_announce(sub);
    }
}

static bool known_already(struct outbox *outbox, const struct sub *sub, int64_t event) {
    return event <= sub->recorded_to && journal_recorded(outbox->journal, sub->n, event);
}

/* The subscriptions that want a row, in subs[0..count). For `only` that is one at most. */
static int who_wants(struct outbox *outbox, const struct outbox_row *row, struct event_name *name,
                     struct sub **only, struct sub ***subs) {
    if (row->only != NULL) {
        *only = subscription_named(&outbox->subs, row->only);
        *subs = only;
        return *only != NULL ? 1 : 0;
    }
    *subs = name->subs;
    return name->count;
}

/* Its filter left an event out. It is counted with the cursor, in one commit. */
static void count_filtered(struct outbox *outbox, struct sub *sub) {
    if (sub->filtered++ == 0) {
        SLIST_INSERT_HEAD(&outbox->counted, sub, counted);
    }
    outbox->counts_moved = true;
}

/* What a subscription's filter makes of the row that was read. A ping is for nobody else and has
** nothing that could be judged. */
static enum reading judge(struct outbox *outbox, const struct sub *sub,
                          const struct outbox_row *row, const struct event *event,
                          enum reading reading, const char **why) {
    if (reading != READ_BODY || sub->filter == NULL || (row->only != NULL && !row->captured)) {
        return reading;
    }
    return reader_judge(outbox->reader, sub->filter, event->name, &event->body[FORMAT_BARE], why);
}

/* The pair of a row that was read, unless the filter leaves it out. */
static void take_pair(struct outbox *outbox, struct event *event, struct sub *sub,
                      const struct outbox_row *row, enum reading reading, const char *why,
                      int64_t now) {
    reading = judge(outbox, sub, row, event, reading, &why);
    if (reading != READ_FILTERED) {
        place_pair(outbox, pair_new(&outbox->window, event, sub), row, reading, why, now);
    } else if (row->id > outbox->counted_to) { /* read again after a crash: it is counted already */
        count_filtered(outbox, sub);
    }
}

bool fanout_take(struct outbox *outbox, const struct outbox_row *row, int64_t now) {
    struct db *side = journal_db(outbox->journal);
    struct event_name *name;
    struct sub **subs, *only;
    struct event *event;
    enum reading reading;
    const char *why = NULL;
    bool with_change = false;
    int count, wanting = 0;

    if (row->event == NULL) {
        log_line(LOG_WARN, "a row of the outbox has no event name and is passed over", "database",
                 outbox->path, "id#", (long long)row->id, NULL);
        return true;
    }
    name = names_find(outbox, row->event);
    count = who_wants(outbox, row, name, &only, &subs);
    db_clear(side);
    for (int i = 0; i < count; i++) {
        bool wants = subscription_wants(subs[i], row->id, name->text, row->only);

        wanting += wants;
        with_change = with_change || (wants && subs[i]->format == FORMAT_CHANGE);
        subs[i]->takes = wants && !known_already(outbox, subs[i], row->id);
    }
    if (side->rc != SQLITE_OK) {
        return false; /* that no row of it was read does not say that it was not sent */
    }
    if (wanting == 0) {
        return true;
    }
    if (names_number(outbox, name) == 0) {
        return false;
    }
    event = event_new(row->id, row->created_at, name->text, name->n);
    reading = reader_body(outbox->reader, &event->body[FORMAT_BARE], &event->body[FORMAT_CHANGE],
                          with_change, &event->headers, &why);
    if (reading == READ_LATER) {
        event_free(&outbox->window, event);
        return false;
    }
    if (reading == READ_FILTERED) {
        outbox->filtered += row->id > outbox->counted_to ? wanting : 0;
        outbox->counts_moved = true;
        event_free(&outbox->window, event);
        return true;
    }
    window_add(&outbox->window, event);
    for (int i = 0; i < count; i++) {
        if (subs[i]->takes) {
            take_pair(outbox, event, subs[i], row, reading, why, now);
        }
    }
    if (TAILQ_EMPTY(&event->pairs)) {
        event_free(&outbox->window, event);
    }
    return true;
}

/* The body of a row whose turn has come, and its key. */
static enum reading read_again(struct outbox *outbox, struct pair *pair, bool judged,
                               const struct outbox_row *row, const char **key, const char **why) {
    struct event *event = pair->event;
    enum reading reading =
        reader_body(outbox->reader, &event->body[FORMAT_BARE], &event->body[FORMAT_CHANGE],
                    pair->sub->format == FORMAT_CHANGE, &event->headers, why);

    *key = key_read(outbox);
    if (!judged && reading == READ_BODY) {
        reading = judge(outbox, pair->sub, row, event, reading, why);
        if (reading == READ_FILTERED) {
            count_filtered(outbox, pair->sub);
        }
    }
    return reading;
}

bool fanout_row(struct outbox *outbox, struct sub *sub, const struct due_row *due, int64_t now) {
    struct outbox_row row;
    bool read = reader_row(outbox->reader, due->event, &row);

    if (!read && reader_db(outbox->reader)->rc != SQLITE_OK) {
        return false; /* that it was not read does not say that it is gone */
    }
    bool there = read && row.created_at == due->created_at && row.event != NULL;
    bool forgotten = there && row.only != NULL && strcmp(row.only, sub->id) != 0;
    struct event_name *name = there ? names_find(outbox, row.event) : NULL;
    struct event *event = event_new(due->event, due->created_at, there ? name->text : "", 0);
    struct pair *pair = pair_new(&outbox->window, event, sub);
    enum reading reading = READ_BODY;
    const char *why = NULL, *key = ORDER_UNKNOWN;
    bool waits;

    pair->again = true;
    pair->attempts = due->attempts;
    pair->base = due->base;
    pair_settled(pair); /* the row is there: it holds no cursor */
    if (there && !forgotten) {
        reading = read_again(outbox, pair, due->judged, &row, &key, &why);
    }
    reader_rows_done(outbox->reader);
    if (reading == READ_LATER) {
        pair_free(&outbox->window, pair);
        return false;
    }
    waits = order_enter_row(outbox, pair, key);
    if (!there) {
        pair_mark(outbox, pair, STATE_DEAD, NEVER, "its event is gone from the outbox", now);
    } else if (forgotten) {
        pair_mark(outbox, pair, STATE_CANCELLED, NEVER, "forgotten", now);
    } else if (reading == READ_DEAD) {
        mark_unsendable(outbox, pair, why, now);
    } else if (due->base <= 0 &&
               is_expired(outbox, &row, due->attempts == 0 ? due->next_at : 0, now)) {
        pair_mark(outbox, pair, STATE_DEAD, NEVER, "expired", now);
    } else if (reading == READ_HELD) {
        held_mark(outbox, pair, due, why, now);
    } else if (reading == READ_FILTERED) {
        pair_mark(outbox, pair, STATE_CANCELLED, NEVER, "filtered", now);
    } else if (waits) {
        pair_mark(outbox, pair, due->state == STATE_RETRYING ? STATE_RETRYING : STATE_PENDING,
                  NEVER, due->replayed ? "replayed" : NULL, now);
    } else if (due->attempts == 0 && row.deliver_at > now) {
        pair_mark(outbox, pair, STATE_PENDING, row.deliver_at, NULL,
                  now); /* what was before it is done, or it is no longer held */
    } else {
        TAILQ_INSERT_TAIL(&sub->again, pair, links);
        sub->again_count++;
        sub_announce(sub);
    }
    return true;
}
