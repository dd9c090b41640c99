/*
** test_render.c: values as JSON, and the buffer. What is written must be JSON and read back as
** the same value, to the last bit; invalid UTF-8 is compared with Python's decoder, which
** follows the same rule.
**
** render.c is included, not linked, so that printf and strtod can be those of a locale that no
** machine need have.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <locale.h>
#include <math.h>
#include <unistd.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "json.h"
#include "secret.h"

static const char *decimal_point; /* NULL: the C library's own */
static int local_snprintf(char *out, size_t room, const char *format, int digits, double value);
static double local_strtod(const char *text, char **end);

#undef snprintf /* clang with _FORTIFY_SOURCE has it as a macro */
#define snprintf local_snprintf
#define strtod local_strtod
#include "../../ext/render.c"
#undef snprintf
#undef strtod

static int local_snprintf(char *out, size_t room, const char *format, int digits, double value) {
    char text[64];
    char *point;

    assert_string_equal(format, "%.*g");
    snprintf(text, sizeof text, "%.*g", digits, value);
    point = strchr(text, '.');
    if (decimal_point == NULL || point == NULL) {
        return snprintf(out, room, "%s", text);
    }
    return snprintf(out, room, "%.*s%s%s", (int)(point - text), text, decimal_point, point + 1);
}

static double local_strtod(const char *text, char **end) {
    char plain[64];
    const char *point = decimal_point != NULL ? strstr(text, decimal_point) : NULL;

    if (point == NULL) {
        return strtod(text, end);
    }
    snprintf(plain, sizeof plain, "%.*s.%s", (int)(point - text), text,
             point + strlen(decimal_point));
    return strtod(plain, end);
}

/* gcc and clang: a huge allocation returns NULL under AddressSanitizer too. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

#define TEXT(literal) literal, sizeof(literal) - 1

static uint64_t seed = 1;

static uint64_t random_bits(void) { /* splitmix64's constants */
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct buffer out;

static int reset(void **state) {
    (void)state;
    buffer_free(&out);
    decimal_point = NULL;
    return 0;
}

/* The buffer */

static void buffer_grows_and_ends_with_nul(void **state) {
    (void)state;
    assert_null(out.data);
    buffer_append(&out, NULL, 0);
    assert_string_equal(out.data, ""); /* written, though empty */
    for (size_t i = 0; i < 100000; i++) {
        char c = (char)('a' + i % 26);

        buffer_append(&out, &c, 1);
        assert_int_equal(out.length, i + 1);
        assert_int_equal(out.data[i], c);
        assert_int_equal(out.data[i + 1], '\0');
        assert_true(out.room > out.length && out.room <= 128 + 2 * out.length);
    }
    buffer_clear(&out);
    assert_int_equal(out.length, 0);
    assert_string_equal(out.data, "");
    assert_true(out.room > 100000);
    buffer_text(&out, "abc");
    buffer_append(&out, "d\0e", 3);
    buffer_text(&out, "");
    assert_int_equal(out.length, 6);
    assert_memory_equal(out.data, "abcd\0e", 7);
    buffer_free(&out);
    assert_null(out.data);
    assert_int_equal(out.length + out.room, 0);
    buffer_clear(&out);
    assert_null(out.data);
}

static void failure_sticks_until_cleared(void **state) {
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4, SIZE_MAX / 2 + 1,
                                  PTRDIFF_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        buffer_text(&out, "kept");
        buffer_append(&out, "x", huge[i]);
        assert_true(out.failed);
        buffer_text(&out, "x");
        render_integer(&out, 1);
        render_text(&out, "x", 1);
        render_blob(&out, "x", 1);
        render_json(&out, "1", 1);
        assert_true(out.failed);
        assert_string_equal(out.data, "kept");
        buffer_clear(&out);
        assert_false(out.failed);
    }
    render_blob(&out, "x", SIZE_MAX);
    assert_true(out.failed);
    buffer_clear(&out);
    render_text(&out, "x", SIZE_MAX - 1);
    assert_true(out.failed);
    buffer_clear(&out);
    render_json(&out, "x", PTRDIFF_MAX);
    assert_true(out.failed);
    buffer_free(&out);
    assert_false(out.failed);
}

