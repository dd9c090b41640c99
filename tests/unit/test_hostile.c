/*
** test_hostile.c: files in which somebody wrote what no function of ours writes: a dispatcher over them
** says so, sends nothing that is no request, and serves the rest. What else may stand in them the fuzzer
** tries (tests/fuzz/app_db.c, side_file.c); here is what it found.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "outbox_world.h"

/* Columns may be NULL from now on, as in a file that was made so. */
static void without_constraints(void) {
    sql("PRAGMA writable_schema = ON");
    sql("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'");
    sql("PRAGMA writable_schema = RESET");
}

static void reopen(void) {
    outbox_close(outbox, now);
    open_outbox();
}

/* What it says instead of being opened; the good file is opened again at the end of the test. */
static void expect_refused(const char *why) {
    struct outbox_options options = {.lock = -1};
    char *error = NULL;
    int status = 0;

    outbox_close(outbox, now);
    outbox = outbox_open(file, &options, endpoints, wake, now, &error, &status);
    assert_null(outbox);
    assert_non_null(error);
    if (strstr(error, why) == NULL) {
        fail_msg("%s", error);
    }
    free(error);
}

/* The good subscription still gets what comes. */
static void expect_service(void) {
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    struct job *job = claim();

    assert_non_null(job);
    assert_string_equal(job->target->url, "https://example.com/good");
    assert_string_equal(job->event, "item.create");
    settle(job, VERDICT_DELIVERED, 0);
}

static const char *kept_reason(const char *id) {
    const struct sub *sub = subscription_named(&outbox->subs, id);

    assert_non_null(sub);
    return sub->kept != NULL ? sub->kept : "nothing";
}

static void alter_side(const char *text) {
    char path[80];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s-resthook", file);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* While the outbox is closed. */
static void change_side(const char *text) {
    outbox_close(outbox, now);
    alter_side(text);
    open_outbox();
}

static void a_table_that_is_gone_is_an_error(void **state) {
    static const char *const tables[] = {"resthook_setting", "resthook_request", "resthook_extra",
                                         "resthook_watch"};

    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char why[100];

        snprintf(why, sizeof why, "no such table: main.%s", tables[i]);
        sql("ALTER TABLE %s RENAME TO elsewhere", tables[i]);
        expect_refused(why);
        sql("ALTER TABLE elsewhere RENAME TO %s", tables[i]);
        open_outbox();
    }
    expect_service();
}

static void a_subscription_without_a_name_is_nobodys(void **state) {
    (void)state;
    without_constraints();
    sql("INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at, "
        "updated_at) VALUES (NULL, 'item.*', 'https://example.com/bad', 'x', 0, 0, 0),"
        "(x'0041', '*', 'https://example.com/bad', 'x', 0, 0, 0),"
        "(CAST(x'410042' AS TEXT), 'a', 'https://example.com/bad', 'x', 0, 0, 0)");
    turns(SECOND);
    assert_int_equal(outbox->subs.count, 1);
    expect_service();
}

static void a_row_that_lacks_something_keeps_its_events(void **state) {
    static const struct {
        const char *change, *reason;
    } rows[] = {
        {"target = NULL", "it has no target"},
        {"event = NULL", "its event is not a name, one followed by .*, or *"},
        {"event = CAST(x'61002e2a' AS TEXT)", "its event is not a name, one followed by .*, or *"},
        {"timeout = -1", "its timeout is not from 0.1 to 300 seconds"},
        {"timeout = 9223372036854775807", "its timeout is not from 0.1 to 300 seconds"},
        {"verify_secret = 'a' || char(13, 10) || 'x: y'",
         "what it has to give back can't be sent as a header"},
    };

    (void)state;
    without_constraints();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sql("INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at, "
            "updated_at) SELECT 'sub_%d', 'a.b', 'https://example.com/%d', secret, 0, 0, 0 FROM "
            "resthook_subscription LIMIT 1",
            (int)i, (int)i);
        sql("UPDATE resthook_subscription SET %s WHERE id = 'sub_%d'", rows[i].change, (int)i);
    }
    turns(SECOND);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[20];

        snprintf(id, sizeof id, "sub_%d", (int)i);
        assert_string_equal(kept_reason(id), rows[i].reason);
    }
    expect_service();
}

