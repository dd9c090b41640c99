/*
** backfill.c: resthook_backfill(subscription, table [, where]): rows that are there already, sent to
** one subscription as if they had just been inserted.
**
** Nothing is special about them afterwards: they are rows of the outbox as the table's trigger
** writes them, but for `only`, which names the subscription, and `deliver_at`, which spreads them
** out (setting backfill_rate), so that live events pass between them. All of it is in the caller's
** transaction: what he sees of the table is what is sent, and what is inserted later is a live event.
** A row whose own insert the subscription was already told of, or will be, is left out: its event is
** in the outbox, later than the subscription.
** SPDX-License-Identifier: MIT
*/
#include <string.h>

#include "clause.h"
#include "definition.h"
#include "event.h"
#include "hooks.h"
#include "sql.h"
#include "trigger.h"
#include "version.h"

#define WHERE_MAX 10000 /* bytes */
#define NUMBER_SIZE 20  /* of a number as text, at most */

struct backfill {
    struct call *call;
    const char *subscription;
    const char *where; /* NULL: all rows */
    sqlite3_int64 from_id;
    sqlite3_int64 capture_max;
    sqlite3_int64 rate; /* events a second, 0: all at once */
    sqlite3_int64 now;
    sqlite3_int64 count, first_id, last_id;
};

static void new_column(struct buffer *sql, const char *name) {
    buffer_text(sql, "NEW.");
    trigger_name(sql, name);
}

/* AND (NEW.key) is none of those that version `then` captured for this subscription's eyes. */
static void leave_out(const struct backfill *run, const struct definition *now,
                      const struct definition *then, struct buffer *sql) {
    if (now->key_count == 0 || now->key_count != then->key_count) {
        return; /* no way to tell the rows apart, or another key since */
    }
    buffer_text(sql, " AND((");
    for (int i = 0; i < now->key_count; i++) {
        buffer_text(sql, i > 0 ? "," : "");
        new_column(sql, now->values[now->keys[i].value].column);
    }
    buffer_text(sql, ")IN(SELECT ");
    for (int i = 0; i < then->key_count; i++) {
        trigger_format(sql, "%sv%d", i > 0 ? "," : "", then->keys[i].value);
    }
    trigger_format(sql, " FROM main.resthook_outbox WHERE id>%lld AND watch=%lld",
                   (long long)run->from_id, (long long)then->id);
    buffer_text(sql, " AND ifnull(only=?1,1)))IS NOT 1");
}

/* A definition of the same table's inserts that may have rows in the outbox; false: no more. */
static bool next_definition(struct call *call, sqlite3_stmt *ids, struct definition *then) {
    char *error = NULL;
    int rc;

    if (ids == NULL || !call_step(call, ids)) {
        return false;
    }
    rc = definition_load(call->db, sqlite3_column_int64(ids, 0), then, &error);
    version_fail(call, rc, error);
    return rc == SQLITE_OK;
}

/* SELECT of the rows to send, their values in the order of v0, v1, …; ?1 is the subscription. */
static sqlite3_stmt *prepare_rows(const struct backfill *run, const struct version *version,
                                  const struct definition *now) {
    struct call *call = run->call;
    struct buffer sql = {0};
    sqlite3_stmt *rows = NULL;
    struct definition then;

    buffer_text(&sql, "SELECT ");
    for (int i = 0; i < now->width; i++) {
        buffer_text(&sql, i > 0 ? "," : "");
        new_column(&sql, now->values[i].column);
    }
    buffer_text(&sql, " FROM main.");
    trigger_name(&sql, version->text[VERSION_TABLE]);
    buffer_text(&sql, " AS NEW WHERE ?1 NOTNULL AND(\n");
    buffer_text(&sql, run->where != NULL ? run->where : "1");
    buffer_text(&sql, "\n)");
    sqlite3_stmt *ids =
        call_prepare(call, sql_backfill_versions, "tti", version->text[VERSION_EVENT],
                     version->text[VERSION_STORED_TABLE], run->from_id);
    while (next_definition(call, ids, &then)) {
        leave_out(run, now, &then, &sql);
        definition_free(&then);
    }
    (void)sqlite3_finalize(ids);
    if (sql.failed) {
        call_check(call, SQLITE_NOMEM);
    } else {
        rows = call_prepare(call, sql.data, "t", run->subscription);
    }
    buffer_free(&sql);
    return rows;
}

