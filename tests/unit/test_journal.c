/*
** test_journal.c: when the side file's WAL is copied into it: after a sync, when nothing is left to be synced for it.
** And what a start writes of subscriptions that it knows: nothing.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "db.h"
#include "journal.h"

#define PAGES 24 /* of a commit, about */

static char folder[] = "/tmp/resthook-journal-XXXXXX";
static char database[64], path[80], wal[96];
static struct journal *journal;
static int commits;

static int64_t pages_of(const char *name) {
    struct stat status;

    assert_int_equal(stat(name, &status), 0);
    return status.st_size / 4096;
}

static void commit(bool durable) {
    char *text = malloc(PAGES * 4096 + 1), name[32];

    assert_non_null(text);
    memset(text, 'x', PAGES * 4096);
    text[PAGES * 4096] = '\0';
    snprintf(name, sizeof name, "text %d", commits++);
    assert_true(journal_begin(journal, durable));
    journal_set_text(journal, name, text);
    assert_true(journal_commit(journal));
    free(text);
}

static int begin(void **state) {
    char *error = NULL;
    FILE *made;

    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(database, sizeof database, "%s/app.db", folder);
    snprintf(path, sizeof path, "%s-resthook", database);
    snprintf(wal, sizeof wal, "%s-wal", path);
    made = fopen(database, "w");
    if (made == NULL || fclose(made) != 0) {
        return -1;
    }
    journal = journal_open(path, database, &error);
    commits = 0;
    return journal != NULL ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    journal_close(journal);
    unlink(wal);
    strcpy(strrchr(wal, '-'), "-shm");
    unlink(wal);
    unlink(path);
    unlink(database);
    rmdir(folder);
    strcpy(strrchr(folder, '-'), "-XXXXXX");
    return 0;
}

static void is_copied_by_a_commit_that_is_synced(void **state) {
    (void)state;
    commit(true);
    int64_t before = pages_of(path);

    while (pages_of(wal) < 2000) {
        assert_true(commits < 200);
        commit(false);
    }
    assert_int_equal(pages_of(path), before);
    journal_tidy(journal);
    assert_int_equal(pages_of(path), before);
    commit(true);
    assert_int_equal(pages_of(path), before); /* not in the middle of what it is a part of */
    journal_tidy(journal);
    assert_true(pages_of(path) >= 1500);
    int64_t log = pages_of(wal);

    for (int i = 0; i < 20; i++) {
        commit(false);
    }
    assert_int_equal(pages_of(wal), log); /* it is written from its start again */
}

static void is_not_copied_for_little(void **state) {
    (void)state;
    commit(true);
    int64_t before = pages_of(path);

    while (pages_of(wal) < 900) {
        assert_true(commits < 200);
        commit(true);
        journal_tidy(journal);
    }
    assert_int_equal(pages_of(path), before);
}

/* sync_every may be a day. */
static void is_copied_without_a_sync_once_it_is_long(void **state) {
    (void)state;
    int64_t before = pages_of(path);

    while (pages_of(path) == before) {
        assert_true(pages_of(wal) < 5000);
        assert_true(commits < 1000);
        commit(false);
        journal_tidy(journal);
    }
    assert_true(pages_of(wal) >= 3900);
}

/* What a reader keeps from being copied is copied once it has gone. */
static void is_copied_later_for_a_reader(void **state) {
    sqlite3 *reader;

    (void)state;
    commit(true);
    assert_int_equal(sqlite3_open(path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM meta", NULL, NULL, NULL),
                     SQLITE_OK);
    int64_t before = pages_of(path);

    for (int i = 0; i < 100; i++) {
        commit(true);
        journal_tidy(journal);
    }
    assert_in_range(pages_of(path), before, 100); /* what the reader sees */
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    commit(true);
    journal_tidy(journal);
    assert_true(pages_of(path) >= 100 * PAGES);
}

/* Not even for SQLite's own object. */
static void says_that_there_is_no_memory(void **state) {
    char *error = NULL;

    (void)state;
    sqlite3_hard_heap_limit64(1);
    struct journal *none = journal_open(path, database, &error);

    sqlite3_hard_heap_limit64(0);
    assert_null(none);
    assert_non_null(error);
    assert_non_null(strstr(error, "memory"));
    free(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* In a transaction of its own. */
static int64_t number_of(const char *id, const char *target) {
    assert_true(journal_begin(journal, false));
    int64_t n = journal_subscription(journal, id, target);

    assert_true(journal_commit(journal));
    return n;
}

static void writes_a_subscription_only_when_it_is_another(void **state) {
    (void)state;
    int64_t first = number_of("a", "http://a/"), second = number_of("b", "http://b/");

    assert_true(first > 0 && second > 0 && first != second);
    int64_t pages = pages_of(wal);

    assert_int_equal(number_of("a", "http://a/"), first);
    assert_int_equal(pages_of(wal), pages);
    assert_int_equal(number_of("a", "http://c/"), first); /* somebody led it elsewhere */
    assert_true(pages_of(wal) > pages);
    sqlite3_stmt *target =
        db_prepare(journal_db(journal), "SELECT target FROM subscription WHERE id = 'a'");

    assert_true(db_row(journal_db(journal), target));
    assert_string_equal(db_string(target, 0), "http://c/");
    db_reset(target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(is_copied_by_a_commit_that_is_synced),
        TEST(is_not_copied_for_little),
        TEST(is_copied_without_a_sync_once_it_is_long),
        TEST(is_copied_later_for_a_reader),
        TEST(says_that_there_is_no_memory),
        TEST(writes_a_subscription_only_when_it_is_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
