/*
** window.h: the events that were read and are not yet passed by the cursor, and the pairs of them.
** Pure.
**
** The scheme's invariant lives here: an event is settled when every pair of it is recorded, or
** about to be in the next commit; the cursor is the id before the oldest event that is not. Events
** claimed again from rows below the cursor are the same structures outside the window.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_WINDOW_H
#define RESTHOOKD_WINDOW_H

#include "format.h"
#include "journal.h"
#include "subscription.h"

#define WEBHOOK_ID_MAX 80
/* Pairs in memory that are enough for those who may not answer and have their turns one by one: while
** there are so many none of theirs is read ahead (due.c), and as many of theirs stay when way is made. */
#define PAIRS_ENOUGH 256

struct event {
    int64_t id, created_at;
    const char *name; /* lives as long as the outbox */
    int64_t name_n;   /* its number in the journal */
    char webhook_id[WEBHOOK_ID_MAX];
    struct buffer body[FORMATS]; /* bare is there; the others are made when first wanted */
    const char *ce_headers[FORMAT_HEADERS];
    const char **headers; /* of its own (headers.h), NULL: none */
    bool in_window;
    int unsettled; /* pairs that hold the cursor */
    TAILQ_HEAD(, pair) pairs;
    TAILQ_ENTRY(event) links; /* in the window */
};

enum pair_place {
    PAIR_WAITING, /* in its subscription's fresh or again */
    PAIR_BUSY,    /* claimed by the engine */
    PAIR_DONE,    /* finished, to be written by the next commit */
};

/* One (event, subscription). Freed when it is recorded. */
struct pair {
    struct event *event;
    struct sub *sub;
    struct sub_target *target; /* while busy */
    enum pair_place place;
    struct key *key;       /* what it is ordered by; NULL: nothing */
    bool unknown;          /* it came from a row whose key was not known */
    bool again;            /* it came from a row */
    bool spilling;         /* is being written to make way */
    bool probe;            /* while busy: it was sent to see whether a failing target recovers */
    bool forgotten;        /* nothing of the answer is kept */
    const char *cancelled; /* why it is not sent again after the attempt under way; NULL */
    bool recorded;         /* the journal has a row of it: it doesn't hold the cursor */
    int attempts, base;
    struct job job;
    struct delivery outcome; /* when done; its texts are the pair's */
    char *error, *response, *headers, *reason;
    TAILQ_ENTRY(pair) siblings; /* in its event */
    TAILQ_ENTRY(pair) links;    /* in a list of its subscription */
    TAILQ_ENTRY(pair) done;     /* in the list of what the next commit writes */
};

struct window {
    TAILQ_HEAD(event_list, event) events; /* in order of id */
    int64_t read_to;                      /* newest event read */
    int events_count, pairs_count;
    size_t bytes;
};

void window_open(struct window *window, int64_t cursor);
/* The greatest id such that it and every event before it is settled. */
int64_t window_cursor(const struct window *window);
bool window_full(const struct window *window);

struct event *event_new(int64_t id, int64_t created_at, const char *name, int64_t name_n);
/* In order of id. Takes it out again by itself, when it is settled and its last pair is freed. */
void window_add(struct window *window, struct event *event);
/* Frees an event that has no pairs (any more). */
void event_free(struct window *window, struct event *event);

struct pair *pair_new(struct window *window, struct event *event, struct sub *sub);
/* The pair no longer holds the cursor: it is recorded, or will be in the next commit. */
void pair_settled(struct pair *pair);
/* Takes it out of its event, and frees it, and the event with its last pair. Its subscription's
** list is the caller's. */
void pair_free(struct window *window, struct pair *pair);

#endif
