/*
** test_source.c: what is handed out comes back, and whoever waits is served again: after a side file that could not be
** written, a probe that was cancelled, behind somebody else's backlog.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

static sqlite3 *other; /* somebody else's connection to the side file */

static int begin(void **state) {
    char name[96];

    (void)state;
    if (begin_world() != 0) {
        return -1;
    }
    snprintf(name, sizeof name, "%s-resthook", file);
    turns(2 * SECOND);
    return sqlite3_open(name, &other);
}

static int end(void **state) {
    sqlite3_close(other);
    return end_world(state);
}

static void lock(bool locked) {
    assert_int_equal(sqlite3_exec(other, locked ? "BEGIN IMMEDIATE" : "ROLLBACK", NULL, NULL, NULL),
                     SQLITE_OK);
}

static void subscribe(const char *event, const char *host, const char *options) {
    sql("SELECT resthook_subscribe('%s', 'https://%s/', '%s')", event, host, options);
}

static void emit(const char *event, int count) {
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO resthook_outbox(event, payload) SELECT '%s', '{}' FROM n",
        count, event);
}

/* As the engine does it; NULL: nobody has anything to send now. */
static struct job *claim(void) {
    struct line *line;

    while ((line = endpoints_next(endpoints, now)) != NULL) {
        struct job *job = line->source->claim(line->source, line, now);

        if (job != NULL) {
            place_take(&job->place, line, now);
            return job;
        }
    }
    return NULL;
}

static void settle(struct job *job, enum verdict_state became, int64_t throttle_until) {
    struct source *source = job->line->source;
    struct outcome outcome = {
        .state = became,
        .effect = throttle_until > 0 ? EFFECT_THROTTLE : EFFECT_NONE,
        .next_at = now + SECOND,
        .throttle_until = throttle_until,
        .started_at = now,
        .steps = {-1, -1, -1, -1},
        .status = became == VERDICT_DELIVERED ? 200 : 503,
        .error = "",
        .reason = "for a test",
    };

    place_finish(&job->place, became == VERDICT_DELIVERED, throttle_until);
    source->settle(source, job, &outcome, now);
}

/* Sends all that can be sent. Returns how much that was. */
static int send_all(int most) {
    struct job *job;
    int count = 0;

    while (count < most && (job = claim()) != NULL) {
        settle(job, VERDICT_DELIVERED, 0);
        count++;
    }
    return count;
}

/* ---- the side file can't be written ---- */

static void who_waits_is_served_after_a_stall(void **state) {
    (void)state;
    subscribe("*", "a.example", "{}");
    subscribe("*", "b.example", "{}");
    turn();
    emit("a.b", 2500);
    turns(SECOND);
    lock(true);
    assert_int_equal(send_all(1), 1);
    turn();
    assert_true(outbox->stalled);
    assert_in_range(send_all(5000), 1, 4999); /* then it is too much that is not written */
    lock(false);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_waits_is_served_after_a_stall),
        TEST(another_is_sent_when_a_probe_was_cancelled_in_flight),
        TEST(another_is_sent_when_a_probe_was_cancelled_before_it_was_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
