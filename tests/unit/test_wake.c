/*
** test_wake.c: real files, written by SQLite and watched by the real inotify, whose events are
** there when the write returns; a clock of this file's, so that nothing waits but the one test of
** the timer.
** SPDX-License-Identifier: MIT
*/
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

static int64_t frozen; /* what the clock shows, ns; 0: the real one */

static int clock_of_the_test(clockid_t id, struct timespec *now) {
    *now = (struct timespec){.tv_sec = frozen / 1000000000, .tv_nsec = frozen % 1000000000};
    return frozen != 0 ? 0 : clock_gettime(id, now);
}

static int flood =
    -1; /* a file that somebody writes to before each read of hints; -1: nobody does */
static int flooded;

static ssize_t read_of_the_test(int fd, void *into, size_t size) {
    if (flood >= 0 && flooded < 100000) {
        flooded++;
        assert_int_equal(pwrite(flood, "x", 1, 0), 1);
    }
    return read(fd, into, size);
}

#define clock_gettime clock_of_the_test
#define read read_of_the_test
#include "wake.c"
#undef read
#undef clock_gettime

static char folder[] = "/tmp/resthook-wake-XXXXXX";
static char file[64]; /* the database watched */
static sqlite3 *db;
static struct wake *wake;
static int slot;

static void sql(const char *text) {
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    }
}

static const char *beside(const char *suffix) {
    static char path[sizeof file + 32];

    snprintf(path, sizeof path, "%s%s", file, suffix);
    return path;
}

static void write_file(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    close(fd);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static int begin(void **state) {
    (void)state;
    frozen = 0;
    frozen = (monotonic() / POLL_EVERY + 3600) * POLL_EVERY; /* no timer goes off meanwhile */
    snprintf(file, sizeof file, "%s/app.db", folder);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    sql("CREATE TABLE t(a)");
    wake = wake_new();
    assert_non_null(wake);
    slot = wake_add(wake, file);
    assert_int_equal(wake_take(wake, slot), WAKE_HINT); /* the first look */
    return 0;
}

static int end(void **state) {
    static const char *const files[] = {"",      "-wal",          "-shm", "-journal", "-wal2",
                                        "2-wal", "-resthook-wal", "2",    NULL};

    (void)state;
    wake_free(wake);
    sqlite3_close(db);
    for (int i = 0; files[i] != NULL; i++) {
        unlink(beside(files[i]));
    }
    return 0;
}

static void expect(enum wake_cause cause) {
    wake_turn(wake);
    assert_int_equal(wake_take(wake, slot), cause);
    assert_int_equal(wake_take(wake, slot), WAKE_NONE); /* consumed by the call */
}

/* Is the timer set to this time? */
static void expect_timer(int64_t at) {
    struct timespec times[2];
    struct itimerspec left;

    clock_gettime(CLOCK_MONOTONIC, &times[0]);
    assert_int_equal(timerfd_gettime(wake->timer, &left), 0);
    clock_gettime(CLOCK_MONOTONIC, &times[1]);
    at -= left.it_value.tv_sec * 1000 * MS + left.it_value.tv_nsec;
    assert_in_range(at, times[0].tv_sec * 1000 * MS + times[0].tv_nsec,
                    times[1].tv_sec * 1000 * MS + times[1].tv_nsec);
}

static void sleeps_when_nothing_happens(void **state) {
    (void)state;
    expect(WAKE_NONE);
    sql("SELECT * FROM t");
    expect(WAKE_NONE);
    frozen += 999 * MS;
    expect(WAKE_NONE);
}

static void looks_again_and_again_after_a_commit_in_wal(void **state) {
    static const char *const synchronous[] = {"PRAGMA synchronous=OFF", "PRAGMA synchronous=NORMAL",
                                              "PRAGMA synchronous=FULL"};
    static const int64_t looks[] = {100,   200,   300,   400,    550,    750,    1000,   1300,
                                    1700,  2300,  3000,  3900,   5000,   6300,   8000,   10500,
                                    14000, 20000, 60000, 150000, 350000, 700000, 1000000};

    (void)state;
    sql("PRAGMA journal_mode=WAL");
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) {
        sql(synchronous[i]);
        sql("INSERT INTO t VALUES (1)");
        expect(WAKE_HINT);
        wake_saw(wake, slot); /* the one before */
        sql("INSERT INTO t VALUES (1)");
        expect(WAKE_HINT);
        int64_t start = frozen;

        for (size_t look = 0; look < sizeof looks / sizeof *looks; look++) {
            expect_timer(start + looks[look] * US);
            frozen = start + looks[look] * US - 1;
            expect(WAKE_NONE);
            frozen++;
            expect(looks[look] < 1000000 ? WAKE_RECHECK : WAKE_POLL);
        }
    }
}

