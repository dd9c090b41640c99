/*
** test_meeting.c: what happens where order, failing, filters, requests, handshakes, ends and a side file
** that can't be written meet. The test is the engine: it takes what is to be sent and says what came
** of it.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <string.h>

#include "verdict.h"

static sqlite3 *locker; /* somebody else, at the side file */

static int begin(void **state) {
    (void)state;
    if (begin_world() != 0) {
        return -1;
    }
    turns(SECOND);
    return 0;
}

/* What is sent next; NULL: nothing. */
static struct job *sent(void) {
    struct line *line = endpoints_next(endpoints, now);
    struct source *source = outbox_source(outbox);

    return line != NULL ? source->claim(source, line, now) : NULL;
}

static struct job *must_send(int64_t event) {
    struct job *job = sent();

    assert_non_null(job);
    assert_int_equal(job->sequence, event);
    return job;
}

/* What the engine makes of an answer. */
static void answer(struct job *job, int status) {
    struct reply reply = {.status = status,
                          .error = "",
                          .retry_after = -1,
                          .started_at = now,
                          .given_back = status == 200 ? job->challenge : NULL};
    struct source *source = outbox_source(outbox);
    struct outcome outcome;

    verdict(&reply, job, now, 0, &outcome);
    source->settle(source, job, &outcome, now);
}

/* How many are sent and taken until nothing is left. */
static int send_all(void) {
    struct job *job;
    int count = 0;

    for (int quiet = 0; quiet < 3; quiet++) {
        while ((job = sent()) != NULL) {
            answer(job, 200);
            count++;
            quiet = 0;
        }
        turn();
    }
    return count;
}

/* SIGKILL, and another start. */
static void killed(void) {
    outbox->held = strdup("killed: nothing more is written");
    outbox_close(outbox, now);
    open_outbox();
}

static void lock_side(void) {
    char path[96];

    snprintf(path, sizeof path, "%s-resthook", file);
    assert_int_equal(sqlite3_open(path, &locker), SQLITE_OK);
    assert_int_equal(sqlite3_exec(locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void unlock_side(void) {
    sqlite3_close(locker);
}

static void subscribe(const char *options) {
    sql("SELECT resthook_subscribe('a.*', 'https://example.com/', %Q)", options);
}

static void emit(int count) {
    while (count-- > 0) {
        sql("SELECT resthook_emit('a.a', '{}')");
    }
}

static int64_t state_of(int event) {
    char text[80];

    snprintf(text, sizeof text, "SELECT ifnull((SELECT state FROM delivery WHERE event = %d), -1)",
             event);
    return side(text);
}

/* ---- the side file can't be written when subscriptions are read ---- */

static void a_new_subscription_has_a_number_of_its_own(void **state) {
    (void)state;
    lock_side();
    subscribe("{}");
    sql("SELECT resthook_subscribe('a.a', 'https://example.org/')");
    turn();
    unlock_side();
    turns(2 * SECOND);
    emit(1);
    turn();
    assert_int_equal(send_all(), 2);
    assert_int_equal(side("SELECT count(*) FROM resthook_deliveries WHERE state = 'delivered'"), 2);
}

static void a_pause_is_obeyed_later(void **state) {
    (void)state;
    subscribe("{}");
    emit(1);
    turn();
    lock_side();
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turn();
    unlock_side();
    turns(2 * SECOND);
    assert_int_equal(state_of(1), STATE_PENDING);
    assert_null(sent());
}

static void an_end_is_obeyed_later(void **state) {
    (void)state;
    subscribe("{}");
    emit(1);
    turn();
    lock_side();
    sql("BEGIN");
    emit(1);
    sql("SELECT resthook_unsubscribe(id) FROM resthook_subscriptions");
    sql("COMMIT");
    turn();
    unlock_side();
    turns(2 * SECOND);
    assert_int_equal(state_of(1), STATE_CANCELLED);
    assert_int_equal(state_of(2), STATE_CANCELLED);
    assert_null(sent());
}

static void what_waited_before_the_start_is_sent_later(void **state) {
    (void)state;
    subscribe("{}");
    emit(1);
    turn();
    answer(must_send(1), 500);
    turn();
    assert_int_equal(state_of(1), STATE_RETRYING);
    killed();
    now += HOUR;
    lock_side();
    turn();
    unlock_side();
    turns(2 * SECOND);
    answer(must_send(1), 200);
}

static void a_confirmation_is_written_later(void **state) {
    struct job *job;

    (void)state;
    subscribe("{\"verify\": \"x-hook-secret\"}");
    turn();
    job = must_send(1);
    lock_side();
    answer(job, 200);
    unlock_side();
    turn();
    sql("SELECT resthook_set('timeout', 31)"); /* and what is known of it is read again */
    turns(20 * SECOND);
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->status, SUB_SENDS);
    assert_int_equal(
        value_of(app, "SELECT count(*) FROM resthook_subscriptions WHERE status = 'active'"), 1);
}

/* ---- an end ---- */

/* However many ended at once, before app.db could be told. */
static void who_is_gone_stays_so(void **state) {
    struct job *job;
    int gone = 0;

    (void)state;
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)"
        " SELECT resthook_subscribe('a.a', 'https://example.com/' || i) FROM n");
    emit(1);
    turn();
    while ((job = sent()) != NULL) {
        answer(job, 410);
        gone++;
    }
    assert_int_equal(gone, 150);
    turn();
    emit(1);
    sql("SELECT resthook_set('timeout', 31)");
    turn();
    assert_null(sent());
    killed();
    turn();
    assert_null(sent());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_new_subscription_has_a_number_of_its_own),
        TEST(a_pause_is_obeyed_later),
        TEST(an_end_is_obeyed_later),
        TEST(what_waited_before_the_start_is_sent_later),
        TEST(a_confirmation_is_written_later),
        TEST(who_is_gone_stays_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
