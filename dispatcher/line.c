/*
** line.c: see line.h.
**
** An endpoint keeps a queue of lines that could send now for each kind of health; the set keeps
** queues of the endpoints that have such lines. Whatever changes what a line
** may do calls place(), the only function that moves a line between "queued", "resting" and
** "neither". Each step costs the same however many lines wait; that a line rests, the logarithm of
** how many do.
** SPDX-License-Identifier: MIT
*/
#include "line.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"
#include "memory.h"
#include "source.h"

#define WINDOW_START 4 /* requests at once to a target that has not answered yet */

static struct line *line_of(struct rest *rest) {
    return (struct line *)(void *)((char *)rest - offsetof(struct line, rest));
}

static bool window_open(const struct line *line) {
    return line->in_flight < line->window && (line->most == 0 || line->in_flight < line->most);
}

/* How many places more the line's source may have for its like. */
static int room_of(const struct line *line) {
    const struct endpoints *set = line->endpoint->set;
    int taken = set->in_flight[DOUBTFUL] + set->in_flight[UNTRIED];

    return line->health == GOOD
               ? INT_MAX
               : share_room(&set->shares, line->share, unproven_most(set->places) - taken);
}

static void unplace(struct line *line) {
    rest_end(&line->endpoint->set->lines, &line->rest);
    if (line->parked) {
        TAILQ_REMOVE(&line->share->parked, line, links);
        line->parked = false;
    }
    if (line->queued) {
        TAILQ_REMOVE(&line->endpoint->queue[line->health], line, links);
        line->queued = false;
    }
}

static int64_t rests_until(const struct line *line) {
    return later(line->throttle_until, line->paced_until);
}

/* Puts a line where it belongs now; at the tail, so that the others come first. */
static void place(struct line *line) {
    if (line->waiting && rests_until(line) > 0) {
        rest_begin(&line->endpoint->set->lines, &line->rest, rests_until(line));
    } else if (line->waiting && window_open(line) && room_of(line) < 1) {
        TAILQ_INSERT_TAIL(&line->share->parked, line, links);
        line->parked = true;
    } else if (line->waiting && window_open(line)) {
        TAILQ_INSERT_TAIL(&line->endpoint->queue[line->health], line, links);
        line->queued = true;
    }
    endpoint_place(line->endpoint);
}

void line_open(struct endpoints *set, struct line *line, struct source *source,
               const char *endpoint, int most) {
    memset(line, 0, sizeof *line);
    line->source = source;
    line->endpoint = endpoint_named(set, endpoint);
    line->endpoint->lines++;
    line->share = share_of(&set->shares, source);
    line->most = most;
    line->window = WINDOW_START;
    line->health = UNTRIED;
}

void line_close(struct line *line) {
    struct endpoint *endpoint = line->endpoint;

    assert(line->in_flight == 0);
    unplace(line);
    endpoint_place(endpoint);
    if (endpoint->failed == line) {
        endpoint->failed = NULL;
    }
    share_drop(&endpoint->set->shares, line->share);
    if (--endpoint->lines == 0) {
        endpoint_drop(endpoint);
    }
    line->endpoint = NULL;
}

void line_ready(struct line *line) {
    if (!line->waiting) {
        line->waiting = true;
        place(line);
    }
}

void line_done(struct line *line) {
    if (line->waiting) {
        line->waiting = false;
        unplace(line);
        endpoint_place(line->endpoint);
    }
}

bool line_is_throttled(const struct line *line, int64_t now) {
    return line->throttle_until > own_time(line->endpoint->set, now);
}

bool line_has_room(const struct line *line, int64_t now) {
    const struct endpoint *endpoint = line->endpoint;
    bool may_send = endpoint->circuit.state == CIRCUIT_CLOSED ||
                    (endpoint->circuit.state == CIRCUIT_HALF_OPEN && !endpoint->probing);

    return may_send && rests_until(line) <= own_time(endpoint->set, now) && window_open(line) &&
           has_place(endpoint->in_flight, endpoint->set->most, (int)line->health);
}

bool line_is_dubious(const struct line *line) {
    return line->health == DOUBTFUL ||
           (line->health == UNTRIED && line->endpoint->set->new_failed >= NEW_FAILED);
}

