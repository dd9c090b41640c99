/*
** test_crowd.c: more targets that don't answer than fit into the window. Who is well is served beside them, and
** what waits for them is kept as rows, not in memory.
** SPDX-License-Identifier: MIT
*/
#include "backlog_world.h"

#define MANY 17000 /* more than the pairs that the window holds */
#define OURS 500

static bool is_ours(const struct job *job) {
    return strcmp(job->event, "item.a") == 0;
}

/* Sends all that is handed out. Whoever is of the crowd fails. Returns how many of ours were sent. */
static int send_some(void) {
    struct job *job;
    int ours = 0;

    while ((job = claim()) != NULL) {
        ours += is_ours(job);
        settle(job, is_ours(job) ? VERDICT_DELIVERED : VERDICT_RETRY, 0);
    }
    return ours;
}

/* Written at once: so many calls of resthook_subscribe take 8 s. */
static void begin_crowd(void) {
    subscribe("item.*", "well.example", "{}");
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at,"
        " updated_at)"
        " SELECT 'sub_crowd' || i, 'bad.a', 'https://h' || i || '.example/',"
        " (SELECT secret FROM resthook_subscription), 0, 0, 0 FROM n",
        MANY);
    turns(SECOND);
    assert_int_equal(outbox->subs.count, MANY + 1);
    emit("bad.a", 1);
    emit("item.a", OURS);
}

/* And each of the others has his turn, once until it is repeated. */
static void who_is_well_is_served(void **state) {
    int64_t tried = 0;
    int ours = 0;

    (void)state;
    begin_crowd();
    for (int64_t end = now + SECOND; now < end && tried < MANY; now++) {
        turn();
        ours += send_some();
        if (ours < OURS) {
            assert_in_range(now, 0, end - SECOND + 300);
        }
        tried = side("SELECT count(*) FROM delivery WHERE attempts > 0 AND state < 3");
    }
    assert_int_equal(ours, OURS);
    assert_int_equal(tried, MANY);
    assert_int_equal(side("SELECT sum(attempts) FROM delivery WHERE state < 3"), MANY);
}

static void what_waits_is_not_in_memory(void **state) {
    struct job *job;

    (void)state;
    begin_crowd();
    for (int i = 0; i < MANY / 64 + 100; i++) {
        now += 10;
        turn();
    }
    assert_int_equal(side("SELECT count(*) FROM delivery"), MANY - PAIRS_ENOUGH);
    assert_int_equal(outbox->called_count, MANY - PAIRS_ENOUGH);
    assert_int_equal(outbox->window.pairs_count, PAIRS_ENOUGH + OURS);
    assert_false(outbox_source(outbox)->drained(outbox_source(outbox), now));
    /* One that is ended while its row waits for its turn. */
    sql("UPDATE resthook_subscription SET status = 'ended', to_id = 0 WHERE event = 'bad.a'");
    turn();
    assert_int_equal(outbox->called_count, 0);
    while ((job = claim()) != NULL) {
        assert_true(is_ours(job));
        settle(job, VERDICT_DELIVERED, 0);
    }
    turn();
    assert_int_equal(outbox->window.pairs_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_calm, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_is_well_is_served),
        TEST(what_waits_is_not_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
