/*
** test_crowd.c: more targets that don't answer than fit into the window. Who is well is served beside them, and
** what waits for them is kept as rows, not in memory.
** SPDX-License-Identifier: MIT
*/
#include "backlog_world.h"

#define MANY 17000 /* more than the pairs that the window holds */
#define OURS 500
#define ROWS "SELECT count(*) FROM delivery WHERE state < 3"

static bool is_ours(const struct job *job) {
    return strcmp(job->event, "item.a") == 0;
}

/* Sends what is handed out. Whoever is of the crowd fails. Returns how many of ours were sent. */
static int send_some(int most) {
    struct job *job;
    int ours = 0;

    for (int i = 0; i < most && (job = claim()) != NULL; i++) {
        ours += is_ours(job);
        if (!is_ours(job)) {
            place_failed(&job->place, true, now, 1);
        }
        settle(job, is_ours(job) ? VERDICT_DELIVERED : VERDICT_RETRY, 0);
    }
    return ours;
}

/* The crowd, too, is well. */
static int send_all_well(void) {
    struct job *job;
    int ours = 0;

    while ((job = claim()) != NULL) {
        ours += is_ours(job);
        settle(job, VERDICT_DELIVERED, 0);
    }
    return ours;
}

/* target: an expression over i, within quotes. Written at once: so many calls of resthook_subscribe take 8 s. */
static void begin_crowd(const char *target, const char *options) {
    subscribe("item.*", "well.example", options);
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at,"
        " updated_at)"
        " SELECT 'sub_crowd' || i, 'bad.a', '%s',"
        " (SELECT secret FROM resthook_subscription), 0, 0, 0 FROM n",
        MANY, target);
    emit("item.a", 1);
    turns(SECOND);
    assert_int_equal(outbox->subs.count, MANY + 1);
    assert_int_equal(send_all(MANY), 1); /* it is known to answer */
    emit("bad.a", 1);
    emit("item.a", OURS);
}

/* And each of the others has his turn, once until it is repeated. */
static void who_is_well_is_served(void **state) {
    int64_t tried = 0;
    int ours = 0;

    (void)state;
    begin_crowd("https://h' || i || '.example/", "{}");
    for (int64_t end = now + SECOND; now < end && tried < MANY; now++) {
        turn();
        ours += send_some(32);
        tried = side("SELECT count(*) FROM delivery WHERE attempts > 0 AND state < 3");
    }
    assert_int_equal(ours, OURS);
    assert_int_equal(tried, MANY);
    assert_int_equal(side("SELECT sum(attempts) FROM delivery WHERE state < 3"), MANY);
}

static void what_waits_is_not_in_memory(void **state) {
    struct job *job;
    int64_t tried;

    (void)state;
    begin_crowd("https://h' || i || '.example/", "{}");
    turn();
    assert_int_equal(send_some(NEW_FAILED), 0); /* what is new may answer */
    now += 10;                                  /* not so long that they are tried again */
    turn();
    tried = side(ROWS);
    assert_int_equal(tried, NEW_FAILED);
    for (int i = 0; i < MANY / 64 + 250; i++) {
        now += 1;
        turn();
    }
    assert_int_equal(side(ROWS), MANY - PAIRS_ENOUGH);
    assert_int_equal(outbox->called_count, MANY - PAIRS_ENOUGH - tried);
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

/* All at one address, well known and well until it fails: its circuit opens, and nobody has room. */
static void one_address_is_many_too(void **state) {
    int ours = 0, emitted = OURS;

    (void)state;
    begin_crowd("https://hub.example/' || i || '", "{\"ordered\": true}"); /* nothing is fetched */
    for (int i = 0; i < 400 && side("SELECT count(*) FROM delivery") < MANY; i++) {
        ours += send_all_well();
        now += 50;
        turn();
    }
    emit("bad.a", 1);
    for (int i = 0; i < 20000; i++) {
        if (i % 100 == 0) {
            emit("item.a", 1);
            emitted++;
        }
        now++;
        turn();
        ours += send_some(MANY);
    }
    assert_int_equal(ours, emitted);
}

/* Rows beside fresh ones, of each: what is read and not sent would stay in memory, and fill it. */
static void rows_wait_while_others_are_sent(void **state) {
    int ours = 0, emitted = OURS;

    (void)state;
    begin_crowd("https://h' || i || '.example/", "{}");
    for (int ms = 0; ms <= 7000; ms += 5) {
        if (ms % 500 == 0) {
            assert_in_range(ours + 20, ms > SECOND ? emitted : 0, emitted + 20);
            emit("item.a", 10);
            emit("bad.a", 1);
            emitted += 10;
        }
        now += 5;
        turn();
        ours += send_some(MANY);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_calm, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_is_well_is_served),
        TEST(what_waits_is_not_in_memory),
        TEST(one_address_is_many_too),
        TEST(rows_wait_while_others_are_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
