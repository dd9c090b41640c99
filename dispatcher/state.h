/*
** state.h: the outbox's state, and what its rooms offer each other: outbox.c (opening, closing),
** source.c (turn, claim, settle), reading.c (reads events), ahead.c (what stands behind them),
** fetch.c (takes single ones from there), names.c (who wants them), fanout.c (makes pairs),
** delivery.c (a pair as a job and as a row), order.c (whose turn it is within a key), reorder.c
** (`ordered` is switched), due.c (rows whose time has come), record.c (outcomes in groups),
** durable.c (when they reach the disk), held.c (what can't be computed), roster.c (subscriptions as
** they change), asked.c (requests), failing.c (targets that have failed for long), effect.c (what
** the dispatcher changes in subscriptions), notice.c (what it says of them in events of its own),
** retention.c with sweep_app.c and sweep_side.c (what may go), repair.c (triggers). Nobody else
** includes this.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_STATE_H
#define RESTHOOKD_STATE_H

#include "agenda.h"
#include "identity.h"
#include "outbox.h"
#include "reader.h"
#include "roster_copy.h"
#include "syncer.h"
#include "window.h"

#define NAME_BUCKETS 256
#define ORDER_UNKNOWN "\001"      /* the key of an event whose key is not known */
#define ORDER_STOPPED "stopped: " /* how the reason begins of what stops its key */
#define TAKERS_MOST 8
#define CROWD 64

/* Who of those that want a name has what stands behind the window fetched. */
struct takers {
    int64_t look; /* as it was in this look */
    bool all;     /* nobody else wants it */
    int count;
    struct sub *sub[TAKERS_MOST];
};

/* One event for one of them. */
struct fetched {
    struct sub *sub;
    struct event_name *name;
    int64_t event, created_at;
    bool alone; /* it is for nobody else */
};

/* An event's name, and who wants it. */
struct event_name {
    char *text;
    int64_t n;
    struct sub **subs;
    int count;
    int64_t generation; /* of the roster that subs was made from */
    struct event_name *next;
    int64_t ahead; /* the newest event of this name that was seen behind the window and not fetched
                      for all who want it; 0: none */
    bool crowded;  /* perhaps it was fetched for nobody: many want it, or an expression tells */
    TAILQ_ENTRY(event_name) behind;
    struct takers takers; /* fetch.c's */
};

/* Where a walk through the unfinished rows is. */
struct open_row {
    bool under_way;
    int64_t event, state, sub;
};

struct retention;
struct writer;
STAILQ_HEAD(notices, notice);
STAILQ_HEAD(effects, effect);

struct outbox {
    struct source source;
    char *path, *token;
    char *held; /* why nothing is sent; NULL */
    int lock;
    bool was_asleep; /* and not stopped: it goes on as it was */
    struct endpoints *endpoints;
    struct wake *wake;
    int slot;
    struct reader *reader;
    struct journal *journal;
    struct syncer *syncer; /* NULL: it is synced by its own commits */
    char *side;            /* its name */
    struct sync_job sync;
    bool sync_runs, sync_short, sync_failed;
    bool sync_said;  /* that it fails, or takes long */
    bool unasked;    /* something was committed since that was asked … */
    int64_t sync_at; /* … which was then */
    struct writer *writer;
    struct retention *retention;

    struct subscriptions subs;
    struct roster_copy *copy; /* of their rows; NULL: not needed yet */
    int64_t revision;         /* of app.db, up to which subscriptions and requests are obeyed */
    int64_t schema;           /* likewise */
    int64_t loaded_revision, loaded_schema; /* what the subscriptions are of */
    int64_t generation;                     /* counts changes of the roster */
    int ended;                 /* subscriptions that have ended and are not forgotten */
    bool cancelling;           /* of one of them there may be unfinished rows */
    bool any_held;             /* there may be held rows that wait for a time */
    struct open_row unholding; /* these are made due, up to here */
    sqlite3_stmt *open_walk, *unhold;
    int64_t stranger; /* up to here the journal has no rows of subscriptions that are not loaded */
    struct secrets secrets; /* the database's name in it is a part of path */
    int64_t secrets_at;     /* when their files are looked at again */
    bool effects_wait;      /* there may be changes to write to app.db */
    bool notices_wait;      /* likewise, events */
    struct notices notices;
    struct effects effects_new; /* not in the side file yet */
    sqlite3_stmt *failing_get, *failing_set, *failing_keep, *notice_add, *notice_list, *notice_done,
        *notice_emit;
    sqlite3_stmt *effects, *effect_put, *effect_done, *effect_set, *effect_confirms, *requests,
        *requests_taken, *cancel_one, *forget_open, *forget_rows, *forget_attempts, *next_known;
    struct agenda agenda;
    int called_count; /* subscriptions that are */
    struct event_name *names[NAME_BUCKETS];

