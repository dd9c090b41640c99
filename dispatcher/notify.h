/*
** notify.h: tells the service manager what becomes of us, as sd_notify(3) has it: ready, stopping, a
** line for people, and signs of life for its watchdog. Where nobody asked (no NOTIFY_SOCKET), nothing
** is said.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_NOTIFY_H
#define RESTHOOKD_NOTIFY_H

#include <stdint.h>

struct notify;

/* Reads the environment, and takes out of it what it read. */
struct notify *notify_new(void);
void notify_free(struct notify *notify);

void notify_ready(struct notify *notify);
void notify_stopping(struct notify *notify); /* once */
/* For `systemctl status`; said when it is another one than before. */
void notify_status(struct notify *notify, const char *status);
/*
** From the main loop alone, once a turn: a loop that is stuck says nothing. Gives the watchdog its sign
** of life when it is due. Returns in how many ms the next one is; INT64_MAX: there is no watchdog.
*/
int64_t notify_turn(struct notify *notify);

#endif
