/*
** request.h: what a request says: its headers, signed, as libcurl takes them.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_REQUEST_H
#define RESTHOOKD_REQUEST_H

#include "source.h"

struct curl_slist; /* libcurl's */

/* The memory of one request's headers, used again for the next. All zero: empty. */
struct request {
    struct curl_slist *headers; /* an array; to libcurl the list that it is */
    size_t headers_room, headers_count;
    char *text; /* of the headers that are composed */
    size_t text_room;
};

/*
** Composes and signs the headers of an attempt at `now` (ms). The list is good until the next call,
** and points into the job and its target too. libcurl adds Host and Content-Length.
*/
const struct curl_slist *request_headers(struct request *request, const struct job *job,
                                         int64_t now);
void request_free(struct request *request);

#endif
