/*
** answer.c: see answer.h.
**
** A query first takes app.db's snapshot, through the host's own connection (which may be inside a
** transaction: its own uncommitted events are seen), then the side file's, through a private
** connection that is open as long as the query runs. Taken in this order no delivery falls between
** the two: what was recorded in between is seen in the side file. Where there is no side file yet,
** all events are pending. One that can't be read gives no rows, and its reason is in
** resthook_status: it is no error, since the query may be the application's, and we are its guest.
** That is so as well of a read that fails on the way: what was read before it is shown, and nothing
** after it.
** SPDX-License-Identifier: MIT
*/
#include "answer.h"

#include <string.h>

#include "hooks.h"
#include "side.h"
#include "sql.h"

void answer_open(struct answer *answer, sqlite3 *db, const struct kind *kind,
                 struct damage *damage) {
    memset(answer, 0, sizeof *answer);
    answer->db = db;
    answer->kind = kind;
    answer->damage = damage;
    answer->at = ROWS_END;
}

static void finalize_rows(struct answer *answer) {
    for (int i = 0; i < ROWS_END; i++) {
        (void)sqlite3_finalize(answer->rows[i]);
        answer->rows[i] = NULL;
    }
}

void answer_close(struct answer *answer) {
    finalize_rows(answer);
    (void)sqlite3_finalize(answer->recorded);
    (void)sqlite3_finalize(answer->hold);
    (void)sqlite3_close(answer->side);
    sqlite3_free(answer->why);
}

/* Keeps whose message an error has. */
static int fail(struct answer *answer, int rc, sqlite3 *from) {
    answer->failed = rc != SQLITE_OK && rc != SQLITE_NOMEM && rc != SQLITE_INTERRUPT ? from : NULL;
    return rc;
}

