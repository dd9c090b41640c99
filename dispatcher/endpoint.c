/*
** endpoint.c: see endpoint.h: endpoints by name, which of them may send, and their circuits.
** SPDX-License-Identifier: MIT
*/
#include "endpoint.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

struct endpoints *endpoints_new(int places, int most) {
    struct endpoints *set = xcalloc(1, sizeof *set);

    set->places = places;
    set->most = most;
    set->unproven_left = UNPROVEN_A_TURN;
    TAILQ_INIT(&set->waiting);
    SLIST_INIT(&set->shares);
    for (int kind = 0; kind < HEALTHS; kind++) {
        TAILQ_INIT(&set->ready[kind]);
    }
    return set;
}

int64_t own_time(const struct endpoints *set, int64_t time) {
    return time + set->lost;
}

void endpoints_tell(struct endpoints *set, int64_t now) {
    if (now < set->seen) {
        set->lost += set->seen - now;
    }
    set->seen = now;
}

int64_t unproven_next(const struct endpoints *set) {
    return set->unproven_at + (UNPROVEN_EVERY << set->in_vain / UNPROVEN_IN_VAIN);
}

/* Of those who are not good, how many may be served in a turn. */
static int unproven_a_turn(const struct endpoints *set, bool busy, int64_t now) {
    if (busy) {
        return now >= unproven_next(set);
    }
    return now - set->good_at < EXPECTED_FOR ? UNPROVEN_BETWEEN : UNPROVEN_A_TURN;
}

void endpoints_turn(struct endpoints *set, int64_t now) {
    endpoints_tell(set, now);
    now = own_time(set, now);
    set->busy = set->served || now - set->good_at < BUSY_FOR;
    set->unproven_left = unproven_a_turn(set, set->busy, now) + UNPROVEN_MORE * set->proved;
    set->proved = 0;
    set->served = false;
}

void endpoints_served(struct endpoints *set, int64_t now) {
    if (!set->busy && !set->served) {
        set->unproven_left += unproven_a_turn(set, true, now) - unproven_a_turn(set, false, now);
    }
    set->served = true;
    set->good_at = now;
}

void endpoints_free(struct endpoints *set) {
    for (int i = 0; i < BUCKETS; i++) {
        assert(set->bucket[i] == NULL);
    }
    rests_free(&set->lines);
    rests_free(&set->circuits);
    free(set);
}

static struct endpoint *endpoint_of(struct rest *rest) {
    return (struct endpoint *)(void *)((char *)rest - offsetof(struct endpoint, rest));
}

static unsigned bucket_of(const char *name) {
    unsigned hash = 2166136261U; /* FNV-1a */

    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    }
    return hash % BUCKETS;
}

struct endpoint *endpoint_named(struct endpoints *set, const char *name) {
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

static void set_cut(struct endpoint *endpoint, bool cut) {
    endpoint->set->cut += cut - endpoint->cut;
    endpoint->cut = cut;
}

void endpoint_drop(struct endpoint *endpoint) {
    struct endpoint **link = &endpoint->set->bucket[endpoint->bucket];

    while (*link != endpoint) {
        link = &(*link)->next;
    }
    *link = endpoint->next;
    rest_end(&endpoint->set->circuits, &endpoint->rest);
    set_cut(endpoint, false);
    free(endpoint);
}

int unproven_most(int most) {
    return most - most / 4;
}

bool has_place(const int in_flight[HEALTHS], int most, int kind) {
    int others = in_flight[DOUBTFUL] + in_flight[UNTRIED];

    if (others + in_flight[GOOD] >= most) {
        return false;
    }
    return kind == GOOD || (others < unproven_most(most) &&
                            (kind == UNTRIED || in_flight[DOUBTFUL] < (most + 1) / 2));
}

/* While one request finds out whether it answers again, it is one of those who are likeliest to be
** answered. */
static bool may_try(const struct endpoint *endpoint, int kind) {
    bool best = true;

    for (int better = kind + 1; better < HEALTHS; better++) {
        best = best && TAILQ_EMPTY(&endpoint->queue[better]);
    }
    return endpoint->circuit.state == CIRCUIT_CLOSED ||
           (endpoint->circuit.state == CIRCUIT_HALF_OPEN && !endpoint->probing && best);
}

void endpoint_place(struct endpoint *endpoint) {
    for (int kind = 0; kind < HEALTHS; kind++) {
        struct ready_link *link = &endpoint->ready[kind];
        bool ready = !TAILQ_EMPTY(&endpoint->queue[kind]) && may_try(endpoint, kind) &&
                     has_place(endpoint->in_flight, endpoint->set->most, kind);

        if (ready && !link->queued) {
            TAILQ_INSERT_TAIL(&endpoint->set->ready[kind], link, links);
        } else if (!ready && link->queued) {
            TAILQ_REMOVE(&endpoint->set->ready[kind], link, links);
        }
        link->queued = ready;
    }
}

void endpoints_try(struct endpoints *set, int64_t now) {
    struct rest *rest;

    while ((rest = rest_first(&set->circuits)) != NULL && rest->until <= now) {
        struct endpoint *endpoint = endpoint_of(rest);

        rest_end(&set->circuits, rest);
        circuit_try(&endpoint->circuit);
        endpoint_place(endpoint);
    }
}

int endpoints_unproven(const struct endpoints *set) {
    return set->in_flight[DOUBTFUL] + set->in_flight[UNTRIED] + set->slow;
}

bool endpoints_any_cut(const struct endpoints *set) {
    return set->cut > 0;
}

void place_answered(struct place *taken) {
    struct endpoint *endpoint = taken->line->endpoint;

    endpoint->failed = NULL;
    set_cut(endpoint, false);
    circuit_answered(&endpoint->circuit);
    rest_end(&endpoint->set->circuits, &endpoint->rest);
    endpoint_place(endpoint);
}

void place_failed(struct place *taken, bool whoever, int64_t now, uint32_t random) {
    struct endpoint *endpoint = taken->line->endpoint;

    if (!whoever && endpoint->lines > 1 && endpoint->failed == taken->line &&
        endpoint->circuit.state == CIRCUIT_CLOSED) {
        return;
    }
    endpoint->failed = taken->line;
    circuit_failed(&endpoint->circuit, taken->taken_at, own_time(endpoint->set, now), random);
    if (endpoint->circuit.state == CIRCUIT_OPEN) {
        set_cut(endpoint, true);
        rest_begin(&endpoint->set->circuits, &endpoint->rest, endpoint->circuit.until);
    }
    endpoint_place(endpoint);
}
