/*
** notice.c: events of resthook's own: a subscription is failing, has recovered, is gone; a delivery
** is dead.
**
** One is written in the commit that records what it tells of, into the side file, and only if a live
** subscription wants it; at a quiet moment it becomes a row of the outbox and is delivered like any
** other event. A crash between the two commits of that move makes it happen twice, never not at
** all. What becomes of such an event's own deliveries makes no other: nothing goes round.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "fault.h"
#include "format.h"
#include "memory.h"
#include "sql.h"
#include "state.h"
#include "stopwatch.h"
#include "writer.h"

#define MOVE_US 1000 /* app.db is locked no longer */

struct notice {
    const char *event; /* a constant */
    struct buffer payload;
    STAILQ_ENTRY(notice) links;
};

void notice_open(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    outbox->notice_add = db_prepare(side, sql_notice_add);
    outbox->notice_list = db_prepare(side, sql_notice_list);
    outbox->notice_done = db_prepare(side, sql_notice_done);
    STAILQ_INIT(&outbox->notices);
    outbox->notices_wait = true;
}

void notice_prepare(struct outbox *outbox) {
    outbox->notice_emit = db_prepare(writer_db(outbox->writer), sql_app_notice);
}

/* "name":"text" after what is there; nothing for NULL. */
static void add_text(struct buffer *out, const char *name, const char *text) {
    if (text != NULL && *text != '\0') {
        buffer_text(out, out->length == 0 ? "{" : ",");
        render_text(out, name, strlen(name));
        buffer_text(out, ":");
        render_text(out, text, strlen(text));
    }
}

static void add_integer(struct buffer *out, const char *name, int64_t value) {
    buffer_text(out, ",");
    render_text(out, name, strlen(name));
    buffer_text(out, ":");
    render_integer(out, value);
}

static void add_time(struct buffer *out, const char *name, int64_t ms) {
    char text[32];

    if (ms > 0) {
        format_time(ms, text);
        add_text(out, name, text);
    }
}

/* What both kinds begin with. A target is shown without its path, which may be a credential. */
static struct notice *begin(const char *event, const struct sub *sub) {
    struct notice *notice = xcalloc(1, sizeof *notice);

    notice->event = event;
    add_text(&notice->payload, "subscription", sub->id);
    add_text(&notice->payload, "pattern", sub->event);
    add_text(&notice->payload, "target", sub->endpoint);
    return notice;
}

static void finish(struct outbox *outbox, struct notice *notice, int64_t now) {
    add_time(&notice->payload, "at", now);
    buffer_text(&notice->payload, "}");
    if (notice->payload.failed) {
        memory_exhausted();
    }
    STAILQ_INSERT_TAIL(&outbox->notices, notice, links);
}

void notice_subscription(struct outbox *outbox, const struct sub *sub, const char *event,
                         const char *reason, int64_t now) {
    struct notice *notice;

    if (names_wanted(outbox, event)) {
        notice = begin(event, sub);
        add_text(&notice->payload, "reason", reason);
        add_time(&notice->payload, "failing_since", sub->failing_since);
        finish(outbox, notice, now);
    }
}

void notice_dead(struct outbox *outbox, const struct pair *pair, int64_t now) {
    static const char event[] = "resthook.delivery.dead";
    const struct delivery *row = &pair->outcome;
    struct notice *notice;
    char *delivery;

    if (event_is_reserved(pair->event->name) || !names_wanted(outbox, event) ||
        (row->reason != NULL && strcmp(row->reason, "expired") == 0)) { /* by the thousand */
        return;
    }
    delivery = xprintf("%s-%lld", pair->sub->id, (long long)pair->event->id);
    notice = begin(event, pair->sub);
    add_text(&notice->payload, "event", pair->event->name);
    add_text(&notice->payload, "delivery", delivery);
    add_text(&notice->payload, "reason", row->reason);
    add_integer(&notice->payload, "attempts", row->attempts);
    if (row->status != 0) {
        add_integer(&notice->payload, "last_status", row->status);
    }
    add_text(&notice->payload, "last_error", row->error);
    add_time(&notice->payload, "last_attempt_at", row->started_at);
    add_time(&notice->payload, "created_at", row->created_at);
    finish(outbox, notice, now);
    free(delivery);
}

void notice_write(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);
    const struct notice *notice;

    STAILQ_FOREACH(notice, &outbox->notices, links) {
        db_text(side, outbox->notice_add, 1, notice->event);
        db_text(side, outbox->notice_add, 2, notice->payload.data);
        db_run(side, outbox->notice_add);
    }
}

void notice_written(struct outbox *outbox) {
    outbox->notices_wait = outbox->notices_wait || !STAILQ_EMPTY(&outbox->notices);
    notice_free(outbox);
}

void notice_free(struct outbox *outbox) {
    struct notice *notice;

    while ((notice = STAILQ_FIRST(&outbox->notices)) != NULL) {
        STAILQ_REMOVE_HEAD(&outbox->notices, links);
        buffer_free(&notice->payload);
        free(notice);
    }
}

bool notice_look(struct outbox *outbox) {
    struct db *side = journal_db(outbox->journal);

    db_clear(side);
    bool any = db_row(side, outbox->notice_list);

    outbox->notices_wait = any || side->rc != SQLITE_OK; /* not read: there may be some */
    db_reset(outbox->notice_list);
    return any;
}

void notice_move(struct outbox *outbox) {
    struct db *app = writer_db(outbox->writer), *side = journal_db(outbox->journal);
    sqlite3_stmt *list = outbox->notice_list;
    int64_t last = 0, began;

    if (!notice_look(outbox) || !writer_begin(outbox->writer, reader_is_wal(outbox->reader))) {
        return;
    }
    began = stopwatch_us();
    while ((last == 0 || stopwatch_us() - began < MOVE_US) && db_row(side, list)) {
        last = sqlite3_column_int64(list, 0);
        db_text(app, outbox->notice_emit, 1, db_string(list, 1));
        db_text(app, outbox->notice_emit, 2, db_string(list, 2));
        db_run(app, outbox->notice_emit);
    }
    db_reset(list);
    fault_point("notice.before_app_commit");
    if (writer_end(outbox->writer)) {
        /* Where it can't be synced it is done all the same: again and again it would be new events. */
        (void)writer_sync(outbox->writer, reader_is_wal(outbox->reader));
        fault_point("notice.after_app_commit");
        journal_begin(outbox->journal, true);
        db_int(side, outbox->notice_done, 1, last);
        db_run(side, outbox->notice_done);
        journal_commit(outbox->journal);
        fault_point("notice.done");
    }
}
