/*
** secret.h: base64, and what a subscription's secret may be: "whsec_" and the base64 of 24 to 64
** bytes (signs v1, HMAC-SHA256), "whsk_" and the base64 of an Ed25519 private key (signs v1a), both
** of Standard Webhooks, or "file:" and the name of a file that holds such. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_SECRET_H
#define RESTHOOK_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define SECRET_BYTES_MIN 24
#define SECRET_BYTES_MAX 64
#define SECRET_TEXT_MAX (6 + 88 + 1) /* "whsec_", base64 of 64 bytes, NUL */
#define KEY_BYTES 32                 /* of a private key, and of a public one: RFC 8032 5.1.5 */
#define SECRET_KEY_BYTES 64          /* of both, the private one first */
#define PUBLIC_TEXT_MAX (5 + 44 + 1) /* "whpk_", base64 of 32 bytes, NUL */

enum secret_kind { SECRET_SYMMETRIC, SECRET_KEY_PAIR };
#define SECRET_RANDOM(kind) ((kind) == SECRET_KEY_PAIR ? KEY_BYTES : SECRET_BYTES_MIN)

/*
** Encodes length bytes as base64 with padding and a NUL; out has room for all of it, that is
** 4 * ((length + 2) / 3) + 1. Returns how long it is without the NUL.
*/
size_t base64_encode(const void *bytes, size_t length, char *out);

/*
** Decodes base64 (padding required, the bits it leaves over zero, nothing else allowed). Returns
** how many bytes, or -1. out has room for length / 4 * 3 bytes.
*/
long base64_decode(const char *text, size_t length, unsigned char *out);

/*
** Reads "whsec_…" or "whsk_…" into key (SECRET_BYTES_MAX bytes). Returns how many bytes the key
** has, or 0 with what is wrong, a constant text that never contains the secret, in *wrong ("is not
** …"). A key pair has 32 bytes, the private key, or 64, the public one behind it: that the two
** belong together only who can sign can tell.
*/
size_t secret_parse(const char *text, size_t length, enum secret_kind *kind, unsigned char *key,
                    const char **wrong);

/* Are the two the same? Takes as long for every two of one length. */
bool secret_same(const char *a, size_t a_length, const char *b, size_t b_length);

/* Writes a secret of SECRET_RANDOM(kind) random bytes; out has SECRET_TEXT_MAX bytes. */
void secret_format(enum secret_kind kind, const unsigned char *random, char *out);
/* Writes "whpk_…"; out has PUBLIC_TEXT_MAX bytes. */
void public_key_format(const unsigned char key[KEY_BYTES], char *out);

/* What follows "file:", if the text begins so; NULL: it does not. */
const char *secret_file(const char *text);
/* NULL: it may be the name of a secret's file; otherwise what is wrong, a constant text. */
const char *secret_file_check(const char *name);

#endif
