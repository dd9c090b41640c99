/*
** plan.c: decides what a watch captures.
**
** Every column but VIRTUAL generated ones, in the table's order: of NEW for an insert, of OLD for a
** delete, of NEW and if asked for of OLD for an update. Where no primary key is declared the rowid
** comes after them. Nothing is written here, so that resthook_repair() can compare what should be
** with what is.
** SPDX-License-Identifier: MIT
*/
#include "plan.h"

#include <string.h>

#include "sql.h"

#define CHANGED_MOST 1000 /* two values of each are compared, and a SELECT has 2,000 columns */

static int refuse(char **error, char *message) {
    *error = message;
    return message != NULL ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* Why a name can't stand where it does; NULL: it can, or there was no memory. */
static char *wrong_name(const struct table *table, const struct table_column *column,
                        const char *name, const char *what) {
    if (column == NULL) {
        return sqlite3_mprintf("%s: table %s has no column %s", what, table->name,
                               name != NULL ? name : "null");
    }
    return sqlite3_mprintf("%s: %s is a VIRTUAL generated column, which a trigger must not read",
                           what, column->name);
}

static int add_name(char ***names, int *count, const char *name) {
    char **grown = sqlite3_realloc64(*names, ((sqlite3_uint64)*count + 1) * sizeof *grown);

    if (grown == NULL) {
        return SQLITE_NOMEM;
    }
    *names = grown;
    grown[*count] = sqlite3_mprintf("%s", name);
    return grown[(*count)++] != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* Reads a JSON array of column names. Of an existing watch's a name that is gone stays in the list. A
** VIRTUAL generated column stays too where the trigger does not read it (left_out NULL); otherwise
** *left_out. */
static int read_names(sqlite3 *db, const struct plan *plan, const char *json, const char *what,
                      char ***names, int *count, bool *left_out, char **error) {
    const struct table *table = &plan->table;
    sqlite3_stmt *statement = NULL;
    int rc = SQLITE_OK;

    if (json == NULL) {
        return SQLITE_OK;
    }
    rc = sqlite3_prepare_v2(db, sql_watch_names, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, json, -1, SQLITE_STATIC);
    }
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        const char *type = (const char *)sqlite3_column_text(statement, 1);
        bool text = name != NULL && type != NULL && strcmp(type, "text") == 0;
        const struct table_column *column = text ? table_column(table, name) : NULL;

        if (!text ||
            (!plan->request.existing && (column == NULL || column->kind == COLUMN_VIRTUAL))) {
            rc = refuse(error, wrong_name(table, column, name, what));
        } else if (column != NULL && column->kind == COLUMN_VIRTUAL && left_out != NULL) {
            *left_out = true;
        } else {
            rc = add_name(names, count, column != NULL ? column->name : name);
        }
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_finalize(statement);
    } else {
        (void)sqlite3_finalize(statement);
    }
    if (rc == SQLITE_OK && *count == 0 && (left_out == NULL || !*left_out)) {
        rc = refuse(error, sqlite3_mprintf("%s: at least one column is expected", what));
    }
    return rc;
}

static void add_value(struct plan *plan, bool old, bool rowid, bool key, const char *name) {
    struct trigger_value *value = &plan->values[plan->width];

    value->old = old;
    value->key = key;
    value->kept = !key && plan->when != NULL && clause_names(plan->when, name);
    value->small = rowid || (key && plan->table.key_is_rowid);
    value->column = name;
    buffer_text(&plan->captured, plan->width > 0 ? "," : "[");
    buffer_text(&plan->captured, old ? "{\"row\":\"old\",\"" : "{\"row\":\"new\",\"");
    buffer_text(&plan->captured, rowid ? "rowid\":" : "column\":");
    render_text(&plan->captured, name, strlen(name));
    buffer_text(&plan->captured, value->kept ? ",\"kept\":true}" : "}");
    if (key) {
        buffer_text(&plan->primary_key,
                    plan->primary_key.length > 0 ? ",{\"name\":" : "[{\"name\":");
        render_text(&plan->primary_key, name, strlen(name));
        trigger_format(&plan->primary_key, ",\"value\":%d}", plan->width);
    }
    plan->width++;
}

/* The values of one row; its key, if it stands for the row. */
static void add_row(struct plan *plan, bool old, bool with_key) {
    const struct table *table = &plan->table;

    for (int i = 0; i < table->count; i++) {
        if (table->columns[i].kind != COLUMN_VIRTUAL) {
            add_value(plan, old, false, with_key && table->columns[i].key > 0,
                      table->columns[i].name);
        }
    }
    if (with_key && table->rowid != NULL) {
        add_value(plan, old, true, true, table->rowid);
    }
}

static void add_virtuals(struct plan *plan) {
    for (int i = 0; i < plan->table.count; i++) {
        const struct table_column *column = &plan->table.columns[i];
        if (column->kind == COLUMN_VIRTUAL) {
            buffer_text(&plan->virtuals, plan->virtuals.length > 0 ? "," : "[");
            render_text(&plan->virtuals, column->name, strlen(column->name));
        }
    }
    if (plan->virtuals.length > 0) {
        buffer_text(&plan->virtuals, "]");
    }
}

static void add_of(struct plan *plan) {
    for (int i = 0; i < plan->of_count; i++) {
        buffer_text(&plan->of_json, i > 0 ? "," : "[");
        render_text(&plan->of_json, plan->of[i], strlen(plan->of[i]));
    }
    if (plan->of_count > 0) {
        buffer_text(&plan->of_json, "]");
    }
}

