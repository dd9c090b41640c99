/*
** upkeep.c: what the dispatcher does rarely: starting and going back, retention, requests, ending a
** subscription (scheme.h; design 4.3, rules 5, 6 and 8 to 10).
**
** Promises that nothing leaves either file before what it is needed for has reached the other one's
** disk.
** SPDX-License-Identifier: MIT
*/
#include "scheme.h"

#include <stddef.h>
#include <string.h>

#include "oracle.h"
#include "rules.h"

/* ---- starting, and going back ---- */

/* The memory as it follows from the side file: reading begins above the cursor, and the newest
** anchor is the last row ever read, although reading starts below it. */
static void begin(void) {
    me = (struct dispatcher){.running = true, .read = side.committed.cursor};
    if (side.committed.anchors > 0) {
        me.last = side.committed.anchor[0];
    }
    memcpy(me.sub, app.committed.sub, sizeof me.sub);
}

/* The newest event that app.db still has as we know it. A recorded delivery names its event as an
** anchor does: with the anchors alone, what was sent since the newest one that is left would be
** sent again. {0, 0}: there is none. */
static struct anchor newest_common(void) {
    struct anchor newest = {0, 0};

    for (int i = 0; i < side.committed.anchors; i++) {
        const struct anchor *anchor = &side.committed.anchor[i];

        if (anchor->id > newest.id && app_has(&app.committed, anchor->id, anchor->created)) {
            newest = *anchor;
        }
    }
    for (int i = 0; i < side.committed.rows && rule(RULE_WITNESS); i++) {
        const struct delivery *row = &side.committed.row[i];

        if (row->event > newest.id && app_has(&app.committed, row->event, row->created)) {
            newest = (struct anchor){row->event, row->created};
        }
    }
    return newest;
}

/* Rule 10: app.db is older than what we know, or another one from some event on. Commits are lost
** from the end: up to the newest common event all is as it was, above it nothing is known. */
void dispatcher_go_back(void) {
    static struct side work;
    struct anchor common = newest_common();
    int kept = 0;

    oracle_goes_back();
    work = side.committed;
    for (int i = 0; i < work.anchors; i++) {
        if (work.anchor[i].id < common.id) {
            work.anchor[kept++] = work.anchor[i];
        }
    }
    work.anchors = kept;
    if (common.id != 0) {
        add_anchor(&work, &common);
    }
    for (int i = work.rows - 1; i >= 0; i--) {
        if (work.row[i].event > common.id && rule(RULE_DROP)) {
            side_remove(&work, i);
        }
    }
    if (work.cursor > common.id) {
        work.cursor = common.id;
    }
    work.boot = boot;
    say("the dispatcher goes back to %d", common.id);
    side_publish(&work, true);
    begin();
}

void dispatcher_start(void) {
    static struct side work;

    begin();
    if (!rule(RULE_ANCHOR) || last_row_unchanged()) {
        say("the dispatcher starts: cursor %d, last read %d", me.read, me.last.id);
        work = side.committed;
        if (rule(RULE_BOOT)) {
            work.boot = boot;
        }
        side_publish(&work, true);
    } else if (rule(RULE_REWIND) && (side.committed.boot != boot || !rule(RULE_HOLD))) {
        say("the dispatcher starts after a reboot: event %d is missing or changed", me.last.id);
        dispatcher_go_back();
    } else {
        say("the dispatcher starts and holds: event %d is missing or changed", me.last.id);
        me.held = true;
        side_publish(&side.committed, true);
        oracle_held();
    }
}

void dispatcher_adopt(void) {
    say("the operator says --adopt");
    oracle_adopted();
    dispatcher_go_back();
}

/* ---- retention ---- */

static bool is_needed(const struct side *state, int event) {
    for (int i = 0; i < state->rows; i++) {
        if (state->row[i].event == event && !is_final(&state->row[i])) {
            return true;
        }
    }
    return false;
}

