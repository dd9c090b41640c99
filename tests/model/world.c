/*
** world.c: the application, its file, the targets, time and chance (world.h).
**
** What it promises: nothing here knows the dispatcher. SQLite is reduced to what the scheme leans
** on: one writer, commits that are all or nothing, AUTOINCREMENT as it really counts (a missing
** counter starts at max(id); a nested INSERT's count is overwritten by the outer one's), and power
** losses that take the last commits of a file. The outbox counts so where version 1 of the schema made
** it, with every second seed; with the others its next id is one more than the greatest.
** SPDX-License-Identifier: MIT
*/
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "oracle.h"
#include "rules.h"

struct app_file app;
enum mood mood[ENDPOINTS];
int now, boot;
bool telling;

static uint64_t random_state;
static int stamps;

/* xorshift64*: the same story for the same seed everywhere. */
unsigned pick(unsigned count) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)((random_state * 0x2545F4914F6CDD1DU) >> 33) % count;
}

bool chance(unsigned percent) {
    return pick(100) < percent;
}

int stamp(void) {
    return ++stamps;
}

void say(const char *format, ...) {
    va_list arguments;

    if (telling) {
        va_start(arguments, format);
        printf("      ");
        vprintf(format, arguments);
        printf("\n");
        va_end(arguments);
    }
}

void world_reset(uint64_t seed) {
    struct app empty = {.versions = 1, .version_sequence = 1, .version = {{.id = 1}}};

    empty.counts = seed % 2 == 0;

    random_state = seed * 0x9E3779B97F4A7C15U + 1;
    stamps = 0;
    now = 1;
    boot = 1;
    memset(mood, 0, sizeof mood);
    empty.version[0].shape = stamp();
    memset(&app, 0, sizeof app);
    app.working = app.committed = app.synced = empty;
}

/* ---- app.db ---- */

const struct event *app_event(const struct app *state, int id) {
    for (int i = 0; i < state->events; i++) {
        if (state->outbox[i].id == id) {
            return &state->outbox[i];
        }
    }
    return NULL;
}

bool app_has(const struct app *state, int id, int created) {
    const struct event *event = app_event(state, id);

    return event != NULL && event->created == created;
}

