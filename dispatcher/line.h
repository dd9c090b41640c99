/*
** line.h: whose turn it is. A line is one subscription's way to an endpoint: a scheme, host and
** port. A place is the right to have one request in flight.
**
** Every line has a window of requests at once: it opens with success and shuts with failure (as
** Postfix's destination queues do), so that a target that hangs holds few places. Of all places,
** and of those of one endpoint, at most half go to doubtful lines, whose target failed last or has
** not answered for a second, and at most three quarters to these and to new ones, which have not
** answered yet: however many targets hang, who answers has a place. A request that has waited that
** long gives its place back while it goes on waiting (up to SLOW_TIMES as many requests as there
** are places), so that new targets that hang hold nobody up for the length of their timeout. Where
** there are several sources, each has but a share of the places for doubtful and new lines
** (share.h).
**
** A request to a doubtful or a new line mostly needs a connection and often has no answer: it costs
** us a few times what one to a good line does. So while good ones keep us busy (one was served in
** the last turn, or within BUSY_FOR ms) the others have one request in UNPROVEN_EVERY ms between
** them, which goes first, else good ones would take all places; after UNPROVEN_IN_VAIN with no good
** answer to any, one in twice that time, and twice that again. Where they don't, a good one that
** turns up goes first, if one of the others was served since the last; from then on the turn is a
** busy one. If there is none, the others have UNPROVEN_A_TURN in a turn, and while a good one is to
** be expected, since the last was served within EXPECTED_FOR ms, UNPROVEN_BETWEEN, so that it waits
** for few. In any turn there are UNPROVEN_MORE more for each that turned out well: where one of six
** does, the rest are tried as fast as they answer. Doubtful and new ones take turns, and so do
** endpoints among themselves, and lines at one endpoint.
**
** (Beside 9,999 that are dead or hang, with 200 events a second: with good ones first and 2 instead
** of 8 in between the delay in the middle went from 1.1 to 1.3 times what it is alone to 1.0 to
** 1.2. With a BUSY_FOR of 20 as well; but then 200 new ones that answer, among 1,800 that don't,
** waited for 5 s, not 0.5. While a backlog drains one of those that are dead costs as much as three
** deliveries: beside 9,999 it took 10 % with one in 8 ms and two more, 6 to 7 % with one in 16 and
** six more, of two drains that shared a processor, so that there were twice as many for each
** delivery; and the 200 were found as soon. Of four that shared one, 12 % with one in 16 ms and 6 with
** one in 64: a try is 0.3 ms. What that costs the others, where a drain never pauses: of 1,000 that are
** dead each has a try in one or two minutes; who is new and answers, behind 1,800 that are new and don't,
** waits for up to four minutes, where it was one. After a start those that failed before are known, roster.c.)
**
** A line rests while its target asked to be left alone (Retry-After) or its pace (pace.h) allows no
** other request yet; all lines of an endpoint rest while its circuit (circuit.h) is open. Knows
** neither databases nor HTTP; time is an argument.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_LINE_H
#define RESTHOOKD_LINE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "pace.h"
#include "rest.h"

#define SLOW_AFTER 1000 /* ms */
#define SLOW_TIMES 4
#define BUSY_FOR 2        /* ms */
#define UNPROVEN_EVERY 16 /* ms */
#define UNPROVEN_IN_VAIN 32
#define UNPROVEN_DOUBLINGS 2
#define EXPECTED_FOR 100 /* ms */
#define UNPROVEN_BETWEEN 2
#define UNPROVEN_A_TURN 8
#define UNPROVEN_MORE 6
/* New ones in a row that did not turn out well: then all new ones are dubious. */
#define NEW_FAILED 8

enum health {
    DOUBTFUL, /* its last answer was bad, or it has something slow in flight */
    UNTRIED,  /* it is new */
    GOOD,     /* its last answer was good */
    HEALTHS
};

struct source;
struct endpoints;
struct endpoint;
struct share;

