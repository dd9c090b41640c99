/*
** test_meeting.c: what happens where order, failing, filters, requests, handshakes, ends and a side file
** that can't be written meet. The test is the engine: it takes what is to be sent and says what came
** of it.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <string.h>

#include "verdict.h"

/* What is sent next; NULL: nothing. No place is taken: that there are few is no matter here. */
static struct job *sent(void) {
    endpoints_turn(endpoints, now);
    struct line *line = endpoints_next(endpoints, now);
    struct source *source = outbox_source(outbox);

    return line != NULL ? source->claim(source, line, now) : NULL;
}

static struct job *must_send(int64_t event) {
    struct job *job = sent();

#ifdef __SANITIZE_ADDRESS__
    /* A look in which it put its memory in order took all its time: the rest comes with the next one. */
    if (job == NULL) {
        turn();
        job = sent();
    }
#endif
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

static void subscribe(const char *options) {
    sql("SELECT resthook_subscribe('a.*', 'https://example.com/', %Q)", options);
}

static void update(const char *options) {
    sql("SELECT resthook_update(id, %Q) FROM resthook_subscriptions", options);
}

static void emit(int count) {
    while (count-- > 0) {
        sql("SELECT resthook_emit('a.a', '{}')");
    }
}

static void request(const char *what, int event) {
    sql("SELECT resthook_%s(id || '-%d') FROM resthook_subscriptions", what, event);
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

static void a_pause_is_obeyed_behind_a_full_window(void **state) {
    (void)state;
    subscribe("{}");
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " INSERT INTO resthook_outbox(event, payload) SELECT 'a.a', '1' FROM n");
    turns(2 * SECOND);
    assert_true(window_full(&outbox->window));
    lock_side();
    sql("SELECT resthook_pause(id) FROM resthook_subscriptions");
    turn();
    unlock_side();
    turns(2 * SECOND);
    assert_true(TAILQ_EMPTY(&TAILQ_FIRST(&outbox->subs.list)->fresh));
    assert_null(sent());
}

/* Nobody turns round and round meanwhile. */
static void a_review_is_done_later(void **state) {
    struct sub *sub;

    (void)state;
    subscribe("{\"ordered\": true}");
    turn();
    sub = TAILQ_FIRST(&outbox->subs.list);
    lock_side();
    order_review(outbox, sub);
    turn();
    assert_true(outbox_source(outbox)->turn(outbox_source(outbox), now, false) > now);
    unlock_side();
    turns(2 * SECOND);
    assert_false(sub->review);
    assert_false(outbox->stalled);
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

/* ---- requests ---- */

static void what_is_cancelled_in_flight_is_not_sent_after_a_kill(void **state) {
    (void)state;
    subscribe("{}");
    emit(2);
    turn();
    must_send(1);
    request("cancel", 1);
    request("cancel", 2); /* which waits */
    now += SECOND;
    turn();
    killed();
    turns(SECOND);
    assert_null(sent());
    assert_int_equal(state_of(1), STATE_CANCELLED);
    assert_int_equal(state_of(2), STATE_CANCELLED);
}

static void what_is_cancelled_in_flight_can_be_replayed(void **state) {
    struct job *job;

    (void)state;
    subscribe("{\"retry_schedule\": \"0\"}");
    emit(1);
    turn();
    job = must_send(1);
    request("cancel", 1);
    request("replay", 1);
    turn();
    assert_null(sent()); /* it is being sent */
    answer(job, 500);
    turns(SECOND);
    assert_int_equal(state_of(1), STATE_DEAD); /* that was the replay's only attempt */
    request("replay", 1);
    turns(SECOND);
    job = must_send(1);
    request("cancel", 1);
    turn();
    request("replay", 1);
    turn();
    answer(job, 200);
    turn();
    assert_int_equal(state_of(1), STATE_DELIVERED);
}

static void what_is_replayed_in_flight_has_its_schedule(void **state) {
    struct job *job;

    (void)state;
    subscribe("{}");
    emit(1);
    turn();
    job = must_send(1);
    request("cancel", 1);
    turn();
    request("replay", 1);
    turn();
    answer(job, 500);
    turns(10 * SECOND);
    answer(must_send(1), 200);
}

/* Before it is recorded that it failed, or sent at all. */
static void what_is_cancelled_in_memory_can_be_replayed(void **state) {
    (void)state;
    subscribe("{\"retry_schedule\": \"0,1h\"}");
    emit(2);
    turn();
    answer(must_send(1), 500);
    request("cancel", 1);
    request("replay", 1);
    request("cancel", 2);
    request("replay", 2);
    turns(SECOND);
    answer(must_send(1), 500);
    answer(must_send(2), 200);
    turn();
    assert_int_equal(state_of(1), STATE_RETRYING); /* its schedule has begun again */
    turns(2 * HOUR);
    answer(must_send(1), 200);
}

/* ---- an end ---- */

static void what_failed_when_it_ended_ends_too(void **state) {
    struct job *first, *second;

    (void)state;
    subscribe("{}");
    emit(2);
    turn();
    first = must_send(1);
    second = must_send(2);
    answer(first, 500);
    answer(second, 410);
    turns(SECOND);
    assert_int_equal(state_of(1), STATE_CANCELLED);
    assert_int_equal(state_of(2), STATE_DEAD);
}

static void what_failed_when_it_was_unsubscribed_ends_too(void **state) {
    (void)state;
    subscribe("{}");
    emit(1);
    turn();
    answer(must_send(1), 500);
    sql("SELECT resthook_unsubscribe(id) FROM resthook_subscriptions");
    turns(SECOND);
    assert_int_equal(state_of(1), STATE_CANCELLED);
}

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

/* ---- failing ---- */

/* A subscription that is failing, with three deliveries; the next probe is due. */
static void make_failing(const char *options) {
    sql("SELECT resthook_set('failing_after', 1)");
    subscribe(options);
    emit(3);
    turn();
    answer(must_send(1), 500);
    now += 2 * SECOND;
    answer(must_send(2), 500);
    turn();
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->status, SUB_FAILING);
    turns(70 * SECOND);
}

static void a_probe_that_outlasts_failing(void **state) {
    struct job *probe;

    (void)state;
    make_failing("{}");
    probe = sent();
    assert_non_null(probe);
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    turn();
    turn();
    answer(probe, 200);
    turn();
    turns(HOUR);
    assert_int_equal(send_all(), 2);
}

static void a_probe_that_is_cancelled(void **state) {
    struct job *probe;

    (void)state;
    make_failing("{}");
    probe = sent();
    assert_non_null(probe);
    request("cancel", (int)probe->sequence);
    turn();
    answer(probe, 500);
    turns(HOUR);
    assert_int_equal(send_all(), 2);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5"), 1);
}

static void a_probe_that_is_cancelled_before_it_is_sent(void **state) {
    struct sub *sub;

    (void)state;
    make_failing("{}");
    sub = TAILQ_FIRST(&outbox->subs.list);
    assert_int_equal(sub->again_count, 1);
    request("cancel", (int)TAILQ_FIRST(&sub->again)->event->id);
    turns(HOUR);
    assert_int_equal(send_all(), 2);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 5"), 1);
}

/* Also when what was under way before it failed ends meanwhile. */
static void one_probe_at_a_time(void **state) {
    struct job *before, *probe;

    (void)state;
    sql("SELECT resthook_set('failing_after', 1)");
    sql("SELECT resthook_set('failing_probe', 10)");
    subscribe("{}");
    emit(4);
    turn();
    answer(must_send(1), 500);
    now += 2 * SECOND;
    turn();
    before = must_send(2);
    answer(must_send(3), 500);
    turns(11 * SECOND);
    probe = sent();
    assert_non_null(probe);
    answer(before, 500);
    turns(HOUR);
    assert_null(sent());
    answer(probe, 500);
    turns(HOUR);
    assert_non_null(sent());
}

/* What was tried often as a probe is not given up for that when its target answers again. */
static void a_probe_has_its_schedule_afterwards(void **state) {
    struct job *job;

    (void)state;
    make_failing("{\"retry_schedule\": \"0,5s\"}");
    for (int i = 0; i < 12; i++) {
        job = sent();
        assert_non_null(job);
        answer(job, 500);
        turns(2 * HOUR);
    }
    job = sent();
    assert_non_null(job);
    answer(job, 200);
    turn();
    assert_int_equal(TAILQ_FIRST(&outbox->subs.list)->status, SUB_SENDS);
    while ((job = sent()) != NULL) {
        answer(job, 429);
    }
    turn();
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 1"), 2);
    turns(10 * SECOND);
    assert_int_equal(send_all(), 2);
}

/* However many there are, a turn is short: each is asked of every subscription. */
static void requests_are_carried_out_in_steps(void **state) {
    int64_t taken;

    (void)state;
    look_us = 20;
    for (int i = 0; i < 500; i++) {
        sql("SELECT resthook_subscribe('a.*', 'https://example.com/%d')", i);
    }
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
        " INSERT INTO resthook_outbox(event, payload) SELECT 'b.b', '1' FROM n");
    turns(2 * SECOND);
    sql("SELECT count(resthook_forget(id)) FROM resthook_outbox");
    taken = outbox->request_cursor;
    turn();
    assert_in_range(outbox->request_cursor - taken, 1, 200);
    for (int i = 0; outbox->request_cursor - taken < 400; i++) {
        assert_in_range(i, 0, 400);
        turn();
    }
}

