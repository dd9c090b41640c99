/*
** transfer.c: see transfer.h.
**
** The guard is asked twice, because neither callback of libcurl sees everything: OPENSOCKETFUNCTION
** every address that is tried, but nothing when a connection is used again; PREREQFUNCTION every
** request, but only once the connection is there.
** SPDX-License-Identifier: MIT
*/
#include "transfer.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "failure.h"
#include "handle.h"
#include "host.h"
#include "memory.h"
#include "stopwatch.h"

bool transfer_passes(struct transfer *transfer, enum guard_answer answer) {
    if (answer == GUARD_REFUSED) {
        transfer->refused = &failure_address;
        return false;
    }
    if (transfer->plain && answer != GUARD_ALLOWED && !transfer->options->allow_http) {
        transfer->refused = &failure_plain;
        return false;
    }
    return true;
}

/* OPENSOCKETFUNCTION */
static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
    struct transfer *transfer = data;
    const struct http_options *options = transfer->options;

    (void)purpose;
    if (options->proxy == NULL &&
        !transfer_passes(transfer, guard_judge(options->guard, &address->addr))) {
        return CURL_SOCKET_BAD; /* and no step is measured: it would tell that there is such a name */
    }
    transfer->connects = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* PREREQFUNCTION. libcurl's type has no const. */