/* Owned by the source. It reads source, endpoint and in_flight; the rest is line.c's. */
struct line {
    struct source *source;
    struct endpoint *endpoint;
    struct share *share; /* its source's */
    int in_flight;
    int slow;    /* of these, for longer than SLOW_AFTER */
    int most;    /* of in_flight, as the subscription wants; 0: no bound of its own */
    int window;  /* of in_flight, as the target's answers allow */
    bool proven; /* its last answer was good */
    enum health health;
    bool waiting; /* has something to send */
    bool queued;  /* in its endpoint's queue */
    bool parked;  /* could send, but for its source's share */
    int64_t
        throttle_until; /* nothing before this time of line.c's own, as its target asked; 0: no such time */
    int64_t paced_until; /* likewise, by its own pace */
    struct pace pace;
    struct rest rest;
    TAILQ_ENTRY(line) links;
};

/* One request in flight; part of the job. */
struct place {
    struct line *line; /* NULL: not taken */
    int64_t taken_at;
    bool slow;  /* given back, but for the line's own window */
    bool probe; /* finds out whether a half-open circuit closes */
    TAILQ_ENTRY(place) links;
};

/* places: requests in flight in all. most: at one endpoint. */
struct endpoints *endpoints_new(int places, int most);
void endpoints_free(struct endpoints *set); /* every line is closed */

/* Opens a line at the endpoint named by text ("https://host:443"); it has nothing to send yet. */
void line_open(struct endpoints *set, struct line *line, struct source *source,
               const char *endpoint, int most);
void line_close(struct line *line);             /* nothing of it is in flight */
void line_bound(struct line *line, int most);   /* another bound of its own */
void line_pace(struct line *line, double rate); /* requests a second; 0: no bound */
void line_doubt(struct line *line);             /* its target is known to have failed last */

void line_ready(struct line *line); /* it has something to send */
void line_done(struct line *line);  /* it has nothing (more) to send now */
bool line_has_room(const struct line *line,
                   int64_t now); /* could it send, all others being idle? */
bool line_is_throttled(const struct line *line,
                       int64_t now); /* has its target asked to be left alone? */

/* Is it left alone, since its target asked for that or its endpoint fails whoever asks? */
bool line_is_shunned(const struct line *line, int64_t now);
/* Has its target failed last, or is it new, as were the last NEW_FAILED that did not turn out well? */
bool line_is_dubious(const struct line *line);
/* May it send nothing yet, for that or by its own pace? */
bool line_rests(const struct line *line, int64_t now);
bool line_is_cut(const struct line *line);           /* its endpoint's circuit is not closed */
bool endpoints_any_cut(const struct endpoints *set); /* false: none is */

/* Requests in flight of lines that are doubtful or new. */
int endpoints_unproven(const struct endpoints *set);

/* A turn begins, and the time is now `now`. Where the clock was set back, what waits for a
** time waits as long as it had to, not until the old time comes again. */
void endpoints_turn(struct endpoints *set, int64_t now);
/* The line that is served next; NULL: none may send now. It goes behind the others. */
struct line *endpoints_next(struct endpoints *set, int64_t now);
/* Takes a place for a request of the line that endpoints_next gave. */
void place_take(struct place *place, struct line *line, int64_t now);
/*
** What a request says of its endpoint, before its place is given back: the endpoint answered, or it
** failed. whoever: it would have failed anybody (no connection); else (a 5xx, a timeout) it may be
** this line's fault alone, and where others share the endpoint, such failures of one line count once
** in a row.
*/
void place_answered(struct place *place);
void place_failed(struct place *place, bool whoever, int64_t now, uint32_t random);
/* Gives it back after an attempt. healthy: the target took it. throttle_until: nothing to it
** before; 0. */
void place_finish(struct place *place, bool healthy, int64_t throttle_until);
/* Gives it back unused. */
void place_drop(struct place *place);
/* When the next turn has somebody to serve: now, or when the first line or endpoint has rested, or a
** place may be given back for slowness; NEVER. */
int64_t endpoints_due(const struct endpoints *set);

#endif
