/*
** truncated.c: a row too large to capture left its key, a mark, and those of its values that are
** small. `when` is asked alone, of a definition that has no other expression: the rest may need
** what is not there.
** SPDX-License-Identifier: MIT
*/
#include "truncated.h"

struct truncated {
    struct definition definition; /* all that it points to is the whole one's */
    struct evaluation evaluation;
};

static bool is_key(const struct definition *d, int value) {
    bool key = false;

    for (int i = 0; i < d->key_count; i++) {
        key = key || d->keys[i].value == value;
    }
    return key;
}

/* Is there all that `when` reads in a row too large to capture? A key that is NULL may be one that
** was itself too large. */
static bool can_ask(const struct evaluation *whole) {
    const struct definition *d = whole->definition;
    bool all = d->when != NULL && image_has_kept(&whole->image) && !clause_takes_all(d->when);

    for (int i = 0; i < d->width && all; i++) {
        if (!d->values[i].kept && clause_names(d->when, d->values[i].column)) {
            struct cell cell = image_value(&whole->image, i);
            all = cell.statement != NULL && is_key(d, i) &&
                  sqlite3_column_type(cell.statement, cell.column) != SQLITE_NULL;
        }
    }
    for (int i = 0; i < d->virtual_count && all; i++) {
        all = !clause_names(d->when, d->virtuals[i]);
    }
    return all;
}

static struct truncated *make(struct evaluation *whole) {
    struct truncated *truncated = sqlite3_malloc64(sizeof *truncated);
    char *error = NULL;
    int rc;

    if (truncated == NULL) {
        evaluation_fail(whole, "out of memory");
        return NULL;
    }
    truncated->definition = *whole->definition;
    truncated->definition.key = NULL;
    truncated->definition.template.fields = 0;
    truncated->definition.virtual_count = 0;
    rc = evaluation_open(&truncated->evaluation, whole->db, whole->hosted, &truncated->definition,
                         &error);
    sqlite3_free(error);
    if (rc != SQLITE_OK) {
        evaluation_fail(whole, sqlite3_errstr(rc));
        truncated_free(truncated);
        return NULL;
    }
    return truncated;
}

bool truncated_wanted(struct truncated **truncated, struct evaluation *whole) {
    struct evaluation *when;
    bool wanted;

    if (!can_ask(whole)) {
        return true;
    }
    if (*truncated == NULL) {
        *truncated = make(whole);
    }
    if (*truncated == NULL) {
        return false;
    }
    when = &(*truncated)->evaluation;
    evaluation_begin(when, whole->image.row, whole->image.first);
    wanted = evaluation_run(when);
    evaluation_end(when);
    if (when->failed) {
        evaluation_fail(whole, when->error);
    }
    return wanted;
}

void truncated_free(struct truncated *truncated) {
    if (truncated != NULL) {
        evaluation_close(&truncated->evaluation);
        sqlite3_free(truncated);
    }
}
