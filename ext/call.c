/*
** call.c: how an SQL function of ours runs: see struct call in hooks.h.
**
** Whatever a call did is undone when it fails: by its savepoint, or, where there is none, because
** the one statement that changes something is atomic by itself. Every error has a message that
** begins with the function's name, is of bounded length and clean UTF-8; SQLite's own texts are
** passed on behind it. Out of memory is SQLITE_NOMEM. The texts that functions here return are the
** caller's, to be freed with sqlite3_free.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <string.h>

#include "hooks.h"
#include "render.h"
#include "sql.h"

#define SHOWN_MAX 80    /* bytes of a value in a message */
#define MESSAGE_MAX 800 /* of all of it */

/* Appends at most `most` bytes of a text, cut between characters, with invalid UTF-8 replaced and
** control characters too. Returns true when it was all of it. */
static bool append_clean(struct buffer *out, const char *text, int length, int most) {
    int end = length;

    if (end > most) {
        for (end = most; end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80; end--) {
            /* not in the middle of a character */
        }
    }
    render_json(out, text, (size_t)end);
    for (size_t i = 0; i < out->length; i++) {
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 127) {
            out->data[i] = '?';
        }
    }
    return end == length;
}

/* Keeps an error, with its message unless there is no memory for that. */
static void keep(struct call *call, int rc, const char *text) {
    struct buffer clean = {0};

    call->rc = rc;
    if (!append_clean(&clean, text, (int)strlen(text), MESSAGE_MAX)) {
        buffer_text(&clean, "…");
    }
    if (!clean.failed) {
        call->error = sqlite3_mprintf("%s: %s", call->function, clean.data);
    }
    buffer_free(&clean);
}

void call_fail(struct call *call, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments); /* wanted or not: %z frees */
    va_end(arguments);
    if (call->rc == SQLITE_OK && text != NULL) {
        keep(call, SQLITE_ERROR, text);
    } else if (call->rc == SQLITE_OK) {
        call->rc = SQLITE_NOMEM;
    }
    sqlite3_free(text);
}

void call_check(struct call *call, int rc) {
    if (call->rc != SQLITE_OK || rc == SQLITE_OK) {
        return;
    }
    if (rc == SQLITE_NOMEM) {
        call->rc = rc;
    } else {
        keep(call, rc, sqlite3_errmsg(call->db));
    }
}

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

static sqlite3_stmt *prepare(struct call *call, const char *sql, const char **rest) {
    sqlite3_stmt *statement = NULL;

    if (call->rc == SQLITE_OK) {
        call_check(call, sqlite3_prepare_v2(call->db, sql, -1, &statement, rest));
    }
    return statement;
}

/*
** What a failed call is ended by must be prepared before it begins: after sqlite3_interrupt(), and
** without memory, SQLite prepares nothing, and a savepoint that stays open keeps the write lock. A
** transaction of our own is rolled back as a whole.
*/
static void prepare_endings(struct call *call) {
    call->outermost = sqlite3_get_autocommit(call->db) != 0;
    call->undo = prepare(call, call->outermost ? "ROLLBACK" : "ROLLBACK TO resthook_call", NULL);
    call->release = prepare(call, "RELEASE resthook_call", NULL);
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

static void bind_all(struct call *call, sqlite3_stmt *statement, const char *types,
                     va_list arguments) {
    for (int i = 0; types[i] != '\0' && call->rc == SQLITE_OK; i++) {
        int rc = SQLITE_OK;

        if (types[i] == 't') {
            rc = sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                   SQLITE_TRANSIENT);
        } else if (types[i] == 'i') {
            rc = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, sqlite3_int64));
        } else if (types[i] == 'd') {
            rc = sqlite3_bind_double(statement, i + 1, va_arg(arguments, double));
        } else if (types[i] == 'v') {
            rc = sqlite3_bind_value(statement, i + 1, va_arg(arguments, sqlite3_value *));
        }
        call_check(call, rc);
    }
}

static sqlite3_stmt *prepare_bound(struct call *call, const char *sql, const char *types,
                                   va_list arguments) {
    sqlite3_stmt *statement = prepare(call, sql, NULL);

    if (statement != NULL) {
        bind_all(call, statement, types, arguments);
    }
    if (call->rc != SQLITE_OK) {
        (void)sqlite3_finalize(statement);
        statement = NULL;
    }
    return statement;
}

bool call_step(struct call *call, sqlite3_stmt *statement) {
    if (call->rc != SQLITE_OK || statement == NULL) {
        return false;
    }
    int rc = sqlite3_step(statement);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        call_check(call, rc);
    }
    return rc == SQLITE_ROW;
}