/* ---- order ---- */

static void a_later_one_is_not_early_when_order_is_switched_off(void **state) {
    struct job *job;

    (void)state;
    subscribe("{\"ordered\": true}");
    emit(1);
    sql("SELECT resthook_emit('a.a', '{}', '{\"deliver_at\": 4102444800}')");
    turn();
    job = must_send(1);
    turn();
    assert_int_equal(side("SELECT next_at IS NULL FROM delivery WHERE event = 2"), 1);
    update("{\"ordered\": null}");
    turns(SECOND);
    assert_null(sent());
    answer(job, 200);
    turns(SECOND);
    assert_null(sent());
    assert_int_equal(side("SELECT next_at / 1000 FROM delivery WHERE event = 2"), 4102444800);
}

/* What is kept for a pause: so many rows, the last ones due first. */
static void keep(int count) {
    subscribe("{\"status\": \"inactive\"}");
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO resthook_outbox(event, payload) SELECT 'a.a', '{}' FROM n",
        count);
    for (int i = 0; side("SELECT count(*) FROM delivery") < count; i++) {
        assert_in_range(i, 0, 10000);
        turns(50);
    }
    db_exec(journal_db(outbox->journal), "UPDATE delivery SET next_at = next_at - event");
}

/* However many rows there are: none of its statements is one that a file made for the purpose would have. */
static void order_is_switched_in_steps(void **state) {
    const int count = 20000;

    (void)state;
    keep(count);
    db_exec(journal_db(outbox->journal),
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4)"
            " INSERT INTO delivery(sub, event, state, name, created_at, next_at)"
            "  SELECT sub, event + i * 20000, 0, name, created_at, next_at FROM delivery, n");
    journal_db(outbox->journal)->steps_most = 2; /* million */
    for (int on = 1; on >= 0; on--) {
        int64_t left = 5 * (int64_t)count;

        update(on ? "{\"ordered\": true}" : "{\"ordered\": null}");
        turn();
        assert_true(side(on ? "SELECT sum(key IS NULL) FROM delivery"
                            : "SELECT sum(key IS NOT NULL) FROM delivery") > left / 2);
        for (int i = 0; order_pending(outbox, now) || i < 3; i++) {
            assert_in_range(i, 0, 10000);
            assert_null(outbox->held);
            turn();
        }
        assert_int_equal(side(on ? "SELECT sum(key IS NULL) FROM delivery"
                                 : "SELECT sum(key IS NOT NULL OR next_at IS NULL) FROM delivery"),
                         0);
    }
    assert_null(outbox->held);
}

