/*
** test_retention.c: what may go, goes, and gives way.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <sys/stat.h>

static int64_t events(void) {
    return value_of(app, "SELECT count(*) FROM resthook_outbox");
}

/* The same, and somebody writes to a table that nobody watches before each. */
static void busy_turns(int64_t ms) {
    for (int64_t end = now + ms; now < end;) {
        sql("INSERT INTO own VALUES (1)");
        now += 50;
        turn();
    }
}

static void emit(int count, int64_t at) {
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO resthook_outbox(event, payload, created_at) SELECT 'a.a', '1', %lld FROM n",
        count, (long long)at);
}

/* So many events, read and recorded, and in a second old enough (keep_events). */
static void age(int count) {
    emit(count, now);
    turns(59 * SECOND);
    assert_int_equal(side("SELECT value FROM meta WHERE name = 'cursor'"), count);
    assert_int_equal(events(), count);
}

/* So many rows of what was delivered long ago, of events before the first. */
static void deliver_long_ago(int count) {
    struct db *db = journal_db(outbox->journal);
    char *insert = sqlite3_mprintf(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO delivery(sub, event, state, name, created_at, finished_at)"
        "  SELECT 1, -i, 3, 1, 1, 1 FROM n",
        count);

    db_exec(db, insert);
    sqlite3_free(insert);
    assert_int_equal(db->rc, SQLITE_OK);
}

static int begin(void **state) {
    (void)state;
    if (begin_world() != 0) {
        return -1;
    }
    sql("CREATE TABLE own(a)");
    sql("SELECT resthook_set('keep_events', 60)");
    return 0;
}

/* ---- app.db ---- */

static void deletes_what_is_old(void **state) {
    (void)state;
    age(3000);
    now += HOUR;
    emit(10, now);
    turns(20 * SECOND);
    assert_in_range(events(), 10, 10 + 64); /* and the anchors */
}

static void gives_way_to_who_writes_anything(void **state) {
    (void)state;
    age(3000);
    busy_turns(9 * SECOND);
    assert_int_equal(events(), 3000);
    turns(SECOND);
    assert_true(events() < 3000); /* it is quiet now */
}

/* … once, between two steps, also when it is seen in a turn that has no step. */
static void gives_way_to_a_single_commit(void **state) {
    int64_t left;

    (void)state;
    age(3000);
    while (events() == 3000) {
        turns(50);
    }
    left = events();
    assert_true(left > 1000);
    sql("INSERT INTO own VALUES (1)");
    for (int64_t until = now + 200; now < until;) {
        now += 10;
        turn();
        assert_int_equal(events(), left);
    }
    turns(SECOND);
    assert_true(events() < left);
}

static void has_its_turn_where_it_is_never_quiet(void **state) {
    int64_t left;

    (void)state;
    age(3000);
    for (left = 3000; events() == left && now > 0;) {
        busy_turns(50);
    }
    left = events();
    assert_in_range(left, 2500, 2999); /* one step */
    busy_turns(4 * SECOND);
    assert_int_equal(events(),
                     left); /* and no other one so soon: in half the time, for there is more */
    busy_turns(2 * SECOND);
    assert_true(events() < left);
}

/* 400 events a second that are old at once, for minutes, and never a pause. */
static void keeps_pace_where_it_is_never_quiet(void **state) {
    int64_t most = 0;

    (void)state;
    for (int64_t began = now; now - began < 240 * SECOND;) {
        emit(20, now - HOUR);
        busy_turns(50);
        if (now - began > 90 * SECOND && events() > most) {
            most = events();
        }
    }
    assert_in_range(most, 1, 65 * 400); /* what comes between two rounds, and a little */
    for (int64_t began = now; now - began < 120 * SECOND;) {
        busy_turns(50); /* nothing grows old any more */
    }
    emit(3000, now - HOUR);
    busy_turns(65 * SECOND);
    assert_in_range(events(), 1, 64 + 400);
}

/* While there is more than one step's worth it has ten a second. */
static void has_more_turns_while_there_is_more(void **state) {
    int steps = 0;

    (void)state;
    age(30000);
    busy_turns(24 * SECOND); /* ten seconds, then five, … */
    for (int64_t until = now + SECOND; now < until;) {
        int64_t before = events();

        busy_turns(50);
        steps += events() < before;
    }
    assert_true(events() > 0);
    assert_in_range(steps, 8, 10);
}

/* The step before was ours, but not the only one since the last look. */
static void tells_its_own_commits_from_those_of_others(void **state) {
    int64_t left;

    (void)state;
    age(1000);
    while (events() == 1000) {
        turns(50);
    }
    left = events();
    busy_turns(2 * SECOND);
    assert_int_equal(events(), left);
    turns(3 * SECOND);
    assert_in_range(events(), 1, 64);
}

static void waits_for_no_time_that_was_set_back(void **state) {
    (void)state;
    turns(3 * SECOND); /* a round is over, and the next one is in a minute */
    emit(100, now - 10 * HOUR);
    turns(7 * SECOND);
    deliver_long_ago(100);
    turns(7 * SECOND);
    assert_int_equal(events(), 100);
    assert_int_equal(side("SELECT count(*) FROM delivery"), 100);
    now -= 5 * HOUR;
    turns(3 * SECOND);
    assert_in_range(events(), 1, 64);
    assert_int_equal(side("SELECT count(*) FROM delivery"), 0);
}

