/*
** compile.c: turns `when`, `key` and `fields` into one statement:
**
**   WITH NEW("id","a")AS(SELECT ?1,?2),OLD(…)AS(…)
**   SELECT (key),(field),(field) FROM NEW,OLD WHERE(when)
**
** Parameters have no affinity and no collation: an expression sees the values as they were written.
** No row means that `when` was not true.
**
** Who writes an expression must not reach further than an expression does. Its brackets are counted
** first (clause.c), so that it can't leave its place; then each is compiled alone as a WHERE
** clause, where SQLite refuses what a value can't be: a list, an aggregate that would turn the
** whole into one, a window function. Both on a copy of the schema under an authorizer
** (blueprint.c). Only then is the statement compiled on the connection it will run on, and must be
** read-only by SQLite's own word.
**
** The caller owns what comes out until compiled_free. Errors name the expression.
** SPDX-License-Identifier: MIT
*/
#include "compile.h"

#include <string.h>

#include "render.h"
#include "trigger.h"

int compiled_virtual(const struct definition *definition, bool old, int i) {
    return definition->width + 1 + (old ? definition->virtual_count : 0) + i;
}

/* NEW("a","b")AS(SELECT ?1,?2). bound false: NULL for each parameter. */
static void write_table(const struct definition *d, bool old, bool bound, bool with_virtual,
                        struct buffer *out) {
    const char *separator = "(";

    buffer_text(out, old ? "OLD" : "NEW");
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < d->width; i++) {
            if (d->values[i].old == old && !(d->hides_gone && d->values[i].gone)) {
                buffer_text(out, separator);
                if (pass == 0) {
                    trigger_name(out, d->values[i].column);
                } else {
                    trigger_format(out, bound ? "?%d" : "NULL", i + 1);
                }
                separator = ",";
            }
        }
        for (int i = 0; with_virtual && i < d->virtual_count; i++) {
            buffer_text(out, separator);
            if (pass == 0) {
                trigger_name(out, d->virtuals[i]);
            } else {
                trigger_format(out, bound ? "?%d" : "NULL", compiled_virtual(d, old, i));
            }
            separator = ",";
        }
        buffer_text(out, ")");
        if (pass == 0) {
            buffer_text(out, "AS");
            separator = "(SELECT ";
        }
    }
}

static void write_with(const struct definition *d, bool bound, bool with_virtual,
                       struct buffer *out) {
    buffer_text(out, "WITH ");
    if (d->has_new) {
        write_table(d, false, bound, with_virtual, out);
    }
    if (d->has_old) {
        buffer_text(out, d->has_new ? "," : "");
        write_table(d, true, bound, with_virtual, out);
    }
}

static void write_from(const struct definition *d, struct buffer *out) {
    buffer_text(out, " FROM ");
    buffer_text(out, d->has_new ? "NEW" : "");
    buffer_text(out, d->has_new && d->has_old ? "," : "");
    buffer_text(out, d->has_old ? "OLD" : "");
}

/* The line ends keep a comment from swallowing the parenthesis. */
void compile_expression(const char *expression, struct buffer *out) {
    buffer_text(out, "(\n");
    buffer_text(out, expression);
    buffer_text(out, "\n)");
}

static void write_statement(const struct definition *d, bool with_virtual, struct buffer *out) {
    write_with(d, true, with_virtual, out);
    buffer_text(out, "SELECT ");
    if (d->key != NULL) {
        compile_expression(d->key, out);
    }
    for (int i = 0; i < d->template.fields; i++) {
        buffer_text(out, i > 0 || d->key != NULL ? "," : "");
        compile_expression(d->fields[i], out);
    }
    buffer_text(out, d->key == NULL && d->template.fields == 0 ? "1" : "");
    write_from(d, out);
    if (d->when != NULL) {
        buffer_text(out, " WHERE");
        compile_expression(d->when, out);
    }
}

