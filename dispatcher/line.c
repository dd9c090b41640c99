/*
** line.c: see line.h.
**
** An endpoint keeps a queue of lines that could send now for each kind of health; the set keeps
** queues of the endpoints that have such lines. Whatever changes what a line
** may do calls place(), the only function that moves a line between "queued", "throttled" and
** "neither". Each step costs the same however many lines wait.
** SPDX-License-Identifier: MIT
*/
#include "line.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "source.h"

#define WINDOW_START 4 /* requests at once to a target that has not answered yet */
#define BUCKETS 1024

TAILQ_HEAD(lines, line);
TAILQ_HEAD(ready, ready_link);
TAILQ_HEAD(places, place);

struct ready_link { /* an endpoint's place in one of the queues */
    struct endpoint *endpoint;
    bool queued;
    TAILQ_ENTRY(ready_link) links;
};

struct endpoint {
    struct endpoints *set;
    struct endpoint *next; /* in its bucket */
    unsigned bucket;
    int lines;
    int in_flight[HEALTHS];
    struct lines queue[HEALTHS];
    struct ready_link ready[HEALTHS];
    char name[];
};

struct endpoints {
    int places;
    int most;
    int in_flight[HEALTHS];
    int slow;
    struct places waiting; /* places taken and not slow yet, oldest first */
    int turn;              /* the kind that is served next if both can be */
    struct ready ready[HEALTHS];
    struct lines throttled;
    int64_t throttled_due; /* the earliest; NEVER */
    int64_t seen;          /* the newest time that was told */
    int64_t lost;          /* ms by which the clock was set back in all: see own_time */
    struct endpoint *bucket[BUCKETS];
};

struct endpoints *endpoints_new(int places, int most) {
    struct endpoints *set = xcalloc(1, sizeof *set);

    set->places = places;
    set->most = most;
    set->throttled_due = NEVER;
    TAILQ_INIT(&set->throttled);
    TAILQ_INIT(&set->waiting);
    for (int kind = 0; kind < HEALTHS; kind++) {
        TAILQ_INIT(&set->ready[kind]);
    }
    return set;
}

/*
** Times of lines and places are of a clock of our own that is never set back: where the machine's
** is, what waits has still as long to wait as before.
*/
static int64_t own_time(const struct endpoints *set, int64_t time) {
    return time + set->lost;
}

void endpoints_turn(struct endpoints *set, int64_t now) {
    if (now < set->seen) {
        set->lost += set->seen - now;
    }
    set->seen = now;
}

void endpoints_free(struct endpoints *set) {
    for (int i = 0; i < BUCKETS; i++) {
        assert(set->bucket[i] == NULL);
    }
    free(set);
}

static unsigned bucket_of(const char *name) {
    unsigned hash = 2166136261U; /* FNV-1a */

    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    }
    return hash % BUCKETS;
}

static struct endpoint *endpoint_named(struct endpoints *set, const char *name) {
    unsigned bucket = bucket_of(name);
    struct endpoint *endpoint;

    for (endpoint = set->bucket[bucket]; endpoint != NULL; endpoint = endpoint->next) {
        if (strcmp(endpoint->name, name) == 0) {
            return endpoint;
        }
    }
    endpoint = xcalloc(1, sizeof *endpoint + strlen(name) + 1);
    strcpy(endpoint->name, name);
    endpoint->set = set;
    endpoint->bucket = bucket;
    endpoint->next = set->bucket[bucket];
    set->bucket[bucket] = endpoint;
    for (int kind = 0; kind < HEALTHS; kind++) {
        TAILQ_INIT(&endpoint->queue[kind]);
        endpoint->ready[kind].endpoint = endpoint;
    }
    return endpoint;
}

static void endpoint_drop(struct endpoint *endpoint) {
    struct endpoint **link = &endpoint->set->bucket[endpoint->bucket];

    while (*link != endpoint) {
        link = &(*link)->next;
    }
    *link = endpoint->next;
    free(endpoint);
}

/* Half of them, and three quarters: is there a place for one more of this kind among `most`? */
static bool has_place(const int in_flight[HEALTHS], int most, int kind) {
    int others = in_flight[DOUBTFUL] + in_flight[UNTRIED];

    if (others + in_flight[GOOD] >= most) {
        return false;
    }
    return kind == GOOD ||
           (others < most - most / 4 && (kind == UNTRIED || in_flight[DOUBTFUL] < (most + 1) / 2));
}

static void endpoint_place(struct endpoint *endpoint) {
    for (int kind = 0; kind < HEALTHS; kind++) {
        struct ready_link *link = &endpoint->ready[kind];
        bool ready = !TAILQ_EMPTY(&endpoint->queue[kind]) &&
                     has_place(endpoint->in_flight, endpoint->set->most, kind);

        if (ready && !link->queued) {
            TAILQ_INSERT_TAIL(&endpoint->set->ready[kind], link, links);
        } else if (!ready && link->queued) {
            TAILQ_REMOVE(&endpoint->set->ready[kind], link, links);
        }
        link->queued = ready;
    }
}

