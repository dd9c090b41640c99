/*
** endpoint.h: what line.c and endpoint.c share: endpoints, and the set of them. Nobody else includes
** this.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_ENDPOINT_H
#define RESTHOOKD_ENDPOINT_H

#include "circuit.h"
#include "share.h"

#define BUCKETS 1024

TAILQ_HEAD(ready, ready_link);
TAILQ_HEAD(places, place);

struct ready_link { /* an endpoint's place in one of the queues */
    struct endpoint *endpoint;
    bool queued;
    TAILQ_ENTRY(ready_link) links;
};

struct endpoint {
    struct endpoints *set;
    struct endpoint *next; /* in its bucket */
    unsigned bucket;
    int lines;
    int in_flight[HEALTHS];
    struct lines queue[HEALTHS];
    struct ready_link ready[HEALTHS];
    struct circuit circuit;
    struct rest rest;          /* while that is open */
    const struct line *failed; /* whose failure was the last one counted; NULL */
    bool cut;                  /* that is not closed */
    bool probing;              /* its circuit is half open, and a request finds out */
    char name[];
};

struct endpoints {
    int places;
    int most;
    int in_flight[HEALTHS];
    int slow;
    struct places waiting; /* places taken and not slow yet, oldest first */
    int turn;              /* DOUBTFUL or UNTRIED: which of them is served next if both can be */
    bool busy;             /* with good lines: one was served in the last turn, or just before */
    bool served;           /* a good line, in this turn */
    int64_t good_at;       /* when that was the case last */
    int proved;            /* requests of others that turned out well since the last turn */
    int new_failed;        /* new ones in a row that did not */
    int unproven_left;     /* how many others may still be served in it */
    int64_t unproven_at;   /* when one was served last */
    int in_vain; /* served since one of them last answered well; no more are counted than matter */
    struct ready ready[HEALTHS];
    struct shares shares;
    struct rests lines, circuits; /* that rest */
    int cut;                      /* endpoints whose circuit is not closed */
    int64_t seen;                 /* the newest time that was told */
    int64_t lost;                 /* ms by which the clock was set back in all: see own_time */
    struct endpoint *bucket[BUCKETS];
};

/*
** Times of lines, places and circuits are of a clock of our own that is never set back: where the
** machine's is, what waits has still as long to wait as before.
*/
void endpoints_tell(struct endpoints *set, int64_t now); /* what time it is */
int64_t own_time(const struct endpoints *set, int64_t time);
/* Made if there is none of that name; endpoint_drop when its last line is closed. */
struct endpoint *endpoint_named(struct endpoints *set, const char *name);
void endpoint_drop(struct endpoint *endpoint);
/* While good ones keep us busy: when one of the others may be served again. */
int64_t unproven_next(const struct endpoints *set);
/* Of `most` those that doubtful and new lines together may have. */
int unproven_most(int most);
/* Half of them, and three quarters: is there a place for one more of this kind among `most`? */
bool has_place(const int in_flight[HEALTHS], int most, int kind);
/* Puts it into the set's queues, or takes it out, as it has lines that may send now. */
void endpoint_place(struct endpoint *endpoint);
/* A good line was, at `now` of our own time: from then on the turn is a busy one. */
void endpoints_served(struct endpoints *set, int64_t now);
/* Those whose circuit has been open long enough are tried. */
void endpoints_try(struct endpoints *set, int64_t now);

#endif
