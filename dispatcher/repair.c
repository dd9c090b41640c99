/*
** repair.c: see repair.h.
**
** A schema that changed is looked through once, reading; most changes need nothing. So is one whose
** watches are armed for nobody, since their last subscription ended, or are not for somebody who
** subscribed by SQL of his own. Where a trigger is missing or
** stale, resthook_repair() itself takes app.db's write lock for some milliseconds and
** doesn't wait for a quiet moment: while a trigger is missing, events are. It gives way to whoever
** holds the lock, and tries again soon.
**
** A gap begins when the old schema was last seen (at most a second before it changed, or when this
** dispatcher stopped) and ends with the repair. Triggers that resthook_repair() put back in the
** migration's own transaction are never seen missing, so they leave none.
** SPDX-License-Identifier: MIT
*/
#include "repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "hooks.h"
#include "log.h"
#include "memory.h"
#include "sql.h"
#include "state.h"

#define MIGRATION_PATIENCE 500 /* ms for another program's lock at the start */
#define AGAIN 20               /* ms until the lock is tried again */
#define AFTER_ERROR 10000      /* ms after a repair that failed for another reason */
#define MISSING_MOST                                                                               \
    10000 /* watches looked at in one repair: more than SQLite's triggers are fast for */

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

struct missing { /* a watch without its trigger */
    int64_t id;
    char *event, *table;
    bool has_table;
};

/* A connection of its own that has the extension's functions. */
static bool open_with_functions(struct db *app, const char *path, int patience) {
    char *error = NULL;

    if (db_open(app, path, true, patience) &&
        sqlite3_resthook_init(app->handle, &error, NULL) != SQLITE_OK) {
        db_fail(app, "%s", error != NULL ? error : "out of memory");
    }
    db_patient(app, true);
    sqlite3_free(error);
    return app->rc == SQLITE_OK;
}

char *repair_schema(const char *path) {
    struct db app;
    char *wrong = NULL;

    if (open_with_functions(&app, path, MIGRATION_PATIENCE) &&
        db_value(&app, db_prepare(&app, sql_schema_version), 0) < SCHEMA_VERSION &&
        db_exec(&app, "SELECT resthook_init()")) {
        fault_point("upgrade.app_done");
        log_line(LOG_INFO, "schema brought up to date", "database", path, "schema#",
                 (long long)SCHEMA_VERSION, NULL);
    }
    if (app.rc != SQLITE_OK) {
        wrong = xprintf("%s: its schema can't be brought up to date: %s", path, app.error);
    }
    db_close(&app);
    return wrong;
}

void repair_open(struct outbox *outbox, int64_t now) {
    struct db *side = journal_db(outbox->journal);

    outbox->gap_add = db_prepare(side, sql_gap_add);
    outbox->gap_trim = db_prepare(side, sql_gap_trim);
    outbox->misarmed = db_prepare(reader_db(outbox->reader), sql_watch_misarmed);
    outbox->intact_schema = journal_get(outbox->journal, "intact_schema", -1);
    outbox->intact_at = journal_get(outbox->journal, "intact_at", now);
}

void repair_subscribed(struct outbox *outbox) {
    if (db_value(reader_db(outbox->reader), outbox->misarmed, 0) != 0) {
        outbox->intact_schema = -1;
    }
}

void repair_looked(struct outbox *outbox, int64_t schema, int64_t now) {
    if (schema == outbox->intact_schema) {
        outbox->intact_at = now;
    } else {
        outbox->repair_wanted = schema;
    }
}

bool repair_pending(const struct outbox *outbox) {
    return outbox->repair_wanted != 0 && outbox->repair_wanted != outbox->intact_schema &&
           !outbox->repair_failed;
}

static int list_missing(struct db *app, struct missing **list) {
    sqlite3_stmt *statement = db_prepare(app, sql_app_watch_missing);
    int count = 0;

    *list = NULL;
    while (count < MISSING_MOST && db_row(app, statement)) {
        *list = xrealloc(*list, ((size_t)count + 1) * sizeof **list);
        (*list)[count++] = (struct missing){
            .id = sqlite3_column_int64(statement, 0),
            .event = db_copy(statement, 1),
            .table = db_copy(statement, 2),
            .has_table = sqlite3_column_int(statement, 3) != 0,
        };
    }
    if (count == MISSING_MOST) {
        db_reset(statement);
    }
    return count;
}

static void free_missing(struct missing *list, int count) {
    for (int i = 0; i < count; i++) {
        free(list[i].event);
        free(list[i].table);
    }
    free(list);
}

