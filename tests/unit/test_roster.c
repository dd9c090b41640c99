/*
** test_roster.c: subscriptions are loaded while the side file, or the claim of work, fails for a moment: nothing of
** what was read by half stays, and nothing of what changed is missed.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

static void subscribe(const char *path) {
    sql("SELECT resthook_subscribe('*', 'https://example.com/%s', '{\"retry_schedule\":\"0,1h\"}')",
        path);
}

/* Two that come while nothing can be written have each a number of their own, which is recorded. */
static void numbers_are_those_of_the_side_file(void **state) {
    const struct sub *sub;

    (void)state;
    lock_side();
    subscribe("a");
    subscribe("b");
    turn();
    unlock_side();
    turns(2 * SECOND);
    assert_int_equal(outbox->subs.count, 2);
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        char *text = sqlite3_mprintf("SELECT count(*) FROM subscription WHERE id = %Q AND n = %lld",
                                     sub->id, (long long)sub->n);

        assert_int_equal(side(text), 1);
        sqlite3_free(text);
    }
}

/* What is due when it starts is claimed, also if the first load fails. */
static void rows_are_claimed_after_a_load_that_failed(void **state) {
    (void)state;
    subscribe("a");
    turn();
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    sql("SELECT resthook_emit('a.b', '{}')");
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1);
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    outbox_close(outbox, now);
    open_outbox();
    lock_side();
    turn();
    unlock_side();
    turns(2 * SECOND);
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->again_count, 1);
}

/* A pause that is read by half is obeyed all the same. */
static void a_pause_is_not_missed(void **state) {
    (void)state;
    subscribe("a");
    turn();
    sql("SELECT resthook_emit('a.b', '{}')");
    turn();
    assert_false(TAILQ_EMPTY(&TAILQ_FIRST(&outbox->subs.list)->fresh));
    lock_side();
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turn();
    unlock_side();
    turns(2 * SECOND);
    assert_true(TAILQ_EMPTY(&TAILQ_FIRST(&outbox->subs.list)->fresh));
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1);
}

/* A change that is taken back before it was obeyed has been one for a while: who was sent away in it is back. */
static void a_resume_is_not_missed(void **state) {
    (void)state;
    subscribe("a");
    turn();
    sql("SELECT resthook_emit('a.b', '{}')");
    turn();
    lock_side();
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turn();
    assert_null(claim());
    unlock_side();
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    turns(2 * SECOND);
    settle(claim(), VERDICT_DELIVERED, 0);
}

static struct job *sent(void) {
    subscribe("a");
    turn();
    sql("SELECT resthook_emit('a.b', '{}')");
    turn();
    return claim();
}

static void a_resume_is_not_missed_by_a_retry(void **state) {
    struct job *job = sent();

    (void)state;
    lock_side();
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turn();
    settle(job, VERDICT_RETRY, 0);
    unlock_side();
    now += 600; /* what became of it is written before the subscriptions are read again */
    turn();
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 1"), 1);
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    turns(2 * SECOND);
    settle(claim(), VERDICT_DELIVERED, 0);
}

/* What a load allows is not done before it is obeyed: else nobody takes it back. */
static void a_second_pause_is_not_missed_by_a_retry(void **state) {
    struct job *job = sent();

    (void)state;
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turn();
    lock_side();
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    turn();
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->status, SUB_KEEPS);
    settle(job, VERDICT_RETRY, 0);
    unlock_side();
    now += 600;
    turn();
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 1"), 1);
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turns(3 * SECOND);
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->again_count, 0);
    assert_true(outbox->source.drained(&outbox->source, now));
}

/* ---- a hand that took away what tells that something changed ---- */

static void changes_are_heard_without_a_revision(const char *mode) {
    sql("PRAGMA journal_mode=%s", mode);
    sql("DELETE FROM resthook_meta WHERE name = 'revision'");
    turns(SECOND);
    subscribe("a");
    sql("SELECT resthook_emit('a.b', '{}')");
    turns(3 * SECOND);
    assert_int_equal(outbox->subs.count, 1);
    assert_false(outbox->unread);
    assert_int_equal(outbox->stranger, NEVER);
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turns(3 * SECOND);
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->status, SUB_KEEPS);
    assert_true(outbox->source.drained(&outbox->source, now));
}

static void without_a_revision_in_wal_mode(void **state) {
    (void)state;
    changes_are_heard_without_a_revision("WAL");
}

static void without_a_revision_with_a_rollback_journal(void **state) {
    (void)state;
    outbox_close(outbox, now);
    sql("PRAGMA journal_mode=DELETE");
    open_outbox();
    changes_are_heard_without_a_revision("DELETE");
}

/* ---- values that no function would write ---- */

static const struct sub *subscribed(void) {
    subscribe("a");
    turns(SECOND);
    return TAILQ_FIRST(&outbox->subs.list);
}

