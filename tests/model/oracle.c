/*
** oracle.c: what really happened, and what must hold (oracle.h).
**
** One truth for each event that any copy of app.db still knows; in it, one entry for each
** subscription's place. A pair is done when its target accepted it or it ended with a reason. A
** pair that is done may be sent again only when it is excused: it was in flight or not recorded at
** a crash, not synced at a power loss, or a replay was asked for.
** SPDX-License-Identifier: MIT
*/
#include "oracle.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rules.h"

enum { TRUTHS = 256, OPEN_REQUESTS = 64 };

enum fate { FREE, OPEN, COMMITTED, ROLLED_BACK, LOST };

struct pair_truth {
    bool wanted;
    bool done, in_flight, excused;
    bool filtered, ever_filtered, replayed;
    bool forgotten; /* its history went after its event: unknown, should a backup bring the event
                       back */
    bool stopped;   /* it was dead where that stops its key */
    int sent;       /* how often */
    int touched;    /* when it was sent or answered, in the oracle's own count */
};

struct truth {
    enum fate fate;
    int id, created, shape, deliver_at, key, type;
    struct pair_truth pair[SUBS];
};

struct request_truth {
    bool used, closed, durable, lost;
    bool consumed, may_be_again; /* carried out; and something took that back since */
    int created, sub, event, truth, sent_before;
};

static struct {
    struct truth truth[TRUTHS];
    struct request_truth request[OPEN_REQUESTS];
    int moment, side_synced; /* the oracle's own count of what happens */
    int gone[SUBS];          /* the moment of the subscription whose target said 410 */
    bool unadopted; /* the file was replaced behind the dispatcher's back, and it can know */
    bool restored;  /* … or at all, since the last --adopt */
    long sends, repeats, lost_after_sending, replays, rewinds, holds, ended;
} oracle;

void oracle_reset(void) {
    memset(&oracle, 0, sizeof oracle);
}

static bool holds_truth(const struct app *state, int truth) {
    for (int i = 0; i < state->events; i++) {
        if (state->outbox[i].truth == truth) {
            return true;
        }
    }
    return false;
}

static bool is_remembered(int truth) {
    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].truth == truth) {
            return true;
        }
    }
    return holds_truth(&app.working, truth) || holds_truth(&app.committed, truth) ||
           holds_truth(&app.synced, truth) ||
           (app.has_savepoint && holds_truth(&app.savepoint, truth)) ||
           (app.has_backup && holds_truth(&app.backup, truth));
}

static int free_truth(void) {
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < TRUTHS; i++) {
            if (oracle.truth[i].fate == FREE) {
                return i;
            }
        }
        for (int i = 0; i < TRUTHS; i++) {
            if (!is_remembered(i)) {
                oracle.truth[i].fate = FREE;
            }
        }
    }
    assert(!"the oracle has too few truths");
    return 0;
}

/* ---- the application ---- */

int oracle_emit(const struct event *event, int shape) {
    int place = free_truth();
    struct truth *truth = &oracle.truth[place];

    *truth = (struct truth){
        .fate = OPEN,
        .id = event->id,
        .created = event->created,
        .shape = shape,
        .deliver_at = event->deliver_at,
        .key = event->key,
        .type = event->type,
    };
    for (int i = 0; i < SUBS; i++) {
        const struct subscription *sub = &app.working.sub[i];

        truth->pair[i].wanted =
            (sub->status == ACTIVE || sub->status == PAUSED) &&
            (event->only == NOBODY ? (sub->types & 1U << event->type) != 0 : event->only == i);
    }
    return place;
}

void oracle_committed(void) {
    for (int i = 0; i < app.committed.events; i++) {
        oracle.truth[app.committed.outbox[i].truth].fate = COMMITTED;
    }
}

static bool has_request(const struct app *state, int created) {
    for (int i = 0; i < state->requests; i++) {
        if (state->request[i].created == created) {
            return true;
        }
    }
    return false;
}

/* Events of before that are not in after. */
static void fade(const struct app *before, const struct app *after, enum fate fate) {
    for (int i = 0; i < before->events; i++) {
        if (!app_has(after, before->outbox[i].id, before->outbox[i].created)) {
            oracle.truth[before->outbox[i].truth].fate = fate;
        }
    }
}