/* Says which watches have no trigger although nothing is left to repair; once for the same ones. */
static void report(struct outbox *outbox, struct db *app) {
    struct missing *list;
    int count = list_missing(app, &list);
    uint64_t sum = 0;

    for (int i = 0; i < count; i++) {
        sum = sum * 31 + (uint64_t)list[i].id * 2 + list[i].has_table;
    }
    int64_t mark = (int64_t)sum;

    for (int i = 0; i < count && mark != outbox->reported; i++) {
        log_line(LOG_WARN,
                 list[i].has_table ? "a watch has no trigger, and none could be made"
                                   : "a watch's table is gone",
                 "database", outbox->path, "event", list[i].event, "table", list[i].table, NULL);
    }
    outbox->reported = mark;
    free_missing(list, count);
}

/* The gap of each watch that had no trigger and has one again. */
static void record(struct outbox *outbox, struct db *app, struct missing *list, int count,
                   int64_t now) {
    struct db *side = journal_db(outbox->journal);
    sqlite3_stmt *gap = outbox->gap_add;
    sqlite3_stmt *retired = db_prepare(app, "SELECT 1 FROM main.resthook_watch"
                                            " WHERE id = ?1 AND retired_at IS NOT NULL");

    for (int i = 0; i < count; i++) {
        db_int(app, retired, 1, list[i].id);
        if (db_value(app, retired, 0) == 0) {
            continue;
        }
        log_line(LOG_WARN, "a watch's trigger was missing: it is made again", "database",
                 outbox->path, "event", list[i].event, "table", list[i].table, "missing_ms#",
                 (long long)(now - outbox->intact_at), NULL);
        db_text(side, gap, 1, list[i].event);
        db_text(side, gap, 2, list[i].table);
        db_int(side, gap, 3, outbox->intact_at);
        db_int(side, gap, 4, now);
        db_run(side, gap);
    }
    db_run(side, outbox->gap_trim);
}

/* Is all in order as it is? Reads only. The schema looked at goes into *version. */
static bool is_intact(struct outbox *outbox, struct db *app, int64_t *version) {
    sqlite3_stmt *schema = db_prepare(app, "PRAGMA schema_version");
    int stale = 0;
    int rc;

    db_exec(app, "BEGIN");
    *version = db_value(app, schema, -1);
    rc = watch_count_stale(app->handle, &stale);
    if (rc != SQLITE_OK) {
        db_fail(app, "%s", sqlite3_errstr(rc));
    } else if (stale == 0) {
        report(outbox, app);
    }
    db_exec(app, "COMMIT");
    return app->rc == SQLITE_OK && stale == 0;
}

/* SQLITE_OK, or why not. The gaps are on the side file's disk before the triggers are in app.db;
** what else the side file knows of this comes with the next heartbeat, and until then a restart
** looks once more. */
static int repair(struct outbox *outbox, struct db *app, int64_t now) {
    struct missing *list;
    int64_t repaired, version;
    int count;

    if (is_intact(outbox, app, &version)) {
        outbox->intact_schema = outbox->repair_wanted = version;
        outbox->intact_at = now;
        return SQLITE_OK;
    }
    db_exec(app, "BEGIN IMMEDIATE");
    if (app->rc != SQLITE_OK) {
        return app->rc;
    }
    fault_point("repair.locked");
    count = list_missing(app, &list);
    repaired = db_value(app, db_prepare(app, "SELECT resthook_repair()"), -1);
    version = db_value(app, db_prepare(app, "PRAGMA schema_version"), -1);
    if (app->rc == SQLITE_OK) {
        journal_begin(outbox->journal, true);
        record(outbox, app, list, count, now);
        if (!journal_commit(outbox->journal)) {
            db_fail(app, "%s", journal_error(outbox->journal));
        }
    }
    free_missing(list, count);
    fault_point("repair.before_commit");
    if (db_exec(app, "COMMIT")) {
        fault_point("repair.after_commit");
        if (repaired > 0 || version != outbox->repair_wanted) {
            log_line(LOG_INFO, "triggers repaired", "database", outbox->path, "watches#",
                     (long long)repaired, NULL);
        }
        /* What is stale still is so for good; until the schema moves again nothing is tried. */
        outbox->intact_schema = outbox->repair_wanted = version;
        outbox->intact_at = now;
        report(outbox, app);
    }
    return app->rc;
}

void repair_turn(struct outbox *outbox, int64_t now) {
    struct db app;
    int rc;

    if (outbox->repair_wanted == 0 || outbox->repair_wanted == outbox->intact_schema ||
        now < outbox->repair_at || outbox->stalled) {
        return;
    }
    rc = open_with_functions(&app, outbox->path, 0) ? repair(outbox, &app, now) : app.rc;
    outbox->repair_failed = rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY;
    outbox->repair_at = now + (outbox->repair_failed ? AFTER_ERROR : AGAIN);
    if (outbox->repair_failed) {
        log_line(LOG_ERROR, "triggers can't be repaired", "database", outbox->path, "error",
                 app.error, NULL);
    }
    if (app.endless) {
        outbox_hold(outbox, ENDLESS);
    }
    db_close(&app); /* rolls back what was not committed */
}