/* … but not so closely once one of them saw it: the next might belong to another writer. */
static void looks_less_closely_after_it_saw_a_commit(void **state) {
    (void)state;
    sql("PRAGMA journal_mode=WAL");
    sql("INSERT INTO t VALUES (1)");
    expect(WAKE_HINT);
    int64_t start = frozen;

    frozen = start + 100 * US;
    expect(WAKE_RECHECK);
    wake_saw(wake, slot);
    expect_timer(start + 1000 * US);
    frozen = start + 999 * US;
    expect(WAKE_NONE);
    frozen = start + 1000 * US;
    expect(WAKE_RECHECK);
    wake_saw(wake, slot); /* which takes nothing away from the later ones */
    expect_timer(start + 3000 * US);
    frozen = start + 3000 * US;
    expect(WAKE_RECHECK);
    expect_timer(start + 8000 * US);
    sql("INSERT INTO t VALUES (2)");
    expect(WAKE_HINT);
    expect_timer(frozen + 100 * US);
    start = frozen;
    frozen = start + 3900 * US; /* its sync took that long */
    expect(WAKE_RECHECK);
    expect_timer(start + 5000 * US);
    wake_saw(wake, slot);
    expect_timer(start + 8000 * US);
}

/* Pages that don't fit into memory are written long before the commit. */
static void looks_less_closely_at_a_long_transaction(void **state) {
    (void)state;
    sql("PRAGMA journal_mode=WAL");
    expect(WAKE_HINT);
    wake_saw(wake, slot);
    sql("PRAGMA cache_size=2; BEGIN");
    int64_t start = frozen;

    for (int i = 0; i < 40; i++) {
        sql("INSERT INTO t VALUES (zeroblob(40000))");
        expect(WAKE_HINT);
        expect_timer(frozen + (frozen - start < 10 * MS ? 100 : 1000) * US);
        frozen += 330 * US;
    }
    sql("ROLLBACK"); /* nothing of it is ever seen */
    frozen += 800 * MS;
    expect(WAKE_RECHECK);
    for (int i = 0; i < 2; i++) {
        sql("INSERT INTO t VALUES (1)");
        expect(WAKE_HINT);
        expect_timer(frozen + 100 * US);
        wake_saw(wake, slot);
        frozen += 10 * MS;
        expect(WAKE_RECHECK);
    }
}

static void makes_one_of_many_commits(void **state) {
    (void)state;
    sql("PRAGMA journal_mode=WAL");
    for (int i = 0; i < 200; i++) {
        sql("INSERT INTO t VALUES (1)");
    }
    expect(WAKE_HINT);
    frozen += 50 * US;
    sql("INSERT INTO t VALUES (2)");
    expect(WAKE_HINT);
    frozen += 99 * US; /* the burst began anew */
    expect(WAKE_NONE);
    frozen += 60 * MS; /* looks that were missed are one */
    expect(WAKE_RECHECK);
    frozen += 60 * MS;
    expect(WAKE_NONE);
}