bool line_is_cut(const struct line *line) {
    return line->endpoint->circuit.state != CIRCUIT_CLOSED;
}

bool line_is_shunned(const struct line *line, int64_t now) {
    return line_is_throttled(line, now) || line->endpoint->circuit.state == CIRCUIT_OPEN;
}

bool line_rests(const struct line *line, int64_t now) {
    return line_is_shunned(line, now) || rests_until(line) > own_time(line->endpoint->set, now);
}

static void release_rested(struct endpoints *set, int64_t now) {
    struct rest *rest;

    while ((rest = rest_first(&set->lines)) != NULL && rest->until <= now) {
        struct line *line = line_of(rest);

        unplace(line);
        line->throttle_until = line->paced_until = 0; /* the later of them is over */
        place(line);
    }
    endpoints_try(set, now);
}

static void count(struct line *line, int change) {
    line->endpoint->in_flight[line->health] += change;
    line->endpoint->set->in_flight[line->health] += change;
    line->share->unproven += line->health != GOOD ? change : 0;
}

/* Moves what the line has in flight, and not slow, from one kind's count to the other's. */
static void set_health(struct line *line, enum health health) {
    int counted = line->in_flight - line->slow;

    count(line, -counted);
    line->health = health;
    count(line, counted);
}

void line_bound(struct line *line, int most) {
    unplace(line);
    line->most = most;
    place(line);
}

void line_pace(struct line *line, double rate) {
    unplace(line);
    pace_set(&line->pace, rate);
    line->paced_until = rate > 0 ? line->paced_until : 0;
    place(line);
}

void line_doubt(struct line *line) {
    unplace(line);
    set_health(line, DOUBTFUL);
    line->window = 1;
    place(line);
}

/* Requests that have waited for SLOW_AFTER give their places back, and their lines are doubtful. */
static void release_slow(struct endpoints *set, int64_t now) {
    struct place *place_taken;

    while ((place_taken = TAILQ_FIRST(&set->waiting)) != NULL &&
           place_taken->taken_at + SLOW_AFTER <= now && set->slow < set->places * SLOW_TIMES) {
        struct line *line = place_taken->line;

        TAILQ_REMOVE(&set->waiting, place_taken, links);
        unplace(line);
        place_taken->slow = true;
        set->slow++;
        count(line, -1);
        line->slow++;
        set->new_failed += line->health == UNTRIED;
        set_health(line, DOUBTFUL);
        if (!line->proven) {
            line->window = 1; /* one is enough to find out whether it answers at all */
        }
        place(line);
    }
}

/* Lines whose source has room again. As many as it has room for: the others would be parked anew. */
static void release_parked(struct endpoints *set) {
    struct share *share;
    struct line *line;

    SLIST_FOREACH(share, &set->shares, links) {
        line = TAILQ_FIRST(&share->parked);
        for (int room = line != NULL ? room_of(line) : 0; room > 0 && line != NULL; room--) {
            unplace(line);
            place(line);
            line = TAILQ_FIRST(&share->parked);
        }
    }
}

/* The line of this kind whose turn it is; NULL: there is none. One whose source has had its share in
** the meantime is parked. */
static struct line *next_of(struct endpoints *set, int kind) {
    struct ready_link *link;

    while ((link = TAILQ_FIRST(&set->ready[kind])) != NULL) {
        struct line *line = TAILQ_FIRST(&link->endpoint->queue[kind]);

        if (room_of(line) > 0) {
            return line;
        }
        unplace(line);
        place(line);
    }
    return NULL;
}

/* Could one of this kind be served? */
static bool is_ready(const struct endpoints *set, int kind) {
    return !TAILQ_EMPTY(&set->ready[kind]) && has_place(set->in_flight, set->places, kind);
}

/* It goes behind the others. NULL: there is none. */
static struct line *serve(struct endpoints *set, int kind) {
    struct line *line = is_ready(set, kind) ? next_of(set, kind) : NULL;

    if (line != NULL) {
        struct ready_link *link = &line->endpoint->ready[kind];

        TAILQ_REMOVE(&set->ready[kind], link, links);
        link->queued = false; /* endpoint_place puts it at the tail */
        unplace(line);
        place(line);
    }
    return line;
}

static struct line *serve_good(struct endpoints *set, int64_t now) {
    struct line *line = serve(set, GOOD);

