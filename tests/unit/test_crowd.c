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
static void begin_crowd(int crowd, const char *target, const char *options) {
    subscribe("item.*", "well.example", options);
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at,"
        " updated_at)"
        " SELECT 'sub_crowd' || i, 'bad.a', '%s',"
        " (SELECT secret FROM resthook_subscription), 0, 0, 0 FROM n",
        crowd, target);
    emit("item.a", 1);
    turns(SECOND);
    assert_int_equal(outbox->subs.count, crowd + 1);
    assert_int_equal(send_all(MANY), 1); /* it is known to answer */
    emit("bad.a", 1);
    emit("item.a", OURS);
}

/* And each of the others has his turn, once until it is repeated. */
static void who_is_well_is_served(void **state) {
    int64_t tried = 0;
    int ours = 0;

    (void)state;
    begin_crowd(MANY, "https://h' || i || '.example/", "{}");
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
    begin_crowd(MANY, "https://h' || i || '.example/", "{}");
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
    begin_crowd(MANY, "https://hub.example/' || i || '",
                "{\"ordered\": true}"); /* nothing is fetched */
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
    begin_crowd(MANY, "https://h' || i || '.example/", "{}");
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

/* After a start all are new. What waits for those who answer is sent soon: no rows are made of it. */
static void who_is_new_and_answers_costs_no_rows(void **state) {
    int64_t delivered = 0;

    (void)state;
    begin_crowd(MANY, "https://h' || i || '.example/", "{}");
    for (int i = 0; i < 2000 && delivered < 1 + OURS + MANY; i++) {
        struct job *job;

        now++;
        turn();
        for (int sent = 0; sent < 64 && (job = claim()) != NULL; sent++) {
            settle(job, VERDICT_DELIVERED, 0);
        }
        assert_in_range(side(ROWS), 0, OURS); /* what was fetched for the one that was known */
        delivered = side("SELECT count(*) FROM delivery WHERE state = 3");
    }
    assert_int_equal(delivered, 1 + OURS + MANY);
}

/* Until all of a crowd have been tried so often, in less than a second: nobody is tried again in it. */
static int send_until(int64_t attempts) {
    int ours = 0;

    for (int64_t end = now + 900;
         now < end && side("SELECT total(attempts) FROM delivery WHERE state < 3") < attempts;
         now++) {
        ours += send_some(MANY);
        turn();
    }
    assert_int_equal(side("SELECT sum(attempts) FROM delivery WHERE state < 3"), attempts);
    return ours;
}

#define FEW (2 * PAIRS_ENOUGH)

/* Each of a few is to be tried again, and called for it, since what is ours waits too. */
static void begin_called(void) {
    begin_crowd(FEW, "https://h' || i || '.example/", "{}");
    turn();
    assert_int_equal(send_until(FEW), OURS);
    emit("item.a", OURS);
    turns(2 * SECOND);
    assert_int_equal(outbox->called_count, FEW);
}

/* A pause while rows wait for their turn; after it they have it, once. */
static void who_is_resumed_has_its_turn(void **state) {
    (void)state;
    begin_called();
    sql("SELECT count(resthook_pause(id)) FROM resthook_subscriptions WHERE event = 'bad.a'");
    turns(SECOND);
    assert_int_equal(outbox->called_count, 0);
    sql("SELECT count(resthook_resume(id)) FROM resthook_subscriptions WHERE event = 'bad.a'");
    turns(SECOND);
    assert_int_equal(outbox->called_count, FEW);
    assert_int_equal(send_until(2 * FEW), OURS);
    assert_int_equal(outbox->called_count, 0);
}

/* Nothing new is read while outcomes can't be written; who was called then has his turn after it. */
static void nobody_is_read_in_a_stall(void **state) {
    (void)state;
    begin_called();
    lock_side();
    settle(claim(), VERDICT_DELIVERED, 0);
    turn();
    assert_true(outbox->stalled);
    const int called = outbox->called_count;

    for (int i = 0; i < 100; i++) {
        now++;
        send_some(1);
    }
    assert_int_equal(outbox->called_count, called);
    unlock_side();
    turns(SECOND);
    assert_false(outbox->stalled);
    (void)send_until(2 * FEW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_calm, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_is_well_is_served),
        TEST(what_waits_is_not_in_memory),
        TEST(one_address_is_many_too),
        TEST(rows_wait_while_others_are_sent),
        TEST(who_is_new_and_answers_costs_no_rows),
        TEST(who_is_resumed_has_its_turn),
        TEST(nobody_is_read_in_a_stall),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
