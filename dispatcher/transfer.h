/*
** transfer.h: one attempt as libcurl makes it: an easy handle with its callbacks, and what came of it.
** The multi interface, and how many there are, is http.c's, which alone includes this.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_TRANSFER_H
#define RESTHOOKD_TRANSFER_H

#include <sys/queue.h>

#include <curl/curl.h>

#include "http.h"
#include "request.h"
#include "response.h"

struct failure_name;

struct transfer {
    const struct http_options *options;
    CURL *easy;
    struct job *job;
    int64_t started_at;
    bool busy;                          /* sent, and not yet out of http_next */
    bool may_hang;                      /* in which lane it is */
    bool tidies;                        /* the addresses there, when it ends */
    bool plain;                         /* http:, not https: */
    const struct failure_name *refused; /* why it may not pass; NULL: it may */
    CURLcode result;
    int64_t duration; /* ms, when it has ended */
    struct steps steps;
    bool connects; /* anew, not on a connection that there was */
    int64_t began; /* by the stopwatch */

    struct request request;
    struct response response;
    bool cut;      /* ended by us: enough of the body was read */
    bool head_cut; /* … of the head */

    SLIST_ENTRY(transfer) links;   /* in idle */
    STAILQ_ENTRY(transfer) failed; /* in failed */
    SLIST_ENTRY(transfer) all;
};

/* The options stay where they are. NULL: libcurl does not take them. */
struct transfer *transfer_new(const struct http_options *options);
void transfer_free(struct transfer *transfer);
/* Makes it ready for another job. false: it can't even start; it has ended, with a reply. */
bool transfer_begin(struct transfer *transfer, struct job *job, int64_t now);
/* May it go where the guard says so? Notes the reason when it may not. */
bool transfer_passes(struct transfer *transfer, enum guard_answer answer);
/* It has ended: before it is taken out of libcurl's multi handle. */
void transfer_end(struct transfer *transfer, CURLcode result);
/* What came of it. Its texts are in *body and *head. */
void transfer_reply(const struct transfer *transfer, int64_t now, struct buffer *body,
                    struct buffer *head, struct reply *reply);

#endif
