/*
** hooks.h: what the rooms of the extension offer each other: how an SQL function is written here,
** and the functions that each room registers.
**
** An SQL function runs between call_open or call_begin and call_end. What it changed is undone when
** it fails, so that an error leaves nothing changed.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_HOOKS_H
#define RESTHOOK_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "sqlite.h"

#define SCHEMA_VERSION 2
#define RESTHOOK_VERSION "0.1.0"

/*
** One call of an SQL function. Errors are sticky: the first one is kept, and every later step does
** nothing, so that a sequence is straight lines. The message always begins with the function's
** name.
*/
struct call {
    const char *function; /* "resthook_subscribe" */
    sqlite3_context *context;
    sqlite3 *db;
    int schema;         /* version of resthook's schema in the file, 0: none */
    int rc;             /* SQLITE_OK, or the first error */
    char *error;        /* its message, sqlite3_malloc'ed; NULL: there was no memory for it */
    bool savepoint;     /* opened here, and to be released or rolled back */
    bool outermost;     /* it is the transaction */
    sqlite3_stmt *undo; /* what ends it: see call.c */
    sqlite3_stmt *release;
    sqlite3_stmt *abandon;
    sqlite3_int64 last_rowid; /* the host's last_insert_rowid(), put back at the end */
};

/* What a call needs of the file. A newer schema than the program's is refused in any case. */
enum schema_need {
    SCHEMA_NONE, /* it makes one */
    SCHEMA_ANY,  /* an older one will do: an application's trigger calls it, which may not fail */
    SCHEMA_CURRENT, /* resthook_init() first */
};

/* Starts a call that only reads. */
void call_open(struct call *call, sqlite3_context *context, const char *function);
/*
** Starts a call that changes something: opens a savepoint and takes the write lock before anything
** is read. SQLite asks the host's busy handler only then; a transaction that has read and then
** wants to write gets SQLITE_BUSY at once. Inside a statement that writes (INSERT ... SELECT
** f(...), a trigger) SQLite lets no savepoint be opened: then what several statements did is undone
** by that statement's own rollback, so check everything before writing anything. need: of
** the schema.
*/
void call_begin(struct call *call, sqlite3_context *context, const char *function,
                enum schema_need need);
/*
** Fails the call inside a statement that writes: for whatever makes or drops triggers and tables. When
** that statement fails SQLite takes them back on the disk and not in the connection, which goes on with
** a schema that isn't there: it writes past indexes.
*/
void call_needs_savepoint(struct call *call);
/* Ends it: releases or rolls back, restores last_insert_rowid, reports the error. On success the
** result was set by the caller before. Returns true on success. */
bool call_end(struct call *call);
/* Fails the call: "FUNCTION: message", cut at 800 bytes, control characters and invalid UTF-8
** replaced. Never give it a secret. Of sqlite3_mprintf's formats %z frees its text, here too when
** the call had failed before: "id is %z", shown(argv[0]). */
void call_fail(struct call *call, const char *format, ...);
/* Keeps an error code of SQLite's with its text; SQLITE_OK is none. */
void call_check(struct call *call, int rc);
/* Runs sql with bound arguments, one letter each: 't' const char* (NULL is NULL), 'i'
** sqlite3_int64, 'd' double, 'v' sqlite3_value*. Of several statements the arguments are the first
** one's. */
void call_exec(struct call *call, const char *sql, const char *types, ...);
/* The same, for a query: the first column of the first row as text (sqlite3_free it; NULL: no row
** or NULL), or as an integer (otherwise: no row or NULL). */
char *call_text(struct call *call, const char *sql, const char *types, ...);
/* What call_text gave, and is a secret: wipes and frees it. NULL is fine. */
void call_forget(char *text);
sqlite3_int64 call_int(struct call *call, sqlite3_int64 otherwise, const char *sql,
                       const char *types, ...);