/* Numbers */

static void writes_constants(void **state) {
    (void)state;
    render_null(&out);
    render_boolean(&out, true);
    render_boolean(&out, false);
    assert_string_equal(out.data, "nulltruefalse");
}

static void writes_integers(void **state) {
    static const int64_t values[] = {
        0,
        1,
        -1,
        9,
        10,
        -10,
        99,
        100,
        INT32_MAX,
        INT32_MIN,
        INT64_MAX,
        INT64_MIN,
        INT64_MIN + 1,
        INT64_C(9007199254740993),
        INT64_C(1000000000000000000),
        INT64_C(999999999999999999),
    };

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        size_t known = sizeof values / sizeof *values;
        int64_t value = i < known ? values[i] : (int64_t)random_bits() >> (i % 64);
        char expected[32];

        buffer_clear(&out);
        render_integer(&out, value);
        snprintf(expected, sizeof expected, "%lld", (long long)value);
        assert_string_equal(out.data, expected);
        assert_int_equal(out.length, strlen(expected));
    }
}

static const struct {
    double value;
    const char *text;
} reals[] = {
    {0.0, "0.0"},
    {-0.0, "-0.0"},
    {1.0, "1.0"},
    {-1.0, "-1.0"},
    {3.0, "3.0"},
    {0.1, "0.1"},
    {-2.5, "-2.5"},
    {0.3, "0.3"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1.0 / 3, "0.3333333333333333"},
    {2.0 / 3, "0.6666666666666666"},
    {100000.0, "100000.0"},
    {123456789012345.0, "123456789012345.0"},
    {1e15, "1e+15"},
    {1e16, "1e+16"},
    {1e22, "1e+22"},
    {1e23, "1e+23"},
    {0.0001, "0.0001"},
    {0.00001, "1e-05"},
    {9007199254740991.0, "9007199254740991.0"},
    {9007199254740992.0, "9007199254740992.0"},
    {9007199254740994.0, "9007199254740994.0"},
    {9223372036854775808.0, "9.223372036854776e+18"},
    {-9223372036854775808.0, "-9.223372036854776e+18"},
    {1e300, "1e+300"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {2.2250738585072014e-308, "2.2250738585072014e-308"},
    {2.2250738585072011e-308, "2.225073858507201e-308"}, /* the text that hung parsers in 2011 */
    {5e-324, "4.94065645841247e-324"},
    {5.0e-5, "5e-05"},
    {INFINITY, "null"},
    {-INFINITY, "null"},
    {NAN, "null"},
    {-NAN, "null"},
};

static void expect_reals(void) {
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        buffer_clear(&out);
        render_real(&out, reals[i].value);
        assert_string_equal(out.data, reals[i].text);
    }
}

static void writes_reals(void **state) {
    (void)state;
    expect_reals();
}

/* Is it JSON, a real to a reader of types, and the same bits? */
static void expect_real_back(uint64_t bits) {
    double value;
    double back;
    uint64_t back_bits;
    char *end;

    memcpy(&value, &bits, sizeof value);
    buffer_clear(&out);
    render_real(&out, value);
    if (!isfinite(value)) {
        assert_string_equal(out.data, "null");
        return;
    }
    back = strtod(out.data, &end);
    memcpy(&back_bits, &back, sizeof back);
    if (back_bits != bits || *end != '\0' || strpbrk(out.data, ".e") == NULL || out.length > 24 ||
        json_check(out.data, out.length, NULL) != NULL) {
        fail_msg("%016llx: %s", (unsigned long long)bits, out.data);
    }
}

#ifdef __SANITIZE_ADDRESS__ /* which take some times as long and look at the code, not at the values */
enum { REALS = 100000 };
#else
enum { REALS = 1000000 };
#endif

