/*
** test_restored.c: app.db is put back as it was, in place, while it is open. What is another file by
** now is not read: it is held, and nothing of what waits for the right one is touched.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

static sqlite3 *copy_of(sqlite3 *from) {
    sqlite3 *copy;

    assert_int_equal(sqlite3_open(":memory:", &copy), SQLITE_OK);
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", from, "main");

    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
    return copy;
}

static void restore(sqlite3 *copy) {
    sqlite3_backup *backup = sqlite3_backup_init(app, "main", copy, "main");

    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
    sqlite3_close(copy);
}

/* Who is not in the copy has not ended: what waits for him is there when the right file is. */
static void an_older_copy_ends_nobody(const char *mode) {
    sqlite3 *older, *right;

    outbox_close(outbox, now);
    sql("PRAGMA journal_mode=%s", mode);
    open_outbox();
    turns(2 * SECOND);
    older = copy_of(app);
    sql("SELECT resthook_pause(resthook_subscribe('item.*', 'https://example.com/later'))");
    sql("INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1);
    right = copy_of(app);
    restore(older);
    turns(2 * SECOND);
    assert_non_null(outbox->held);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1);
    restore(right);
    outbox_close(outbox, now);
    open_outbox();
    turns(2 * SECOND);
    assert_null(outbox->held);
    assert_int_equal(outbox->subs.count, 2);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1);
}

static void an_older_copy_in_wal_mode(void **state) {
    (void)state;
    an_older_copy_ends_nobody("WAL");
}

static void an_older_copy_with_a_rollback_journal(void **state) {
    (void)state;
    an_older_copy_ends_nobody("DELETE");
}

/* That an event is not in the copy does not say that it is gone, whoever looks first. */
static void an_older_copy_where_a_row_is_due(void **state) {
    sqlite3 *older = copy_of(app);

    (void)state;
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    settle(claim(), VERDICT_RETRY, 0);
    turn();
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 1"), 1);
    restore(older);
    now += 2 * SECOND;
    outbox_source(outbox)->turn(outbox_source(outbox), now, true); /* before it is told */
    assert_non_null(outbox->held);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 1"), 1);
}

/* However soon it comes: what is missed was read, though nothing of it is written yet. */
static void an_older_copy_is_held_at_the_next_start(void **state) {
    sqlite3 *older = copy_of(app);

    (void)state;
    sql("INSERT INTO item DEFAULT VALUES");
    turn();
    assert_int_not_equal(outbox->check_id, outbox->anchored);
    restore(older);
    turn();
    assert_non_null(outbox->held);
    outbox_close(outbox, now);
    open_outbox();
    assert_non_null(outbox->held);
}

/* Events whose ids are given out again, since the machine's stop took the first ones, are counted. */
static void what_is_counted_after_going_back(void **state) {
    static const char insert[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5)"
        " INSERT INTO item SELECT NULL FROM n";
    sqlite3 *kept;

    (void)state;
    sql("SELECT resthook_update(id, '{\"filter\":\"NEW.id < 0\"}') FROM resthook_subscriptions");
    sql(insert);
    turns(10 * SECOND);
    kept = copy_of(app);
    sql(insert);
    turns(10 * SECOND);
    assert_int_equal(side("SELECT filtered FROM subscription"), 10);
    db_exec(journal_db(outbox->journal), "UPDATE meta SET value = 'another' WHERE name = 'boot'");
    outbox_close(outbox, now);
    restore(kept);
    open_outbox();
    assert_int_equal(outbox->cursor, 5);
    sql(insert);
    turns(10 * SECOND);
    assert_int_equal(side("SELECT filtered FROM subscription"), 15);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_with_items, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_older_copy_in_wal_mode),        TEST(an_older_copy_with_a_rollback_journal),
        TEST(an_older_copy_where_a_row_is_due), TEST(an_older_copy_is_held_at_the_next_start),
        TEST(what_is_counted_after_going_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
