/*
** version.c: makes and ends versions of watches. A version is a row of resthook_watch, never
** changed but for its retirement, and a trigger that writes its id: whatever a trigger captured is
** read by the definition it was captured under (expand.c).
**
** Errors go through struct call, except in planning, which writes nothing: resthook_repair() goes
** on where resthook_watch() fails.
** SPDX-License-Identifier: MIT
*/
#include "version.h"

#include "expand.h"
#include "follow.h"
#include "sql.h"

void versions_free(struct versions *list) {
    for (int i = 0; i < list->count; i++) {
        for (int j = 0; j < VERSION_TEXTS; j++) {
            sqlite3_free(list->at[i].text[j]);
        }
    }
    sqlite3_free(list->at);
    *list = (struct versions){0};
}

/* Has it all that every version has? Its row lies in a file that anybody may have written. */
static bool is_whole(const struct version *version) {
    static const int always[] = {VERSION_TABLE,       VERSION_OPERATION,   VERSION_EVENT,
                                 VERSION_OPTIONS,     VERSION_RECORD,      VERSION_CAPTURED,
                                 VERSION_PRIMARY_KEY, VERSION_STORED_TABLE};

    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (version->text[always[i]] == NULL) {
            return false;
        }
    }
    return true;
}

void versions_read(struct call *call, struct versions *list) {
    sqlite3_stmt *statement = call_prepare(call, sql_watch_current, "");

    *list = (struct versions){0};
    while (statement != NULL && call_step(call, statement)) {
        struct version *at =
            sqlite3_realloc64(list->at, ((sqlite3_uint64)list->count + 1) * sizeof *at);

        if (at == NULL) {
            call->rc = SQLITE_NOMEM;
            break;
        }
        list->at = at;
        at = &at[list->count++];
        *at = (struct version){.id = sqlite3_column_int64(statement, 0),
                               .wanted = sqlite3_column_int(statement, 1) != 0,
                               .old = sqlite3_column_int(statement, 2) != 0};
        for (int j = 0; j < VERSION_TEXTS; j++) {
            const unsigned char *text = sqlite3_column_text(statement, j + 3);
            at->text[j] = text != NULL ? sqlite3_mprintf("%s", text) : NULL;
            if (at->text[j] == NULL && sqlite3_column_type(statement, j + 3) != SQLITE_NULL) {
                call->rc = SQLITE_NOMEM;
            }
        }
        if (call->rc == SQLITE_OK && !is_whole(at)) {
            call_fail(call, "watch %lld is damaged", (long long)at->id);
        }
    }
    (void)sqlite3_finalize(statement);
}

void version_fail(struct call *call, int rc, char *error) {
    if (rc == SQLITE_NOMEM) {
        call_check(call, rc);
    } else if (rc != SQLITE_OK && error != NULL) {
        call_fail(call, "%s", error);
    } else if (rc != SQLITE_OK && call->rc == SQLITE_OK) {
        call->rc = rc;
    }
    sqlite3_free(error);
}

static void run(struct call *call, char *sql) {
    if (sql != NULL) {
        call_exec(call, sql, "");
    } else if (call->rc == SQLITE_OK) {
        call->rc = SQLITE_NOMEM;
    }
    sqlite3_free(sql);
}

static void drop_trigger(struct call *call, sqlite3_int64 id) {
    run(call,
        sqlite3_mprintf("DROP TRIGGER IF EXISTS main.\"resthook_watch_%lld\"", (long long)id));
}

void version_put_trigger(struct call *call, sqlite3_int64 id, const struct buffer *text) {
    if (text->failed && call->rc == SQLITE_OK) {
        call->rc = SQLITE_NOMEM;
    }
    if (call->rc == SQLITE_OK) {
        drop_trigger(call, id);
        call_exec(call, text->data, "");
    }
}

void version_retire(struct call *call, sqlite3_int64 id, sqlite3_int64 at) {
    drop_trigger(call, id);
    call_exec(call, sql_watch_retire, "ii", id, at);
}

/* Gives the outbox a column for each value, and one for the mark behind them. */
static void widen(struct call *call, int width) {
    int have = (int)call_int(call, 0, sql_outbox_width, "");

    for (int i = have; i <= width && call->rc == SQLITE_OK; i++) {
        run(call, sqlite3_mprintf("ALTER TABLE main.resthook_outbox ADD COLUMN v%d", i));
    }
}

sqlite3_int64 version_install(struct call *call, const struct plan *plan, const char *record,
                              sqlite3_int64 at) {
    struct definition_row row = plan_row(plan);
    struct buffer trigger = {0};
    sqlite3_int64 id = 0;

    widen(call, plan->width);
    call_exec(call, sql_watch_add, "tttttttttti", row.table, row.operation, plan_of(plan),
              row.event, row.options, row.captured, row.virtuals, row.table_sql, row.primary_key,
              record, at);
    if (call->rc == SQLITE_OK) {
        id = sqlite3_last_insert_rowid(call->db);
        plan_trigger(plan, id, call_int(call, 0, sql_watch_wanted, "i", id) == 0, &trigger);
        /* One of that name may be left, where somebody emptied all tables. */
        version_put_trigger(call, id, &trigger);
    }
    buffer_free(&trigger);
    return id;
}

/* A first attempt failed for want of the old row, it may be; the second, with it, for its width.
** Both are said. Takes both texts. */
static char *join(char *first, char *second) {
    char *both = first != NULL && second != NULL
                     ? sqlite3_mprintf("%s; with the old row: %s", first, second)
                     : NULL;

    sqlite3_free(first);
    sqlite3_free(second);
    return both;
}

int version_plan(sqlite3 *db, sqlite3 *copy, struct plan_request *request, struct plan *plan,
                 char **error) {
    char *first = NULL;
    int rc = SQLITE_ERROR;

    for (int attempt = 0; attempt < 2 && rc == SQLITE_ERROR; attempt++) {
        struct definition_row row;

        if (attempt > 0) {
            if (request->operation != OPERATION_UPDATE || request->old) {
                break;
            }
            request->old = true;
            first = *error;
            *error = NULL;
        }
        rc = plan_make(db, request, plan, error);
        if (rc == SQLITE_ERROR && attempt > 0) {
            *error = join(first, *error);
            return *error != NULL ? rc : SQLITE_NOMEM;
        }
        if (rc != SQLITE_OK) {
            break;
        }
        row = plan_row(plan);
        rc = expander_check(db, copy, &row, error);
        if (rc != SQLITE_OK) {
            plan_free(plan);
        }
    }
    sqlite3_free(first);
    return rc;
}

bool version_request(struct call *call, const struct version *now, sqlite3_int64 capture_max,
                     struct followed *followed, struct plan_request *request) {
    const struct followable version = {
        .captured = now->text[VERSION_CAPTURED],
        .of = now->text[VERSION_OF],
        .changed = now->text[VERSION_CHANGED],
        .options = now->text[VERSION_OPTIONS],
        .trigger = now->text[VERSION_TRIGGER],
    };
    const char *names;
    int rc = follow(call->db, &version, followed);

    if (rc == SQLITE_NOMEM) {
        call_check(call, rc);
    }
    *request = (struct plan_request){
        .table = now->text[VERSION_TABLE],
        .of = followed->of,
        .changed = followed->changed,
        .old = now->old,
        .event = now->text[VERSION_EVENT],
        .options = followed->options,
        .capture_max = capture_max,
        .existing = true,
    };
    return rc == SQLITE_OK &&
           clause_operation(now->text[VERSION_OPERATION], &request->operation, &names) == NULL;
}
