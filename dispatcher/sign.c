/*
** sign.c: signatures of Standard Webhooks 1.0.0 by libcrypto.
**
** A ring holds one HMAC context a secret, keyed when the ring is made and started anew for every
** request: of the ways to sign with libcrypto that costs least (0.46 µs for 300 bytes; HMAC() 1.6).
** The algorithm is fetched once and kept until the process ends. Keys live in libcrypto's contexts
** only, which wipe them; what was decoded on the way is wiped here. What libcrypto refuses for lack
** of memory ends the process, as in memory.c.
** SPDX-License-Identifier: MIT
*/
#include "sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "memory.h"
#include "secret.h"

#define EXIT_OS 71 /* sysexits EX_OSERR */
#define HASH_BYTES 32
#define STAMP_MAX 24 /* ".<seconds>." */

struct secret_ring {
    EVP_MAC_CTX *keys[SIGN_SECRETS_MAX]; /* the second: NULL when there is no old secret */
    int64_t old_until;
};

static void must(int done) {
    if (done != 1) {
        fputs("resthookd: libcrypto can not sign\n", stderr);
        exit(EXIT_OS);
    }
}

static EVP_MAC *hmac(void) {
    static EVP_MAC *fetched;

    if (fetched == NULL) {
        fetched = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
        must(fetched != NULL);
    }
    return fetched;
}

/* A context with the secret as its key; NULL with *wrong when it is not a secret. */
static EVP_MAC_CTX *key_of(const char *secret, const char **wrong) {
    char digest[] = "SHA256"; /* OSSL_PARAM has no const */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    unsigned char key[SECRET_BYTES_MAX];
    size_t length = secret_parse(secret, strlen(secret), key, wrong);
    EVP_MAC_CTX *context = NULL;

    if (length > 0) {
        context = EVP_MAC_CTX_new(hmac());
        must(context != NULL);
        must(EVP_MAC_init(context, key, length, params));
    }
    OPENSSL_cleanse(key, sizeof key);
    return context;
}

struct secret_ring *secret_ring_new(const char *secret, const char *old, int64_t old_until,
                                    const char **wrong) {
    struct secret_ring *ring = xcalloc(1, sizeof *ring);

    ring->old_until = old_until;
    ring->keys[0] = key_of(secret, wrong);
    if (ring->keys[0] != NULL && old != NULL) {
        ring->keys[1] = key_of(old, wrong);
    }
    if (ring->keys[0] == NULL || (old != NULL && ring->keys[1] == NULL)) {
        secret_ring_free(ring);
        return NULL;
    }
    return ring;
}

void secret_ring_free(struct secret_ring *ring) {
    if (ring != NULL) {
        for (int i = 0; i < SIGN_SECRETS_MAX; i++) {
            EVP_MAC_CTX_free(ring->keys[i]);
        }
        free(ring);
    }
}

/* Appends "v1,<base64>" at out. Returns its end. */
static char *sign(EVP_MAC_CTX *key, const char *id, const char *stamp, const char *body,
                  size_t length, char *out) {
    unsigned char hash[HASH_BYTES];
    size_t hash_length = 0;

    must(EVP_MAC_init(key, NULL, 0, NULL)); /* from the start again, with the same key */
    must(EVP_MAC_update(key, (const unsigned char *)id, strlen(id)));
    must(EVP_MAC_update(key, (const unsigned char *)stamp, strlen(stamp)));
    must(EVP_MAC_update(key, (const unsigned char *)body, length));
    must(EVP_MAC_final(key, hash, &hash_length, sizeof hash));
    memcpy(out, "v1,", 3);
    return out + 3 + base64_encode(hash, hash_length, out + 3);
}

void sign_request(const struct secret_ring *ring, int64_t now, const char *id, const char *body,
                  size_t length, char *out) {
    char stamp[STAMP_MAX];

    snprintf(stamp, sizeof stamp, ".%lld.", (long long)(now / 1000));
    out = sign(ring->keys[0], id, stamp, body, length, out);
    if (ring->keys[1] != NULL && now < ring->old_until) {
        *out++ = ' ';
        sign(ring->keys[1], id, stamp, body, length, out);
    }
}
