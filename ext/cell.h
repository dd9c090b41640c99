/*
** cell.h: a value that stands in a column of a statement, as JSON.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_CELL_H
#define RESTHOOK_CELL_H

#include <stdbool.h>

#include "render.h"
#include "sqlite.h"
#include "template.h"

struct cell {
    sqlite3_stmt *statement; /* on a row; NULL: the value is NULL */
    int column;
};

/* Appends the value as JSON, null too. Returns false if it is NULL. */
bool cell_render(struct cell cell, enum template_type type, struct buffer *out);
/* Appends the value as an ordering key: text as it is, anything else as its JSON without quotes.
** The same return. */
bool cell_render_key(struct cell cell, struct buffer *out);
/* Are they the same, type by type and byte by byte? 1 and 1.0 are not. */
bool cell_same(struct cell a, struct cell b);
/* Bytes of a text or a BLOB; 0: it is neither. */
size_t cell_bytes(struct cell cell);

#endif
