/*
** test_held.c: deliveries whose payload can't be computed: when that is tried again.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#define MINUTE (60 * SECOND)

/* What is sent is looked up in another table, and overflows there. */
static int begin(void **state) {
    (void)state;
    if (begin_world() != 0) {
        return -1;
    }
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY)");
    sql("CREATE TABLE price(item INTEGER, cents INTEGER)");
    sql("INSERT INTO price VALUES (1, -9223372036854775807 - 1)");
    sql("SELECT resthook_watch('item', 'insert', 'item.create', '{\"fields\": {\"cents\":"
        " \"abs((SELECT cents FROM price WHERE item = NEW.id))\"}}')");
    sql("SELECT resthook_subscribe('*', 'https://example.com/')");
    turns(SECOND); /* and a round of retention is over */
    return 0;
}

/* A turn does what it can in about a millisecond, which on a busy machine is little. */
static void turns_at_once(void) {
    for (int i = 0; i < 100; i++) {
        turn();
    }
}

static void hold(void) {
    sql("INSERT INTO item VALUES (1)");
    turns_at_once();
    assert_int_equal(side("SELECT state FROM delivery"), STATE_HELD);
}

/* How long it waits from now on. */
static int64_t waits(void) {
    return side("SELECT next_at FROM delivery WHERE state = 2") - now;
}

/* When its time comes. */
static void try_again(void) {
    now = side("SELECT next_at FROM delivery WHERE state = 2");
    turns_at_once();
}

static void waits_longer_and_longer(void **state) {
    static const int minutes[] = {1, 1, 2, 4, 8, 16, 32, 32, 32};

    (void)state;
    hold();
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        assert_int_equal(waits(), minutes[i] * MINUTE);
        try_again();
    }
}

static void begins_anew_with_another_reason(void **state) {
    (void)state;
    hold();
    for (int i = 0; i < 5; i++) {
        try_again();
    }
    assert_int_equal(waits(), 16 * MINUTE);
    sql("DROP TABLE price"); /* and that is tried at once */
    turns_at_once();
    assert_int_equal(waits(), MINUTE);
}

static void is_tried_at_once_when_the_schema_changes(void **state) {
    (void)state;
    hold();
    for (int i = 0; i < 5; i++) {
        try_again();
    }
    now += 5 * MINUTE;
    sql("CREATE TABLE other(a)");
    turns_at_once();
    assert_int_equal(waits(), 21 * MINUTE); /* for the same reason: as long as it has been held */
    sql("UPDATE price SET cents = 5");
    sql("CREATE TABLE another(a)");
    turns_at_once();
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->again_count, 1); /* it can be sent */
}

static void is_tried_at_once_when_a_subscription_is_resumed(void **state) {
    (void)state;
    hold();
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turns_at_once();
    sql("UPDATE price SET cents = 5");
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    turns_at_once();
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->again_count, 1);
}

/* One for later that could not be judged is sent then, not when it can be. */
static void is_still_for_later(void **state) {
    int64_t later = now + 3600 * SECOND;

    (void)state;
    sql("SELECT resthook_update(id, '{\"filter\":"
        " \"abs((SELECT cents FROM price WHERE item = 1)) > 0\"}') FROM resthook_subscriptions");
    sql("SELECT resthook_emit('a.b', '{}', '{\"deliver_at\": %lld}')", later / SECOND);
    turns_at_once();
    assert_int_equal(side("SELECT state FROM delivery"), STATE_HELD);
    sql("UPDATE price SET cents = 5");
    sql("CREATE TABLE another(a)");
    turns_at_once();
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->again_count, 0);
    assert_int_equal(side("SELECT state FROM delivery"), STATE_PENDING);
    assert_int_equal(side("SELECT next_at FROM delivery"), later);
}

/* However much is held, and more waits for other reasons: all of it, some a turn. */
static void tries_all(void **state) {
    struct db *db;

    (void)state;
    look_us = 20;
    hold();
    db = journal_db(outbox->journal);
    db_exec(
        db,
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO delivery(sub, event, state, name, created_at, next_at)"
        "  SELECT sub, i, 1 + i % 2, name, created_at, next_at FROM delivery, n WHERE event = 1");
    assert_int_equal(db->rc, SQLITE_OK);
    sql("CREATE TABLE other(a)");
    turn();
    assert_true(held_waits(outbox));
    assert_false(outbox_source(outbox)->drained(outbox_source(outbox), now));
    for (int i = 0; i < 1000000 && (held_waits(outbox) ||
                                    side("SELECT count(*) FROM delivery WHERE state = 2") > 1);
         i++) {
        turn(); /* those that have no event die of it */
        assert_null(claim());
    }
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 2"), 1);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 1"), 10000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(waits_longer_and_longer),
        TEST(begins_anew_with_another_reason),
        TEST(is_tried_at_once_when_the_schema_changes),
        TEST(is_tried_at_once_when_a_subscription_is_resumed),
        TEST(is_still_for_later),
        TEST(tries_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
