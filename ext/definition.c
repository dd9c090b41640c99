/*
** definition.c: reads one version of a watch. Its JSON is read with SQLite's own functions and
** judged again each time: the row lies in a file that anybody may have written.
**
** A definition owns all it points to until definition_free. Errors name the value that is wrong.
** SPDX-License-Identifier: MIT
*/
#include "definition.h"

#include <string.h>

#include "sql.h"

#define VALUES_MAX 2000 /* SQLite's own limit for columns */

/* What reading needs; the first error stays and every later step does nothing. */
struct reading {
    sqlite3 *db;
    int rc;
    char **error;
    struct definition *definition;
};

static void fail(struct reading *reading, char *message) {
    if (reading->rc == SQLITE_OK) {
        reading->rc = message != NULL ? SQLITE_ERROR : SQLITE_NOMEM;
        *reading->error = message;
    } else {
        sqlite3_free(message);
    }
}

static void check(struct reading *reading, int rc) {
    if (rc != SQLITE_OK && reading->rc == SQLITE_OK) {
        reading->rc = rc;
        *reading->error = sqlite3_mprintf("%s", sqlite3_errmsg(reading->db));
    }
}

static char *copy(struct reading *reading, const char *from) {
    char *made = from != NULL && reading->rc == SQLITE_OK ? sqlite3_mprintf("%s", from) : NULL;

    if (from != NULL && made == NULL && reading->rc == SQLITE_OK) {
        reading->rc = SQLITE_NOMEM;
    }
    return made;
}

static void *grow(struct reading *reading, void *array, int count, size_t size) {
    void *grown = sqlite3_realloc64(array, ((sqlite3_uint64)count + 1) * size);

    if (grown == NULL) {
        reading->rc = SQLITE_NOMEM;
        return array;
    }
    memset((char *)grown + (size_t)count * size, 0, size);
    return grown;
}

/* Runs a query over one JSON text, a row at a time. */
static void each(struct reading *reading, const char *query, const char *json,
                 void (*take)(struct reading *, sqlite3_stmt *)) {
    sqlite3_stmt *statement = NULL;

    if (reading->rc != SQLITE_OK || json == NULL) {
        return;
    }
    check(reading, sqlite3_prepare_v2(reading->db, query, -1, &statement, NULL));
    if (reading->rc == SQLITE_OK) {
        check(reading, sqlite3_bind_text(statement, 1, json, -1, SQLITE_STATIC));
    }
    while (reading->rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        take(reading, statement);
    }
    if (reading->rc == SQLITE_OK) {
        check(reading, sqlite3_finalize(statement));
    } else {
        (void)sqlite3_finalize(statement);
    }
}

/* NULL is NULL, or there is no memory for it: then SQLite takes the value for NULL from then on. */
static const char *text(struct reading *reading, sqlite3_stmt *statement, int i) {
    bool null = sqlite3_column_type(statement, i) == SQLITE_NULL;
    const char *text = (const char *)sqlite3_column_text(statement, i);

    if (text == NULL && !null) {
        check(reading, SQLITE_NOMEM);
    }
    return text;
}

static void take_value(struct reading *reading, sqlite3_stmt *statement) {
    struct definition *d = reading->definition;
    const char *row = text(reading, statement, 0);
    const char *column = text(reading, statement, 1);
    const char *rowid = text(reading, statement, 2);

    if (row == NULL || (column == NULL && rowid == NULL) || d->width == VALUES_MAX) {
        fail(reading, sqlite3_mprintf("watch %lld is damaged: captured", (long long)d->id));
        return;
    }
    d->values = grow(reading, d->values, d->width, sizeof d->values[0]);
    if (reading->rc != SQLITE_OK) {
        return;
    }
    d->values[d->width].old = strcmp(row, "old") == 0;
    d->values[d->width].rowid = column == NULL;
    d->values[d->width].kept = sqlite3_column_int(statement, 3) != 0;
    d->values[d->width].column = copy(reading, column != NULL ? column : rowid);
    *(d->values[d->width].old ? &d->has_old : &d->has_new) = true;
    d->width++;
}

static void take_virtual(struct reading *reading, sqlite3_stmt *statement) {
    struct definition *d = reading->definition;

    d->virtuals = grow(reading, d->virtuals, d->virtual_count, sizeof d->virtuals[0]);
    if (reading->rc == SQLITE_OK) {
        d->virtuals[d->virtual_count++] = copy(reading, text(reading, statement, 0));
    }
}

static void take_key(struct reading *reading, sqlite3_stmt *statement) {
    struct definition *d = reading->definition;
    int value = sqlite3_column_int(statement, 1);

    if (text(reading, statement, 0) == NULL || value < 0 || value >= d->width) {
        fail(reading, sqlite3_mprintf("watch %lld is damaged: primary_key", (long long)d->id));
        return;
    }
    d->keys = grow(reading, d->keys, d->key_count, sizeof d->keys[0]);
    if (reading->rc == SQLITE_OK) {
        d->keys[d->key_count].value = value;
        d->keys[d->key_count++].name = copy(reading, text(reading, statement, 0));
    }
}

/* An expression; a NUL in it would hide what stands behind. */
static char *copy_expression(struct reading *reading, sqlite3_stmt *statement, int i,
                             const char *what) {
    const char *from = text(reading, statement, i);

    if (from != NULL && strlen(from) != (size_t)sqlite3_column_bytes(statement, i)) {
        fail(reading, sqlite3_mprintf("%s: a NUL character can't be part of an expression", what));
    }
    return copy(reading, from);
}