void oracle_undone(const struct app *before, const struct app *after) {
    fade(before, after, ROLLED_BACK);
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        struct request_truth *request = &oracle.request[i];

        if (request->used && has_request(before, request->created) &&
            !has_request(after, request->created)) {
            request->used = false;
        }
    }
}

/* The machine or the operator took commits back. Requests that were carried out may be carried out
** again, those that were lost are nobody's. */
void oracle_lost(const struct app *before, const struct app *after) {
    for (int i = 0; i < before->events; i++) {
        const struct truth *truth = &oracle.truth[before->outbox[i].truth];

        if (!app_has(after, truth->id, truth->created)) {
            for (int j = 0; j < SUBS; j++) {
                oracle.lost_after_sending += truth->pair[j].sent > 0;
            }
        }
    }
    fade(before, after, LOST);
    for (int i = 0; i < after->events; i++) {
        oracle.truth[after->outbox[i].truth].fate = COMMITTED;
    }
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        struct request_truth *request = &oracle.request[i];

        request->may_be_again = true;
        request->lost =
            request->lost || (!has_request(after, request->created) && !request->durable);
    }
}

void oracle_app_synced(void) {
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        if (has_request(&app.working, oracle.request[i].created) ==
            has_request(&app.committed, oracle.request[i].created)) {
            oracle.request[i].durable = true;
        }
    }
}

static bool place_is_used(const struct side *state, int sub) {
    for (int i = 0; i < state->rows; i++) {
        if (state->row[i].sub == sub) {
            return true;
        }
    }
    return state->effect[sub].wanted;
}

bool oracle_place_free(int sub) {
    if ((app.has_savepoint && app.savepoint.sub[sub].status != UNUSED) ||
        app.committed.sub[sub].status != UNUSED || app.synced.sub[sub].status != UNUSED ||
        (app.has_backup && app.backup.sub[sub].status != UNUSED) || me.sub[sub].status != UNUSED ||
        place_is_used(&side.committed, sub) || place_is_used(&side.synced, sub)) {
        return false;
    }
    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].sub == sub) {
            return false;
        }
    }
    for (int i = 0; i < TRUTHS; i++) {
        oracle.truth[i].pair[sub] = (struct pair_truth){0};
    }
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        if (oracle.request[i].sub == sub) {
            oracle.request[i].used = false;
        }
    }
    return true;
}

/* What is known of targets that said 410, when the rest is forgotten. */
static void recall_gone(void) {
    for (int i = 0; i < SUBS; i++) {
        const struct effect *effect = &side.committed.effect[i];

        oracle.gone[i] = effect->wanted ? effect->updated : 0;
    }
}

void oracle_restored(void) {
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        oracle.request[i].lost = !has_request(&app.committed, oracle.request[i].created);
    }
    const struct anchor *known = &side.committed.anchor[0];
    bool dispatcher_knows = me.running || side.committed.boot == boot;

    if (me.running) {
        known = &me.last;
    }
    recall_gone();
    oracle.restored = true;
    oracle.unadopted =
        dispatcher_knows && known->id != 0 && !app_has(&app.committed, known->id, known->created);
}

/* ---- sending ---- */

void oracle_filtered(int sub, int truth, bool out) {
    oracle.truth[truth].pair[sub].filtered = out;
    oracle.truth[truth].pair[sub].ever_filtered |= out;
}

static void check_order(const struct pair *pair, const struct truth *truth) {
    for (int i = 0; i < app.committed.events; i++) {
        const struct event *event = &app.committed.outbox[i];
        const struct pair_truth *before = &oracle.truth[event->truth].pair[pair->sub];

        if (event->id == truth->id || event->key != truth->key || !before->wanted) {
            continue;
        }
        if (before->in_flight) {
            broken("s%d-%d is sent beside s%d-%d, which has the same key", pair->sub, pair->event,
                   pair->sub, event->id);
        }
        if (event->id < truth->id && before->stopped &&
            app.committed.sub[pair->sub].ordered == STOPS) {
            broken("s%d-%d is sent past s%d-%d, which stopped its key", pair->sub, pair->event,
                   pair->sub, event->id);
        }
        if (event->id < truth->id && !before->done && !before->ever_filtered) {
            broken("s%d-%d is sent before s%d-%d, which has the same key and is not final",
                   pair->sub, pair->event, pair->sub, event->id);
        }
    }
}

