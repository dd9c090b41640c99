/*
** secret.c: base64 (RFC 4648 4) and the signing secrets of Standard Webhooks 1.0.0.
**
** Decoding is strict: padding is required and the bits it leaves over must be zero (RFC 4648
** 3.5), so that a key has one spelling and two texts that differ are two keys. No text returned
** here ever holds any of a secret; the copy that parsing makes is wiped. The caller owns, and
** wipes, what it was given.
** SPDX-License-Identifier: MIT
*/
#include "secret.h"

#include <stdint.h>
#include <string.h>

#define PREFIX "whsec_"
#define PREFIX_LENGTH (sizeof PREFIX - 1)
#define BASE64_LENGTH(bytes) (((bytes) + 2) / 3 * 4)

_Static_assert(SECRET_TEXT_MAX == PREFIX_LENGTH + BASE64_LENGTH(SECRET_BYTES_MAX) + 1, "secret.h");
_Static_assert(SECRET_BYTES_MIN == 24 && SECRET_BYTES_MAX == 64, "the texts below say 24 and 64");

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *bytes, size_t length, char *out) {
    const unsigned char *in = bytes;
    char *at = out;

    for (; length >= 3; in += 3, length -= 3) {
        *at++ = alphabet[in[0] >> 2];
        *at++ = alphabet[(in[0] << 4 | in[1] >> 4) & 63];
        *at++ = alphabet[(in[1] << 2 | in[2] >> 6) & 63];
        *at++ = alphabet[in[2] & 63];
    }
    if (length > 0) {
        unsigned second = length == 2 ? in[1] : 0;

        *at++ = alphabet[in[0] >> 2];
        *at++ = alphabet[((unsigned)in[0] << 4 | second >> 4) & 63];
        *at++ = length == 2 ? alphabet[second << 2 & 63] : '=';
        *at++ = '=';
    }
    *at = '\0';
    return (size_t)(at - out);
}

/* The six bits of a letter, or -1. */
static int letter_value(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long base64_decode(const char *text, size_t length, unsigned char *out) {
    unsigned char *at = out;
    size_t padding = 0;
    uint32_t bits = 0;

    if (length % 4 != 0) {
        return -1;
    }
    while (padding < 2 && length > padding && text[length - padding - 1] == '=') {
        padding++;
    }
    for (size_t i = 0; i < length; i++) {
        int value = i < length - padding ? letter_value(text[i]) : 0;

        if (value < 0) {
            return -1;
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            size_t whole = i + 1 == length ? 3 - padding : 3;

            if ((bits & ((1U << 8 * (3 - whole)) - 1)) != 0) {
                return -1;
            }
            for (size_t byte = 0; byte < whole; byte++) {
                *at++ = (unsigned char)(bits >> (16 - 8 * byte));
            }
            bits = 0;
        }
    }
    return at - out;
}

size_t secret_parse(const char *text, size_t length, unsigned char *key, const char **wrong) {
    unsigned char
        bytes[BASE64_LENGTH(SECRET_BYTES_MAX) / 4 * 3]; /* 66: the text's length alone allows it */
    long count;

    if (length < PREFIX_LENGTH || memcmp(text, PREFIX, PREFIX_LENGTH) != 0) {
        *wrong = "does not begin with whsec_";
        return 0;
    }
    text += PREFIX_LENGTH;
    length -= PREFIX_LENGTH;
    if (length > BASE64_LENGTH(SECRET_BYTES_MAX)) {
        *wrong = "has more than 64 bytes";
        return 0;
    }
    *wrong = NULL;
    count = base64_decode(text, length, bytes);
    if (count < 0) {
        *wrong = "is not whsec_ and base64 with its padding";
    } else if (count < SECRET_BYTES_MIN) {
        *wrong = "has less than 24 bytes";
    } else if (count > SECRET_BYTES_MAX) {
        *wrong = "has more than 64 bytes";
    } else {
        memcpy(key, bytes, (size_t)count);
    }
    explicit_bzero(bytes, sizeof bytes);
    return *wrong == NULL ? (size_t)count : 0;
}

void secret_format(const unsigned char random[SECRET_BYTES_MIN], char *out) {
    memcpy(out, PREFIX, PREFIX_LENGTH);
    base64_encode(random, SECRET_BYTES_MIN, out + PREFIX_LENGTH);
}
