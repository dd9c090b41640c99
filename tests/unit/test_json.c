/*
** test_json.c: the JSON check, by a table and against SQLite's json_valid() as a second opinion.
**
** Known differences, all of them SQLite's being laxer:
**   - json_valid() reads up to a NUL: '1' NUL '}' is valid to it;
**   - SQLite before 3.43 nests to 2000, newer ones to 1000 as we do.
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
#include <sqlite3.h>

#include "json.h"

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
    const char *text;
    size_t length;
    int where; /* -1: valid, else the offset of what is wrong */
} vectors[] = {
    /* Values */
    {TEXT("null"), -1},
    {TEXT("true"), -1},
    {TEXT("false"), -1},
    {TEXT("0"), -1},
    {TEXT("\"\""), -1},
    {TEXT("{}"), -1},
    {TEXT("[]"), -1},
    {TEXT(" \t\r\n{ \"a\" : [ 1 , { } , [ ] , \"b\" ] , \"a\" : null } \n"), -1},
    {TEXT("[[[[[]]]],{\"\":{\"\":{}}}]"), -1},
    {TEXT("{\"a\":{\"b\":[{\"c\":1},{\"d\":[2,3]}]},\"e\":5}"), -1},
    {TEXT(""), 0},
    {TEXT("  "), 2},
    {TEXT("\n"), 1},
    {TEXT("nul"), 0},
    {TEXT("nulL"), 0},
    {TEXT("Null"), 0},
    {TEXT("nullx"), 4},
    {TEXT("truefalse"), 4},
    {TEXT("[truefalse]"), 5},
    {TEXT("NaN"), 0},
    {TEXT("Infinity"), 0},
    {TEXT("undefined"), 0},
    {TEXT("'a'"), 0},
    {TEXT("// c\n1"), 0},
    {TEXT("1 /* c */"), 2},
    {TEXT("\x0b"
          "1"),
     0},
    {TEXT("\x0c"
          "1"),
     0},
    {TEXT("\xc2\xa0"
          "1"),
     0},
    {TEXT("\xef\xbb\xbf{}"), 0},
    {TEXT("{\xef\xbb\xbf}"), 1},
    {TEXT("\xff\xfe{\0}\0"), 0},
    {TEXT("1 2"), 2},
    {TEXT("{}{}"), 2},
    {TEXT("{} ]"), 3},
    {TEXT("1\0"), 1},
    {TEXT("{}\0"), 2},
    {TEXT("\0"), 0},
    {TEXT("[1,\0002]"), 3},
    /* Objects and arrays */
    {TEXT("{"), 1},
    {TEXT("["), 1},
    {TEXT("}"), 0},
    {TEXT("]"), 0},
    {TEXT(","), 0},
    {TEXT(":"), 0},
    {TEXT("[1"), 2},
    {TEXT("[1,"), 3},
    {TEXT("[1,]"), 3},
    {TEXT("[,1]"), 1},
    {TEXT("[1,,2]"), 3},
    {TEXT("[1 2]"), 3},
    {TEXT("[1}"), 2},
    {TEXT("[}"), 1},
    {TEXT("{]"), 1},
    {TEXT("{\"a\":1]"), 6},
    {TEXT("[1:2]"), 2},
    {TEXT("{\"a\"}"), 4},
    {TEXT("{\"a\""), 4},
    {TEXT("{\"a\":"), 5},
    {TEXT("{\"a\":}"), 5},
    {TEXT("{\"a\" 1}"), 5},
    {TEXT("{\"a\"::1}"), 5},
    {TEXT("{\"a\",1}"), 4},
    {TEXT("{\"a\":1,}"), 7},
    {TEXT("{,\"a\":1}"), 1},
    {TEXT("{\"a\":1,,\"b\":2}"), 7},
    {TEXT("{\"a\":1 \"b\":2}"), 7},
    {TEXT("{\"a\":1:2}"), 6},
    {TEXT("{a:1}"), 1},
    {TEXT("{1:1}"), 1},
    {TEXT("{null:1}"), 1},
    {TEXT("{[]:1}"), 1},
    {TEXT("[[]"), 3},
    {TEXT("[]]"), 2},
    {TEXT("[{}]}"), 4},
    {TEXT("[{]}"), 2},
    /* Numbers */
    {TEXT("-0"), -1},
    {TEXT("10"), -1},
    {TEXT("-1"), -1},
    {TEXT("1.0"), -1},
    {TEXT("-0.00"), -1},
    {TEXT("1e5"), -1},
    {TEXT("1E+05"), -1},
    {TEXT("1.25e-7"), -1},
    {TEXT("0e0"), -1},
    {TEXT("1e999999"), -1},
    {TEXT("9223372036854775808123456789012345678901234567890"), -1},
    {TEXT("0.10000000000000000000000000000000000000000000000001"), -1},
    {TEXT("-"), 1},
    {TEXT("+1"), 0},
    {TEXT("--1"), 1},
    {TEXT("- 1"), 1},
    {TEXT("01"), 1},
    {TEXT("00"), 1},
    {TEXT("-01"), 2},
    {TEXT("1."), 2},
    {TEXT(".5"), 0},
    {TEXT("-.5"), 1},
    {TEXT("1.e5"), 2},
    {TEXT("1e"), 2},
    {TEXT("1e+"), 3},
    {TEXT("1e-x"), 3},
    {TEXT("1e1.5"), 3},
    {TEXT("1.5.5"), 3},
    {TEXT("0x10"), 1},
    {TEXT("1_000"), 1},
    {TEXT("1,5"), 1},
    {TEXT("-Infinity"), 1},
    {TEXT("[1.]"), 3},
    {TEXT("[-]"), 2},
    /* Strings */
    {TEXT("\"a\""), -1},
    {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\""), -1},
    {TEXT("\"\\u0000\""), -1},
    {TEXT("\"\\ud83d\\ude00\""), -1},
    {TEXT("\"\\ud800\""), -1}, /* half a pair: the grammar has it, see json.c */
    {TEXT("\"\\ude00\\ud83d\""), -1},
    {TEXT("\"\x7f\""), -1},
    {TEXT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""), -1},
    {TEXT("\"\xff\xc0\x80\xed\xa0\x80\""), -1}, /* not UTF-8: render_json mends it */
    {TEXT("\xff"), 0},
    {TEXT("\""), 1},
    {TEXT("\"a"), 2},
    {TEXT("\"a\\\""), 4},
    {TEXT("\"\\"), 2},
    {TEXT("\"\\u"), 3},
    {TEXT("\"\\u12"), 5},
    {TEXT("\"\\u12\""), 5},
    {TEXT("\"\\u12g4\""), 5},
    {TEXT("\"\\u+123\""), 3},
    {TEXT("\"\\U0041\""), 2},
    {TEXT("\"\\x41\""), 2},
    {TEXT("\"\\a\""), 2},
    {TEXT("\"\\'\""), 2},
    {TEXT("\"\\0\""), 2},
    {TEXT("\"\\\0\""), 2},
    {TEXT("\"\\\n\""), 2},
    {TEXT("\"a\0b\""), 2},
    {TEXT("\"a\nb\""), 2},
    {TEXT("\"a\tb\""), 2},
    {TEXT("\"\x1f\""), 1},
    {TEXT("\"\x01\""), 1},
    {TEXT("{\"a\nb\":1}"), 3},
    {TEXT("\"a\"b"), 3},
    {TEXT("\"a\"\"b\""), 3},
};