static int greatest_event(const struct app *state) {
    return state->events == 0 ? 0 : state->outbox[state->events - 1].id;
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

int app_newest(const struct app *state) {
    if (!rule(RULE_NEWEST)) {
        return state->event_sequence;
    }
    return larger(greatest_event(state), state->event_sequence);
}

const struct version *app_version(const struct app *state, int id) {
    for (int i = 0; i < state->versions; i++) {
        if (state->version[i].id == id) {
            return &state->version[i];
        }
    }
    return NULL;
}

void app_remove_event(struct app *state, int id) {
    for (int i = 0; i < state->events; i++) {
        if (state->outbox[i].id == id) {
            state->events--;
            memmove(&state->outbox[i], &state->outbox[i + 1],
                    (size_t)(state->events - i) * sizeof state->outbox[0]);
            return;
        }
    }
}

void app_end(struct app *state, int sub, int to_id) {
    struct subscription *s = &state->sub[sub];

    s->status = ENDED;
    s->to_id = to_id;
    s->revision++;
    s->updated = stamp();
}

void app_commit(void) {
    for (int i = 0; i < SUBS; i++) { /* only without RULE_FROM_AT_CALL */
        if (app.working.sub[i].from_id < 0) {
            app.working.sub[i].from_id = app_newest(&app.working);
        }
    }
    app.committed = app.working;
    app.writing = app.has_savepoint = false;
    oracle_committed();
}

void app_sync(void) {
    app.synced = app.committed;
    oracle_app_synced();
}

void app_lose(void) {
    oracle_undone(&app.working, &app.committed);
    oracle_lost(&app.committed, &app.synced);
    app.working = app.committed = app.synced;
    app.writing = app.has_savepoint = false;
}

void app_restore(void) {
    oracle_lost(&app.committed, &app.backup);
    app.working = app.committed = app.synced = app.backup;
    oracle_restored();
}

/* ---- what an application does ---- */

static void emit(void) {
    bool nested = chance(10); /* a trigger that emits inside a watched INSERT */
    struct app *state = &app.working;

    if (state->events + (nested ? 2 : 1) > OUTBOX) {
        return;
    }
    for (int i = 0; i < (nested ? 2 : 1); i++) {
        struct event event = {
            .id = larger(greatest_event(state), state->event_sequence) + 1,
            .created = stamp(),
            .deliver_at = chance(15) ? now + (int)pick(60) : 0,
            .type = (int8_t)(nested && i == 0 ? 0 : pick(TYPES)),
            .key = (int8_t)pick(KEYS + 1),
            .only = NOBODY,
        };
        int only = (int)pick(SUBS);
        const struct version *current = &state->version[state->versions - 1];

        if (event.type == 0) {
            event.version = current->id;
        } else if (chance(5) && state->sub[only].status != UNUSED &&
                   state->sub[only].status != ENDED) {
            event.only = (int8_t)only; /* resthook_ping */
        }
        event.truth = oracle_emit(&event, event.type == 0 ? current->shape : 0);
        state->outbox[state->events++] = event;
        state->event_sequence = state->counts ? event.id : 0;
        say("the application writes event %d (type %d, key %d%s%s)", event.id, event.type,
            event.key, event.deliver_at != 0 ? ", for later" : "",
            event.only != NOBODY ? ", a ping" : "");
    }
    if (nested && state->counts) {
        state->event_sequence--; /* the outer INSERT writes its own count back */
    }
}

static void subscribe(void) {
    for (int i = 0; i < SUBS; i++) {
        struct subscription *sub = &app.working.sub[i];

        if (sub->status == UNUSED && oracle_place_free(i)) {
            *sub = (struct subscription){
                .status = ACTIVE,
                .endpoint = (int)pick(ENDPOINTS),
                .types = 1 + pick((1U << TYPES) - 1),
                .ordered = chance(50)   ? NOT_ORDERED
                           : chance(50) ? SKIPS
                                        : STOPS,
                .from_id = rule(RULE_FROM_AT_CALL) ? app_newest(&app.working) : -1,
                .to_id = LIVE,
                .revision = 1,
                .updated = stamp(),
            };
            say("the application subscribes s%d (endpoint %d, types %#x%s) from %d", i,
                sub->endpoint, sub->types,
                (const char *[]){"", ", ordered", ", ordered and stopping"}[sub->ordered],
                sub->from_id);
            return;
        }
    }
}

static void change_subscription(void) {
    int i = (int)pick(SUBS);
    struct subscription *sub = &app.working.sub[i];

    if (sub->status == UNUSED || sub->status == ENDED) {
        return;
    }
    if (chance(20)) {
        say("the application unsubscribes s%d at %d", i, app_newest(&app.working));
        app_end(&app.working, i, app_newest(&app.working));
        if (!rule(RULE_TOMBSTONE)) {
            sub->status = UNUSED;
        }
        return;
    }
    if (chance(25)) {
        sub->ordered = (enum ordered)pick(3);
    } else if (chance(20)) {
        sub->endpoint = (int)pick(ENDPOINTS);
    } else if (sub->status == ACTIVE) {
        sub->status = PAUSED;
    } else {
        sub->status = ACTIVE;
    }
    sub->revision++;
    sub->updated = stamp();
    say("the application changes s%d: %s, endpoint %d%s", i,
        sub->status == PAUSED ? "paused" : "active", sub->endpoint,
        (const char *[]){"", ", ordered", ", ordered and stopping"}[sub->ordered]);
}

static void change_watch(void) {
    struct app *state = &app.working;

    if (state->versions < VERSIONS) {
        struct version version = {
            .id = larger(state->version[state->versions - 1].id, state->version_sequence) + 1,
            .shape = stamp(),
        };

        state->version[state->versions++] = version;
        state->version_sequence = version.id;
        say("the application changes the watch: version %d", version.id);
    }
}

/* Somebody looks at the deliveries and asks for a final one again. */
static void request_replay(void) {
    struct app *state = &app.working;

    if (side.committed.rows == 0 || state->requests == REQUESTS) {
        return;
    }
    const struct delivery *row = &side.committed.row[pick((unsigned)side.committed.rows)];
    enum status status = state->sub[row->sub].status;

    if ((is_final(row) || row->state == STOPPED) && app_has(state, row->event, row->created) &&
        status != UNUSED && status != ENDED) {
        int last = state->requests == 0 ? 0 : state->request[state->requests - 1].id;
        struct request request = {
            .id = larger(last, state->request_sequence) + 1,
            .created = stamp(),
            .sub = row->sub,
            .event = row->event,
        };

        state->request[state->requests++] = request;
        state->request_sequence = request.id;
        oracle_request(&request, app_event(state, row->event)->truth);
        say("the application files request %d: replay s%d-%d", request.id, row->sub, row->event);
    }
}

static void act(void) {
    unsigned what = pick(100);

    if (what < 62) {
        emit();
    } else if (what < 70) {
        subscribe();
    } else if (what < 80) {
        change_subscription();
    } else if (what < 84) {
        change_watch();
    } else if (what < 94) {
        request_replay();
    } else if (what < 97) {
        app.working.open = !app.working.open;
        say("the condition of type 2 is now %s", app.working.open ? "true" : "false");
    } else { /* a habit of test frameworks */
        app.working.event_sequence = app.working.request_sequence = app.working.version_sequence =
            0;
        say("the application says DELETE FROM sqlite_sequence");
    }
}

/* Pings for one whose target does not answer, and behind them one for somebody else. */
void application_backlog(int endpoint) {
    struct app *state = &app.working;
    int waits = -1, other = -1;

    for (int i = 0; i < SUBS; i++) {
        const struct subscription *sub = &state->sub[i];

        if (sub->status == ACTIVE && sub->endpoint != endpoint) {
            other = i;
        } else if (sub->status == ACTIVE && sub->ordered == NOT_ORDERED) {
            waits = i;
        }
    }
    if (app.writing || waits < 0 || other < 0 || state->events + BACKLOG + 1 > OUTBOX) {
        return;
    }
    for (int i = 0; i <= BACKLOG; i++) {
        struct event event = {
            .id = larger(greatest_event(state), state->event_sequence) + 1,
            .created = stamp(),
            .type = 1,
            .only = (int8_t)(i < BACKLOG ? waits : other),
        };

        event.truth = oracle_emit(&event, 0);
        state->outbox[state->events++] = event;
        state->event_sequence = state->counts ? event.id : 0;
    }
    say("the application pings s%d %d times, then s%d", waits, BACKLOG, other);
    app_commit();
}

void application_step(void) {
    if (!app.writing && chance(60)) {
        act();
        app_commit();
    } else if (!app.writing) {
        app.writing = true;
        say("the application begins");
        act();
    } else if (chance(60)) {
        act();
    } else if (!app.has_savepoint && chance(30)) {
        app.savepoint = app.working;
        app.has_savepoint = true;
        say("the application sets a savepoint");
    } else if (app.has_savepoint && chance(50)) {
        say("the application rolls back to its savepoint");
        oracle_undone(&app.working, &app.savepoint);
        app.working = app.savepoint;
    } else if (chance(75)) {
        say("the application commits");
        app_commit();
    } else {
        say("the application rolls back");
        oracle_undone(&app.working, &app.committed);
        app.working = app.committed;
        app.writing = app.has_savepoint = false;
    }
}