static bool window_open(const struct line *line) {
    return line->in_flight < line->window && (line->most == 0 || line->in_flight < line->most);
}

static void unplace(struct line *line) {
    if (line->queued) {
        TAILQ_REMOVE(line->throttle_until > 0 ? &line->endpoint->set->throttled
                                              : &line->endpoint->queue[line->health],
                     line, links);
        line->queued = false;
    }
}

/* Puts a line where it belongs now; at the tail, so that the others come first. */
static void place(struct line *line) {
    struct endpoints *set = line->endpoint->set;

    if (line->waiting && line->throttle_until > 0) {
        TAILQ_INSERT_TAIL(&set->throttled, line, links);
        line->queued = true;
        if (line->throttle_until < set->throttled_due) {
            set->throttled_due = line->throttle_until;
        }
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
    line->most = most;
    line->window = WINDOW_START;
    line->health = UNTRIED;
}

void line_close(struct line *line) {
    struct endpoint *endpoint = line->endpoint;

    assert(line->in_flight == 0);
    unplace(line);
    endpoint_place(endpoint);
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
    return !line_is_throttled(line, now) && window_open(line) &&
           has_place(line->endpoint->in_flight, line->endpoint->set->most, line->health);
}

static void release_throttled(struct endpoints *set, int64_t now) {
    struct line *line = TAILQ_FIRST(&set->throttled);

    set->throttled_due = NEVER;
    while (line != NULL) {
        struct line *next = TAILQ_NEXT(line, links);

        if (line->throttle_until <= now) {
            unplace(line);
            line->throttle_until = 0;
            place(line);
        } else if (line->throttle_until < set->throttled_due) {
            set->throttled_due = line->throttle_until;
        }
        line = next;
    }
}

/* Moves what the line has in flight, and not slow, from one kind's count to the other's. */
static void set_health(struct line *line, enum health health) {
    struct endpoint *endpoint = line->endpoint;
    int counted = line->in_flight - line->slow;

    endpoint->in_flight[line->health] -= counted;
    endpoint->in_flight[health] += counted;
    endpoint->set->in_flight[line->health] -= counted;
    endpoint->set->in_flight[health] += counted;
    line->health = health;
}

void line_bound(struct line *line, int most) {
    unplace(line);
    line->most = most;
    place(line);
}

void line_doubt(struct line *line) {
    unplace(line);
    set_health(line, DOUBTFUL);
    line->window = 1;
    place(line);
}

static void count(struct line *line, int change) {
    line->endpoint->in_flight[line->health] += change;
    line->endpoint->set->in_flight[line->health] += change;
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
        set_health(line, DOUBTFUL);
        if (!line->proven) {
            line->window = 1; /* one is enough to find out whether it answers at all */
        }
        place(line);
    }
}

struct line *endpoints_next(struct endpoints *set, int64_t now) {
    endpoints_turn(set, now);
    now = own_time(set, now);
    if (set->throttled_due <= now) {
        release_throttled(set, now);
    }
    release_slow(set, now);
    for (int tries = 0; tries < HEALTHS; tries++) {
        int kind = set->turn;
        struct ready_link *link = TAILQ_FIRST(&set->ready[kind]);

        set->turn = (set->turn + 1) % HEALTHS;
        if (link != NULL && has_place(set->in_flight, set->places, kind)) {
            struct endpoint *endpoint = link->endpoint;
            struct line *line = TAILQ_FIRST(&endpoint->queue[kind]);

            TAILQ_REMOVE(&set->ready[kind], link, links);
            link->queued = false; /* endpoint_place puts it at the tail */
            unplace(line);
            place(line);
            return line;
        }
    }
    return NULL;
}

void place_take(struct place *taken, struct line *line, int64_t now) {
    struct endpoints *set = line->endpoint->set;

    *taken = (struct place){.line = line, .taken_at = own_time(set, now)};
    TAILQ_INSERT_TAIL(&set->waiting, taken, links);
    unplace(line);
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
    const struct endpoints *set = line->endpoint->set;
    int most = set->most;

    unplace(line);
    give_back(taken);
    line->proven = healthy;
    set_health(line,
               healthy && line->slow == 0 ? GOOD : DOUBTFUL); /* fast answers hide no slow ones */
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

int64_t endpoints_due(const struct endpoints *set) {
    const struct place *oldest = TAILQ_FIRST(&set->waiting);
    int64_t due = set->throttled_due;

    if (oldest != NULL && set->slow < set->places * SLOW_TIMES &&
        oldest->taken_at + SLOW_AFTER < due) {
        due = oldest->taken_at + SLOW_AFTER;
    }
    return due != NEVER ? due - set->lost : NEVER;
}
