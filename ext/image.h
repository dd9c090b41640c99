/*
** image.h: a captured row: its values, the generated columns that were not captured, and its JSON.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_IMAGE_H
#define RESTHOOK_IMAGE_H

#include <stdbool.h>

#include "cell.h"
#include "definition.h"

struct generated;

/* Filled by image_open; what is behind it is the image's. */
struct image {
    const struct definition *definition;
    struct generated *generated[2]; /* of NEW and OLD, each holds one row; NULL: they can't be
                                       computed, or are none */
    int *members;                   /* the table's columns in its order: see image.c */
    int member_count;
    sqlite3_stmt *row; /* the row of the outbox it shows now */
    int first;         /* its column with v0 */
    bool computed[2];
    sqlite3_stmt *virtuals[2];
    const char *error; /* why a generated column could not be computed; NULL: none failed */
};

/* Makes an image of rows of that definition, which must outlive it. Returns SQLITE_OK, or the code
** and *error. */
int image_open(struct image *image, sqlite3 *db, const struct definition *definition, char **error);
void image_close(struct image *image);

/* Shows another row; first is the column of v0. NULL: none. */
void image_show(struct image *image, sqlite3_stmt *row, int first);
/* Is it the mark of a row that was too large? */
bool image_is_truncated(const struct image *image);
/* Has the mark all values beside it that it may have? */
bool image_has_kept(const struct image *image);
/* Value i of the definition. */
struct cell image_value(const struct image *image, int i);
/* Bytes of the largest captured value. */
size_t image_largest(const struct image *image);
/* Virtual column i of the definition, of NEW or OLD. image->error is set when it fails. */
struct cell image_virtual(struct image *image, bool old, int i);
/* Has it the virtual columns? */
bool image_has_virtual(const struct image *image);

/* Appends the row as an object, every column: that of OLD if only OLD was captured. A truncated
** row: its key and the mark. */
void image_render(struct image *image, struct buffer *out);
/* Appends {"type","table","schema","record","old_record"}, and "changed" if both rows are there: the
** names of the columns that differ. */
void image_render_change(struct image *image, struct buffer *out);

#endif