/* Who is ordered sends after a restart at once, and isn't looked through for what is final. */
static void what_is_final_is_not_brought_to_order(void **state) {
    (void)state;
    subscribe("{\"ordered\": true, \"retry_schedule\": \"0,1s\"}");
    emit(1);
    turn();
    answer(must_send(1), 503);
    turns(50);
    db_exec(journal_db(outbox->journal),
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO delivery(sub, event, state, name, created_at, finished_at, key)"
            "  SELECT sub, i, 3, name, created_at, created_at, 'k' FROM delivery, n");
    now += 2 * SECOND;
    outbox_close(outbox, now);
    open_outbox();
    turn();
    answer(must_send(1), 200);
}

/* However many switch at once, a turn is short. */
static void many_are_brought_to_order_in_many_turns(void **state) {
    int begun = 0;
    struct sub *sub;

    (void)state;
    look_us = 100;
    for (int i = 0; i < 40; i++) {
        sql("SELECT resthook_subscribe('a.*', 'https://example.com/%d', '{\"status\": "
            "\"inactive\"}')",
            i);
    }
    sql("SELECT resthook_emit('a.a', '{}')");
    turns(SECOND);
    db_exec(journal_db(outbox->journal),
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
            " INSERT INTO delivery(sub, event, state, name, created_at, next_at)"
            "  SELECT sub, i, 0, name, created_at, next_at FROM delivery, n");
    update("{\"ordered\": true}");
    turn();
    TAILQ_FOREACH(sub, &outbox->subs.list, links) {
        begun += sub->sorted_to > 0;
    }
    assert_in_range(begun, 1, 20);
    for (int i = 0; order_pending(outbox, now); i++) {
        assert_in_range(i, 0, 10000);
        turn();
    }
    assert_int_equal(side("SELECT sum(key IS NULL) FROM delivery"), 0);
}

