/*
** expand.c: makes events out of captured rows.
**
** A definition (definition.c) is compiled into one statement (compile.c); a row's values are bound
** to it natively (evaluate.c) and what it returns is rendered by the template. Without `fields` the
** row itself is the payload and nothing is compiled.
**
** A migration may take from a version's expressions what they read. Then those of its watch as it
** was mended read its rows: all of them, or only those captured after the column had gone.
**
** An expander owns everything it hands out. Any error while a row is expanded, out of memory too,
** is UNEXPANDABLE with a text; nothing is half handed out.
** SPDX-License-Identifier: MIT
*/
#include "expand.h"

#include <string.h>

#include "evaluate.h"
#include "truncated.h"

struct expander {
    struct definition definition;
    struct evaluation evaluation;
    struct expansion event;
    char *gone;            /* why an expression can't be computed without a column that was dropped;
                           ** NULL: it can, or there is none */
    struct expander *late; /* what reads rows captured since; NULL: they are held */
    struct truncated *truncated; /* asks `when` of a row too large to capture; NULL: not made yet */
};

/* ---- making one ready ---- */

/* Makes one of a definition that is in the expander already, if rc says so; frees it otherwise. */
static int finish(struct expander *expander, sqlite3 *db, bool hosted, int rc, sqlite3 *copy,
                  struct expander **out, char **error) {
    if (rc == SQLITE_OK) {
        rc = evaluation_open(&expander->evaluation, db, hosted, &expander->definition, error);
    }
    if (rc == SQLITE_OK) {
        rc = evaluation_compile(&expander->evaluation, copy, error);
    }
    if (rc != SQLITE_OK) {
        expander_free(expander);
        expander = NULL;
    }
    *out = expander;
    return rc;
}

static struct expander *blank(void) {
    struct expander *expander = sqlite3_malloc64(sizeof *expander);

    if (expander != NULL) {
        memset(expander, 0, sizeof *expander);
    }
    return expander;
}

/* Makes one of a version that reads what was captured after its columns had gone. */
static int open_late(sqlite3 *db, int64_t watch, bool hosted, bool mended, struct expander **out,
                     char **error) {
    struct expander *expander = blank();
    bool any, other;
    int rc;

    *out = NULL;
    if (expander == NULL) {
        return SQLITE_NOMEM;
    }
    rc = mended ? definition_load_mended(db, watch, &expander->definition, error)
                : definition_load(db, watch, &expander->definition, error);
    if (rc == SQLITE_OK) {
        rc = definition_find_gone(db, &expander->definition, &any, &other);
        expander->definition.hides_gone = true;
    }
    return finish(expander, db, hosted, rc, NULL, out, error);
}

/* Finds out whether the expressions need a column that was dropped while the trigger stood. It has
** captured NULL for it since: no value, and `when` would be false for it. Such rows are held until
** the watch is mended. Where it was, and can't read them, the column may only have been renamed:
** then they are read as all others. */
static int look_for_gone(struct expander *expander) {
    sqlite3 *db = expander->evaluation.db;
    bool hosted = expander->evaluation.hosted;
    int64_t watch = expander->definition.id;
    struct expander *late = NULL;
    char *error = NULL;
    bool any = false, other = false;
    int rc = SQLITE_OK;

    if (definition_has_expressions(&expander->definition)) {
        rc = definition_find_gone(db, &expander->definition, &any, &other);
    }
    if (rc == SQLITE_OK && any) {
        rc = open_late(db, watch, hosted, false, &late, &expander->gone);
        expander_free(late); /* they do without it */
    }
    if (rc == SQLITE_ERROR && expander->gone != NULL) {
        rc = open_late(db, watch, hosted, true, &expander->late, &error);
        sqlite3_free(error);
        rc = rc == SQLITE_NOMEM ? rc : SQLITE_OK;
        if (other && expander->late == NULL) {
            sqlite3_free(expander->gone);
            expander->gone = NULL;
        }
    }
    return rc;
}

/* A version whose own expressions do not compile (a migration took a column or a table from them)
** is read by those of its watch as it was mended, if they do. */
static int open_version(sqlite3 *db, int64_t watch, bool hosted, struct expander **out,
                        char **error) {
    struct expander *expander = blank();
    char *second = NULL;
    int rc, mended;

    *out = NULL;
    *error = NULL;
    if (expander == NULL) {
        return SQLITE_NOMEM;
    }
    rc = definition_load(db, watch, &expander->definition, error);
    rc = finish(expander, db, hosted, rc, NULL, out, error);
    if (rc == SQLITE_OK) {
        rc = look_for_gone(*out);
        if (rc != SQLITE_OK) {
            expander_free(*out);
            *out = NULL;
        }
        return rc;
    }
    if (rc != SQLITE_ERROR) {
        return rc;
    }
    expander = blank();
    if (expander == NULL) {
        return SQLITE_NOMEM;
    }
    mended = definition_load_mended(db, watch, &expander->definition, &second);
    mended = finish(expander, db, hosted, mended, NULL, out, &second);
    if (mended == SQLITE_OK) {
        sqlite3_free(*error);
        *error = NULL;
        rc = SQLITE_OK;
    } else if (mended == SQLITE_NOMEM) {
        rc = SQLITE_NOMEM;
    }
    sqlite3_free(second);
    return rc;
}

