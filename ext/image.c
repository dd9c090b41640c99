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

int image_open(struct image *image, const struct definition *d, char **error) {
    char *message = NULL;
    int rc = SQLITE_OK;

    memset(image, 0, sizeof *image);
    image->definition = d;
    for (int side = 0; side < 2 && d->virtual_count > 0 && rc == SQLITE_OK; side++) {
        if (side == 0 ? d->has_new : d->has_old) {
            rc = generated_open(d->table, d->table_sql, d->virtuals, d->virtual_count,
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

/* One row of the table, every column. */
static void render_row(struct image *image, bool old, struct buffer *out) {
    const struct definition *d = image->definition;

    buffer_text(out, "{");
    for (int i = 0; i < image->member_count; i++) {
        int member = image->members[i];
        const char *name =
            member < d->width ? d->values[member].column : d->virtuals[member - d->width];
        struct cell cell = {NULL, 0};

        if (member >= d->width) {
            cell = image_virtual(image, old, member - d->width);
        } else if (d->values[member].old == old) {
            cell = image_value(image, member);
        } else {
            int other = find_value(d, old, name);
            cell = other >= 0 ? image_value(image, other) : cell;
        }
        buffer_text(out, i > 0 ? "," : "");
        render_text(out, name, strlen(name));
        buffer_text(out, ":");
        (void)cell_render(cell, TEMPLATE_PLAIN, out);
    }
    buffer_text(out, "}");
}

/* What stands for a row too large to capture. */
static void render_mark(const struct image *image, struct buffer *out) {
    const struct definition *d = image->definition;

    buffer_text(out, "{");
    for (int i = 0; i < d->key_count; i++) {
        render_text(out, d->keys[i].name, strlen(d->keys[i].name));
        buffer_text(out, ":");
        (void)cell_render(image_value(image, d->keys[i].value), TEMPLATE_PLAIN, out);
        buffer_text(out, ",");
    }
    buffer_text(out, "\"truncated\":true}");
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

    buffer_text(out, "{\"type\":\"");
    buffer_text(out, types[d->operation]);
    buffer_text(out, "\",\"table\":");
    render_text(out, d->table, strlen(d->table));
    for (int old = 0; old < 2; old++) {
        buffer_text(out, old ? ",\"old_record\":" : ",\"record\":");
        if (old == !d->has_new) {
            image_render(image, out);
        } else if (old && d->has_old &&
                   !image_is_truncated(image)) { /* a mark has NEW's key alone */
            render_row(image, true, out);
        } else {
            render_null(out);
        }
    }
    buffer_text(out, "}");
}