/* Requests up to this id are carried out. The last of them stays in its table: if it is not there
** unchanged, app.db lost it, its id and others below our cursor may have been handed out again, and
** what is there counts as new. */
static int requests_done_to(const struct app *state) {
    for (int i = 0; i < state->requests; i++) {
        if (state->request[i].id == side.committed.request_cursor &&
            state->request[i].created == side.committed.request_created) {
            return state->request[i].id;
        }
    }
    return rule(RULE_REQUEST_ANCHOR) ? 0 : side.committed.request_cursor;
}

static bool is_asked_for(const struct app *state, int event) {
    for (int i = 0; i < state->requests; i++) {
        if (state->request[i].id > requests_done_to(state) && state->request[i].event == event) {
            return true;
        }
    }
    return false;
}

static bool is_anchor(const struct side *state, int event) {
    for (int i = 0; i < state->anchors; i++) {
        if (state->anchor[i].id == event) {
            return true;
        }
    }
    return false;
}

/* Rule 8. The newest anchor is the greatest id at or below the cursor that was read: so the
** greatest id never goes. */
static bool may_go(const struct app *state, int event) {
    return (event <= side.committed.cursor || !rule(RULE_RETAIN_CURSOR)) &&
           !(is_needed(&side.committed, event) && rule(RULE_RETAIN_NEEDED)) &&
           !(is_asked_for(state, event) && rule(RULE_RETAIN_ASKED)) &&
           !(is_anchor(&side.committed, event) && rule(RULE_RETAIN_ANCHOR));
}

/* An ended subscription is needed while an event it may want is above the cursor, or a row of it is
** not final. */
static bool is_settled(const struct app *state, int sub) {
    if (state->sub[sub].status != ENDED || state->sub[sub].to_id > side.committed.cursor ||
        side.committed.effect[sub].wanted) {
        return false;
    }
    for (int i = 0; i < side.committed.rows; i++) {
        if (side.committed.row[i].sub == sub && !is_final(&side.committed.row[i])) {
            return false;
        }
    }
    return true;
}

static bool is_carried(const struct app *state, int version) {
    for (int i = 0; i < state->events; i++) {
        if (state->outbox[i].version == version) {
            return true;
        }
    }
    return false;
}

static void remove_versions(struct app *state) {
    int kept = 0, last = state->versions - 1;

    for (int i = 0; i <= last; i++) {
        if (i == last || (rule(RULE_VERSION_KEPT) && is_carried(state, state->version[i].id))) {
            state->version[kept++] = state->version[i];
        }
    }
    state->versions = kept;
}

static int choose(const struct app *state, int *chosen) {
    int count = 0;

    for (int i = 0; i < state->events; i++) {
        if (chance(80) && may_go(state, state->outbox[i].id)) {
            chosen[count++] = state->outbox[i].id;
        }
    }
    return count;
}

/* The side file's disk first: what app.db loses must not be wanted again after a power loss. The
** choice is made inside the write transaction, where no request can be filed meanwhile. */
void dispatcher_retain(void) {
    if (app.writing || !dispatcher_look()) {
        return;
    }
    if (rule(RULE_RETAIN_SYNCED)) {
        dispatcher_commit(true);
    }
    if (rule(RULE_RETAIN_INSIDE) || me.dooms == 0) {
        me.dooms = choose(&app.working, me.doomed);
        if (!rule(RULE_RETAIN_INSIDE)) {
            return;
        }
    }
    for (int i = 0; i < me.dooms; i++) {
        const struct event *event = app_event(&app.working, me.doomed[i]);

        if (event != NULL) {
            oracle_removed(event);
            app_remove_event(&app.working, me.doomed[i]);
        }
    }
    say("the dispatcher removes %d events from the outbox", me.dooms);
    me.dooms = 0;
    remove_versions(&app.working);
    for (int i = 0; i < SUBS; i++) {
        if (is_settled(&app.working, i)) {
            say("the dispatcher removes the tombstone of s%d", i);
            app.working.sub[i].status = UNUSED;
        }
    }
    app_commit();
}

