/*
** test_syncer.c: what is committed to a side file reaches the disk (sync.c), in a thread of its own
** (syncer.c), and the outbox that asks for it (durable.c). The disk is one that knows what was synced.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

#include "../failures/disk.h"
#include "journal_state.h"
#include "sync.h"
#include "syncer.h"

/* ---- one file ---- */

static sqlite3 *writer;
static char place[40], path[64], link_path[64];

static void write_row(void) {
    assert_int_equal(sqlite3_exec(writer, "INSERT INTO t VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
}

static int begin(void **state) {
    (void)state;
    /* Always the same names: the disk knows sixteen. */
    snprintf(place, sizeof place, "/tmp/resthook-syncer-%ld", (long)getpid());
    assert_int_equal(mkdir(place, 0700), 0);
    snprintf(path, sizeof path, "%s/file", place);
    snprintf(link_path, sizeof link_path, "%s/link", place);
    disk_cut(LONG_MAX, 1); /* it never goes, but what would outlive it is known */
    assert_int_equal(sqlite3_open(path, &writer), SQLITE_OK);
    assert_int_equal(sqlite3_exec(writer,
                                  "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                                  "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    write_row();
    return 0;
}

static int end(void **state) {
    (void)state;
    sqlite3_close(writer);
    disk_cut(0, 1);
    unlink(path);
    return rmdir(place);
}

/* Frames in the WAL, and how many of them are in the file. */
static void look(int *frames, int *copied) {
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    *copied = *frames = -1;
    assert_int_equal(sqlite3_exec(db, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, frames, copied),
                     SQLITE_OK);
    sqlite3_close(db);
}

static void the_wal_reaches_the_disk(void **state) {
    struct stat before, after;

    (void)state;
    assert_false(disk_is_synced("/file-wal"));
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(sync_side_file(path, false), SQLITE_OK);
    assert_true(disk_is_synced("/file-wal"));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    write_row();
    assert_false(disk_is_synced("/file-wal"));
}

static int frames_at_commit;

static int count_frames(void *data, sqlite3 *db, const char *schema, int frames) {
    (void)data;
    (void)db;
    (void)schema;
    frames_at_commit = frames;
    return SQLITE_OK;
}

/* And all that is copied is gone from the WAL with the next commit. */
static void the_wal_is_copied(void **state) {
    (void)state;
    sqlite3_wal_hook(writer, count_frames, NULL);
    write_row();
    assert_true(frames_at_commit > 2);
    assert_int_equal(sync_side_file(path, true), SQLITE_OK);
    assert_true(disk_is_synced("/file-wal"));
    assert_true(disk_is_synced("/file"));
    write_row();
    assert_int_equal(frames_at_commit, 1);
}

/* SQLite copies nothing that somebody may still read, and syncs nothing then. */
static void a_reader_in_the_way(void **state) {
    sqlite3 *reader;
    int frames, copied;

    (void)state;
    assert_int_equal(sync_side_file(path, true), SQLITE_OK);
    assert_int_equal(sqlite3_open(path, &reader), SQLITE_OK);
    sqlite3_db_config(reader, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    write_row();
    write_row();
    assert_false(disk_is_synced("/file-wal"));
    assert_int_equal(sync_side_file(path, true), SQLITE_OK);
    assert_true(disk_is_synced("/file-wal"));
    look(&frames, &copied);
    assert_true(copied < frames);
    sqlite3_close(reader);
}

/* A commit that is under way waits for nothing, and nothing for it. */
static void beside_a_writer(void **state) {
    (void)state;
    assert_int_equal(
        sqlite3_exec(writer, "BEGIN IMMEDIATE; INSERT INTO t VALUES (2)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sync_side_file(path, true), SQLITE_OK);
    assert_int_equal(sqlite3_exec(writer, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
}

static void what_is_no_side_file(void **state) {
    sqlite3 *plain;

    (void)state;
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_not_equal(sync_side_file(link_path, false), SQLITE_OK);
    unlink(link_path);
    assert_int_equal(sync_side_file(link_path, false) & 0xff, SQLITE_CANTOPEN);
    assert_int_equal(access(link_path, F_OK), -1);
    assert_int_equal(sqlite3_open(link_path, &plain), SQLITE_OK);
    assert_int_equal(sqlite3_exec(plain, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sync_side_file(link_path, false) & 0xff, SQLITE_CANTOPEN);
    sqlite3_close(plain);
    unlink(link_path);
}

/* ---- the thread ---- */

static void it_says_when_it_has_done_it(void **state) {
    struct syncer *syncer = syncer_new();
    struct sync_job job = {.path = path};
    struct pollfd notice;
    int rc = -1;

    (void)state;
    assert_non_null(syncer);
    notice = (struct pollfd){.fd = syncer_descriptor(syncer), .events = POLLIN};
    assert_false(syncer_ended(syncer, &job, &rc));
    assert_int_equal(poll(&notice, 1, 0), 0);
    syncer_ask(syncer, &job);
    assert_int_equal(poll(&notice, 1, 60000), 1);
    assert_true(syncer_ended(syncer, &job, &rc));
    assert_int_equal(rc, SQLITE_OK);
    assert_true(disk_is_synced("/file-wal"));
    assert_false(syncer_ended(syncer, &job, &rc));
    syncer_heard(syncer);
    assert_int_equal(poll(&notice, 1, 0), 0);
    syncer_free(syncer);
}

static void it_takes_all_in_turn(void **state) {
    struct syncer *syncer = syncer_new();
    struct sync_job jobs[20] = {{.path = link_path}};
    int rc;

    (void)state;
    for (int i = 0; i < 20; i++) {
        jobs[i].path = i % 2 == 0 ? path : link_path; /* which is not there */
        jobs[i].copy = i % 4 == 0;
        syncer_ask(syncer, &jobs[i]);
    }
    for (int i = 19; i >= 0; i--) {
        while (!syncer_ended(syncer, &jobs[i], &rc)) {
            struct pollfd notice = {.fd = syncer_descriptor(syncer), .events = POLLIN};

            assert_int_equal(poll(&notice, 1, 60000), 1);
            syncer_heard(syncer);
        }
        assert_int_equal(rc & 0xff, i % 2 == 0 ? SQLITE_OK : SQLITE_CANTOPEN);
    }
    syncer_ask(syncer, &jobs[0]);
    syncer_wait(syncer, &jobs[0]);
    assert_false(syncer_ended(syncer, &jobs[0], &rc));
    syncer_wait(syncer, &jobs[0]); /* nothing is at work */
    syncer_ask(syncer, &jobs[0]);
    syncer_free(syncer); /* what was asked is done before it goes */
    assert_true(jobs[0].ended);
    syncer_free(NULL);
}

/* ---- the outbox ---- */

static struct syncer *thread;

static int end_with_a_thread(void **state) {
    int rc = end_world(state);

    with_syncer = NULL;
    syncer_free(thread);
    return rc;
}

static void deliver(int count) {
    struct job *job;

    for (int i = 0; i < count; i++) {
        sql("INSERT INTO item DEFAULT VALUES");
    }
    turn();
    while ((job = claim()) != NULL) {
        settle(job, VERDICT_DELIVERED, 0);
        turn();
    }
}

static void until_asked(void) {
    for (int64_t most = now + 2 * SECOND; !outbox->sync_runs; now += 50) {
        assert_true(now < most);
        turn();
    }
}

/* Until the outbox has heard that the thread did what it was asked; it may have asked again since. */
static void until_done(void) {
    struct pollfd notice = {.fd = syncer_descriptor(thread), .events = POLLIN};

    assert_true(outbox->sync_runs);
    assert_int_equal(poll(&notice, 1, 60000), 1);
    syncer_heard(thread);
    turn();
}

/* Whatever else is to reach the disk has done so. */
static void calm_down(void) {
    for (int i = 0; i < 3 || outbox->sync_runs; i++) {
        turns(SECOND);
        if (outbox->sync_runs) {
            until_done();
        }
    }
}

static int begin_with_a_thread(void **state) {
    int rc = begin_with_items(state);

    thread = syncer_new();
    outbox_close(outbox, now);
    with_syncer = thread;
    open_outbox();
    calm_down();
    return rc == 0 && thread != NULL ? 0 : -1;
}

static void outcomes_reach_the_disk_by_the_thread(void **state) {
    int64_t first;

    (void)state;
    deliver(3);
    first = now;
    turns(50);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 3);
    assert_true(outbox->unsynced);
    assert_true(outbox_idle_until(outbox, now) == 0);
    until_asked();
    assert_true(now - first <= SECOND + 100);
    assert_true(outbox_idle_until(outbox, now) == 0);
    until_done();
    calm_down();
    assert_false(outbox->unsynced || outbox->sync_runs);
    assert_false(outbox->journal->full); /* no commit of its own was synced */
    turns(5 * SECOND);                   /* signs of life alone are nothing that has to be there */
    assert_false(outbox->sync_runs || outbox->unsynced);
}

/* What is committed while it works is not taken for done. */
static void what_comes_meanwhile_is_asked_for_anew(void **state) {
    (void)state;
    deliver(1);
    until_asked();
    deliver(1);
    turns(50);
    assert_int_equal(side("SELECT count(*) FROM delivery WHERE state = 3"), 2);
    while (outbox->sync_runs) {
        until_done();
    }
    assert_true(outbox->unsynced);
    until_asked();
    until_done();
    calm_down();
    assert_false(outbox->unsynced);
}

static void what_the_thread_can_not_is_done_without_it(void **state) {
    char away[96], there[96];

    (void)state;
    snprintf(there, sizeof there, "%s-resthook", file);
    snprintf(away, sizeof away, "%s-away", file);
    assert_int_equal(rename(there, away), 0);
    deliver(1);
    until_asked();
    until_done();
    assert_true(outbox->sync_failed && outbox->unsynced);
    assert_int_equal(rename(away, there), 0);
    turns(SECOND);
    assert_false(outbox->unsynced || outbox->sync_failed || outbox->sync_runs);
    assert_true(outbox->journal->full);
    deliver(1); /* and then by it again */
    until_asked();
    until_done();
    calm_down();
    assert_false(outbox->unsynced || outbox->sync_failed);
}

/* sync_every 0: each group, at once. */
static void each_group_is_synced_by_itself(void **state) {
    (void)state;
    sql("SELECT resthook_set('sync_every', 0)");
    turns(100);
    deliver(1);
    turns(50);
    assert_true(outbox->journal->full);
    assert_false(outbox->unsynced || outbox->sync_runs);
}

static int pages(void) {
    struct stat info;
    char wal[96];

    snprintf(wal, sizeof wal, "%s-resthook-wal", file);
    assert_int_equal(stat(wal, &info), 0);
    return (int)(info.st_size / 4096);
}

/*
** While outcomes come a WAL is never found copied to its end; so the second, short copy holds groups up,
** and the WAL begins anew. Without that it grew by each of these.
*/
static void a_long_wal_begins_anew(void **state) {
    int most = 0, began_anew = 0;
    bool was_long = false;

    (void)state;
    for (int i = 0; i < 1500; i++) {
        deliver(8);
        if (outbox->sync_runs && !outbox->sync_short && journal_is_long(outbox->journal)) {
            deliver(8); /* beside the first copy */
        }
        while (outbox->sync_runs) {
            int before = outbox->done_count;
            bool was_short = outbox->sync_short;

            deliver(1);
            if (outbox->sync_runs) {
                assert_true(!was_short || outbox->done_count > before); /* held */
                until_done();
            }
        }
        now += 100;
        turn();
        most = pages() > most ? pages() : most;
        began_anew += was_long && !journal_is_long(outbox->journal);
        was_long = journal_is_long(outbox->journal);
    }
    assert_true(began_anew > 1);
    assert_true(most < 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_wal_reaches_the_disk, begin, end),
        cmocka_unit_test_setup_teardown(the_wal_is_copied, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_in_the_way, begin, end),
        cmocka_unit_test_setup_teardown(beside_a_writer, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_side_file, begin, end),
        cmocka_unit_test_setup_teardown(it_says_when_it_has_done_it, begin, end),
        cmocka_unit_test_setup_teardown(it_takes_all_in_turn, begin, end),
        cmocka_unit_test_setup_teardown(outcomes_reach_the_disk_by_the_thread, begin_with_a_thread,
                                        end_with_a_thread),
        cmocka_unit_test_setup_teardown(what_comes_meanwhile_is_asked_for_anew, begin_with_a_thread,
                                        end_with_a_thread),
        cmocka_unit_test_setup_teardown(what_the_thread_can_not_is_done_without_it,
                                        begin_with_a_thread, end_with_a_thread),
        cmocka_unit_test_setup_teardown(each_group_is_synced_by_itself, begin_with_a_thread,
                                        end_with_a_thread),
        cmocka_unit_test_setup_teardown(a_long_wal_begins_anew, begin_with_a_thread,
                                        end_with_a_thread),
    };

    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