/* INSERT of one: ?1 the version, ?2 the subscription, ?3 deliver_at, then the values, and the mark. */
static sqlite3_stmt *prepare_insert(struct call *call, int width) {
    struct buffer sql = {0};
    sqlite3_stmt *insert = NULL;

    buffer_text(&sql, "INSERT INTO main.resthook_outbox(watch,only,deliver_at");
    for (int i = 0; i <= width; i++) {
        trigger_format(&sql, ",v%d", i);
    }
    buffer_text(&sql, ")VALUES(?,?,?");
    for (int i = 0; i <= width; i++) {
        buffer_text(&sql, ",?");
    }
    buffer_text(&sql, ")");
    if (sql.failed) {
        call_check(call, SQLITE_NOMEM);
    } else {
        insert = call_prepare(call, sql.data, "");
    }
    buffer_free(&sql);
    return insert;
}

static bool is_key(const struct definition *now, int value) {
    for (int i = 0; i < now->key_count; i++) {
        if (now->keys[i].value == value) {
            return true;
        }
    }
    return false;
}

/* Bytes of a value that can be large. */
static sqlite3_int64 size_of(sqlite3_stmt *row, int i) {
    int type = sqlite3_column_type(row, i); /* before sqlite3_column_bytes, which may change it */

    return type == SQLITE_TEXT || type == SQLITE_BLOB ? sqlite3_column_bytes(row, i) : 0;
}

/* Binds a row as the trigger would have captured it (trigger.c): whole, or of one that is too large
** its key, what `when` reads if that is small, and a mark that says which of the two it was. */
static void bind_row(const struct backfill *run, const struct definition *now, sqlite3_stmt *row,
                     sqlite3_stmt *insert) {
    sqlite3_int64 size = 0, kept_size = 0;

    for (int i = 0; i < now->width; i++) {
        size += size_of(row, i);
        kept_size += now->values[i].kept ? size_of(row, i) + NUMBER_SIZE : 0;
    }
    bool whole = size <= run->capture_max;
    bool small = kept_size <= TRIGGER_KEPT_MAX;

    for (int i = 0; i < now->width; i++) {
        bool kept = whole || (now->values[i].kept && small) ||
                    (is_key(now, i) && size_of(row, i) <= run->capture_max);

        call_check(run->call, kept ? sqlite3_bind_value(insert, 4 + i, sqlite3_column_value(row, i))
                                   : sqlite3_bind_null(insert, 4 + i));
    }
    call_check(run->call, whole ? sqlite3_bind_null(insert, 4 + now->width)
                                : sqlite3_bind_int(insert, 4 + now->width, small ? 1 : 2));
}

static void insert_row(struct backfill *run, const struct definition *now, sqlite3_stmt *row,
                       sqlite3_stmt *insert) {
    struct call *call = run->call;

    if (run->rate > 0) {
        call_check(call, sqlite3_bind_int64(insert, 3, run->now + run->count * 1000 / run->rate));
    }
    bind_row(run, now, row, insert);
    (void)call_step(call, insert);
    (void)sqlite3_reset(insert); /* its error was kept by the step */
    if (call->rc == SQLITE_OK) {
        run->last_id = sqlite3_last_insert_rowid(call->db);
        run->first_id = run->count++ == 0 ? run->last_id : run->first_id;
    }
}

