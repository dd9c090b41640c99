/*
** sign.h: signatures of Standard Webhooks 1.0.0: "v1," and base64 of HMAC-SHA256 over
** "id.timestamp.body".
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SIGN_H
#define RESTHOOKD_SIGN_H

#include <stddef.h>
#include <stdint.h>

#define SIGN_SECRETS_MAX 2 /* the secret, and during a rotation the old one */
#define SIGN_TEXT_MAX (SIGN_SECRETS_MAX * (3 + 44 + 1) + 1) /* a header's value and its NUL */

struct secret_ring; /* keyed contexts, ready to sign; wiped when freed */

/*
** Takes up to SIGN_SECRETS_MAX "whsec_…" texts. NULL with *wrong (a constant text, never the
** secret) when one is not a secret. old_until: ms from which the second no longer signs.
*/
struct secret_ring *secret_ring_new(const char *secret, const char *old, int64_t old_until,
                                    const char **wrong);
void secret_ring_free(struct secret_ring *ring);

/*
** Writes the value of webhook-signature for a request at `now` (ms; the timestamp is now / 1000)
** into out, SIGN_TEXT_MAX bytes: one signature a secret that signs, separated by a space.
*/
void sign_request(const struct secret_ring *ring, int64_t now, const char *id, const char *body,
                  size_t length, char *out);

#endif
