/*
** test_fetch.c: who lacks work has single events fetched from behind somebody else's backlog, and nothing is
** lost or sent twice by that.
** SPDX-License-Identifier: MIT
*/
#include "backlog_world.h"

#define ROWS "SELECT count(*) FROM delivery"
#define FETCHED "SELECT count(*) FROM delivery WHERE reason = 'fetched'"

/* Who is behind 6,000 events for slow.example, of which 4,096 are read. */
static void begin_behind(const char *options) {
    subscribe("slow.*", "slow.example", "{}");
    subscribe("quick.*", "quick.example", options);
    turn();
    fill_with_one();
    assert_int_equal(side(ROWS), 1); /* the one that was refused */
}

static void deliver_one(void) {
    struct job *job = claim();

    assert_non_null(job);
    assert_ptr_equal(job->line, &at("quick")->line);
    settle(job, VERDICT_DELIVERED, 0);
    turns(SECOND);
}

static void one_event_costs_one_row(void **state) {
    (void)state;
    begin_behind("{}");
    emit("quick.a", 1);
    turns(SECOND);
    assert_int_equal(side(FETCHED), 1);
    assert_int_equal(side(ROWS), 2);
    deliver_one();
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3 AND reason IS NULL"), 1);
    assert_null(claim());
}

/* Its id is 6002. */
static void deliver_from_behind(void) {
    begin_behind("{}");
    emit("quick.a", 1);
    turns(SECOND);
    deliver_one();
}

static void it_comes_at_once(void **state) {
    (void)state;
    begin_behind("{}");
    turns(SECOND); /* all that stands there was seen */
    emit("quick.a", 1);
    turn();
    now += 1;
    turn();
    deliver_one();
}

/* Sends all that can be, each once. Returns how much that was. */
static int send_each_once(bool *came) {
    struct job *job;
    int count = 0;

    while ((job = claim()) != NULL) {
        assert_ptr_equal(job->line, &at("quick")->line);
        assert_false(came[job->sequence]);
        came[job->sequence] = true;
        settle(job, VERDICT_DELIVERED, 0);
        count++;
    }
    return count;
}

/* Both want everything: a row for each event of the one that answers would be the dearer way. */
static void most_of_all_makes_way(void **state) {
    static bool came[6002];
    struct job *job;
    int count = 0;

    (void)state;
    memset(came, 0, sizeof came);
    subscribe("slow.*", "slow.example", "{}");
    subscribe("*", "quick.example", "{}");
    turn();
    emit("slow.a", 1);
    turns(SECOND);
    for (int i = 0; i < 2; i++) {
        job = claim();
        assert_non_null(job);
        bool slow = job->line == &at("slow")->line;

        settle(job, slow ? VERDICT_RETRY : VERDICT_DELIVERED, slow ? now + 24 * HOUR : 0);
    }
    emit("slow.a", 6000);
    for (int i = 0; i < 2000 && count < 6000; i++) {
        count += send_each_once(came);
        now += 5;
        turn();
    }
    assert_int_equal(count, 6000);
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 6001);
    assert_in_range(side("SELECT count(*) FROM delivery WHERE state < 3"), 4000, 6001);
}

static void so_do_many_who_want_the_same(void **state) {
    (void)state;
    subscribe("slow.*", "slow.example", "{}");
    for (int i = 0; i <= TAKERS_MOST; i++) {
        char host[32];

        snprintf(host, sizeof host, "quick%d.example", i);
        subscribe("quick.*", host, "{}");
    }
    turn();
    fill_with_one();
    emit("quick.a", 1);
    turns(SECOND);
    assert_int_equal(send_all(100), TAKERS_MOST + 1);
    turns(SECOND);
    assert_in_range(side(ROWS), 4096, 7000);
}

static void an_ordered_one_waits_for_what_is_read(void **state) {
    (void)state;
    begin_behind("{\"ordered\": true}");
    emit("quick.a", 2);
    turns(SECOND);
    assert_int_equal(side(FETCHED), 0);
    deliver_one();
    deliver_one();
}