/* All rows of one watch's table. */
static void run_watch(struct backfill *run, const struct version *version) {
    struct call *call = run->call;
    struct definition now;
    char *error = NULL;
    int rc = definition_load(call->db, version->id, &now, &error);

    version_fail(call, rc, error);
    if (rc != SQLITE_OK) {
        return;
    }
    sqlite3_stmt *rows = prepare_rows(run, version, &now);
    sqlite3_stmt *insert = prepare_insert(call, now.width);

    if (insert != NULL) {
        call_check(call, sqlite3_bind_int64(insert, 1, version->id));
        call_check(call, sqlite3_bind_text(insert, 2, run->subscription, -1, SQLITE_STATIC));
    }
    while (rows != NULL && insert != NULL && call_step(call, rows)) {
        insert_row(run, &now, rows, insert);
    }
    (void)sqlite3_finalize(rows);
    (void)sqlite3_finalize(insert);
    definition_free(&now);
}

/* Every watch of inserts into the table whose event the subscription takes. */
static void run_table(struct backfill *run, const char *table, const char *pattern) {
    struct call *call = run->call;
    struct versions list;
    int matching = 0;

    versions_read(call, &list);
    for (int i = 0; i < list.count && call->rc == SQLITE_OK; i++) {
        const struct version *version = &list.at[i];

        if (strcmp(version->text[VERSION_OPERATION], "insert") == 0 &&
            sqlite3_stricmp(version->text[VERSION_TABLE], table) == 0 &&
            event_matches(pattern, version->text[VERSION_EVENT])) {
            matching++;
            run_watch(run, version);
        }
    }
    versions_free(&list);
    if (matching == 0) {
        call_fail(call,
                  "table %z: no watch of its inserts makes an event that the subscription takes "
                  "(it takes %z)",
                  shown_text(table), shown_text(pattern));
    }
}

static const char *where_argument(struct call *call, int argc, sqlite3_value **argv) {
    const char *where = NULL;
    const char *wrong;

    if (argc > 2 && sqlite3_value_type(argv[2]) != SQLITE_NULL) {
        where = call_text_argument(call, argv, 2, "where", WHERE_MAX);
    }
    wrong = where != NULL ? clause_expression(where) : NULL;
    if (wrong != NULL) {
        call_fail(call, "where %z: %s", shown_text(where), wrong);
    }
    return where;
}

static void backfill(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct call call;

    call_begin(&call, context, "resthook_backfill", SCHEMA_CURRENT);
    const char *id = call_text_argument(&call, argv, 0, "subscription", 100);
    const char *table = call_text_argument(&call, argv, 1, "table", 1000);
    struct backfill run = {.call = &call, .subscription = id};

    run.where = where_argument(&call, argc, argv);
    run.from_id = call_int(&call, -1, sql_backfill_subscription, "t", id);
    if (run.from_id < 0) {
        call_fail(&call, "there is no subscription %z, or it has ended", shown(argv[0]));
    }
    char *pattern =
        call_text(&call, "SELECT event FROM main.resthook_subscription WHERE id = ?1", "t", id);

    run.capture_max = setting_int(&call, "capture_max");
    run.rate = setting_int(&call, "backfill_rate");
    run.now = call_now(&call);
    if (call.rc == SQLITE_OK) {
        run_table(&run, table, pattern);
    }
    if (run.count > 0) {
        call_exec(&call, sql_backfill_add, "ttiii", id, table, run.first_id, run.last_id, run.now);
    }
    sqlite3_free(pattern);
    sqlite3_result_int64(context, run.count);
    call_end(&call);
}

int backfill_register(sqlite3 *db) {
    static const struct function functions[] = {
        {"resthook_backfill", 2, FUNCTION_DIRECT_ONLY, backfill},
        {"resthook_backfill", 3, FUNCTION_DIRECT_ONLY, backfill},
    };

    return register_functions(db, functions, sizeof functions / sizeof *functions);
}
