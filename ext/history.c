/*
** history.c: the virtual tables resthook_deliveries, resthook_attempts and resthook_status: what
** both files know.
**
** They are eponymous and read-only and serve `main`. A query first takes app.db's snapshot, through
** the host's own connection (which may be inside a transaction: its own uncommitted events are
** seen), then the side file's, through a private connection that is open as long as the query runs.
** Taken in this order no delivery falls between the two: what was recorded in between is seen in
** the side file. Where there is no side file yet, all events are pending. One that can't be read
** gives no rows, and its reason is in resthook_status: it is no error, since the query may be the
** application's, and we are its guest. A read that fails on the way is one: half of an answer is
** none.
**
** They may stand in the application's own views and triggers, unless trusted_schema is off: what
** they show of the side file is no secret to who can read the database (its mode is the same).
** SPDX-License-Identifier: MIT
*/
#include <stdint.h>
#include <string.h>

#include "hooks.h"
#include "narrowing.h"
#include "side.h"
#include "sql.h"

/* One virtual table: its columns and the SQL behind it. */
struct kind {
    const char *name, *declaration;
    /* To be narrowed by; -1: none. */
    int delivery_column, event_column, subscription_column, state_column;
    const char *side_sql, *side_event; /* the column of the event's id, for (EVENT) */
    const char *app_sql;               /* NULL: none */
};

static const struct kind deliveries = {
    .name = "resthook_deliveries",
    .declaration = "CREATE TABLE x(id TEXT, event_id INTEGER, event TEXT, subscription_id TEXT,"
                   " target TEXT, state TEXT, reason TEXT, attempts INTEGER, next_attempt_at TEXT,"
                   " last_status INTEGER, last_error TEXT, delivered_at TEXT)",
    .delivery_column = 0,
    .event_column = 1,
    .subscription_column = 3,
    .state_column = 5,
    .side_sql = sql_deliveries_side,
    .side_event = "d.event",
    .app_sql = sql_deliveries_app,
};
static const struct kind attempts = {
    .name = "resthook_attempts",
    .declaration = "CREATE TABLE x(delivery_id TEXT, attempt INTEGER, started_at TEXT,"
                   " duration_ms INTEGER, status INTEGER, error TEXT, response TEXT)",
    .delivery_column = 0,
    .event_column = -1,
    .subscription_column = -1,
    .state_column = -1,
    .side_sql = sql_attempts_side,
    .side_event = "a.event",
};
static const struct kind status = {
    .name = "resthook_status",
    .declaration = "CREATE TABLE x(name TEXT, value)",
    .delivery_column = -1,
    .event_column = -1,
    .subscription_column = -1,
    .state_column = -1,
    .side_sql = sql_status_side,
    .side_event = "",
    .app_sql = sql_status_app,
};

struct table {
    sqlite3_vtab base;
    sqlite3 *db;
    const struct kind *kind;
};

enum { ROWS_WHY, ROWS_SIDE, ROWS_APP, ROWS_END }; /* where the rows come from, in this order */

struct cursor {
    sqlite3_vtab_cursor base;
    bool open;          /* the snapshots are taken; they stay from one filter() to the next */
    bool unreadable;    /* there is a side file, but … */
    sqlite3_stmt *hold; /* keeps app.db's */
    sqlite3 *side;      /* private; NULL: there is none */
    char *why;          /* what there is instead of a side file */
    sqlite3_int64 passed;
    sqlite3_stmt *rows[ROWS_END];
    sqlite3_stmt *recorded;
    int at;
    sqlite3_int64 rowid;
};

static int connect(sqlite3 *db, void *data, int argc, const char *const *argv, sqlite3_vtab **out,
                   char **error) {
    const struct kind *kind = data;
    struct table *table;
    int rc = sqlite3_declare_vtab(db, kind->declaration);

    (void)argc;
    (void)argv;
    (void)error;
    if (rc != SQLITE_OK) {
        return rc;
    }
    table = sqlite3_malloc(sizeof *table);
    if (table == NULL) {
        return SQLITE_NOMEM;
    }
    memset(table, 0, sizeof *table);
    table->db = db;
    table->kind = kind;
    *out = &table->base;
    return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *base) {
    sqlite3_free(base);
    return SQLITE_OK;
}