void oracle_send(const struct pair *pair, int shape) {
    const struct truth *truth = &oracle.truth[pair->truth];
    struct pair_truth *mine = &oracle.truth[pair->truth].pair[pair->sub];
    const struct subscription *sub = &app.committed.sub[pair->sub];

    if (truth->fate != COMMITTED) {
        broken("s%d-%d is sent, and its transaction %s", pair->sub, pair->event,
               truth->fate == OPEN          ? "has not committed"
               : truth->fate == ROLLED_BACK ? "was rolled back"
                                            : "was lost before");
    }
    if (oracle.unadopted) {
        broken("s%d-%d is sent from a restored file that nobody adopted", pair->sub, pair->event);
    }
    if (!mine->wanted) {
        broken("s%d-%d is sent, and s%d was not subscribed when event %d was written", pair->sub,
               pair->event, pair->sub, pair->event);
    }
    if (sub->status != ACTIVE) {
        broken("s%d-%d is sent while the subscription is %s", pair->sub, pair->event,
               sub->status == PAUSED ? "paused" : "ended");
    }
    if (oracle.gone[pair->sub] != 0 && oracle.gone[pair->sub] == sub->updated) {
        broken("s%d-%d is sent to a target that said 410", pair->sub, pair->event);
    }
    if (now < truth->deliver_at) {
        broken("s%d-%d is sent at %d, before its deliver_at %d", pair->sub, pair->event, now,
               truth->deliver_at);
    }
    if (shape != truth->shape) {
        broken("s%d-%d is read by another definition than it was captured under", pair->sub,
               pair->event);
    }
    if (mine->in_flight) {
        broken("s%d-%d is sent twice at the same time", pair->sub, pair->event);
    }
    if (mine->done && !mine->excused) {
        broken("s%d-%d is sent again without cause", pair->sub, pair->event);
    }
    if (sub->ordered != NOT_ORDERED) {
        check_order(pair, truth);
    }
    mine->stopped = false;
    oracle.sends++;
    oracle.repeats += mine->done && !mine->replayed;
    mine->in_flight = true;
    mine->sent++;
    mine->touched = ++oracle.moment;
}

void oracle_verdict(const struct pair *pair, bool final) {
    struct pair_truth *mine = &oracle.truth[pair->truth].pair[pair->sub];

    mine->in_flight = false;
    mine->stopped = me.sub[pair->sub].ordered == STOPS && pair->key != KEY_UNKNOWN &&
                    (pair->verdict == FAILURE || pair->verdict == FAILURE_STOPS);
    if (final) { /* a repeat that fails is tried again */
        mine->done = true;
        mine->excused = false;
    }
    mine->touched = ++oracle.moment;
}

void oracle_stops_no_more(int sub) {
    for (int i = 0; i < TRUTHS; i++) {
        oracle.truth[i].pair[sub].stopped = false;
    }
}

/* A truth by what the side file has of it; NULL when no copy of app.db knows the event any more. */
static struct truth *truth_of(int event, int created) {
    for (int i = 0; i < TRUTHS; i++) {
        struct truth *truth = &oracle.truth[i];

        if (truth->fate != FREE && truth->id == event && truth->created == created) {
            return truth;
        }
    }
    return NULL;
}

void oracle_ended(int sub, int event, int created) {
    struct truth *truth = truth_of(event, created);

    if (truth != NULL) {
        truth->pair[sub].done = true;
        truth->pair[sub].touched = ++oracle.moment;
        oracle.ended++;
        for (int i = 0; i < OPEN_REQUESTS; i++) {
            struct request_truth *request = &oracle.request[i];

            request->closed |=
                request->consumed && request->sub == sub && &oracle.truth[request->truth] == truth;
        }
    }
}

void oracle_decided(int sub, int event, int created) {
    struct truth *truth = truth_of(event, created);

    if (truth != NULL) {
        truth->pair[sub].stopped = false;
    }
}

void oracle_gone(int sub, int updated) {
    if (updated > oracle.gone[sub]) {
        oracle.gone[sub] = updated;
    }
}

void oracle_target_ended(int sub, int updated) {
    if (app.committed.sub[sub].updated != updated) {
        broken("s%d ends for a 410, but it was changed after that request was sent", sub);
    }
}

