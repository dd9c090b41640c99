/*
** test_reading.c: what can't be read for a moment is read again: nothing is passed over for it.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <string.h>

static const char *broken; /* the statement that fails the next time it is run; NULL: none */
static const char *then;   /* and which one after that */

static int on_statement(unsigned kind, void *context, void *statement, void *text) {
    (void)kind;
    (void)context;
    if (broken != NULL && strstr(text, broken) != NULL) {
        broken = then;
        then = NULL;
        sqlite3_interrupt(sqlite3_db_handle(statement));
    }
    return 0;
}

static void trace(struct db *db) {
    assert_int_equal(sqlite3_trace_v2(db->handle, SQLITE_TRACE_STMT, on_statement, NULL),
                     SQLITE_OK);
}

static void insert_while_breaks(const char *text) {
    struct db *db = reader_db(outbox->reader);

    sql("CREATE TABLE another(id)"); /* what is known of watches is forgotten */
    turns(SECOND);
    broken = text;
    trace(db);
    sql("INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    assert_null(broken);
    assert_int_equal(sqlite3_trace_v2(db->handle, 0, NULL, NULL), SQLITE_OK);
    assert_false(TAILQ_EMPTY(&TAILQ_FIRST(&outbox->subs.list)->fresh));
}

static void the_name_of_a_watch(void **state) {
    (void)state;
    insert_while_breaks("SELECT event FROM main.resthook_watch");
}

static void the_definition_of_a_watch(void **state) {
    (void)state;
    insert_while_breaks("virtual, table_sql, primary_key\n  FROM main.resthook_watch WHERE id");
    assert_int_equal(side("SELECT count(*) FROM delivery"), 0);
}

static int refuse_once(void *refuses) {
    bool refused = *(bool *)refuses;

    *(bool *)refuses = false;
    return refused;
}

/* A number that could not be committed is none. */
static void the_number_of_a_name(void **state) {
    bool refuses = true;

    (void)state;
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turns(2 * SECOND);
    sqlite3_commit_hook(journal_db(outbox->journal)->handle, refuse_once, &refuses);
    sql("INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    sqlite3_commit_hook(journal_db(outbox->journal)->handle, NULL, NULL);
    assert_false(refuses);
    assert_int_equal(side("SELECT count(*) FROM delivery"), 1);
    assert_int_equal(side("SELECT count(*) FROM delivery JOIN event_name ON n = name"), 1);
}

/* A subscription that can't be taken in, since its rows can't be read, and is not known any more, since it can't be
** read the next time, is taken in after that: its rows are sent. */
static void the_rows_of_a_subscription(void **state) {
    struct job *job;

    (void)state;
    sql("SELECT resthook_update(id, '{\"ordered\":true}') FROM resthook_subscriptions");
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    job = claim();
    assert_non_null(job);
    settle(job, VERDICT_RETRY, 0);
    turns(SECOND);
    outbox_close(outbox, now);
    open_outbox();
    broken = "SELECT 1 FROM delivery INDEXED BY delivery_due WHERE sub";
    then = "SELECT id, event, target, status";
    trace(reader_db(outbox->reader));
    trace(journal_db(outbox->journal));
    turns(10 * SECOND);
    assert_null(broken);
    assert_null(then);
    job = claim();
    assert_non_null(job);
    settle(job, VERDICT_DELIVERED, 0);
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 1);
}

/* Names, which are looked for meanwhile, know none that is dropped. */
static void who_wants_a_name(void **state) {
    static const char name[] = "resthook.delivery.dead"; /* asked of each that is */

    (void)state;
    trace(journal_db(outbox->journal));
    trace(reader_db(outbox->reader));
    broken = "SELECT failing_since, probe_at";
    then = "SELECT id, event, target, status";
    sql("SELECT resthook_subscribe('resthook.*', 'https://n.example.com/')");
    turn();
    assert_null(then); /* the first has failed */
    (void)names_find(outbox, name);
    turns(SECOND);
    assert_null(broken);
    assert_int_equal(outbox->subs.count, 1);
    assert_int_equal(names_find(outbox, name)->count, 0);
    turns(SECOND);
    assert_int_equal(names_find(outbox, name)->count, 1);
}

/* Who has ended is forgotten after that was obeyed, also when another is to be forgotten: pairs of his wait. */
static void whose_end_is_read_by_half(void **state) {
    const struct sub *first, *second;
    struct job *jobs[2];

    (void)state;
    sql("SELECT resthook_subscribe('item.*', 'https://b.example.com/')");
    sql("INSERT INTO item DEFAULT VALUES");
    turn();
    first = TAILQ_FIRST(&outbox->subs.list);
    second = TAILQ_NEXT(first, links);
    jobs[0] = claim();
    jobs[1] = claim();
    bool swapped = jobs[0]->line != &first->line;

    settle(jobs[swapped ? 0 : 1], VERDICT_DELIVERED, 0);
    sql("SELECT resthook_unsubscribe(%Q)", first->id);
    turns(SECOND);
    assert_int_equal(first->status, SUB_ENDED); /* and is there while a request is under way */
    sql("INSERT INTO item DEFAULT VALUES");
    turn();
    assert_false(TAILQ_EMPTY(&second->fresh));
    trace(journal_db(outbox->journal));
    broken = "FROM effect";
    sql("SELECT resthook_unsubscribe(%Q)", second->id);
    turn();
    assert_null(broken);
    settle(jobs[swapped ? 1 : 0], VERDICT_DELIVERED, 0);
    turns(10 * SECOND);
    assert_int_equal(outbox->subs.count, 0);
    assert_int_equal(outbox->window.pairs_count, 0);
    assert_int_equal(outbox->cursor, outbox->window.read_to);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5"), 1);
}

/* Who answered 410 has ended, though that is not in app.db yet and can't be read in the side file. */
static void who_is_gone(void **state) {
    struct outcome gone = {.state = VERDICT_DEAD,
                           .effect = EFFECT_GONE,
                           .reason = "gone: 410 from target",
                           .status = 410,
                           .error = ""};

    (void)state;
    sql("INSERT INTO item DEFAULT VALUES");
    turn();
    struct job *job = claim();

    gone.started_at = now;
    place_finish(&job->place, false, 0);
    job->line->source->settle(job->line->source, job, &gone, now);
    turn();
    assert_int_equal(side("SELECT count(*) FROM effect"), 1);
    trace(journal_db(outbox->journal));
    broken = "FROM effect";
    sql("UPDATE resthook_meta SET value = value + 1 WHERE name = 'revision'");
    sql("INSERT INTO item DEFAULT VALUES");
    turn();
    assert_null(broken);
    assert_null(claim());
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->status, SUB_ENDED);
    turns(10 * SECOND);
    assert_int_equal(outbox->subs.count, 0);
    assert_int_equal(
        value_of(app, "SELECT count(*) FROM resthook_subscription WHERE to_id IS NULL"), 0);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE attempts > 0"), 1);
}

