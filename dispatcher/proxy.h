/*
** proxy.h: the operator's proxy, whose URL may hold a password: that must not stand where others read,
** in a list of processes or in an error.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_PROXY_H
#define RESTHOOKD_PROXY_H

#include <stdbool.h>

#define PROXY_WANTED                                                                               \
    "a URL of http, https, socks4, socks4a, socks5 or socks5h, with a host and a port from 1 to "  \
    "65535 or none"

/* Something that libcurl can connect to: one that it can't parse fails with each delivery, and costs
** attempts. "" is not: to libcurl that means no proxy, and then nobody would look at the addresses. */
bool proxy_check(const char *url);
/* The URL without user name and password, for people, whatever is wrong with it; to be freed. */
char *proxy_shown(const char *url);
/*
** The first line of a file, which only its owner and its group may read; to be freed by text_forget.
** NULL: *error, to be freed, says why not, without anything of the content.
*/
char *proxy_read(const char *path, char **error);

#endif