static bool has_event_to_read(int sub) {
    const struct subscription *known = &me.sub[sub];

    for (int i = 0; i < app.committed.events; i++) {
        const struct event *event = &app.committed.outbox[i];

        if (event->id > me.read &&
            (event->only == NOBODY ? known->from_id < event->id && event->id <= known->to_id &&
                                         (known->types >> event->type & 1) != 0
                                   : event->only == sub)) {
            return true;
        }
    }
    return false;
}

/* A backlog for one target costs no rows: somebody else must be in want of what is behind it. */
void oracle_spill(void) {
    for (int i = 0; i < SUBS; i++) {
        if (dispatcher_wants_work(i) && has_event_to_read(i)) {
            return;
        }
    }
    broken("events make way for the cursor although nobody lacks work that is behind them");
}

/* ---- the two files ---- */

void oracle_recorded(void) {
    int kept[SUBS] = {0};

    for (int i = 0; i < side.committed.rows; i++) {
        const struct delivery *row = &side.committed.row[i];

        kept[row->sub] += !is_final(row) && me.sub[row->sub].status == PAUSED &&
                          pair_of(row->sub, row->event) == NULL;
        if (kept[row->sub] > KEEP) {
            broken("more than %d rows are kept for the paused s%d", KEEP, row->sub);
        }
    }
}

void oracle_side_synced(void) {
    oracle.side_synced = ++oracle.moment;
}

/* Closed: sent since it was filed, or ended with a reason. */
static bool is_closed(struct request_truth *request) {
    const struct truth *truth = &oracle.truth[request->truth];
    enum status status = app.committed.sub[request->sub].status;

    request->closed |= truth->pair[request->sub].sent > request->sent_before || status == UNUSED ||
                       status == ENDED ||
                       truth->pair[request->sub].filtered; /* read again after a power loss */
    return request->closed;
}

void oracle_removed(const struct event *event) {
    const struct truth *truth = &oracle.truth[event->truth];

    for (int i = 0; i < SUBS; i++) {
        if (truth->pair[i].wanted && !truth->pair[i].done && !truth->pair[i].filtered &&
            app.committed.sub[i].status != UNUSED) {
            broken("event %d leaves the outbox, and s%d-%d is not final", event->id, i, event->id);
        }
    }
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        struct request_truth *request = &oracle.request[i];

        if (request->used && !is_closed(request) && request->truth == event->truth &&
            has_request(&app.committed, request->created)) {
            broken("event %d leaves the outbox, and a request names it", event->id);
        }
    }
    if (event->id == app.committed.outbox[app.committed.events - 1].id) {
        broken("the greatest event, %d, leaves the outbox: its id may come back", event->id);
    }
}

void oracle_forgot(int sub, int event, int created) {
    struct truth *truth = truth_of(event, created);

    if (truth != NULL) {
        truth->pair[sub].forgotten = true;
        truth->pair[sub].excused = !app_has(&app.committed, event, created);
    }
}

/* ---- requests ---- */

static bool is_on_file(int created) {
    return has_request(&app.working, created) || has_request(&app.committed, created) ||
           has_request(&app.synced, created) ||
           (app.has_savepoint && has_request(&app.savepoint, created)) ||
           (app.has_backup && has_request(&app.backup, created));
}

void oracle_request(const struct request *request, int truth) {
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        if (!oracle.request[i].used || ((oracle.request[i].closed || oracle.request[i].lost) &&
                                        !is_on_file(oracle.request[i].created))) {
            oracle.request[i] = (struct request_truth){
                .used = true,
                .created = request->created,
                .sub = request->sub,
                .event = request->event,
                .truth = truth,
                .sent_before = oracle.truth[truth].pair[request->sub].sent,
            };
            return;
        }
    }
    assert(!"the oracle has too few requests");
}

