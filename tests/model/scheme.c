/*
** scheme.c: the heart of the scheme: reading, sending, recording (scheme.h; design 4.3, rules 1 to
** 5 and 10).
**
** Promises, after any crash: each pair of an event at or below the cursor has a row in the side
** file or was filtered; what is above is read again. The oracle checks both; nothing here is
** written to make that easy.
** SPDX-License-Identifier: MIT
*/
#include "scheme.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "oracle.h"
#include "rules.h"

struct side_file side;
struct dispatcher me;

void scheme_reset(void) {
    memset(&side, 0, sizeof side);
    memset(&me, 0, sizeof me);
}

/* ---- the side file ---- */

struct delivery *side_find(struct side *state, int sub, int event) {
    for (int i = 0; i < state->rows; i++) {
        if (state->row[i].event == event && state->row[i].sub == sub) {
            return &state->row[i];
        }
    }
    return NULL;
}

static void put(struct side *state, const struct delivery *row) {
    struct delivery *place = side_find(state, row->sub, row->event);

    if (place == NULL) {
        assert(state->rows < ROWS);
        place = &state->row[state->rows++];
    }
    *place = *row;
}

void side_remove(struct side *state, int index) {
    state->row[index] = state->row[--state->rows];
}

void add_anchor(struct side *state, const struct anchor *anchor) {
    state->anchors -= state->anchors == LADDER;
    memmove(&state->anchor[1], &state->anchor[0], (size_t)state->anchors * sizeof state->anchor[0]);
    state->anchor[0] = *anchor;
    state->anchors++;
}

void side_publish(const struct side *state, bool durable) {
    side.committed = *state;
    if (durable) {
        side.synced = side.committed;
        oracle_side_synced();
    } else if (!side.unsynced) {
        side.unsynced_since = now;
    }
    side.unsynced = !durable;
}

void side_lose(void) {
    side.committed = side.synced;
    side.unsynced = false;
}

/* ---- memory ---- */

struct pair *pair_of(int sub, int event) {
    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].event == event && me.pair[i].sub == sub) {
            return &me.pair[i];
        }
    }
    return NULL;
}

static struct pair *new_pair(const struct event *event, int sub, enum pair_state state) {
    struct pair *pair = &me.pair[me.pairs++];

    assert(me.pairs <= PAIRS);
    *pair = (struct pair){
        .event = event->id,
        .created = event->created,
        .truth = event->truth,
        .deliver_at = event->deliver_at,
        .sub = (int8_t)sub,
        .key = me.sub[sub].ordered != NOT_ORDERED ? event->key : KEY_NONE,
        .state = state,
    };
    return pair;
}

static int later(int a, int b) {
    return a > b ? a : b;
}

static int in_flight(int sub, int endpoint) {
    int count = 0;

    for (int i = 0; i < me.pairs; i++) {
        const struct pair *pair = &me.pair[i];

        count += pair->state == IN_FLIGHT && (pair->sub == sub || pair->endpoint == endpoint);
    }
    return count;
}

/* Its target said 410 and app.db does not say so yet: nothing more is sent, what comes is kept. A
** subscription that was changed meanwhile is not meant any more. */
static bool is_stopped(int sub) {
    const struct effect *effect = &side.committed.effect[sub];

    if (!rule(RULE_EFFECT_STOPS)) {
        return false;
    }
    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].sub == sub && me.pair[i].state == FINISHED &&
            me.pair[i].verdict == FAILURE_GONE && me.pair[i].updated == me.sub[sub].updated) {
            return true;
        }
    }
    return effect->wanted && effect->updated == me.sub[sub].updated;
}

static bool sends(int sub) {
    return (me.sub[sub].status == ACTIVE || (me.sub[sub].status == ENDED && !rule(RULE_CANCEL))) &&
           !is_stopped(sub);
}

static bool has_room(int sub) {
    return in_flight(sub, -1) < ROOM && in_flight(-1, me.sub[sub].endpoint) < ROOM;
}

