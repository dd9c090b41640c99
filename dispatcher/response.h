/*
** response.h: what is kept of a response, for people to read: the first bytes of its headers and of
** its body. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_RESPONSE_H
#define RESTHOOKD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "render.h"

#define RESPONSE_READ_MOST ((size_t)1024 * 1024) /* bytes of a body that are read */
#define RESPONSE_HEAD_MOST ((size_t)128 * 1024)  /* … and of all its heads, interim ones too */

/* The first bytes of something, as they came. */
struct kept {
    struct buffer bytes; /* as many as may be needed */
    size_t most;         /* that are kept in the end */
    size_t read;         /* that came */
};

/* All zero: empty. */
struct response {
    struct kept head, body;
    bool whole_head; /* the empty line behind the headers came */
    bool keeps_head; /* it is no success */
    bool leaves_out; /* the header that came last */
};

/* Another response begins, of which so many bytes are to be kept. */
void response_begin(struct response *response, size_t head_most, size_t body_most);
/*
** Takes a line of the head, its end included, as it came: a status line begins a head, an interim
** answer's is forgotten with the next one. Of a 2xx nothing is kept, no trailer, no value of a
** Set-Cookie.
** false: more than RESPONSE_HEAD_MOST came, which is enough.
*/
bool response_take_line(struct response *response, const char *line, size_t length);
/* Takes what came of the body. false: more than RESPONSE_READ_MOST came, which is enough. */
bool response_take(struct response *response, const char *bytes, size_t length);
/*
** Writes what is kept of the body, or the head, into *text: valid UTF-8 without control characters
** but \t and \n. What is not UTF-8 becomes U+FFFD, a control character nothing.
*/
void response_text(const struct kept *kept, struct buffer *text);
void response_free(struct response *response);

#endif
