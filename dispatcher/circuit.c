/*
** circuit.c: see circuit.h.
** SPDX-License-Identifier: MIT
*/
#include "circuit.h"

#define JITTER 5 /* a fifth */

void circuit_failed(struct circuit *circuit, int64_t sent_at, int64_t now, uint32_t random) {
    if (circuit->state == CIRCUIT_OPEN ||
        (circuit->state == CIRCUIT_HALF_OPEN && sent_at < circuit->until) ||
        (circuit->state == CIRCUIT_CLOSED && ++circuit->failures < CIRCUIT_FAILURES)) {
        return;
    }
    circuit->pause = circuit->state == CIRCUIT_CLOSED    ? CIRCUIT_FIRST
                     : circuit->pause * 2 < CIRCUIT_MOST ? circuit->pause * 2
                                                         : CIRCUIT_MOST;
    circuit->state = CIRCUIT_OPEN;
    circuit->until = now + circuit->pause - circuit->pause / JITTER +
                     (int64_t)(random % (uint32_t)(circuit->pause / JITTER * 2 + 1));
}

void circuit_answered(struct circuit *circuit) {
    *circuit = (struct circuit){0};
}

void circuit_try(struct circuit *circuit) {
    circuit->state = CIRCUIT_HALF_OPEN;
}