    struct window window;
    bool unread;           /* app.db may have events above window.read_to */
    bool unheard;          /* … or something to obey */
    enum wake_cause cause; /* why it was looked into */
    int64_t read_at;       /* not before this time again */
    int64_t spill_at, spilled_at;
    int64_t ahead_to, ahead_created; /* seen behind the window, up to this event */
    int64_t ahead_only;              /* the newest of those that are for one alone */
    int64_t ahead_stranger;          /* the first that is for one who is not known; 0: none … */
    int64_t ahead_generation;        /* … of the roster */
    bool ahead_all;                  /* nothing stands behind that */
    struct fetched *fetched;         /* by the look that is under way … */
    int fetched_count, fetched_room;
    int64_t fetch_look;              /* … which is that one */
    int64_t fetched_before;          /* by others since way was made */
    SLIST_HEAD(, sub) left;          /* who missed something in it */
    TAILQ_HEAD(, event_name) behind; /* names with any that is not read */
    int64_t check_id, check_created; /* the row that must still be there; 0: none */
    char boot[40];
    bool boot_known; /* all was in order since the machine started: its boot id is written */

    int64_t intact_schema; /* of app.db, when every watch had its trigger; see repair.h */
    int64_t intact_at;     /* when that was last seen */
    int64_t repair_wanted; /* a schema that was not looked through yet, or intact_schema; 0: none */
    int64_t repair_at;     /* not before this time */
    bool repair_failed;    /* for another reason than a lock */
    int64_t reported;      /* a mark of the watches last said to have no trigger */
    sqlite3_stmt *gap_add, *gap_trim, *misarmed;

    bool order_waits;   /* somebody's turn comes with the next commit */
    bool order_reviews; /* a subscription wants order.c to look at all its keys, or is not sorted */
    int64_t order_commits;
    sqlite3_stmt *order_key, *order_earlier, *order_first, *order_set, *order_next_key, *order_any,
        *order_odd, *order_range, *order_adopt, *order_unstop, *order_drop;

    TAILQ_HEAD(, pair) done; /* finished, to be written */
    int done_count;
    int64_t done_since; /* when the first of them came */
    int in_flight;
    bool stopped;  /* starts nothing new */
    bool stalled;  /* the last commit failed */
    bool unsynced; /* the last commit is not yet on the disk */
    int64_t commit_at, synced_at, beat_at;
    int64_t cursor, anchored;              /* as written */
    int64_t request_cursor, request_filed; /* the last request carried out, and its created_at */
    int64_t requests_deleted;
    int64_t erase_at;   /* when the side file's WAL is to be emptied; 0: it needn't be */
    bool requests_left; /* more than one look takes */
    int64_t turned_at;  /* the time of the last turn */
    int64_t app_since;  /* it waits for nothing but a lock of app.db; 0: it doesn't */
    int64_t clock_was;  /* before it was set back: rows may lie ahead of their time; 0: none do */
    int64_t given_up;   /* deliveries that died without an attempt */
    bool counts_moved;
    int64_t filtered, wakes[WAKE_CAUSES];
    int64_t filtered_written;  /* what the journal has of the first; -1: nothing */
    int64_t counted_to;        /* events up to this one were counted before the last start */
    SLIST_HEAD(, sub) counted; /* whose filters left out something that is not written yet */
};

void outbox_free(struct outbox *outbox);
#define ENDLESS "a statement on it takes for ever: a table or a trigger in it is not resthook's own"
void outbox_hold(struct outbox *outbox, const char *why); /* from now on nothing is read or sent */

/* source.c */
void source_open(struct outbox *outbox);

