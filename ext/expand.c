/*
** expand.c: makes events out of captured rows.
**
** A definition (definition.c) is compiled into one statement (compile.c); a row's values are bound
** to it natively and what it returns is rendered by the template. Without `fields` the row itself
** is the payload and nothing is compiled. VIRTUAL generated columns are computed on the side
** (generated.c), and only those that are asked for: one that fails fails the rows that need it.
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
**
** An expander owns everything it hands out. Any error while a row is expanded, out of memory too,
** is UNEXPANDABLE with a text; nothing is half handed out.
** SPDX-License-Identifier: MIT
*/
#include "expand.h"

#include <string.h>

#include "blueprint.h"
#include "compile.h"
#include "fence.h"
#include "image.h"

#define COMPILE_MOST 3 /* times in a row that the schema may change under us */

struct expander {
    sqlite3 *db;
    bool hosted;
    struct definition definition;
    struct image image;
    struct compiled compiled;
    struct expansion event;
    char *gone;            /* why an expression can't be computed without a column that was dropped;
                           ** NULL: it can, or there is none */
    struct expander *late; /* what reads rows captured since; NULL: they are held */
    struct expander *when; /* asks `when` of a row too large to capture; NULL: not made yet */
    bool borrowed;         /* the definition is another expander's */
    char error[1000];
    bool failed; /* the run under way: error says why */
};

static bool has_expressions(const struct definition *d) {
    return d->template.fields > 0 || d->when != NULL || d->key != NULL;
}

/* ---- making one ready ---- */

/* Compiles the expressions, on a blueprint first: the one given, or a new one. */
static int make_statement(struct expander *expander, sqlite3 *copy, char **error) {
    sqlite3 *own = NULL;
    int rc = SQLITE_OK;

    compiled_free(&expander->compiled);
    if (!has_expressions(&expander->definition)) {
        return SQLITE_OK;
    }
    if (copy == NULL) {
        rc = blueprint_open(expander->db, &own, error);
    }
    if (rc == SQLITE_OK) {
        rc = compile_definition(expander->db, copy != NULL ? copy : own, &expander->definition,
                                image_has_virtual(&expander->image), &expander->compiled, error);
    }
    (void)sqlite3_close(own);
    return rc;
}

/* Makes one of a definition that is in the expander already, if rc says so; frees it otherwise. */
static int finish(struct expander *expander, int rc, sqlite3 *copy, struct expander **out,
                  char **error) {
    if (rc == SQLITE_OK) {
        rc = image_open(&expander->image, expander->db, &expander->definition, error);
    }
    if (rc == SQLITE_OK) {
        rc = make_statement(expander, copy, error);
    }
    if (rc != SQLITE_OK) {
        expander_free(expander);
        expander = NULL;
    }
    *out = expander;
    return rc;
}

static struct expander *blank(sqlite3 *db, bool hosted) {
    struct expander *expander = sqlite3_malloc64(sizeof *expander);

    if (expander != NULL) {
        memset(expander, 0, sizeof *expander);
        expander->db = db;
        expander->hosted = hosted;
    }
    return expander;
}

/* Makes one of a version that reads what was captured after its columns had gone. */
static int open_late(sqlite3 *db, int64_t watch, bool hosted, bool mended, struct expander **out,
                     char **error) {
    struct expander *expander = blank(db, hosted);
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
    return finish(expander, rc, NULL, out, error);
}

