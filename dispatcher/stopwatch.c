/*
** stopwatch.c: see stopwatch.h.
** SPDX-License-Identifier: MIT
*/
#include "stopwatch.h"

#include <time.h>

int64_t stopwatch_us(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