/* due.c */
void due_load(struct outbox *outbox, int64_t now);
/* It is the turn of one that is called: rows are read until one is to be sent, or none is left. */
void due_take(struct outbox *outbox, struct sub *sub, int64_t now);
int64_t due_next(const struct outbox *outbox); /* the earliest of the rows that wait; NEVER */

/* order.c */
void order_open(struct outbox *outbox);
/* A pair that was just made takes its place in the order of its key, "" for none. true: others are
** before it, it becomes a row without a time. */
bool order_enter(struct outbox *outbox, struct pair *pair, const char *key);
/* The same of one that came from a row, which keeps the key it has, if that is known. */
bool order_enter_row(struct outbox *outbox, struct pair *pair, const char *key);
/* The reason with which a dead delivery stops its key, the caller frees it; NULL: it doesn't. */
char *order_stops(const struct pair *pair, const char *reason);
void order_release(struct outbox *outbox, int64_t now); /* in a commit, after what is finished */
void order_released(struct outbox *outbox, struct sub *sub, int64_t now); /* … and after it */
void order_review(struct outbox *outbox, struct sub *sub); /* rows of it ended by other ways */
void order_turn(struct outbox *outbox, int64_t now);
bool order_pending(const struct outbox *outbox, int64_t now); /* it has something to do now */

/* reorder.c */
void reorder_open(struct outbox *outbox);
void reorder(struct outbox *outbox, struct sub *sub, int64_t now); /* after a load */
void reorder_turn(struct outbox *outbox, int64_t now);
bool reorder_is_due(const struct sub *sub, int64_t now); /* it has rows to bring to order now */

/* record.c */
/* When a group is due, or a sign of life. idle: nothing is gained by waiting. */
void record_turn(struct outbox *outbox, int64_t now, bool idle);
int64_t record_due(const struct outbox *outbox, int64_t now); /* the latest time for that */
/* A commit has failed: until one comes about nothing is read, and nothing is tried at once. */
void record_stall(struct outbox *outbox, int64_t now);
/* Writes everything that is finished, and how far that brings the cursor, in one commit. */
void record_flush(struct outbox *outbox, int64_t now);
/* Makes way: pairs that wait where there is no room, or are in flight, and of dubious ones all but
** PAIRS_ENOUGH, become rows, so that the cursor and the reading can go on for the others. If that is not
** enough, such rows leave the memory. Only when somebody lacks work: a backlog for one costs no rows. */
void record_spill(struct outbox *outbox, int64_t now);
/* Writes what was fetched (fetch.c) as due, with the newest event that was seen, which has to be there
** from now on. false: it can't be written now. */
bool record_fetched(struct outbox *outbox, int64_t now);

/* durable.c: side, which it takes, is the side file's name; syncer NULL: there is none. */
void durable_open(struct outbox *outbox, struct syncer *syncer, char *side);
void durable_close(struct outbox *outbox); /* before the journal is */
void durable_turn(struct outbox *outbox, int64_t now);
/* Only hears of a sync that has ended, where nothing new begins. */
bool durable_take(struct outbox *outbox, int64_t now);
bool durable_by_itself(const struct outbox *outbox); /* commits are to be synced themselves */
bool durable_holds(const struct outbox *outbox, int64_t now);  /* no commit now, if it can wait */
int64_t durable_due(const struct outbox *outbox, int64_t now); /* its next time; NEVER */
/* After a commit; news: it holds what has to reach the disk. */
void durable_committed(struct outbox *outbox, bool synced, bool news, int64_t now);

/* names.c */
struct event_name *names_find(struct outbox *outbox, const char *text); /* made if need be */
/* Its number in the journal; given out when the first pair of it comes, since asking writes. 0: the
** journal can't be written. */
int64_t names_number(struct outbox *outbox, struct event_name *name);
bool names_wanted(struct outbox *outbox, const char *event); /* by a live subscription */
void names_free(struct outbox *outbox);

/* reading.c */
/* A snapshot to obey or to send from: the row that was read last is still there. false: not now; or it
** is gone, and with it all that app.db says: held. */
bool reading_begin(struct outbox *outbox, int64_t now);
void reading_next(struct outbox *outbox, int64_t now); /* the next events, in one snapshot */
/* What was read since `began` (stopwatch_work_us) took so long that others have their turn first? Then
** nothing is read for as long. */
void reading_rests(struct outbox *outbox, int64_t began, int64_t now);
/* At a start: finds the row that each reading checks, goes back to it or holds. false: one of the files
** can't be read now, reader_db or journal_db says why. */
bool reading_anchor(struct outbox *outbox);