/* An id is compared byte by byte; with another collation more may be equal. */
static bool can_narrow(sqlite3_index_info *info, int i, int column) {
    return info->aConstraint[i].usable && info->aConstraint[i].iColumn == column &&
           info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ &&
           sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") == 0;
}

/* Narrowing by a delivery's id is a look-up; by a subscription or an event, much less than
** everything. */
static int best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    const struct kind *kind = ((struct table *)base)->kind;
    const int columns[] = {kind->subscription_column, kind->event_column, kind->delivery_column,
                           kind->state_column};
    int arguments = 0;

    info->idxNum = 0;
    for (int which = 0; which < 4; which++) {
        for (int i = 0; i < info->nConstraint && columns[which] >= 0; i++) {
            if (can_narrow(info, i, columns[which])) {
                info->idxNum |= 1 << which;
                info->aConstraintUsage[i].argvIndex = ++arguments;
                break;
            }
        }
    }
    info->estimatedCost = (info->idxNum & BY_DELIVERY) != 0       ? 10
                          : (info->idxNum & BY_EVENT) != 0        ? 1000
                          : (info->idxNum & BY_STATE) != 0        ? 10000
                          : (info->idxNum & BY_SUBSCRIPTION) != 0 ? 100000
                                                                  : 10000000;
    info->estimatedRows =
        (info->idxNum & BY_DELIVERY) != 0 ? 1 : (sqlite3_int64)info->estimatedCost;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
    struct cursor *cursor = sqlite3_malloc(sizeof *cursor);

    (void)base;
    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    memset(cursor, 0, sizeof *cursor);
    *out = &cursor->base;
    return SQLITE_OK;
}

static void finalize_rows(struct cursor *cursor) {
    for (int i = 0; i < ROWS_END; i++) {
        (void)sqlite3_finalize(cursor->rows[i]);
        cursor->rows[i] = NULL;
    }
}

