/*
** http.h: the transport: one attempt is one POST by libcurl. Knows nothing of databases.
**
** Connections are kept alive and reused, by HTTP/2 where https agrees on it, else HTTP/1.1; with
** either a connection carries one request at a time, so that none breaks or dies with another's.
** Redirects are never followed; the environment's proxies are ignored. Every address is put to the
** guard at connect and before a request on a reused connection. Plain http goes only to networks
** that the operator allowed, or anywhere with allow_http. Through a proxy the guard can't see where
** a name leads: the proxy is the operator's own and trusted to know; only addresses that stand in
** the URL itself are judged.
**
** A response's body is read to its end or to 1 MiB, whichever comes first; then the connection is
** dropped and the status counts all the same, so that a target that answers 200 and never stops
** talking has been delivered to. One that stops talking in the middle has not: it times out.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_HTTP_H
#define RESTHOOKD_HTTP_H

#include "guard.h"
#include "source.h"
#include "verdict.h"

struct http;
struct curl_waitfd; /* libcurl's: what http_wait watches beside its own sockets */

struct http_options {
    const struct guard *guard;
    const char *user_agent; /* "resthookd/0.1.0" */
    bool allow_http;        /* plain http also to addresses that the operator did not allow */
    const char *ca_file;    /* certificates trusted instead of the system's; NULL: the system's */
    const char *proxy;      /* NULL: none */
    int connections;        /* kept open at most, to targets that may hang and to the others */
};

/*
** NULL when libcurl can not start, or not with these options. They, and what they point to, are
** used until http_free.
*/
struct http *http_new(const struct http_options *options);
void http_free(struct http *http); /* drops what is in flight */

/*
** Starts one attempt; its end comes out of http_next, also when it can not even start. The job, its
** target and their texts must stay until then.
*/
void http_send(struct http *http, struct job *job, int64_t now);
/* Moves transfers on without waiting. */
void http_work(struct http *http);
/* The next attempt that ended, or NULL. Fills *reply, whose texts are good until the next call. */
struct job *http_next(struct http *http, int64_t now, struct reply *reply);
/* Drops an attempt that is in flight, any, and gives its job back; NULL: there is none. */
struct job *http_abort(struct http *http);
/* How many are in flight: sent, and not yet out of http_next. */
int http_in_flight(const struct http *http);
/*
** Sleeps until a transfer, one of the descriptors (LANES_FDS at most), or `timeout` ms (negative:
** 0) wants attention.
*/
void http_wait(struct http *http, struct curl_waitfd *fds, unsigned count, int timeout);

#endif
