/*
** test_clock.c: the machine's clock is set back by days, and nothing waits for the old time to come again.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#define DAY (24 * HOUR)

static int begin(void **state) {
    (void)state;
    if (begin_world() != 0) {
        return -1;
    }
    sql("SELECT resthook_subscribe('*', 'https://example.com/', '{\"filter\": \"payload <> "
        "''{}''\"}')");
    turns(2 * SECOND);
    return 0;
}

static void emit(const char *options) {
    sql("SELECT resthook_emit('a.b', '{\"a\":1}', %Q)", options);
    turns(SECOND);
}

static void restart_at(int64_t time) {
    outbox_close(outbox, now);
    now = time;
    open_outbox();
}

static struct sub *only(void) {
    return TAILQ_FIRST(&outbox->subs.list);
}

static void retry_in(int64_t wait) {
    struct job *job;

    emit(NULL);
    job = claim();
    assert_non_null(job);
    settle(job, VERDICT_RETRY, 0);
    TAILQ_FIRST(&outbox->done)->outcome.next_at = now + wait;
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 1"), 1);
}

static void waits_its_delay_and_no_more(void) {
    turns(2 * SECOND);
    assert_int_equal(only()->again_count, 0);
    assert_in_range((uintmax_t)(side("SELECT next_at FROM delivery") - now), 1, HOUR);
    turns(HOUR + SECOND);
    assert_int_equal(only()->again_count, 1);
}

static void a_retry(void **state) {
    (void)state;
    retry_in(HOUR);
    now -= 3 * DAY;
    waits_its_delay_and_no_more();
}

static void a_retry_when_it_was_set_back_while_nobody_ran(void **state) {
    (void)state;
    retry_in(HOUR);
    restart_at(now - 3 * DAY);
    waits_its_delay_and_no_more();
}

static void what_was_kept_for_a_pause(void **state) {
    (void)state;
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    emit(NULL);
    now -= 3 * DAY;
    turns(2 * SECOND);
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    turns(2 * SECOND);
    assert_int_equal(only()->again_count, 1);
}

/* A time that somebody gave is that time, whatever the clock showed in between. */
static void what_is_for_later(void **state) {
    char options[64];
    int64_t at = now + DAY;

    (void)state;
    snprintf(options, sizeof options, "{\"deliver_at\": %lld}", (long long)(at / 1000));
    emit(options);
    turns(SECOND);
    now += 2 * DAY - HOUR;
    outbox->turned_at = now; /* it was ahead, and then set right */
    now -= 2 * DAY;
    turns(5 * SECOND);
    assert_int_equal(only()->again_count, 0);
    assert_int_equal(side("SELECT next_at FROM delivery"), at);
}

static void a_probe(void **state) {
    struct job *job;

    (void)state;
    emit(NULL);
    sql("UPDATE resthook_subscription SET status = 'failing', revision = revision + 1");
    turns(SECOND);
    job = claim();
    assert_non_null(job);
    settle(job, VERDICT_RETRY, 0);
    turns(2 * SECOND);
    assert_int_equal(only()->again_count, 0);
    now -= 3 * DAY;
    turns(61 * SECOND);
    assert_int_equal(only()->again_count, 1);
}

static void once_sends_what_is_due_by_the_new_clock(void **state) {
    (void)state;
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    emit(NULL);
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    restart_at(now - 3 * DAY);
    do {
        now += 50;
        turn();
        for (struct job *job; (job = claim()) != NULL;) {
            settle(job, VERDICT_DELIVERED, 0);
        }
    } while (!outbox->source.drained(&outbox->source, now));
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_retry),
        TEST(a_retry_when_it_was_set_back_while_nobody_ran),
        TEST(what_was_kept_for_a_pause),
        TEST(what_is_for_later),
        TEST(a_probe),
        TEST(once_sends_what_is_due_by_the_new_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
