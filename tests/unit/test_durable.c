/*
** test_durable.c: an outbox whose side file is brought to the disk by somebody else (durable.c). The syncer
** is one without a thread: it works in the moment in which it is asked, and says so when the test lets it.
** SPDX-License-Identifier: MIT
*/
#include "outbox_world.h"

#include <limits.h>
#include <sys/stat.h>

#include "../failures/disk.h"
#include "journal_state.h"
#include "sync.h"
#include "syncer.h"

static struct syncer { bool says_so, fails; } syncer;

void syncer_ask(struct syncer *self, struct sync_job *job) {
    assert_false(job->asked);
    job->asked = true;
    job->rc = self->fails ? SQLITE_IOERR_FSYNC : sync_side_file(job->path, job->copy);
    self->fails = false;
}

bool syncer_ended(struct syncer *self, struct sync_job *job, int *rc) {
    bool ended = job->asked && self->says_so;

    if (ended) {
        job->asked = self->says_so = false;
        *rc = job->rc;
    }
    return ended;
}

void syncer_wait(struct syncer *self, struct sync_job *job) {
    (void)self;
    job->asked = false;
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

/* The outbox hears of it; it may ask again in the same turn. */
static void until_done(void) {
    assert_true(outbox->sync_runs);
    syncer.says_so = true;
    turn();
    assert_false(syncer.says_so);
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

static int begin(void **state) {
    int rc = begin_with_items(state);

    outbox_close(outbox, now);
    syncer.says_so = false;
    with_syncer = &syncer;
    open_outbox();
    calm_down();
    return rc;
}

/* On a disk that knows what was synced. It knows few names: for two tests. */
static int begin_on_disk(void **state) {
    disk_cut(LONG_MAX, 1);
    return begin(state);
}

static int end_on_disk(void **state) {
    int rc = end_world(state);

    disk_cut(0, 1);
    return rc;
}

static bool is_synced(const char *suffix) {
    char path[96];

    snprintf(path, sizeof path, "%s%s", file, suffix);
    return disk_is_synced(path);
}

static int64_t recorded(void) {
    return side("SELECT count(*) FROM delivery WHERE state = 3");
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

/* What a failed sync left is written to another place, the file; and then there is one more commit. */
static void what_the_thread_can_not_is_done_without_it(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        syncer.fails = true;
        deliver(1);
        until_asked();
        until_done();
        assert_true(outbox->sync_failed && outbox->unsynced);
        for (int64_t most = now + SECOND; outbox->unsynced; now += 50) { /* nothing else happens */
            assert_true(now <= most);
            turn();
        }
        assert_true(is_synced("-resthook-wal"));
        assert_true(is_synced("-resthook")); /* and it stands in the file, too */
        assert_false(outbox->unsynced || outbox->sync_failed || outbox->sync_runs);
        assert_true(outbox->journal->full && outbox->sync_said);
    }
    deliver(1); /* and then by it again */
    until_asked();
    until_done();
    calm_down();
    assert_false(outbox->unsynced || outbox->sync_failed || outbox->sync_said);
    assert_true(is_synced("-resthook-wal"));
}

/* Whoever has no syncer syncs by a commit, in which there is something: SQLite syncs no other. The disk is
** asked, not the outbox. */
static void without_a_thread_by_a_commit(void **state) {
    (void)state;
    outbox_close(outbox, now);
    with_syncer = NULL;
    open_outbox();
    sql("SELECT resthook_set('sync_every', 0.3)"); /* sooner than a sign of life */
    turns(3 * SECOND);
    for (int i = 0; i < 3; i++) {
        now += 10;
        deliver(1);
        turns(50);
        while (outbox->unsynced) {
            assert_false(is_synced("-resthook-wal"));
            now += 50;
            turn();
        }
        assert_true(is_synced("-resthook-wal"));
    }
}

/* sync_every 0: each group, at once. */
static void each_group_is_synced_by_itself(void **state) {
    (void)state;
    sql("SELECT resthook_set('sync_every', 0)");
    turns(100);
    deliver(1);
    turns(50);
    assert_true(outbox->journal->full);
    assert_false(outbox->unsynced || outbox->sync_runs || outbox->journal->left);
}

/* … so that one that hangs makes no sync of each outcome of others. */
static void a_sync_waits_for_what_is_under_way(void **state) {
    (void)state;
    for (int every = 1; every >= 0; every--) {
        struct job *jobs[2];

        sql("SELECT resthook_set('sync_every', %d)", every);
        deliver(1); /* with a sign of life */
        int64_t before = recorded();

        sql("INSERT INTO item DEFAULT VALUES");
        sql("INSERT INTO item DEFAULT VALUES");
        turn();
        for (int i = 0; i < 2; i++) {
            jobs[i] = claim();
            assert_non_null(jobs[i]);
        }
        settle(jobs[0], VERDICT_DELIVERED, 0);
        turn();
        assert_int_equal(recorded(), before + (every > 0));
        now += 5;
        turn();
        assert_int_equal(recorded(), before + 1);
        settle(jobs[1], VERDICT_DELIVERED, 0);
        turn();
        assert_int_equal(recorded(), before + 2);
        calm_down();
    }
}

static int pages(void) {
    struct stat info;
    char wal[96];

    snprintf(wal, sizeof wal, "%s-resthook-wal", file);
    assert_int_equal(stat(wal, &info), 0);
    return (int)(info.st_size / 4096);
}

/* Outcomes come all the time, while it is copied too; it begins anew nevertheless. */
static void a_long_wal_begins_anew(void **state) {
    int most = 0, held = 0, short_ones = 0;

    (void)state;
    for (int i = 0; i < 1500; i++) {
        int64_t before = recorded();

        deliver(8);
        if (outbox->sync_short) {
            assert_int_equal(recorded(), before);
            held++;
        } else {
            assert_int_equal(recorded(), before + 8);
        }
        now += 100;
        if (outbox->sync_runs && (outbox->sync_short || i % 3 == 0)) {
            until_done();
            short_ones += outbox->sync_short;
        }
        turn();
        most = pages() > most ? pages() : most;
    }
    assert_true(short_ones > 1 && held >= short_ones);
    assert_true(most < 2000);
}

/* A copy is followed by the short one. */
static void until_held(void) {
    while (!outbox->sync_short) {
        deliver(8);
        now += 100;
        turn();
        if (outbox->sync_runs && !outbox->sync_short) {
            deliver(8); /* meanwhile */
            until_done();
        }
    }
}

/* A group that is full is written in any case: what a kill takes back stays bounded. */
static void a_full_group_is_not_held(void **state) {
    (void)state;
    until_held();
    int64_t before = recorded();

    deliver(255);
    now += 90;
    turn();
    assert_true(outbox->sync_short);
    assert_int_equal(recorded(), before);
    assert_int_equal(outbox->done_count, 255);
    deliver(1);
    assert_int_equal(recorded(), before + 256);
    assert_true(outbox->sync_short);
    deliver(2); /* and at the end nothing waits for more */
    until_done();
    turns(50);
    assert_int_equal(recorded(), before + 258);
}

/* Nor is anything held for longer than a moment, however long the disk takes. */
static void nothing_is_held_for_long(void **state) {
    int64_t due;

    (void)state;
    until_held();
    int64_t before = recorded(), beat = outbox->beat_at;

    deliver(5);
    assert_int_equal(recorded(), before);
    due = outbox_source(outbox)->turn(outbox_source(outbox), now, true);
    assert_true(due > now && due <= now + 100);
    now = due;
    turn();
    assert_int_equal(recorded(), before + 5);
    for (int i = 0; i < 15; i++) {
        now += SECOND;
        due = outbox_source(outbox)->turn(outbox_source(outbox), now, true);
        assert_true(due > now);
    }
    assert_true(outbox->sync_short && outbox->sync_said && outbox->beat_at > beat);
    until_done();
    calm_down();
    assert_false(outbox->sync_said || outbox->unsynced);
}

/* While one is at work nothing is asked for, and closing waits for it. */
static void it_is_closed_meanwhile(void **state) {
    (void)state;
    deliver(1);
    until_asked();
    turns(5 * SECOND);
    assert_true(outbox->sync_runs && outbox_syncs(outbox));
    outbox_stop(outbox);
    until_done();
    assert_false(outbox_syncs(outbox));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outcomes_reach_the_disk_by_the_thread, begin, end_world),
        cmocka_unit_test_setup_teardown(what_comes_meanwhile_is_asked_for_anew, begin, end_world),
        cmocka_unit_test_setup_teardown(what_the_thread_can_not_is_done_without_it, begin_on_disk,
                                        end_on_disk),
        cmocka_unit_test_setup_teardown(without_a_thread_by_a_commit, begin_on_disk, end_on_disk),
        cmocka_unit_test_setup_teardown(each_group_is_synced_by_itself, begin, end_world),
        cmocka_unit_test_setup_teardown(a_sync_waits_for_what_is_under_way, begin, end_world),
        cmocka_unit_test_setup_teardown(a_long_wal_begins_anew, begin, end_world),
        cmocka_unit_test_setup_teardown(a_full_group_is_not_held, begin, end_world),
        cmocka_unit_test_setup_teardown(nothing_is_held_for_long, begin, end_world),
        cmocka_unit_test_setup_teardown(it_is_closed_meanwhile, begin, end_world),
    };

    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
