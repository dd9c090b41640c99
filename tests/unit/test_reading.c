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

/* ---- numbers that a hand wrote ---- */

static void the_last_id_that_there_can_be(void **state) {
    (void)state;
    sql("INSERT INTO item DEFAULT VALUES");
    sql("INSERT INTO resthook_outbox(id, event, payload)"
        " VALUES (9223372036854775807, 'item.sold', '{}')");
    turns(2 * SECOND);
    assert_false(outbox->unread);
    assert_int_equal(outbox->window.pairs_count, 2);
    sql("CREATE TABLE another(id)"); /* it looks for more */
    turns(2 * SECOND);
    assert_false(outbox->unread);
    assert_int_equal(outbox->window.pairs_count, 2);
}

static void counts_and_cursors(void **state) {
    static const char *const numbers[] = {"9223372036854775807",
                                          "-9223372036854775807 - 1",
                                          "2147483647",
                                          "-2147483648",
                                          "'x'",
                                          "NULL"};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *text = sqlite3_mprintf(
            "UPDATE delivery SET attempts = ifnull(%s, 0), base = ifnull(%s, 0), next_at = 1,"
            " state = 1, finished_at = %s, started_at = %s, duration = %s;"
            " UPDATE meta SET value = %s WHERE name IN ('heartbeat_at', 'intact_at', 'filtered',"
            " 'counted_to', 'request_cursor', 'request_filed', 'wakes_hint', 'stopped_at')",
            numbers[i], numbers[i], numbers[i], numbers[i], numbers[i], numbers[i]);
        struct job *job;

        sql("INSERT INTO item DEFAULT VALUES");
        turns(SECOND);
        job = claim();
        assert_non_null(job);
        settle(job, VERDICT_RETRY, 0);
        turns(SECOND);
        assert_true(db_exec(journal_db(outbox->journal), text));
        sqlite3_free(text);
        outbox_close(outbox, now);
        open_outbox();
        turns(2 * SECOND);
        while ((job = claim()) != NULL) {
            settle(job, VERDICT_DELIVERED, 0);
            turns(SECOND);
        }
        assert_int_equal(side("SELECT count(*) FROM delivery WHERE state < 3"), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_with_items, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_name_of_a_watch),  TEST(the_definition_of_a_watch),
        TEST(the_number_of_a_name), TEST(the_last_id_that_there_can_be),
        TEST(counts_and_cursors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