/* What was carried out is not carried out again because it can't be read how far that is. */
static void which_requests_are_taken(void **state) {
    (void)state;
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    settle(claim(), VERDICT_DELIVERED, 0);
    turns(SECOND);
    sql("SELECT resthook_replay(id || '-1') FROM resthook_subscriptions");
    turn();
    turn();
    settle(claim(), VERDICT_DELIVERED, 0);
    turn();
    assert_int_equal(side("SELECT attempts FROM delivery WHERE state = 3"), 2);
    broken = "SELECT id FROM main.resthook_request WHERE id";
    trace(reader_db(outbox->reader));
    assert_int_equal(value_of(app, "SELECT count(*) FROM resthook_request"), 1);
    sql("SELECT resthook_cancel(id || '-1') FROM resthook_subscriptions");
    turns(4 * SECOND);
    assert_null(broken);
    assert_null(claim());
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 1);
}

/* From now on, in the side file. */
static void break_side(const char *text) {
    broken = text;
    assert_int_equal(sqlite3_trace_v2(journal_db(outbox->journal)->handle, SQLITE_TRACE_STMT,
                                      on_statement, NULL),
                     SQLITE_OK);
}

/* After a crash, when events are read again: what was sent is not sent again because it can't be read that it was. */
static void what_is_recorded_above_the_cursor(void **state) {
    struct job *first, *job;
    int count;

    (void)state;
    for (int i = 0; i < 3; i++) {
        sql("INSERT INTO item DEFAULT VALUES");
    }
    turns(SECOND);
    first = claim();
    while ((job = claim()) != NULL) {
        settle(job, VERDICT_DELIVERED, 0);
    }
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 2);
    place_drop(&first->place);
    first->line->source->settle(first->line->source, first, NULL, now);
    outbox_close(outbox, now);
    open_outbox();
    break_side("SELECT 1 FROM delivery WHERE sub = ?1 AND event");
    turns(2 * SECOND);
    assert_null(broken);
    for (count = 0; (job = claim()) != NULL; count++) {
        settle(job, VERDICT_DELIVERED, 0);
    }
    assert_int_equal(count, 1);
}