static void its_filter_is_asked(void **state) {
    (void)state;
    begin_behind("{\"filter\": \"payload ->> ''a'' = 1\"}");
    sql("SELECT resthook_emit('quick.a', '{\"a\":0}'), resthook_emit('quick.a', '{\"a\":1}')");
    turns(SECOND);
    deliver_one();
    assert_null(claim());
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5 AND reason = 'filtered'"),
                     1);
    assert_int_equal(side("SELECT filtered FROM subscription WHERE id = (SELECT max(id) FROM"
                          " subscription WHERE target LIKE '%quick%')"),
                     1);
}

static void what_is_for_later_waits(void **state) {
    (void)state;
    begin_behind("{}");
    sql("SELECT resthook_emit('quick.a', '{}', json_object('deliver_at', %lld))",
        (long long)(now + HOUR) / 1000);
    turns(SECOND);
    assert_null(claim());
    turns(HOUR);
    deliver_one();
}

static void nothing_is_fetched_for_one_who_does_not_send(void **state) {
    (void)state;
    begin_behind("{}");
    sql("BEGIN; SELECT resthook_pause(id) FROM resthook_subscriptions WHERE target LIKE "
        "'%%quick%%';"
        " INSERT INTO resthook_outbox(event, payload) VALUES ('quick.a', '{}'); COMMIT");
    turns(SECOND);
    assert_int_equal(side(FETCHED), 0);
    assert_null(claim());
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions WHERE target LIKE '%%quick%%'");
    turns(SECOND);
    assert_null(claim()); /* it had no row before that */
    turns(SECOND);
    deliver_one();
}

static void what_was_cancelled_is_not_sent(void **state) {
    (void)state;
    begin_behind("{}");
    sql("BEGIN; INSERT INTO resthook_outbox(event, payload) VALUES ('quick.a', '{}');"
        " SELECT resthook_cancel(id || '-' || (SELECT max(id) FROM resthook_outbox))"
        " FROM resthook_subscriptions WHERE target LIKE '%%quick%%'; COMMIT");
    turns(SECOND);
    assert_null(claim());
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5"), 1);
}

static void an_old_one_expires(void **state) {
    (void)state;
    begin_behind("{}");
    sql("INSERT INTO resthook_outbox(event, payload, created_at) VALUES ('quick.a', '{}', %lld)",
        (long long)(now - 60 * 24 * HOUR));
    turns(SECOND);
    assert_null(claim());
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 4 AND reason = 'expired'"),
                     1);
}

static void what_a_watch_leaves_out_is_no_row(void **state) {
    (void)state;
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY, a)");
    sql("SELECT resthook_watch('item', 'insert', 'quick.a', '{\"when\": \"new.a = 1\"}')");
    begin_behind("{}");
    sql("INSERT INTO item(a) VALUES (0), (0), (1)");
    turns(SECOND);
    deliver_one();
    assert_null(claim());
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5"), 0);
    assert_int_equal(outbox->filtered, 2);
}

/* ---- what was left comes too ---- */

static void what_came_in_a_pause_is_sent_after_it(void **state) {
    int count = 0;

    (void)state;
    begin_behind("{}");
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions WHERE target LIKE '%%quick%%'");
    emit("quick.a", 1);
    turns(SECOND);
    sql("BEGIN; SELECT resthook_resume(id) FROM resthook_subscriptions WHERE target LIKE "
        "'%%quick%%';"
        " INSERT INTO resthook_outbox(event, payload) VALUES ('quick.a', '{}'); COMMIT");
    for (int i = 0; i < 30; i++) {
        turns(SECOND);
        count += send_all(10);
    }
    assert_int_equal(count, 2);
}

/* So many that way is made now and then. */
static void a_steady_stream_leaves_none_behind(void **state) {
    static bool came[40000];
    int count = 0;

    (void)state;
    memset(came, 0, sizeof came);
    subscribe("slow.*", "slow.example", "{}");
    subscribe("quick.*", "quick.example", "{}");
    turn();
    throttle_one();
    emit("slow.a", 30000);
    turns(SECOND);
    for (int i = 0; i < 1500; i++) {
        emit("quick.a", 5);
        for (int j = 0; j < 4; j++) {
            now += 5;
            turn();
            count += send_each_once(came);
        }
    }
    for (int i = 0; i < 60; i++) {
        turns(SECOND);
        count += send_each_once(came);
    }
    assert_int_equal(count, 7500);
}

