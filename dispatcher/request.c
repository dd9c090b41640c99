/*
** request.c: the headers of a request (design 3.3), for libcurl without an allocation a header: the
** nodes of the list are one array, what is composed stands in one text, and headers that a
** subscription or an event gives are pointed to where they are. Both grow to what was needed most.
**
** Nothing fails here: without memory the process ends (memory.h). That a header is one, and can't
** break out of its line, was checked where it was read (header_check).
** SPDX-License-Identifier: MIT
*/
#include "request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "memory.h"
#include "sign.h"

#define STAMP_MAX 24 /* an int64_t and its NUL */

/* Puts a header at the end of the list. The text is the caller's, and stays. */
static void add(struct request *request, const char *text) {
    struct curl_slist *header = &request->headers[request->headers_count];

    assert(request->headers_count < request->headers_room);
    header->data = (char *)text; /* libcurl only reads it */
    header->next = NULL;
    if (request->headers_count++ > 0) {
        header[-1].next = header;
    }
}

/* Each of our own, with room for what stands after its name. The last only where it is asked for. */
static const char *const names[] = {
    "content-type: ",      "x-event-type: ",      "webhook-id: ",   "webhook-sequence: ",
    "webhook-timestamp: ", "webhook-signature: ", "x-hook-secret: "};
#define NAMES (sizeof names / sizeof *names)

/* Headers that libcurl would add by itself, taken out. A target may give an Accept of its own. */
static const char *const unwanted[] = {"Accept:", "Expect:"};
#define UNWANTED (sizeof unwanted / sizeof *unwanted)

/*
** "name: value" as it is. An empty value is written "name;" at `at`: "name:" tells libcurl to leave
** the header out. Returns where the next text may stand.
*/
static char *add_given(struct request *request, char *at, const char *header) {
    const char *colon = strchr(header, ':');

    if (colon == NULL || colon[1 + strspn(colon + 1, " \t")] != '\0') {
        add(request, header);
        return at;
    }
    add(request, at);
    at = mempcpy(at, header, (size_t)(colon - header));
    return stpcpy(at, ";") + 1;
}

/* Is there one of the same name? */
static bool has(const char *const *headers, const char *header) {
    size_t length = strcspn(header, ":;");

    for (; headers != NULL && *headers != NULL; headers++) {
        if (strcspn(*headers, ":;") == length && curl_strnequal(*headers, header, length)) {
            return true;
        }
    }
    return false;
}

/* All but those for which there is another one. */
static char *add_all_given(struct request *request, char *at, const char *const *headers,
                           const char *const *others) {
    for (; headers != NULL && *headers != NULL; headers++) {
        if (!has(others, *headers)) {
            at = add_given(request, at, *headers);
        }
    }
    return at;
}

static void measure_given(const char *const *headers, size_t *count, size_t *bytes) {
    for (; headers != NULL && *headers != NULL; headers++) {
        *count += 1;
        *bytes += strlen(*headers) + 1;
    }
}

/* Room before anything is added: what is in the list must not move. */
static void reserve(struct request *request, size_t count, size_t bytes) {
    if (count > request->headers_room) {
        request->headers = xrealloc(request->headers, count * sizeof *request->headers);
        request->headers_room = count;
    }
    if (bytes > request->text_room) {
        request->text = xrealloc(request->text, bytes);
        request->text_room = bytes;
    }
    request->headers_count = 0;
}

const struct curl_slist *request_headers(struct request *request, const struct job *job,
                                         int64_t now) {
    char sequence[STAMP_MAX];
    char stamp[STAMP_MAX];
    char signature[SIGN_TEXT_MAX];
    const char *const values[NAMES] = {job->content_type, job->event,    job->id, sequence, stamp,
                                       signature,         job->challenge};
    size_t own = job->challenge != NULL ? NAMES : NAMES - 1;
    size_t count = UNWANTED + own;
    size_t bytes = 0;
    char *at;

    snprintf(sequence, sizeof sequence, "%lld", (long long)job->sequence);
    snprintf(stamp, sizeof stamp, "%lld", (long long)(now / 1000));
    sign_request(job->target->ring, now, job->id, job->body, job->body_length, signature);
    for (size_t i = 0; i < own; i++) {
        bytes += strlen(names[i]) + strlen(values[i]) + 1;
    }
    measure_given(job->target->headers, &count, &bytes);
    measure_given(job->extra, &count, &bytes);
    measure_given(job->headers, &count, &bytes);
    reserve(request, count, bytes);

    at = request->text;
    for (size_t i = 0; i < UNWANTED; i++) {
        add(request, unwanted[i]);
    }
    for (size_t i = 0; i < own; i++) {
        add(request, at);
        at = stpcpy(stpcpy(at, names[i]), values[i]) + 1;
    }
    at = add_all_given(request, at, job->target->headers, job->headers);
    at = add_all_given(request, at, job->extra, NULL);
    add_all_given(request, at, job->headers, NULL);
    return request->headers;
}

void request_free(struct request *request) {
    if (request->text != NULL) {
        explicit_bzero(request->text, request->text_room);
    }
    free(request->headers);
    free(request->text);
    *request = (struct request){0};
}