/* Until the transaction is over a reader could make its commit fail. */
static void looks_once_when_the_journal_has_gone(void **state) {
    static const char *const modes[] = {"PRAGMA journal_mode=DELETE",
                                        "PRAGMA journal_mode=TRUNCATE",
                                        "PRAGMA journal_mode=PERSIST"};
    static const char *const synchronous[] = {"PRAGMA synchronous=OFF", "PRAGMA synchronous=NORMAL",
                                              "PRAGMA synchronous=FULL"};

    (void)state;
    sql("PRAGMA cache_size=2"); /* pages are written before the commit */
    for (size_t mode = 0; mode < 3; mode++) {
        sql(modes[mode]);
        wake_turn(wake);
        wake_take(wake, slot); /* the end of the mode before */
        for (size_t i = 0; i < 9; i++) {
            sql(synchronous[i % 3]);
            sql("BEGIN");
            for (int row = 0; row < 3; row++) {
                sql("INSERT INTO t VALUES (zeroblob(10))");
                expect(WAKE_NONE);
                sql("INSERT INTO t VALUES (zeroblob(20000))");
                expect(WAKE_NONE);
            }
            sql("COMMIT");
            expect(WAKE_HINT);
            frozen += 90 * MS;
            expect(WAKE_NONE);
        }
        frozen += 190 * MS;
        expect(WAKE_POLL);
    }
}

static void looks_when_the_file_is_replaced(void **state) {
    (void)state;
    write_file(file);
    expect(WAKE_NONE); /* so does a checkpoint */
    write_file(beside("2"));
    expect(WAKE_NONE);
    assert_int_equal(rename(beside("2"), file), 0);
    expect(WAKE_HINT);
    char *away = strdup(beside("2"));

    assert_int_equal(rename(file, away), 0);
    expect(WAKE_HINT);
    assert_int_equal(rename(away, file), 0);
    expect(WAKE_HINT);
    assert_int_equal(unlink(file), 0);
    expect(WAKE_HINT);
    free(away);
}

static void minds_no_other_file(void **state) {
    static const char *const others[] = {"-shm", "-wal2", "2-wal", "-resthook-wal", NULL};
    char namesake[64];

    (void)state;
    for (int i = 0; others[i] != NULL; i++) {
        write_file(beside(others[i]));
        expect(WAKE_NONE);
    }
    snprintf(namesake, sizeof namesake, "%s/bpp.db-wal", folder);
    write_file(namesake);
    unlink(namesake);
    expect(WAKE_NONE);
    write_file(beside("-wal"));
    expect(WAKE_HINT);
}

static void knows_databases_apart(void **state) {
    char other_folder[] = "/tmp/resthook-wake-XXXXXX";
    char elsewhere[64];
    int second = wake_add(wake, beside("2"));
    int third;

    (void)state;
    assert_non_null(mkdtemp(other_folder));
    snprintf(elsewhere, sizeof elsewhere, "%s/app.db", other_folder);
    third = wake_add(wake, elsewhere);
    assert_int_not_equal(wake_add(wake, "/tmp/app.db"), slot); /* in the directory above */
    assert_int_equal(wake_take(wake, second), WAKE_HINT);
    assert_int_equal(wake_take(wake, third), WAKE_HINT);
    write_file(beside("2-wal"));
    expect(WAKE_NONE);
    assert_int_equal(wake_take(wake, second), WAKE_HINT);
    assert_int_equal(wake_take(wake, third), WAKE_NONE);
    frozen += 60 * MS;
    expect(WAKE_NONE);
    assert_int_equal(wake_take(wake, second), WAKE_RECHECK);
    write_file(elsewhere);
    unlink(elsewhere);
    expect(WAKE_NONE);
    assert_int_equal(wake_take(wake, second), WAKE_NONE);
    assert_int_equal(wake_take(wake, third), WAKE_HINT);
    rmdir(other_folder);
}