static int close_cursor(sqlite3_vtab_cursor *base) {
    struct cursor *cursor = (struct cursor *)base;

    finalize_rows(cursor);
    (void)sqlite3_finalize(cursor->recorded);
    (void)sqlite3_finalize(cursor->hold);
    (void)sqlite3_close(cursor->side);
    sqlite3_free(cursor->why);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

/* Keeps an error with its text, which is of `from`, for SQLite. */
static int fail(struct cursor *cursor, int rc, sqlite3 *from) {
    sqlite3_vtab *base = cursor->base.pVtab;

    if (rc != SQLITE_OK && rc != SQLITE_NOMEM && rc != SQLITE_INTERRUPT) {
        sqlite3_free(base->zErrMsg);
        base->zErrMsg =
            sqlite3_mprintf("%s: %s", ((struct table *)base)->kind->name, sqlite3_errmsg(from));
    }
    return rc;
}

/* Keeps in words what can't be read, which is no error; others are. */
static int unreadable(struct cursor *cursor, int rc, sqlite3 *from, const char *which) {
    if (rc == SQLITE_OK || rc == SQLITE_NOMEM || rc == SQLITE_INTERRUPT) {
        return rc;
    }
    cursor->unreadable = true;
    if (cursor->why == NULL) {
        cursor->why = sqlite3_mprintf("%s can't be read: %s", which, sqlite3_errmsg(from));
    }
    return cursor->why != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* Takes both snapshots, app.db's first. What is not there is said in why, and open stays false. */
static int take_snapshots(struct cursor *cursor, const struct table *table) {
    int rc = sqlite3_prepare_v2(table->db, sql_schema_version, -1, &cursor->hold, NULL);

    if (rc == SQLITE_ERROR) { /* no such table */
        cursor->why =
            sqlite3_mprintf("this database has no resthook schema: SELECT resthook_init() first");
        return cursor->why != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (rc == SQLITE_OK && sqlite3_step(cursor->hold) != SQLITE_ROW) {
        rc = sqlite3_reset(cursor->hold);
    }
    if (rc != SQLITE_OK) {
        return fail(cursor, rc, table->db);
    }
    if (sqlite3_column_int(cursor->hold, 0) > SCHEMA_VERSION) {
        cursor->why = sqlite3_mprintf("the schema of this file is newer than this program's %d",
                                      SCHEMA_VERSION);
        return cursor->why != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    rc = side_open(table->db, &cursor->side, &cursor->passed, &cursor->why);
    if (rc == SQLITE_NOMEM || (rc != SQLITE_OK && cursor->why == NULL)) {
        return SQLITE_NOMEM;
    }
    cursor->unreadable = rc != SQLITE_OK && rc != SQLITE_NOTFOUND;
    cursor->open = true;
    rc = SQLITE_OK;
    if (cursor->side != NULL && table->kind == &deliveries) {
        rc = sqlite3_prepare_v2(cursor->side, sql_deliveries_recorded, -1, &cursor->recorded, NULL);
    }
    return unreadable(cursor, rc, cursor->side, "the side file");
}

/* ---- the rows ---- */

/* third: the value of ?3, see history.sql. */
static int start(struct cursor *cursor, int which, sqlite3 *db, const char *sql,
                 const char *event_column, const struct narrowing *narrowing, sqlite3_int64 third) {
    char *text = narrowing_sql(narrowing, sql, event_column);
    sqlite3_stmt **statement = &cursor->rows[which];
    int rc = text != NULL ? sqlite3_prepare_v2(db, text, -1, statement, NULL) : SQLITE_NOMEM;

    if (rc == SQLITE_OK) {
        rc = narrowing_bind(narrowing, *statement);
    }
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(*statement) >= 3) {
        rc = sqlite3_bind_int64(*statement, 3, third);
    }
    if (rc == SQLITE_OK && which == ROWS_SIDE && sqlite3_bind_parameter_count(*statement) >= 4) {
        rc = sqlite3_bind_int64(*statement, 4, side_touched(db));
    }
    sqlite3_free(text);
    return unreadable(cursor, rc, db, which == ROWS_SIDE ? "the side file" : "the outbox");
}

/* Does the side file have a row of the pair that app.db's rows stand at? Then it was shown. */
static bool is_recorded(struct cursor *cursor) {
    sqlite3_stmt *app = cursor->rows[ROWS_APP];
    bool recorded;

    if (cursor->recorded == NULL) {
        return false;
    }
    (void)sqlite3_bind_value(cursor->recorded, 1, sqlite3_column_value(app, 3));
    (void)sqlite3_bind_value(cursor->recorded, 2, sqlite3_column_value(app, 1));
    recorded = sqlite3_step(cursor->recorded) == SQLITE_ROW;
    (void)sqlite3_reset(cursor->recorded);
    return recorded;
}

static int next_row(sqlite3_vtab_cursor *base) {
    struct cursor *cursor = (struct cursor *)base;

    cursor->rowid++;
    for (; cursor->at < ROWS_END; cursor->at++) {
        sqlite3_stmt *rows = cursor->rows[cursor->at];
        int rc = SQLITE_DONE;

        while (rows != NULL && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
            if (cursor->at != ROWS_APP || !is_recorded(cursor)) {
                return SQLITE_OK;
            }
        }
        if (rc != SQLITE_DONE) {
            return fail(cursor, rc, sqlite3_db_handle(rows));
        }
    }
    return SQLITE_OK;
}

static int time_now(sqlite3 *db, sqlite3_int64 *now) {
    sqlite3_stmt *read = NULL;
    int rc = sqlite3_prepare_v2(db, sql_now, -1, &read, NULL);

    if (rc == SQLITE_OK && sqlite3_step(read) == SQLITE_ROW) {
        *now = sqlite3_column_int64(read, 0);
    }
    return rc == SQLITE_OK ? sqlite3_finalize(read) : rc;
}

/* Both files' rows, or one's. */
static int start_both(struct cursor *cursor, const struct table *table,
                      const struct narrowing *narrowing) {
    const struct kind *kind = table->kind;
    sqlite3_int64 now = 0;
    int rc = time_now(table->db, &now);

    if (rc == SQLITE_OK && cursor->side != NULL) {
        rc = start(cursor, ROWS_SIDE, cursor->side,
                   kind == &deliveries && narrowing->state != STATE_ANY ? sql_deliveries_state
                                                                        : kind->side_sql,
                   kind->side_event, narrowing, now);
    }
    if (rc == SQLITE_OK && kind->app_sql != NULL && !narrowing->recorded_only &&
        (!cursor->unreadable || kind == &status)) {
        rc = start(cursor, ROWS_APP, table->db, kind->app_sql, "o.id", narrowing, cursor->passed);
    }
    return rc;
}

/* What resthook_status says when there is no side file, or can't say without it. */
static int start_status(struct cursor *cursor, const struct table *table) {
    sqlite3_stmt *pending = NULL;
    sqlite3_stmt **why = &cursor->rows[ROWS_WHY];
    int rc = SQLITE_OK;

    if (cursor->why != NULL) {
        rc = sqlite3_prepare_v2(table->db, sql_status_none, -1, why, NULL);
        if (rc == SQLITE_OK) {
            rc = sqlite3_bind_text(*why, 1, cursor->why, -1, SQLITE_STATIC);
        }
        if (rc == SQLITE_OK) {
            rc = sqlite3_bind_text(*why, 2, cursor->unreadable ? "not known" : "never ran", -1,
                                   SQLITE_STATIC);
        }
    }
    if (rc == SQLITE_OK && cursor->rows[ROWS_SIDE] != NULL && cursor->rows[ROWS_APP] != NULL) {
        rc = sqlite3_prepare_v2(cursor->side, sql_status_pending, -1, &pending, NULL);
        if (rc == SQLITE_OK && sqlite3_step(pending) == SQLITE_ROW) {
            rc = sqlite3_bind_value(cursor->rows[ROWS_APP], 4, sqlite3_column_value(pending, 0));
        }
        if (rc == SQLITE_OK) {
            rc = sqlite3_bind_value(cursor->rows[ROWS_APP], 5, sqlite3_column_value(pending, 1));
        }
        (void)sqlite3_finalize(pending);
    }
    return fail(cursor, rc, table->db);
}

static int filter(sqlite3_vtab_cursor *base, int by, const char *text, int argc,
                  sqlite3_value **argv) {
    struct cursor *cursor = (struct cursor *)base;
    const struct table *table = (const struct table *)base->pVtab;
    struct narrowing narrowing;
    int rc = SQLITE_OK;

    (void)text;
    (void)argc;
    finalize_rows(cursor);
    cursor->rowid = 0;
    cursor->at = ROWS_END;
    narrowing_read(&narrowing, by, argv);
    if (!cursor->open && cursor->why == NULL) {
        rc = take_snapshots(cursor, table);
    }
    if (rc == SQLITE_OK && cursor->open && !narrowing.none &&
        (!cursor->unreadable || table->kind == &status)) {
        rc = start_both(cursor, table, &narrowing);
    }
    if (rc == SQLITE_OK && table->kind == &status) {
        rc = start_status(cursor, table);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    cursor->at = ROWS_WHY;
    return next_row(base);
}

static int at_end(sqlite3_vtab_cursor *base) {
    return ((const struct cursor *)base)->at >= ROWS_END;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
    const struct cursor *cursor = (const struct cursor *)base;

    sqlite3_result_value(context, sqlite3_column_value(cursor->rows[cursor->at], i));
    return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
    *out = ((const struct cursor *)base)->rowid;
    return SQLITE_OK;
}

int history_register(sqlite3 *db) {
    static const sqlite3_module module = {
        /* no xCreate: eponymous only */
        .xConnect = connect,  .xBestIndex = best_index, .xDisconnect = disconnect,
        .xOpen = open_cursor, .xClose = close_cursor,   .xFilter = filter,
        .xNext = next_row,    .xEof = at_end,           .xColumn = column,
        .xRowid = rowid,
    };
    static const struct kind *const kinds[] = {&deliveries, &attempts, &status};
    int rc = SQLITE_OK;

    for (int i = 0; i < 3 && rc == SQLITE_OK; i++) {
        rc = sqlite3_create_module_v2(db, kinds[i]->name, &module, (void *)(uintptr_t)kinds[i],
                                      NULL);
    }
    return rc;
}
