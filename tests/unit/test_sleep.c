/*
** test_sleep.c: a database falls asleep only when nothing is lost by it, and knows when it wakes what it knew.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#define MINUTE (60 * SECOND)

static int begin(void **state) {
    (void)state;
    return begin_world();
}

static void subscribe(const char *options) {
    sql("SELECT resthook_subscribe('*', 'https://example.com/', '%s')", options);
    turns(3 * SECOND); /* and a round of retention is over */
}

static struct job *sent(void) {
    struct job *job;

    sql("SELECT resthook_emit('a.b', '{}')");
    turns(SECOND);
    job = claim();
    assert_non_null(job);
    return job;
}

static bool may_sleep(void) {
    return outbox_idle_until(outbox, now) > now;
}

static void sleep_and_wake(int64_t ms) {
    struct outbox_options options = {.lock = -1};
    char *error = NULL;
    int status;

    assert_true(may_sleep());
    options.lock = outbox_sleep(outbox, now);
    now += ms;
    outbox = outbox_open(file, &options, endpoints, wake, now, &error, &status);
    assert_non_null(outbox);
    turn();
}

static void not_while_its_pace_allows_no_other(void **state) {
    (void)state;
    subscribe("{\"rate\": 0.05}");
    assert_true(may_sleep());
    settle(sent(), VERDICT_DELIVERED, 0);
    turns(5 * SECOND);
    assert_false(may_sleep());
    turns(16 * SECOND);
    assert_true(may_sleep());
}

static void not_while_its_target_wants_to_be_left_alone(void **state) {
    (void)state;
    subscribe("{}");
    settle(sent(), VERDICT_DEAD, now + MINUTE);
    turns(5 * SECOND);
    assert_false(may_sleep());
    turns(MINUTE);
    assert_true(may_sleep());
}

static void not_while_what_is_forgotten_is_in_the_wal(void **state) {
    sqlite3 *reader;
    char name[96];

    (void)state;
    subscribe("{}");
    settle(sent(), VERDICT_DELIVERED, 0);
    turns(5 * SECOND);
    snprintf(name, sizeof name, "%s-resthook", file);
    assert_int_equal(sqlite3_open(name, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM delivery", NULL, NULL, NULL),
                     SQLITE_OK);
    sql("SELECT resthook_forget(1)");
    turns(5 * SECOND);
    assert_false(may_sleep());
    sqlite3_close(reader);
    turns(5 * SECOND);
    assert_true(may_sleep());
}

/* The pauses between its probes go on growing. */
static void a_failing_one_is_not_asked_more_often_for_it(void **state) {
    const struct sub *sub;
    struct job *job;
    int64_t pause, at;

    (void)state;
    subscribe("{}");
    settle(sent(), VERDICT_RETRY, 0);
    sql("UPDATE resthook_subscription SET status = 'failing', revision = revision + 1");
    turns(SECOND);
    for (int i = 0; i < 3; i++) {
        while ((job = claim()) == NULL) {
            turns(SECOND);
        }
        settle(job, VERDICT_RETRY, 0);
        turns(5 * SECOND);
    }
    sub = TAILQ_FIRST(&outbox->subs.list);
    pause = sub->probe_pause;
    at = sub->probe_at;
    assert_int_equal(pause, 4 * MINUTE);
    assert_int_equal(side("SELECT count(*) FROM subscription WHERE failing_since > 0"), 1);
    assert_int_equal(outbox_idle_until(outbox, now), at);
    sleep_and_wake(MINUTE);
    turns(SECOND);
    sub = TAILQ_FIRST(&outbox->subs.list);
    assert_int_equal(sub->status, SUB_FAILING);
    assert_int_equal(sub->again_count, 0);
    assert_int_equal(sub->probe_at, at);
    turns(4 * MINUTE);
    job = claim();
    assert_non_null(job);
    settle(job, VERDICT_RETRY, 0);
    turns(SECOND);
    assert_int_equal(sub->probe_pause, 2 * pause);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(not_while_its_pace_allows_no_other),
        TEST(not_while_its_target_wants_to_be_left_alone),
        TEST(not_while_what_is_forgotten_is_in_the_wal),
        TEST(a_failing_one_is_not_asked_more_often_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
