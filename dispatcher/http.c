/*
** http.c: one attempt is one POST by libcurl's multi interface, on the dispatcher's only thread.
**
** A transfer is an easy handle with what it needs for one attempt at a time. Transfers are pooled:
** what is the same for every request is set once, when the handle is made; what a target or a job
** says is set each time. The job stays its owner's, and libcurl reads its body where it is. A
** transfer that ended keeps the texts of its reply until the next call of http_next.
**
** The guard is asked twice, because neither callback of libcurl sees everything: OPENSOCKETFUNCTION
** every address that is tried, but nothing when a connection is used again; PREREQFUNCTION every
** request, but only once the connection is there.
**
** How it fails: an attempt that fails has a reply like any other, with one of failure.c's texts and
** never libcurl's own. Without memory the process ends (memory.h).
** SPDX-License-Identifier: MIT
*/
#include "http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <curl/curl.h>

#include "failure.h"
#include "handle.h"
#include "memory.h"
#include "render.h"
#include "request.h"
#include "response.h"

#define EXIT_OS 71 /* sysexits EX_OSERR */

struct transfer {
    struct http *http;
    CURL *easy;
    struct job *job;
    int64_t started_at;
    bool busy;                          /* sent, and not yet out of http_next */
    bool plain;                         /* http:, not https: */
    const struct failure_name *refused; /* why it may not pass; NULL: it may */
    CURLcode result;
    int64_t duration; /* ms, when it has ended */

    struct request request;
    struct response response;
    bool whole_head; /* the empty line behind the headers came */
    bool cut;        /* ended by us: enough of the body was read */

    SLIST_ENTRY(transfer) links;   /* in idle */
    STAILQ_ENTRY(transfer) failed; /* in failed */
    SLIST_ENTRY(transfer) all;
};

struct http {
    struct http_options options;
    CURLM *multi;
    SLIST_HEAD(, transfer) all;
    SLIST_HEAD(, transfer) idle;
    STAILQ_HEAD(, transfer) failed; /* could not even start; http_next hands them out */
    struct transfer *last;          /* whose texts the last reply has */
    struct buffer response;         /* its text */
    int in_flight;
};

/* Only a lack of memory, or a mistake of ours, fails here. */
static void must(CURLMcode code) {
    if (code != CURLM_OK) {
        fprintf(stderr, "resthookd: libcurl: %s\n", curl_multi_strerror(code));
        exit(EXIT_OS);
    }
}

/* Notes the reason when it may not pass. */
static bool passes(struct transfer *transfer, enum guard_answer answer) {
    if (answer == GUARD_REFUSED) {
        transfer->refused = &failure_address;
        return false;
    }
    if (transfer->plain && answer != GUARD_ALLOWED && !transfer->http->options.allow_http) {
        transfer->refused = &failure_plain;
        return false;
    }
    return true;
}

/* OPENSOCKETFUNCTION */
static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
    struct transfer *transfer = data;
    const struct http_options *options = &transfer->http->options;

    (void)purpose;
    if (options->proxy == NULL && !passes(transfer, guard_judge(options->guard, &address->addr))) {
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* PREREQFUNCTION. libcurl's type has no const. */
static int before_request(void *data, char *remote, char *local, int remote_port, int local_port) {
    struct transfer *transfer = data;
    const struct http_options *options = &transfer->http->options;

    (void)local, (void)remote_port, (void)local_port;
    if (options->proxy == NULL && !passes(transfer, guard_judge_text(options->guard, remote))) {
        return CURL_PREREQFUNC_ABORT;
    }
    return CURL_PREREQFUNC_OK;
}

/* WRITEFUNCTION. A return of less than what came ends the transfer. */
static size_t take_body(char *bytes, size_t size, size_t count, void *data) {
    struct transfer *transfer = data;

    transfer->cut = !response_take(&transfer->response, bytes, size * count);
    return transfer->cut ? 0 : size * count;
}

/*
** HEADERFUNCTION, a line at a time. To libcurl a head that breaks off is a head; to us it is no
** answer. Trailers come here too, interim answers before the answer.
*/
static size_t take_header(char *line, size_t size, size_t count, void *data) {
    struct transfer *transfer = data;
    size_t length = size * count;

    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        transfer->whole_head = false;
    } else if (length > 0 && (line[0] == '\r' || line[0] == '\n')) {
        transfer->whole_head = true;
    }
    return length;
}

