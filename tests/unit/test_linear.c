/*
** test_linear.c: instr(), replace() and trim() say what SQLite's own say, which are asked beside them.
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

#include "scarce.h"

#include "linear.h"

static sqlite3 *open_db(const char *encoding, bool linear) {
    char sql[64];
    sqlite3 *db;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    snprintf(sql, sizeof sql, "PRAGMA encoding = '%s'", encoding);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    if (linear) {
        assert_int_equal(linear_install(db), SQLITE_OK);
    }
    return db;
}

/* What an expression is: its type and, in hexadecimal, its value. */
static void ask(sqlite3 *db, const char *expression, char *said, size_t size) {
    sqlite3_stmt *statement;
    char *sql =
        sqlite3_mprintf("SELECT typeof(x) || ' ' || hex(x) FROM (SELECT %s AS x)", expression);

    assert_non_null(sql);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", expression, sqlite3_errmsg(db));
    }
    if (sqlite3_step(statement) == SQLITE_ROW) {
        snprintf(said, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    } else {
        snprintf(said, size, "%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
}

/* Operands: everything that a value can be, and texts of few characters, which meet often. */
static const char *const operands[] = {"NULL",
                                       "''",
                                       "x''",
                                       "0",
                                       "-12",
                                       "12.5",
                                       "1e999",
                                       "'a'",
                                       "'ab'",
                                       "'aab'",
                                       "'aaaaaaab'",
                                       "'  a b  '",
                                       "' '",
                                       "x'61'",
                                       "x'6162'",
                                       "x'616162'",
                                       "x'00'",
                                       "x'c3a9'",
                                       "x'a9'",
                                       "x'ff'",
                                       "CAST(x'610061' AS TEXT)",
                                       "CAST(x'00' AS TEXT)",
                                       "CAST(x'0061' AS TEXT)",
                                       "'é'",
                                       "'éé'",
                                       "'aéb'",
                                       "'€é€'",
                                       "'€'",
                                       "'🙂a🙂'",
                                       "'🙂'",
                                       "'éa'",
                                       "char(127, 128, 2047, 2048, 65535, 65536)",
                                       "'1'",
                                       "'2.'"};
#define COUNT (sizeof operands / sizeof *operands)
/* What is no UTF-8; trim() is not compared over it. */
static const char *const broken[] = {"CAST(x'a9' AS TEXT)", "CAST(x'61a9a9' AS TEXT)",
                                     "CAST(x'c3' AS TEXT)", "CAST(x'ffa9' AS TEXT)"};

struct pair {
    sqlite3 *own, *linear;
};

static void compare(const struct pair *pair, const char *expression) {
    char own[4096], linear[4096];

    ask(pair->own, expression, own, sizeof own);
    ask(pair->linear, expression, linear, sizeof linear);
    if (strcmp(own, linear) != 0) {
        fail_msg("%s is %s, not %s", expression, own, linear);
    }
}

static const char *operand(size_t i) {
    return i < COUNT ? operands[i] : broken[i - COUNT];
}

static void say_what_sqlite_says(void **state) {
    static const char *const encodings[] = {"UTF-8", "UTF-16le", "UTF-16be"};
    static const char *const trims[] = {"trim", "ltrim", "rtrim"};
    size_t all = COUNT + sizeof broken / sizeof *broken;
    char expression[512];

    (void)state;
    for (size_t e = 0; e < sizeof encodings / sizeof *encodings; e++) {
        struct pair pair = {open_db(encodings[e], false), open_db(encodings[e], true)};

        for (size_t a = 0; a < all; a++) {
            for (size_t b = 0; b < all; b++) {
                /* Of a BLOB with an odd number of bytes SQLite makes strange texts in UTF-16. */
                if (e == 0 || (operand(a)[0] == 'x') == (operand(b)[0] == 'x')) {
                    snprintf(expression, sizeof expression, "instr(%s, %s)", operand(a),
                             operand(b));
                    compare(&pair, expression);
                }
                for (size_t c = 0; c < COUNT; c += e == 0 ? 1 : 5) {
                    snprintf(expression, sizeof expression, "replace(%s, %s, %s)", operand(a),
                             operand(b), operand(c));
                    compare(&pair, expression);
                }
                for (size_t t = 0; a < COUNT && b < COUNT && t < 3; t++) {
                    if (strcmp(operands[a], "x'a9'") == 0 || strcmp(operands[a], "x'ff'") == 0 ||
                        strcmp(operands[b], "x'a9'") == 0 || strcmp(operands[b], "x'ff'") == 0) {
                        continue; /* as texts they are no UTF-8 */
                    }
                    snprintf(expression, sizeof expression, "%s(%s, %s)", trims[t], operands[a],
                             operands[b]);
                    compare(&pair, expression);
                    snprintf(expression, sizeof expression, "%s(%s)", trims[t], operands[a]);
                    compare(&pair, expression);
                }
            }
        }
        sqlite3_close(pair.own);
        sqlite3_close(pair.linear);
    }
}

/* A million times half a million would be an hour: that it ends at all is what is tested. */
static void end(void **state) {
    static const char *const expressions[][2] = {
        {"instr(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b')", "integer 30"},
        {"length(replace(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b', ''))",
         "integer 34303030303030"},
        {"length(trim(printf('%.*c', 4000000, 'a'), printf('%.*c', 4000000, 'b')))",
         "integer 34303030303030"},
        {"length(trim(printf('%.*c', 4000000, 'a'), printf('%.*c', 4000000, 'b') || 'a'))",
         "integer 30"},
        {"length(rtrim(printf('%.*c', 2000000, CAST(x'a9' AS TEXT))))", "integer 31"},
        {"instr(printf('%.*c', 2000000, CAST(x'a9' AS TEXT)),"
         " printf('%.*c', 1000000, CAST(x'a9' AS TEXT)) || 'b')",
         "integer 30"},
    };
    sqlite3 *db = open_db("UTF-8", true);
    char said[64];

    (void)state;
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        ask(db, expressions[i][0], said, sizeof said);
        if (i != 4) { /* what length() makes of no UTF-8 is its own affair */
            assert_string_equal(said, expressions[i][1]);
        }
    }
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1000);
    ask(db, "replace(hex(zeroblob(400)), '0', 'zz')", said, sizeof said);
    assert_string_equal(said, "string or blob too big");
    sqlite3_close(db);
}

