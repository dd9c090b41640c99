/*
** evaluate.c: binds a row's values to the statement that compile.c made, and steps it.
**
** VIRTUAL generated columns are computed on the side (generated.c), and only those that are asked
** for: one that fails fails the rows that need it.
**
** Where the authorizer stands: on the blueprint, never on the connection that runs. So a host keeps
** its own, and a connection's statements are not made to compile again at every turn. What makes
** that safe: expressions are compiled on the blueprint first; the running statement is made by the
** legacy interface, which does not compile itself again when the schema has changed but reports
** SQLITE_SCHEMA, and then everything is checked anew; and it is read-only by SQLite's word. A
** host's own TEMP objects and functions of a core name are what they are to any statement of the
** host. On a connection of our own the step limit is set while a row is expanded; in a host it is
** not: its progress handler and sqlite3_interrupt() do there what they do for a view of the same
** file.
** SPDX-License-Identifier: MIT
*/
#include "evaluate.h"

#include <string.h>

#include "blueprint.h"
#include "fence.h"

#define COMPILE_MOST 3 /* times in a row that the schema may change under us */

int evaluation_open(struct evaluation *evaluation, sqlite3 *db, bool hosted,
                    const struct definition *definition, char **error) {
    memset(evaluation, 0, sizeof *evaluation);
    evaluation->db = db;
    evaluation->hosted = hosted;
    evaluation->definition = definition;
    return image_open(&evaluation->image, db, definition, error);
}

void evaluation_close(struct evaluation *evaluation) {
    compiled_free(&evaluation->compiled);
    image_close(&evaluation->image);
}

int evaluation_compile(struct evaluation *evaluation, sqlite3 *copy, char **error) {
    sqlite3 *own = NULL;
    int rc = SQLITE_OK;

    compiled_free(&evaluation->compiled);
    if (!definition_has_expressions(evaluation->definition)) {
        return SQLITE_OK;
    }
    if (copy == NULL) {
        rc = blueprint_open(evaluation->db, &own, error);
    }
    if (rc == SQLITE_OK) {
        rc =
            compile_definition(evaluation->db, copy != NULL ? copy : own, evaluation->definition,
                               image_has_virtual(&evaluation->image), &evaluation->compiled, error);
    }
    (void)sqlite3_close(own);
    return rc;
}

void evaluation_begin(struct evaluation *evaluation, sqlite3_stmt *row, int first) {
    image_show(&evaluation->image, row, first);
    evaluation->failed = false;
}

void evaluation_fail(struct evaluation *evaluation, const char *text) {
    if (!evaluation->failed) {
        evaluation->failed = true;
        (void)sqlite3_snprintf((int)sizeof evaluation->error, evaluation->error, "%s", text);
    }
}

static void bind(struct evaluation *evaluation, int parameter, struct cell cell) {
    sqlite3_stmt *statement = evaluation->compiled.statement;
    int rc = cell.statement != NULL
                 ? sqlite3_bind_value(statement, parameter,
                                      sqlite3_column_value(cell.statement, cell.column))
                 : sqlite3_bind_null(statement, parameter);

    if (rc != SQLITE_OK) {
        evaluation_fail(evaluation, sqlite3_errstr(rc));
    }
}

static void bind_all(struct evaluation *evaluation) {
    const struct definition *d = evaluation->definition;

    for (int i = 0; i < d->width; i++) {
        if (!(d->hides_gone && d->values[i].gone)) {
            bind(evaluation, i + 1, image_value(&evaluation->image, i));
        }
    }
    for (int i = 0; evaluation->compiled.reads_virtual && i < d->virtual_count; i++) {
        if (d->has_new) {
            bind(evaluation, compiled_virtual(d, false, i),
                 image_virtual(&evaluation->image, false, i));
        }
        if (d->has_old) {
            bind(evaluation, compiled_virtual(d, true, i),
                 image_virtual(&evaluation->image, true, i));
        }
    }
    if (evaluation->image.error != NULL) {
        evaluation_fail(evaluation, evaluation->image.error);
    }
}

/* Steps the statement: SQLITE_ROW, SQLITE_DONE, SQLITE_SCHEMA, or an error that is kept. */
static int step(struct evaluation *evaluation) {
    struct fence fence;
    const char *limit = NULL;
    int rc;

    if (!evaluation->hosted) {
        fence_up(&fence, evaluation->db,
                 fence_length(FENCE_ROOM, image_largest(&evaluation->image)));
    }
    rc = sqlite3_step(evaluation->compiled.statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        rc = sqlite3_reset(evaluation->compiled.statement);
    }
    if (!evaluation->hosted) {
        limit = fence_down(&fence);
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE && rc != SQLITE_SCHEMA) {
        char text[100];

        (void)sqlite3_snprintf((int)sizeof text, text, "an expression took %s", limit);
        evaluation_fail(evaluation, limit != NULL ? text : sqlite3_errmsg(evaluation->db));
    }
    return rc;
}

bool evaluation_run(struct evaluation *evaluation) {
    int rc = SQLITE_SCHEMA;

    for (int i = 0; i < COMPILE_MOST && rc == SQLITE_SCHEMA && !evaluation->failed; i++) {
        char *error = NULL;

        if (i > 0 || evaluation->compiled.statement == NULL) {
            int made = evaluation_compile(evaluation, NULL, &error);
            if (made != SQLITE_OK) {
                evaluation_fail(evaluation, error != NULL ? error : sqlite3_errstr(made));
                sqlite3_free(error);
                break;
            }
        }
        bind_all(evaluation);
        if (!evaluation->failed) {
            rc = step(evaluation);
        }
    }
    if (rc == SQLITE_SCHEMA) {
        evaluation_fail(evaluation, "the schema keeps changing");
    }
    return rc == SQLITE_ROW && !evaluation->failed;
}

void evaluation_end(struct evaluation *evaluation) {
    if (evaluation->compiled.statement != NULL) {
        (void)sqlite3_reset(evaluation->compiled.statement);
        (void)sqlite3_clear_bindings(evaluation->compiled.statement); /* rows may be large */
    }
}