/* … and what waits there to be written to app.db is not forgotten because it can't be read. */
static void what_is_told_to_app_db(void **state) {
    struct outcome gone = {.state = VERDICT_DEAD,
                           .effect = EFFECT_GONE,
                           .started_at = now,
                           .steps = {-1, -1, -1, -1},
                           .status = 410,
                           .error = "",
                           .reason = "gone"};

    (void)state;
    sql("SELECT resthook_subscribe('resthook.*', 'https://example.com/notices')");
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    struct job *job = claim();

    place_finish(&job->place, false, 0);
    job->line->source->settle(job->line->source, job, &gone, now);
    turns(50);
    assert_true(outbox->effects_wait && outbox->notices_wait);
    break_side("reason, revision, updated_at FROM effect");
    then = "SELECT n, event, payload FROM notice";
    turns(60 * SECOND);
    assert_null(broken);
    assert_int_equal(
        value_of(app, "SELECT count(*) FROM resthook_subscriptions WHERE status = 'active'"), 1);
    assert_int_equal(
        value_of(app, "SELECT count(*) FROM resthook_outbox WHERE event LIKE 'resthook.%'"), 2);
    while ((job = claim()) != NULL) {
        settle(job, VERDICT_DELIVERED, 0);
    }
}

/* Rows of who ended while nobody ran are cancelled, if not at once. */
static void who_has_unfinished_rows(void **state) {
    (void)state;
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1);
    outbox_close(outbox, now);
    sql("SELECT resthook_unsubscribe(id) FROM resthook_subscriptions");
    open_outbox();
    break_side("SELECT n, id FROM subscription");
    turns(SECOND);
    assert_null(broken);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5"), 1);
}

/* That rows can't be brought to their order stops nobody else. */
static void which_rows_are_brought_to_order(void **state) {
    (void)state;
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    break_side("FROM (SELECT event FROM delivery");
    sql("SELECT resthook_update(id, '{\"ordered\":true}') FROM resthook_subscriptions");
    turn();
    assert_null(broken);
    assert_false(outbox->stalled);
    assert_false(order_pending(outbox, now));
    turns(6 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE key IS NOT NULL"), 1);
}

static int deny_once(void *context, int action, const char *a, const char *b, const char *c,
                     const char *d) {
    bool *denies = context;
    bool denied = *denies && action == SQLITE_READ && strcmp(a, "resthook_subscription") == 0;

    (void)b;
    (void)c;
    (void)d;
    *denies = *denies && !denied;
    return denied ? SQLITE_DENY : SQLITE_OK;
}

/* With a rollback journal they are read by a statement that is made when it is first needed. */
static void the_subscriptions_statement(void **state) {
    bool denies = true;

    (void)state;
    outbox_close(outbox, now);
    sql("PRAGMA journal_mode = DELETE");
    open_outbox();
    sqlite3_set_authorizer(reader_db(outbox->reader)->handle, deny_once, &denies);
    turns(2 * SECOND);
    assert_false(denies);
    sql("INSERT INTO item DEFAULT VALUES");
    turns(4 * SECOND);
    struct job *job = claim();

    assert_non_null(job);
    settle(job, VERDICT_DELIVERED, 0);
    turns(SECOND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_with_items, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_name_of_a_watch),
        TEST(the_definition_of_a_watch),
        TEST(the_number_of_a_name),
        TEST(the_rows_of_a_subscription),
        TEST(who_wants_a_name),
        TEST(who_is_gone),
        TEST(whose_end_is_read_by_half),
        TEST(which_requests_are_taken),
        TEST(the_subscriptions_statement),
        TEST(what_is_recorded_above_the_cursor),
        TEST(what_is_told_to_app_db),
        TEST(who_has_unfinished_rows),
        TEST(which_rows_are_brought_to_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
