/*
** signature.c: a secret that is accepted is base64 to OpenSSL too, of as many bytes as it may have, and
** what a request is signed with, OpenSSL's HMAC() and its Ed25519 verify, one signature a secret.
** SPDX-License-Identifier: MIT
*/
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "fuzz.h"
#include "sign.h"

#define SECRETS 5
#define NOW INT64_C(1790000000123)

struct secret {
    bool pair;
    unsigned char key[96];
    int length; /* 0: it is none */
};

/* What OpenSSL makes of it. */
static struct secret read_secret(const char *text, size_t length) {
    struct secret secret = {.pair = strncmp(text, "whsk_", 5) == 0};
    char again[96 / 3 * 4 + 1];

    if ((!secret.pair && strncmp(text, "whsec_", 6) != 0) || strlen(text) != length) {
        return secret;
    }
    text = strchr(text, '_') + 1;
    length = strlen(text);
    if (length == 0 || length % 4 != 0 || length > sizeof again - 1) {
        return secret;
    }
    int count = EVP_DecodeBlock(secret.key, (const unsigned char *)text, (int)length);
    count -= (text[length - 1] == '=') + (text[length - 2] == '=');
    if (count <= 0 || EVP_EncodeBlock((unsigned char *)again, secret.key, count) != (int)length ||
        strcmp(again, text) != 0) {
        return secret; /* not the one way to write it */
    }
    if (secret.pair ? count == 32 || count == 64 : count >= 24 && count <= 64) {
        secret.length = count;
    }
    return secret;
}

/* Has the pair its own public key behind the private one? */
static bool is_pair(const struct secret *secret, unsigned char public_key[32]) {
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret->key, 32);
    size_t length = 32;

    MUST(pair != NULL && EVP_PKEY_get_raw_public_key(pair, public_key, &length) == 1, "OpenSSL");
    EVP_PKEY_free(pair);
    return secret->length == 32 || memcmp(public_key, secret->key + 32, 32) == 0;
}

static void verify(const struct secret *secret, const char *signature, size_t length,
                   const char *message, size_t size) {
    unsigned char expected[EVP_MAX_MD_SIZE], public_key[32], decoded[96];
    char text[100];
    unsigned count = 0;

    snprintf(text, sizeof text, "%.*s", (int)length, signature);
    const char *base64 = strchr(text, ',');
    MUST(base64 != NULL && strcspn(text, ",") == (secret->pair ? 3 : 2), "%s", text);
    base64++;
    int bytes = EVP_DecodeBlock(decoded, (const unsigned char *)base64, (int)strlen(base64));
    if (!secret->pair) {
        HMAC(EVP_sha256(), secret->key, secret->length, (const unsigned char *)message, size,
             expected, &count);
        MUST(strncmp(text, "v1,", 3) == 0 && bytes == 33 && memcmp(decoded, expected, 32) == 0,
             "%s", text);
        return;
    }
    MUST(is_pair(secret, public_key), "%s", text);
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    MUST(strncmp(text, "v1a,", 4) == 0 && bytes == 66 &&
             EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
             EVP_DigestVerify(context, decoded, 64, (const unsigned char *)message, size) == 1,
         "%s", text);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct secret_ring *ring = secret_ring_new();
    struct secret signing[SIGN_SECRETS_MAX];
    unsigned char public_key[32];
    char header[SIGN_TEXT_MAX + 1], stamp[32];
    size_t length, id_length, body_length;
    uint8_t past = take_byte(&input);
    int taken = 0, signs = 0;

    for (int i = 0; i < SECRETS; i++) {
        char *text = take_line(&input, &length);
        struct secret secret = read_secret(text, length);
        bool over = (past >> i & 1) != 0;
        bool good = taken < SIGN_SECRETS_MAX && secret.length > 0 &&
                    (!secret.pair || is_pair(&secret, public_key));

        MUST((secret_ring_add(ring, text, length, over ? NOW : INT64_MAX) == NULL) == good, "%s",
             text);
        taken += good;
        if (good && !over) {
            signing[signs++] = secret;
        }
        free(text);
    }
    char *id = take_line(&input, &id_length), *body = take_rest(&input, &body_length);
    id_length = strlen(id);
    header[SIGN_TEXT_MAX] = 'E';
    sign_request(ring, NOW, id, body, body_length, header);
    MUST(header[SIGN_TEXT_MAX] == 'E', "it is too long");
    size_t stamp_length = (size_t)snprintf(stamp, sizeof stamp, ".%lld.", (long long)(NOW / 1000));
    char *message = malloc(id_length + stamp_length + body_length);
    MUST(message != NULL, "memory");
    memcpy(message, id, id_length);
    memcpy(message + id_length, stamp, stamp_length);
    memcpy(message + id_length + stamp_length, body, body_length);
    const char *at = header;
    for (int i = 0; i < signs; i++) {
        verify(&signing[i], at, strcspn(at, " "), message, id_length + stamp_length + body_length);
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    MUST(*at == '\0', "%s", header);
    secret_ring_free(ring);
    free(message);
    free(id);
    free(body);
    return 0;
}