static void settings_are_brought_within_their_bounds(void **state) {
    (void)state;
    sql("UPDATE resthook_setting SET value = -1e300");
    turns(SECOND);
    assert_int_equal(outbox->subs.settings.timeout, 100);
    assert_int_equal(outbox->subs.settings.response_most, 0);
    sql("UPDATE resthook_setting SET value = 9e18 WHERE name <> 'retry_schedule'");
    turns(SECOND);
    assert_int_equal(outbox->subs.settings.timeout, 300 * SECOND);
    assert_int_equal(outbox->subs.settings.keep_deliveries, INT64_C(315360000) * SECOND);
    assert_int_equal(outbox->subs.settings.response_most, 65536);
    sql("UPDATE resthook_setting SET value = NULL");
    turns(SECOND);
    expect_service();
}

/* It would be lines of a request's head. */
static void a_watchs_event_that_is_no_name_is_not_sent(void **state) {
    (void)state;
    sql("UPDATE resthook_subscription SET event = '*'");
    sql("UPDATE resthook_watch SET event = 'item.create' || char(13, 10) || 'x: y'");
    reopen();
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    assert_null(claim());
    assert_int_equal(side("SELECT count(*) FROM delivery"), 0);
    sql("UPDATE resthook_watch SET event = 'item.create'");
    reopen();
    expect_service();
}

static void a_token_that_is_none_is_held(void **state) {
    (void)state;
    sql("UPDATE resthook_meta SET value = value || char(13, 10) || 'x: y' WHERE name = 'token'");
    expect_refused("its token was written by somebody else");
    sql("UPDATE resthook_meta SET value = substr(value, 1, 24) WHERE name = 'token'");
    open_outbox();
    expect_service();
}

/* An adoption that was not finished is: by the token that the side file has. */
static void a_half_adopted_ones_token_is_held_too(void **state) {
    (void)state;
    alter_side("INSERT INTO meta SELECT 'former', value FROM meta WHERE name = 'token';"
               "UPDATE meta SET value = value || char(13, 10) || 'x: y' WHERE name = 'token'");
    expect_refused("its token was written by somebody else");
    alter_side("UPDATE meta SET value = substr(value, 1, 24) WHERE name = 'token'");
    open_outbox();
    expect_service();
}

static void a_damaged_watch_is_an_error_of_who_looks_at_it(void **state) {
    char *error = NULL;

    (void)state;
    without_constraints();
    sql("UPDATE resthook_watch SET operation = NULL");
    assert_int_equal(sqlite3_exec(app, "SELECT resthook_repair()", NULL, NULL, &error),
                     SQLITE_ERROR);
    assert_string_equal(error, "resthook_repair: watch 1 is damaged");
    sqlite3_free(error);
    turns(SECOND);
    sql("UPDATE resthook_watch SET operation = 'insert'");
    reopen();
    expect_service();
}

/* Nothing could follow it: it is held, until that row is gone. */
static void the_greatest_id_is_not_read(void **state) {
    (void)state;
    sql("INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    struct job *job = claim();

    assert_non_null(job);
    settle(job, VERDICT_DELIVERED, 0);
    sql("INSERT INTO resthook_outbox(id, event, payload) "
        "VALUES (9223372036854775807, 'item.last', '{}'); INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    assert_non_null(strstr(outbox->held, "the greatest id there is"));
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 1);
    change_side("SELECT 1"); /* closed and opened */
    turns(2 * SECOND);
    assert_non_null(outbox->held);
    for (int i = 0; i < 20; i++) {
        sql("INSERT INTO item DEFAULT VALUES"); /* with any id */
    }
    sql("DELETE FROM resthook_outbox WHERE id = 9223372036854775807");
    change_side("SELECT 1");
    assert_null(outbox->held);
    sql("INSERT INTO item DEFAULT VALUES");
    turns(2 * SECOND);
    while ((job = claim()) != NULL) {
        settle(job, VERDICT_DELIVERED, 0);
    }
    turns(SECOND);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 23);
}

