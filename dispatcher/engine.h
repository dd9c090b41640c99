/*
** engine.h: moves jobs from sources to the transport and outcomes back. Knows neither databases nor
** libcurl.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_ENGINE_H
#define RESTHOOKD_ENGINE_H

#include "source.h"

struct endpoints;
struct engine;
struct http;

/* The engine uses both until it is freed. */
struct engine *engine_new(struct http *http, struct endpoints *endpoints);
void engine_free(struct engine *engine); /* nothing may be in flight */

void engine_add(struct engine *engine, struct source *source);
void engine_remove(struct engine *engine, struct source *source); /* nothing of it is in flight */

/*
** One turn, which begins at time now: hands back what ended, while the sources work as well, lets them
** work, starts what may be started. A long one goes on with later times. Returns when the next turn is
** wanted at the latest (besides: whenever a transfer moved or a source was woken).
*/
int64_t engine_turn(struct engine *engine, int64_t now);

/* From now on nothing new is started; what is in flight is finished. */
void engine_stop(struct engine *engine);
/* Stops now: what is in flight is dropped and handed back unsent. */
void engine_cancel(struct engine *engine, int64_t now);
/* Nothing is in flight, and each source had its turn since the last answer. */
bool engine_idle(const struct engine *engine);
bool engine_drained(struct engine *engine, int64_t now); /* and no source has anything due */

struct engine_counts {
    int64_t delivered, retried, dead;
};
const struct engine_counts *engine_counts(const struct engine *engine);

#endif
