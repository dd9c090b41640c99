/*
** syncer.c: see syncer.h. One thread, which takes the jobs in turn; a mutex around their list and
** their states, and nothing else is shared.
** SPDX-License-Identifier: MIT
*/
#include "syncer.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "memory.h"
#include "sync.h"

STAILQ_HEAD(jobs, sync_job);

struct syncer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked, ended;
    struct jobs jobs;
    bool over;
    int notice; /* eventfd */
};

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
        int rc = sync_side_file(job->path, job->copy);

        pthread_mutex_lock(&syncer->lock);
        job->rc = rc;
        job->ended = true;
        pthread_cond_broadcast(&syncer->ended);
        (void)!write(syncer->notice, &one, sizeof one); /* it counts far beyond what we write */
    }
    pthread_mutex_unlock(&syncer->lock);
    return NULL;
}

/* Signals are for who waits for them (main.c), not for it. */
static bool begin(struct syncer *syncer) {
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool began = pthread_create(&syncer->thread, NULL, work, syncer) == 0;

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return began;
}

struct syncer *syncer_new(void) {
    struct syncer *syncer = xcalloc(1, sizeof *syncer);

    STAILQ_INIT(&syncer->jobs);
    pthread_mutex_init(&syncer->lock, NULL);
    pthread_cond_init(&syncer->asked, NULL);
    pthread_cond_init(&syncer->ended, NULL);
    syncer->notice = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (syncer->notice >= 0 && begin(syncer)) {
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
