/*
** test_sign.c: signatures.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sign.h"

/* The vector of Standard Webhooks' own libraries. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define NOW INT64_C(1614265330000)
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

/* A private key, and the public one of another. */
static const char mismatched[] =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlaaaaaaaaaaAJ6p9lMicMFs6Kvg==";

#define OTHER_SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"

/* The same of Ed25519, by the server of the company that wrote the standard: its test's key, of both
** halves, what it signs with it, and the private half alone. */
#define PAIR                                                                                       \
    "whsk_6Xb/dCcHpPea21PS1N9VY/"                                                                  \
    "NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
#define PRIVATE_HALF "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
#define PUBLIC_HALF "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
#define PAIR_SIGNATURE                                                                             \
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/"                                                       \
    "enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="

/* Made by another implementation, python's hmac. The body: see random_body. */
static const struct {
    const char *secret;
    const char *id;
    int64_t now;
    size_t length;
    uint32_t seed;
    const char *signature;
} vectors[] = {
    {"whsec_pU3KGCUwux1tEyze1iN7LtkeP3Ifyxlx", "2217bead_76094555154085_1627571139008",
     1615505242680, 0, 200071088U, "v1,0syWE0yaR4DIeUQD42AN1Sg1tJwARXvCQx++1xCoJco="},
    {"whsec_XDRgvjEgHmn+2qDu6LmZf1x8KZn9r+WT", "6b0a18e8_57934655363_1084474343888", 1613169162910,
     1, 314395342U, "v1,uzTB4cdEzR5q/oqnHUFR2pCBwAF2bA3noQ2LXXGKDzw="},
    {"whsec_oK6z/ukjL4ryIR+e5JHFsQvstVY7/B5vkw==", "bd0561e6_8735411241649_1180734720487",
     1440015909378, 55, 555512015U, "v1,2F1FNbLg3HQ6ldmgBK4tIKuSn6dSdF2HJTxnwKkA7so="},
    {"whsec_jkbcjtS3wnZNKlpNdncG+F2GkAJK1r2jQBvpyMvMyQ==", "66836886_1129906_1231862381837",
     1177986137137, 56, 444688428U, "v1,wpTn3usCjFyZw895RiHZlCN51OXUUlORHFPJja01f6E="},
    {"whsec_OK4aNABNM7oNJGrATIGxuvI+O/nu9fefK0k0r4f1Ugs=", "873be078_90449_1833339802029",
     1328685727269, 63, 881391734U, "v1,4mYx11tyYPsnGcetalstYHevxexL7coR74O/H52hlDg="},
    {"whsec_LoW7VbZyqHJjes10Zvy2Dg6P8YRjsOSyuilwNHTwZKw=", "007d1034_707809080282_1915192154859",
     1131686212665, 64, 877776915U, "v1,83gDfgtp+a5TtW8j5aZSJKskA2VKpWwDUPhawMhehAI="},
    {"whsec_xmb0W96qLMrtzStRV0EOTe5K8rNPQwoHNEfeY2wOgGyV", "53740902_18450467376565_1996693995588",
     1389724997658, 65, 1033108812U, "v1,ecsUqL9RgX0B61+i+jZlS4Un9zaOF89OANRSH59hNJs="},
    {"whsec_6tdCTQnhXQJMWEjyPR+m9zYdf2GNFTLnDiDipmaN5/R+hGflRtU+yOKhJXvbJWyb",
     "a906922f_33176_1154115593506", 1515256681439, 119, 525488741U,
     "v1,b3Tp+ctxH9yew2SIp97wjjFEf9CDJHDYJ23wwUd4wdM="},
    {"whsec_cDDL+VNyUtzOrddktqMvuwmt6uEJxKmXIDl1NSuHixRcikLYhM9M/actjh1d2SWJCC2FKnEihz7oBa3ViUIW",
     "f0290531_274618_1197784874857", 1688534764524, 120, 1024075531U,
     "v1,uwnhGS1aNpfBJWFqN20Qk6LSw7hn0TGSG4MhJuDiNf4="},
    {"whsec_nGmU5FuKsQmAEgcJYfN95Dbd/"
     "cmdbnWvZUfPsRtCBySC3FMcK8OQfJYX615QieQBhrqopX0Rnm+2XQCrwyrzjg==",
     "c6b789ef_271_1097998458983", 1438704560284, 300, 863202764U,
     "v1,2yMIYpZv6NlB2vl8jA5Pn4mo0uT3EgrW9mkTfE1cad8="},
    {"whsec_FckLmZt3K0/Hpv1MkUoW20cIdSsPFUS4NcDnGQl9+ocB6SMvIfKBJod4aXbr/MMn9ZMXZSdLqYKbRAb2H/"
     "iJMg==",
     "acfb2d5e_5521367458_1513102123210", 1132143987934, 4096, 934986291U,
     "v1,tdXQ8dLzWEobmN+N288j5UjVg+BcSA8wupvbzlzbYfw="},
};

