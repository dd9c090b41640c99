/*
** lanes.h: libcurl's multi interface, twice: what moves transfers on.
**
** libcurl looks at every transfer it performs each time it is asked to: the fastest way where most
** of them move, and a load on all where hundreds only wait for targets that hang. So who may hang
** has a lane of its own, in which nothing is looked at but what epoll says has moved. The lanes
** share no connections: a target that proved itself in the other one is connected to once more.
**
** Addresses of names are kept for a minute. Whenever a transfer ends libcurl looks through all that it
** keeps for such as are older, which with thousands of targets costs more than the delivery; here one
** transfer a second does so, and the others are not asked to.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_LANES_H
#define RESTHOOKD_LANES_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct lanes;

#define LANES_FDS 7 /* lanes_wait takes so many descriptors at most */

/* NULL when it can't be had. connections: kept open in a lane at most. */
struct lanes *lanes_new(int connections);
void lanes_free(struct lanes *lanes); /* every transfer is out */
/* Returns whether it looks through the addresses when it ends: lanes_tidied is told when it has. */
bool lanes_add(struct lanes *lanes, CURL *easy, bool may_hang, int64_t now);
void lanes_tidied(struct lanes *lanes, bool may_hang, int64_t now);
void lanes_remove(struct lanes *lanes, CURL *easy, bool may_hang);
void lanes_work(struct lanes *lanes); /* without waiting */
/* The next transfer that ended and is now to be removed; NULL: none. */
CURL *lanes_next(struct lanes *lanes, CURLcode *result);
/* Sleeps until a transfer, one of the descriptors, or `timeout` ms want attention. */
void lanes_wait(struct lanes *lanes, struct curl_waitfd *fds, unsigned count, int timeout);

#endif
