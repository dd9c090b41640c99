/*
** test_secret.c: base64 and signing secrets.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "secret.h"

/* RFC 4648 10 */
static const struct {
    const char *bytes;
    const char *text;
} rfc4648[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void agrees_with_the_rfc(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rfc4648 / sizeof *rfc4648; i++) {
        char text[16];
        unsigned char bytes[16];
        size_t length = strlen(rfc4648[i].bytes);

        assert_int_equal(base64_encode(rfc4648[i].bytes, length, text), strlen(rfc4648[i].text));
        assert_string_equal(text, rfc4648[i].text);
        assert_int_equal(base64_decode(text, strlen(text), bytes), length);
        assert_memory_equal(bytes, rfc4648[i].bytes, length);
    }
    assert_int_equal(base64_decode(NULL, 0, NULL), 0);
}

/* Exactly sized allocations, so that the sanitizers see a byte too many. */
static void comes_back_at_every_length(void **state) {
    unsigned seed = 1;

    (void)state;
    for (size_t length = 0; length < 200; length++) {
        size_t text_length = 4 * ((length + 2) / 3);
        unsigned char *bytes = malloc(length + 1);
        unsigned char *back = malloc(text_length / 4 * 3 + 1);
        char *text = malloc(text_length + 1);

        assert_non_null(bytes);
        assert_non_null(back);
        assert_non_null(text);
        for (size_t i = 0; i < length; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (unsigned char)(seed >> 24);
        }
        assert_int_equal(base64_encode(bytes, length, text), text_length);
        assert_int_equal(strlen(text), text_length);
        assert_int_equal(base64_decode(text, text_length, back), length);
        assert_memory_equal(back, bytes, length);
        free(bytes);
        free(back);
        free(text);
    }
}

static void decodes_strictly(void **state) {
    static const char *const refused[] = {
        "Z",    "Zg",       "Zg=",        "Zg===",    "=",      "==",    "====",
        "Z===", "=Zg=",     "Zg==Zg==",   "Zm8=Zm8=", "Zm9v\n", "Zm9v ", " Zm9",
        "Zm-v", "Zm_v",     "Zm 9",       "Z=9v",     "Zh==", /* bits left over are not zero */
        "Zm9=", "Zm9v====", "Zm\xc3\xa9",
    };

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        unsigned char bytes[16];

        if (base64_decode(refused[i], strlen(refused[i]), bytes) != -1) {
            fail_msg("%s", refused[i]);
        }
    }
    unsigned char bytes[3];
    assert_int_equal(base64_decode("Zm\0v", 4, bytes), -1);
}

/* Of all texts of four bytes over a small alphabet those that decode are those that encoding makes.
 */
static void has_one_spelling_a_value(void **state) {
    static const char letters[] = "AQgw/+z0=-";
    const size_t n = sizeof letters - 1;

    (void)state;
    for (size_t i = 0; i < n * n * n * n; i++) {
        char text[5] = {letters[i % n], letters[i / n % n], letters[i / n / n % n],
                        letters[i / n / n / n]};
        char again[5];
        unsigned char bytes[3];
        long length = base64_decode(text, 4, bytes);

        if (length >= 0) {
            base64_encode(bytes, (size_t)length, again);
            assert_string_equal(again, text);
        }
    }
}

static void parses_secrets_of_24_to_64_bytes(void **state) {
    (void)state;
    for (size_t length = 0; length <= 70; length++) {
        unsigned char bytes[70];
        unsigned char key[SECRET_BYTES_MAX + 1];
        char text[6 + 96 + 1] = "whsec_";
        const char *wrong = "untouched";
        enum secret_kind kind;
        size_t count;

        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)(i * 37 + length);
        }
        base64_encode(bytes, length, text + 6);
        memset(key, 0xA5, sizeof key);
        count = secret_parse(text, strlen(text), &kind, key, &wrong);
        assert_int_equal(key[SECRET_BYTES_MAX], 0xA5);
        if (length < SECRET_BYTES_MIN) {
            assert_int_equal(count, 0);
            assert_string_equal(wrong, "has less than 24 bytes");
        } else if (length > SECRET_BYTES_MAX) {
            assert_int_equal(count, 0);
            assert_string_equal(wrong, "has more than 64 bytes");
            assert_int_equal(key[0], 0xA5);
        } else {
            assert_int_equal(count, length);
            assert_int_equal(kind, SECRET_SYMMETRIC);
            assert_null(wrong);
            assert_memory_equal(key, bytes, length);
        }
    }
}