/* Without memory there is an error, and never another answer. */
static void survive_without_memory(void **state) {
    static const char *const expressions[][2] = {{"instr('abc', 'c')", "3"},
                                                 {"replace('abc', 'b', 'xyz')", "axyzc"},
                                                 {"trim('€abc€', '€c')", "ab"},
                                                 {"instr(x'6100', 'a')", "1"}};
    sqlite3 *db;

    (void)state;
    sqlite3_shutdown();
    assert_int_equal(make_memory_scarce(), 0);
    db = open_db("UTF-16le", true);
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        char *sql = sqlite3_mprintf("SELECT %s", expressions[i][0]);

        assert_non_null(sql);
        failed = true;
        for (int n = 0; failed; n++) {
            sqlite3_stmt *statement;
            int rc;

            assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
            failed = false;
            countdown = n;
            rc = sqlite3_step(statement);
            countdown = -1;
            if (rc == SQLITE_ROW) {
                assert_string_equal(sqlite3_column_text(statement, 0), expressions[i][1]);
            } else {
                assert_int_equal(rc, SQLITE_NOMEM);
                assert_true(failed);
            }
            sqlite3_finalize(statement);
        }
        sqlite3_free(sql);
    }
    sqlite3_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(say_what_sqlite_says),
        cmocka_unit_test(end),
        cmocka_unit_test(survive_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
