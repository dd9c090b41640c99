/*
** secret.h: base64, and the signing secrets of Standard Webhooks: "whsec_" and the base64 of 24
** to 64 bytes. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_SECRET_H
#define RESTHOOK_SECRET_H

#include <stddef.h>

#define SECRET_BYTES_MIN 24
#define SECRET_BYTES_MAX 64
#define SECRET_TEXT_MAX (6 + 88 + 1) /* "whsec_", base64 of 64 bytes, NUL */

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
** Reads "whsec_…" into key (SECRET_BYTES_MAX bytes). Returns how many bytes the key has, or 0
** with what is wrong, a constant text that never contains the secret, in *wrong ("is not …").
*/
size_t secret_parse(const char *text, size_t length, unsigned char *key, const char **wrong);

/* Writes "whsec_…" of 24 random bytes; out has SECRET_TEXT_MAX bytes. */
void secret_format(const unsigned char random[SECRET_BYTES_MIN], char *out);

#endif