#define SET(option, value) (curl_easy_setopt(transfer->easy, (option), (value)) == CURLE_OK)

static bool set_callbacks(struct transfer *transfer) {
    return SET(CURLOPT_PRIVATE, transfer) && SET(CURLOPT_WRITEFUNCTION, take_body) &&
           SET(CURLOPT_WRITEDATA, transfer) && SET(CURLOPT_HEADERFUNCTION, take_header) &&
           SET(CURLOPT_HEADERDATA, transfer) && SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           SET(CURLOPT_OPENSOCKETDATA, transfer) && SET(CURLOPT_PREREQFUNCTION, before_request) &&
           SET(CURLOPT_PREREQDATA, transfer);
}

static void transfer_free(struct transfer *transfer) {
    curl_easy_cleanup(transfer->easy);
    request_free(&transfer->request);
    response_free(&transfer->response);
    free(transfer);
}

static struct transfer *transfer_new(struct http *http) {
    struct transfer *transfer = xcalloc(1, sizeof *transfer);

    transfer->http = http;
    transfer->easy = handle_new(&http->options);
    if (transfer->easy == NULL || !set_callbacks(transfer)) {
        transfer_free(transfer);
        return NULL;
    }
    SLIST_INSERT_HEAD(&http->all, transfer, all);
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
    http->multi = curl_multi_init();
    first = http->multi != NULL ? transfer_new(http) : NULL; /* so that options are tried at once */
    if (first == NULL || curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS,
                                           (long)options->connections) != CURLM_OK) {
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
        if (http->multi != NULL) { /* one that is not in flight it leaves alone */
            curl_multi_remove_handle(http->multi, transfer->easy);
        }
        transfer_free(transfer);
    }
    curl_multi_cleanup(http->multi);
    buffer_free(&http->response);
    free(http);
    curl_global_cleanup();
}

enum guard_answer http_judge(const struct guard *guard, const char *url) {
    enum guard_answer answer = GUARD_PUBLIC;
    unsigned char address[sizeof(struct in6_addr)];
    CURLU *parsed = curl_url();
    char *host = NULL;

    if (parsed == NULL || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        answer = GUARD_REFUSED;
    } else if (host[0] == '[') {
        host[strcspn(host, "]")] = '\0';
        answer = guard_judge_text(guard, host + 1);
    } else if (inet_pton(AF_INET, host, address) == 1) {
        answer = guard_judge_text(guard, host);
    }
    curl_free(host);
    curl_url_cleanup(parsed);
    return answer;
}

static struct transfer *transfer_take(struct http *http) {
    struct transfer *transfer = SLIST_FIRST(&http->idle);

    if (transfer != NULL) {
        SLIST_REMOVE_HEAD(&http->idle, links);
        return transfer;
    }
    transfer = transfer_new(http);
    if (transfer == NULL) { /* the first one could be made with the same options */
        must(CURLM_OUT_OF_MEMORY);
    }
    return transfer;
}

void http_send(struct http *http, struct job *job, int64_t now) {
    struct transfer *transfer = transfer_take(http);
    const struct http_options *options = &http->options;
    const struct curl_slist *headers;

    transfer->job = job;
    transfer->busy = true;
    transfer->started_at = now;
    transfer->plain = !curl_strnequal(job->target->url, "https:", 6);
    transfer->refused = NULL;
    transfer->result = CURLE_OK;
    transfer->duration = 0;
    transfer->whole_head = false;
    transfer->cut = false;
    response_begin(&transfer->response, job->target->response_most);
    http->in_flight++;
    headers = request_headers(&transfer->request, job, now);
    if (options->proxy != NULL && !passes(transfer, http_judge(options->guard, job->target->url))) {
        transfer->result = CURLE_COULDNT_CONNECT;
    } else if (!handle_set_job(transfer->easy, job, headers)) {
        transfer->result = CURLE_FAILED_INIT;
    } else {
        must(curl_multi_add_handle(http->multi, transfer->easy));
        return;
    }
    STAILQ_INSERT_TAIL(&http->failed, transfer, failed);
}