void oracle_consumed(const struct request *request, bool honoured) {
    const struct delivery *row = side_find(&side.committed, request->sub, request->event);

    for (int i = 0; i < OPEN_REQUESTS; i++) {
        struct request_truth *mine = &oracle.request[i];

        if (mine->used && mine->created == request->created) {
            struct pair_truth *pair = &oracle.truth[mine->truth].pair[mine->sub];

            is_closed(mine);
            if (mine->consumed && !mine->may_be_again) {
                broken("request %d is carried out twice", request->id);
            }
            mine->consumed = true;
            mine->may_be_again = false;
            mine->closed |= row == NULL && mine->event <= side.committed.cursor; /* forgotten */
            if (honoured) {
                pair->excused = pair->replayed = true;
                oracle.replays++;
            }
        }
    }
}

void oracle_request_removed(const struct request *request) {
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        if (oracle.request[i].used && oracle.request[i].created == request->created &&
            !oracle.request[i].consumed && !is_closed(&oracle.request[i])) {
            broken("request %d is deleted before it is carried out", request->id);
        }
    }
}

/* ---- crashes ---- */

void oracle_crashed(void) {
    int unrecorded = 0;

    recall_gone();
    for (int i = 0; i < me.pairs; i++) {
        struct pair_truth *pair = &oracle.truth[me.pair[i].truth].pair[me.pair[i].sub];

        if (me.pair[i].state == IN_FLIGHT || me.pair[i].state == FINISHED) {
            unrecorded += me.pair[i].state == FINISHED;
            pair->excused = true;
            pair->done |= pair->in_flight && chance(50); /* the target may have taken it */
            pair->in_flight = false;
        }
    }
    if (unrecorded > GROUP) {
        broken("%d outcomes were not recorded at a crash", unrecorded);
    }
    oracle.unadopted = oracle.unadopted && !app_has(&app.committed, side.committed.anchor[0].id,
                                                    side.committed.anchor[0].created);
}

/* Both files are as they were synced; the dispatcher's memory is gone. */
void oracle_power_lost(void) {
    recall_gone();
    for (int i = 0; i < TRUTHS; i++) {
        for (int j = 0; j < SUBS; j++) {
            struct pair_truth *pair = &oracle.truth[i].pair[j];

            pair->excused |= pair->touched > oracle.side_synced;
        }
    }
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        oracle.request[i].may_be_again = true;
    }
    oracle.unadopted = false; /* a file that was replaced before a reboot looks like a power loss */
}

void oracle_held(void) {
    oracle.holds++;
    if (!oracle.restored) {
        broken("the dispatcher holds, and nobody restored anything");
    }
}

/* Before the dispatcher goes back. What a replaced file brings back may have been sent in a life
** that nobody has the records of any more: such repeats are the operator's. */
void oracle_goes_back(void) {
    for (int i = 0; i < app.committed.events && oracle.restored; i++) {
        const struct event *event = &app.committed.outbox[i];

        for (int j = 0; j < SUBS; j++) {
            const struct delivery *row = side_find(&side.committed, j, event->id);

            if (row == NULL || row->created != event->created) {
                struct pair_truth *pair = &oracle.truth[event->truth].pair[j];

                pair->excused = true;
                pair->forgotten |= pair->done;
            }
        }
    }
    oracle.rewinds++;
    oracle.restored = false;
}

void oracle_adopted(void) {
    oracle.unadopted = false;
}

/* ---- what must hold ---- */

/* Does the side file speak of the app.db that is there? After a power loss or a restore it may not,
** until it noticed. */
static bool is_in_step(void) {
    const struct anchor *last = me.running ? &me.last : &side.committed.anchor[0];

    return !me.held && (last->id == 0 || app_has(&app.committed, last->id, last->created));
}

/* The invariant: every pair of an event <= cursor has a row, or was filtered. */
static void check_pair(const struct event *event, int sub, const struct delivery *row) {
    const struct pair_truth *pair = &oracle.truth[event->truth].pair[sub];
    bool mine = row != NULL && row->created == event->created;

    if (row != NULL && !mine) {
        broken("s%d-%d: the row of another event with that id stands in its place", sub, event->id);
    }
    if (mine && !pair->wanted) {
        broken("s%d-%d has a row, and is not wanted", sub, event->id);
    }
    if (pair->wanted && event->id <= side.committed.cursor && !mine && !pair->filtered &&
        !pair->forgotten) {
        broken("s%d-%d is lost: it is below the cursor %d, has no row and was not filtered", sub,
               event->id, side.committed.cursor);
    }
    if (pair->wanted && app.committed.sub[sub].status == UNUSED && !pair->done && !pair->filtered) {
        broken("s%d-%d is lost: the subscription is gone, and it is not final", sub, event->id);
    }
}

