/*
** journal.h: the dispatcher's own file, app.db-resthook (sql/journal.sql): what was sent, when,
** with what result.
**
** Writing is in transactions that the caller opens and commits; errors stick until journal_commit,
** which then rolls back and says so: the caller keeps what it wanted to write and tries again.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_JOURNAL_H
#define RESTHOOKD_JOURNAL_H

#include "db.h"
#include "source.h"

/* ms for the lock of somebody else, who has no business here; the outcomes of all other databases
** wait meanwhile, and a commit that failed is tried again soon. */
#define JOURNAL_PATIENCE 200

struct journal;

enum delivery_state {
    STATE_PENDING,
    STATE_RETRYING,
    STATE_HELD,
    STATE_DELIVERED,
    STATE_DEAD,
    STATE_CANCELLED
};

/* One row of delivery. next_at NEVER is NULL. */
struct delivery {
    int64_t sub, event;
    enum delivery_state state;
    int64_t name, created_at;
    int attempts, base; /* base: written with an attempt only */
    int64_t next_at;
    const char *reason; /* NULL: none */
    int64_t started_at; /* 0: no attempt was made; then the attempt's columns stay as they were */
    int64_t duration;
    int status;
    const char *class;
    const char *error;
    const char *response;
    size_t response_length;
    struct steps steps;
    const char *headers;
    size_t headers_length;
    int64_t finished_at; /* 0: not final; HELD: since when it is held for this reason */
    const char *key;     /* what it is ordered by; NULL: nothing */
    bool repeats;        /* the row may hold an attempt that has to be kept */
};

/*
** Opens or creates the side file of the database at path, with that file's owner and mode. NULL
** with *error (the caller frees it) when it can't be written, is not ours, or is of a newer schema.
*/
struct journal *journal_open(const char *path, const char *database, char **error);
/*
** Opens the side file only to read its meta and by journal_db: nothing is written. NULL without
** *error: there is none, or it is empty.
*/
struct journal *journal_look(const char *path, char **error);
void journal_close(struct journal *journal);
struct db *journal_db(struct journal *journal); /* for statements of other rooms on the same file */
bool journal_is_new(const struct journal *journal); /* it was empty when it was opened */

/* durable: this commit reaches the disk, and all before it. Otherwise SQLite's NORMAL: it survives
** the process. */
bool journal_begin(struct journal *journal, bool durable);
/* false: nothing was written; journal_error says why, the journal is usable again. */
bool journal_commit(struct journal *journal);
/* Copies the WAL into the file, if it is long enough; outside of transactions, and of locks on app.db. */
void journal_tidy(struct journal *journal);
void journal_copy(struct journal *journal); /* the next journal_tidy does, whatever its length */
/* left: somebody else copies it, when journal_is_long (syncer.h). */
void journal_leave_copying(struct journal *journal, bool left);
bool journal_is_long(const struct journal *journal);
/* Of what can't be read now, or else of the last commit that failed. */
const char *journal_error(const struct journal *journal);

void journal_set(struct journal *journal, const char *name, int64_t value);
void journal_set_text(struct journal *journal, const char *name, const char *value);
int64_t journal_get(struct journal *journal, const char *name, int64_t otherwise);
char *journal_get_text(struct journal *journal,
                       const char *name); /* NULL: none; the caller frees it */

int64_t journal_subscription(struct journal *journal, const char *id, const char *target);
void journal_filtered(struct journal *journal, int64_t sub, int64_t count); /* so many more */
int64_t journal_event_name(struct journal *journal, const char *name);

void journal_put(struct journal *journal, const struct delivery *delivery);
bool journal_recorded(struct journal *journal, int64_t sub, int64_t event);
/* A pair that is due at `now`, unless anything is recorded of it. */
void journal_fetch(struct journal *journal, int64_t sub, int64_t event, int64_t name,
                   int64_t created_at, int64_t now);

/* An unfinished delivery with a time. */
struct due_row {
    int64_t event, next_at, created_at;
    int attempts, base; /* base: that don't count in the schedule, see sql/journal.sql */
    enum delivery_state state;
    bool judged;        /* its subscription's filter was asked */
    bool replayed;      /* and not sent since, nor before */
    int64_t held_since; /* HELD: since when for this reason, which … */
    char *reason;       /* … the caller frees; NULL otherwise */
};
/* The earliest `most` of them, into rows; returns how many. */
int journal_due(struct journal *journal, int64_t sub, struct due_row *rows, int most);
/* The same of one event alone: 0 or 1. */
int journal_due_probe(struct journal *journal, int64_t sub, int64_t event, struct due_row *rows);
bool journal_has_open(struct journal *journal, int64_t sub);
/* The newest event of which anything is recorded, and what became of it; 0: none is. */
int64_t journal_newest(struct journal *journal, int64_t sub, enum delivery_state *state);
bool journal_replay(struct journal *journal, int64_t sub, int64_t event,
                    int64_t now); /* false: it is not final */
bool journal_any_open(struct journal *journal);
/* Cancels up to `most` unfinished deliveries; returns how many. */
int journal_cancel(struct journal *journal, int64_t sub, const char *reason, int64_t now, int most);

void journal_anchor(struct journal *journal, int64_t id,
                    int64_t created_at);                  /* keeps the newest 64 */
void journal_rewind(struct journal *journal, int64_t to); /* forgets what is above */

#endif