/* … and who stands behind thousands that have nothing to bring to order comes to his turn. */
static void one_behind_thousands_is_brought_to_order(void **state) {
    int rounds = 0;

    (void)state;
    subscribe("{\"status\": \"inactive\"}");
    sql("SELECT resthook_emit('a.a', '{}')");
    turns(SECOND);
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at, "
        "updated_at)"
        "  SELECT 'sub_' || i, 'other', target || i, secret, 0, 0, 0 FROM n, "
        "resthook_subscription");
    turns(SECOND);
    assert_int_equal(outbox->subs.count, 20001);
    struct sub *sub = TAILQ_FIRST(&outbox->subs.list);

    TAILQ_REMOVE(&outbox->subs.list, sub, links);
    TAILQ_INSERT_TAIL(&outbox->subs.list, sub, links);
    sql("SELECT resthook_update(id, '{\"ordered\": true}') FROM resthook_subscriptions WHERE event "
        "<> 'other'");
    do {
        turn();
        assert_in_range(rounds++, 0, 1000);
    } while (order_pending(outbox, now));
    assert_int_equal(side("SELECT sum(key IS NULL) FROM delivery"), 0);
}

/* While rows are not sorted yet, nothing overtakes those that are not known to be before it. */
static void order_holds_while_it_is_switched_on(void **state) {
    struct job *job;
    int next = 1;

    (void)state;
    keep(3000);
    update("{\"ordered\": true, \"status\": \"active\"}");
    for (int quiet = 0; quiet < 100; quiet++) {
        while ((job = sent()) != NULL) {
            assert_int_equal(job->sequence, next++);
            answer(job, 200);
            quiet = 0;
        }
        turns(50);
    }
    assert_int_equal(next, 3001);
}

static void a_replay_that_waits_for_its_key_does_not_expire(void **state) {
    struct job *job;

    (void)state;
    sql("SELECT resthook_set('keep_pending', 3600)");
    subscribe("{\"ordered\": true, \"status\": \"inactive\"}");
    emit(1);
    turns(2 * HOUR);
    assert_int_equal(state_of(1), STATE_DEAD);
    sql("SELECT resthook_resume(id) FROM resthook_subscriptions");
    sql("INSERT INTO resthook_outbox(event, payload, created_at) VALUES ('a.a', '{}', %lld)",
        (long long)now);
    turn();
    job = must_send(2);
    request("replay", 1);
    turns(2 * 60 * SECOND);
    assert_int_equal(state_of(1), STATE_PENDING);
    answer(job, 200);
    turns(SECOND);
    answer(must_send(1), 200);
}

/* The handshake is the oldest of what a pending subscription keeps. */
static void a_handshake_is_not_too_much(void **state) {
    (void)state;
    sql("SELECT resthook_set('keep_pending_rows', 3)");
    subscribe("{\"ordered\": true, \"verify\": \"x-hook-secret\", \"retry_schedule\": \"0,1h\"}");
    turn();
    answer(must_send(1), 500);
    emit(10);
    turns(70 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 4"), 8);
    assert_int_equal(state_of(1), STATE_RETRYING);
}

/* Although what is before it was not yet read again. */
static void a_handshake_goes_on_after_a_kill(void **state) {
    struct job *job;

    (void)state;
    sql("SELECT resthook_subscribe('a.a', 'https://example.org/')");
    emit(1);
    turn();
    must_send(1);
    emit(300);
    subscribe("{\"ordered\": true, \"verify\": \"x-hook-secret\"}");
    turn();
    turn();
    do {
        job = sent();
        assert_non_null(job);
    } while (strcmp(job->event, "resthook.verify") != 0);
    answer(job, 500);
    turn();
    assert_int_equal(state_of(302), STATE_RETRYING);
    killed();
    now += HOUR;
    turns(SECOND);
    do {
        job = sent();
        assert_non_null(job);
    } while (strcmp(job->event, "resthook.verify") != 0);
}

/* Its key is known: it holds that alone. */
static void what_a_filter_can_not_judge_holds_its_key(void **state) {
    (void)state;
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY, name, size)");
    sql("SELECT resthook_watch('item', 'insert', 'a.item', '{\"key\": \"NEW.name\"}')");
    subscribe("{\"ordered\": true, \"filter\": \"abs(NEW.size) >= 0\"}");
    sql("INSERT INTO item(name, size) VALUES ('a', -9223372036854775807 - 1), ('a', 1), ('b', 1)");
    turns(SECOND);
    assert_int_equal(state_of(1), STATE_HELD);
    answer(must_send(3), 200);
    assert_null(sent());
    request("cancel", 1);
    turns(SECOND);
    answer(must_send(2), 200);
}