static void refuses_what_is_no_secret_without_saying_it(void **state) {
    static const char *const refused[] = {
        "",
        "whsec",
        "whsec_",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "WHSK_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "whsk_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
        "file:/etc/shadow",
    };

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        unsigned char key[SECRET_BYTES_MAX];
        enum secret_kind kind;
        const char *wrong = NULL;

        if (secret_parse(refused[i], strlen(refused[i]), &kind, key, &wrong) != 0) {
            fail_msg("%s", refused[i]);
        }
        assert_non_null(wrong);
        assert_null(strstr(wrong, "MfKQ"));
        assert_null(strstr(wrong, "shadow"));
    }
}

static void reads_the_secret_of_the_standard(void **state) {
    static const char text[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    static const unsigned char expected[] = {0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a,
                                             0xab, 0x4f, 0x08, 0xd4, 0x3c, 0x3f, 0x08, 0x2c,
                                             0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0};
    unsigned char key[SECRET_BYTES_MAX];
    char again[SECRET_TEXT_MAX];
    enum secret_kind kind;
    const char *wrong;

    (void)state;
    assert_int_equal(secret_parse(text, sizeof text - 1, &kind, key, &wrong), sizeof expected);
    assert_memory_equal(key, expected, sizeof expected);
    secret_format(SECRET_SYMMETRIC, expected, again);
    assert_string_equal(again, text);
}

static void parses_key_pairs_of_32_or_64_bytes(void **state) {
    (void)state;
    for (size_t length = 0; length <= 66; length++) {
        unsigned char bytes[66];
        unsigned char key[SECRET_BYTES_MAX];
        char text[5 + 88 + 1] = "whsk_";
        char again[SECRET_TEXT_MAX];
        enum secret_kind kind = SECRET_SYMMETRIC;
        const char *wrong = "untouched";
        size_t count;

        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)(i * 59 + length);
        }
        base64_encode(bytes, length, text + 5);
        count = secret_parse(text, strlen(text), &kind, key, &wrong);
        assert_int_equal(kind, SECRET_KEY_PAIR);
        if (length == 32 || length == 64) {
            assert_int_equal(count, length);
            assert_null(wrong);
            assert_memory_equal(key, bytes, length);
        } else {
            assert_int_equal(count, 0);
            assert_string_equal(wrong, length > 66 ? "has more than 64 bytes"
                                                   : "has neither 32 nor 64 bytes");
        }
        if (length == 32) {
            secret_format(SECRET_KEY_PAIR, bytes, again);
            assert_string_equal(again, text);
        }
    }
}

static void names_files(void **state) {
    static const char *const good[] = {"a", "billing", "app.key", "a-b_c.2026", "A9"};
    static const char *const bad[] = {"",     ".",        "..",        ".hidden",     "a/b",
                                      "../a", "/a",       "a b",       "a\\b",        "a\n",
                                      "a:b",  "\xc3\xa9", "whsec_abc", "whsk_hunter2"};
    char long_name[102];

    (void)state;
    assert_null(secret_file("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_null(secret_file("FILE:a"));
    assert_null(secret_file("file"));
    assert_string_equal(secret_file("file:"), "");
    assert_string_equal(secret_file("file:a/b"), "a/b");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(secret_file_check(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *wrong = secret_file_check(bad[i]);

        if (wrong == NULL) {
            fail_msg("%s", bad[i]);
        }
        assert_true(wrong != NULL && strstr(wrong, "hunter2") == NULL);
    }
    memset(long_name, 'a', sizeof long_name);
    long_name[101] = '\0';
    assert_non_null(secret_file_check(long_name));
    long_name[100] = '\0';
    assert_null(secret_file_check(long_name));
}

static void compares_by_length_and_every_byte(void **state) {
    static const char a[] = "same\0text", b[] = "same\0tixt";

    (void)state;
    assert_true(secret_same(a, sizeof a, a, sizeof a));
    assert_true(secret_same("", 0, "", 0));
    assert_false(secret_same(a, sizeof a, b, sizeof b)); /* behind a NUL */
    for (size_t length = 0; length < sizeof a - 1; length++) {
        assert_false(secret_same(a, sizeof a - 1, a, length));
        assert_false(secret_same(a, length, a, sizeof a - 1));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_rfc),
        cmocka_unit_test(comes_back_at_every_length),
        cmocka_unit_test(decodes_strictly),
        cmocka_unit_test(has_one_spelling_a_value),
        cmocka_unit_test(parses_secrets_of_24_to_64_bytes),
        cmocka_unit_test(refuses_what_is_no_secret_without_saying_it),
        cmocka_unit_test(reads_the_secret_of_the_standard),
        cmocka_unit_test(parses_key_pairs_of_32_or_64_bytes),
        cmocka_unit_test(names_files),
        cmocka_unit_test(compares_by_length_and_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