static struct pair *first_waiting(int sub) {
    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].sub == sub && me.pair[i].state == WAITING) {
            return &me.pair[i];
        }
    }
    return NULL;
}

/* Rule 4. A row that is at work is not due: in flight, or finished and not recorded. */
static const struct delivery *first_due(int sub) {
    const struct delivery *first = NULL;

    for (int i = 0; i < side.committed.rows; i++) {
        const struct delivery *row = &side.committed.row[i];

        if (row->sub == sub && !is_final(row) && row->next_at <= now &&
            (first == NULL || row->next_at < first->next_at) &&
            (!rule(RULE_BUSY) || pair_of(sub, row->event) == NULL)) {
            first = row;
        }
    }
    return first;
}

bool dispatcher_wants_work(int sub) {
    return sends(sub) && has_room(sub) && first_waiting(sub) == NULL && first_due(sub) == NULL;
}

/* ---- ordering keys ---- */

static bool same_key(int key, int other) {
    return other == key || (other == KEY_UNKNOWN && rule(RULE_KEY_UNKNOWN));
}

/* Is anything of this key, of an event before this one, not final and recorded? */
static bool is_blocked(const struct side *state, int sub, int key, int event) {
    if (!rule(RULE_KEY_WAITS) || me.sub[sub].ordered == NOT_ORDERED) {
        return false;
    }
    for (int i = 0; i < me.pairs; i++) {
        const struct pair *pair = &me.pair[i];

        if (pair->sub == sub && same_key(key, pair->key) && pair->event < event &&
            pair->state != RECORDED) {
            return true;
        }
    }
    for (int i = 0; i < state->rows; i++) {
        const struct delivery *row = &state->row[i];

        if (row->sub == sub && same_key(key, row->key) && row->event < event && !is_final(row)) {
            return true;
        }
    }
    return false;
}

static bool is_at_work(int sub, int key) {
    if (!rule(RULE_KEY_WAITS) || me.sub[sub].ordered == NOT_ORDERED) {
        return false;
    }
    for (int i = 0; i < me.pairs; i++) {
        const struct pair *pair = &me.pair[i];

        if (pair->sub == sub && same_key(key, pair->key) && pair->state != RECORDED) {
            return true;
        }
    }
    return false;
}

/* The first unfinished row of this key gets a time, unless it has one, stopped the key, or waits
** for what is in memory or for one whose key is not known. A process that has just started knows
** what is before a row only when it has read up to it. Returns whether to look again. */
static bool release(struct side *state, int sub, int key) {
    struct delivery *first = NULL;

    for (int i = 0; i < state->rows; i++) {
        struct delivery *row = &state->row[i];

        if (row->sub == sub && row->key == key && !is_final(row) &&
            (first == NULL || row->event < first->event)) {
            first = row;
        }
    }
    if (first == NULL || first->state == STOPPED || first->next_at != NO_TIME) {
        return false;
    }
    if (rule(RULE_KEY_READ) && first->event > me.read) {
        return true;
    }
    if (!is_blocked(state, sub, key, first->event) && !is_at_work(sub, key)) {
        first->next_at = rule(RULE_KEY_TIME) ? later(now, first->deliver_at) : now;
        say("  s%d-%d is released", sub, first->event);
    }
    return false;
}

static void release_later(int sub, int key, bool delivered) {
    if (rule(RULE_KEY_RELEASED) && (delivered || rule(RULE_KEY_DEAD))) {
        me.release[sub] |= key >= 0 ? 1U << key : key == KEY_UNKNOWN ? UINT_MAX : 0;
    }
}

static void end_row(struct delivery *row, enum delivery_state state);

