/*
** circuit.h: whether an endpoint is left alone for a while because it fails whoever asks. Pure.
**
** After CIRCUIT_FAILURES failures in a row it opens: nothing is sent for CIRCUIT_FIRST ms. Then it is
** half open: one request finds out. If that fails too, the pause is twice as long, up to
** CIRCUIT_MOST; any answer closes it. Every pause is up to a fifth longer or shorter, so that many
** don't end together.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_CIRCUIT_H
#define RESTHOOKD_CIRCUIT_H

#include <stdint.h>

#define CIRCUIT_FAILURES 5
#define CIRCUIT_FIRST 1000 /* ms */
#define CIRCUIT_MOST 60000

enum circuit_state { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN };

/* All zero: closed. */
struct circuit {
    enum circuit_state state;
    int failures;  /* in a row, while it is closed */
    int64_t pause; /* ms: the last one, without its jitter */
    int64_t until; /* the end of the last pause */
};

/* A request that was sent at sent_at has failed now. One that was under way when it opened says
** nothing new. */
void circuit_failed(struct circuit *circuit, int64_t sent_at, int64_t now, uint32_t random);
void circuit_answered(struct circuit *circuit);
/* Its pause is over. */
void circuit_try(struct circuit *circuit);

#endif