static void hurries_when_it_is_told_to(void **state) {
    int steps = 0;

    (void)state;
    age(3000);
    deliver_long_ago(20000);
    now += SECOND;
    while (retention_hurry(outbox->retention, now)) {
        assert_true(++steps < 1000);
    }
    assert_in_range(events(), 1, 64);
    assert_true(retention_is_done(outbox->retention));
    assert_int_equal(side("SELECT count(*) FROM delivery"), 0);
}

/* At the end of --once others have room between two steps in app.db. */
static void is_gentle_in_app_db(void **state) {
    bool gently = false;
    int steps = 0;

    (void)state;
    age(3000);
    deliver_long_ago(20000);
    now += SECOND;
    sql("BEGIN IMMEDIATE");
    for (int i = 0; i < 1000; i++) { /* the side file's round is over */
        gently = false;
        assert_true(outbox_upkeep(outbox, now, &gently));
        assert_true(gently);
    }
    sql("ROLLBACK");
    while (outbox_upkeep(outbox, now, &gently)) {
        assert_true(++steps < 1000);
    }
    assert_in_range(events(), 1, 64);
}

static void is_not_gentle_in_the_side_file(void **state) {
    bool gently = true;
    int steps = 0;
    char wal[96];
    struct stat status;

    (void)state;
    turn();
    deliver_long_ago(400000);
    sqlite3_wal_checkpoint_v2(journal_db(outbox->journal)->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE,
                              NULL, NULL);
    while (gently) { /* app.db has nothing */
        gently = false;
        assert_true(outbox_upkeep(outbox, now, &gently) && ++steps < 100);
    }
    assert_true(side("SELECT count(*) FROM delivery") > 0);
    while (outbox_upkeep(outbox, now, &gently)) {
        assert_true(!gently && ++steps < 100000);
    }
    assert_int_equal(side("SELECT count(*) FROM delivery"), 0);
    snprintf(wal, sizeof wal, "%s-resthook-wal", file);
    assert_int_equal(stat(wal, &status), 0);
    assert_in_range(status.st_size, 1, 18 << 20);
}

/* … and everything that is to be said in app.db is, whoever left it, although it takes several steps. */
static void says_what_is_to_be_said(void **state) {
    bool gently = false;
    int steps = 0;

    (void)state;
    turn();
    db_exec(journal_db(outbox->journal),
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
            " INSERT INTO notice(event, payload) SELECT 'resthook.a', '{}' FROM n");
    outbox->notices_wait = false; /* as far as it knows */
    sql("INSERT INTO own VALUES (1)");
    while (outbox_upkeep(outbox, now, &gently)) {
        now += 5;
        assert_true(++steps < 1000);
    }
    assert_int_equal(side("SELECT count(*) FROM notice"), 0);
    assert_int_equal(value_of(app, "SELECT count(*) FROM resthook_outbox"), 3000);
}

/* ---- the side file ---- */

static void subscribe(const char *status) {
    sql("SELECT resthook_subscribe('a.a', 'https://example.com/', '{\"status\": \"%s\"}')", status);
    turn();
}

/* All events that there are, as rows of the side file. */
static void record(int64_t count) {
    for (int i = 0; i < 1000 && side("SELECT count(*) FROM delivery") < count; i++) {
        turn();
    }
    assert_int_equal(side("SELECT count(*) FROM delivery"), count);
}

static void ends_the_oldest_of_too_many(void **state) {
    (void)state;
    sql("SELECT resthook_set('keep_pending_rows', 1000)");
    subscribe("inactive");
    emit(5000, now);
    record(5000);
    turns(10 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1000);
    assert_int_equal(side("SELECT min(event) FROM delivery WHERE state = 0"), 4001);
    turns(120 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 1000);
}

/* … however much somebody else has unfinished. */
static void ends_the_earliest_of_an_ordered_one(void **state) {
    struct db *side_file = journal_db(outbox->journal);

    (void)state;
    sql("SELECT resthook_set('keep_pending_rows', 1000)");
    sql("SELECT resthook_subscribe('a.a', 'https://example.com/',"
        " '{\"status\": \"inactive\", \"ordered\": true}')");
    turn();
    sql("SELECT resthook_subscribe('b.b', 'https://example.com/')");
    turn();
    emit(3000, now);
    record(3000);
    db_exec(side_file,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600000)"
            " INSERT INTO delivery(sub, event, state, name, created_at, next_at)"
            "  SELECT 2, -i, 0, 1, unixepoch() * 1000, 4102444800000 FROM n;"
            "UPDATE delivery SET state = 3 WHERE sub = 1 AND event % 3 = 0;");
    assert_int_equal(side_file->rc, SQLITE_OK);
    side_file->steps_most = 2; /* million */
    turns(20 * SECOND);
    assert_null(outbox->held);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE sub = 1 AND state = 0"), 1000);
    assert_int_equal(side("SELECT min(event) FROM delivery WHERE sub = 1 AND state = 0"), 1501);
}