/* `ordered` may have been switched: what is unfinished is brought to what it is now. */
static void sort_rows(int sub) {
    static struct side work;
    enum ordered ordered = me.sub[sub].ordered;

    work = side.committed;
    for (int i = 0; i < work.rows; i++) {
        struct delivery *row = &work.row[i];

        if (row->sub != sub || is_final(row)) {
            continue;
        }
        if (ordered != STOPS && row->state == STOPPED) {
            end_row(row, DEAD);
        } else if (ordered == NOT_ORDERED) {
            row->key = KEY_NONE;
            row->next_at = row->next_at == NO_TIME ? later(now, row->deliver_at) : row->next_at;
        } else if (row->key == KEY_NONE) {
            row->key = KEY_UNKNOWN;
        }
    }
    for (int i = 0; i < me.pairs; i++) {
        struct pair *pair = &me.pair[i];

        if (pair->sub == sub && ordered == NOT_ORDERED) {
            pair->key = KEY_NONE;
        } else if (pair->sub == sub && pair->key == KEY_NONE) {
            pair->key = KEY_UNKNOWN;
            pair->state = pair->state == WAITING ? PARKED : pair->state;
        }
    }
    if (ordered != STOPS) {
        oracle_stops_no_more(sub);
    }
    /* At a start, too: what freed a row may have been in the memory that is gone. */
    if (ordered != NOT_ORDERED && (me.sorted || rule(RULE_KEY_START))) {
        me.release[sub] = UINT_MAX;
    }
    side_publish(&work, false);
}

/* ---- reading ---- */

bool last_row_unchanged(void) {
    return me.last.id == 0 || app_has(&app.committed, me.last.id, me.last.created);
}

/* Rule 10: every read of app.db begins at the last row read. While we run the machine has not
** rebooted, so a change there can only be a restored file: stop, and wait for --adopt. */
bool dispatcher_look(void) {
    if (!me.running || me.held) {
        return false;
    }
    if (rule(RULE_ANCHOR) && !last_row_unchanged()) {
        say("the dispatcher finds event %d missing or changed, and holds", me.last.id);
        oracle_crashed();
        me.pairs = 0;
        if (!rule(RULE_HOLD)) {
            dispatcher_go_back();
            return true;
        }
        me.held = true;
        oracle_held();
        return false;
    }
    for (int i = 0; i < SUBS; i++) {
        bool same = me.sorted && me.sub[i].ordered == app.committed.sub[i].ordered;

        me.sub[i] = app.committed.sub[i];
        if (!same && (me.sub[i].status == ACTIVE || me.sub[i].status == PAUSED)) {
            sort_rows(i);
        }
    }
    me.sorted = true;
    return true;
}

static bool is_wanted(const struct subscription *sub, int n, const struct event *event) {
    int to_id = sub->to_id;

    if (!rule(RULE_END_AT_WRITE) && side.committed.effect[n].wanted &&
        side.committed.effect[n].newest < to_id) {
        to_id = side.committed.effect[n].newest;
    }
    return sub->status != UNUSED && sub->from_id < event->id && event->id <= to_id &&
           (event->only == NOBODY ? (sub->types >> event->type & 1) != 0 : event->only == n);
}

/* Fan-out of one event. A pair that can not be sent now is parked: it becomes a row, so that the
** cursor can pass. */
static void admit(const struct event *event) {
    for (int i = 0; i < SUBS; i++) {
        if (!is_wanted(&me.sub[i], i, event) ||
            (rule(RULE_SKIP) && side_find(&side.committed, i, event->id) != NULL)) {
            continue;
        }
        bool filtered = event->type == 2 && !app.committed.open;

        oracle_filtered(i, event->truth, filtered);
        if (filtered) {
            continue;
        }
        if (!sends(i) || event->deliver_at > now ||
            is_blocked(&side.committed, i, event->key, event->id) || is_at_work(i, event->key)) {
            new_pair(event, i, PARKED);
        } else {
            new_pair(event, i, WAITING);
        }
    }
    me.read = event->id;
    if (event->id > me.last.id || !rule(RULE_ANCHOR_FORWARD)) {
        me.last = (struct anchor){event->id, event->created};
    }
}

/* Events read and above the cursor; *middle is the one in the middle of a full window. */
static int window_count(int *middle) {
    int count = 0;

    for (int i = 0; i < app.committed.events; i++) {
        int id = app.committed.outbox[i].id;

        if (id > side.committed.cursor && id <= me.read && ++count == WINDOW / 2) {
            *middle = id;
        }
    }
    return count;
}