static void what_the_side_file_counts_may_be_any_number(void **state) {
    (void)state;
    change_side("UPDATE meta SET value = 9223372036854775807"
                " WHERE name = 'filtered' OR name LIKE 'wakes_%'");
    assert_int_equal(outbox->filtered, 0);
    expect_service();
    assert_int_equal(outbox->wakes[WAKE_HINT], 1);
}

/* What can't be counted on from is none: then the schedule begins again. */
static void what_it_says_of_attempts_may_be_too(void **state) {
    static const struct {
        const char *change;
        int attempt; /* of the schedule, and … */
        int made;    /* … of all */
    } rows[] = {
        {"attempts = 2147483647, base = -2147483648", 1, 1},
        {"attempts = 9223372036854775807, base = 0", 1, 1},
        {"attempts = 1000000000, base = 0", 1000000001, 1000000001},
        {"attempts = 1000000001, base = 1", 1, 1},
        {"attempts = -1, base = 0", 1, 1},
        {"attempts = 5, base = 3", 3, 6},
        {"attempts = 5, base = -3", 3, 6},
        {"attempts = 5, base = -5", 1, 6},
        {"attempts = 5, base = 6", 6, 6},
        {"attempts = 5, base = -6", 6, 6},
    };
    struct job *job;

    (void)state;
    sql("INSERT INTO item DEFAULT VALUES");
    turns(SECOND);
    job = claim();
    assert_non_null(job);
    settle(job, VERDICT_RETRY, 0);
    turns(SECOND);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *change =
            sqlite3_mprintf("UPDATE delivery SET %s;"
                            "UPDATE subscription SET failing_since = -9223372036854775808",
                            rows[i].change);

        change_side(change);
        sqlite3_free(change);
        turns(2 * SECOND);
        job = claim();
        assert_non_null(job);
        assert_int_equal(job->attempt, rows[i].attempt);
        settle(job, VERDICT_RETRY, 0);
        turns(SECOND);
        assert_int_equal(side("SELECT attempts FROM delivery"), rows[i].made);
    }
}

static void any_number_it_has_may_be_another(void **state) {
    static const char *const numbers[] = {"9223372036854775807",
                                          "-9223372036854775807 - 1",
                                          "2147483647",
                                          "-2147483648",
                                          "'x'",
                                          "NULL"};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *text = sqlite3_mprintf(
            "UPDATE delivery SET attempts = ifnull(%s, 0), base = ifnull(%s, 0), next_at = 1,"
            " state = 1, finished_at = %s, started_at = %s, duration = %s;"
            " UPDATE meta SET value = %s WHERE name IN ('heartbeat_at', 'intact_at', 'filtered',"
            " 'counted_to', 'request_cursor', 'request_filed', 'wakes_hint', 'stopped_at')",
            numbers[i], numbers[i], numbers[i], numbers[i], numbers[i], numbers[i]);
        struct job *job;

        sql("INSERT INTO item DEFAULT VALUES");
        turns(SECOND);
        job = claim();
        assert_non_null(job);
        settle(job, VERDICT_RETRY, 0);
        turns(SECOND);
        change_side(text);
        sqlite3_free(text);
        turns(2 * SECOND);
        while ((job = claim()) != NULL) {
            settle(job, VERDICT_DELIVERED, 0);
            turns(SECOND);
        }
        assert_int_equal(side("SELECT count(*) FROM delivery WHERE state < 3"), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_with_items, end_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_table_that_is_gone_is_an_error),
        TEST(a_subscription_without_a_name_is_nobodys),
        TEST(a_row_that_lacks_something_keeps_its_events),
        TEST(settings_are_brought_within_their_bounds),
        TEST(a_watchs_event_that_is_no_name_is_not_sent),
        TEST(a_token_that_is_none_is_held),
        TEST(a_half_adopted_ones_token_is_held_too),
        TEST(a_damaged_watch_is_an_error_of_who_looks_at_it),
        TEST(what_the_side_file_counts_may_be_any_number),
        TEST(what_it_says_of_attempts_may_be_too),
        TEST(any_number_it_has_may_be_another),
        TEST(the_greatest_id_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
