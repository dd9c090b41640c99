/*
** test_template.c: payload paths, what they nest into, what is left out.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "template.h"

#define FIELDS 8

/* Writes a field's number, or null for the fields whose bit is set in *context; the type as a
** letter before it. */
static bool render(void *context, int field, enum template_type type, struct buffer *out) {
    char text[4] = {"PBJT"[type], (char)('0' + field), '\0'};

    if ((*(unsigned *)context >> field & 1) != 0) {
        render_null(out);
        return false;
    }
    render_text(out, text, 2);
    return true;
}

/* Adds the fields and renders them with the ones in `nulls` NULL. */
static void assert_payload(const char *const *fields, unsigned nulls, const char *expected) {
    struct template template = {0};
    struct buffer out = {0};

    for (int i = 0; i < FIELDS && fields[i] != NULL; i++) {
        assert_null(template_add(&template, fields[i]));
        assert_int_equal(template.fields, i + 1);
    }
    template_render(&template, render, &nulls, &out);
    assert_false(out.failed);
    assert_string_equal(out.data, expected);
    assert_int_equal(out.length, strlen(expected));
    buffer_free(&out);
    template_free(&template);
}

static void keeps_the_order(void **state) {
    (void)state;
    assert_payload((const char *const[FIELDS]){"b", "a", "c"}, 0,
                   "{\"b\":\"P0\",\"a\":\"P1\",\"c\":\"P2\"}");
    assert_payload((const char *const[FIELDS]){NULL}, 0, "{}");
}

static void nests(void **state) {
    (void)state;
    assert_payload((const char *const[FIELDS]){"id", "owner.email", "name", "owner.id"}, 0,
                   "{\"id\":\"P0\",\"owner\":{\"email\":\"P1\",\"id\":\"P3\"},\"name\":\"P2\"}");
    assert_payload((const char *const[FIELDS]){"a.b.c", "a.b.d", "a.e", "b.c"}, 0,
                   "{\"a\":{\"b\":{\"c\":\"P0\",\"d\":\"P1\"},\"e\":\"P2\"},\"b\":{\"c\":\"P3\"}}");
    /* The same name in different places is not the same member. */
    assert_payload((const char *const[FIELDS]){"a", "b.a", "b.b"}, 0,
                   "{\"a\":\"P0\",\"b\":{\"a\":\"P1\",\"b\":\"P2\"}}");
}

static void reads_types(void **state) {
    (void)state;
    assert_payload((const char *const[FIELDS]){"a:bool", "b:json", "c:text", "d", "e.f:json?"}, 0,
                   "{\"a\":\"B0\",\"b\":\"J1\",\"c\":\"T2\",\"d\":\"P3\",\"e\":{\"f\":\"J4\"}}");
}

static void leaves_out(void **state) {
    const char *const fields[FIELDS] = {"a?", "b", "c.d?", "c.e:bool?", "f.g?", "f.h"};

    (void)state;
    assert_payload(fields, 0,
                   "{\"a\":\"P0\",\"b\":\"P1\",\"c\":{\"d\":\"P2\",\"e\":\"B3\"},"
                   "\"f\":{\"g\":\"P4\",\"h\":\"P5\"}}");
    assert_payload(fields, 077, "{\"b\":null,\"f\":{\"h\":null}}");
    assert_payload(fields, 005,
                   "{\"b\":\"P1\",\"c\":{\"e\":\"B3\"},\"f\":{\"g\":\"P4\",\"h\":\"P5\"}}");
    /* Objects in objects go too, and no comma stays behind. */
    assert_payload((const char *const[FIELDS]){"x.y.z?", "a"}, 1, "{\"a\":\"P1\"}");
    assert_payload((const char *const[FIELDS]){"a", "x.y.z?"}, 2, "{\"a\":\"P0\"}");
    assert_payload((const char *const[FIELDS]){"x.y.z?"}, 1, "{}");
}

static void escapes_names(void **state) {
    (void)state;
    assert_payload((const char *const[FIELDS]){"a\"b", "\xf0\x9f\x98\x80", "a b"}, 0,
                   "{\"a\\\"b\":\"P0\",\"\xf0\x9f\x98\x80\":\"P1\",\"a b\":\"P2\"}");
}

static void refuses_conflicts(void **state) {
    static const struct {
        const char *first;
        const char *second;
        const char *wrong;
    } vectors[] = {
        {"a", "a", "the path is there twice"},
        {"a.b", "a.b?", "the path is there twice"},
        {"a:bool", "a:json", "the path is there twice"},
        {"a", "a.b", "the path is both a value and an object"},
        {"a.b", "a", "the path is both a value and an object"},
        {"a.b", "a.b.c", "the path is both a value and an object"},
        {"a", "", "a part of the path is empty"},
        {"a", ".", "a part of the path is empty"},
        {"a", "b.", "a part of the path is empty"},
        {"a", ".b", "a part of the path is empty"},
        {"a", "b..c", "a part of the path is empty"},
        {"a", "?", "a part of the path is empty"},
        {"a", ":bool", "a part of the path is empty"},
        {"a", "b:", "unknown type (known: bool, json, text)"},
        {"a", "b:int", "unknown type (known: bool, json, text)"},
        {"a", "b:Bool", "unknown type (known: bool, json, text)"},
        {"a", "b:bool:json", "unknown type (known: bool, json, text)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct template template = {0};
        const char *wrong;

        assert_null(template_add(&template, vectors[i].first));
        wrong = template_add(&template, vectors[i].second);
        assert_non_null(wrong);
        assert_string_equal(wrong, vectors[i].wrong);
        template_free(&template);
    }
}

static void bounds_the_depth(void **state) {
    struct template template = {0};
    char path[2 * TEMPLATE_DEPTH + 2];

    (void)state;
    for (size_t i = 0; i < sizeof path; i++) {
        path[i] = i % 2 == 0 ? 'a' : '.';
    }
    path[2 * TEMPLATE_DEPTH - 1] = '\0';
    assert_null(template_add(&template, path));
    template_free(&template);
    path[2 * TEMPLATE_DEPTH - 1] = '.';
    path[2 * TEMPLATE_DEPTH + 1] = '\0';
    assert_non_null(template_add(&template, path));
    template_free(&template);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),  cmocka_unit_test(nests),
        cmocka_unit_test(reads_types),      cmocka_unit_test(leaves_out),
        cmocka_unit_test(escapes_names),    cmocka_unit_test(refuses_conflicts),
        cmocka_unit_test(bounds_the_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