/* Finds out whether the expressions need a column that was dropped while the trigger stood. It has
** captured NULL for it since: no value, and `when` would be false for it. Such rows are held until
** the watch is mended. Where it was, and can't read them, the column may only have been renamed:
** then they are read as all others. */
static int look_for_gone(struct expander *expander) {
    sqlite3 *db = expander->db;
    int64_t watch = expander->definition.id;
    struct expander *late = NULL;
    char *error = NULL;
    bool any = false, other = false;
    int rc = SQLITE_OK;

    if (has_expressions(&expander->definition)) {
        rc = definition_find_gone(db, &expander->definition, &any, &other);
    }
    if (rc == SQLITE_OK && any) {
        rc = open_late(db, watch, expander->hosted, false, &late, &expander->gone);
        expander_free(late); /* they do without it */
    }
    if (rc == SQLITE_ERROR && expander->gone != NULL) {
        rc = open_late(db, watch, expander->hosted, true, &expander->late, &error);
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
    struct expander *expander = blank(db, hosted);
    char *second = NULL;
    int rc, mended;

    *out = NULL;
    *error = NULL;
    if (expander == NULL) {
        return SQLITE_NOMEM;
    }
    rc = definition_load(db, watch, &expander->definition, error);
    rc = finish(expander, rc, NULL, out, error);
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
    expander = blank(db, hosted);
    if (expander == NULL) {
        return SQLITE_NOMEM;
    }
    mended = definition_load_mended(db, watch, &expander->definition, &second);
    mended = finish(expander, mended, NULL, out, &second);
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
    struct expander *expander = blank(db, true);
    int rc;

    *error = NULL;
    if (expander == NULL) {
        return SQLITE_NOMEM;
    }
    rc = definition_read(db, row, &expander->definition, error);
    rc = finish(expander, rc, copy, &expander, error);
    expander_free(expander);
    return rc;
}

void expander_free(struct expander *expander) {
    if (expander == NULL) {
        return;
    }
    expander_free(expander->late);
    expander_free(expander->when);
    sqlite3_free(expander->gone);
    compiled_free(&expander->compiled);
    image_close(&expander->image);
    if (!expander->borrowed) {
        definition_free(&expander->definition);
    }
    buffer_free(&expander->event.payload);
    buffer_free(&expander->event.change);
    buffer_free(&expander->event.key);
    sqlite3_free(expander);
}

/* ---- one row ---- */

/* The first reason stays. */
static void fail(struct expander *expander, const char *text) {
    if (!expander->failed) {
        expander->failed = true;
        (void)sqlite3_snprintf((int)sizeof expander->error, expander->error, "%s", text);
    }
}

static void bind(struct expander *expander, int parameter, struct cell cell) {
    sqlite3_stmt *statement = expander->compiled.statement;
    int rc = cell.statement != NULL
                 ? sqlite3_bind_value(statement, parameter,
                                      sqlite3_column_value(cell.statement, cell.column))
                 : sqlite3_bind_null(statement, parameter);

    if (rc != SQLITE_OK) {
        fail(expander, sqlite3_errstr(rc));
    }
}

static void bind_all(struct expander *expander) {
    const struct definition *d = &expander->definition;

    for (int i = 0; i < d->width; i++) {
        if (!(d->hides_gone && d->values[i].gone)) {
            bind(expander, i + 1, image_value(&expander->image, i));
        }
    }
    for (int i = 0; expander->compiled.reads_virtual && i < d->virtual_count; i++) {
        if (d->has_new) {
            bind(expander, compiled_virtual(d, false, i),
                 image_virtual(&expander->image, false, i));
        }
        if (d->has_old) {
            bind(expander, compiled_virtual(d, true, i), image_virtual(&expander->image, true, i));
        }
    }
    if (expander->image.error != NULL) {
        fail(expander, expander->image.error);
    }
}

/* Steps the statement: SQLITE_ROW, SQLITE_DONE, SQLITE_SCHEMA, or an error that is kept. */
static int step(struct expander *expander) {
    struct fence fence;
    bool limit = false;
    int rc;

    if (!expander->hosted) {
        fence_up(&fence, expander->db);
    }
    rc = sqlite3_step(expander->compiled.statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        rc = sqlite3_reset(expander->compiled.statement);
    }
    if (!expander->hosted) {
        limit = fence_down(&fence);
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE && rc != SQLITE_SCHEMA) {
        fail(expander,
             limit ? "an expression took more than 1,000,000 steps" : sqlite3_errmsg(expander->db));
    }
    return rc;
}

/* Runs the expressions over the row. Returns true if `when` holds: then the statement is on its
** row. */
static bool run_statement(struct expander *expander) {
    int rc = SQLITE_SCHEMA;

    for (int i = 0; i < COMPILE_MOST && rc == SQLITE_SCHEMA && !expander->failed; i++) {
        char *error = NULL;

        if (i > 0 || expander->compiled.statement == NULL) {
            int made = make_statement(expander, NULL, &error);
            if (made != SQLITE_OK) {
                fail(expander, error != NULL ? error : sqlite3_errstr(made));
                sqlite3_free(error);
                break;
            }
        }
        bind_all(expander);
        if (!expander->failed) {
            rc = step(expander);
        }
    }
    if (rc == SQLITE_SCHEMA) {
        fail(expander, "the schema keeps changing");
    }
    return rc == SQLITE_ROW && !expander->failed;
}

static bool render_field(void *context, int field, enum template_type type, struct buffer *out) {
    const struct expander *expander = context;

    return cell_render(
        (struct cell){expander->compiled.statement, expander->compiled.fields + field}, type, out);
}

static void render_event(struct expander *expander, bool with_change) {
    struct expansion *event = &expander->event;
    const struct definition *d = &expander->definition;

    if (d->template.fields > 0 && !event->truncated) {
        template_render(&d->template, render_field, expander, &event->payload);
    } else {
        image_render(&expander->image, &event->payload);
    }
    if (with_change) {
        image_render_change(&expander->image, &event->change);
    }
    if (d->key != NULL && !event->truncated) {
        event->has_key = cell_render_key(
            (struct cell){expander->compiled.statement, expander->compiled.key}, &event->key);
    }
    if (expander->image.error != NULL) {
        fail(expander, expander->image.error);
    } else if (event->payload.failed || event->change.failed || event->key.failed) {
        fail(expander, "out of memory");
    }
}

/* Was the row captured after the columns that are gone had gone? None of them has a value then. */
static bool is_late(const struct expander *expander) {
    const struct definition *d = &expander->definition;
    bool late = expander->gone != NULL;

    for (int i = 0; i < d->width && late; i++) {
        struct cell cell = d->values[i].gone ? image_value(&expander->image, i) : (struct cell){0};
        late = cell.statement == NULL ||
               sqlite3_column_type(cell.statement, cell.column) == SQLITE_NULL;
    }
    return late;
}

static bool is_key(const struct definition *d, int value) {
    bool key = false;

    for (int i = 0; i < d->key_count; i++) {
        key = key || d->keys[i].value == value;
    }
    return key;
}

/* Is there all that `when` reads in a row too large to capture? A key that is NULL may be one that
** was itself too large. */
static bool can_ask(const struct expander *expander) {
    const struct definition *d = &expander->definition;
    bool all = d->when != NULL && expander->gone == NULL && image_has_kept(&expander->image) &&
               !clause_takes_all(d->when);

    for (int i = 0; i < d->width && all; i++) {
        if (!d->values[i].kept && clause_names(d->when, d->values[i].column)) {
            struct cell cell = image_value(&expander->image, i);
            all = cell.statement != NULL && is_key(d, i) &&
                  sqlite3_column_type(cell.statement, cell.column) != SQLITE_NULL;
        }
    }
    for (int i = 0; i < d->virtual_count && all; i++) {
        all = !clause_names(d->when, d->virtuals[i]);
    }
    return all;
}

/* `when` of a row too large to capture, which has no other value. What can't be asked is true. */
static bool ask_when(struct expander *expander, sqlite3_stmt *row, int first) {
    struct expander *when = expander->when;
    bool wanted;

    if (!can_ask(expander)) {
        return true;
    }
    if (when == NULL) {
        char *error = NULL;
        int rc;

        when = expander->when = blank(expander->db, expander->hosted);
        if (when == NULL) {
            fail(expander, "out of memory");
            return false;
        }
        when->definition = expander->definition;
        when->definition.key = NULL;
        when->definition.template.fields = 0;
        when->definition.virtual_count = 0;
        when->borrowed = true;
        rc = image_open(&when->image, expander->db, &when->definition, &error);
        sqlite3_free(error);
        if (rc != SQLITE_OK) {
            fail(expander, sqlite3_errstr(rc));
            return false;
        }
    }
    image_show(&when->image, row, first);
    when->failed = false;
    wanted = run_statement(when);
    if (when->compiled.statement != NULL) {
        (void)sqlite3_reset(when->compiled.statement);
        (void)sqlite3_clear_bindings(when->compiled.statement);
    }
    if (when->failed) {
        fail(expander, when->error);
    }
    return wanted;
}

enum expanded expander_run(struct expander *expander, sqlite3_stmt *row, int first,
                           bool with_change, struct expansion *event, const char **error) {
    struct expansion *made = &expander->event;
    bool wanted = true;

    image_show(&expander->image, row, first);
    expander->failed = false;
    buffer_clear(&made->payload);
    buffer_clear(&made->change);
    buffer_clear(&made->key);
    made->has_key = false;
    made->truncated = image_is_truncated(&expander->image);
    if (!made->truncated && is_late(expander)) {
        if (expander->late != NULL) {
            return expander_run(expander->late, row, first, with_change, event, error);
        }
        fail(expander, expander->gone);
    }
    if (made->truncated) {
        wanted = ask_when(expander, row, first);
    } else if (!expander->failed && has_expressions(&expander->definition)) {
        wanted = run_statement(expander);
    }
    if (wanted && !expander->failed) {
        render_event(expander, with_change);
    }
    if (expander->compiled.statement != NULL) {
        (void)sqlite3_reset(expander->compiled.statement);
        (void)sqlite3_clear_bindings(expander->compiled.statement); /* rows may be large */
    }
    *error = expander->error;
    *event = *made;
    if (expander->failed) {
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
    return &expander->image;
}

struct image *expander_shown(struct expander *expander) {
    return &expander->image;
}
