/*
** test_clause.c: operations, and expressions that try to leave their place.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "clause.h"

static void reads_operations(void **state) {
    static const struct {
        const char *text;
        enum operation operation;
        const char *names;
    } vectors[] = {
        {"insert", OPERATION_INSERT, NULL},
        {" \tINSERT\n", OPERATION_INSERT, NULL},
        {"Update", OPERATION_UPDATE, NULL},
        {"delete", OPERATION_DELETE, NULL},
        {"update of a", OPERATION_UPDATE, "a"},
        {"UPDATE OF a, b ", OPERATION_UPDATE, "a, b "},
        {"update\nof\"a\"", OPERATION_UPDATE, "\"a\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        enum operation operation = OPERATION_INSERT;
        const char *names = "";

        assert_null(clause_operation(vectors[i].text, &operation, &names));
        assert_int_equal(operation, vectors[i].operation);
        if (vectors[i].names == NULL) {
            assert_null(names);
        } else {
            assert_string_equal(names, vectors[i].names);
        }
    }
}

static void refuses_operations(void **state) {
    static const char *const texts[] = {
        "",           "upsert",        "inserted",    "insert of a", "update a",
        "update of",  "update of ",    "updateof a",  "delete from", "insert;",
        "\"insert\"", "insert update", "update off a"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        enum operation operation;
        const char *names;

        assert_non_null(clause_operation(texts[i], &operation, &names));
    }
}

static void assert_names(const char *list, const char *const *expected) {
    struct buffer name = {0};

    for (int i = 0; expected[i] != NULL; i++) {
        assert_non_null(list);
        assert_null(clause_next_name(&list, &name));
        assert_string_equal(name.data, expected[i]);
    }
    assert_null(list);
    buffer_free(&name);
}

static void reads_names(void **state) {
    (void)state;
    assert_names("a", (const char *const[]){"a", NULL});
    assert_names(" a ,b,\tc1$ ", (const char *const[]){"a", "b", "c1$", NULL});
    assert_names("\"a, b\",`c``d`,[e f],'g'",
                 (const char *const[]){"a, b", "c`d", "e f", "g", NULL});
    assert_names("\"a\"\"b\"", (const char *const[]){"a\"b", NULL});
    assert_names("\xc3\xa9t\xc3\xa9,_x", (const char *const[]){"\xc3\xa9t\xc3\xa9", "_x", NULL});
}

static void refuses_names(void **state) {
    static const char *const lists[] = {"",     ",a", "\"a", "[a",  "1a",      "a b",
                                        "\"\"", "a;", "$a",  "a.b", "\"a\"\"", "*"};

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct buffer name = {0};
        const char *list = lists[i];

        assert_non_null(clause_next_name(&list, &name));
        buffer_free(&name);
    }
}

static void takes_expressions(void **state) {
    static const char *const texts[] = {
        "1",
        "NEW.a",
        "(SELECT email FROM member WHERE id = NEW.owner_id)",
        "NEW.a -- the a",
        "/* the ) a */ NEW.a",
        "/**/1",
        "1 -- )",
        "')'",
        "'it''s )'",
        "\"a)\" + `b(` + [c)]",
        "x'00ff' || ';'",
        "a$b + c1",
        "NEW.\"?\" = ':x'",
        "((1))",
        "1 - -1",
        "a / b * c",
        "a->'$.b'",
        "1e5 + .5",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_null(clause_expression(texts[i]));
    }
}

static void refuses_expressions(void **state) {
    static const char *const texts[] = {
        "",
        "  ",
        "-- nothing",
        "/* nothing */",
        "1; SELECT 2",
        "1)",
        "1) FROM x --",
        "(1",
        ")(",
        "'a",
        "\"a",
        "[a",
        "`a",
        "1 /* ",
        "1 /*/",
        "?",
        "?1",
        ":a",
        "@a",
        "$a",
        "#1",
        "'a'')",
        "1 -- (\n)",
        "(1 -- )",
        "$a(') , evil , $b(')",
        "1), (2",
        "1) UNION SELECT (2",
        "'' || x'",
        "a;",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_non_null(clause_expression(texts[i]));
    }
}

static void finds_names(void **state) {
    static const struct {
        const char *text, *name;
        bool found;
    } vectors[] = {
        {"NEW.status = 1", "Status", true},
        {"NEW.status = 1", "stat", false},
        {"NEW.status = 1", "statuses", false},
        {"NEW.[a]]b]", "a]]b", false}, /* a bracket is not doubled */
        {"NEW.\"a\"\"b\"", "a\"b", true},
        {"NEW.\"\"", "", true},
        {"NEW.a", "", false},
        {"'status'", "status", true},
        {"1 -- status", "status", false},
        {"/* status */ 1", "status", false},
        {"'it is status'", "status", false},
        {"\xc3\xa9 + 1", "\xc3\xa9", true},
        {"a+b", "b", true},
        {"a.*", "*", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        assert_int_equal(clause_names(vectors[i].text, vectors[i].name), vectors[i].found);
    }
}

static void finds_stars(void **state) {
    static const char *const all[] = {"(SELECT * FROM NEW)", "(SELECT 1, * FROM NEW)",
                                      "(SELECT NEW.* FROM NEW)", "(SELECT DISTINCT/**/*FROM NEW)",
                                      "(select all\n* from new)"};
    static const char *const products[] = {"2 * 3", "count(*)", "a.b * c",
                                           "(a)*b", "'*'",      "1 -- SELECT *"};

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_true(clause_takes_all(all[i]));
    }
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        assert_false(clause_takes_all(products[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_operations),  cmocka_unit_test(refuses_operations),
        cmocka_unit_test(reads_names),       cmocka_unit_test(refuses_names),
        cmocka_unit_test(takes_expressions), cmocka_unit_test(refuses_expressions),
        cmocka_unit_test(finds_names),       cmocka_unit_test(finds_stars),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