/* So many bytes from a linear congruential generator. */
static char *random_body(size_t length, uint32_t seed) {
    char *body = malloc(length > 0 ? length : 1);

    assert_non_null(body);
    for (size_t i = 0; i < length; i++) {
        seed = seed * 1664525U + 1013904223U;
        body[i] = (char)(seed >> 24);
    }
    return body;
}

static struct secret_ring *ring_of(const char *secret, const char *old, int64_t old_until) {
    struct secret_ring *ring = secret_ring_new();
    const char *wrong = secret_ring_add(ring, secret, strlen(secret), INT64_MAX);

    if (wrong == NULL && old != NULL) {
        wrong = secret_ring_add(ring, old, strlen(old), old_until);
    }
    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
    return ring;
}

static void agrees_with_the_standard(void **state) {
    struct secret_ring *ring = ring_of(SECRET, NULL, 0);
    char out[SIGN_TEXT_MAX];

    (void)state;
    for (int64_t ms = 0; ms < 1000; ms += 333) {
        sign_request(ring, NOW + ms, ID, BODY, strlen(BODY), out);
        assert_string_equal(out, SIGNATURE);
    }
    secret_ring_free(ring);
}

static void agrees_with_another_implementation(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct secret_ring *ring = ring_of(vectors[i].secret, NULL, 0);
        char *body = random_body(vectors[i].length, vectors[i].seed);
        char out[SIGN_TEXT_MAX];

        for (int again = 0; again < 3; again++) { /* a ring signs many requests */
            sign_request(ring, vectors[i].now, vectors[i].id, body, vectors[i].length, out);
            assert_string_equal(out, vectors[i].signature);
            sign_request(ring, 0, "x", "y", 1, out);
            assert_string_not_equal(out, vectors[i].signature);
        }
        free(body);
        secret_ring_free(ring);
    }
}

static void signs_by_ed25519(void **state) {
    static const char *const spellings[] = {PAIR, PRIVATE_HALF};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct secret_ring *ring = ring_of(spellings[i], NULL, 0);
        char out[SIGN_TEXT_MAX], key[PUBLIC_TEXT_MAX];

        for (int again = 0; again < 3; again++) {
            sign_request(ring, NOW, ID, BODY, strlen(BODY), out);
            assert_string_equal(out, PAIR_SIGNATURE);
        }
        assert_true(secret_ring_public_key(ring, key));
        assert_string_equal(key, PUBLIC_HALF);
        sign_request(ring, NOW, ID, "", 0, out);
        assert_string_not_equal(out, PAIR_SIGNATURE);
        secret_ring_free(ring);
    }
    struct secret_ring *ring = ring_of(SECRET, PAIR, NOW);
    char key[PUBLIC_TEXT_MAX];

    assert_false(secret_ring_public_key(ring, key)); /* the first one's */
    secret_ring_free(ring);
}

static void lasts_as_long_as_anybody_has_it(void **state) {
    struct secret_ring *ring = ring_of(PAIR, SECRET, INT64_MAX);
    char out[SIGN_TEXT_MAX];

    (void)state;
    assert_ptr_equal(secret_ring_hold(ring), ring);
    secret_ring_free(ring);
    sign_request(ring, NOW, ID, BODY, strlen(BODY), out);
    assert_string_equal(out, PAIR_SIGNATURE " " SIGNATURE);
    secret_ring_free(ring);
}

