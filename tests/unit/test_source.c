/*
** test_source.c: what is handed out comes back, and whoever waits is served again: after a side file that could not be
** written, a probe that was cancelled, behind somebody else's backlog.
** SPDX-License-Identifier: MIT
*/
#include "backlog_world.h"

#include <sys/timerfd.h>

#include "circuit.h"

/* ---- the side file can't be written ---- */

static void who_waits_is_served_after_a_stall(void **state) {
    (void)state;
    subscribe("*", "a.example", "{}");
    subscribe("*", "b.example", "{}");
    turn();
    emit("a.b", 2500);
    turns(SECOND);
    lock_side();
    assert_int_equal(send_all(1), 1);
    turn();
    assert_true(outbox->stalled);
    assert_in_range(send_all(5000), 1, 4999); /* then it is too much that is not written */
    unlock_side();
    turns(SECOND);
    assert_false(outbox->stalled);
    assert_in_range(send_all(5000), 1, 4999);
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 5000);
}

/* ---- a probe ---- */

static struct sub *failing(void) {
    subscribe("*", "a.example", "{}");
    turn();
    emit("a.b", 3);
    sql("UPDATE resthook_subscription SET status = 'failing', revision = revision + 1");
    turns(SECOND);
    return TAILQ_FIRST(&outbox->subs.list);
}

static void cancel(int64_t event) {
    sql("SELECT resthook_cancel(id || '-%lld') FROM resthook_subscriptions", (long long)event);
    turns(SECOND);
}

static void another_is_sent_when_a_probe_was_cancelled_in_flight(void **state) {
    const struct sub *sub = failing();
    struct job *job = claim();

    (void)state;
    assert_non_null(job);
    cancel(job->sequence);
    settle(job, VERDICT_RETRY, 0);
    turns(90 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5"), 1);
    assert_int_equal(sub->again_count, 1);
}

static void another_is_sent_when_a_probe_was_cancelled_before_it_was_sent(void **state) {
    const struct sub *sub = failing();

    (void)state;
    assert_int_equal(sub->again_count, 1);
    cancel(TAILQ_FIRST(&sub->again)->event->id);
    turns(90 * SECOND);
    assert_int_equal(sub->again_count, 1);
}

/* ---- behind somebody else's backlog ---- */

static void one_whose_endpoint_is_to_be_tried_again_is_served(void **state) {
    const struct sub *sub;
    struct job *job;

    (void)state;
    subscribe("slow.*", "slow.example", "{}");
    subscribe("quick.*", "quick.example", "{\"retry_schedule\": \"0\"}");
    turn();
    for (int i = 0; i < CIRCUIT_FAILURES; i++) {
        emit("quick.a", 1);
        turns(SECOND);
        job = claim();
        assert_non_null(job);
        place_failed(&job->place, true, now, 0);
        settle(job, VERDICT_DEAD, 0);
    }
    turns(5 * SECOND); /* it has been left alone for long enough */
    assert_null(claim());
    fill_with_one();
    emit("quick.a", 1);
    turns(10 * SECOND);
    sub = at("quick");
    job = claim();
    assert_non_null(job);
    assert_ptr_equal(job->line, &sub->line);
    settle(job, VERDICT_DELIVERED, 0);
}

static void one_that_is_to_be_asked_first_is_asked(void **state) {
    (void)state;
    subscribe("slow.*", "slow.example", "{}");
    turn();
    fill_with_one();
    subscribe("quick.*", "quick.example", "{\"verify\": \"x-hook-secret\"}");
    turns(10 * SECOND);
    struct job *job = claim();

    assert_non_null(job);
    assert_ptr_equal(job->line, &at("quick")->line);
    settle(job, VERDICT_DELIVERED, 0);
}

/* For --once. */
static void it_is_not_over_while_somebody_lacks_what_is_unread(void **state) {
    (void)state;
    subscribe("slow.*", "slow.example", "{}");
    subscribe("quick.*", "quick.example", "{}");
    turn();
    throttle_one();
    emit("slow.a", 20000);
    emit("quick.a", 1);
    do {
        now += 5;
        turn();
        send_all(100);
    } while (!outbox->source.drained(&outbox->source, now));
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 1);
}

static void it_is_over_when_all_who_lack_anything_are_left_alone(void **state) {
    (void)state;
    subscribe("slow.*", "slow.example", "{}");
    turn();
    fill_with_one();
    assert_true(outbox->source.drained(&outbox->source, now));
}

/* ---- somebody has a lock on app.db and keeps it; for --once ---- */

static bool is_over_within(int64_t ms) {
    for (int64_t end_at = now + ms; now < end_at;) {
        turns(50);
        if (outbox->source.drained(&outbox->source, now)) {
            return true;
        }
    }
    return false;
}

