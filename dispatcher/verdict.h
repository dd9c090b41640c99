/*
** verdict.h: what an answer, or the lack of one, means. Pure: one table, in verdict.c.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_VERDICT_H
#define RESTHOOKD_VERDICT_H

#include "source.h"

/* How an attempt ended without a usable answer. */
enum failure {
    FAILURE_NONE,    /* there is an HTTP status */
    FAILURE_RESOLVE, /* the name has no address */
    FAILURE_CONNECT, /* refused, unreachable */
    FAILURE_REFUSED, /* by the guard: the address is not public, or plain http is not allowed */
    FAILURE_TLS,     /* handshake or certificate */
    FAILURE_TIMEOUT,
    FAILURE_PROTOCOL, /* what came back is not HTTP, or broke off */
    FAILURE_INTERNAL, /* ours: out of memory, a bad option */
};

/* What one attempt brought. Made by http.c; the texts are good until the next call of http_next. */
struct reply {
    enum failure failure;
    int status;           /* HTTP status when failure is FAILURE_NONE */
    const char *error;    /* for people, "class: text"; "" when there is none; never an address */
    int64_t retry_after;  /* ms from now, as the target asked (seconds or date); -1: it did not */
    int64_t started_at;   /* ms */
    int64_t duration;     /* ms */
    const char *response; /* first bytes of the body, UTF-8 without controls but \t and \n */
    size_t response_length;
    const char *given_back; /* the answer's x-hook-secret, if the job asked; NULL: it has none */
};

#define VERDICT_REASON_MAX 200 /* bytes of a reason, with its NUL */

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