/* Keeps in words what can't be read, which is no error; others are. */
static int unreadable(struct answer *answer, int rc, sqlite3 *from, const char *which) {
    if (rc == SQLITE_OK || rc == SQLITE_NOMEM || rc == SQLITE_INTERRUPT) {
        return rc;
    }
    answer->unreadable = true;
    if (answer->why == NULL) {
        answer->why = sqlite3_mprintf("%s can't be read: %s", which, sqlite3_errmsg(from));
    }
    return answer->why != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* Takes both snapshots, app.db's first. What is not there is said in why, and open stays false. */
static int take_snapshots(struct answer *answer) {
    int rc = sqlite3_prepare_v2(answer->db, sql_schema_version, -1, &answer->hold, NULL);

    if (rc == SQLITE_ERROR) { /* no such table */
        answer->why =
            sqlite3_mprintf("this database has no resthook schema: SELECT resthook_init() first");
        return answer->why != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (rc == SQLITE_OK && sqlite3_step(answer->hold) != SQLITE_ROW) {
        rc = sqlite3_reset(answer->hold);
    }
    if (rc != SQLITE_OK) {
        return fail(answer, rc, answer->db);
    }
    if (sqlite3_column_int(answer->hold, 0) > SCHEMA_VERSION) {
        answer->why = sqlite3_mprintf("the schema of this file is newer than this program's %d",
                                      SCHEMA_VERSION);
        return answer->why != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    rc = side_open(answer->db, &answer->side, &answer->passed, &answer->why);
    if (rc == SQLITE_NOMEM || (rc != SQLITE_OK && answer->why == NULL)) {
        return SQLITE_NOMEM;
    }
    answer->unreadable = rc != SQLITE_OK && rc != SQLITE_NOTFOUND;
    answer->open = true;
    rc = SQLITE_OK;
    if (answer->side != NULL && answer->kind->recorded_sql != NULL) {
        rc = sqlite3_prepare_v2(answer->side, answer->kind->recorded_sql, -1, &answer->recorded,
                                NULL);
    }
    return unreadable(answer, rc, answer->side, "the side file");
}

/* What app.db knows of backfills, for the side file to say how far they are. */
static int bind_backfills(struct answer *answer, sqlite3_stmt *status) {
    sqlite3_stmt *read = NULL;
    int rc = sqlite3_prepare_v2(answer->db, sql_status_backfills, -1, &read, NULL);

    if (rc != SQLITE_OK) { /* an older schema knows none */
        return rc == SQLITE_ERROR ? SQLITE_OK : rc;
    }
    if (sqlite3_step(read) == SQLITE_ROW) {
        rc = sqlite3_bind_value(status, 5, sqlite3_column_value(read, 0));
    }
    (void)sqlite3_finalize(read);
    return rc;
}

/* third: the value of ?3, see history.sql. */
static int start(struct answer *answer, int which, sqlite3 *db, const char *sql,
                 const char *event_column, const struct narrowing *narrowing, sqlite3_int64 third) {
    char *text = narrowing_sql(narrowing, sql, event_column);
    sqlite3_stmt **statement = &answer->rows[which];
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
    if (rc == SQLITE_OK && which == ROWS_SIDE && sqlite3_bind_parameter_count(*statement) >= 5) {
        rc = bind_backfills(answer, *statement);
    }
    sqlite3_free(text);
    return unreadable(answer, rc, db, which == ROWS_SIDE ? "the side file" : "the outbox");
}

/* Ends the rows where the side file could not be read any further. */
static int break_off(struct answer *answer, int rc) {
    sqlite3_free(answer->why);
    answer->why = NULL;
    rc = unreadable(answer, rc, answer->side, "the side file");
    if (rc == SQLITE_OK) {
        sqlite3_free(answer->damage->why);
        answer->damage->kind = answer->kind;
        answer->damage->why = answer->why; /* all who ask for it are asked from now on */
        answer->why = NULL;
        finalize_rows(answer);
        answer->at = ROWS_END;
    }
    return rc;
}

/* All of it was there to be read. */
static void forget_damage(struct answer *answer) {
    if (answer->whole && answer->damage->kind == answer->kind) {
        sqlite3_free(answer->damage->why);
        answer->damage->why = NULL;
    }
}

/* Does the side file have a row of the pair that app.db's rows stand at? Then it was shown.
** SQLITE_ROW, SQLITE_DONE, or an error. */
static int is_recorded(struct answer *answer) {
    sqlite3_stmt *app = answer->rows[ROWS_APP];
    int recorded;

    if (answer->recorded == NULL) {
        return SQLITE_DONE;
    }
    (void)sqlite3_bind_value(answer->recorded, 1, sqlite3_column_value(app, 3));
    (void)sqlite3_bind_value(answer->recorded, 2, sqlite3_column_value(app, 1));
    recorded = sqlite3_step(answer->recorded);
    (void)sqlite3_reset(answer->recorded);
    return recorded;
}

int answer_next(struct answer *answer) {
    answer->rowid++;
    for (; answer->at < ROWS_END; answer->at++) {
        sqlite3_stmt *rows = answer->rows[answer->at];
        int rc = SQLITE_DONE;

        while (rows != NULL && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
            int recorded = answer->at == ROWS_APP ? is_recorded(answer) : SQLITE_DONE;

            if (recorded == SQLITE_DONE) {
                return SQLITE_OK;
            }
            if (recorded != SQLITE_ROW) {
                return break_off(answer, recorded);
            }
        }
        if (rc != SQLITE_DONE && answer->at == ROWS_SIDE) {
            return break_off(answer, rc);
        }
        if (rc != SQLITE_DONE) {
            return fail(answer, rc, sqlite3_db_handle(rows));
        }
    }
    forget_damage(answer);
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
static int start_both(struct answer *answer, const struct narrowing *narrowing) {
    const struct kind *kind = answer->kind;
    sqlite3_int64 now = 0;
    int rc = time_now(answer->db, &now);

    if (rc == SQLITE_OK && answer->side != NULL) {
        rc = start(answer, ROWS_SIDE, answer->side,
                   kind->side_state_sql != NULL && narrowing->state != STATE_ANY
                       ? kind->side_state_sql
                       : kind->side_sql,
                   kind->side_event, narrowing, now);
    }
    if (rc == SQLITE_OK && kind->app_sql != NULL && !narrowing->recorded_only &&
        (!answer->unreadable || kind->is_status)) {
        rc = start(answer, ROWS_APP, answer->db, kind->app_sql, "o.id", narrowing, answer->passed);
    }
    return rc;
}

/* The side file's lines of resthook_status are few and never half: they are read to the end first. */
static int try_status(struct answer *answer) {
    sqlite3_stmt *rows = answer->rows[ROWS_SIDE];
    sqlite3_stmt *pending = NULL;
    int ended;
    int rc;

    while (sqlite3_step(rows) == SQLITE_ROW) {
    }
    rc = sqlite3_reset(rows);
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(answer->side, sql_status_pending, -1, &pending, NULL);
    }
    if (rc == SQLITE_OK && sqlite3_step(pending) == SQLITE_ROW && answer->rows[ROWS_APP] != NULL) {
        (void)sqlite3_bind_value(answer->rows[ROWS_APP], 4, sqlite3_column_value(pending, 0));
        (void)sqlite3_bind_value(answer->rows[ROWS_APP], 5, sqlite3_column_value(pending, 1));
    }
    ended = sqlite3_finalize(pending);
    rc = rc == SQLITE_OK ? ended : rc;
    if (rc != SQLITE_OK) {
        rc = unreadable(answer, rc, answer->side, "the side file");
        (void)sqlite3_finalize(rows);
        answer->rows[ROWS_SIDE] = NULL;
    }
    return rc;
}

/* What resthook_status says when there is no side file, can't say without it, or could not be read
** of it. */
static int start_status(struct answer *answer) {
    sqlite3_stmt **why = &answer->rows[ROWS_WHY];
    const char *text;
    int rc = answer->rows[ROWS_SIDE] != NULL ? try_status(answer) : SQLITE_OK;

    text = answer->why != NULL ? answer->why : answer->damage->why;
    if (rc == SQLITE_OK && text != NULL) {
        rc = sqlite3_prepare_v2(
            answer->db, answer->rows[ROWS_SIDE] == NULL ? sql_status_none : "SELECT 'journal', ?1",
            -1, why, NULL);
        if (rc == SQLITE_OK) {
            rc = sqlite3_bind_text(*why, 1, text, -1, SQLITE_TRANSIENT);
        }
        if (rc == SQLITE_OK && sqlite3_bind_parameter_count(*why) >= 2) {
            rc = sqlite3_bind_text(*why, 2, answer->unreadable ? "not known" : "never ran", -1,
                                   SQLITE_STATIC);
        }
    }
    return fail(answer, rc, answer->db);
}

int answer_start(struct answer *answer, const struct narrowing *narrowing, bool whole) {
    const struct kind *kind = answer->kind;
    int rc = SQLITE_OK;

    finalize_rows(answer);
    answer->failed = NULL;
    answer->rowid = 0;
    answer->whole = whole;
    answer->at = ROWS_END;
    if (!answer->open && answer->why == NULL) {
        rc = take_snapshots(answer);
    }
    if (rc == SQLITE_OK && answer->open && !narrowing->none &&
        (!answer->unreadable || kind->is_status)) {
        rc = start_both(answer, narrowing);
    }
    if (rc == SQLITE_OK && kind->is_status) {
        rc = start_status(answer);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    answer->at = ROWS_WHY;
    return answer_next(answer);
}

sqlite3_stmt *answer_row(const struct answer *answer) {
    return answer->at < ROWS_END ? answer->rows[answer->at] : NULL;
}
