/*
** http.c: one attempt is one POST by libcurl's multi interface (lanes.h), on the dispatcher's only
** thread.
**
** A transfer (transfer.h) is an easy handle with what it needs for one attempt at a time. Transfers
** are pooled: what is the same for every request is set once, when the handle is made; what a
** target or a job says is set each time. The job stays its owner's, and libcurl reads its body
** where it is. A transfer that ended keeps the texts of its reply until the next call of http_next.
**
** How it fails: an attempt that fails has a reply like any other, with one of failure.c's texts and
** never libcurl's own. Without memory the process ends (memory.h).
** SPDX-License-Identifier: MIT
*/
#include "http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "host.h"
#include "lanes.h"
#include "memory.h"
#include "render.h"
#include "transfer.h"

struct http {
    struct http_options options;
    struct lanes *lanes;
    SLIST_HEAD(, transfer) all;
    SLIST_HEAD(, transfer) idle;
    STAILQ_HEAD(, transfer) failed;  /* could not even start; http_next hands them out */
    struct transfer *last;           /* whose texts the last reply has */
    struct buffer response, headers; /* its texts */
    int in_flight;
};

/* Into the pool. NULL: not with these options. */
static struct transfer *add_transfer(struct http *http) {
    struct transfer *transfer = transfer_new(&http->options);

    if (transfer != NULL) {
        SLIST_INSERT_HEAD(&http->all, transfer, all);
    }
    return transfer;
}

struct http *http_new(const struct http_options *options) {
    struct http *http;
    struct transfer *first;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NULL;
    }
    http = xcalloc(1, sizeof *http);
    http->options = *options;
    SLIST_INIT(&http->all);
    SLIST_INIT(&http->idle);
    STAILQ_INIT(&http->failed);
    http->lanes = lanes_new(options->connections);
    first = http->lanes != NULL ? add_transfer(http) : NULL; /* so that options are tried at once */
    if (first == NULL) {
        http_free(http);
        return NULL;
    }
    SLIST_INSERT_HEAD(&http->idle, first, links);
    return http;
}

void http_free(struct http *http) {
    struct transfer *transfer;

    if (http == NULL) {
        return;
    }
    while ((transfer = SLIST_FIRST(&http->all)) != NULL) {
        SLIST_REMOVE_HEAD(&http->all, all);
        if (http->lanes != NULL) { /* one that is not in flight they leave alone */
            lanes_remove(http->lanes, transfer->easy, transfer->may_hang);
        }
        transfer_free(transfer);
    }
    lanes_free(http->lanes);
    buffer_free(&http->response);
    buffer_free(&http->headers);
    free(http);
    curl_global_cleanup();
}

static struct transfer *transfer_take(struct http *http) {
    struct transfer *transfer = SLIST_FIRST(&http->idle);

    if (transfer != NULL) {
        SLIST_REMOVE_HEAD(&http->idle, links);
        return transfer;
    }
    transfer = add_transfer(http);
    if (transfer == NULL) { /* the first one could be made with the same options */
        memory_exhausted();
    }
    return transfer;
}

void http_send(struct http *http, struct job *job, int64_t now) {
    struct transfer *transfer = transfer_take(http);
    const struct http_options *options = &http->options;
    bool ready = transfer_begin(transfer, job, now);

    transfer->busy = true;
    transfer->may_hang = job->may_hang;
    http->in_flight++;
    if (options->proxy != NULL &&
        !transfer_passes(transfer, host_judge(options->guard, job->target->url))) {
        transfer->result = CURLE_COULDNT_CONNECT;
    } else if (ready) {
        transfer->tidies = lanes_add(http->lanes, transfer->easy, transfer->may_hang, now);
        return;
    }
    STAILQ_INSERT_TAIL(&http->failed, transfer, failed);
}

void http_work(struct http *http) {
    lanes_work(http->lanes);
}

int http_in_flight(const struct http *http) {
    return http->in_flight;
}

void http_wait(struct http *http, struct curl_waitfd *fds, unsigned count, int timeout) {
    if (timeout < 0 || !STAILQ_EMPTY(&http->failed)) {
        timeout = 0;
    }
    lanes_wait(http->lanes, fds, count, timeout);
}

/* libcurl looks through its addresses when a transfer ends that had a connection, or tried to. */
static bool has_tidied(const struct transfer *transfer) {
    return transfer->result == CURLE_OK || (transfer->connects && transfer->refused == NULL &&
                                            (transfer->result == CURLE_COULDNT_CONNECT ||
                                             transfer->result == CURLE_OPERATION_TIMEDOUT));
}

/* Takes out the next transfer that ended, or NULL. */
static struct transfer *next_ended(struct http *http, int64_t now) {
    struct transfer *transfer = STAILQ_FIRST(&http->failed);
    char *owner = NULL; /* libcurl's type for what CURLOPT_PRIVATE was given */
    CURLcode result;
    CURL *easy;

    if (transfer != NULL) {
        STAILQ_REMOVE_HEAD(&http->failed, failed);
        return transfer;
    }
    easy = lanes_next(http->lanes, &result);
    if (easy == NULL) {
        return NULL;
    }
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &owner);
    transfer = (struct transfer *)(void *)owner;
    transfer_end(transfer, result);
    lanes_remove(http->lanes, transfer->easy, transfer->may_hang);
    if (transfer->tidies && has_tidied(transfer)) {
        lanes_tidied(http->lanes, transfer->may_hang, now);
    }
    return transfer;
}

struct job *http_next(struct http *http, int64_t now, struct reply *reply) {
    struct transfer *transfer;

    if (http->last != NULL) {
        SLIST_INSERT_HEAD(&http->idle, http->last, links);
        http->last = NULL;
    }
    transfer = next_ended(http, now);
    if (transfer == NULL) {
        return NULL;
    }
    http->last = transfer;
    transfer->busy = false;
    http->in_flight--;
    transfer_reply(transfer, now, &http->response, &http->headers, reply);
    return transfer->job;
}

struct job *http_abort(struct http *http) {
    struct transfer *transfer = STAILQ_FIRST(&http->failed);

    if (transfer != NULL) {
        STAILQ_REMOVE_HEAD(&http->failed, failed);
    } else {
        SLIST_FOREACH(transfer, &http->all, all) {
            if (transfer->busy) {
                break;
            }
        }
        if (transfer == NULL) {
            return NULL;
        }
        lanes_remove(http->lanes, transfer->easy, transfer->may_hang);
    }
    transfer->busy = false;
    http->in_flight--;
    SLIST_INSERT_HEAD(&http->idle, transfer, links);
    return transfer->job;
}