void http_work(struct http *http) {
    int running;

    must(curl_multi_perform(http->multi, &running));
}

int http_in_flight(const struct http *http) {
    return http->in_flight;
}

void http_wait(struct http *http, struct curl_waitfd *fds, unsigned count, int timeout) {
    if (timeout < 0 || !STAILQ_EMPTY(&http->failed)) {
        timeout = 0;
    }
    must(curl_multi_poll(http->multi, fds, count, timeout, NULL));
}

/* Takes out the next transfer that ended, or NULL. */
static struct transfer *next_ended(struct http *http) {
    struct transfer *transfer = STAILQ_FIRST(&http->failed);
    char *owner = NULL; /* libcurl's type for what CURLOPT_PRIVATE was given */
    curl_off_t microseconds = 0;
    CURLMsg *message;
    int left;

    if (transfer != NULL) {
        STAILQ_REMOVE_HEAD(&http->failed, failed);
        return transfer;
    }
    message = curl_multi_info_read(http->multi, &left);
    if (message == NULL) {
        return NULL;
    }
    assert(message->msg == CURLMSG_DONE); /* there is no other */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
    transfer = (struct transfer *)(void *)owner;
    transfer->result = message->data.result; /* the message goes with the handle */
    curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &microseconds);
    transfer->duration = microseconds / 1000;
    must(curl_multi_remove_handle(http->multi, transfer->easy));
    return transfer;
}

/* Why there is no answer; NULL: there is one. */
static const struct failure_name *failure_of(const struct transfer *transfer) {
    if (transfer->result == CURLE_OK || transfer->cut) {
        return transfer->whole_head ? NULL : failure_named(CURLE_PARTIAL_FILE);
    }
    /* Of several addresses one may have been refused, and then another tried: that one counts. */
    if (transfer->refused != NULL && (transfer->result == CURLE_COULDNT_CONNECT ||
                                      transfer->result == CURLE_ABORTED_BY_CALLBACK)) {
        return transfer->refused;
    }
    return failure_named((int)transfer->result);
}

static void fill_answer(const struct transfer *transfer, int64_t now, struct reply *reply) {
    struct curl_header *header;
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    reply->status = (int)status;
    if (curl_easy_header(transfer->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) ==
        CURLHE_OK) {
        reply->retry_after = retry_after(header->value, now);
    }
    if (transfer->job->challenge != NULL &&
        curl_easy_header(transfer->easy, "X-Hook-Secret", 0, CURLH_HEADER, -1, &header) ==
            CURLHE_OK) {
        reply->given_back = header->value;
    }
}

struct job *http_next(struct http *http, int64_t now, struct reply *reply) {
    struct transfer *transfer;
    const struct failure_name *failure;

    if (http->last != NULL) {
        SLIST_INSERT_HEAD(&http->idle, http->last, links);
        http->last = NULL;
    }
    transfer = next_ended(http);
    if (transfer == NULL) {
        return NULL;
    }
    http->last = transfer;
    transfer->busy = false;
    http->in_flight--;
    failure = failure_of(transfer);
    *reply = (struct reply){
        .failure = failure != NULL ? failure->failure : FAILURE_NONE,
        .error = failure != NULL ? failure->text : "",
        .retry_after = -1,
        .started_at = transfer->started_at,
        .duration = transfer->duration,
    };
    if (failure == NULL) {
        fill_answer(transfer, now, reply);
    }
    response_text(&transfer->response, &http->response);
    reply->response = http->response.data != NULL ? http->response.data : "";
    reply->response_length = http->response.length;
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
        must(curl_multi_remove_handle(http->multi, transfer->easy));
    }
    transfer->busy = false;
    http->in_flight--;
    SLIST_INSERT_HEAD(&http->idle, transfer, links);
    return transfer->job;
}