static sqlite3 *db;
static sqlite3_stmt *json_valid;

static int open_sqlite(void **state) {
    (void)state;
    return sqlite3_open(":memory:", &db) == SQLITE_OK &&
                   sqlite3_prepare_v2(db, "SELECT json_valid(?)", -1, &json_valid, NULL) ==
                       SQLITE_OK
               ? 0
               : -1;
}

static int close_sqlite(void **state) {
    (void)state;
    sqlite3_finalize(json_valid);
    return sqlite3_close(db) == SQLITE_OK ? 0 : -1;
}

static bool valid_to_sqlite(const char *text, size_t length) {
    bool valid;

    sqlite3_bind_text(json_valid, 1, text, (int)length, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(json_valid), SQLITE_ROW);
    valid = sqlite3_column_int(json_valid, 0) != 0;
    sqlite3_reset(json_valid);
    return valid;
}

/* Checks a copy that ends where its memory ends, so that the sanitizers see a byte too many. */
static const char *check(const char *text, size_t length, size_t *where) {
    char *copy = malloc(length > 0 ? length : 1);
    const char *wrong;

    assert_non_null(copy);
    memcpy(copy, text, length);
    wrong = json_check(copy, length, where);
    free(copy);
    return wrong;
}

static void follows_the_table(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        size_t where = 12345;
        const char *wrong = check(vectors[i].text, vectors[i].length, &where);
        int found = wrong == NULL ? -1 : (int)where;

        if (found != vectors[i].where) {
            fail_msg("%s: %s at %d, not %d", vectors[i].text, wrong != NULL ? wrong : "valid",
                     found, vectors[i].where);
        }
        if (wrong == NULL) {
            assert_int_equal(where, 12345);
        }
    }
    assert_string_equal(json_check(NULL, 0, NULL), "it is empty");
    assert_string_equal(json_check(" ", 1, NULL), "it is empty");
    assert_string_equal(json_check("\xef\xbb\xbf{}", 5, NULL), "a byte order mark");
    assert_string_equal(json_check("{\"a\":1]", 7, NULL), "',' or '}' is expected");
    assert_string_equal(json_check("[1}", 3, NULL), "',' or ']' is expected");
}

/* Every beginning of a valid document but the whole is refused, at its end. */
static void wants_all_of_it(void **state) {
    static const char text[] = "[{\"a\\u00e9\":[true,false,null,-1.5e-3]},\"\\\"\"]";

    (void)state;
    assert_null(check(text, sizeof text - 1, NULL));
    for (size_t length = 0; length < sizeof text - 1; length++) {
        assert_non_null(check(text, length, NULL));
    }
}