static bool window_is_full(void) {
    int middle;

    return rule(RULE_WINDOW) && window_count(&middle) >= WINDOW;
}

/* One of those who lack work gets an event from behind the window as a row that is due. Not where there
** is an order: a row's turn comes only with what is read. A filter is asked when it is sent; here what
** has one is left to the reading. */
static void fetch(struct side *work, const struct event *event) {
    for (int i = 0; i < SUBS; i++) {
        bool known = rule(RULE_FETCH_KNOWN) && side_find(work, i, event->id) != NULL;

        if (dispatcher_wants_work(i) && me.sub[i].ordered == NOT_ORDERED && event->type != 2 &&
            is_wanted(&me.sub[i], i, event) && !known && chance(50)) {
            struct delivery row = {
                .event = event->id,
                .created = event->created,
                .deliver_at = event->deliver_at,
                .next_at = later(now, event->deliver_at),
                .sub = (int8_t)i,
                .key = KEY_NONE,
                .state = PENDING,
            };

            say("  s%d-%d is fetched", i, event->id);
            put(work, &row);
            if (event->id > me.last.id && rule(RULE_FETCH_ANCHOR)) {
                me.last = (struct anchor){event->id, event->created};
                add_anchor(work, &me.last);
            }
        }
    }
}

/* A step further each time. */
static void look_ahead(void) {
    static struct side work;
    int left = AHEAD;

    work = side.committed;
    if (me.ahead.id > me.read && rule(RULE_AHEAD_ANCHOR) &&
        !app_has(&app.committed, me.ahead.id, me.ahead.created)) {
        memset(me.ahead_type, 0, sizeof me.ahead_type);
        memset(me.ahead_one, 0, sizeof me.ahead_one);
        me.ahead.id = 0;
    }
    if (!rule(RULE_AHEAD_ON) && me.ahead.id > me.read) {
        return;
    }
    me.ahead.id = later(me.ahead.id, me.read);
    for (int i = 0; i < app.committed.events && left > 0; i++) {
        const struct event *event = &app.committed.outbox[i];

        if (event->id > me.ahead.id) {
            left--;
            me.ahead = (struct anchor){event->id, event->created};
            fetch(&work, event);
            if (event->only == NOBODY) {
                me.ahead_type[event->type] = event->id;
            } else if (rule(RULE_AHEAD_ONE)) {
                me.ahead_one[event->only] = event->id;
            }
        }
    }
    side_publish(&work, false);
}

/* Was anything seen behind the window that it wants? */
static bool finds_work(int sub) {
    for (int type = 0; type < TYPES; type++) {
        struct event newest = {.id = me.ahead_type[type], .type = (int8_t)type, .only = NOBODY};

        if (newest.id > me.read && is_wanted(&me.sub[sub], sub, &newest)) {
            return true;
        }
    }
    return me.ahead_one[sub] > me.read || !rule(RULE_SPILL_WANTED);
}

/* Rule 3. What is finished lets the cursor move by itself. If that is not enough, and somebody
** could take work, has none, and would find some behind it, the older half of the window becomes rows. */
static void make_room(void) {
    dispatcher_commit(false);
    if (!window_is_full() || !rule(RULE_SPILL)) {
        return;
    }
    look_ahead();
    for (int i = 0; i < SUBS; i++) {
        if (!rule(RULE_SPILL_LATE) || (dispatcher_wants_work(i) && finds_work(i))) {
            window_count(&me.spill);
            say("  the window is full: events up to %d make way", me.spill);
            oracle_spill();
            dispatcher_commit(false);
            return;
        }
    }
}

static const struct event *next_event(const struct app *state) {
    for (int i = 0; i < state->events; i++) {
        if (state->outbox[i].id > me.read) {
            return &state->outbox[i];
        }
    }
    return NULL;
}