/* A filter that was not asked left nothing out. */
static void what_when_leaves_out_is_not_counted_for_a_filter(void **state) {
    (void)state;
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY, size)");
    sql("CREATE TABLE most(size)");
    sql("INSERT INTO most VALUES (-9223372036854775807 - 1)");
    sql("SELECT resthook_watch('item', 'insert', 'a.item',"
        " '{\"when\": \"abs((SELECT size FROM most)) > NEW.size\"}')");
    subscribe("{\"filter\": \"NEW.size > 0\"}");
    sql("INSERT INTO item(size) VALUES (1)");
    turns(SECOND);
    assert_int_equal(state_of(1), STATE_HELD);
    sql("UPDATE most SET size = 0");
    turns(70 * SECOND);
    assert_int_equal(state_of(1), STATE_CANCELLED);
    assert_int_equal(side("SELECT sum(filtered) FROM subscription"), 0);
}

/* ---- another file ---- */

/* What is to be said of the database that the side file was of is not said in this one. */
static void what_is_adopted_begins_anew(void **state) {
    struct outbox_options options = {.adopt = ADOPT_SEND, .lock = -1};
    char *error = NULL;
    int status;

    (void)state;
    sql("SELECT resthook_subscribe('resthook.*', 'https://example.org/')");
    subscribe("{\"retry_schedule\": \"0\"}");
    emit(1);
    turn();
    answer(must_send(1), 500);
    turn();
    assert_int_equal(side("SELECT count(*) FROM notice"), 1);
    outbox_close(outbox, now);
    sql("UPDATE resthook_meta SET value = 'another' WHERE name = 'token'");
    outbox = outbox_open(file, &options, endpoints, wake, now, &error, &status);
    assert_non_null(outbox);
    assert_int_equal(side("SELECT count(*) FROM notice"), 0);
    assert_int_equal(side("SELECT count(failing_since) FROM subscription"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_calm, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_new_subscription_has_a_number_of_its_own),
        TEST(a_pause_is_obeyed_later),
        TEST(a_pause_is_obeyed_behind_a_full_window),
        TEST(a_review_is_done_later),
        TEST(an_end_is_obeyed_later),
        TEST(what_waited_before_the_start_is_sent_later),
        TEST(a_confirmation_is_written_later),
        TEST(what_is_cancelled_in_flight_is_not_sent_after_a_kill),
        TEST(what_is_cancelled_in_flight_can_be_replayed),
        TEST(what_is_replayed_in_flight_has_its_schedule),
        TEST(what_is_cancelled_in_memory_can_be_replayed),
        TEST(what_failed_when_it_ended_ends_too),
        TEST(what_failed_when_it_was_unsubscribed_ends_too),
        TEST(who_is_gone_stays_so),
        TEST(a_probe_that_outlasts_failing),
        TEST(a_probe_that_is_cancelled),
        TEST(a_probe_that_is_cancelled_before_it_is_sent),
        TEST(one_probe_at_a_time),
        TEST(a_probe_has_its_schedule_afterwards),
        TEST(requests_are_carried_out_in_steps),
        TEST(a_later_one_is_not_early_when_order_is_switched_off),
        TEST(order_is_switched_in_steps),
        TEST(what_is_final_is_not_brought_to_order),
        TEST(many_are_brought_to_order_in_many_turns),
        TEST(one_behind_thousands_is_brought_to_order),
        TEST(order_holds_while_it_is_switched_on),
        TEST(a_replay_that_waits_for_its_key_does_not_expire),
        TEST(a_handshake_is_not_too_much),
        TEST(a_handshake_goes_on_after_a_kill),
        TEST(what_a_filter_can_not_judge_holds_its_key),
        TEST(what_when_leaves_out_is_not_counted_for_a_filter),
        TEST(what_is_adopted_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
