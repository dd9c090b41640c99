/*
** test_trigger.c: the trigger's text, to the letter: it lies in people's databases and is compared
** by resthook_repair(). What it does is tested in tests/sql/test_watch.py.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "trigger.h"

static void assert_text(const struct trigger *trigger, const char *expected) {
    struct buffer out = {0};

    trigger_write(trigger, &out);
    assert_false(out.failed);
    assert_string_equal(out.data, expected);
    buffer_free(&out);
}

static void writes_an_insert(void **state) {
    const struct trigger_value values[] = {{.key = true, .small = true, .column = "id"},
                                           {.column = "a\"b"}};
    const struct trigger trigger = {.id = 7,
                                    .operation = OPERATION_INSERT,
                                    .table = "t",
                                    .values = values,
                                    .width = 2,
                                    .capture_max = 100};

    (void)state;
    assert_text(
        &trigger,
        "CREATE TRIGGER main.\"resthook_watch_7\" AFTER INSERT ON \"t\" "
        "WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=7) BEGIN "
        "INSERT INTO resthook_outbox(watch,v0,v1)SELECT 7,(SELECT NEW.\"id\")v0,"
        "(SELECT NEW.\"a\"\"b\")v1 FROM(SELECT NULL \"a\"\"b\")new "
        "WHERE(SELECT (8+ifnull(length(CAST(NEW.\"a\"\"b\" AS BLOB)),0)))<=100;"
        "INSERT INTO resthook_outbox(watch,v0,v2)SELECT 7,NEW.\"id\",1 WHERE changes()=0;END");
}

static void writes_a_delete(void **state) {
    const struct trigger_value values[] = {{.old = true, .key = true, .column = "k"}};
    const struct trigger trigger = {.id = 1,
                                    .operation = OPERATION_DELETE,
                                    .table = "t",
                                    .values = values,
                                    .width = 1,
                                    .capture_max = 9};

    (void)state;
    assert_text(&trigger,
                "CREATE TRIGGER main.\"resthook_watch_1\" AFTER DELETE ON \"t\" "
                "WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=1) BEGIN "
                "INSERT INTO resthook_outbox(watch,v0)SELECT 1,(SELECT OLD.\"k\")v0 "
                "FROM(SELECT NULL \"k\")old WHERE(SELECT ifnull(length(CAST(OLD.\"k\" AS "
                "BLOB)),0))<=9;"
                "INSERT INTO resthook_outbox(watch,v0,v1)SELECT 1,CASE WHEN length(CAST(OLD.\"k\" "
                "AS BLOB))<=9 "
                "THEN OLD.\"k\" END,1 WHERE changes()=0;END");
}

static void writes_an_update(void **state) {
    const struct trigger_value values[] = {{.key = true, .small = true, .column = "rowid"},
                                           {.old = true, .column = "a"}};
    const char *const names[] = {"a", "b"};
    const struct trigger trigger = {
        .id = 2,
        .operation = OPERATION_UPDATE,
        .table = "t",
        .of = names,
        .of_count = 2,
        .changed = names,
        .changed_count = 1,
        .values = values,
        .width = 2,
        .capture_max = 9,
    };

    (void)state;
    assert_text(
        &trigger,
        "CREATE TRIGGER main.\"resthook_watch_2\" AFTER UPDATE OF \"a\",\"b\" ON \"t\" "
        "WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=2) AND EXISTS(SELECT 1 FROM("
        "SELECT(SELECT NEW.\"a\")n0,(SELECT OLD.\"a\")o0 FROM(SELECT NULL \"a\")new,(SELECT NULL "
        "\"a\")old "
        "LIMIT 1)WHERE (typeof(n0)<>typeof(o0)OR+n0 COLLATE BINARY IS NOT+o0)) BEGIN "
        "INSERT INTO resthook_outbox(watch,v0,v1)SELECT 2,(SELECT NEW.\"rowid\")v0,"
        "(SELECT OLD.\"a\")v1 FROM(SELECT NULL \"a\")old "
        "WHERE(SELECT (8+ifnull(length(CAST(OLD.\"a\" AS BLOB)),0)))<=9;"
        "INSERT INTO resthook_outbox(watch,v0,v2)SELECT 2,NEW.\"rowid\",1 WHERE changes()=0;END");
}

/* What `when` reads is captured of a row too large too, and the mark says whether it is there. */
static void writes_what_is_kept(void **state) {
    const struct trigger_value values[] = {{.key = true, .small = true, .column = "id"},
                                           {.kept = true, .column = "a"},
                                           {.column = "b"},
                                           {.old = true, .kept = true, .column = "a"}};
    const char *const names[] = {"a"};
    const struct trigger trigger = {
        .id = 3,
        .operation = OPERATION_UPDATE,
        .table = "t",
        .changed = names,
        .never = true,
        .values = values,
        .width = 4,
        .capture_max = 2000,
    };

    (void)state;
    assert_text(
        &trigger,
        "CREATE TRIGGER main.\"resthook_watch_3\" AFTER UPDATE ON \"t\" "
        "WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=3) AND 0 BEGIN "
        "INSERT INTO resthook_outbox(watch,v0,v1,v2,v3)SELECT 3,(SELECT NEW.\"id\")v0,"
        "(SELECT NEW.\"a\")v1,(SELECT NEW.\"b\")v2,(SELECT OLD.\"a\")v3 "
        "FROM(SELECT NULL \"a\",NULL \"b\")new,(SELECT NULL \"a\")old "
        "WHERE(SELECT ((8+ifnull(length(CAST(NEW.\"a\" AS BLOB)),0))"
        "+(ifnull(length(CAST(NEW.\"b\" AS BLOB)),0)+ifnull(length(CAST(OLD.\"a\" AS "
        "BLOB)),0))))<=2000;"
        "INSERT INTO resthook_outbox(watch,v0,v1,v3,v4)SELECT 3,NEW.\"id\",CASE m WHEN 0 THEN k0 "
        "END,"
        "CASE m WHEN 0 THEN k1 END,1+m FROM(SELECT *,(ifnull(length(CAST(k0 AS BLOB)),0)"
        "+ifnull(length(CAST(k1 AS BLOB)),0))>1000 m FROM(SELECT(SELECT NEW.\"a\")k0,"
        "(SELECT OLD.\"a\")k1 FROM(SELECT NULL \"a\")new,(SELECT NULL \"a\")old LIMIT 1)LIMIT 1)"
        "WHERE changes()=0;END");
}

