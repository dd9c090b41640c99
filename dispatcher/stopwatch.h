/*
** stopwatch.h: how long a step takes that others may be waiting for. Not what time it is: that is an
** argument.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_STOPWATCH_H
#define RESTHOOKD_STOPWATCH_H

#include <stdint.h>

int64_t stopwatch_us(void); /* µs since some moment; never goes back */
/* The same of what this thread has computed: not of what it waited for, a processor that others had too. */
int64_t stopwatch_work_us(void);

#endif
