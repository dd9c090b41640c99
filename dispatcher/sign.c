/*
** sign.c: signatures of Standard Webhooks 1.0.0 by libcrypto.
**
** A ring holds one HMAC context a symmetric secret, keyed when the ring is made and started anew
** for every request: of the ways to sign with libcrypto that costs least (0.46 µs for 300 bytes;
** HMAC() 1.6). Ed25519 takes some 40 µs and has no such choice.
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

#define EXIT_OS 71 /* sysexits EX_OSERR */
#define HASH_BYTES 32
#define SIGNATURE_BYTES 64
#define STAMP_MAX 24 /* ".<seconds>." */

struct key { /* one of the two */
    EVP_MAC_CTX *mac;
    EVP_PKEY *pair;
    int64_t until;
};

struct secret_ring {
    struct key keys[SIGN_SECRETS_MAX];
    int count;
    int holders;
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

/* A context with the secret as its key. */
static EVP_MAC_CTX *mac_of(const unsigned char *bytes, size_t length) {
    char digest[] = "SHA256"; /* OSSL_PARAM has no const */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac());

    must(context != NULL);
    must(EVP_MAC_init(context, bytes, length, params));
    return context;
}

static EVP_PKEY *pair_of(const unsigned char private_key[KEY_BYTES]) {
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, KEY_BYTES);

    must(pair != NULL); /* any 32 bytes are one */
    return pair;
}

static void public_half(const EVP_PKEY *pair, unsigned char public_key[KEY_BYTES]) {
    size_t length = KEY_BYTES;

    must(EVP_PKEY_get_raw_public_key(pair, public_key, &length));
}

void sign_public_key(const unsigned char private_key[KEY_BYTES],
                     unsigned char public_key[KEY_BYTES]) {
    EVP_PKEY *pair = pair_of(private_key);

    public_half(pair, public_key);
    EVP_PKEY_free(pair);
}

struct secret_ring *secret_ring_new(void) {
    return secret_ring_hold(xcalloc(1, sizeof(struct secret_ring)));
}

struct secret_ring *secret_ring_hold(struct secret_ring *ring) {
    ring->holders++;
    return ring;
}

void secret_ring_free(struct secret_ring *ring) {
    if (ring != NULL && --ring->holders == 0) {
        for (int i = 0; i < ring->count; i++) {
            EVP_MAC_CTX_free(ring->keys[i].mac);
            EVP_PKEY_free(ring->keys[i].pair);
        }
        free(ring);
    }
}

const char *secret_ring_add(struct secret_ring *ring, const char *text, size_t length,
                            int64_t until) {
    unsigned char bytes[SECRET_BYTES_MAX], public_key[KEY_BYTES];
    enum secret_kind kind;
    const char *wrong = NULL;

    if (ring->count == SIGN_SECRETS_MAX) {
        return "is one secret too many";
    }
    struct key *key = &ring->keys[ring->count];
    size_t count = secret_parse(text, length, &kind, bytes, &wrong);

    if (count == 0) {
        return wrong;
    }
    if (kind == SECRET_KEY_PAIR) {
        key->pair = pair_of(bytes);
        public_half(key->pair, public_key);
        if (count == SECRET_KEY_BYTES &&
            CRYPTO_memcmp(bytes + KEY_BYTES, public_key, KEY_BYTES) != 0) {
            wrong = "has a public key that is not its private key's";
            EVP_PKEY_free(key->pair);
            key->pair = NULL;
        }
    } else {
        key->mac = mac_of(bytes, count);
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    key->until = until;
    ring->count += wrong == NULL;
    return wrong;
}

bool secret_ring_public_key(const struct secret_ring *ring, char out[PUBLIC_TEXT_MAX]) {
    unsigned char public_key[KEY_BYTES];

    if (ring->count == 0 || ring->keys[0].pair == NULL) {
        return false;
    }
    public_half(ring->keys[0].pair, public_key);
    public_key_format(public_key, out);
    return true;
}

/* What is signed, in the parts that it is made of. */
struct message {
    const char *part[3];
    size_t length[3];
};

/* Appends "v1,<base64>" at out. Returns its end. */
static char *sign_mac(EVP_MAC_CTX *key, const struct message *message, char *out) {
    unsigned char hash[HASH_BYTES];
    size_t length = 0;

    must(EVP_MAC_init(key, NULL, 0, NULL)); /* from the start again, with the same key */
    for (int i = 0; i < 3; i++) {
        must(EVP_MAC_update(key, (const unsigned char *)message->part[i], message->length[i]));
    }
    must(EVP_MAC_final(key, hash, &length, sizeof hash));
    out = stpcpy(out, "v1,");
    return out + base64_encode(hash, length, out);
}

/* Appends "v1a,<base64>". Ed25519 reads what it signs twice: it has to stand in one piece. */
static char *sign_pair(EVP_PKEY *pair, const struct message *message, char *out) {
    unsigned char signature[SIGNATURE_BYTES];
    size_t length = sizeof signature, whole = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    char *text = xcalloc(1, message->length[0] + message->length[1] + message->length[2]);

    for (int i = 0; i < 3; i++) {
        memcpy(text + whole, message->part[i], message->length[i]);
        whole += message->length[i];
    }
    must(context != NULL);
    must(EVP_DigestSignInit(context, NULL, NULL, NULL, pair));
    must(EVP_DigestSign(context, signature, &length, (const unsigned char *)text, whole));
    EVP_MD_CTX_free(context);
    free(text);
    out = stpcpy(out, "v1a,");
    return out + base64_encode(signature, length, out);
}

void sign_request(const struct secret_ring *ring, int64_t now, const char *id, const char *body,
                  size_t length, char *out) {
    char stamp[STAMP_MAX];
    int stamp_length = snprintf(stamp, sizeof stamp, ".%lld.", (long long)(now / 1000));
    const struct message message = {{id, stamp, body}, {strlen(id), (size_t)stamp_length, length}};
    const char *begin = out;

    *out = '\0';
    for (int i = 0; i < ring->count; i++) {
        const struct key *key = &ring->keys[i];

        if (now >= key->until) {
            continue;
        }
        if (out > begin) {
            *out++ = ' ';
        }
        out = key->mac != NULL ? sign_mac(key->mac, &message, out)
                               : sign_pair(key->pair, &message, out);
    }
}
