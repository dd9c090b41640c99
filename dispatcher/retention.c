/*
** retention.c: see retention.h: when a step is taken.
**
** Everything here is a small step that may be put off. A step in app.db waits until nobody has
** written there for a while (or, where somebody always does, takes a slot of about a millisecond
** every ten seconds, or as often as it takes to keep pace with what grows old), tries its lock once
** and gives way.
** SPDX-License-Identifier: MIT
*/
#include "retention.h"

#include <stdlib.h>

#include "memory.h"
#include "state.h"
#include "sweep.h"
#include "writer.h"

#define QUIET 200      /* ms without a commit of others before app.db is written */
#define SLOT 10000     /* ms between two steps where it is never quiet … */
#define SLOT_LEAST 250 /* … and where one is not enough, halved until it is or this is reached */
#define EVERY 1000     /* ms between two looks for work … */
#define SOON 50        /* … and between the steps of a round */
#define SWEEP_EVERY 60000 /* ms between two rounds over everything */

struct retention {
    struct outbox *outbox;
    struct app_sweep *app;
    struct side_sweep *side;
    bool ready; /* the writer is open, and what is asked of it prepared */
    int64_t disturbed_at, next_at;
    int64_t chance_at; /* when app.db could last be written */
    int64_t slot;      /* so long after that it is written although it is not quiet */
    int64_t next_sweep;
    bool hurried;    /* it was told to be quick */
    bool swept;      /* the last round came to its end */
    bool side_swept; /* this one's part in the side file did */
};

struct retention *retention_new(struct outbox *outbox, int64_t now) {
    struct retention *retention = xcalloc(1, sizeof *retention);

    retention->outbox = outbox;
    retention->app = app_sweep_new(outbox);
    retention->side = side_sweep_new(outbox);
    retention->next_at = now + EVERY;
    retention->chance_at = now;
    retention->slot = SLOT;
    retention->next_sweep = now + EVERY;
    return retention;
}

void retention_free(struct retention *retention) {
    app_sweep_free(retention->app);
    side_sweep_free(retention->side);
    free(retention);
}

bool retention_is_done(const struct retention *retention) {
    return retention->swept;
}

void retention_noticed(struct retention *retention, int64_t now) {
    if (writer_others(retention->outbox->writer)) {
        retention->disturbed_at = now;
    }
}

void retention_clock(struct retention *retention, int64_t now) {
    retention->disturbed_at = retention->chance_at = now;
    retention->next_at = retention->next_sweep = now;
    retention->side_swept = false;
    side_sweep_restart(retention->side);
}

int64_t retention_due(const struct retention *retention) {
    return retention->swept ? NEVER : retention->next_at;
}

static bool get_ready(struct retention *retention) {
    struct outbox *outbox = retention->outbox;

    if (!retention->ready && writer_open(outbox->writer)) {
        app_sweep_prepare(retention->app);
        effect_prepare(outbox);
        notice_prepare(outbox);
        retention->ready = writer_db(outbox->writer)->rc == SQLITE_OK;
        if (!retention->ready) {
            writer_close(outbox->writer);
        }
    }
    return retention->ready;
}

/* Writes one kind of what waits to be written to app.db, so that its lock is soon given back. */
static void write_one(struct retention *retention, int64_t now) {
    struct outbox *outbox = retention->outbox;
    int64_t before = writer_commits(outbox->writer);

    if (outbox->effects_wait) {
        effect_write(outbox, now);
    }
    if (writer_commits(outbox->writer) == before && outbox->notices_wait) {
        notice_move(outbox);
    }
    if (writer_commits(outbox->writer) == before &&
        outbox->request_cursor > outbox->requests_deleted) {
        app_sweep_requests(retention->app, now);
    }
}

/* Until the next step of a round. Where only a slot is left to wait for, sooner is of no use. */
static int64_t pause_of(const struct retention *retention, bool quiet) {
    if (quiet || !retention->side_swept) {
        return SOON;
    }
    return sooner(retention->slot, EVERY);
}

void retention_turn(struct retention *retention, int64_t now) {
    struct outbox *outbox = retention->outbox;
    bool quiet = now - retention->disturbed_at >= QUIET;
    bool may = quiet || now - retention->chance_at >= retention->slot;
    int64_t before = writer_commits(outbox->writer);
    bool more = false;

    if (now < retention->next_at) {
        return;
    }
    retention->next_at = now + EVERY;
    if (outbox->stalled || outbox->revision < 0 || !get_ready(retention)) {
        return;
    }
    if (may) {
        write_one(retention, now);
    }
    if (now >= retention->next_sweep) { /* not over before what it finds had its turn */
        bool wrote = writer_commits(outbox->writer) > before;

        more = app_sweep_events(retention->app, may && !wrote, now) || wrote;
        if (!quiet && more && may) {
            retention->slot = later(retention->slot / 2, SLOT_LEAST);
        }
    }
    if (quiet || writer_commits(outbox->writer) > before) {
        retention->chance_at = now;
    }
    if (now < retention->next_sweep) {
        return;
    }
    retention->swept = false;
    retention->side_swept = retention->side_swept || !side_sweep_step(retention->side, now);
    if (more || !retention->side_swept) {
        retention->next_at = now + pause_of(retention, quiet);
        return;
    }
    retention->slot = sooner(retention->slot * 2, SLOT);
    retention->next_sweep = now + SWEEP_EVERY;
    app_sweep_restart(retention->app);
    retention->swept = true;
    retention->side_swept = false;
    if (quiet) {
        app_sweep_keys(retention->app, now);
        app_sweep_watches(retention->app);
    }
}

bool retention_hurry(struct retention *retention, int64_t now) {
    if (!retention->hurried) {
        retention->hurried = true;
        retention->swept = false;
        retention->next_sweep = now;
    }
    if (!retention->swept) {
        retention->next_at = now;
        retention_turn(retention, now);
    }
    return !retention->swept;
}
