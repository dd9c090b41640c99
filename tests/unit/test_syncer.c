/*
** test_syncer.c: what is committed to a side file reaches the disk (sync.c), in a thread of its own
** (syncer.c). The disk is one that knows what was synced. Who asks for it: test_durable.c.
** SPDX-License-Identifier: MIT
*/
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "../failures/disk.h"
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_wal_reaches_the_disk, begin, end),
        cmocka_unit_test_setup_teardown(the_wal_is_copied, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_in_the_way, begin, end),
        cmocka_unit_test_setup_teardown(beside_a_writer, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_side_file, begin, end),
        cmocka_unit_test_setup_teardown(it_says_when_it_has_done_it, begin, end),
        cmocka_unit_test_setup_teardown(it_takes_all_in_turn, begin, end),
    };

    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