void dispatcher_read(int most) {
    struct subscription before[SUBS];
    const struct event *event;

    memcpy(before, me.sub, sizeof before);
    if (!dispatcher_look()) {
        return;
    }
    if (!rule(RULE_SNAPSHOT)) {
        memcpy(me.sub, before, sizeof before);
    }
    while (most-- > 0 &&
           (event = next_event(rule(RULE_ATOMIC) ? &app.committed : &app.working)) != NULL) {
        if (window_is_full()) {
            make_room();
        }
        if (window_is_full()) {
            say("the dispatcher reads no further: the window is full");
            return;
        }
        say("the dispatcher reads event %d", event->id);
        admit(event);
    }
}

/* ---- sending ---- */

/* The event as it is in app.db now: a request is rendered from there, first attempts too. */
static const struct event *event_of(int sub, int id, int created) {
    const struct event *event = app_event(rule(RULE_ATOMIC) ? &app.committed : &app.working, id);

    if (event == NULL || event->created != created) {
        broken("s%d-%d is due, and its event is gone", sub, id);
    }
    return event;
}

/* Rule 7. */
static int shape_of(const struct event *event) {
    const struct version *current = &app.committed.version[app.committed.versions - 1];
    const struct version *definition =
        rule(RULE_VERSION_READ) ? app_version(&app.committed, event->version) : current;

    if (event->version == 0) {
        return 0;
    }
    if (definition != NULL) {
        return definition->shape;
    }
    broken("event %d was captured by version %d, which is gone", event->id, event->version);
}

static bool claim(int sub) {
    struct pair *pair = first_waiting(sub);
    const struct delivery *row = first_due(sub);
    const struct event *event;

    if (row != NULL && (pair == NULL || chance(50))) {
        event = event_of(sub, row->event, row->created);
        bool others = is_at_work(sub, event->key);
        pair = new_pair(event, sub, WAITING);
        pair->has_row = true;
        pair->attempts = row->attempts;
        pair->strayed = row->key == KEY_UNKNOWN;
        if (me.sub[sub].ordered != NOT_ORDERED && rule(RULE_KEY_READ) && event->id > me.read) {
            others = true;
        }
        if (rule(RULE_KEY_ASKED) &&
            (is_blocked(&side.committed, sub, event->key, event->id) || others)) {
            pair->state = PARKED;
            return true;
        }
    } else if (pair != NULL) {
        event = event_of(sub, pair->event, pair->created);
    } else {
        return false;
    }
    pair->state = IN_FLIGHT;
    pair->endpoint = me.sub[sub].endpoint;
    pair->revision = me.sub[sub].revision;
    pair->updated = me.sub[sub].updated;
    say("the dispatcher sends s%d-%d%s", sub, pair->event, pair->has_row ? ", from its row" : "");
    oracle_send(pair, shape_of(event));
    return true;
}

/* A look comes first: what was paused or unsubscribed before it is not sent after it. */
void dispatcher_fill(int most) {
    int first = (int)pick(SUBS);

    if (!me.running || me.held || (rule(RULE_LOOK) && !dispatcher_look())) {
        return;
    }
    for (int i = 0; i < SUBS && most > 0; i++) {
        int sub = (first + i) % SUBS;

        while (most > 0 && sends(sub) && has_room(sub) && claim(sub)) {
            most--;
        }
    }
}

void dispatcher_answer(int which) {
    int finished = 0;

    for (int i = 0; i < me.pairs; i++) {
        struct pair *pair = &me.pair[i];
        enum mood target = mood[pair->endpoint];

        if (pair->state == IN_FLIGHT && which-- == 0 && (target != HANGING || chance(2))) {
            bool last = ++pair->attempts >= ATTEMPTS;

            pair->state = FINISHED;
            pair->next_at = now + 1 + (int)pick(40);
            if (target == HEALTHY && chance(95)) {
                pair->verdict = SUCCESS;
            } else if (target == GONE) {
                pair->verdict = FAILURE_GONE;
                oracle_gone(pair->sub, pair->updated);
            } else if (last && me.sub[pair->sub].ordered == STOPS && pair->key != KEY_UNKNOWN &&
                       rule(RULE_KEY_STOPS)) {
                pair->verdict = FAILURE_STOPS;
            } else {
                pair->verdict = last ? FAILURE : RETRY;
            }
            say("s%d-%d: %s", pair->sub, pair->event,
                (const char *[]){"delivered", "failed, to be retried", "failed for good",
                                 "410 gone", "failed for good, stops its key"}[pair->verdict]);
            oracle_verdict(pair, pair->verdict != RETRY);
        }
        finished += pair->state == FINISHED;
    }
    if (finished >= GROUP && rule(RULE_GROUP)) {
        dispatcher_commit(false);
    }
}

