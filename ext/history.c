/*
** history.c: the virtual tables resthook_deliveries, resthook_attempts and resthook_status: what
** both files know. They are eponymous and read-only and serve `main`; where their rows come from is
** in answer.c.
**
** They may stand in the application's own views and triggers, unless trusted_schema is off: what
** they show of the side file is no secret to who can read the database (its mode is the same).
** SPDX-License-Identifier: MIT
*/
#include <stdint.h>
#include <string.h>

#include "answer.h"
#include "hooks.h"
#include "narrowing.h"
#include "sql.h"

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
    .side_state_sql = sql_deliveries_state,
    .app_sql = sql_deliveries_app,
    .recorded_sql = sql_deliveries_recorded,
};
static const struct kind attempts = {
    .name = "resthook_attempts",
    .declaration = "CREATE TABLE x(delivery_id TEXT, attempt INTEGER, started_at TEXT,"
                   " duration_ms INTEGER, status INTEGER, error TEXT, response TEXT, class TEXT,"
                   " dns_ms REAL, connect_ms REAL, tls_ms REAL, first_byte_ms REAL,"
                   " response_headers TEXT)",
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
    .is_status = true,
};

struct table {
    sqlite3_vtab base;
    sqlite3 *db;
    const struct kind *kind;
    struct damage *damage;
};

/* What SQLite hands to a table when it is first used; the three of a connection share one damage. */
struct shared;
struct module {
    const struct kind *kind;
    struct shared *shared;
};
struct shared {
    struct module modules[3];
    int left; /* of them */
    struct damage damage;
};

static void leave(void *data) {
    struct shared *shared = ((struct module *)data)->shared;

    if (--shared->left == 0) {
        sqlite3_free(shared->damage.why);
        sqlite3_free(shared);
    }
}

struct cursor {
    sqlite3_vtab_cursor base;
    struct answer answer;
};

static int connect(sqlite3 *db, void *data, int argc, const char *const *argv, sqlite3_vtab **out,
                   char **error) {
    const struct module *module = data;
    const struct kind *kind = module->kind;
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
    table->damage = &module->shared->damage;
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
    const struct table *table = (const struct table *)base;
    struct cursor *cursor = sqlite3_malloc(sizeof *cursor);

    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    memset(cursor, 0, sizeof *cursor);
    answer_open(&cursor->answer, table->db, table->kind, table->damage);
    *out = &cursor->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
    struct cursor *cursor = (struct cursor *)base;

    answer_close(&cursor->answer);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

/* Keeps an error with its text for SQLite. */
static int fail(struct cursor *cursor, int rc) {
    sqlite3_vtab *base = cursor->base.pVtab;

    if (rc != SQLITE_OK && cursor->answer.failed != NULL) {
        sqlite3_free(base->zErrMsg);
        base->zErrMsg = sqlite3_mprintf("%s: %s", cursor->answer.kind->name,
                                        sqlite3_errmsg(cursor->answer.failed));
    }
    return rc;
}

static int filter(sqlite3_vtab_cursor *base, int by, const char *text, int argc,
                  sqlite3_value **argv) {
    struct cursor *cursor = (struct cursor *)base;
    struct narrowing narrowing;

    (void)text;
    (void)argc;
    narrowing_read(&narrowing, by, argv);
    return fail(cursor, answer_start(&cursor->answer, &narrowing, by == 0));
}

static int next_row(sqlite3_vtab_cursor *base) {
    struct cursor *cursor = (struct cursor *)base;

    return fail(cursor, answer_next(&cursor->answer));
}

static int at_end(sqlite3_vtab_cursor *base) {
    return answer_row(&((const struct cursor *)base)->answer) == NULL;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i) {
    sqlite3_stmt *row = answer_row(&((const struct cursor *)base)->answer);

    sqlite3_result_value(context, sqlite3_column_value(row, i));
    return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
    *out = ((const struct cursor *)base)->answer.rowid;
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
    struct shared *shared = sqlite3_malloc(sizeof *shared);
    int rc = SQLITE_OK;

    if (shared == NULL) {
        return SQLITE_NOMEM;
    }
    memset(shared, 0, sizeof *shared);
    shared->left = 3;
    for (int i = 0; i < 3; i++) {
        shared->modules[i] = (struct module){kinds[i], shared};
        if (rc == SQLITE_OK) {
            rc = sqlite3_create_module_v2(db, kinds[i]->name, &module, &shared->modules[i], leave);
        } else {
            leave(&shared->modules[i]);
        }
    }
    return rc;
}