static void it_is_over_although_an_end_can_not_be_written(void **state) {
    struct outcome gone = {.state = VERDICT_DEAD,
                           .effect = EFFECT_GONE,
                           .reason = "gone: 410 from target",
                           .status = 410,
                           .started_at = now,
                           .error = ""};
    struct job *job;
    sqlite3 *writer;

    (void)state;
    subscribe("*", "a.example", "{}");
    emit("a.b", 3);
    turns(SECOND);
    job = claim();
    assert_non_null(job);
    assert_int_equal(sqlite3_open(file, &writer), SQLITE_OK);
    assert_int_equal(sqlite3_exec(writer, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    place_finish(&job->place, false, 0);
    outbox->source.settle(&outbox->source, job, &gone, now);
    assert_false(is_over_within(9 * SECOND)); /* nobody writes all the time, as a rule */
    assert_true(is_over_within(21 * SECOND));
    assert_int_equal(side("SELECT count(*) FROM effect"), 1);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state < 3"), 0);
    sqlite3_close(writer);
    assert_true(is_over_within(10 * SECOND));
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM effect"), 0);
    assert_int_equal(outbox->subs.count, 0);
}

static void it_is_over_although_a_trigger_can_not_be_made(void **state) {
    sqlite3 *writer;

    (void)state;
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY)");
    sql("SELECT resthook_watch('item', 'insert', 'item.create')");
    turns(SECOND);
    assert_int_equal(sqlite3_open(file, &writer), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(writer, "DROP TRIGGER resthook_watch_1; BEGIN IMMEDIATE", NULL, NULL, NULL),
        SQLITE_OK);
    assert_false(is_over_within(9 * SECOND));
    assert_true(is_over_within(21 * SECOND));
    assert_int_equal(outbox_idle_until(outbox, now), 0); /* it does not sleep over it */
    sqlite3_close(writer);
    turns(SECOND);
    assert_int_equal(
        value_of(app, "SELECT count(*) FROM sqlite_master WHERE name GLOB 'resthook_watch_[0-9]'"),
        1);
}

/* ---- nothing to do for a while: it says so ---- */

static void assert_rests(void) {
    for (int i = 0; i < 5; i++) {
        wake_turn(wake);
        assert_true(outbox->source.turn(&outbox->source, now, true) > now);
        now += 20;
    }
}

static void rests_until_the_roster_can_be_read(void **state) {
    (void)state;
    subscribe("slow.*", "slow.example", "{}");
    turn();
    fill_with_one();
    lock_side();
    subscribe("quick.*", "quick.example", "{}");
    turn();
    assert_true(outbox->read_at > now);
    assert_rests();
    unlock_side();
}

static void rests_until_a_trigger_can_be_made(void **state) {
    (void)state;
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY)");
    sql("SELECT resthook_watch('item', 'insert', 'item.create')");
    turns(6 * SECOND);
    lock_side();
    while (!outbox->stalled) {
        turns(50);
    }
    sql("DROP TRIGGER resthook_watch_1");
    turn();
    outbox->commit_at = now + SECOND;
    outbox->repair_wanted = outbox->intact_schema + 1; /* it was noticed before */
    assert_rests();
    unlock_side();
}

/* Wherever between two signs of life that falls. */
static void what_is_written_is_synced_within_a_second(void **state) {
    (void)state;
    subscribe("a.b", "one.example", "{}");
    for (int i = 0; i < 20; i++) {
        turns(2 * SECOND);
        while (outbox->beat_at != now) {
            turns(50);
        }
        turns(i * 50);
        emit("a.b", 1);
        turn();
        assert_int_equal(send_all(1), 1);
        turn();
        assert_false(outbox->unsynced); /* the first in a while is synced at once */
        emit("a.b", 1);
        turns(50);
        assert_int_equal(send_all(1), 1);
        turn();
        assert_true(outbox->unsynced);
        for (int64_t end = now + SECOND; outbox->unsynced;) {
            int64_t next = outbox_source(outbox)->turn(outbox_source(outbox), now, true);

            assert_true(now < end && next <= end);
            now = next;
            turn();
        }
    }
}

static int64_t timer_left(void) {
    struct itimerspec left;
    int descriptors[2];

    wake_descriptors(wake, descriptors);
    assert_int_equal(timerfd_gettime(descriptors[1], &left), 0);
    return left.it_value.tv_sec * 1000000000 + left.it_value.tv_nsec;
}

/* After a hint it looks again in a tenth of a millisecond, but not once it saw what was committed. It
** may be put to sleep itself: one time is enough. */
static void looks_closely_until_it_saw_a_commit(void **state) {
    bool seen = false;

    (void)state;
    for (int i = 0; i < 100; i++) { /* each a tenth of a millisecond, and more */
        emit("a.b", 1);
        turn();
    }
    for (int i = 0; i < 1000 && !seen; i++) {
        emit("a.b", 1);
        wake_turn(wake);
        int64_t before = timer_left();

        outbox_source(outbox)->turn(outbox_source(outbox), now, true);
        seen = before <= 100000 && timer_left() > 150000;
    }
    assert_true(seen);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_calm, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_waits_is_served_after_a_stall),
        TEST(another_is_sent_when_a_probe_was_cancelled_in_flight),
        TEST(another_is_sent_when_a_probe_was_cancelled_before_it_was_sent),
        TEST(one_whose_endpoint_is_to_be_tried_again_is_served),
        TEST(one_that_is_to_be_asked_first_is_asked),
        TEST(it_is_not_over_while_somebody_lacks_what_is_unread),
        TEST(rests_until_the_roster_can_be_read),
        TEST(rests_until_a_trigger_can_be_made),
        TEST(it_is_over_although_an_end_can_not_be_written),
        TEST(it_is_over_although_a_trigger_can_not_be_made),
        TEST(it_is_over_when_all_who_lack_anything_are_left_alone),
        TEST(what_is_written_is_synced_within_a_second),
        TEST(looks_closely_until_it_saw_a_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