/* History outlives the outbox row: what may be read again must be known. (The real one keeps both
** for days, the history longer; that the outbox row's end has reached the disk stands for that
** here.) */
void dispatcher_forget(void) {
    static struct side work;

    if (!dispatcher_look()) {
        return;
    }
    work = side.committed;
    for (int i = work.rows - 1; i >= 0; i--) {
        const struct delivery row = work.row[i];
        bool gone = !app_has(&app.committed, row.event, row.created) &&
                    !app_has(&app.synced, row.event, row.created);

        if (is_final(&row) && row.event <= work.cursor && (gone || !rule(RULE_HISTORY))) {
            side_remove(&work, i);
            oracle_forgot(row.sub, row.event, row.created);
        }
    }
    say("the dispatcher forgets history");
    side_publish(&work, false);
}

/* ---- requests ---- */

static bool replay(struct side *work, int sub, int event) {
    struct delivery *row = side_find(work, sub, event);
    enum status status = app.committed.sub[sub].status;

    if (row == NULL || !(is_final(row) || row->state == STOPPED) || pair_of(sub, event) != NULL ||
        status == UNUSED || status == ENDED || !app_has(&app.committed, event, row->created)) {
        return false;
    }
    row->state = PENDING;
    row->attempts = 0;
    row->next_at = now;
    return true;
}

/* Rule 9: effect and cursor in one commit. */
void dispatcher_requests(void) {
    static struct side work;
    const struct app *state = &app.committed;
    int done;

    if (!dispatcher_look()) {
        return;
    }
    work = side.committed;
    if (me.asked_event != 0) {
        replay(&work, me.asked_sub, me.asked_event);
        me.asked_event = 0;
    }
    done = requests_done_to(state);
    for (int i = 0; i < state->requests; i++) {
        const struct request *request = &state->request[i];

        if (request->id <= done) {
            continue;
        }
        say("the dispatcher carries out request %d: s%d-%d", request->id, request->sub,
            request->event);
        work.request_cursor = request->id;
        work.request_created = request->created;
        if (!rule(RULE_REQUEST_TOGETHER)) {
            me.asked_sub = request->sub;
            me.asked_event = request->event;
            oracle_consumed(request, true);
            break;
        }
        oracle_consumed(request, replay(&work, request->sub, request->event));
    }
    side_publish(&work, false);
}

/* Carried out on disk first; the last one stays (requests_done_to). */
void dispatcher_requests_done(void) {
    struct app *state = &app.working;
    int kept = 0, done;

    if (app.writing || !dispatcher_look()) {
        return;
    }
    if (rule(RULE_REQUEST_SYNCED)) {
        dispatcher_commit(true);
    }
    done = requests_done_to(state);
    for (int i = 0; i < state->requests; i++) {
        const struct request request = state->request[i];

        if (request.id > done || (request.id == done && rule(RULE_REQUEST_ANCHOR))) {
            state->request[kept++] = request;
        } else {
            say("the dispatcher deletes request %d", request.id);
            oracle_request_removed(&request);
        }
    }
    state->requests = kept;
    app_commit();
}

/* ---- a target that said 410 ---- */

/* The subscription ends when app.db says so, at the newest event of that moment. Somebody who
** changed it since the request was sent meant another target: then the answer is void. The change
** count alone may come back after lost commits; together with the moment of the change it can't. */
void dispatcher_effects(void) {
    static struct side work;

    if (!dispatcher_look()) {
        return;
    }
    work = side.committed;
    for (int i = 0; i < SUBS; i++) {
        struct effect *effect = &work.effect[i];
        const struct subscription *sub = &app.committed.sub[i];
        bool same = sub->revision == effect->revision &&
                    (sub->updated == effect->updated || !rule(RULE_EFFECT_MOMENT));

        if (!effect->wanted) {
            continue;
        }
        if (sub->status == UNUSED || sub->status == ENDED ||
            (!same && rule(RULE_EFFECT_REVISION))) {
            say("the 410 of s%d is written, or void", i);
            effect->wanted = false;
            side_publish(&work, false);
        } else if (!app.writing) {
            say("the dispatcher ends s%d", i);
            oracle_target_ended(i, effect->updated);
            app_end(&app.working, i,
                    rule(RULE_END_AT_WRITE) ? app_newest(&app.working) : effect->newest);
            app_commit();
        }
    }
}