/* `when`, if it can be asked without all of the row: if it spells every column that it reads, and
** they are captured. */
static int read_when(sqlite3 *db, struct plan *plan) {
    sqlite3_stmt *statement = NULL;
    const char *when = NULL;
    int rc = sqlite3_prepare_v2(db, sql_watch_clauses, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, plan->request.options, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        when = (const char *)sqlite3_column_text(statement, 0);
    }
    if (when != NULL && !clause_takes_all(when)) {
        plan->when = sqlite3_mprintf("%s", when);
        rc = plan->when != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    for (int i = 0; i < plan->table.count && plan->when != NULL; i++) {
        const struct table_column *column = &plan->table.columns[i];
        if (column->kind == COLUMN_VIRTUAL && clause_names(plan->when, column->name)) {
            sqlite3_free(plan->when);
            plan->when = NULL;
        }
    }
    if (rc == SQLITE_OK) {
        return sqlite3_finalize(statement);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

/* The values to capture, and what is said about them. */
static int choose(struct plan *plan, char **error) {
    bool deleting = plan->request.operation == OPERATION_DELETE;
    int columns;

    plan->values =
        sqlite3_malloc64((2 * (sqlite3_uint64)plan->table.count + 1) * sizeof *plan->values);
    if (plan->values == NULL) {
        return SQLITE_NOMEM;
    }
    add_row(plan, deleting, true);
    if (plan->request.operation == OPERATION_UPDATE && plan->request.old) {
        add_row(plan, true, false);
    }
    buffer_text(&plan->captured, "]");
    buffer_text(&plan->primary_key, plan->primary_key.length > 0 ? "]" : "[]");
    add_virtuals(plan);
    add_of(plan);
    columns = plan->width - (plan->table.rowid != NULL); /* it comes on top */
    if (columns > PLAN_VALUES_MAX) {
        return refuse(error, sqlite3_mprintf("%s: %d values to capture, at most %d can be",
                                             plan->table.name, columns, PLAN_VALUES_MAX));
    }
    return plan->captured.failed || plan->primary_key.failed || plan->virtuals.failed ||
                   plan->of_json.failed
               ? SQLITE_NOMEM
               : SQLITE_OK;
}

/* Assigning to a column never names a generated one, so such a list would never fire. */
static int check_of(const struct plan *plan, char **error) {
    for (int i = 0; i < plan->of_count && !plan->request.existing; i++) {
        if (table_column(&plan->table, plan->of[i])->kind != COLUMN_PLAIN) {
            return refuse(error,
                          sqlite3_mprintf("update of: %s is a generated column, no update names it",
                                          plan->of[i]));
        }
    }
    return SQLITE_OK;
}

int plan_make(sqlite3 *db, const struct plan_request *request, struct plan *plan, char **error) {
    bool left_out = false;
    int rc;

    memset(plan, 0, sizeof *plan);
    plan->request = *request;
    rc = table_describe(db, request->table, &plan->table, error);
    if (rc == SQLITE_OK) {
        rc =
            read_names(db, plan, request->of, "update of", &plan->of, &plan->of_count, NULL, error);
    }
    if (rc == SQLITE_OK) {
        rc = check_of(plan, error);
    }
    if (rc == SQLITE_OK) {
        rc = read_names(db, plan, request->changed, "changed", &plan->changed, &plan->changed_count,
                        &left_out, error);
    }
    plan->never = left_out && plan->changed_count == 0;
    if (rc == SQLITE_OK && plan->changed_count > CHANGED_MOST) {
        rc = refuse(error, sqlite3_mprintf("changed names %d columns, expected at most %d",
                                           plan->changed_count, CHANGED_MOST));
    }
    if (rc == SQLITE_OK) {
        rc = read_when(db, plan);
    }
    if (rc == SQLITE_OK) {
        rc = choose(plan, error);
    }
    if (rc != SQLITE_OK) {
        plan_free(plan);
    }
    return rc;
}

static void free_names(char **names, int count) {
    for (int i = 0; i < count; i++) {
        sqlite3_free(names[i]);
    }
    sqlite3_free(names);
}

void plan_free(struct plan *plan) {
    table_free(&plan->table);
    free_names(plan->of, plan->of_count);
    free_names(plan->changed, plan->changed_count);
    sqlite3_free(plan->values);
    sqlite3_free(plan->when);
    buffer_free(&plan->captured);
    buffer_free(&plan->primary_key);
    buffer_free(&plan->virtuals);
    buffer_free(&plan->of_json);
    memset(plan, 0, sizeof *plan);
}

struct definition_row plan_row(const struct plan *plan) {
    struct definition_row row = {
        .id = 0,
        .table = plan->table.name,
        .operation = clause_operation_name(plan->request.operation),
        .event = plan->request.event,
        .options = plan->request.options,
        .captured = plan->captured.data,
        .virtuals = plan->virtuals.length > 0 ? plan->virtuals.data : NULL,
        .table_sql = plan->virtuals.length > 0 ? plan->table.sql : NULL,
        .primary_key = plan->primary_key.data,
    };

    return row;
}

const char *plan_of(const struct plan *plan) {
    return plan->of_json.length > 0 ? plan->of_json.data : NULL;
}

void plan_trigger(const struct plan *plan, int64_t id, bool disarmed, struct buffer *out) {
    struct trigger trigger = {
        .id = id,
        .disarmed = disarmed,
        .operation = plan->request.operation,
        .table = plan->table.name,
        .of = (const char *const *)plan->of,
        .of_count = plan->of_count,
        .changed = (const char *const *)plan->changed,
        .changed_count = plan->changed_count,
        .never = plan->never,
        .values = plan->values,
        .width = plan->width,
        .capture_max = plan->request.capture_max,
    };

    trigger_write(&trigger, out);
}
