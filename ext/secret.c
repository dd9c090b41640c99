/*
** secret.c: base64 (RFC 4648 4), the signing secrets of Standard Webhooks 1.0.0, and references to
** files that hold them.
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

#define BASE64_LENGTH(bytes) (((bytes) + 2) / 3 * 4)
#define FILE_NAME_MAX 100

/* What a text of each kind begins with. */
static const char *const prefixes[] = {[SECRET_SYMMETRIC] = "whsec_", [SECRET_KEY_PAIR] = "whsk_"};
static const char file_prefix[] = "file:";

_Static_assert(SECRET_TEXT_MAX == 6 + BASE64_LENGTH(SECRET_BYTES_MAX) + 1, "secret.h");
_Static_assert(PUBLIC_TEXT_MAX == 5 + BASE64_LENGTH(KEY_BYTES) + 1, "secret.h");
_Static_assert(SECRET_BYTES_MIN == 24 && SECRET_BYTES_MAX == 64 && KEY_BYTES == 32,
               "the texts below say 24, 64 and 32");

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

/* What is wrong with so many bytes of a kind; NULL: nothing. */
static const char *check_length(enum secret_kind kind, long count) {
    if (count < 0) {
        return kind == SECRET_KEY_PAIR ? "is not whsk_ and base64 with its padding"
                                       : "is not whsec_ and base64 with its padding";
    }
    if (kind == SECRET_KEY_PAIR) {
        return count == KEY_BYTES || count == SECRET_KEY_BYTES ? NULL
                                                               : "has neither 32 nor 64 bytes";
    }
    return count < SECRET_BYTES_MIN   ? "has less than 24 bytes"
           : count > SECRET_BYTES_MAX ? "has more than 64 bytes"
                                      : NULL;
}

static bool has_prefix(const char *text, size_t length, const char *prefix) {
    return length >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

size_t secret_parse(const char *text, size_t length, enum secret_kind *kind, unsigned char *key,
                    const char **wrong) {
    unsigned char
        bytes[BASE64_LENGTH(SECRET_BYTES_MAX) / 4 * 3]; /* 66: the text's length alone allows it */
    long count;

    *kind =
        has_prefix(text, length, prefixes[SECRET_KEY_PAIR]) ? SECRET_KEY_PAIR : SECRET_SYMMETRIC;
    if (!has_prefix(text, length, prefixes[*kind])) {
        *wrong = "begins with neither whsec_ nor whsk_";
        return 0;
    }
    text += strlen(prefixes[*kind]);
    length -= strlen(prefixes[*kind]);
    if (length > BASE64_LENGTH(SECRET_BYTES_MAX)) {
        *wrong = "has more than 64 bytes";
        return 0;
    }
    count = base64_decode(text, length, bytes);
    *wrong = check_length(*kind, count);
    if (*wrong == NULL) {
        memcpy(key, bytes, (size_t)count);
    }
    explicit_bzero(bytes, sizeof bytes);
    return *wrong == NULL ? (size_t)count : 0;
}

bool secret_same(const char *a, size_t a_length, const char *b, size_t b_length) {
    unsigned char differing = 0;

    if (a_length != b_length) {
        return false;
    }
    for (size_t i = 0; i < a_length; i++) {
        differing |= (unsigned char)(a[i] ^ b[i]);
    }
    return differing == 0;
}

void secret_format(enum secret_kind kind, const unsigned char *random, char *out) {
    size_t length = strlen(prefixes[kind]);

    memcpy(out, prefixes[kind], length);
    base64_encode(random, SECRET_RANDOM(kind), out + length);
}

void public_key_format(const unsigned char key[KEY_BYTES], char *out) {
    memcpy(out, "whpk_", 5);
    base64_encode(key, KEY_BYTES, out + 5);
}

const char *secret_file(const char *text) {
    size_t length = sizeof file_prefix - 1;

    return strncmp(text, file_prefix, length) == 0 ? text + length : NULL;
}

const char *secret_file_check(const char *name) {
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-')) {
            return "is file: and not a plain name of letters, digits, '.', '_' and '-'";
        }
    }
    if (length == 0 || length > FILE_NAME_MAX || name[0] == '.') {
        return "is file: and not a name of 1 to 100 bytes that does not begin with '.'";
    }
    /* It would be shown as a name. */
    return has_prefix(name, length, prefixes[SECRET_SYMMETRIC]) ||
                   has_prefix(name, length, prefixes[SECRET_KEY_PAIR])
               ? "is file: and a secret, where the name of a file is expected"
               : NULL;
}