static void reals_read_back_to_the_bit(void **state) {
    (void)state;
    for (int i = 0; i < REALS; i++) {
        expect_real_back(random_bits());
    }
    /* Of every exponent the ends of the mantissa, where neighbours are nearest. */
    for (uint64_t exponent = 0; exponent < 2048; exponent++) {
        for (uint64_t i = 0; i < 4; i++) {
            expect_real_back(exponent << 52 | i);
            expect_real_back(exponent << 52 | (UINT64_C(0xfffffffffffff) - i));
            expect_real_back(1ULL << 63 | exponent << 52 | i);
        }
    }
    for (int i = 0; i < 100000; i++) { /* money, and sums that are nearly money */
        double value = (double)(random_bits() % 10000000) / 100 * (i % 2 != 0 ? 1 : 1.1);
        uint64_t bits;

        memcpy(&bits, &value, sizeof bits);
        expect_real_back(bits);
    }
}

/* Points that locales have: a comma, U+066B, an apostrophe, and more than a character. */
static void reals_ignore_a_stub_of_a_locale(void **state) {
    static const char *const points[] = {",", "\xd9\xab", "'", "::"};

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        decimal_point = points[i];
        expect_reals();
        decimal_point = NULL;
    }
}

/* Starts a program that is looked for in PATH; *from reads what it says, but for its errors. */
static pid_t start(const char *const *argv, FILE **from) {
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(STDERR_FILENO);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ends[1]);
    *from = fdopen(ends[0], "r");
    assert_non_null(*from);
    return child;
}

/* Did it end well? */
static bool ended_well(pid_t child, FILE *from) {
    int status;

    while (getc(from) != EOF) {
    }
    fclose(from);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run(const char *const *argv) {
    FILE *from;
    pid_t child = start(argv, &from);

    return ended_well(child, from);
}

/* A real locale, if the machine has one or can make one. */
static bool set_comma_locale(void) {
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "de_DE"};
    char folder[] = "/tmp/resthook-locale-XXXXXX";
    char made[64];
    bool set;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (setlocale(LC_NUMERIC, names[i]) != NULL && localeconv()->decimal_point[0] == ',') {
            return true;
        }
    }
    if (mkdtemp(folder) == NULL) {
        return false;
    }
    snprintf(made, sizeof made, "%s/comma.UTF-8", folder);
    set = run((const char *const[]){"localedef", "-i", "de_DE", "-f", "UTF-8", made, NULL}) &&
          setenv("LOCPATH", folder, 1) == 0 && setlocale(LC_NUMERIC, "comma.UTF-8") != NULL &&
          localeconv()->decimal_point[0] == ',';
    run((const char *const[]){"rm", "-rf", folder, NULL});
    return set;
}

static void reals_ignore_a_comma_locale(void **state) {
    char text[8];

    (void)state;
    if (!set_comma_locale()) {
        skip(); /* the stub above stands for it */
    }
    snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_equal(text, "0,5");
    expect_reals();
    setlocale(LC_NUMERIC, "C");
}

/* Text */