static void settings_are_bounded(void **state) {
    static const char *const values[] = {
        "9e300", "-9e300", "NULL", "''", "9223372036854775807", "-9223372036854775807 - 1",
        "x'00'"};
    const struct settings *settings = &outbox->subs.settings;

    (void)state;
    (void)subscribed();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        sql("UPDATE resthook_setting SET value = %s, standard = %s", values[i], values[i]);
        sql("SELECT resthook_emit('a.b', '{}')");
        turns(SECOND);
        assert_in_range((uintmax_t)settings->timeout, 100, 300 * SECOND);
        assert_in_range((uintmax_t)settings->failing_probe, 100, 86400 * SECOND);
        assert_in_range((uintmax_t)settings->endpoint_most, 1, 1000);
        assert_in_range((uintmax_t)settings->keep_pending, 60 * SECOND, 315360000 * SECOND);
        assert_in_range((uintmax_t)settings->keep_pending_rows, 1, 1000000000);
        assert_in_range((uintmax_t)settings->response_most, 0, 65536);
    }
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 4"), 0);
}

static void settings_that_are_not_there_are_the_default(void **state) {
    (void)state;
    sql("DELETE FROM resthook_setting");
    (void)subscribed();
    assert_int_equal(outbox->subs.settings.keep_pending, 30 * 24 * HOUR);
    sql("SELECT resthook_emit('a.b', '{}')");
    turns(SECOND);
    assert_false(TAILQ_EMPTY(&TAILQ_FIRST(&outbox->subs.list)->fresh));
}

static void a_subscription_out_of_bounds_is_kept(void **state) {
    static const char *const values[] = {
        "rate = 1e-300",     "rate = 9e999",       "rate = -1",
        "rate = 'fast'",     "max_in_flight = -1", "max_in_flight = 4294967297",
        "timeout = 1 << 62", "timeout = -1",       "max_in_flight = 0"};
    const struct sub *sub = subscribed();

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        sql("UPDATE resthook_subscription SET rate = NULL, max_in_flight = NULL, timeout = NULL, "
            "revision = revision + 1");
        turns(SECOND);
        assert_int_equal(sub->status, SUB_SENDS);
        sql("UPDATE resthook_subscription SET %s, revision = revision + 1", values[i]);
        sql("SELECT resthook_emit('a.b', '{}')");
        turns(SECOND);
        assert_int_equal(sub->status, SUB_KEEPS);
        assert_non_null(sub->kept);
    }
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"),
                     sizeof values / sizeof *values);
}

/* A table of that name that somebody made himself has none of our constraints. */
static void rows_without_what_each_has_harm_nobody(void **state) {
    (void)state;
    (void)subscribed();
    sql("ALTER TABLE resthook_subscription RENAME TO mine");
    sql("CREATE TABLE resthook_subscription AS SELECT * FROM mine");
    sql("INSERT INTO resthook_subscription(id) VALUES (NULL), ('sub_a'), ('sub_b')");
    sql("UPDATE resthook_subscription SET event = '*' WHERE id = 'sub_a'");
    sql("UPDATE resthook_subscription SET target = 'https://b.example' WHERE id = 'sub_b'");
    sql("SELECT resthook_emit('a.b', '{}')");
    turns(2 * SECOND);
    assert_int_equal(outbox->subs.count, 3); /* who has no id is nobody */
    assert_false(TAILQ_EMPTY(&TAILQ_FIRST(&outbox->subs.list)->fresh));
    assert_int_equal(subscription_named(&outbox->subs, "sub_a")->status, SUB_KEEPS);
    assert_int_equal(subscription_named(&outbox->subs, "sub_b")->status, SUB_KEEPS);
}

/* ---- what is not yet written to app.db ---- */

/* A host that is gone has ended all who were there, however many wait to be written. */
static void ends_that_are_not_written_hold(void **state) {
    struct outcome gone = {.state = VERDICT_DEAD,
                           .effect = EFFECT_GONE,
                           .reason = "gone: 410 from target",
                           .status = 410,
                           .error = ""};
    const struct sub *sub;
    struct job *job;
    sqlite3 *writer;

    (void)state;
    for (int i = 0; i < 250; i++) {
        sql("SELECT resthook_subscribe('*', 'https://example.com/%d')", i);
    }
    sql("SELECT resthook_emit('a.b', '{}')");
    turns(SECOND);
    assert_int_equal(sqlite3_open(file, &writer), SQLITE_OK);
    assert_int_equal(sqlite3_exec(writer, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    gone.started_at = now;
    while ((job = claim()) != NULL) {
        struct source *source = job->line->source;

        place_finish(&job->place, false, 0);
        source->settle(source, job, &gone, now);
    }
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM effect"), 250);
    assert_int_equal(sqlite3_exec(writer,
                                  "UPDATE resthook_meta SET value = value + 1"
                                  " WHERE name = 'revision'; COMMIT; BEGIN IMMEDIATE",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    turns(SECOND);
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        assert_int_equal(sub->status, SUB_ENDED);
    }
    sqlite3_close(writer);
    turns(10 * SECOND);
    assert_int_equal(outbox->subs.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_calm, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_those_of_the_side_file),
        TEST(rows_are_claimed_after_a_load_that_failed),
        TEST(a_pause_is_not_missed),
        TEST(a_resume_is_not_missed),
        TEST(a_resume_is_not_missed_by_a_retry),
        TEST(a_second_pause_is_not_missed_by_a_retry),
        TEST(without_a_revision_in_wal_mode),
        TEST(without_a_revision_with_a_rollback_journal),
        TEST(settings_are_bounded),
        TEST(settings_that_are_not_there_are_the_default),
        TEST(a_subscription_out_of_bounds_is_kept),
        TEST(ends_that_are_not_written_hold),
        TEST(rows_without_what_each_has_harm_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