static int before_request(void *data, char *remote, char *local, int remote_port, int local_port) {
    struct transfer *transfer = data;
    const struct http_options *options = transfer->options;

    (void)local, (void)remote_port, (void)local_port;
    if (options->proxy == NULL &&
        !transfer_passes(transfer, guard_judge_text(options->guard, remote))) {
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

    if (transfer->steps.first_byte < 0) { /* of a large body's transfer libcurl has another idea */
        transfer->steps.first_byte = stopwatch_us() - transfer->began;
    }
    transfer->head_cut = !response_take_line(&transfer->response, line, size * count);
    return transfer->head_cut ? 0 : size * count;
}

#define SET(option, value) (curl_easy_setopt(transfer->easy, (option), (value)) == CURLE_OK)

static bool set_callbacks(struct transfer *transfer) {
    return SET(CURLOPT_PRIVATE, transfer) && SET(CURLOPT_WRITEFUNCTION, take_body) &&
           SET(CURLOPT_WRITEDATA, transfer) && SET(CURLOPT_HEADERFUNCTION, take_header) &&
           SET(CURLOPT_HEADERDATA, transfer) && SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           SET(CURLOPT_OPENSOCKETDATA, transfer) && SET(CURLOPT_PREREQFUNCTION, before_request) &&
           SET(CURLOPT_PREREQDATA, transfer);
}

void transfer_free(struct transfer *transfer) {
    curl_easy_cleanup(transfer->easy);
    request_free(&transfer->request);
    response_free(&transfer->response);
    free(transfer);
}

struct transfer *transfer_new(const struct http_options *options) {
    struct transfer *transfer = xcalloc(1, sizeof *transfer);

    transfer->options = options;
    transfer->easy = handle_new(options);
    if (transfer->easy == NULL || !set_callbacks(transfer)) {
        transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

bool transfer_begin(struct transfer *transfer, struct job *job, int64_t now) {
    transfer->job = job;
    transfer->started_at = now;
    transfer->plain = !curl_strnequal(job->target->url, "https:", 6);
    transfer->refused = NULL;
    transfer->result = CURLE_FAILED_INIT;
    transfer->duration = 0;
    transfer->steps = (struct steps){-1, -1, -1, -1};
    transfer->connects = false;
    transfer->began = stopwatch_us();
    transfer->cut = false;
    transfer->head_cut = false;
    response_begin(&transfer->response, job->target->headers_most, job->target->response_most);
    return handle_set_job(transfer->easy, job, request_headers(&transfer->request, job, now));
}

/* 0 is to libcurl what it did not come to. */
static int64_t step(const struct transfer *transfer, CURLINFO info) {
    curl_off_t microseconds = 0;

    curl_easy_getinfo(transfer->easy, info, &microseconds);
    return microseconds > 0 ? microseconds : -1;
}

/* On a connection that is used again libcurl gives the first steps a time, too. */
static void measure(struct transfer *transfer) {
    transfer->duration = step(transfer, CURLINFO_TOTAL_TIME_T) / 1000;
    if (transfer->connects) {
        transfer->steps.dns = step(transfer, CURLINFO_NAMELOOKUP_TIME_T);
        transfer->steps.connect = step(transfer, CURLINFO_CONNECT_TIME_T);
        transfer->steps.tls = transfer->plain ? -1 : step(transfer, CURLINFO_APPCONNECT_TIME_T);
    }
}

/*
** A connection whose request failed is closed, since it may be dead. Of HTTP/2 libcurl keeps it: it
** might carry others. It finds it closed when it wants to use it again.
*/
static void close_failed(const struct transfer *transfer) {
    curl_socket_t kept = CURL_SOCKET_BAD;

    if (transfer->result != CURLE_OK &&
        curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &kept) == CURLE_OK &&
        kept != CURL_SOCKET_BAD) {
        shutdown(kept, SHUT_RDWR);
    }
}

void transfer_end(struct transfer *transfer, CURLcode result) {
    transfer->result = result;
    measure(transfer);
    close_failed(transfer);
}

/*
** Which names there are inside is nobody's business either: one that leads nowhere and one that leads
** to where nobody may go are the same.
*/
static const struct failure_name *refusal_of(const struct transfer *transfer) {
    return transfer->refused == &failure_address && host_is_name(transfer->job->target->url)
               ? failure_named(CURLE_COULDNT_RESOLVE_HOST)
               : transfer->refused;
}

/* Why there is no answer; NULL: there is one. */
static const struct failure_name *failure_of(const struct transfer *transfer) {
    long tunnel = 0; /* what a proxy said to CONNECT */

    if (transfer->result == CURLE_OK || transfer->cut) {
        return transfer->response.whole_head ? NULL : failure_named(CURLE_PARTIAL_FILE);
    }
    if (transfer->head_cut) {
        return &failure_head;
    }
    /* Of several addresses one may have been refused, and then another tried: that one counts. */
    if (transfer->refused != NULL && (transfer->result == CURLE_COULDNT_CONNECT ||
                                      transfer->result == CURLE_ABORTED_BY_CALLBACK)) {
        return refusal_of(transfer);
    }
    if (transfer->result == CURLE_OPERATION_TIMEDOUT) {
        long connected = 0; /* TCP; CONNECT_TIME comes with the handshake's end only */

        curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connected);
        return failure_late(&transfer->steps, connected > 0 && !transfer->plain,
                            step(transfer, CURLINFO_PRETRANSFER_TIME_T) >= 0);
    }
    curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    if (tunnel != 0 && tunnel / 100 != 2) {
        return failure_named(CURLE_PROXY);
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

static const char *text_of(const struct kept *kept, struct buffer *text, size_t *length) {
    response_text(kept, text);
    *length = text->length;
    return text->data != NULL ? text->data : "";
}

void transfer_reply(const struct transfer *transfer, int64_t now, struct buffer *body,
                    struct buffer *head, struct reply *reply) {
    const struct failure_name *failure = failure_of(transfer);

    *reply = (struct reply){
        .failure = failure != NULL ? failure->failure : FAILURE_NONE,
        .error = failure != NULL ? failure->text : "",
        .retry_after = -1,
        .started_at = transfer->started_at,
        .duration = transfer->duration,
        .steps = transfer->steps,
        .headers = "",
    };
    if (failure == NULL) {
        fill_answer(transfer, now, reply);
    }
    reply->response = text_of(&transfer->response.body, body, &reply->response_length);
    if (transfer->response.keeps_head) {
        reply->headers = text_of(&transfer->response.head, head, &reply->headers_length);
    }
}
