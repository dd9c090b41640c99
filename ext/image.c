/*
** image.c: shows a row of the outbox as the row of the table that it was.
**
** VIRTUAL generated columns were not captured: they are computed when one is first asked for, and
** only then, since they may fail. What fails is remembered in image->error and rendered as null;
** the caller looks there before it uses anything.
** SPDX-License-Identifier: MIT
*/
#include "image.h"

#include <string.h>

#include "generated.h"

/* A member is the index of a column's name: of a captured value, or (from the width on) of a
** virtual column. */

/* The captured value of a column; -1: there is none. */
static int find_value(const struct definition *d, bool old, const char *name) {
    for (int i = 0; i < d->width; i++) {
        if (d->values[i].old == old && !d->values[i].rowid &&
            strcmp(d->values[i].column, name) == 0) {
            return i;
        }
    }
    return -1;
}

static int find_virtual(const struct definition *d, const char *name) {
    for (int i = 0; i < d->virtual_count; i++) {
        if (strcmp(d->virtuals[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static void add_member(struct image *image, int member) {
    const struct definition *d = image->definition;

    if (member >= 0 && image->member_count < d->width + d->virtual_count) {
        image->members[image->member_count++] = member;
    }
}

/* The captured columns in their order, with the virtual ones where the table has them. */
static int list_members(struct image *image) {
    const struct definition *d = image->definition;
    const struct generated *generated = image->generated[d->has_new ? 0 : 1];
    const char *name;

    image->members = sqlite3_malloc64(
        ((sqlite3_uint64)d->width + (sqlite3_uint64)d->virtual_count) * sizeof(int));
    if (image->members == NULL) {
        return SQLITE_NOMEM;
    }
    for (int i = 0; generated == NULL && i < d->width; i++) {
        add_member(image, d->values[i].old != d->has_new && !d->values[i].rowid ? i : -1);
    }
    for (int i = 0; generated != NULL && (name = generated_column(generated, i)) != NULL; i++) {
        int at = find_virtual(d, name);
        add_member(image, at >= 0 ? d->width + at : find_value(d, !d->has_new, name));
    }
    return SQLITE_OK;
}

int image_open(struct image *image, sqlite3 *db, const struct definition *d, char **error) {
    char *message = NULL;
    int rc = SQLITE_OK;

    memset(image, 0, sizeof *image);
    image->definition = d;
    for (int side = 0; side < 2 && d->virtual_count > 0 && rc == SQLITE_OK; side++) {
        if (side == 0 ? d->has_new : d->has_old) {
            rc = generated_open(db, d->table, d->table_sql, d->virtuals, d->virtual_count,
                                &image->generated[side], &message);
        }
    }
    if (rc != SQLITE_OK && rc != SQLITE_NOMEM) {
        /* Then they are no part of NEW and OLD. Only the default payload can't do without them. */
        rc = SQLITE_OK;
        if (d->template.fields == 0) {
            rc = SQLITE_ERROR;
            *error = sqlite3_mprintf(
                "the VIRTUAL generated columns of %s can't be computed (`fields` can leave them "
                "out): %s",
                d->table, message);
        }
    }
    sqlite3_free(message);
    if (rc == SQLITE_OK) {
        rc = list_members(image);
    }
    if (rc != SQLITE_OK) {
        image_close(image);
    }
    return rc;
}

void image_close(struct image *image) {
    generated_free(image->generated[0]);
    generated_free(image->generated[1]);
    sqlite3_free(image->members);
    memset(image, 0, sizeof *image);
}

void image_show(struct image *image, sqlite3_stmt *row, int first) {
    image->row = row;
    image->first = first;
    image->computed[0] = image->computed[1] = false;
    image->virtuals[0] = image->virtuals[1] = NULL;
    image->error = NULL;
}

struct cell image_value(const struct image *image, int i) {
    struct cell cell = {NULL, image->first + i};

    if (cell.column < sqlite3_column_count(image->row)) {
        cell.statement = image->row;
    }
    return cell;
}

size_t image_largest(const struct image *image) {
    size_t largest = 0;

    for (int i = 0; i < image->definition->width; i++) {
        size_t bytes = cell_bytes(image_value(image, i));

        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

bool image_is_truncated(const struct image *image) {
    struct cell mark = image_value(image, image->definition->width);

    return mark.statement != NULL &&
           sqlite3_column_type(mark.statement, mark.column) != SQLITE_NULL;
}

bool image_has_kept(const struct image *image) {
    struct cell mark = image_value(image, image->definition->width);

    return mark.statement != NULL && sqlite3_column_int(mark.statement, mark.column) == 1;
}

bool image_has_virtual(const struct image *image) {
    return image->generated[image->definition->has_new ? 0 : 1] != NULL;
}

struct cell image_virtual(struct image *image, bool old, int i) {
    const struct definition *d = image->definition;
    struct generated *generated = image->generated[old];

    if (!image->computed[old] && generated != NULL) {
        image->computed[old] = true;
        generated_begin(generated);
        for (int v = 0; v < d->width; v++) {
            struct cell value = image_value(image, v);
            if (d->values[v].old == old && !d->values[v].rowid && value.statement != NULL) {
                generated_set(generated, d->values[v].column, value.statement, value.column);
            }
        }
        image->virtuals[old] = generated_compute(generated);
        if (image->virtuals[old] == NULL) {
            image->error = generated_error(generated);
        }
    }
    return (struct cell){image->virtuals[old], i};
}

static const char *member_name(const struct image *image, int member) {
    const struct definition *d = image->definition;

    return member < d->width ? d->values[member].column : d->virtuals[member - d->width];
}

/* A member's value in NEW or OLD. */
static struct cell member_cell(struct image *image, bool old, int member) {
    const struct definition *d = image->definition;
    int other;

    if (member >= d->width) {
        return image_virtual(image, old, member - d->width);
    }
    if (d->values[member].old == old) {
        return image_value(image, member);
    }
    other = find_value(d, old, d->values[member].column);
    return other >= 0 ? image_value(image, other) : (struct cell){NULL, 0};
}

/* One row of the table, every column. */
static void render_row(struct image *image, bool old, struct buffer *out) {
    buffer_text(out, "{");
    for (int i = 0; i < image->member_count; i++) {
        const char *name = member_name(image, image->members[i]);

        buffer_text(out, i > 0 ? "," : "");
        render_text(out, name, strlen(name));
        buffer_text(out, ":");
        (void)cell_render(member_cell(image, old, image->members[i]), TEMPLATE_PLAIN, out);
    }
    buffer_text(out, "}");
}

/* The names of the columns that differ, an array. */
static void render_changed(struct image *image, struct buffer *out) {
    const char *separator = "[";

    for (int i = 0; i < image->member_count; i++) {
        int member = image->members[i];

        if (!cell_same(member_cell(image, false, member), member_cell(image, true, member))) {
            const char *name = member_name(image, member);

            buffer_text(out, separator);
            render_text(out, name, strlen(name));
            separator = ",";
        }
    }
    buffer_text(out, *separator == '[' ? "[]" : "]");
}

static bool is_key(const struct definition *d, const char *name) {
    for (int i = 0; i < d->key_count; i++) {
        if (strcmp(d->keys[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What stands for a row too large to capture. A column of the key may be called as the mark is:
** then the mark has as many '_' before its name as it takes to be another one. */
static void render_mark(const struct image *image, struct buffer *out) {
    const struct definition *d = image->definition;
    struct buffer mark = {0};

    buffer_text(out, "{");
    for (int i = 0; i < d->key_count; i++) {
        render_text(out, d->keys[i].name, strlen(d->keys[i].name));
        buffer_text(out, ":");
        (void)cell_render(image_value(image, d->keys[i].value), TEMPLATE_PLAIN, out);
        buffer_text(out, ",");
    }
    buffer_text(&mark, "truncated");
    for (int i = 0; !mark.failed && i < d->key_count && is_key(d, mark.data); i++) {
        buffer_clear(&mark);
        for (int j = 0; j <= i; j++) {
            buffer_text(&mark, "_");
        }
        buffer_text(&mark, "truncated");
    }
    render_text(out, mark.failed ? "" : mark.data, mark.length);
    out->failed = out->failed || mark.failed;
    buffer_text(out, ":true}");
    buffer_free(&mark);
}

void image_render(struct image *image, struct buffer *out) {
    if (image_is_truncated(image)) {
        render_mark(image, out);
    } else {
        render_row(image, !image->definition->has_new, out);
    }
}

void image_render_change(struct image *image, struct buffer *out) {
    static const char *const types[] = {"INSERT", "UPDATE", "DELETE"};
    const struct definition *d = image->definition;
    bool both =
        d->has_new && d->has_old && !image_is_truncated(image); /* a mark has NEW's key alone */

    buffer_text(out, "{\"type\":\"");
    buffer_text(out, types[d->operation]);
    buffer_text(out, "\",\"table\":");
    render_text(out, d->table, strlen(d->table));
    buffer_text(out, ",\"schema\":\"main\"");
    for (int old = 0; old < 2; old++) {
        buffer_text(out, old ? ",\"old_record\":" : ",\"record\":");
        if (old == !d->has_new) {
            image_render(image, out);
        } else if (old && both) {
            render_row(image, true, out);
        } else {
            render_null(out);
        }
    }
    if (both) {
        buffer_text(out, ",\"changed\":");
        render_changed(image, out);
    }
    buffer_text(out, "}");
}