static const struct {
    const char *text;
    size_t length;
    const char *json;
} texts[] = {
    {TEXT(""), "\"\""},
    {TEXT("a"), "\"a\""},
    {TEXT("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
    {TEXT("\"\"\"\""), "\"\\\"\\\"\\\"\\\"\""},
    {TEXT("\0"), "\"\\u0000\""},
    {TEXT("a\0b\0"), "\"a\\u0000b\\u0000\""},
    {TEXT("\x01\t\n\r\x1f \x7f"), "\"\\u0001\\u0009\\u000a\\u000d\\u001f \x7f\""},
    {TEXT("\",\"admin\":true,\"x\":\""), "\"\\\",\\\"admin\\\":true,\\\"x\\\":\\\"\""},
    {TEXT("</script>&'"), "\"</script>&'\""},
    /* Valid UTF-8: the first and last of each length, around the surrogates, and non-characters */
    {TEXT("\xc2\x80\xdf\xbf"), "\"\xc2\x80\xdf\xbf\""},
    {TEXT("\xe0\xa0\x80\xef\xbf\xbf"), "\"\xe0\xa0\x80\xef\xbf\xbf\""},
    {TEXT("\xed\x9f\xbf\xee\x80\x80"), "\"\xed\x9f\xbf\xee\x80\x80\""},
    {TEXT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
    {TEXT("\xef\xbb\xbf"), "\"\xef\xbb\xbf\""},
    {TEXT("\xe2\x80\xa8"), "\"\xe2\x80\xa8\""},
    {TEXT("\xef\xbf\xbd"), "\"\xef\xbf\xbd\""},
/* Invalid, R for U+FFFD */
#define R "\xef\xbf\xbd"
    {TEXT("\x80"), "\"" R "\""},
    {TEXT("a\xbf"
          "b"),
     "\"a" R "b\""},
    {TEXT("\x80\x80\x80"), "\"" R R R "\""},
    {TEXT("\xff\xfe"), "\"" R R "\""},
    {TEXT("\xc0\x80"), "\"" R R "\""}, /* overlong NUL */
    {TEXT("\xc1\xbf"), "\"" R R "\""},
    {TEXT("\xc0\xa2"), "\"" R R "\""}, /* overlong quote: never a quote */
    {TEXT("\xe0\x80\x80"), "\"" R R R "\""},
    {TEXT("\xe0\x9f\xbf"), "\"" R R R "\""},
    {TEXT("\xf0\x80\x80\x80"), "\"" R R R R "\""},
    {TEXT("\xf0\x8f\xbf\xbf"), "\"" R R R R "\""},
    {TEXT("\xed\xa0\x80"), "\"" R R R "\""}, /* surrogates */
    {TEXT("\xed\xbf\xbf"), "\"" R R R "\""},
    {TEXT("\xed\xa0\xbd\xed\xb8\x80"), "\"" R R R R R R "\""},
    {TEXT("\xf4\x90\x80\x80"), "\"" R R R R "\""}, /* above U+10FFFF */
    {TEXT("\xf5\x80\x80\x80"), "\"" R R R R "\""},
    {TEXT("\xf8\x88\x80\x80\x80"), "\"" R R R R R "\""},
    {TEXT("\xc2"), "\"" R "\""}, /* cut short: one for each maximal part */
    {TEXT("\xe2\x82"), "\"" R "\""},
    {TEXT("\xe2"), "\"" R "\""},
    {TEXT("\xf0\x9f\x98"), "\"" R "\""},
    {TEXT("\xf0\x9f"), "\"" R "\""},
    {TEXT("\xf0\x9f\x98"
          "a"),
     "\"" R "a\""},
    {TEXT("\xe2\x82\""), "\"" R "\\\"\""},
    {TEXT("\xe2\x82\\"), "\"" R "\\\\\""},
    {TEXT("\xe2\x82\0"), "\"" R "\\u0000\""},
    {TEXT("\xc3\xc3\xa9"), "\"" R "\xc3\xa9\""},
    {TEXT("\xf0\x9f\xe2\x82\xac"), "\"" R "\xe2\x82\xac\""},
    /* Unicode 3.9, table 3-8 and its neighbours */
    {TEXT("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
          "A"),
     "\"" R R R R R R R R "A\""},
    {TEXT("\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
          "A"),
     "\"" R R R R R R R R "A\""},
    {TEXT("\xf4\x91\x92\x93\xff"
          "A\x80\xbf"
          "B"),
     "\"" R R R R R "A" R R "B\""},
    {TEXT("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
          "A"),
     "\"" R R R R "A\""},
    {TEXT("a\xf1\x80\x80\xe1\x80\xc2"
          "b\x80"
          "c\x80\xbf"
          "d"),
     "\"a" R R R "b" R "c" R R "d\""},
#undef R
};

static void writes_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *copy =
            malloc(texts[i].length > 0 ? texts[i].length : 1); /* ends where the text ends */

        assert_non_null(copy);
        memcpy(copy, texts[i].text, texts[i].length);
        buffer_clear(&out);
        render_text(&out, copy, texts[i].length);
        free(copy);
        assert_string_equal(out.data, texts[i].json);
        assert_int_equal(out.length, strlen(texts[i].json));
        assert_null(json_check(out.data, out.length, NULL));
    }
    buffer_clear(&out);
    render_text(&out, NULL, 0);
    render_json(&out, NULL, 0);
    render_blob(&out, NULL, 0);
    assert_string_equal(out.data, "\"\"\"\"");
}

static void says_things_plainly(void **state) {
    static const char said[] = "a\n\x1b[31m\0\t\x7f\xc2\x80\xc2\x9f\xc2\xa0\xc3\xa9\x9b\xc2";

    (void)state;
    buffer_text(&out, "\n"); /* what stood there stays */
    render_plain(&out, said, sizeof said - 1);
    assert_string_equal(out.data, "\na??[31m???????\xc2\xa0\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
}

/* Every byte at every place of a word, so that the eight-at-once scan and the rest agree. */
static void scans_every_byte_at_every_place(void **state) {
    (void)state;
    for (size_t length = 1; length <= 24; length++) {
        for (size_t at = 0; at < length; at++) {
            for (int c = 0; c < 256; c++) {
                char text[24];
                char one[16];
                char expected[96];

                memset(text, 'a', sizeof text);
                text[at] = (char)c;
                if (c < 0x20) {
                    snprintf(one, sizeof one, "\\u%04x", (unsigned)c);
                } else if (c == '"' || c == '\\') {
                    snprintf(one, sizeof one, "\\%c", c);
                } else if (c < 0x80) {
                    snprintf(one, sizeof one, "%c", c);
                } else {
                    snprintf(one, sizeof one, "%s", "\xef\xbf\xbd");
                }
                snprintf(expected, sizeof expected, "\"%.*s%s%.*s\"", (int)at,
                         "aaaaaaaaaaaaaaaaaaaaaaaa", one, (int)(length - at - 1),
                         "aaaaaaaaaaaaaaaaaaaaaaaa");
                buffer_clear(&out);
                render_text(&out, text, length);
                assert_string_equal(out.data, expected);
            }
        }
    }
}

/* A second, slow writer of strings over random bytes of the kinds that matter. */
static void escapes_random_bytes(void **state) {
    static const char kinds[] = "ab\"\\\n\x1f \x7f";

    (void)state;
    for (int i = 0; i < 100000; i++) {
        char text[40];
        char expected[6 * sizeof text + 3] = "\"";
        size_t length = random_bits() % sizeof text;
        size_t n = 1;

        for (size_t j = 0; j < length; j++) {
            uint64_t bits = random_bits();

            text[j] = bits % 4 == 0 ? kinds[bits >> 8 & 7] : (char)('a' + (bits >> 8) % 26);
            if (text[j] < 0x20) {
                n += (size_t)snprintf(expected + n, 7, "\\u%04x", (unsigned)text[j]);
            } else {
                if (text[j] == '"' || text[j] == '\\') {
                    expected[n++] = '\\';
                }
                expected[n++] = text[j];
            }
        }
        expected[n++] = '"';
        buffer_clear(&out);
        render_text(&out, text, length);
        assert_int_equal(out.length, n);
        assert_memory_equal(out.data, expected, n);
    }
}

/*
** All sequences of one and two bytes, and those of three and four over the bytes at which table
** 3-7 changes its mind, decoded by Python; 0xFF ends each, which UTF-8 never has.
*/
static const unsigned char edges[] = {0x22, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                      0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                      0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};

static void expect_decoded(FILE *python, const unsigned char *bytes, size_t length) {
    buffer_clear(&out);
    render_json(&out, (const char *)bytes, length);
    for (size_t i = 0; i <= out.length; i++) {
        int expected = getc(python);

        if (expected != (i < out.length ? (unsigned char)out.data[i] : 0xff)) {
            fail_msg("%02x %02x %02x %02x, %zu bytes", bytes[0], bytes[1], bytes[2], bytes[3],
                     length);
        }
    }
}

static void mends_utf8_as_python_does(void **state) {
    static const char script[] =
        "import sys, itertools as i\n"
        "e = bytes.fromhex('22417f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff')\n"
        "for a, n in ((range(256), 1), (range(256), 2), (e, 3), (e, 4)):\n"
        "    for t in i.product(a, repeat=n):\n"
        "        sys.stdout.buffer.write(bytes(t).decode('utf-8', 'replace').encode() + "
        "b'\\xff')\n";
    const size_t n = sizeof edges;
    unsigned char bytes[4] = {0};
    FILE *python;
    pid_t child;

    (void)state;
    if (!run((const char *const[]){"python3", "-c", "", NULL})) {
        skip();
    }
    child = start((const char *const[]){"python3", "-c", script, NULL}, &python);
    for (unsigned a = 0; a < 256; a++) {
        bytes[0] = (unsigned char)a;
        expect_decoded(python, bytes, 1);
    }
    for (unsigned a = 0; a < 65536; a++) {
        bytes[0] = (unsigned char)(a >> 8);
        bytes[1] = (unsigned char)a;
        expect_decoded(python, bytes, 2);
    }
    for (size_t length = 3; length <= 4; length++) {
        size_t count = length == 3 ? n * n * n : n * n * n * n;

        for (size_t a = 0; a < count; a++) {
            size_t rest = a;

            for (size_t i = length; i-- > 0; rest /= n) {
                bytes[i] = edges[rest % n];
            }
            expect_decoded(python, bytes, length);
        }
    }
    assert_int_equal(getc(python), EOF);
    assert_true(ended_well(child, python));
}

/* BLOBs and JSON */

static void writes_blobs(void **state) {
    unsigned char bytes[100];

    (void)state;
    render_blob(&out, "foobar", 6);
    render_blob(&out, "\0\xff", 2);
    assert_string_equal(out.data, "\"Zm9vYmFy\"\"AP8=\"");
    for (size_t length = 0; length < sizeof bytes; length++) {
        unsigned char back[sizeof bytes + 3];

        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)random_bits();
        }
        buffer_clear(&out);
        render_blob(&out, bytes, length);
        assert_int_equal(out.length, strlen(out.data));
        assert_null(json_check(out.data, out.length, NULL));
        assert_int_equal(base64_decode(out.data + 1, out.length - 2, back), length);
        assert_memory_equal(back, bytes, length);
    }
}