/* Prepares a query to step through by hand; NULL after an error. */
sqlite3_stmt *call_prepare(struct call *call, const char *sql, const char *types, ...);
/* Steps it: true, a row; false, the end or an error (kept in the call). */
bool call_step(struct call *call, sqlite3_stmt *statement);
/* Argument i as text that has no NUL in it and at most `most` bytes; fails the call, naming `what`,
** otherwise. What is not text is refused, a number too. */
const char *call_text_argument(struct call *call, sqlite3_value **argv, int i, const char *what,
                               int most);
/* ms since 1970-01-01, from SQLite's own clock (constant within a statement). */
sqlite3_int64 call_now(struct call *call);
/* A value, or a text, for an error message: at most 80 bytes of it, control characters and invalid
** UTF-8 replaced, sqlite3_malloc'ed; NULL without memory. What looks like a secret, or has a ':' and
** an '@' as a URL with a password has, is not shown. */
char *shown(sqlite3_value *value);
char *shown_text(const char *text);
/* The same of a text up to that character and no further: what is behind it may be a credential. */
char *shown_before(sqlite3_value *value, char end);

/* Argument 0 as the id of a subscription that is there, and (unless may_be_ended) has not ended. */
const char *subscription_argument(struct call *call, sqlite3_value **argv, bool may_be_ended);
/* What an Ed25519 private key's public one is (32 bytes each): set by who links the extension and
** can work it out; NULL: nobody can. */
extern void (*public_key_of)(const unsigned char *private_key, unsigned char *public_key);

/* Newest event id, 0 when there was never one (functions.sql). */
sqlite3_int64 newest_event(struct call *call);

/* Value of a setting, as resthook_get returns it. */
sqlite3_int64 setting_int(struct call *call, const char *name);
/* The number nearest to it that resthook_set() takes for this setting, of which there is one; NULL:
** its default. Its row may have been written by other means. */
double setting_bounded(const char *name, const double *value);

/* From where a function may be called; without effect before SQLite 3.31. */
enum function_use {
    FUNCTION_ANYWHERE,    /* also from triggers and views, while the host trusts the schema */
    FUNCTION_DIRECT_ONLY, /* it changes the database or reads a secret: see resthook.c */
    FUNCTION_PURE         /* always the same and harmless */
};

/* A function as a room registers it; each number of arguments is a row of its own. */
struct function {
    const char *name;
    int arguments;
    enum function_use use;
    void (*run)(sqlite3_context *, int, sqlite3_value **);
};
int register_functions(sqlite3 *db, const struct function *functions, int count);

/* Each room registers its functions. */
int install_register(sqlite3 *db);   /* resthook_init, _uninstall, _version */
int settings_register(sqlite3 *db);  /* resthook_set, _get */
int subscribe_register(sqlite3 *db); /* resthook_subscribe … resthook_unsubscribe */
int signing_register(sqlite3 *db);   /* resthook_secret, _rotate_secret, _public_key */
int verify_register(sqlite3 *db);    /* resthook_confirm */
int emit_register(sqlite3 *db);      /* resthook_emit, _ping */
int request_register(sqlite3 *db);   /* resthook_replay, _cancel, _forget */
int watch_register(sqlite3 *db);     /* resthook_watch, _unwatch */
int repair_register(sqlite3 *db);    /* resthook_repair */
int backfill_register(sqlite3 *db);  /* resthook_backfill */
int payload_register(sqlite3 *db);   /* resthook_payload */
int history_register(sqlite3 *db);   /* the virtual tables */

/* How many things resthook_repair() would look into: reads only, on any connection that has the
** functions. SQLITE_OK, or the code. */
int watch_count_stale(sqlite3 *db, int *stale);

/* Arms the watches' triggers that somebody is interested in by now; and the other one disarms the rest
** (arm.c). */
void arm_triggers(struct call *call);
void arm_and_disarm_triggers(struct call *call);

/* Fills resthook_setting from the table in settings.c, keeping values. Called by resthook_init. */
void settings_install(struct call *call);

#endif