/* ---- what was fetched is known when the reading comes to it ---- */

static void let_all_be_read(void) {
    sql("UPDATE resthook_subscription SET status = 'inactive', revision = revision + 1"
        " WHERE target LIKE '%%slow%%'");
}

static void it_is_passed_over(void **state) {
    (void)state;
    deliver_from_behind();
    let_all_be_read();
    turns(2 * SECOND);
    assert_false(outbox->unread);
    assert_null(claim());
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 1);
    assert_int_equal(side("SELECT value FROM meta WHERE name = 'cursor'"), 6002);
}

static void also_after_a_restart(void **state) {
    (void)state;
    begin_behind("{}");
    emit("quick.a", 2);
    turns(SECOND);
    deliver_one();
    outbox_close(outbox, now);
    let_all_be_read(); /* that slow.example is to be left alone is not known any more */
    open_outbox();
    turns(SECOND);
    deliver_one(); /* the other one */
    assert_false(outbox->unread);
    assert_null(claim());
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 2);
}

/* Who deletes it by hand leaves its id behind. */
static void it_may_be_deleted(void **state) {
    (void)state;
    deliver_from_behind();
    sql("DELETE FROM resthook_outbox WHERE id = 6002");
    emit("quick.a", 1);
    turns(SECOND);
    assert_null(outbox->held);
    assert_int_equal(value_of(app, "SELECT max(id) FROM resthook_outbox"), 6003);
}

static void lose(void) {
    sql("DROP TRIGGER resthook_outbox_last; DELETE FROM resthook_outbox WHERE id = 6002");
}

/* Its id would be given out again, to an event that would be taken for sent. */
static void a_file_that_lost_it_is_held(void **state) {
    (void)state;
    deliver_from_behind();
    lose();
    emit("quick.a", 1);
    turns(SECOND);
    assert_non_null(outbox->held);
}

static void also_when_it_was_not_running(void **state) {
    (void)state;
    deliver_from_behind();
    outbox_close(outbox, now);
    lose();
    open_outbox();
    assert_non_null(outbox->held);
}

/* … and once it is adopted what is there is sent. */
static void a_file_that_is_adopted_goes_on(void **state) {
    struct outbox_options options = {.lock = -1, .adopt = ADOPT_SEND};
    char *error = NULL;
    int status;

    (void)state;
    deliver_from_behind();
    outbox_close(outbox, now);
    sql("DROP TRIGGER resthook_outbox_last; DELETE FROM resthook_outbox WHERE id > 6000");
    let_all_be_read();
    outbox = outbox_open(file, &options, endpoints, wake, now, &error, &status);
    assert_non_null(outbox);
    assert_null(outbox->held);
    emit("quick.a", 2); /* 6002 was another */
    turns(2 * SECOND);
    assert_int_equal(send_all(10), 2);
}

/* ---- the side file can't be written ---- */

static void it_comes_when_it_can_be_written(void **state) {
    (void)state;
    begin_behind("{}");
    turns(2 * SECOND);
    lock_side();
    emit("quick.a", 1);
    turns(SECOND);
    assert_null(claim());
    unlock_side();
    turns(2 * SECOND);
    deliver_one();
    assert_null(claim());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_calm, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_event_costs_one_row),
        TEST(it_comes_at_once),
        TEST(most_of_all_makes_way),
        TEST(so_do_many_who_want_the_same),
        TEST(an_ordered_one_waits_for_what_is_read),
        TEST(its_filter_is_asked),
        TEST(what_is_for_later_waits),
        TEST(nothing_is_fetched_for_one_who_does_not_send),
        TEST(what_was_cancelled_is_not_sent),
        TEST(an_old_one_expires),
        TEST(what_a_watch_leaves_out_is_no_row),
        TEST(what_came_in_a_pause_is_sent_after_it),
        TEST(a_steady_stream_leaves_none_behind),
        TEST(it_is_passed_over),
        TEST(also_after_a_restart),
        TEST(it_may_be_deleted),
        TEST(a_file_that_lost_it_is_held),
        TEST(also_when_it_was_not_running),
        TEST(a_file_that_is_adopted_goes_on),
        TEST(it_comes_when_it_can_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