/* ---- recording ---- */

static struct delivery row_of(const struct pair *pair) {
    return (struct delivery){
        .event = pair->event,
        .created = pair->created,
        .deliver_at = pair->deliver_at,
        .sub = pair->sub,
        .key = pair->key,
        .attempts = pair->attempts,
    };
}

static void end_row(struct delivery *row, enum delivery_state state) {
    row->state = (uint8_t)state;
    row->next_at = NO_TIME;
    release_later(row->sub, row->key, state == DELIVERED);
    if (state == CANCELLED || state == DEAD) {
        oracle_ended(row->sub, row->event, row->created);
    }
}

static void record_outcome(struct side *work, const struct pair *pair) {
    struct delivery row = row_of(pair);

    if (pair->verdict == RETRY && me.sub[pair->sub].status != ENDED) {
        row.state = RETRYING;
        row.next_at = pair->next_at;
        release_later(row.sub, row.key, true);
    } else if (pair->verdict == FAILURE_STOPS && me.sub[pair->sub].ordered == STOPS &&
               me.sub[pair->sub].status != ENDED) {
        row.state = STOPPED;
        row.next_at = NO_TIME;
        release_later(row.sub, row.key, true);
    } else {
        if (pair->verdict != FAILURE) {
            oracle_decided(row.sub, row.event, row.created);
        }
        end_row(&row, pair->verdict == SUCCESS ? DELIVERED
                      : pair->verdict == RETRY ? CANCELLED
                                               : DEAD);
    }
    /* The answer is void if the subscription was changed after the request was sent. */
    if (pair->verdict == FAILURE_GONE && pair->updated == me.sub[pair->sub].updated) {
        work->effect[pair->sub] = (struct effect){true, pair->revision, pair->updated, me.last.id};
    }
    put(work, &row);
}

/* Makes room for the cursor if it has to. Returns whether the pair leaves memory: it is claimed
** from its row then. */
static bool record_unfinished(struct side *work, struct pair *pair) {
    struct delivery row = row_of(pair);
    bool ended = me.sub[pair->sub].status == ENDED && rule(RULE_CANCEL);

    if (pair->state == IN_FLIGHT) {
        if (pair->has_row || pair->event > me.spill) {
            return false;
        }
    } else if (pair->state == WAITING && pair->event > me.spill && sends(pair->sub)) {
        return false;
    }
    if (ended && pair->state != IN_FLIGHT) {
        end_row(&row, CANCELLED);
    } else {
        row.state = PENDING;
        row.next_at =
            pair->key >= 0 && (is_blocked(work, pair->sub, pair->key, pair->event) ||
                               (pair->has_row && rule(RULE_KEY_READ) && pair->event > me.read))
                ? NO_TIME
                : later(now, pair->deliver_at);
        release_later(row.sub, row.key, true);
    }
    put(work, &row);
    pair->has_row = true;
    return pair->state != IN_FLIGHT;
}

static void drop_recorded(void) {
    int kept = 0;

    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].state != RECORDED) {
            me.pair[kept++] = me.pair[i];
        }
    }
    me.pairs = kept;
}

/* Outcomes first: they may free what is behind them. Then, in order of id, what makes way. */
static void record_pairs(struct side *work) {
    for (int i = 0; i < me.pairs; i++) {
        if (me.pair[i].strayed && me.pair[i].state != IN_FLIGHT) {
            me.release[me.pair[i].sub] = UINT_MAX; /* everything later may have waited for it */
        }
        if (me.pair[i].state == FINISHED) {
            record_outcome(work, &me.pair[i]);
            me.pair[i].state = RECORDED;
        }
    }
    drop_recorded();
    for (int i = 0; i < me.pairs; i++) {
        if (record_unfinished(work, &me.pair[i])) {
            me.pair[i].state = RECORDED;
        }
    }
    drop_recorded();
}