static void signs_with_both_kinds_during_a_rotation(void **state) {
    struct secret_ring *ring = ring_of(PAIR, SECRET, NOW + 1);
    char out[SIGN_TEXT_MAX];

    (void)state;
    sign_request(ring, NOW, ID, BODY, strlen(BODY), out);
    assert_string_equal(out, PAIR_SIGNATURE " " SIGNATURE);
    sign_request(ring, NOW + 1, ID, BODY, strlen(BODY), out);
    assert_true(strchr(out, ' ') == NULL);
    secret_ring_free(ring);
}

static void has_room_for_as_many_as_it_says(void **state) {
    struct secret_ring *ring = secret_ring_new();
    char out[SIGN_TEXT_MAX];

    (void)state;
    for (int i = 0; i < SIGN_SECRETS_MAX; i++) {
        assert_null(secret_ring_add(ring, PAIR, strlen(PAIR), INT64_MAX));
    }
    assert_non_null(secret_ring_add(ring, PAIR, strlen(PAIR), INT64_MAX));
    sign_request(ring, NOW, ID, BODY, strlen(BODY), out);
    assert_int_equal(strlen(out), SIGN_TEXT_MAX - 2); /* the last is followed by no space */
    secret_ring_free(ring);
}

static void signs_what_it_says(void **state) {
    struct secret_ring *ring = ring_of(SECRET, NULL, 0);
    char out[SIGN_TEXT_MAX];

    (void)state;
    sign_request(ring, NOW + 1000, ID, BODY, strlen(BODY), out);
    assert_string_not_equal(out, SIGNATURE);
    sign_request(ring, NOW, ID "x", BODY, strlen(BODY), out);
    assert_string_not_equal(out, SIGNATURE);
    sign_request(ring, NOW, ID, BODY, strlen(BODY) - 1, out);
    assert_string_not_equal(out, SIGNATURE);
    secret_ring_free(ring);
}

static void signs_with_both_during_a_rotation(void **state) {
    struct secret_ring *ring = ring_of(OTHER_SECRET, SECRET, NOW + 1);
    struct secret_ring *other = ring_of(OTHER_SECRET, NULL, NOW + 1);
    char one[SIGN_TEXT_MAX];
    char both[SIGN_TEXT_MAX];

    (void)state;
    sign_request(other, NOW, ID, BODY, strlen(BODY), one);
    sign_request(ring, NOW, ID, BODY, strlen(BODY), both);
    assert_memory_equal(both, one, strlen(one));
    assert_string_equal(both + strlen(one), " " SIGNATURE);
    sign_request(ring, NOW + 1, ID, BODY, strlen(BODY), both); /* old_until has come */
    assert_string_equal(both, one);
    secret_ring_free(ring);
    secret_ring_free(other);
}

static void refuses_what_is_no_secret(void **state) {
    static const char *const refused[] = {
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!",
        "whsec_%%%%",
        "whsk_",
        mismatched,
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    };

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct secret_ring *ring = secret_ring_new();
        const char *wrong = secret_ring_add(ring, refused[i], strlen(refused[i]), INT64_MAX);
        char out[SIGN_TEXT_MAX] = "untouched";

        assert_non_null(wrong);
        assert_null(strstr(wrong, "MfKQ"));
        assert_null(strstr(wrong, "6Xb"));
        sign_request(ring, NOW, ID, BODY, strlen(BODY), out);
        assert_string_equal(out, ""); /* nothing of it is there */
        secret_ring_free(ring);
    }
    secret_ring_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_standard),
        cmocka_unit_test(agrees_with_another_implementation),
        cmocka_unit_test(signs_by_ed25519),
        cmocka_unit_test(lasts_as_long_as_anybody_has_it),
        cmocka_unit_test(signs_with_both_kinds_during_a_rotation),
        cmocka_unit_test(has_room_for_as_many_as_it_says),
        cmocka_unit_test(signs_what_it_says),
        cmocka_unit_test(signs_with_both_during_a_rotation),
        cmocka_unit_test(refuses_what_is_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
