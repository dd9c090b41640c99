/*
** url.h: the rule for a subscription's target. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_URL_H
#define RESTHOOK_URL_H

#include <stdbool.h>
#include <stddef.h>

#define URL_MAX 2048 /* bytes of a target; RFC 9110 4.1: 8000 are sure to be taken */

/* The endpoint of a URL: what connections, room and failures are counted by. */
struct url_endpoint {
    char text[URL_MAX]; /* "scheme://host:port", scheme and host in lower case, port always there */
};

/*
** Is this a target we send to? http or https, a host, no userinfo, no fragment, no control
** character, space, backslash or byte outside ASCII, nothing else that RFC 3986 wants
** percent-encoded, a port of 1 to 65535 if any; IPv6 literals in brackets.
** Returns NULL if it is, else what is wrong, a constant text that completes "target …: ".
** On success, and if endpoint is not NULL, fills it. Whether the address may be reached is the
** guard's question, at connect time: a name says nothing.
*/
const char *url_check(const char *url, size_t length, struct url_endpoint *endpoint);

#endif
