/*
** test_reading.c: what can't be read for a moment is read again: nothing is passed over for it.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <string.h>

static const char *broken; /* the statement that fails the next time it is run; NULL: none */

static int on_statement(unsigned kind, void *context, void *statement, void *text) {
    (void)kind;
    (void)context;
    if (broken != NULL && strstr(text, broken) != NULL) {
        broken = NULL;
        sqlite3_interrupt(sqlite3_db_handle(statement));
    }
    return 0;
}

static void insert_while_breaks(const char *text) {
    sqlite3 *db = reader_db(outbox->reader)->handle;

    sql("CREATE TABLE another(id)"); /* what is known of watches is forgotten */
    turns(SECOND);
    broken = text;
    assert_int_equal(sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL), SQLITE_OK);
    sql("INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    assert_null(broken);
    assert_int_equal(sqlite3_trace_v2(db, 0, NULL, NULL), SQLITE_OK);
    assert_false(TAILQ_EMPTY(&TAILQ_FIRST(&outbox->subs.list)->fresh));
}

static void the_name_of_a_watch(void **state) {
    (void)state;
    insert_while_breaks("SELECT event FROM main.resthook_watch");
}

static void the_definition_of_a_watch(void **state) {
    (void)state;
    insert_while_breaks("virtual, table_sql, primary_key\n  FROM main.resthook_watch WHERE id");
    assert_int_equal(side("SELECT count(*) FROM delivery"), 0);
}

static int refuse_once(void *refuses) {
    bool refused = *(bool *)refuses;

    *(bool *)refuses = false;
    return refused;
}

/* A number that could not be committed is none. */
static void the_number_of_a_name(void **state) {
    bool refuses = true;

    (void)state;
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turns(2 * SECOND);
    sqlite3_commit_hook(journal_db(outbox->journal)->handle, refuse_once, &refuses);
    sql("INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    sqlite3_commit_hook(journal_db(outbox->journal)->handle, NULL, NULL);
    assert_false(refuses);
    assert_int_equal(side("SELECT count(*) FROM delivery"), 1);
    assert_int_equal(side("SELECT count(*) FROM delivery JOIN event_name ON n = name"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_with_items, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_name_of_a_watch),
        TEST(the_definition_of_a_watch),
        TEST(the_number_of_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
