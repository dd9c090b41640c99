/*
** sweep.h: the steps of a round of retention, over app.db and over the side file. What is swept
** stands in the settings keep_…; when a step is taken is decided by retention.c.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SWEEP_H
#define RESTHOOKD_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

struct outbox;

/* ---- app.db ---- */

struct app_sweep;

struct app_sweep *app_sweep_new(struct outbox *outbox);
void app_sweep_free(struct app_sweep *sweep);
void app_sweep_prepare(struct app_sweep *sweep); /* its statements, once the writer is open */
/* Looks for old events, and deletes some if it may. Returns whether there may be more in this round.
*/
bool app_sweep_events(struct app_sweep *sweep, bool may, int64_t now);
void app_sweep_requests(struct app_sweep *sweep, int64_t now); /* those that were carried out */
/* The round is over: deletes some idempotency keys that are too old, of events that are gone. */
void app_sweep_keys(struct app_sweep *sweep, int64_t now);
/* The round is over: deletes versions of watches that no row carries. */
void app_sweep_watches(struct app_sweep *sweep);
void app_sweep_restart(struct app_sweep *sweep); /* the next step begins a round */

/* ---- the side file ---- */

struct side_sweep;

struct side_sweep *side_sweep_new(struct outbox *outbox);
void side_sweep_free(struct side_sweep *sweep);
/* One step. Returns whether there is more in this round; the step after the last begins another. */
bool side_sweep_step(struct side_sweep *sweep, int64_t now);
/* Did most of what the last step looked at go? Then there is probably more of that. */
bool side_sweep_deletes(const struct side_sweep *sweep);
void side_sweep_restart(struct side_sweep *sweep); /* the next step begins a round */

#endif