static void keeps_json_as_it_is(void **state) {
    static const char text[] = "{ \"a\\u0000\\/\" : 9223372036854775808.10 ,\n\t\"\xc3\xa9\":[] }";

    (void)state;
    render_json(&out, text, sizeof text - 1);
    assert_string_equal(out.data, text);
    buffer_clear(&out);
    render_json(&out, "[\"\xff\xe2\x82\",\"\xf0\x9f\x98\x80\"]", 14);
    assert_string_equal(out.data, "[\"\xef\xbf\xbd\xef\xbf\xbd\",\"\xf0\x9f\x98\x80\"]");
    assert_null(json_check(out.data, out.length, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(buffer_grows_and_ends_with_nul, reset),
        cmocka_unit_test_setup(failure_sticks_until_cleared, reset),
        cmocka_unit_test_setup(writes_constants, reset),
        cmocka_unit_test_setup(writes_integers, reset),
        cmocka_unit_test_setup(writes_reals, reset),
        cmocka_unit_test_setup(reals_read_back_to_the_bit, reset),
        cmocka_unit_test_setup(reals_ignore_a_stub_of_a_locale, reset),
        cmocka_unit_test_setup(reals_ignore_a_comma_locale, reset),
        cmocka_unit_test_setup(writes_texts, reset),
        cmocka_unit_test_setup(says_things_plainly, reset),
        cmocka_unit_test_setup(scans_every_byte_at_every_place, reset),
        cmocka_unit_test_setup(escapes_random_bytes, reset),
        cmocka_unit_test_setup(mends_utf8_as_python_does, reset),
        cmocka_unit_test_setup(writes_blobs, reset),
        cmocka_unit_test_setup_teardown(keeps_json_as_it_is, reset, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