/* ahead.c */
enum ahead {
    AHEAD_WANTED,  /* somebody lacks work, and there is some for him behind the window */
    AHEAD_UNKNOWN, /* somebody lacks work, and not all that stands there was seen yet */
    AHEAD_NOTHING,
};
void ahead_open(struct outbox *outbox);
/* Looks what stands behind a full window, a step further each time. */
enum ahead ahead_look(struct outbox *outbox, int64_t now);
/* An event that was seen there and not fetched for all who want it, or for the one that it is for. */
void ahead_remember(struct outbox *outbox, struct event_name *name, int64_t event);
void ahead_remember_one(struct outbox *outbox, struct sub *sub, int64_t event);
/* Will it yet bring work to somebody, if only to those whose target failed last? */
bool ahead_may_come(struct outbox *outbox, int64_t now);

/* fetch.c */
/* A look behind the window begins. */
void fetch_begin(struct outbox *outbox);
/* A row that it sees is taken for those that want it and can have it fetched. true: nobody else wants it.
** for_doubtful: also for those whose target failed last. */
bool fetch_for_all(struct outbox *outbox, struct event_name *name, const struct outbox_row *row,
                   bool for_doubtful, int64_t now);
bool fetch_for_one(struct outbox *outbox, struct sub *sub, const struct outbox_row *row,
                   bool for_doubtful, int64_t now);
/* It has ended, and its snapshot too: what was taken is recorded as due. false: nothing was taken, or way
** is to be made for it. */
bool fetch_end(struct outbox *outbox, int64_t now);

/* fanout.c */
/* A new event, inside a snapshot. false: it can't be taken now; nothing was done. */
bool fanout_take(struct outbox *outbox, const struct outbox_row *row, int64_t now);
/* A row of the journal that is due, likewise. */
bool fanout_row(struct outbox *outbox, struct sub *sub, const struct due_row *row, int64_t now);
void fanout_free(struct outbox *outbox); /* drops every pair that waits, and the names */

/* roster.c */
void roster_open(struct outbox *outbox);
enum roster { ROSTER_LOADED, ROSTER_LATER, ROSTER_FAILED };
/* Inside a snapshot, when the revision or the schema moved. LATER: it goes on in the next one. */
enum roster roster_load(struct outbox *outbox, int64_t now);
void roster_gone(struct outbox *outbox, struct sub *sub, const char *reason,
                 int64_t now); /* the target said 410 */
/* The target gave back this secret, which is no text of the roster's own. */
void roster_confirmed(struct outbox *outbox, struct sub *sub, const char *challenge, int64_t now);
void roster_tidy(struct outbox *outbox,
                 int64_t now); /* ended ones: their rows are cancelled, then they are forgotten */

/* asked.c */
void asked_open(struct outbox *outbox);
/* Inside a snapshot, after the subscriptions were loaded: carries out what is asked for. false: it
** can't be read or recorded now. */
bool asked_take(struct outbox *outbox, int64_t now);
void asked_turn(struct outbox *outbox,
                int64_t now); /* empties the side file's WAL of what was forgotten */

/* Its kept events wait as rows; its status in app.db follows. */
void roster_failing(struct outbox *outbox, struct sub *sub, const char *reason, int64_t now);
void roster_recovered(struct outbox *outbox, struct sub *sub, int64_t now); /* sends again */

/* failing.c */
void failing_open(struct outbox *outbox);
void failing_load(struct outbox *outbox, struct sub *sub,
                  int64_t now); /* since when, of a new one */
/* An attempt has ended: counts since when it fails, and changes what becomes of the delivery while
** the subscription is failing: then it doesn't die for being tried too often. */
void failing_attempted(struct outbox *outbox, struct sub *sub, struct outcome *outcome,
                       int64_t now);
