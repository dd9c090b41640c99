/*
** scheme.h: the dispatcher, as far as design 4.3 decides it: its own file, its memory, and its
** steps.
**
** scheme.c reads, sends and records; upkeep.c does what is rare: starting, going back, retention,
** requests, effects. Each step is atomic here; a crash may fall between any two.
** SPDX-License-Identifier: MIT
*/
#ifndef MODEL_SCHEME_H
#define MODEL_SCHEME_H

#include "world.h"

enum {
    WINDOW = 6,   /* events above the cursor */
    GROUP = 4,    /* outcomes in memory that are not recorded */
    ROOM = 2,     /* requests at once, for a subscription and for an endpoint */
    LADDER = 4,   /* anchors */
    AHEAD = 3,    /* events behind a full window that one look sees */
    KEEP = 6,     /* rows kept for a paused subscription */
    ATTEMPTS = 3, /* before a delivery is dead */
    SECOND = 64,  /* ticks: the side file is synced at least this often */
    ROWS = 400,   /* rows the model has place for */
    PAIRS = 128,
    NO_TIME = INT_MAX, /* next_at of a row that waits for its key */
    KEY_NONE = -2,     /* of a row of a subscription that was not ordered */
    KEY_UNKNOWN = -1   /* … when it was ordered later: all that comes after it waits */
};

/* Final from DELIVERED on. STOPPED: dead, and its key waits until somebody decides. */
enum delivery_state { PENDING, RETRYING, STOPPED, DELIVERED, DEAD, CANCELLED };

struct delivery { /* a row of app.db-resthook; (sub, event) is unique */
    int event, created;
    int next_at, deliver_at;
    int8_t sub, key, attempts;
    uint8_t state; /* enum delivery_state */
};

struct anchor {
    int id, created;
};

struct effect { /* a subscription to end in app.db when that is quiet: its target said 410 */
    bool wanted;
    int revision, updated; /* the subscription as it was when the request was sent */
    int newest; /* newest event when 410 came; only RULE_END_AT_WRITE's absence uses it */
};

struct side { /* app.db-resthook */
    int cursor;
    struct delivery row[ROWS];
    int rows;
    struct anchor anchor[LADDER]; /* newest first */
    int anchors;
    int boot;
    int request_cursor, request_created; /* the last request carried out */
    struct effect effect[SUBS];
};

struct side_file {
    struct side committed, synced;
    bool unsynced;
    int unsynced_since;
};

/* A pair in the dispatcher's memory. PARKED: becomes a row at the next commit. RECORDED: about to
** leave. */
enum pair_state { WAITING, PARKED, IN_FLIGHT, FINISHED, RECORDED };
enum verdict { SUCCESS, RETRY, FAILURE, FAILURE_GONE, FAILURE_STOPS };

struct pair {
    int event, created, truth, deliver_at;
    int revision, updated; /* of the subscription when it was sent */
    int next_at;
    int endpoint; /* it was sent to */
    int8_t sub, key, attempts;
    bool strayed; /* its row's key is KEY_UNKNOWN */
    bool has_row; /* there is a committed row for it: it does not hold the cursor */
    enum pair_state state;
    enum verdict verdict;
};

struct dispatcher {
    bool running, held;
    int read;           /* last event read by this process; reading goes on behind it */
    struct anchor last; /* the newest event ever read: every read begins by finding it unchanged */
    struct subscription sub[SUBS]; /* as the last look at app.db found them */
    struct pair pair[PAIRS];
    int pairs;
    unsigned release[SUBS]; /* bit set of keys whose first row may have to get a time */
    bool sorted;            /* what `ordered` was switched to while nobody looked is obeyed */
    int spill;              /* events up to this one make way for the cursor at the next commit */
    struct anchor ahead;    /* events behind the window were seen up to this one: … */
    int ahead_type[TYPES];  /* … the newest of each type */
    int ahead_one[SUBS];    /* … and for each subscription alone */
    bool half;              /* only without RULE_TOGETHER */
    int doomed[OUTBOX], dooms;  /* only without RULE_RETAIN_INSIDE */
    int asked_sub, asked_event; /* only without RULE_REQUEST_TOGETHER */
};

extern struct side_file side;
extern struct dispatcher me;

/* scheme.c */
void scheme_reset(void);
bool dispatcher_look(void); /* is app.db still the file we know? Reads its subscriptions. */
void dispatcher_read(int most);
void dispatcher_fill(int most);
void dispatcher_answer(int which); /* the target of the which-th request in flight answers */
void dispatcher_commit(bool durable);
void dispatcher_tick(void); /* after time has passed */
void dispatcher_crash(void);
bool dispatcher_wants_work(int sub); /* it could take work, and has none */

/* upkeep.c */
void dispatcher_start(void);
void dispatcher_go_back(void); /* to the newest event that both files know */
void dispatcher_adopt(void);
void dispatcher_retain(void);
void dispatcher_forget(void);
void dispatcher_requests(void);
void dispatcher_requests_done(void);
void dispatcher_effects(void);

/* The side file. */
struct delivery *side_find(struct side *state, int sub, int event);
void side_remove(struct side *state, int index);
void add_anchor(struct side *state, const struct anchor *anchor);
void side_publish(const struct side *state, bool durable);
void side_lose(void);
struct pair *pair_of(int sub, int event);
bool last_row_unchanged(void);

static inline bool is_final(const struct delivery *row) {
    return row->state >= DELIVERED;
}

#endif