int expander_open(sqlite3 *db, int64_t watch, struct expander **out, char **error) {
    return open_version(db, watch, false, out, error);
}

int expander_open_hosted(sqlite3 *db, int64_t watch, struct expander **out, char **error) {
    return open_version(db, watch, true, out, error);
}

int expander_check(sqlite3 *db, sqlite3 *copy, const struct definition_row *row, char **error) {
    struct expander *expander = blank();
    int rc;

    *error = NULL;
    if (expander == NULL) {
        return SQLITE_NOMEM;
    }
    rc = definition_read(db, row, &expander->definition, error);
    rc = finish(expander, db, true, rc, copy, &expander, error);
    expander_free(expander);
    return rc;
}

bool expander_is_conditional(const struct expander *expander) {
    return expander->definition.when != NULL;
}

void expander_free(struct expander *expander) {
    if (expander == NULL) {
        return;
    }
    expander_free(expander->late);
    truncated_free(expander->truncated);
    sqlite3_free(expander->gone);
    evaluation_close(&expander->evaluation);
    definition_free(&expander->definition);
    buffer_free(&expander->event.payload);
    buffer_free(&expander->event.change);
    buffer_free(&expander->event.key);
    sqlite3_free(expander);
}

/* ---- one row ---- */

static bool render_field(void *context, int field, enum template_type type, struct buffer *out) {
    const struct expander *expander = context;

    return cell_render((struct cell){expander->evaluation.compiled.statement,
                                     expander->evaluation.compiled.fields + field},
                       type, out);
}

static void render_event(struct expander *expander, bool with_change) {
    struct expansion *event = &expander->event;
    const struct definition *d = &expander->definition;

    if (d->template.fields > 0 && !event->truncated) {
        template_render(&d->template, render_field, expander, &event->payload);
    } else {
        image_render(&expander->evaluation.image, &event->payload);
    }
    if (with_change) {
        image_render_change(&expander->evaluation.image, &event->change);
    }
    if (d->key != NULL && !event->truncated) {
        event->has_key = cell_render_key((struct cell){expander->evaluation.compiled.statement,
                                                       expander->evaluation.compiled.key},
                                         &event->key);
    }
    if (expander->evaluation.image.error != NULL) {
        evaluation_fail(&expander->evaluation, expander->evaluation.image.error);
    } else if (event->payload.failed || event->change.failed || event->key.failed) {
        evaluation_fail(&expander->evaluation, "out of memory");
    }
}

/* Was the row captured after the columns that are gone had gone? None of them has a value then. */
static bool is_late(const struct expander *expander) {
    const struct definition *d = &expander->definition;
    bool late = expander->gone != NULL;

    for (int i = 0; i < d->width && late; i++) {
        struct cell cell =
            d->values[i].gone ? image_value(&expander->evaluation.image, i) : (struct cell){0};
        late = cell.statement == NULL ||
               sqlite3_column_type(cell.statement, cell.column) == SQLITE_NULL;
    }
    return late;
}

enum expanded expander_run(struct expander *expander, sqlite3_stmt *row, int first,
                           bool with_change, struct expansion *event, const char **error) {
    struct evaluation *evaluation = &expander->evaluation;
    struct expansion *made = &expander->event;
    bool wanted = true;

    evaluation_begin(evaluation, row, first);
    buffer_clear(&made->payload);
    buffer_clear(&made->change);
    buffer_clear(&made->key);
    made->has_key = false;
    made->truncated = image_is_truncated(&evaluation->image);
    if (!made->truncated && is_late(expander)) {
        if (expander->late != NULL) {
            return expander_run(expander->late, row, first, with_change, event, error);
        }
        evaluation_fail(evaluation, expander->gone);
    }
    if (made->truncated) {
        wanted = expander->gone != NULL || truncated_wanted(&expander->truncated, evaluation);
    } else if (!evaluation->failed && definition_has_expressions(&expander->definition)) {
        wanted = evaluation_run(evaluation);
    }
    if (wanted && !evaluation->failed) {
        render_event(expander, with_change);
    }
    evaluation_end(evaluation);
    *error = evaluation->error;
    *event = *made;
    if (evaluation->failed) {
        return UNEXPANDABLE;
    }
    return wanted ? EXPANDED : FILTERED;
}

const char *expander_event(const struct expander *expander) {
    return expander->definition.event;
}

const char *expander_table(const struct expander *expander) {
    return expander->definition.table;
}

int expander_width(const struct expander *expander) {
    return expander->definition.width;
}

const struct image *expander_image(const struct expander *expander) {
    return &expander->evaluation.image;
}

struct image *expander_shown(struct expander *expander) {
    return &expander->evaluation.image;
}
