/*
** subscription.h: the subscriptions of one database, as they were in its last snapshot.
**
** A sub lives as long as it may have anything to send or to settle. What changes in the database is
** changed in it; a target (URL, secrets, headers …) is never changed but replaced: requests in
** flight keep the one they began with.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SUBSCRIPTION_H
#define RESTHOOKD_SUBSCRIPTION_H

#include <sys/queue.h>

#include "format.h"
#include "journal.h"
#include "keys.h"
#include "line.h"
#include "settings.h"
#include "target.h"

struct pair;
struct roster_copy;
TAILQ_HEAD(pairs, pair);

/* Each sends less than the one before it. */
enum sub_status {
    SUB_NEW,   /* was not known before this load */
    SUB_SENDS, /* active */
    SUB_PROBES, /* pending: what comes is kept as rows, but for one event, the probe, which is sent */
    SUB_FAILING, /* what comes is kept as rows, and now and then one is sent to see whether it recovers */
    SUB_KEEPS, /* inactive: what comes is kept as rows */
    SUB_ENDED, /* what is unfinished is cancelled */
};

enum ordered {               /* what a dead delivery does to its key */
               ORDERED_NOT,  /* there is no order */
               ORDERED_SKIP, /* the next goes */
               ORDERED_STOP, /* it stops the key */
};

struct sub {
    char *id;
    int64_t n;    /* its number in the journal */
    char *event;  /* pattern */
    char *filter; /* NULL: none */
    char *endpoint;
    enum sub_status status;
    enum sub_status was; /* before the load that is under way or was not obeyed, or by us since */
    bool obeyed;         /* what the last load brought is: set by who does so */
    bool missed; /* what the one before it brought was not: it may have been another meanwhile */

    int64_t recorded_to; /* events up to which the journal may already know pairs of it */
    bool takes;          /* the event that fanout.c is at: it wants it, and has no row of it */
    enum format format;
    int64_t from_id, to_id;        /* to_id: NEVER while it has not ended */
    int64_t revision, updated_at;  /* of its row: together they tell one change from another */
    int64_t probe;                 /* the event that is sent while it probes, 0: none */
    char *kept;                    /* why it can't be obeyed; NULL: it can */
    bool seen;                     /* by the load that is under way */
    bool cancel;                   /* has unfinished rows to cancel */
    const char *ended;             /* reason for what is cancelled, a constant */
    bool due_waits;                /* has due rows that are loaded when `again` has been sent */
    bool called;                   /* … or when it is its line's turn (due.c) */
    int64_t failing_since;         /* the first failure since the last success; 0: none */
    int64_t failing_written;       /* that, as the side file has it */
    int64_t probe_at, probe_pause; /* while it is failing: the next one is sent, not before */
    bool probing;                  /* one is in flight */
    int turn;                      /* counts claims: every fourth goes to a retry */
    struct sub_target *target;
    struct line line;
    struct pairs fresh; /* first attempts, of events above the cursor */
    struct pairs again; /* claimed from rows */
    struct pairs busy;  /* in flight, or finished and not yet recorded */
    int again_count, busy_count;
    int64_t ahead; /* the newest event for it alone that was seen behind the window, not fetched */
    int64_t left_to; /* up to this event some of those seen there may be for it, and were left … */
    bool left;       /* … in the look that is under way, too: it is among those of the outbox */
    SLIST_ENTRY(sub) left_link;
    int64_t filtered; /* events that its filter left out, and the journal has not counted yet */
    SLIST_ENTRY(sub) counted; /* while there are any */
    struct rest due;          /* its place in the outbox's agenda, where its rows wait */
    enum ordered ordered, was_ordered;
    struct keys *keys;     /* of its pairs in memory, when it is ordered; NULL: none yet */
    bool review, released; /* order.c's */
    char *reviewed;        /* order.c's: the key it looked at last; NULL: no review is under way */
    bool sorted;           /* its rows are as `ordered` wants them … (reorder.c) */
    int64_t sorted_to;     /* … or those up to this event; the next … */
    int64_t sort_at;       /* … not before this time */
    TAILQ_ENTRY(sub) links;
    struct sub *next_by_id, *next_by_number;
};
TAILQ_HEAD(subs, sub);

#define SUB_BUCKETS 4096

struct subscriptions {
    struct subs list;
    int count;
    struct sub *bucket[SUB_BUCKETS];   /* by id */
    struct sub *numbered[SUB_BUCKETS]; /* by number */
    sqlite3_stmt *read_settings, *read_list, *read_end, *put_public_key;
    struct secrets secrets;
    bool secret_missing; /* a file that holds one can't be used */
    bool secret_files;   /* there are some: else nobody is looked at for his */
    struct settings settings;
    struct source *source; /* of their lines */
    struct endpoints *endpoints;
};

/* The secrets' texts must stay. */
void subscriptions_open(struct subscriptions *subs, struct db *app, struct journal *journal,
                        struct source *source, struct endpoints *endpoints,
                        const struct secrets *secrets);
void subscriptions_close(struct subscriptions *subs); /* every pair is gone */

/*
** Reads settings and subscriptions from app.db, inside the caller's read transaction, or the rows
** of subscriptions from a copy of them; numbers new ones in the journal. Of subscriptions that are
** not known yet, those are passed over that ended at or below the cursor. false: the error is in
** app or in the journal; what was loaded before is unchanged but for what was read, and of one that is
** new the journal may not even have the number.
*/
bool subscriptions_load(struct subscriptions *subs, struct db *app, struct roster_copy *copy,
                        struct journal *journal, int64_t cursor);
struct sub *subscription_named(struct subscriptions *subs, const char *id); /* NULL is nobody */
struct sub *subscription_numbered(struct subscriptions *subs, int64_t n);
bool subscription_wants(const struct sub *sub, int64_t event, const char *name, const char *only);
bool subscription_is_open(const struct sub *sub); /* is there anything at all that it sends? */
/* Is this event sent, as its subscription stands? */
bool subscription_sends(const struct sub *sub, int64_t event);
/* Does any of them sign with a file that is another by now? */
bool subscriptions_secrets_changed(const struct subscriptions *subs);
void subscription_drop(struct subscriptions *subs,
                       struct sub *sub); /* nothing of it is in memory */

#endif
