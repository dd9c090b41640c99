/*
** filter.c: a subscription's filter, checked and run.
**
** Who writes a filter is held to the same rules as who writes an expression of a watch, in the same
** way (compile.c, blueprint.c, fence.c): its brackets are counted; it is compiled alone on a copy of
** the schema under an authorizer; then on the connection that runs it, where it has to be read-only
** and is stale when the schema has changed. The statement is condition.c's.
**
** Values are bound where they stand: ten thousand subscriptions with a filter copy nothing.
** SPDX-License-Identifier: MIT
*/
#include "filter.h"

#include <string.h>

#include "blueprint.h"
#include "compile.h"
#include "condition.h"
#include "event.h"
#include "fence.h"
#include "image.h"
#include "sql.h"

/* Bytes of a value that a filter makes or looks up, beside what its event brings. Fewer than an
** expression of a watch may: who names a filter is often not who owns the database. */
#define LENGTH_MOST (1024 * 1024)

struct filter {
    sqlite3 *db;
    sqlite3_stmt *statement;
    size_t length; /* of its text */
    int *sources; /* what parameter 1, 2 … is: a value of the row, behind them its virtual columns,
                      of NEW and then of OLD; the payload and the event's name come last */
    int count;
    int cost; /* thousands of steps, of the last time */
};

/* ---- trying ---- */