void failing_sleep(struct outbox *outbox); /* when the next probes are is kept until it wakes */
void failing_write(struct outbox *outbox, struct sub *sub); /* inside a commit with its outcomes */
void failing_clock(struct outbox *outbox, int64_t now); /* it was set back: no probe waits for it */
void failing_forgive(struct outbox *outbox, struct sub *sub); /* as if it had never failed */
/* When a row of it that is due then is sent. */
int64_t failing_next(const struct sub *sub, int64_t due);

/* notice.c: events of resthook's own. They are written with what caused them, if anybody wants
** them, and moved to the outbox at a quiet moment. */
void notice_open(struct outbox *outbox);
void notice_prepare(struct outbox *outbox); /* once the writer is open */
void notice_subscription(struct outbox *outbox, const struct sub *sub, const char *event,
                         const char *reason, int64_t now);
void notice_dead(struct outbox *outbox, const struct pair *pair, int64_t now);
void notice_write(struct outbox *outbox);   /* inside a commit … */
void notice_written(struct outbox *outbox); /* … that came about */
void notice_free(struct outbox *outbox);
bool notice_look(struct outbox *outbox); /* into the side file: are there any? */
void notice_move(struct outbox *outbox); /* some of them, if app.db lets us */
/* held.c */
void held_open(struct outbox *outbox);
/* Ends a pair in memory whose payload can't be computed. row: what is recorded of it; NULL: nothing. */
void held_mark(struct outbox *outbox, struct pair *pair, const struct due_row *row, const char *why,
               int64_t now);
void held_retry(struct outbox *outbox); /* all that are held are due, some a turn */
void held_turn(struct outbox *outbox, int64_t now);
bool held_waits(const struct outbox *outbox); /* are there some that are not due yet? */

/* effect.c */
void effect_open(struct outbox *outbox);
void effect_prepare(struct outbox *outbox); /* its statement for app.db, once the writer is open */
/* A subscription's change by the dispatcher itself: until it is written to app.db, at a quiet
** moment, it stands in the side file. revision: of its row, or of "confirmed" the event that the
** target answered; what it holds for. */
void effect_put(struct outbox *outbox, const struct sub *sub, const char *status,
                const char *reason, int64_t revision);
void effect_keep(struct outbox *outbox); /* inside a commit with what caused them … */
void effect_kept(struct outbox *outbox); /* … that came about */
bool effect_is_kept(const struct outbox *outbox);
void effect_free(struct outbox *outbox);
/* Has its target confirmed it, and app.db not been told yet? Another change of ours but its end waits
** for that: there is one at a time. */
bool effect_confirms(struct outbox *outbox, const struct sub *sub);
/* What is not yet written holds as long as nobody changed what it was said of; after a load. */
void effect_overlay(struct outbox *outbox);
bool effect_look(struct outbox *outbox);               /* into the side file: are there any? */
void effect_write(struct outbox *outbox, int64_t now); /* some of them, if app.db lets us */

/* delivery.c */
/* The row of a pair that is (or becomes) this, with no attempt in it. */
struct delivery pair_row(const struct pair *pair, enum delivery_state state, int64_t next_at,
                         const char *reason, int64_t now);
/* Ends a pair in memory without an attempt: it is written by the next commit. It is in no list of
** its subscription. */
void pair_mark(struct outbox *outbox, struct pair *pair, enum delivery_state state, int64_t next_at,
               const char *reason, int64_t now);
/* What is finished for now, but not for good, and not yet written, is cancelled. reason: a constant. */
void pair_revoke(struct pair *pair, const char *reason, int64_t now);
/* Hands a finished pair, busy and with its outcome filled, to the next commit. */
void pair_done(struct outbox *outbox, struct pair *pair, int64_t now);
/* Takes in what an attempt brought. */
void pair_outcome(struct outbox *outbox, struct pair *pair, const struct outcome *outcome,
                  int64_t now);
void pair_job(struct outbox *outbox, struct pair *pair); /* makes its job ready */
bool sub_has_work(const struct sub *sub);                /* in memory, or to be read in its turn */
void sub_announce(struct sub *sub); /* tells the schedule of that, if it may send */
/* It has rows that are due now. */
void sub_due(struct outbox *outbox, struct sub *sub, int64_t now);
void sub_call(struct outbox *outbox, struct sub *sub, bool called); /* see due.c */
/* What waits in memory and is a row already leaves it; the row is as it was. */
void sub_leave_rows(struct outbox *outbox, struct sub *sub);

#endif