    if (line != NULL) {
        endpoints_served(set, now);
    }
    return line;
}

struct line *endpoints_next(struct endpoints *set, int64_t now) {
    struct line *line;

    endpoints_tell(set, now);
    now = own_time(set, now);
    release_rested(set, now);
    release_slow(set, now);
    release_parked(set);
    /* One of the others between two of them: whose answers come seldom would else have all places for ever. */
    line = set->busy || set->good_at > set->unproven_at ? NULL : serve_good(set, now);
    if (line != NULL) {
        return line;
    }
    for (int tries = 0; tries < GOOD && set->unproven_left > 0; tries++) {
        int kind = set->turn;

        set->turn = (set->turn + 1) % GOOD;
        line = serve(set, kind);
        if (line != NULL) {
            set->unproven_left--;
            set->unproven_at = now;
            set->in_vain += set->in_vain < UNPROVEN_IN_VAIN * UNPROVEN_DOUBLINGS;
            return line;
        }
    }
    return serve_good(set, now);
}

void place_take(struct place *taken, struct line *line, int64_t now) {
    struct endpoint *endpoint = line->endpoint;
    struct endpoints *set = endpoint->set;

    *taken = (struct place){.line = line, .taken_at = own_time(set, now)};
    taken->probe = endpoint->circuit.state == CIRCUIT_HALF_OPEN;
    endpoint->probing = endpoint->probing || taken->probe;
    TAILQ_INSERT_TAIL(&set->waiting, taken, links);
    unplace(line);
    line->paced_until = pace_take(&line->pace, taken->taken_at);
    line->in_flight++;
    count(line, 1);
    place(line);
}

static void give_back(struct place *taken) {
    struct line *line = taken->line;
    struct endpoints *set = line->endpoint->set;

    if (taken->slow) {
        set->slow--;
        line->slow--;
    } else {
        TAILQ_REMOVE(&set->waiting, taken, links);
        count(line, -1);
    }
    if (taken->probe) {
        line->endpoint->probing = false;
    }
    line->in_flight--;
    taken->line = NULL;
}

void place_drop(struct place *taken) {
    struct line *line = taken->line;

    unplace(line);
    give_back(taken);
    place(line);
}

void place_finish(struct place *taken, bool healthy, int64_t throttle_until) {
    struct line *line = taken->line;
    struct endpoints *set = line->endpoint->set;
    int most = set->most;
    enum health was = line->health;

    unplace(line);
    give_back(taken);
    line->proven = healthy;
    if (was == UNTRIED) {
        set->new_failed = healthy ? 0 : set->new_failed + 1;
    }
    set_health(line,
               healthy && line->slow == 0 ? GOOD : DOUBTFUL); /* fast answers hide no slow ones */
    set->proved += was != GOOD && line->health == GOOD;
    set->in_vain = was != GOOD && healthy ? 0 : set->in_vain;
    if (healthy) {
        line->window = line->window < most ? line->window + 1 : most;
    } else {
        line->window = line->window > 1 ? line->window / 2 : 1;
    }
    if (throttle_until > 0 && own_time(set, throttle_until) > line->throttle_until) {
        line->throttle_until = own_time(set, throttle_until);
    }
    place(line);
}

/* When lines that are not good, and wait for it, may be served. */
static int64_t unproven_due(const struct endpoints *set) {
    return set->proved > 0 ? own_time(set, set->seen)
                           : sooner(set->good_at + BUSY_FOR, unproven_next(set));
}

int64_t endpoints_due(const struct endpoints *set) {
    const struct place *oldest = TAILQ_FIRST(&set->waiting);
    const struct rest *line = rest_first(&set->lines), *circuit = rest_first(&set->circuits);
    int64_t due = line != NULL ? line->until : NEVER;

    if (is_ready(set, DOUBTFUL) || is_ready(set, UNTRIED)) {
        due = sooner(due, unproven_due(set));
    }
    if (circuit != NULL) {
        due = sooner(due, circuit->until);
    }
    if (oldest != NULL && set->slow < set->places * SLOW_TIMES) {
        due = sooner(due, oldest->taken_at + SLOW_AFTER);
    }
    return due != NEVER ? due - set->lost : NEVER;
}