int compile_statement(sqlite3 *db, struct buffer *sql, sqlite3_stmt **statement, char **error) {
    const char *tail = NULL;
    int rc = sql->failed ? SQLITE_NOMEM : sqlite3_prepare(db, sql->data, -1, statement, &tail);

    if (rc == SQLITE_OK && *tail != '\0') {
        rc = SQLITE_ERROR;
        *error = sqlite3_mprintf("more than one statement");
    } else if (rc != SQLITE_OK && rc != SQLITE_NOMEM) {
        *error = sqlite3_mprintf("%s", sqlite3_errmsg(db));
        rc = SQLITE_ERROR;
    }
    if (rc != SQLITE_OK) {
        (void)sqlite3_finalize(*statement);
        *statement = NULL;
    }
    buffer_free(sql);
    return rc;
}

/* Compiles one expression alone. */
static int check_one(sqlite3 *copy, const struct definition *d, bool with_virtual,
                     const char *expression, const char *kind, const char *name, char **error) {
    const char *wrong = expression != NULL ? clause_expression(expression) : NULL;
    char *message = NULL;
    sqlite3_stmt *statement = NULL;
    struct buffer sql = {0};
    int rc;

    if (expression == NULL) {
        return SQLITE_OK;
    }
    if (wrong != NULL) {
        *error = sqlite3_mprintf("%s%s: %s: %s", kind, name, wrong, expression);
        return *error != NULL ? SQLITE_ERROR : SQLITE_NOMEM;
    }
    write_with(d, false, with_virtual, &sql);
    buffer_text(&sql, "SELECT 1");
    write_from(d, &sql);
    buffer_text(&sql, " WHERE");
    compile_expression(expression, &sql);
    rc = compile_statement(copy, &sql, &statement, &message);
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(statement) > 0) {
        rc = SQLITE_ERROR;
        message = sqlite3_mprintf("a parameter can't be part of an expression");
    }
    (void)sqlite3_finalize(statement);
    if (rc == SQLITE_ERROR) {
        *error = sqlite3_mprintf("%s%s: %s: %s", kind, name, message, expression);
    }
    sqlite3_free(message);
    return rc;
}

/* Compiles everything on the copy. */
static int check_all(sqlite3 *copy, const struct definition *d, bool with_virtual, char **error) {
    struct buffer sql = {0};
    sqlite3_stmt *statement = NULL;
    int rc = check_one(copy, d, with_virtual, d->when, "when", "", error);

    if (rc == SQLITE_OK) {
        rc = check_one(copy, d, with_virtual, d->key, "key", "", error);
    }
    for (int i = 0; i < d->template.fields && rc == SQLITE_OK; i++) {
        rc = check_one(copy, d, with_virtual, d->fields[i], "fields: ", d->paths[i], error);
    }
    if (rc == SQLITE_OK) {
        write_statement(d, with_virtual, &sql);
        rc = compile_statement(copy, &sql, &statement, error);
        (void)sqlite3_finalize(statement);
    }
    return rc;
}

int compile_definition(sqlite3 *db, sqlite3 *copy, const struct definition *d, bool with_virtual,
                       struct compiled *compiled, char **error) {
    struct buffer sql = {0};
    int rc;

    memset(compiled, 0, sizeof *compiled);
    *error = NULL;
    compiled->key = d->key != NULL ? 0 : -1;
    compiled->fields = d->key != NULL ? 1 : 0;
    rc = check_all(copy, d, false, error);
    if (rc == SQLITE_ERROR && with_virtual) {
        sqlite3_free(*error);
        *error = NULL;
        compiled->reads_virtual = true;
        rc = check_all(copy, d, true, error);
    }
    if (rc == SQLITE_OK) {
        write_statement(d, compiled->reads_virtual, &sql);
        rc = compile_statement(db, &sql, &compiled->statement, error);
    }
    if (rc == SQLITE_OK && !sqlite3_stmt_readonly(compiled->statement)) {
        rc = SQLITE_ERROR;
        *error = sqlite3_mprintf("an expression writes");
    }
    if (rc != SQLITE_OK) {
        compiled_free(compiled);
    }
    return rc;
}

void compiled_free(struct compiled *compiled) {
    (void)sqlite3_finalize(compiled->statement);
    memset(compiled, 0, sizeof *compiled);
    compiled->key = -1;
}