/* Would it leave its place in the statement? */
static int keep_in_place(const char *text, char **error) {
    const char *wrong = clause_expression(text);

    if (wrong == NULL) {
        return SQLITE_OK;
    }
    *error = sqlite3_mprintf("%s", wrong);
    return *error != NULL ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* Runs it where every table is empty, which shows what fails or does not end whatever it reads. */
static int run_empty(sqlite3 *copy, sqlite3_stmt *statement, char **error) {
    struct fence fence;
    const char *limit;
    int rc;

    if (!fence_counts()) {
        return SQLITE_OK;
    }
    fence_up(&fence, copy, LENGTH_MOST);
    (void)sqlite3_step(statement);
    rc = sqlite3_reset(statement);
    limit = fence_down(&fence);
    if (limit != NULL) {
        *error = sqlite3_mprintf("it takes %s", limit);
    } else if (rc != SQLITE_OK && rc != SQLITE_NOMEM) {
        *error = sqlite3_mprintf("%s", sqlite3_errmsg(copy));
    }
    return rc == SQLITE_OK || rc == SQLITE_NOMEM ? rc : SQLITE_ERROR;
}

/* Compiles it on the copy, and runs it there if asked to. */
static int try_one(sqlite3 *copy, const char *text, const struct definition *d, bool with_virtual,
                   bool run, char **error) {
    struct buffer sql = {0};
    struct condition condition = {.text = text, .d = d, .with_virtual = with_virtual};
    sqlite3_stmt *statement = NULL;
    int rc;

    condition_write(&condition, &sql);
    rc = compile_statement(copy, &sql, &statement, error);
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(statement) > 0) {
        rc = SQLITE_ERROR;
        *error = sqlite3_mprintf("a parameter can't be part of an expression");
    }
    if (rc == SQLITE_OK && run) {
        rc = run_empty(copy, statement, error);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

/* The same, without the virtual columns if it does without. */
static int try_filter(sqlite3 *copy, const char *text, const struct definition *d,
                      bool *with_virtual, bool run, char **error) {
    bool can_have_virtual = *with_virtual;
    int rc = try_one(copy, text, d, false, run, error);

    *with_virtual = false;
    if (rc == SQLITE_ERROR && can_have_virtual) {
        sqlite3_free(*error);
        *error = NULL;
        *with_virtual = true;
        rc = try_one(copy, text, d, true, run, error);
    }
    return rc;
}

/* ---- checking, for who sets it ---- */

/* Says behind an error where it came up, and what would help. */
static void explain(char **error, const struct definition *d, const char *pattern) {
    static const char names_old[] = "no such column: OLD.";
    static const char names_new[] = "no such column: NEW.";
    const char *text = *error != NULL ? *error : "";
    bool old = sqlite3_strnicmp(text, names_old, sizeof names_old - 1) == 0;
    bool new = sqlite3_strnicmp(text, names_new, sizeof names_new - 1) == 0;
    char *longer = NULL;

    if (*error == NULL) {
        return;
    }
    if (d == NULL) {
        longer = old || new ? sqlite3_mprintf("%s (no watch makes %s, so it has no NEW and no OLD)",
                                              text, pattern)
                            : sqlite3_mprintf("%s", text);
    } else {
        longer = sqlite3_mprintf(
            "%s (in %s, %s of table %s%s)", text, d->event, clause_operation_name(d->operation),
            d->table, old && !d->has_old ? ", whose watch keeps no OLD: option old" : "");
    }
    sqlite3_free(*error);
    *error = longer;
}

static int check_watch(sqlite3 *db, sqlite3 *copy, int64_t watch, const char *text, char **error) {
    struct definition definition;
    struct image image;
    bool with_virtual;
    int rc = definition_load(db, watch, &definition, error);

    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = image_open(&image, db, &definition, error);
    if (rc == SQLITE_OK) {
        with_virtual = image_has_virtual(&image);
        rc = try_filter(copy, text, &definition, &with_virtual, true, error);
        explain(error, &definition, NULL);
        image_close(&image);
    }
    definition_free(&definition);
    return rc;
}

int filter_check(sqlite3 *db, const char *pattern, const char *text, char **error) {
    sqlite3_stmt *watches = NULL;
    sqlite3 *copy = NULL;
    bool none = true;
    int rc;

    *error = NULL;
    rc = keep_in_place(text, error);
    if (rc == SQLITE_OK) {
        rc = blueprint_open(db, &copy, error);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(db, sql_watch_events, -1, &watches, NULL);
    }
    while (rc == SQLITE_OK && sqlite3_step(watches) == SQLITE_ROW) {
        const char *event = (const char *)sqlite3_column_text(watches, 1);

        if (event == NULL) {
            rc = SQLITE_NOMEM;
        } else if (event_matches(pattern, event)) {
            none = false;
            rc = check_watch(db, copy, sqlite3_column_int64(watches, 0), text, error);
        }
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_reset(watches);
    }
    if (rc == SQLITE_OK && none) {
        bool with_virtual = false;

        rc = try_filter(copy, text, NULL, &with_virtual, true, error);
        explain(error, NULL, pattern);
    }
    (void)sqlite3_finalize(watches);
    (void)sqlite3_close(copy);
    return rc;
}

/* ---- running ---- */

/* Compiles what has been tried, with its parameters. */
static int compile(struct filter *filter, const char *text, const struct definition *d,
                   bool with_virtual, char **error) {
    struct buffer sql = {0};
    struct condition condition = {.text = text, .d = d, .with_virtual = with_virtual};
    int most = d != NULL ? d->width + 2 * d->virtual_count : 0;
    int *fewer;
    int rc;

    condition.sources = sqlite3_malloc64(((sqlite3_uint64)most + 1) * sizeof(int));
    if (condition.sources == NULL) {
        return SQLITE_NOMEM;
    }
    condition_write(&condition, &sql);
    filter->length = strlen(text);
    filter->count = condition.count;
    fewer =
        sqlite3_realloc64(condition.sources, ((sqlite3_uint64)condition.count + 1) * sizeof(int));
    filter->sources = fewer != NULL ? fewer : condition.sources;
    rc = compile_statement(filter->db, &sql, &filter->statement, error);
    if (rc == SQLITE_OK && !sqlite3_stmt_readonly(filter->statement)) {
        rc = SQLITE_ERROR;
        *error = sqlite3_mprintf("it writes");
    }
    return rc;
}

int filter_open(sqlite3 *db, sqlite3 *copy, const char *text, const struct expander *expander,
                struct filter **out, char **error) {
    const struct image *image = expander != NULL ? expander_image(expander) : NULL;
    const struct definition *d = image != NULL ? image->definition : NULL;
    bool with_virtual = image != NULL && image_has_virtual(image);
    struct filter *filter = sqlite3_malloc64(sizeof *filter);
    int rc;

    *out = NULL;
    *error = NULL;
    if (filter == NULL) {
        return SQLITE_NOMEM;
    }
    *filter = (struct filter){.db = db};
    rc = keep_in_place(text, error);
    if (rc == SQLITE_OK) {
        rc = try_filter(copy, text, d, &with_virtual, false, error);
    }
    if (rc == SQLITE_OK) {
        rc = compile(filter, text, d, with_virtual, error);
    }
    if (rc != SQLITE_OK) {
        filter_free(filter);
        filter = NULL;
    }
    *out = filter;
    return rc;
}

void filter_free(struct filter *filter) {
    if (filter != NULL) {
        (void)sqlite3_finalize(filter->statement);
        sqlite3_free(filter->sources);
        sqlite3_free(filter);
    }
}

size_t filter_size(const struct filter *filter) {
    return sizeof *filter + filter->length + (size_t)filter->count * sizeof(int) +
           (size_t)sqlite3_stmt_status(filter->statement, SQLITE_STMTSTATUS_MEMUSED, 0);
}

int filter_cost(const struct filter *filter) {
    return filter->cost;
}

/* Without a copy: the row it comes from stands still while the statement runs. */
static int bind(sqlite3_stmt *statement, int parameter, struct cell cell) {
    const void *bytes;

    if (cell.statement == NULL) {
        return SQLITE_OK; /* NULL, as the bindings were cleared to */
    }
    switch (sqlite3_column_type(cell.statement, cell.column)) {
    case SQLITE_INTEGER:
        return sqlite3_bind_int64(statement, parameter,
                                  sqlite3_column_int64(cell.statement, cell.column));
    case SQLITE_FLOAT:
        return sqlite3_bind_double(statement, parameter,
                                   sqlite3_column_double(cell.statement, cell.column));
    case SQLITE_TEXT:
        bytes = sqlite3_column_text(cell.statement, cell.column);
        return bytes == NULL ? SQLITE_NOMEM
                             : sqlite3_bind_text64(statement, parameter, bytes,
                                                   (sqlite3_uint64)sqlite3_column_bytes(
                                                       cell.statement, cell.column),
                                                   SQLITE_STATIC, SQLITE_UTF8);
    case SQLITE_BLOB:
        bytes = sqlite3_column_blob(cell.statement, cell.column);
        return sqlite3_bind_blob64(
            statement, parameter, bytes != NULL ? bytes : "",
            (sqlite3_uint64)sqlite3_column_bytes(cell.statement, cell.column), SQLITE_STATIC);
    default:
        return SQLITE_OK;
    }
}

/* Binds the rows. SQLITE_OK, or the code; image->error says what a virtual column failed of. */
static int bind_rows(struct filter *filter, struct image *image) {
    int width = image->definition->width, virtuals = image->definition->virtual_count;
    int rc = SQLITE_OK;

    for (int i = 0; i < filter->count && rc == SQLITE_OK; i++) {
        int source = filter->sources[i];

        if (source < width) {
            rc = bind(filter->statement, i + 1, image_value(image, source));
        } else {
            bool old = source >= width + virtuals;

            rc = bind(filter->statement, i + 1,
                      image_virtual(image, old, source - width - (old ? virtuals : 0)));
            rc = image->error != NULL ? SQLITE_ERROR : rc;
        }
    }
    return rc;
}

static int most_length(const struct filter *filter, const struct image *image, size_t payload) {
    size_t most = payload;

    for (int i = 0; image != NULL && i < filter->count; i++) {
        if (filter->sources[i] < image->definition->width) {
            size_t bytes = cell_bytes(image_value(image, filter->sources[i]));

            most = bytes > most ? bytes : most;
        }
    }
    return fence_length(LENGTH_MOST, most);
}

enum judgement filter_judge(struct filter *filter, struct expander *expander, const char *event,
                            const char *payload, size_t length, char *why, int size) {
    struct image *image = expander != NULL ? expander_shown(expander) : NULL;
    int first = filter->count + 1;
    sqlite3_stmt *statement = filter->statement;
    struct fence fence;
    const char *limit = NULL;
    bool passes = false;
    int rc = image != NULL ? bind_rows(filter, image) : SQLITE_OK;

    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text64(statement, first, payload, length, SQLITE_STATIC, SQLITE_UTF8);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, first + 1, event, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        fence_up(&fence, filter->db, most_length(filter, image, length));
        passes = sqlite3_step(statement) == SQLITE_ROW;
        rc = sqlite3_reset(statement);
        limit = fence_down(&fence);
        filter->cost = fence_taken(&fence);
    }
    (void)sqlite3_clear_bindings(statement);
    if (rc == SQLITE_OK) {
        return passes ? FILTER_PASSES : FILTER_STOPS;
    }
    (void)sqlite3_snprintf(size, why, "%s%s", limit != NULL ? "it took " : "",
                           limit != NULL                           ? limit
                           : image != NULL && image->error != NULL ? image->error
                                                                   : sqlite3_errmsg(filter->db));
    return rc == SQLITE_SCHEMA ? FILTER_STALE : FILTER_FAILS;
}
