/*
** sign.h: signatures of Standard Webhooks 1.0.0 over "id.timestamp.body": "v1," and base64 of
** HMAC-SHA256, or "v1a," and base64 of Ed25519, as each secret is made for.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SIGN_H
#define RESTHOOKD_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

#define SIGN_SECRETS_MAX 4 /* of a subscription: the secret and the old one, or those of a file */
#define SIGN_TEXT_MAX (SIGN_SECRETS_MAX * (4 + 88 + 1) + 1) /* a header's value and its NUL */

struct secret_ring; /* keys, ready to sign; wiped when freed */

struct secret_ring *secret_ring_new(void); /* without a secret: nothing is signed with it */
/* One more who has it: it goes when each has freed it. A key pair takes 60 µs to make. */
struct secret_ring *secret_ring_hold(struct secret_ring *ring);
void secret_ring_free(struct secret_ring *ring);
/*
** Adds "whsec_…" or "whsk_…", which signs until `until` (ms; INT64_MAX: always). Returns NULL, or
** what is wrong, a constant text, never the secret; SIGN_SECRETS_MAX is as many as there may be.
*/
const char *secret_ring_add(struct secret_ring *ring, const char *text, size_t length,
                            int64_t until);
/* Writes the first secret's public key, "whpk_…"; false: it has none. */
bool secret_ring_public_key(const struct secret_ring *ring, char out[PUBLIC_TEXT_MAX]);

/*
** Writes the value of webhook-signature for a request at `now` (ms; the timestamp is now / 1000)
** into out, SIGN_TEXT_MAX bytes: one signature a secret that signs, separated by a space.
*/
void sign_request(const struct secret_ring *ring, int64_t now, const char *id, const char *body,
                  size_t length, char *out);

/* The public key of a private one. */
void sign_public_key(const unsigned char private_key[KEY_BYTES],
                     unsigned char public_key[KEY_BYTES]);

#endif