/* A request that has left its table has done what it asked for, or its row says that it will. */
static void check_request(struct request_truth *request) {
    if (request->used && !request->lost && request->consumed && !is_closed(request) &&
        !has_request(&app.committed, request->created)) {
        const struct delivery *row = side_find(&side.committed, request->sub, request->event);

        if (row == NULL || is_final(row)) {
            broken("the request to replay s%d-%d is gone, and nothing came of it", request->sub,
                   request->event);
        }
    }
}

void oracle_check(void) {
    int window = 0;

    if (me.running && side.unsynced && now - side.unsynced_since > SECOND) {
        broken("the side file was not synced for %d ticks", now - side.unsynced_since);
    }
    if (!is_in_step()) {
        return;
    }
    for (int i = 0; i < app.committed.events && me.running; i++) {
        int id = app.committed.outbox[i].id;

        window += id > side.committed.cursor && id <= me.read;
    }
    if (window > WINDOW) {
        broken("%d events are above the cursor and read", window);
    }
    for (int i = 0; i < app.committed.events; i++) {
        const struct event *event = &app.committed.outbox[i];
        const struct delivery *row[SUBS] = {NULL};

        for (int j = 0; j < side.committed.rows; j++) {
            if (side.committed.row[j].event == event->id) {
                row[side.committed.row[j].sub] = &side.committed.row[j];
            }
        }
        for (int j = 0; j < SUBS; j++) {
            check_pair(event, j, row[j]);
        }
    }
    for (int i = 0; i < side.committed.rows; i++) {
        const struct delivery *row = &side.committed.row[i];

        if (!is_final(row) && !app_has(&app.committed, row->event, row->created)) {
            broken("s%d-%d is not final, and its event is gone", row->sub, row->event);
        }
    }
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        check_request(&oracle.request[i]);
    }
}

static bool is_sending(int sub) {
    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].sub == sub && me.pair[i].state == IN_FLIGHT) {
            return true;
        }
    }
    return false;
}

/* Does it wait for one that stopped its key, or for somebody's decision itself? */
static bool is_behind_stopped(int sub, const struct event *event) {
    for (int i = 0; i < side.committed.rows && event != NULL; i++) {
        const struct delivery *row = &side.committed.row[i];

        if (row->sub == sub && row->state == STOPPED && row->event <= event->id &&
            row->key == event->key && app.committed.sub[sub].ordered == STOPS) {
            return true;
        }
    }
    return false;
}

/* The application is quiet, every target but one answers, and there was time for everything. */
void oracle_check_drained(int hung) {
    for (int i = 0; i < app.committed.events; i++) {
        const struct event *event = &app.committed.outbox[i];

        for (int j = 0; j < SUBS; j++) {
            const struct pair_truth *pair = &oracle.truth[event->truth].pair[j];
            const struct subscription *sub = &app.committed.sub[j];

            if (pair->wanted && !pair->done && !pair->filtered && !is_sending(j) &&
                !is_behind_stopped(j, event) &&
                ((sub->status == ACTIVE && sub->endpoint != hung) ||
                 (sub->status == ENDED && event->id <= me.read))) {
                broken("s%d-%d is never delivered%s", j, event->id,
                       hung < 0 ? "" : " while another target hangs");
            }
        }
    }
    for (int i = 0; i < OPEN_REQUESTS; i++) {
        struct request_truth *request = &oracle.request[i];
        const struct subscription *sub = &app.committed.sub[request->sub];

        if (request->used && !request->lost && !is_closed(request) && sub->status == ACTIVE &&
            sub->endpoint != hung && !app.writing &&
            !is_behind_stopped(request->sub, app_event(&app.committed, request->event))) {
            broken("the request to replay s%d-%d is never carried out", request->sub,
                   request->event);
        }
    }
}

void oracle_counts(void) {
    printf(
        "%ld requests sent; repeated after crashes %ld, by replay %ld; cancelled or expired %ld\n"
        "sent, and then lost by the application's own power loss or restore: %ld\n"
        "held %ld times\n",
        oracle.sends, oracle.repeats, oracle.replays, oracle.ended, oracle.lost_after_sending,
        oracle.holds);
}
