/*
** syncer.c: see syncer.h. One thread, which takes the jobs in turn; a mutex around their list and
** their states, and nothing else is shared.
** SPDX-License-Identifier: MIT
*/
#include "syncer.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault.h"
#include "memory.h"

STAILQ_HEAD(jobs, sync_job);

struct syncer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked, ended;
    struct jobs jobs;
    bool over;
    int notice; /* eventfd */
};

/* The WAL itself, by the file that SQLite has open for it. */
static int sync_wal(sqlite3 *db) {
    sqlite3_file *wal = NULL;
    int rc = sqlite3_exec(db, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL);

    if (rc == SQLITE_OK) { /* now it is open */
        rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&wal);
    }
    if (rc == SQLITE_OK) {
        rc = wal != NULL && wal->pMethods != NULL
                 ? wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY)
                 : SQLITE_ERROR;
    }
    return rc;
}

/* SQLite syncs the WAL before it copies it, unless a reader lets it copy nothing. */
static int copy_wal(sqlite3 *db) {
    int frames = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);

    return rc == SQLITE_OK && copied < frames ? sync_wal(db) : rc;
}

static int bring_to_disk(const struct sync_job *job) {
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(job->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL);

    if (rc == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        rc = sqlite3_exec(db, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
    }
    fault_point("sync.open");
    if (rc == SQLITE_OK) {
        rc = job->copy ? copy_wal(db) : sync_wal(db);
    }
    fault_point("sync.done");
    (void)sqlite3_close(db);
    return rc;
}

static void *work(void *data) {
    struct syncer *syncer = data;
    const uint64_t one = 1;

    pthread_mutex_lock(&syncer->lock);
    for (;;) {
        struct sync_job *job = STAILQ_FIRST(&syncer->jobs);

        if (job == NULL && syncer->over) {
            break;
        }
        if (job == NULL) {
            pthread_cond_wait(&syncer->asked, &syncer->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&syncer->jobs, links);
        pthread_mutex_unlock(&syncer->lock);
        int rc = bring_to_disk(job);

        pthread_mutex_lock(&syncer->lock);
        job->rc = rc;
        job->ended = true;
        pthread_cond_broadcast(&syncer->ended);
        (void)!write(syncer->notice, &one, sizeof one); /* it counts far beyond what we write */
    }
    pthread_mutex_unlock(&syncer->lock);
    return NULL;
}

struct syncer *syncer_new(void) {
    struct syncer *syncer = xcalloc(1, sizeof *syncer);

    STAILQ_INIT(&syncer->jobs);
    pthread_mutex_init(&syncer->lock, NULL);
    pthread_cond_init(&syncer->asked, NULL);
    pthread_cond_init(&syncer->ended, NULL);
    syncer->notice = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (syncer->notice >= 0 && pthread_create(&syncer->thread, NULL, work, syncer) == 0) {
        return syncer;
    }
    if (syncer->notice >= 0) {
        close(syncer->notice);
    }
    free(syncer);
    return NULL;
}

void syncer_free(struct syncer *syncer) {
    if (syncer == NULL) {
        return;
    }
    pthread_mutex_lock(&syncer->lock);
    syncer->over = true;
    pthread_cond_signal(&syncer->asked);
    pthread_mutex_unlock(&syncer->lock);
    pthread_join(syncer->thread, NULL);
    pthread_cond_destroy(&syncer->asked);
    pthread_cond_destroy(&syncer->ended);
    pthread_mutex_destroy(&syncer->lock);
    close(syncer->notice);
    free(syncer);
}

void syncer_ask(struct syncer *syncer, struct sync_job *job) {
    pthread_mutex_lock(&syncer->lock);
    job->asked = true;
    job->ended = false;
    STAILQ_INSERT_TAIL(&syncer->jobs, job, links);
    pthread_cond_signal(&syncer->asked);
    pthread_mutex_unlock(&syncer->lock);
}

bool syncer_ended(struct syncer *syncer, struct sync_job *job, int *rc) {
    bool ended;

    pthread_mutex_lock(&syncer->lock);
    ended = job->asked && job->ended;
    if (ended) {
        job->asked = false;
        *rc = job->rc;
    }
    pthread_mutex_unlock(&syncer->lock);
    return ended;
}

void syncer_wait(struct syncer *syncer, struct sync_job *job) {
    pthread_mutex_lock(&syncer->lock);
    while (job->asked && !job->ended) {
        pthread_cond_wait(&syncer->ended, &syncer->lock);
    }
    job->asked = false;
    pthread_mutex_unlock(&syncer->lock);
}

int syncer_descriptor(const struct syncer *syncer) {
    return syncer->notice;
}

void syncer_heard(struct syncer *syncer) {
    uint64_t count;

    (void)!read(syncer->notice, &count, sizeof count);
}
