/*
** history.c: the virtual tables resthook_deliveries, resthook_attempts and resthook_status: what
** both files know.
**
** They are eponymous and read-only and serve `main`. A query first takes app.db's snapshot, through
** the host's own connection (which may be inside a transaction: its own uncommitted events are
** seen), then the side file's, through a private connection that is open as long as the query runs.
** Taken in this order no delivery falls between the two: what was recorded in between is seen in
** the side file. What can't be read gives no rows, and a reason in resthook_status; never an error.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "hooks.h"
#include "sql.h"

enum {
    BY_SUBSCRIPTION = 1,
    BY_EVENT = 2,
    BY_DELIVERY = 4
}; /* xBestIndex's idxNum, and the order of arguments */

/* One virtual table: its columns and the SQL behind it. */
struct kind {
    const char *declaration;
    int delivery_column, event_column,
        subscription_column;          /* that queries are narrowed by; -1: none */
    const char *side_sql, *side_name; /* name: of a column of the event's id, for (EVENT) */
    const char *app_sql;              /* NULL: none */
    bool tells_why;                   /* shows what can't be read */
};

static const struct kind deliveries = {"CREATE TABLE x(id TEXT, event_id INTEGER, event TEXT, "
                                       "subscription_id TEXT, target TEXT, state TEXT, reason TEXT,"
                                       " attempts INTEGER, next_attempt_at TEXT, last_status "
                                       "INTEGER, last_error TEXT, delivered_at TEXT)",
                                       0,
                                       1,
                                       3,
                                       sql_deliveries_side,
                                       "d.event",
                                       sql_deliveries_app,
                                       false};
static const struct kind attempts = {"CREATE TABLE x(delivery_id TEXT, attempt INTEGER, started_at "
                                     "TEXT, duration_ms INTEGER, status INTEGER, error TEXT,"
                                     " response TEXT)",
                                     0,
                                     -1,
                                     -1,
                                     sql_attempts_side,
                                     "a.event",
                                     NULL,
                                     false};
static const struct kind status = {
    "CREATE TABLE x(name TEXT, value)", -1, -1, -1, sql_status_side, "", sql_status_app, true};

struct table {
    sqlite3_vtab base;
    sqlite3 *db;
    const struct kind *kind;
};

struct cursor {
    sqlite3_vtab_cursor base;
    sqlite3 *side;         /* private */
    sqlite3_stmt *hold;    /* keeps app.db's snapshot */
    sqlite3_stmt *rows[2]; /* the side file's, app.db's */
    sqlite3_stmt *recorded;
    int at;    /* which of rows; 2: the end */
    char *why; /* what can't be read; shown first where the table tells why */
    bool showing_why;
    sqlite3_int64 rowid;
};

static int connect(sqlite3 *db, void *data, int argc, const char *const *argv, sqlite3_vtab **out,
                   char **error) {
    const struct kind *kind = data;
    struct table *table;
    int rc;

    (void)argc;
    (void)argv;
    (void)error;
    rc = sqlite3_declare_vtab(db, kind->declaration);
    if (rc != SQLITE_OK) {
        return rc;
    }
#ifdef SQLITE_VTAB_DIRECTONLY
    if (sqlite3_libversion_number() >=
        3031000) { /* they read another file: not from a hostile view */
        (void)sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    }
#endif
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

/* Narrowing by a delivery's id is a look-up; by a subscription or an event, much less than
** everything. */
static int best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    const struct kind *kind = ((struct table *)base)->kind;
    const int columns[] = {kind->subscription_column, kind->event_column, kind->delivery_column};
    int arguments = 0;

    info->idxNum = 0;
    for (int which = 0; which < 3; which++) {
        for (int i = 0; i < info->nConstraint && columns[which] >= 0; i++) {
            if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == columns[which] &&
                info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ) {
                info->idxNum |= 1 << which;
                info->aConstraintUsage[i].argvIndex = ++arguments;
                break; /* SQLite checks the condition again: what is shown need not be exact */
            }
        }
    }
    info->estimatedCost = (info->idxNum & BY_DELIVERY) != 0       ? 10
                          : (info->idxNum & BY_EVENT) != 0        ? 1000
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

static void reset(struct cursor *cursor) {
    (void)sqlite3_finalize(cursor->rows[0]);
    (void)sqlite3_finalize(cursor->rows[1]);
    (void)sqlite3_finalize(cursor->recorded);
    (void)sqlite3_finalize(cursor->hold);
    (void)sqlite3_close(cursor->side);
    sqlite3_free(cursor->why);
    sqlite3_vtab_cursor base = cursor->base;

    memset(cursor, 0, sizeof *cursor);
    cursor->base = base;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
    reset((struct cursor *)base);
    sqlite3_free(base);
    return SQLITE_OK;
}

/* ---- opening the side file ---- */

static void because(struct cursor *cursor, const char *format, const char *detail) {
    if (cursor->why == NULL) {
        cursor->why = sqlite3_mprintf(format, detail);
    }
}