static void ends_what_is_too_old(void **state) {
    (void)state;
    sql("SELECT resthook_set('keep_pending', 3600)");
    subscribe("inactive");
    emit(3000, now);
    emit(500, now + HOUR / 2); /* a clock that was wrong */
    record(3500);
    turns(3 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 3500);
    now += HOUR;
    turns(120 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 500);
    sql("SELECT resthook_set('keep_dead', 0)");
    turns(120 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery"), 500);
}

static void forgets_old_attempts_of_all(void **state) {
    (void)state;
    assert_int_equal(
        sqlite3_exec(
            journal_db(outbox->journal)->handle,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)"
            " INSERT INTO attempt(sub, event, attempt, started_at)"
            "  SELECT i / 100, i / 3, i % 3, iif(i % 10 = 0, 9223372036854775807, 5) FROM n",
            NULL, NULL, NULL),
        SQLITE_OK);
    turns(20 * SECOND);
    assert_int_equal(side("SELECT count(*) FROM attempt"), 900);
}

/* app.db is locked for longer than a round takes, and has something to give up. */
static void does_not_wait_for_what_app_db_gives_up(void **state) {
    (void)state;
    age(1000);
    sql("BEGIN IMMEDIATE");
    turns(5 * SECOND); /* the side file's round is over */
    deliver_long_ago(1000);
    turns(62 * SECOND);
    assert_int_equal(events(), 1000);
    assert_int_equal(side("SELECT count(*) FROM delivery"), 0);
    sql("ROLLBACK");
    turns(5 * SECOND);
    assert_in_range(events(), 1, 64);
}

/* … nor does app.db for the side file, which has enough to forget for several seconds. */
static void gives_up_while_the_side_file_forgets(void **state) {
    (void)state;
    age(600);
    deliver_long_ago(200000);
    turns(3 * SECOND);
    assert_true(side("SELECT count(*) FROM delivery") > 0);
    assert_in_range(events(), 1, 64);
}

/* Where most of what is looked at goes, a step is soon followed by the next. */
static void keeps_pace_with_what_was_delivered(void **state) {
    struct db *db;
    int steps = 0;

    (void)state;
    subscribe("active");
    turns(5 * SECOND);
    deliver_long_ago(400000);
    db = journal_db(outbox->journal);
    /* Until its first or its last has gone: to count all of them each time would take half a minute. */
    while (side("SELECT count(*) FROM delivery WHERE sub = 1 AND event IN (-1, -400000)") == 2) {
        turns(50);
    }
    for (int64_t until = now + SECOND; now < until;) {
        int before = sqlite3_total_changes(db->handle);

        now += 10;
        turn();
        steps += sqlite3_total_changes(db->handle) > before;
    }
    assert_true(side("SELECT count(*) FROM delivery") > 0);
    assert_in_range(steps, 80, 100); /* not 20 */
}

static int64_t work; /* of SQLite on the side file, in thousands of steps of its machine */

static int count_work(void *data) {
    (void)data;
    work++;
    return 0;
}

/* However much is kept, a turn does not do much. */
static void takes_small_steps(void **state) {
    struct db *db;
    int64_t most = 0;

    (void)state;
    subscribe("inactive");
    emit(1, now);
    record(1);
    db = journal_db(outbox->journal);
    db_exec(db, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
                " INSERT INTO delivery(sub, event, state, name, created_at, next_at)"
                "  SELECT sub, i, 0, name, created_at, next_at FROM delivery, n WHERE event = 1");
    assert_int_equal(db->rc, SQLITE_OK);
    sqlite3_progress_handler(db->handle, 1000, count_work, NULL);
    for (int64_t until = now + 70 * SECOND; now < until;) {
        now += 50;
        work = 0;
        turn();
        most = work > most ? work : most;
    }
    sqlite3_progress_handler(db->handle, 0, NULL, NULL);
    assert_in_range(most, 1, 200); /* 2,000 rows; all of them take 2,000 at least */
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 0"), 100000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(deletes_what_is_old),
        TEST(gives_way_to_who_writes_anything),
        TEST(gives_way_to_a_single_commit),
        TEST(has_its_turn_where_it_is_never_quiet),
        TEST(keeps_pace_where_it_is_never_quiet),
        TEST(has_more_turns_while_there_is_more),
        TEST(tells_its_own_commits_from_those_of_others),
        TEST(waits_for_no_time_that_was_set_back),
        TEST(hurries_when_it_is_told_to),
        TEST(is_gentle_in_app_db),
        TEST(is_not_gentle_in_the_side_file),
        TEST(says_what_is_to_be_said),
        TEST(ends_the_oldest_of_too_many),
        TEST(ends_the_earliest_of_an_ordered_one),
        TEST(ends_what_is_too_old),
        TEST(forgets_old_attempts_of_all),
        TEST(does_not_wait_for_what_app_db_gives_up),
        TEST(gives_up_while_the_side_file_forgets),
        TEST(keeps_pace_with_what_was_delivered),
        TEST(takes_small_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
