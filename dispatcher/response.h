/*
** response.h: what is kept of a response's body, for people to read. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_RESPONSE_H
#define RESTHOOKD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "render.h"

#define RESPONSE_READ_MOST ((size_t)1024 * 1024) /* bytes of a body that are read */

/* All zero: empty. */
struct response {
    struct buffer body; /* the bytes as they came, as many as may be needed */
    size_t most;        /* bytes that are kept in the end */
    size_t read;        /* bytes that came */
};

/* Another response begins, of which `most` bytes are to be kept. */
void response_begin(struct response *response, size_t most);
/* Takes what came. false: more than RESPONSE_READ_MOST came, which is enough. */
bool response_take(struct response *response, const char *bytes, size_t length);
/*
** Writes what is kept into *text: at most `most` bytes of valid UTF-8 without control characters
** but \t and \n. What is not UTF-8 becomes U+FFFD, a control character nothing.
*/
void response_text(const struct response *response, struct buffer *text);
void response_free(struct response *response);

#endif
