/*
** verdict.h: what an answer, or the lack of one, means. Pure: one table, in verdict.c.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_VERDICT_H
#define RESTHOOKD_VERDICT_H

#include "source.h"

/* How an attempt ended without a usable answer, and what that class is called in the history. */
enum failure {
    FAILURE_NONE,      /* there is an HTTP status */
    FAILURE_DNS,       /* the name has no address */
    FAILURE_REFUSED,   /* by the guard: the address is not public, or plain http is not allowed */
    FAILURE_CONNECT,   /* refused, unreachable, not through the proxy */
    FAILURE_TLS,       /* handshake or certificate */
    FAILURE_TIMEOUT,   /* at any step */
    FAILURE_SEND,      /* the connection broke while the request was sent */
    FAILURE_RECEIVE,   /* … or before the whole answer came */
    FAILURE_PROTOCOL,  /* what came back is not HTTP */
    FAILURE_TOO_LARGE, /* it is, but its headers have no end */
    FAILURE_INTERNAL,  /* ours: a bad option */
};
#define FAILURES (FAILURE_INTERNAL + 1)

/* What one attempt brought. Made by http.c; the texts are good until the next call of http_next. */
struct reply {
    enum failure failure;
    int status;          /* HTTP status when failure is FAILURE_NONE */
    const char *error;   /* for people, "class: text"; "" when there is none; never an address */
    int64_t retry_after; /* ms from now, as the target asked (seconds or date); -1: it did not */
    int64_t started_at;  /* ms */
    int64_t duration;    /* ms */
    struct steps steps;
    const char *response; /* first bytes of the body, UTF-8 without controls but \t and \n */
    size_t response_length;
    const char *headers; /* of an answer that is no success, likewise, a line each; "" without */
    size_t headers_length;
    const char *given_back; /* the answer's x-hook-secret, if the job asked; NULL: it has none */
};

#define VERDICT_REASON_MAX 200 /* bytes of a reason, with its NUL */

/*
** The class of what is no success: "dns", "connect", …, "status" of FAILURE_NONE. What error texts
** begin with.
*/
const char *failure_class(enum failure failure);

/*
** Decides. random: for the jitter. The outcome's texts are the reply's; its reason is good until
** the next call.
*/
void verdict(const struct reply *reply, const struct job *job, int64_t now, uint32_t random,
             struct outcome *outcome);

/*
** Reads a Retry-After value, "120" or an HTTP date (RFC 9110 10.2.3), as ms from now (0 for a time
** past, INT64_MAX for one beyond counting); -1: neither.
*/
int64_t retry_after(const char *value, int64_t now);

#endif
