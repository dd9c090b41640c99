/*
** header.h: which request headers a subscription may add. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_HEADER_H
#define RESTHOOK_HEADER_H

#include <stddef.h>

/*
** A name is a token (RFC 9110 5.6.2) of at most 100 bytes and none of ours: those of the request
** line, the connection and the body (host, content-length, content-type, transfer-encoding,
** connection, te, upgrade, expect …), x-event-type, user-agent, and all that begin with
** webhook-, ce- or proxy-; header.c has the table. A value is at most 4096 bytes of visible
** ASCII, space and tab, not beginning or ending with either; it may be empty. Returns NULL, or
** what is wrong, a constant text without the value.
*/
const char *header_check(const char *name, size_t name_length, const char *value,
                         size_t value_length);

#endif