sqlite3_stmt *call_prepare(struct call *call, const char *sql, const char *types, ...) {
    va_list arguments;

    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(call, sql, types, arguments);
    va_end(arguments);
    return statement;
}

void call_exec(struct call *call, const char *sql, const char *types, ...) {
    va_list arguments;
    bool first = true;

    va_start(arguments, types);
    while (call->rc == SQLITE_OK && *sql != '\0') {
        sqlite3_stmt *statement = prepare(call, sql, &sql);

        if (statement == NULL) { /* white space, or an error */
            continue;
        }
        if (first) {
            bind_all(call, statement, types, arguments);
            first = false;
        }
        while (call_step(call, statement)) {
        }
        (void)sqlite3_finalize(statement); /* its error was kept by the step */
    }
    va_end(arguments);
}

char *call_text(struct call *call, const char *sql, const char *types, ...) {
    va_list arguments;
    char *text = NULL;

    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(call, sql, types, arguments);
    va_end(arguments);
    if (call_step(call, statement) && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        const unsigned char *value = sqlite3_column_text(statement, 0);

        text = value != NULL ? sqlite3_mprintf("%s", value) : NULL;
        if (text == NULL) {
            call_check(call, SQLITE_NOMEM);
        }
    }
    (void)sqlite3_finalize(statement);
    return text;
}

sqlite3_int64 call_int(struct call *call, sqlite3_int64 otherwise, const char *sql,
                       const char *types, ...) {
    va_list arguments;
    sqlite3_int64 value = otherwise;

    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(call, sql, types, arguments);
    va_end(arguments);
    if (call_step(call, statement) && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        value = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return value;
}

static bool holds(const char *text, int length, const char *part) {
    return memmem(text, (size_t)length, part, strlen(part)) != NULL;
}

/* Has it what a secret has, or a URL with a user's name and password? */
static bool may_be_secret(const char *text, int length) {
    return holds(text, length, "whsec_") ||
           (holds(text, length, ":") && (holds(text, length, "@") || holds(text, length, "%40")));
}

/* The text of a value, mended and cut for an error message. */
static char *show(const char *text, int length, bool quoted) {
    struct buffer clean = {0};
    char *result = NULL;

    if (may_be_secret(text, length)) {
        return sqlite3_mprintf("(not shown: it may hold a secret)");
    }
    bool whole = append_clean(&clean, text, length, SHOWN_MAX);

    if (!clean.failed && !whole) {
        result = sqlite3_mprintf("'%s…' (%d bytes)", clean.data, length);
    } else if (!clean.failed) {
        result = sqlite3_mprintf(quoted ? "'%s'" : "%s", clean.data);
    }
    buffer_free(&clean);
    return result;
}

char *shown_text(const char *text) {
    return text != NULL ? show(text, (int)strlen(text), true) : NULL;
}

char *shown(sqlite3_value *value) {
    int type = sqlite3_value_type(value);

    if (type == SQLITE_NULL) {
        return sqlite3_mprintf("NULL");
    }
    if (type == SQLITE_BLOB) {
        return sqlite3_mprintf("a BLOB of %d bytes", sqlite3_value_bytes(value));
    }
    const char *text = (const char *)sqlite3_value_text(value);

    return text != NULL ? show(text, sqlite3_value_bytes(value), type == SQLITE_TEXT) : NULL;
}

const char *call_text_argument(struct call *call, sqlite3_value **argv, int i, const char *what,
                               int most) {
    if (call->rc != SQLITE_OK) {
        return NULL;
    }
    if (sqlite3_value_type(argv[i]) != SQLITE_TEXT) {
        call_fail(call, "%s is %z, expected text", what, shown(argv[i]));
        return NULL;
    }
    const char *text = (const char *)sqlite3_value_text(argv[i]);
    int length = sqlite3_value_bytes(argv[i]);

    if (text == NULL) {
        call_check(call, SQLITE_NOMEM);
    } else if (length > most) {
        call_fail(call, "%s %z is too long, expected at most %d bytes", what, shown(argv[i]), most);
    } else if (strlen(text) != (size_t)length) {
        call_fail(call, "%s %z contains a NUL character", what, shown(argv[i]));
    }
    return call->rc == SQLITE_OK ? text : NULL;
}

sqlite3_int64 call_now(struct call *call) {
    return call_int(call, 0, sql_now, "");
}

sqlite3_int64 newest_event(struct call *call) {
    return call_int(call, 0, sql_newest_event, "");
}