static void take_field(struct reading *reading, sqlite3_stmt *statement) {
    struct definition *d = reading->definition;
    const char *path = text(reading, statement, 0);
    const char *type = text(reading, statement, 2);
    const char *wrong;

    if (path == NULL || type == NULL || strcmp(type, "text") != 0) {
        fail(reading, sqlite3_mprintf("fields: %s: an SQL expression, a text, is expected", path));
        return;
    }
    d->fields = grow(reading, d->fields, d->template.fields, sizeof d->fields[0]);
    d->paths = grow(reading, d->paths, d->template.fields, sizeof d->paths[0]);
    if (reading->rc != SQLITE_OK) {
        return;
    }
    wrong = template_add(&d->template, path);
    if (wrong != NULL) {
        fail(reading, sqlite3_mprintf("fields: %s: %s", path, wrong));
        return;
    }
    d->paths[d->template.fields - 1] = copy(reading, path);
    d->fields[d->template.fields - 1] = copy_expression(reading, statement, 1, path);
}

static void take_clauses(struct reading *reading, sqlite3_stmt *statement) {
    reading->definition->when = copy_expression(reading, statement, 0, "when");
    reading->definition->key = copy_expression(reading, statement, 1, "key");
}

int definition_read(sqlite3 *db, const struct definition_row *row, struct definition *definition,
                    char **error) {
    struct reading reading = {db, SQLITE_OK, error, definition};
    const char *names;

    memset(definition, 0, sizeof *definition);
    *error = NULL;
    definition->id = row->id;
    if (row->table == NULL || row->operation == NULL || row->event == NULL ||
        row->options == NULL || row->captured == NULL || row->primary_key == NULL ||
        clause_operation(row->operation, &definition->operation, &names) != NULL) {
        fail(&reading, sqlite3_mprintf("watch %lld is damaged", (long long)row->id));
    }
    definition->table = copy(&reading, row->table);
    definition->event = copy(&reading, row->event);
    definition->table_sql = copy(&reading, row->table_sql);
    each(&reading, sql_watch_values, row->captured, take_value);
    each(&reading, sql_watch_names, row->virtuals, take_virtual);
    each(&reading, sql_watch_keys, row->primary_key, take_key);
    each(&reading, sql_watch_fields, row->options, take_field);
    each(&reading, sql_watch_clauses, row->options, take_clauses);
    if (reading.rc == SQLITE_OK && (definition->width == 0 || (definition->virtual_count > 0 &&
                                                               definition->table_sql == NULL))) {
        fail(&reading, sqlite3_mprintf("watch %lld is damaged", (long long)row->id));
    }
    if (reading.rc != SQLITE_OK) {
        definition_free(definition);
    }
    return reading.rc;
}

static int load(sqlite3 *db, const char *sql, int64_t id, struct definition *definition,
                char **error) {
    struct reading reading = {.db = db, .error = error};
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    memset(definition, 0, sizeof *definition);
    *error = NULL;
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 1, id);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        struct definition_row row = {
            .id = id,
            .table = text(&reading, statement, 1),
            .operation = text(&reading, statement, 2),
            .event = text(&reading, statement, 3),
            .options = text(&reading, statement, 4),
            .captured = text(&reading, statement, 5),
            .virtuals = text(&reading, statement, 6),
            .table_sql = text(&reading, statement, 7),
            .primary_key = text(&reading, statement, 8),
        };
        rc = reading.rc == SQLITE_OK ? definition_read(db, &row, definition, error) : reading.rc;
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_NOTFOUND;
        *error = sqlite3_mprintf("no watch has version %lld", (long long)id);
    } else {
        *error = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

int definition_load(sqlite3 *db, int64_t id, struct definition *definition, char **error) {
    return load(db, sql_watch_definition, id, definition, error);
}

int definition_load_mended(sqlite3 *db, int64_t id, struct definition *definition, char **error) {
    return load(db, sql_watch_mended, id, definition, error);
}

int definition_find_gone(sqlite3 *db, struct definition *definition, bool *any, bool *other) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql_watch_gone, -1, &statement, NULL);

    *any = *other = false;
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 1, definition->id);
    }
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        sqlite3_int64 i = sqlite3_column_int64(statement, 0);
        if (i >= 0 && i < definition->width) {
            definition->values[i].gone = *any = true;
            *other = sqlite3_column_int(statement, 1) != 0;
        }
    }
    if (rc == SQLITE_OK) {
        return sqlite3_finalize(statement);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

bool definition_has_expressions(const struct definition *definition) {
    return definition->template.fields > 0 || definition->when != NULL || definition->key != NULL;
}

void definition_free(struct definition *definition) {
    for (int i = 0; i < definition->width; i++) {
        sqlite3_free(definition->values[i].column);
    }
    for (int i = 0; i < definition->virtual_count; i++) {
        sqlite3_free(definition->virtuals[i]);
    }
    for (int i = 0; i < definition->key_count; i++) {
        sqlite3_free(definition->keys[i].name);
    }
    for (int i = 0; i < definition->template.fields; i++) {
        sqlite3_free(definition->fields[i]);
        sqlite3_free(definition->paths[i]);
    }
    template_free(&definition->template);
    sqlite3_free(definition->values);
    sqlite3_free(definition->virtuals);
    sqlite3_free(definition->keys);
    sqlite3_free(definition->fields);
    sqlite3_free(definition->paths);
    sqlite3_free(definition->table);
    sqlite3_free(definition->event);
    sqlite3_free(definition->table_sql);
    sqlite3_free(definition->when);
    sqlite3_free(definition->key);
    memset(definition, 0, sizeof *definition);
}