/* Opens the side file and takes its snapshot, after app.db's. Returns the cursor, or 0 when it
** can't be read. */
static sqlite3_int64 open_side(struct cursor *cursor, sqlite3 *db) {
    const char *file = sqlite3_db_filename(db, "main");
    char *real = file != NULL && *file != '\0' ? realpath(file, NULL)
                                               : NULL; /* as the dispatcher names it */
    char *path = real != NULL ? sqlite3_mprintf("%s-resthook", real) : NULL;
    sqlite3_stmt *read = NULL;
    sqlite3_int64 passed = 0;
    int rc = SQLITE_CANTOPEN;

    free(real);
    if (path == NULL) {
        because(cursor, "cannot be read: %s", "the database has no file of its own");
        return 0;
    }
    rc = sqlite3_open_v2(path, &cursor->side, SQLITE_OPEN_READONLY, NULL);
    sqlite3_free(path);
    if (rc == SQLITE_OK) {
        (void)sqlite3_busy_timeout(cursor->side, 100);
        rc = sqlite3_exec(cursor->side, "BEGIN", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(cursor->side,
                                "SELECT (SELECT value FROM meta WHERE name = 'schema'),"
                                " (SELECT value FROM meta WHERE name = 'cursor')",
                                -1, &read, NULL);
    }
    if (rc == SQLITE_OK && sqlite3_step(read) == SQLITE_ROW) {
        if (sqlite3_column_int(read, 0) != 1) {
            because(cursor, "cannot be read: %s", "its schema is of another version");
        }
        passed = sqlite3_column_int64(read, 1);
    }
    rc = rc == SQLITE_OK ? sqlite3_finalize(read) : rc;
    if (rc == SQLITE_CANTOPEN) {
        because(cursor, "cannot be read: %s",
                "there is none: no dispatcher has run for this database yet");
    } else if (rc != SQLITE_OK) {
        because(cursor, "cannot be read: %s", sqlite3_errmsg(cursor->side));
    }
    if (cursor->why != NULL) {
        (void)sqlite3_close(cursor->side);
        cursor->side = NULL;
        return 0;
    }
    return passed;
}

/* ---- the rows ---- */

/* The text with (SUB) and (EVENT) replaced by what the query is narrowed by. */
static char *narrowed(const char *sql, bool by_subscription, bool by_event,
                      const char *event_column) {
    static const char sub_mark[] = "(SUB)", event_mark[] = "(EVENT)";
    char *text = sqlite3_mprintf("%s", "");

    while (text != NULL && *sql != '\0') {
        const char *sub = strstr(sql, sub_mark), *event = strstr(sql, event_mark);
        const char *next = sub != NULL && (event == NULL || sub < event) ? sub : event;
        char *longer;

        if (next == NULL) {
            longer = sqlite3_mprintf("%s%s", text, sql);
            sql += strlen(sql);
        } else if (next == sub) {
            longer = sqlite3_mprintf("%s%.*s%s", text, (int)(next - sql), sql,
                                     by_subscription ? "s.id = ?1" : "1");
            sql = next + sizeof sub_mark - 1;
        } else {
            longer = sqlite3_mprintf("%s%.*s%s%s", text, (int)(next - sql), sql,
                                     by_event ? event_column : "1", by_event ? " = ?2" : "");
            sql = next + sizeof event_mark - 1;
        }
        sqlite3_free(text);
        text = longer;
    }
    return text;
}

struct narrowing {
    bool by_subscription, by_event, none; /* none: nothing can match */
    char subscription[120];
    sqlite3_int64 event;
};

static void narrow_subscription(struct narrowing *narrowing, const char *id, size_t length) {
    if (id == NULL || length >= sizeof narrowing->subscription ||
        (narrowing->by_subscription && (strncmp(narrowing->subscription, id, length) != 0 ||
                                        narrowing->subscription[length] != '\0'))) {
        narrowing->none = true;
        return;
    }
    memcpy(narrowing->subscription, id, length);
    narrowing->subscription[length] = '\0';
    narrowing->by_subscription = true;
}

static void narrow_event(struct narrowing *narrowing, sqlite3_int64 event) {
    narrowing->none = narrowing->none || (narrowing->by_event && narrowing->event != event);
    narrowing->event = event;
    narrowing->by_event = true;
}

static void read_narrowing(struct narrowing *narrowing, int by, sqlite3_value **argv) {
    memset(narrowing, 0, sizeof *narrowing);
    if ((by & BY_SUBSCRIPTION) != 0) {
        const char *id = (const char *)sqlite3_value_text(*argv);

        narrow_subscription(narrowing, id, (size_t)sqlite3_value_bytes(*argv));
        argv++;
    }
    if ((by & BY_EVENT) != 0) {
        narrow_event(narrowing, sqlite3_value_int64(*argv));
        argv++;
    }
    if ((by & BY_DELIVERY) != 0) {
        const char *id = (const char *)sqlite3_value_text(*argv);
        const char *dash = id != NULL ? strrchr(id, '-') : NULL;

        narrow_subscription(narrowing, id,
                            dash != NULL ? (size_t)(dash - id) : sizeof narrowing->subscription);
        narrow_event(narrowing, dash != NULL ? strtoll(dash + 1, NULL, 10) : 0);
    }
}

static sqlite3_stmt *start(struct cursor *cursor, sqlite3 *db, const char *sql,
                           const char *event_column, const struct narrowing *narrowing,
                           sqlite3_int64 third) {
    char *text = narrowed(sql, narrowing->by_subscription, narrowing->by_event, event_column);
    sqlite3_stmt *statement = NULL;

    if (text == NULL || sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK) {
        because(cursor, "cannot be read: %s", text != NULL ? sqlite3_errmsg(db) : "out of memory");
    } else {
        if (narrowing->by_subscription && sqlite3_bind_parameter_count(statement) >= 1) {
            (void)sqlite3_bind_text(statement, 1, narrowing->subscription, -1, SQLITE_TRANSIENT);
        }
        if (narrowing->by_event && sqlite3_bind_parameter_count(statement) >= 2) {
            (void)sqlite3_bind_int64(statement, 2, narrowing->event);
        }
        if (sqlite3_bind_parameter_count(statement) >= 3) {
            (void)sqlite3_bind_int64(statement, 3, third);
        }
    }
    sqlite3_free(text);
    return statement;
}

/* Does the side file have a row of the pair that app.db's rows stand at? Then it was shown already.
** */
static bool is_recorded(struct cursor *cursor) {
    sqlite3_stmt *app = cursor->rows[1];
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
    if (cursor->showing_why) {
        cursor->showing_why = false;
    }
    for (; cursor->at < 2; cursor->at++) {
        sqlite3_stmt *rows = cursor->rows[cursor->at];
        int rc = SQLITE_DONE;

        while (rows != NULL && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
            if (cursor->at == 0 || !is_recorded(cursor)) {
                return SQLITE_OK;
            }
        }
        if (rc == SQLITE_NOMEM || rc == SQLITE_INTERRUPT) {
            return rc;
        }
    }
    return SQLITE_OK;
}

static sqlite3_int64 time_now(sqlite3 *db) {
    sqlite3_stmt *read = NULL;
    sqlite3_int64 now = 0;

    if (sqlite3_prepare_v2(db, "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
                           -1, &read, NULL) == SQLITE_OK &&
        sqlite3_step(read) == SQLITE_ROW) {
        now = sqlite3_column_int64(read, 0);
    }
    (void)sqlite3_finalize(read);
    return now;
}

static int filter(sqlite3_vtab_cursor *base, int by, const char *text, int argc,
                  sqlite3_value **argv) {
    struct cursor *cursor = (struct cursor *)base;
    const struct table *table = (const struct table *)base->pVtab;
    const struct kind *kind = table->kind;
    struct narrowing narrowing;
    sqlite3_int64 passed;

    (void)text;
    (void)argc;
    reset(cursor);
    read_narrowing(&narrowing, by, argv);
    if (narrowing.none) {
        cursor->at = 2;
        return SQLITE_OK;
    }
    if (sqlite3_prepare_v2(table->db, "SELECT 1 FROM main.resthook_meta", -1, &cursor->hold,
                           NULL) != SQLITE_OK ||
        sqlite3_step(cursor->hold) != SQLITE_ROW) {
        because(cursor, "cannot be read: %s", sqlite3_errmsg(table->db));
        (void)sqlite3_finalize(cursor->hold);
        cursor->hold = NULL;
    }
    passed = open_side(cursor, table->db);
    if (cursor->side != NULL) {
        cursor->rows[0] = start(cursor, cursor->side, kind->side_sql, kind->side_name, &narrowing,
                                time_now(table->db));
        if (kind->delivery_column >= 0 && kind->app_sql != NULL) {
            (void)sqlite3_prepare_v2(
                cursor->side,
                "SELECT 1 FROM subscription AS s CROSS JOIN delivery AS d ON d.sub = s.n"
                " WHERE s.id = ?1 AND d.event = ?2",
                -1, &cursor->recorded, NULL);
        }
    }
    if (cursor->hold != NULL && kind->app_sql != NULL) {
        cursor->rows[1] = start(cursor, table->db, kind->app_sql, "o.id", &narrowing, passed);
    }
    if (kind->tells_why && cursor->why != NULL) {
        cursor->showing_why = true;
        return SQLITE_OK;
    }
    return next_row(base);
}

static int at_end(sqlite3_vtab_cursor *base) {
    const struct cursor *cursor = (const struct cursor *)base;

    return cursor->at >= 2 && !cursor->showing_why;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
    const struct cursor *cursor = (const struct cursor *)base;

    if (cursor->showing_why) {
        sqlite3_result_text(context, i == 0 ? "journal" : cursor->why, -1, SQLITE_TRANSIENT);
    } else {
        sqlite3_result_value(context, sqlite3_column_value(cursor->rows[cursor->at], i));
    }
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
    int rc = sqlite3_create_module_v2(db, "resthook_deliveries", &module,
                                      (void *)(uintptr_t)&deliveries, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_create_module_v2(db, "resthook_attempts", &module,
                                      (void *)(uintptr_t)&attempts, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_create_module_v2(db, "resthook_status", &module, (void *)(uintptr_t)&status,
                                      NULL);
    }
    return rc;
}
