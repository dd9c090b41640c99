/*
** world.h: what the dispatcher has no say in: the application and its file, the targets, time, and
** chance.
**
** app.db is four copies of one small struct: what the open transaction sees, what its savepoint
** would bring back, what is committed, and what would survive a power loss. Populations are small,
** so that every corner is met often.
** SPDX-License-Identifier: MIT
*/
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    OUTBOX = 24, /* rows the outbox may hold; a writer that finds it full writes nothing */
    SUBS = 8,    /* places for subscriptions; a place is used again when nothing refers to it */
    ENDPOINTS = 4,
    BACKLOG = 12, /* more than the dispatcher's window */
    TYPES = 3, /* event names. 0 comes from a watch, 2 has a condition that reads another table */
    KEYS = 2,  /* ordering keys 1 and 2; 0: none, an order of its own */
    REQUESTS = 6,
    VERSIONS = 6,
    NOBODY = -1,   /* event.only: all that match */
    LIVE = INT_MAX /* subscription.to_id: not ended */
};

struct event { /* a row of resthook_outbox */
    int id;
    int created;    /* created_at: differs between any two rows, whatever their ids */
    int deliver_at; /* 0: at once */
    int version;    /* of the watch that captured it; 0: emitted */
    int truth;      /* the oracle's place for it; the scheme never looks at it */
    int8_t type, key, only;
};

enum status { UNUSED, ACTIVE, PAUSED, ENDED };

enum ordered { NOT_ORDERED, SKIPS, STOPS }; /* what a dead delivery does to its key */

struct subscription {
    enum status status;
    int endpoint;
    unsigned types; /* bit set of event names */
    enum ordered ordered;
    int from_id, to_id;
    int revision, updated; /* a counter, and the moment of the last change (updated_at) */
};

struct request { /* a row of resthook_request: send this delivery again */
    int id, created;
    int sub, event;
};

struct version { /* a row of resthook_watch; the last one is the current one */
    int id, shape;
};

struct app {
    struct event outbox[OUTBOX]; /* by id */
    bool counts; /* the outbox is AUTOINCREMENT, as version 1 of the schema made it */
    int events, event_sequence; /* sqlite_sequence of resthook_outbox; 0: none */
    struct subscription sub[SUBS];
    struct request request[REQUESTS];
    int requests, request_sequence;
    struct version version[VERSIONS];
    int versions, version_sequence;
    bool open; /* the business data that the condition of event 2 reads */
};

struct app_file {
    struct app working, savepoint, committed, synced;
    bool writing, has_savepoint; /* a transaction of the application is open */
    struct app backup;
    bool has_backup;
};

enum mood { HEALTHY, FAILING, HANGING, GONE };

extern struct app_file app;
extern enum mood mood[ENDPOINTS];
extern int now;  /* ticks */
extern int boot; /* the machine's boot id */

void world_reset(uint64_t seed);
unsigned pick(unsigned count); /* 0 … count - 1 */
bool chance(unsigned percent);
int stamp(void); /* a moment that differs from all others */

const struct event *app_event(const struct app *state, int id);
bool app_has(const struct app *state, int id, int created); /* is the row there, unchanged? */
int app_newest(const struct app *state);                    /* greatest event id ever handed out */
const struct version *app_version(const struct app *state, int id);
void app_remove_event(struct app *state, int id);
void app_end(struct app *state, int sub, int to_id);

/* One random act of the application, in its open transaction or in one of its own. */
void application_step(void);
void application_backlog(int endpoint);
void app_commit(void);  /* publishes app.working */
void app_sync(void);    /* a checkpoint: what is committed reaches the disk */
void app_lose(void);    /* a power loss: back to what reached the disk */
void app_restore(void); /* the file is replaced by the backup, while everything runs */

/* The story: printed only while a violation is told again. */
extern bool telling;
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
