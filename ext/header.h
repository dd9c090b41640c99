/*
** header.h: which request headers a subscription, or an event, may add. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_HEADER_H
#define RESTHOOK_HEADER_H

#include <stdbool.h>
#include <stddef.h>

/*
** A name is a token (RFC 9110 5.6.2) of at most 100 bytes and none of ours: those of the request
** line, the connection and the body (host, content-length, content-type, transfer-encoding,
** connection, te, upgrade, expect …), x-event-type, x-hook-secret, user-agent, and all that begin with
** webhook-, ce- or proxy-; header.c has the table. A value is at most 4096 bytes of visible
** ASCII, space and tab, not beginning or ending with either; it may be empty. Returns NULL, or
** what is wrong, a constant text without the value.
*/
const char *header_check(const char *name, size_t name_length, const char *value,
                         size_t value_length);

/* The same of a value alone, of a header that is ours. */
const char *header_check_value(const char *value, size_t length);

/*
** The value of a traceparent header (W3C Trace Context 3.2): version, trace, parent, flags, as
** "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01". Of a version after 00 more may follow.
*/
bool header_is_traceparent(const char *value, size_t length);

#endif