/* A cause that was not taken gives way to no lesser one. */
static void keeps_the_first_cause(void **state) {
    (void)state;
    write_file(beside("-wal"));
    wake_turn(wake);
    frozen += 60 * MS;
    wake_turn(wake);
    frozen += 1000 * MS;
    expect(WAKE_HINT);
    write_file(beside("-wal"));
    expect(WAKE_HINT);
    frozen += 1 * MS;
    wake_turn(wake);
    frozen += 1000 * MS;
    expect(WAKE_RECHECK);
}

static void is_not_kept_by_who_writes_without_a_pause(void **state) {
    (void)state;
    flood = open(beside("-log"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(flood >= 0);
    flooded = 0;
    sql("INSERT INTO t VALUES (1)");
    wake_turn(wake);
    close(flood);
    flood = -1;
    assert_true(flooded < 1000);
    expect(WAKE_HINT); /* what matters was among them */
    unlink(beside("-log"));
}

static void looks_everywhere_when_hints_were_lost(void **state) {
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    char text[32] = "";
    long most;
    int files[2];

    (void)state;
    assert_non_null(limit);
    assert_non_null(fgets(text, sizeof text, limit));
    fclose(limit);
    most = strtol(text, NULL, 10);
    assert_true(most > 0);
    for (int i = 0; i < 2; i++) {
        files[i] = open(beside(i == 0 ? "2" : "2-wal"), O_WRONLY | O_CREAT, 0600);
        assert_true(files[i] >= 0);
    }
    for (long i = 0; i < most + 2; i++) { /* by turns: equal neighbours are one event */
        assert_int_equal(pwrite(files[i % 2], "x", 1, 0), 1);
    }
    expect(WAKE_HINT);
    expect(WAKE_NONE);
    close(files[0]);
    close(files[1]);
}

static void polls_what_it_can_not_watch(void **state) {
    int unwatched = wake_add(wake, "/nonexistent/app.db");

    (void)state;
    assert_int_equal(wake_take(wake, unwatched), WAKE_HINT);
    for (int i = 0; i < 3; i++) {
        frozen += 999 * MS;
        wake_turn(wake);
        assert_int_equal(wake_take(wake, unwatched), WAKE_NONE);
        frozen += 1 * MS;
        wake_turn(wake);
        assert_int_equal(wake_take(wake, unwatched), WAKE_POLL);
    }
}

static void polls_all_of_them_at_once(void **state) {
    int second;

    (void)state;
    frozen += 300 * MS;
    second = wake_add(wake, beside("2"));
    wake_take(wake, second);
    frozen += 1000 * MS; /* the first time a second after it came */
    expect(WAKE_POLL);
    assert_int_equal(wake_take(wake, second), WAKE_POLL);
    frozen += 699 * MS;
    expect(WAKE_NONE);
    assert_int_equal(wake_take(wake, second), WAKE_NONE);
    frozen += 1 * MS;
    expect(WAKE_POLL);
    assert_int_equal(wake_take(wake, second), WAKE_POLL);
    expect_timer(frozen + 1000 * MS);
}

static void takes_a_database_in_again(void **state) {
    char again[] = "/tmp/resthook-wake-XXXXXX";
    char path[64];
    int number;

    (void)state;
    assert_non_null(mkdtemp(again));
    snprintf(path, sizeof path, "%s/app.db", again);
    number = wake_add(wake, path);
    assert_int_not_equal(number, slot);
    assert_int_equal(wake_take(wake, number), WAKE_HINT);
    assert_int_equal(rmdir(again), 0);
    wake_turn(wake);
    assert_int_equal(mkdir(again, 0700), 0); /* another directory of the same name */
    assert_int_equal(wake_add(wake, path), number);
    assert_int_equal(wake_take(wake, number), WAKE_HINT);
    write_file(path);
    unlink(path);
    wake_turn(wake);
    assert_int_equal(wake_take(wake, number), WAKE_HINT);
    assert_int_equal(wake_add(wake, file), slot);
    expect(WAKE_HINT);
    rmdir(again);
}

/* Sleeps until a descriptor is readable, not longer than ten seconds. */
static enum wake_cause sleep_until_woken(void) {
    int descriptors[2];
    enum wake_cause cause;

    wake_descriptors(wake, descriptors);
    do {
        struct pollfd fds[] = {{.fd = descriptors[0], .events = POLLIN},
                               {.fd = descriptors[1], .events = POLLIN}};

        assert_true(poll(fds, 2, 10000) > 0);
        wake_turn(wake);
        cause = wake_take(wake, slot);
    } while (cause == WAKE_NONE); /* a burst that another hint began anew */
    return cause;
}

static void wakes_a_sleeper(void **state) {
    int descriptors[2];

    (void)state;
    wake_free(wake);
    frozen = 0;
    wake = wake_new();
    slot = wake_add(wake, file);
    wake_take(wake, slot);
    assert_int_equal(sleep_until_woken(), WAKE_POLL);
    sql("INSERT INTO t VALUES (1)");
    assert_int_equal(sleep_until_woken(), WAKE_HINT);
    sql("PRAGMA journal_mode=WAL");
    assert_int_equal(sleep_until_woken(), WAKE_HINT);
    sql("INSERT INTO t VALUES (1)");
    while (sleep_until_woken() != WAKE_POLL) { /* the burst */
    }
    frozen = monotonic() + 3600000 * MS;
    wake_turn(wake);
    wake_descriptors(wake, descriptors);
    for (int i = 0; i < 2; i++) { /* nothing to do before an hour: nobody is woken */
        struct pollfd fd = {.fd = descriptors[i], .events = POLLIN};

        assert_int_equal(poll(&fd, 1, 0), 0);
    }
}

static void says_that_no_descriptor_is_left(void **state) {
    struct rlimit before;
    struct rlimit none;
    int unused = dup(0);
    rlim_t next = (rlim_t)unused;

    (void)state;
    close(unused);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t left = 0; left < 2; left++) {
        none = before;
        none.rlim_cur = next + left;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        errno = 0;
        assert_null(wake_new());
        assert_int_equal(errno, EMFILE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(dup(0), unused); /* nothing stayed open */
        close(unused);
    }
}

/* Files may come and go for years. */
static void a_slot_that_is_forgotten_is_another_s(void **state) {
    char other[96], third[96];
    int number;

    (void)state;
    snprintf(other, sizeof other, "%s/b.db", folder);
    snprintf(third, sizeof third, "%s/c.db", folder);
    number = wake_add(wake, other);
    assert_true(number != slot);
    wake_forget(wake, other);
    wake_forget(wake, other); /* it has none */
    sql("PRAGMA journal_mode=WAL; INSERT INTO t VALUES (1)");
    expect(WAKE_HINT);
    assert_int_equal(wake_add(wake, third), number);
    assert_int_equal(wake_take(wake, number), WAKE_HINT);
    assert_int_equal(wake_add(wake, file), slot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sleeps_when_nothing_happens),
        TEST(looks_again_and_again_after_a_commit_in_wal),
        TEST(looks_less_closely_after_it_saw_a_commit),
        TEST(looks_less_closely_at_a_long_transaction),
        TEST(makes_one_of_many_commits),
        TEST(looks_once_when_the_journal_has_gone),
        TEST(looks_when_the_file_is_replaced),
        TEST(minds_no_other_file),
        TEST(knows_databases_apart),
        TEST(a_slot_that_is_forgotten_is_another_s),
        TEST(keeps_the_first_cause),
        TEST(is_not_kept_by_who_writes_without_a_pause),
        TEST(looks_everywhere_when_hints_were_lost),
        TEST(polls_what_it_can_not_watch),
        TEST(polls_all_of_them_at_once),
        TEST(takes_a_database_in_again),
        TEST(wakes_a_sleeper),
        TEST(says_that_no_descriptor_is_left),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
