/*
** engine.c: the middle of the dispatcher. A turn is: harvest, work, fill; where the work takes long it is
** interrupted for another harvest. Answers come first: who asks to be left alone gets nothing more.
**
** There is no batch and no barrier: each place that becomes free is filled at once by whoever's
** turn it is. A job is the engine's from claim to settle; everything durable is the source's
** business.
** SPDX-License-Identifier: MIT
*/
#include "engine.h"

#include <assert.h>
#include <stdlib.h>

#include "fault.h"
#include "http.h"
#include "line.h"
#include "memory.h"
#include "stopwatch.h"
#include "verdict.h"

/* Requests to targets that have not proven themselves, looked at like the others (http.h), so that one that answers
** keeps its connection. Each that hangs is polled whenever the others are looked at: with 32 of them each delivery of
** somebody else took 1.9 polls more, with 4 it takes 0.4; and who proves himself apart from the others connects anew. */
#define FEW 4

/* ms of the sources' work at a time: else a thousand databases that all wake at once keep the network waiting for
** tens of seconds, and answers that are there long since come too late. */
#define WORK 20

struct engine {
    struct http *http;
    struct endpoints *endpoints;
    struct source **sources;
    int count;
    bool stopping;
    bool
        untold; /* an answer came after its source's turn, perhaps: there is another turn at once */
    bool delivered; /* something was, by the last answers that were taken in */
    uint32_t random;
    struct engine_counts counts;
};

struct engine *engine_new(struct http *http, struct endpoints *endpoints) {
    struct engine *engine = xcalloc(1, sizeof *engine);

    engine->http = http;
    engine->endpoints = endpoints;
    engine->random = (uint32_t)((uintptr_t)engine >> 4) | 1;
    return engine;
}

void engine_free(struct engine *engine) {
    assert(engine_idle(engine));
    free(engine->sources);
    free(engine);
}

void engine_add(struct engine *engine, struct source *source) {
    engine->sources =
        xrealloc(engine->sources, (size_t)(engine->count + 1) * sizeof *engine->sources);
    engine->sources[engine->count++] = source;
}

void engine_remove(struct engine *engine, struct source *source) {
    for (int i = 0; i < engine->count; i++) {
        if (engine->sources[i] == source) {
            engine->sources[i] = engine->sources[--engine->count];
            return;
        }
    }
}

/* Jitter needs no better randomness than this (xorshift32). */
static uint32_t next_random(struct engine *engine, int64_t now) {
    uint32_t x = engine->random ^ (uint32_t)now;

    x = x == 0 ? 1 : x;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    engine->random = x;
    return x;
}

static void count_outcome(struct engine *engine, enum verdict_state state) {
    if (state == VERDICT_DELIVERED) {
        engine->counts.delivered++;
    } else if (state == VERDICT_RETRY) {
        engine->counts.retried++;
    } else {
        engine->counts.dead++;
    }
}

/* What it says of the endpoint, not of this subscription alone. A refusal of the guard's and a
** Retry-After say nothing of the kind. */
static void judge(struct engine *engine, struct place *place, const struct reply *reply,
                  const struct outcome *outcome, int64_t now) {
    if (reply->failure == FAILURE_REFUSED || reply->failure == FAILURE_INTERNAL ||
        outcome->effect == EFFECT_THROTTLE) {
        return;
    }
    if (reply->failure == FAILURE_NONE && reply->status < 500) {
        place_answered(place);
    } else {
        place_failed(place,
                     reply->failure == FAILURE_DNS || reply->failure == FAILURE_CONNECT ||
                         reply->failure == FAILURE_TLS,
                     now, next_random(engine, now));
    }
}

