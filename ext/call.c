/*
** call.c: how an SQL function of ours runs: see struct call in hooks.h.
**
** Whatever a call did is undone when it fails: by its savepoint, or, where there is none, because
** the one statement that changes something is atomic by itself. How it runs SQL is in statement.c,
** what it says when it fails in message.c.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "hooks.h"
#include "sql.h"

/* Has SQLite just said that a table is missing? */
static bool is_missing(struct call *call, int rc) {
    return rc == SQLITE_ERROR && strncmp(sqlite3_errmsg(call->db), "no such table", 13) == 0;
}

static void check_schema(struct call *call, enum schema_need need) {
    sqlite3_stmt *statement = NULL;
    int rc;

    if (call->rc != SQLITE_OK) {
        return;
    }
    rc = sqlite3_prepare_v2(call->db, sql_schema_version, -1, &statement, NULL);
    if (!is_missing(call, rc)) {
        call_check(call, rc);
        call->schema = call_step(call, statement) ? sqlite3_column_int(statement, 0) : 0;
    }
    (void)sqlite3_finalize(statement); /* its error was kept by the step */
    if (call->schema > SCHEMA_VERSION) {
        call_fail(call, "the schema of this file is version %d, newer than this program's %d",
                  call->schema, SCHEMA_VERSION);
    } else if (need != SCHEMA_NONE && call->schema <= 0) {
        call_fail(call, "this database has no resthook schema: SELECT resthook_init() first");
    } else if (need == SCHEMA_CURRENT && call->schema < SCHEMA_VERSION) {
        call_fail(call,
                  "the schema of this file is version %d, older than this program's %d: SELECT "
                  "resthook_init() brings it up to date",
                  call->schema, SCHEMA_VERSION);
    }
}

static void set_up(struct call *call, sqlite3_context *context, const char *function) {
    memset(call, 0, sizeof *call);
    call->function = function;
    call->context = context;
    call->db = sqlite3_context_db_handle(context);
    call->last_rowid = sqlite3_last_insert_rowid(call->db);
}

void call_open(struct call *call, sqlite3_context *context, const char *function) {
    set_up(call, context, function);
    check_schema(call, SCHEMA_CURRENT);
}

/* A file without a schema has no table to lock by; what creates one takes the lock itself. */
static void take_lock(struct call *call) {
    int rc = sqlite3_exec(call->db, sql_schema_lock, NULL, NULL, NULL);

    if (!is_missing(call, rc)) {
        call_check(call, rc);
    }
}

/*
** What a failed call is ended by must be prepared before it begins: after sqlite3_interrupt(), and
** without memory, SQLite prepares nothing, and a savepoint that stays open keeps the write lock. A
** transaction of our own is rolled back as a whole.
*/
static void prepare_endings(struct call *call) {
    call->outermost = sqlite3_get_autocommit(call->db) != 0;
    call->undo = call_prepare(call, call->outermost ? "ROLLBACK" : "ROLLBACK TO resthook_call", "");
    call->release = call_prepare(call, "RELEASE resthook_call", "");
    /* An authorizer may deny it; then an interrupted call stays as it is. */
    (void)sqlite3_prepare_v2(call->db, "BEGIN IMMEDIATE", -1, &call->abandon, NULL);
}

static int finish_by(sqlite3_stmt *ending) {
    int rc = sqlite3_step(ending);

    (void)sqlite3_reset(ending); /* says the same again */
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/*
** While an interrupt lasts SQLite starts no statement, ROLLBACK neither; but a statement that would
** write takes the whole transaction back when it is interrupted, the host's too: what SQLite does
** with any interrupted write (sqlite3_interrupt). Without an interrupt that statement fails, since
** there is a transaction, and does nothing.
*/
static void undo(struct call *call) {
    int rc = finish_by(call->undo);

    if (!call->outermost && (rc == SQLITE_OK || rc == SQLITE_INTERRUPT)) {
        rc = finish_by(call->release);
    }
    if (rc == SQLITE_INTERRUPT && sqlite3_get_autocommit(call->db) == 0) {
        (void)finish_by(call->abandon);
    }
}

void call_begin(struct call *call, sqlite3_context *context, const char *function,
                enum schema_need need) {
    set_up(call, context, function);
    prepare_endings(call);
    if (call->rc != SQLITE_OK) {
        return;
    }
    int rc = sqlite3_exec(call->db, "SAVEPOINT resthook_call", NULL, NULL, NULL);

    call->savepoint = rc == SQLITE_OK;
    if (rc != SQLITE_BUSY) { /* BUSY: a statement that writes is under way */
        call_check(call, rc);
    }
    if (call->rc == SQLITE_OK) {
        take_lock(call);
    }
    check_schema(call, need);
}

void call_needs_savepoint(struct call *call) {
    if (!call->savepoint) {
        call_fail(call, "it can't be called inside a statement that writes");
    }
}

bool call_end(struct call *call) {
    if (call->savepoint && call->rc == SQLITE_OK) {
        call_check(call, finish_by(call->release));
    }
    if (call->savepoint && call->rc != SQLITE_OK) {
        undo(call); /* if it fails too, that has nothing to add to what is reported */
    }
    (void)sqlite3_finalize(call->undo);
    (void)sqlite3_finalize(call->release);
    (void)sqlite3_finalize(call->abandon);
    sqlite3_set_last_insert_rowid(call->db, call->last_rowid);
    if (call->rc == SQLITE_OK) {
        return true;
    }
    if (call->error != NULL) {
        sqlite3_result_error(call->context, call->error, -1);
        sqlite3_result_error_code(call->context, call->rc);
    } else if (call->rc == SQLITE_NOMEM) {
        sqlite3_result_error_nomem(call->context);
    } else {
        sqlite3_result_error_code(call->context, call->rc);
    }
    sqlite3_free(call->error);
    call->error = NULL;
    return false;
}
