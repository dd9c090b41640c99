/*
** retention.c: see retention.h: when a step is taken.
**
** Everything here is a small step that may be put off. app.db and the side file have rounds of their
** own, each a minute after the one before: neither waits for the other. A step in app.db waits until
** nobody has written there for a while (or, where somebody always does, takes a slot of about a
** millisecond every ten seconds, or as often as it takes to keep pace with what grows old), tries its
** lock once and gives way. A step in the side file is soon followed by the next while most of what it
** looks at goes, so that it keeps pace with what is delivered.
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
#define SLOT_LEAST 100 /* … and where one is not enough, halved until it is or this is reached */
#define EVERY 1000     /* ms between two looks for work, … */
#define SOON 50        /* … between the steps of a round, … */
#define VERY_SOON 10   /* … and between those that delete: some 20,000 rows a second */
#define ROUND_EVERY 60000 /* ms from the end of a round over a file to the next one */

struct round {
    int64_t step_at; /* the next step; where the round is over, the first of the next round */
    bool over;       /* the last one that began came to its end */
};

struct retention {
    struct outbox *outbox;
    struct app_sweep *app;
    struct side_sweep *side;
    bool ready;         /* the writer is open, and what is asked of it prepared */
    int64_t noticed_at; /* the last commit to app.db since it was asked whose they are, 0: none */
    int64_t disturbed_at, next_at;
    int64_t chance_at; /* when app.db could last be written */
    int64_t slot;      /* so long after that it is written although it is not quiet */
    int64_t write_at;  /* … and is asked for its lock again, for what waits to be written */
    struct round of_app, of_side;
    bool hurried; /* it was told to be quick */
};

struct retention *retention_new(struct outbox *outbox, int64_t now) {
    struct retention *retention = xcalloc(1, sizeof *retention);

    retention->outbox = outbox;
    retention->app = app_sweep_new(outbox);
    retention->side = side_sweep_new(outbox);
    retention->next_at = now + EVERY;
    retention->chance_at = now;
    retention->slot = SLOT;
    retention->of_app.step_at = retention->of_side.step_at = now + EVERY;
    return retention;
}

void retention_free(struct retention *retention) {
    app_sweep_free(retention->app);
    side_sweep_free(retention->side);
    free(retention);
}

bool retention_is_done(const struct retention *retention) {
    return retention->of_app.over && retention->of_side.over;
}

bool retention_wants_app(const struct retention *retention) {
    return !retention->of_app.over;
}

/* Whose it is takes a transaction to ask: that is done in the next turn, when what was committed has been sent. */
void retention_noticed(struct retention *retention, int64_t now) {
    retention->noticed_at = now;
}

static void ask_whose(struct retention *retention) {
    if (retention->noticed_at != 0 && writer_others(retention->outbox->writer)) {
        retention->disturbed_at = retention->noticed_at;
    }
    retention->noticed_at = 0;
}

void retention_clock(struct retention *retention, int64_t now) {
    ask_whose(retention);
    retention->disturbed_at = retention->chance_at = retention->write_at = now;
    retention->next_at = retention->of_app.step_at = retention->of_side.step_at = now;
    side_sweep_restart(retention->side);
}

int64_t retention_due(const struct retention *retention) {
    return retention_is_done(retention) ? NEVER : retention->next_at;
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

static void round_step(struct round *round, bool more, int64_t now, int64_t pause) {
    round->over = !more;
    round->step_at = now + (more ? pause : ROUND_EVERY);
}

/* `may`: app.db may be written. */
static void sweep_app(struct retention *retention, bool quiet, bool may, bool wrote, int64_t now) {
    /* Not over before what it finds had its turn. */
    bool more = app_sweep_events(retention->app, may && !wrote, now) || wrote ||
                (retention->hurried &&
                 (retention->outbox->effects_wait || retention->outbox->notices_wait));

    if (!quiet && more && may) {
        retention->slot = later(retention->slot / 2, SLOT_LEAST);
    }
    /* Where only a slot is left to wait for, sooner is of no use. */
    round_step(&retention->of_app, more, now, quiet ? SOON : sooner(retention->slot, EVERY));
    if (!more) {
        retention->slot = sooner(retention->slot * 2, SLOT);
        app_sweep_restart(retention->app);
        if (quiet) {
            app_sweep_keys(retention->app, now);
            app_sweep_watches(retention->app);
        }
    }
}

static void sweep_side(struct retention *retention, int64_t now) {
    /* A step that comes late says that others take much of the time, other databases' steps perhaps. */
    int64_t late = now - retention->of_side.step_at;
    bool more = side_sweep_step(retention->side, now);

    round_step(&retention->of_side, more, now,
               side_sweep_deletes(retention->side) ? sooner(VERY_SOON + 4 * late, SOON) : SOON);
}

void retention_turn(struct retention *retention, int64_t now) {
    struct outbox *outbox = retention->outbox;
    int64_t before = writer_commits(outbox->writer);

    if (now < retention->next_at) {
        if (now > retention->noticed_at) {
            ask_whose(retention);
        }
        return;
    }
    ask_whose(retention);
    bool quiet = now - retention->disturbed_at >= QUIET;
    bool may = quiet || now - retention->chance_at >= retention->slot;

    retention->next_at = now + EVERY;
    if (outbox->stalled || outbox->revision < 0 || !get_ready(retention)) {
        return;
    }
    if (may && now >= retention->write_at) {
        write_one(retention, now);
        retention->write_at = now + SOON;
    }
    if (now >= retention->of_app.step_at) {
        sweep_app(retention, quiet, may, writer_commits(outbox->writer) > before, now);
    }
    if (quiet || writer_commits(outbox->writer) > before) {
        retention->chance_at = now;
    }
    if (now >= retention->of_side.step_at) {
        sweep_side(retention, now);
    }
    retention->next_at =
        sooner(retention->next_at, sooner(retention->of_app.step_at, retention->of_side.step_at));
}

/* Without a pause, unless it is over. */
static void hurry(struct round *round, int64_t now) {
    if (!round->over) {
        round->step_at = now;
    }
}

bool retention_hurry(struct retention *retention, int64_t now) {
    if (!retention->hurried) {
        retention->hurried = true;
        retention->of_app.over = retention->of_side.over = false;
        effect_look(retention->outbox);
        notice_look(retention->outbox);
    }
    if (!retention_is_done(retention)) {
        retention->next_at = retention->write_at = now;
        hurry(&retention->of_app, now);
        hurry(&retention->of_side, now);
        retention_turn(retention, now);
    }
    return !retention_is_done(retention);
}