static void harvest(struct engine *engine, int64_t now) {
    struct reply reply;
    struct job *job;

    while ((job = http_next(engine->http, now, &reply)) != NULL) {
        struct line *line = job->line;
        struct outcome outcome;

        fault_point("send.answered");
        verdict(&reply, job, now, next_random(engine, now), &outcome);
        count_outcome(engine, outcome.state);
        engine->delivered = engine->delivered || outcome.state == VERDICT_DELIVERED;
        judge(engine, &job->place, &reply, &outcome, now);
        place_finish(&job->place, outcome.state == VERDICT_DELIVERED,
                     outcome.effect == EFFECT_THROTTLE ? outcome.throttle_until : 0);
        line->source->settle(line->source, job, &outcome, now);
        fault_point("settle.outcome");
        engine->untold = true;
    }
}

/* Is no answer expected soon, as far as one can tell? Who is not good may answer, or never. */
static bool is_calm(const struct engine *engine) {
    return http_in_flight(engine->http) <= endpoints_unproven(engine->endpoints);
}

/* Does a group of outcomes gain nothing by waiting for others? Attempts that fail do: there are mostly more. */
static bool has_all(const struct engine *engine) {
    return engine_idle(engine) || (engine->delivered && !engine->untold && is_calm(engine));
}

static void fill(struct engine *engine, int64_t now) {
    struct line *line;

    while (!engine->stopping && (line = endpoints_next(engine->endpoints, now)) != NULL) {
        struct job *job = line->source->claim(line->source, line, now);

        if (job != NULL) {
            job->may_hang = line->health != GOOD && endpoints_unproven(engine->endpoints) >= FEW;
            place_take(&job->place, line, now);
            fault_point("claim.taken");
            http_send(engine->http, job, now);
            fault_point("send.begun");
        } else {
            assert(!line->waiting); /* else it would be asked for ever */
            engine->untold = true;  /* what it had may have come to its end */
        }
    }
}

int64_t engine_turn(struct engine *engine, int64_t now) {
    int64_t due = NEVER, worked = stopwatch_us();

    endpoints_turn(engine->endpoints, now);
    engine->delivered = engine->delivered && engine->untold; /* in the middle of the last turn */
    http_work(engine->http);
    harvest(engine, now);
    engine->untold = false; /* each has its turn now */
    for (int i = 0; i < engine->count; i++) {
        int64_t wanted = engine->sources[i]->turn(engine->sources[i], now, has_all(engine));

        due = sooner(due, wanted);
        int64_t took = (stopwatch_us() - worked) / 1000;

        if (i + 1 < engine->count && took > WORK) {
            worked += took * 1000;
            now += took; /* what a target asks for counts from now on */
            http_work(engine->http);
            harvest(engine, now);
        }
    }
    int under_way = http_in_flight(engine->http);
    bool calm = is_calm(engine);

    fill(engine, now);
    /* Not while answers are expected: looking at them once more each turn makes a drain dearer. */
    if (calm && http_in_flight(engine->http) > under_way) {
        http_work(engine->http);
        due = now; /* an answer may be there already */
    }
    if (engine->untold) {
        due = sooner(due, now);
    }
    if (!engine->stopping) {
        due = sooner(due, endpoints_due(engine->endpoints));
    }
    return due;
}

void engine_stop(struct engine *engine) {
    engine->stopping = true;
}

void engine_cancel(struct engine *engine, int64_t now) {
    struct job *job;

    engine->stopping = true;
    engine->untold = false;
    while ((job = http_abort(engine->http)) != NULL) {
        place_drop(&job->place);
        job->line->source->settle(job->line->source, job, NULL, now);
    }
}

bool engine_idle(const struct engine *engine) {
    return http_in_flight(engine->http) == 0 && !engine->untold;
}

bool engine_drained(struct engine *engine, int64_t now) {
    if (!engine_idle(engine)) {
        return false;
    }
    for (int i = 0; i < engine->count; i++) {
        if (!engine->sources[i]->drained(engine->sources[i], now)) {
            return false;
        }
    }
    return true;
}

const struct engine_counts *engine_counts(const struct engine *engine) {
    return &engine->counts;
}