/* Rule 5: an ended subscription's rows are cancelled, a paused one keeps the newest KEEP. */
static void end_rows(struct side *work) {
    int kept[SUBS] = {0};

    for (int i = 0; i < work->rows; i++) {
        struct delivery *row = &work->row[i];

        if (!is_final(row) && pair_of(row->sub, row->event) == NULL) {
            if (me.sub[row->sub].status == ENDED && rule(RULE_CANCEL)) {
                oracle_decided(row->sub, row->event, row->created);
                end_row(row, CANCELLED);
            } else {
                kept[row->sub] += me.sub[row->sub].status == PAUSED;
            }
        }
    }
    for (int i = 0; i < SUBS && rule(RULE_KEEP); i++) {
        for (; kept[i] > KEEP; kept[i]--) {
            struct delivery *oldest = NULL;

            for (int j = 0; j < work->rows; j++) {
                struct delivery *row = &work->row[j];

                if (row->sub == i && !is_final(row) && pair_of(i, row->event) == NULL &&
                    (oldest == NULL || row->event < oldest->event)) {
                    oldest = row;
                }
            }
            if (oldest == NULL) {
                break;
            }
            oracle_decided(oldest->sub, oldest->event, oldest->created);
            end_row(oldest, DEAD);
        }
    }
}

/* Rule 2: the oldest event that has a pair without a row, less one. */
static int cursor_now(void) {
    int cursor = me.read;

    for (int i = 0; i < me.pairs && rule(RULE_CURSOR); i++) {
        if (!me.pair[i].has_row && me.pair[i].event <= cursor) {
            cursor = me.pair[i].event - 1;
        }
    }
    return cursor;
}

static void move_cursor(struct side *work) {
    int cursor = cursor_now();

    if (cursor != work->cursor) {
        work->cursor = cursor;
        work->boot = boot;
    }
    if (me.last.id != 0 && (work->anchors == 0 || work->anchor[0].id != me.last.id)) {
        add_anchor(work, &me.last);
    }
}

/* A group commit. Everything that depends on each other is in the one transaction. */
void dispatcher_commit(bool durable) {
    static struct side work;

    if (!me.running || me.held) {
        return;
    }
    work = side.committed;
    if (!rule(RULE_TOGETHER) && !me.half) {
        work.cursor = cursor_now();
        for (int i = 0; i < me.pairs; i++) {
            if (!me.pair[i].has_row && me.pair[i].state != FINISHED &&
                me.pair[i].event <= work.cursor) {
                work.cursor = me.pair[i].event - 1;
            }
        }
        me.half = true;
        side_publish(&work, durable);
        return;
    }
    me.half = false;
    record_pairs(&work);
    end_rows(&work);
    for (int i = 0; i < SUBS; i++) {
        for (int key = 0; key <= KEYS; key++) {
            if ((me.release[i] >> key & 1) != 0 && !release(&work, i, key)) {
                me.release[i] &= ~(1U << key);
            }
        }
    }
    me.spill = 0;
    move_cursor(&work);
    say("the dispatcher commits%s: cursor %d, last read %d", durable ? " and syncs" : "",
        work.cursor, me.last.id);
    side_publish(&work, durable);
    oracle_recorded();
}

/* The promise of "at most a second" after a power loss. */
void dispatcher_tick(void) {
    if (me.running && rule(RULE_SYNC) && side.unsynced && now - side.unsynced_since >= SECOND) {
        if (me.held) {
            side_publish(&side.committed, true);
        } else {
            dispatcher_commit(true);
        }
    }
}

void dispatcher_crash(void) {
    if (me.running) {
        oracle_crashed();
    }
    memset(&me, 0, sizeof me);
}
