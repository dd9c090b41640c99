/*
** failure.h: what the end of a transfer without an answer is called.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_FAILURE_H
#define RESTHOOKD_FAILURE_H

#include "verdict.h"

struct failure_name {
    enum failure failure;
    const char *text; /* "class: text", for people */
};

extern const struct failure_name failure_address; /* the guard refused the address */
extern const struct failure_name failure_plain;   /* plain http, and not to an allowed network */
extern const struct failure_name failure_head;    /* more headers than are read */

/* The name of a CURLcode other than CURLE_OK. */
const struct failure_name *failure_named(int code);
/*
** What a timeout is called, by what had not come. handshake: it is one of TLS that was under way;
** sent: the request was.
*/
const struct failure_name *failure_late(const struct steps *steps, bool handshake, bool sent);

#endif
