/*
** guard.h: which addresses may be connected to. Pure rules over socket addresses; http.c asks at
** every connect and before every request on a connection that is used again.
**
** Refused: everything in the IANA special-purpose registries (loopback, private, link-local,
** documentation, benchmarking, multicast, reserved …), the same behind v4-mapped, NAT64, 6to4 and
** ISATAP forms, cloud metadata addresses that look public; unless the operator allowed the network by
** --allow.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_GUARD_H
#define RESTHOOKD_GUARD_H

#include <stdbool.h>
#include <sys/socket.h>

struct guard; /* the operator's networks */

struct guard *guard_new(void);
void guard_free(struct guard *guard);
/*
** Adds "10.0.0.0/8", "fd00::/8" or a single address. false: not a network (host bits set is an
** error too), and nothing was added. An IPv4 network also covers the IPv6 forms that an IPv4
** address of it travels in.
*/
bool guard_allow(struct guard *guard, const char *cidr);

enum guard_answer {
    GUARD_PUBLIC,  /* a public address that the operator said nothing of */
    GUARD_ALLOWED, /* in a network that the operator allowed, public or not */
    GUARD_REFUSED
};
/* An address family that is neither IPv4 nor IPv6 is refused. */
enum guard_answer guard_judge(const struct guard *guard, const struct sockaddr *address);
/*
** The same for "127.0.0.1" or "::1" as text (what libcurl's prerequest callback gives); not an
** address: refused.
*/
enum guard_answer guard_judge_text(const struct guard *guard, const char *address);

#endif