static void compares_with_what_is_stored(void **state) {
    (void)state;
    assert_true(trigger_is("CREATE TRIGGER main.\"a\" x", "CREATE TRIGGER \"a\" x"));
    assert_false(trigger_is("CREATE TRIGGER main.\"a\" x", "CREATE TRIGGER \"a\" y"));
    assert_false(trigger_is("CREATE TRIGGER main.\"a\" x", "CREATE TRIGGER \"a\" x "));
    assert_false(trigger_is("CREATE TRIGGER main.\"a\" x", NULL));
    assert_false(trigger_is("CREATE TRIGGER main.\"a\" x", ""));
}

#define HEAD "CREATE TRIGGER main.\"resthook_watch_9\" AFTER "
#define STORED "CREATE TRIGGER \"resthook_watch_9\" AFTER "
#define NOBODY "UPDATE OF \"nobody subscribed\" "
#define REST "ON \"a \"\" ON b\" WHEN x BEGIN SELECT NEW.\"ON\"; END"

static void assert_turned(const char *stored, const struct trigger *trigger, const char *expected) {
    struct buffer out = {0};

    assert_true(trigger_turn(stored, trigger, &out));
    assert_string_equal(out.data, expected);
    buffer_free(&out);
}

/* Only what stands before ON is another; a name may hold that word. */
static void is_armed_and_disarmed(void **state) {
    const char *const of[] = {"ON", "b \" ON c"};
    struct trigger trigger = {.id = 9, .operation = OPERATION_UPDATE, .of = of, .of_count = 2};
    struct buffer out = {0};

    (void)state;
    assert_turned(STORED NOBODY REST, &trigger, HEAD "UPDATE OF \"ON\",\"b \"\" ON c\" " REST);
    trigger.disarmed = true;
    assert_turned(STORED "UPDATE OF \"ON\",\"b \"\" ON c\" " REST, &trigger, HEAD NOBODY REST);
    assert_turned(STORED "INSERT " REST, &trigger, HEAD NOBODY REST);
    assert_true(trigger_is_disarmed(STORED NOBODY REST));
    assert_false(trigger_is_disarmed(STORED "INSERT " REST));
    assert_false(trigger_is_disarmed(STORED "UPDATE OF \"nobody subscribed\",\"a\" " REST));
    assert_false(trigger_is_disarmed(NULL));
    assert_false(trigger_is_disarmed(""));
    assert_false(trigger_is_disarmed("CREATE TRIGGER \"not closed"));
    assert_false(trigger_turn("", &trigger, &out));
    assert_false(trigger_turn("CREATE TRIGGER \"not closed", &trigger, &out));
    assert_false(trigger_turn("create trigger a after insert ON t", &trigger, &out));
    assert_int_equal(out.length, 0);
}

static void is_written_disarmed(void **state) {
    const struct trigger_value values[] = {{.key = true, .small = true, .column = "id"}};
    const char *const of[] = {"id"};
    const struct trigger trigger = {.id = 9,
                                    .disarmed = true,
                                    .operation = OPERATION_UPDATE,
                                    .table = "t",
                                    .of = of,
                                    .of_count = 1,
                                    .values = values,
                                    .width = 1,
                                    .capture_max = 2000};

    (void)state;
    assert_text(&trigger, HEAD NOBODY
                "ON \"t\" WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=9) "
                "BEGIN INSERT INTO resthook_outbox(watch,v0)SELECT 9,(SELECT NEW.\"id\")v0 "
                "WHERE(SELECT 8)<=2000;INSERT INTO resthook_outbox(watch,v0,v1)SELECT "
                "9,NEW.\"id\",1 WHERE changes()=0;END");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_an_insert),
        cmocka_unit_test(writes_a_delete),
        cmocka_unit_test(writes_an_update),
        cmocka_unit_test(writes_what_is_kept),
        cmocka_unit_test(compares_with_what_is_stored),
        cmocka_unit_test(is_armed_and_disarmed),
        cmocka_unit_test(is_written_disarmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