static void nests_to_its_bound(void **state) {
    static char text[2 * JSON_DEPTH + 4];
    size_t where;

    (void)state;
    memset(text, '[', JSON_DEPTH);
    memset(text + JSON_DEPTH, ']', JSON_DEPTH);
    assert_null(check(text, 2 * JSON_DEPTH, NULL));
    assert_true(valid_to_sqlite(text, 2 * JSON_DEPTH));
    memset(text, '[', JSON_DEPTH + 1);
    memset(text + JSON_DEPTH + 1, ']', JSON_DEPTH + 1);
    assert_string_equal(check(text, 2 * JSON_DEPTH + 2, &where), "nested too deeply");
    assert_int_equal(where, JSON_DEPTH);
    /* The kind of every level is remembered. */
    for (int flip = 0; flip < JSON_DEPTH; flip++) {
        memset(text, '[', JSON_DEPTH);
        memset(text + JSON_DEPTH, ']', JSON_DEPTH);
        text[2 * JSON_DEPTH - 1 - flip] = '}';
        assert_non_null(check(text, 2 * JSON_DEPTH, &where));
        assert_int_equal(where, 2 * JSON_DEPTH - 1 - flip);
    }
}

static void remembers_mixed_levels(void **state) {
    static char text[8 * JSON_DEPTH];
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 200; round++) {
        bool object[JSON_DEPTH];
        size_t length = 0;

        for (int level = 0; level < JSON_DEPTH; level++) {
            seed = seed * 1664525 + 1013904223;
            object[level] = (seed >> 31) != 0;
            length += (size_t)snprintf(text + length, sizeof text - length, "%s",
                                       object[level] ? "{\"\":" : "[");
        }
        text[length++] = '1';
        for (int level = JSON_DEPTH - 1; level >= 0; level--) {
            text[length++] = object[level] ? '}' : ']';
        }
        assert_null(check(text, length, NULL));
        length -= seed % JSON_DEPTH + 1;
        text[length] = text[length] == ']' ? '}' : ']';
        assert_non_null(check(text, length + 1, NULL));
    }
}

/* What the two may differ in; everything else is an error of one of them. */
static void compare_with_sqlite(const char *text, size_t length) {
    bool ours = check(text, length, NULL) == NULL;
    bool sqlites = valid_to_sqlite(text, length);

    if (ours != sqlites && (ours || memchr(text, '\0', length) == NULL)) {
        fail_msg("%.*s: %s to SQLite %s", (int)length, text, sqlites ? "valid" : "not valid",
                 sqlite3_libversion());
    }
}

static void agrees_with_sqlite_on_the_table(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        compare_with_sqlite(vectors[i].text, vectors[i].length);
    }
}

/* Random sequences of the pieces that JSON is made of: one in fifty is valid. */
static void agrees_with_sqlite_on_random_texts(void **state) {
    static const char *const pieces[] = {
        "{",  "}",  "[",       "]",   ",",  ":",           "\"a\"", "\"a\":", "1",
        "-1", "0",  "-",       ".5",  "e1", "E-2",         "true",  "null",   " ",
        "\n", "\"", "\\u00e9", "\\n", "\\", "[]",          "{}",    "1.5",    "\"\xc3\xa9\"",
        "x",  "\t", "\x01",    "+",   "00", "\"\\ud800\"", "false",
    };
    unsigned seed = 20240501;
    int valid = 0;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        char text[128];
        size_t length = 0;
        unsigned count;

        seed = seed * 1664525 + 1013904223;
        count = (seed >> 16) % 8 + 1;
        for (unsigned j = 0; j < count; j++) {
            const char *piece;

            seed = seed * 1664525 + 1013904223;
            piece = pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)];
            memcpy(text + length, piece, strlen(piece));
            length += strlen(piece);
        }
        compare_with_sqlite(text, length);
        valid += json_check(text, length, NULL) == NULL;
    }
    assert_true(valid > 1000);
}

/* One byte of a valid document changed, to every value. */
static void agrees_with_sqlite_on_changed_bytes(void **state) {
    char text[] = "{\"a\":[1.5e-3,\"\\u00e9\\n\",true,{}], \"b\" :null}";

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char kept = text[i];

        for (int c = 0; c < 256; c++) {
            text[i] = (char)c;
            compare_with_sqlite(text, sizeof text - 1);
        }
        text[i] = kept;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_table),
        cmocka_unit_test(wants_all_of_it),
        cmocka_unit_test(nests_to_its_bound),
        cmocka_unit_test(remembers_mixed_levels),
        cmocka_unit_test(agrees_with_sqlite_on_the_table),
        cmocka_unit_test(agrees_with_sqlite_on_random_texts),
        cmocka_unit_test(agrees_with_sqlite_on_changed_bytes),
    };

    return cmocka_run_group_tests(tests, open_sqlite, close_sqlite);
}
