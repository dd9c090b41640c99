/*
** lanes.c: see lanes.h. The lane of those who may hang is driven by curl_multi_socket_action: its
** sockets are in an epoll, whose own descriptor the other lane's poll watches. When its timer runs out
** is kept here: libcurl sets it several times for each attempt, and a descriptor would have to be told.
** SPDX-License-Identifier: MIT
*/
#include "lanes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "memory.h"
#include "stopwatch.h"

#define EXIT_OS 71         /* sysexits EX_OSERR */
#define EVENTS 64          /* of epoll at once */
#define ADDRESSES_LAST 60L /* s */
#define TIDIED_FOR 1000    /* ms */
#define NOT_SET (-1)
#define FOR_EVER (-1L) /* and so nothing is looked through */

struct lanes {
    CURLM *swift, *slow;
    int epoll;            /* of the slow one's sockets */
    int64_t due;          /* of the slow one: µs of the stopwatch, or NOT_SET */
    int64_t tidied_at[2]; /* the addresses of each; by may_hang */
};

static _Noreturn void give_up(const char *what, const char *why) {
    fprintf(stderr, "resthookd: %s: %s\n", what, why);
    exit(EXIT_OS);
}

/* Only a lack of memory, or a mistake of ours, fails here. */
static void must(CURLMcode code) {
    if (code != CURLM_OK) {
        give_up("libcurl", curl_multi_strerror(code));
    }
}

/* SOCKETFUNCTION. known: what curl_multi_assign left with this socket. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *data, void *known) {
    struct lanes *lanes = data;
    struct epoll_event event = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(lanes->epoll, EPOLL_CTL_DEL, fd, NULL); /* it may be closed already */
        return 0;
    }
    event.events =
        (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? (unsigned)EPOLLOUT : 0U);
    /* The second try is for a descriptor that was closed and came back without our being told. */
    if (epoll_ctl(lanes->epoll, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0 &&
        epoll_ctl(lanes->epoll, known == NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
        give_up("epoll", strerror(errno));
    }
    if (known == NULL) {
        must(curl_multi_assign(lanes->slow, fd, lanes));
    }
    return 0;
}

/* TIMERFUNCTION */
static int set_timer(CURLM *multi, long ms, void *data) {
    struct lanes *lanes = data;

    (void)multi;
    lanes->due = ms < 0 ? NOT_SET : stopwatch_us() + ms * (int64_t)1000;
    return 0;
}

#define SET(multi, option, value) (curl_multi_setopt((multi), (option), (value)) == CURLM_OK)

struct lanes *lanes_new(int connections) {
    struct lanes *lanes = xcalloc(1, sizeof *lanes);

    lanes->due = NOT_SET;
    lanes->epoll = epoll_create1(EPOLL_CLOEXEC);
    lanes->swift = curl_multi_init();
    lanes->slow = curl_multi_init();
    if (lanes->swift != NULL && lanes->slow != NULL && lanes->epoll >= 0 &&
        SET(lanes->swift, CURLMOPT_MAXCONNECTS, (long)connections) &&
        SET(lanes->slow, CURLMOPT_MAXCONNECTS, (long)connections) &&
        SET(lanes->swift, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) &&
        SET(lanes->slow, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) &&
        SET(lanes->slow, CURLMOPT_SOCKETFUNCTION, watch) &&
        SET(lanes->slow, CURLMOPT_SOCKETDATA, lanes) &&
        SET(lanes->slow, CURLMOPT_TIMERFUNCTION, set_timer) &&
        SET(lanes->slow, CURLMOPT_TIMERDATA, lanes)) {
        return lanes;
    }
    lanes_free(lanes);
    return NULL;
}

void lanes_free(struct lanes *lanes) {
    if (lanes != NULL) {
        curl_multi_cleanup(lanes->swift);
        curl_multi_cleanup(lanes->slow);
        if (lanes->epoll >= 0) {
            close(lanes->epoll);
        }
        free(lanes);
    }
}

/*
** For ever is never longer than ADDRESSES_LAST and TIDIED_FOR: what is older was taken out when it was
** last looked. While nobody has looked, all do.
*/
bool lanes_add(struct lanes *lanes, CURL *easy, bool may_hang, int64_t now) {
    int64_t tidied_at = lanes->tidied_at[may_hang];
    bool tidies = now < tidied_at || now - tidied_at >= TIDIED_FOR;

    (void)curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, tidies ? ADDRESSES_LAST : FOR_EVER);
    must(curl_multi_add_handle(may_hang ? lanes->slow : lanes->swift, easy));
    return tidies;
}

void lanes_tidied(struct lanes *lanes, bool may_hang, int64_t now) {
    lanes->tidied_at[may_hang] = now;
}

void lanes_remove(struct lanes *lanes, CURL *easy, bool may_hang) {
    must(curl_multi_remove_handle(may_hang ? lanes->slow : lanes->swift, easy));
}

static void work_slow(struct lanes *lanes, const struct epoll_event *event) {
    int running, mask = 0;

    mask |= event->events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0;
    mask |= event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
    mask |= event->events & EPOLLERR ? CURL_CSELECT_ERR : 0;
    must(curl_multi_socket_action(lanes->slow, event->data.fd, mask, &running));
}

void lanes_work(struct lanes *lanes) {
    struct epoll_event events[EVENTS];
    int running, count;

    must(curl_multi_perform(lanes->swift, &running));
    count = epoll_wait(lanes->epoll, events, EVENTS, 0); /* what is left comes in the next turn */
    for (int i = 0; i < count; i++) {
        work_slow(lanes, &events[i]);
    }
    if (lanes->due != NOT_SET && stopwatch_us() >= lanes->due) {
        lanes->due = NOT_SET; /* it sets another one */
        must(curl_multi_socket_action(lanes->slow, CURL_SOCKET_TIMEOUT, 0, &running));
    }
}

CURL *lanes_next(struct lanes *lanes, CURLcode *result) {
    CURLM *multis[] = {lanes->swift, lanes->slow};

    for (int i = 0; i < 2; i++) {
        int left;
        CURLMsg *message = curl_multi_info_read(multis[i], &left);

        if (message != NULL) {
            assert(message->msg == CURLMSG_DONE); /* there is no other */
            *result = message->data.result;
            return message->easy_handle;
        }
    }
    return NULL;
}

void lanes_wait(struct lanes *lanes, struct curl_waitfd *fds, unsigned count, int timeout) {
    struct curl_waitfd all[LANES_FDS + 1];

    assert(count <= LANES_FDS);
    if (lanes->due != NOT_SET) {
        int64_t left = (lanes->due - stopwatch_us() + 999) / 1000; /* ms, not less */

        timeout = left < timeout ? (int)(left > 0 ? left : 0) : timeout;
    }
    if (count > 0) {
        memcpy(all, fds, count * sizeof *fds);
    }
    all[count] = (struct curl_waitfd){.fd = lanes->epoll, .events = CURL_WAIT_POLLIN};
    must(curl_multi_poll(lanes->swift, all, count + 1, timeout, NULL));
    for (unsigned i = 0; i < count; i++) {
        fds[i].revents = all[i].revents;
    }
}
