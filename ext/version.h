/*
** version.h: the versions of watches: which are current, a new one, the end of one.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_VERSION_H
#define RESTHOOK_VERSION_H

#include "hooks.h"
#include "plan.h"

/* The texts of a version that is not retired, in the order sql_watch_current has them. */
enum {
    VERSION_TABLE, /* as it is called now */
    VERSION_OPERATION,
    VERSION_EVENT,
    VERSION_OPTIONS,
    VERSION_OF,
    VERSION_CHANGED,
    VERSION_RECORD,
    VERSION_CAPTURED,
    VERSION_VIRTUAL,
    VERSION_TABLE_SQL,
    VERSION_PRIMARY_KEY,
    VERSION_STORED_TABLE, /* as it was called when the version was made */
    VERSION_TRIGGER,      /* the trigger's text; NULL: it is gone */
    VERSION_TEXTS
};

struct version {
    sqlite3_int64 id;
    bool wanted;               /* somebody is interested */
    bool old;                  /* an update that captures OLD beside NEW */
    char *text[VERSION_TEXTS]; /* NULL is NULL */
};

struct followed;

struct versions {
    struct version *at;
    int count;
};

/* Reads the current ones; the caller frees them, after an error too. */
void versions_read(struct call *call, struct versions *list);
void versions_free(struct versions *list);

/*
** Plans, and tries the expressions on copy (blueprint.h). The old row of an update is captured, and
** request->old set, if they do not compile without it. Returns SQLITE_OK, or the code; SQLITE_ERROR
** with *error when it can't be watched so. Nothing is written.
*/
int version_plan(sqlite3 *db, sqlite3 *copy, struct plan_request *request, struct plan *plan,
                 char **error);
/*
** Writes the planned version and its trigger. Returns its id. record: subscribed, always. at: ms since
** 1970-01-01; what it replaces is retired at the same time to the millisecond, and nothing else is
** within one call: so a version is known to be the heir of another.
*/
sqlite3_int64 version_install(struct call *call, const struct plan *plan, const char *record,
                              sqlite3_int64 at);
/* Makes the trigger of version id, of this text, in the place of the one there is. */
void version_put_trigger(struct call *call, sqlite3_int64 id, const struct buffer *text);
/* Ends one: its trigger goes, its row stays for what it has captured. */
void version_retire(struct call *call, sqlite3_int64 id, sqlite3_int64 at);

/* What the version would be if it were made now: the request of its plan, whose texts stand in
** followed. false: it can't be read. */
bool version_request(struct call *call, const struct version *now, sqlite3_int64 capture_max,
                     struct followed *followed, struct plan_request *request);

/* Takes a code and a message (sqlite3_free'd here) from the rooms that do not know struct call. */
void version_fail(struct call *call, int rc, char *error);

#endif
