/*
** expand.h: an outbox row becomes an event: its name, its ordering key, its payload.
**
** An expander is one version of a watch made ready on one connection: the captured values are bound
** as the one-row tables NEW and OLD, and the user's expressions run over them. They were compiled
** before that on a private copy of the schema, under an authorizer that refuses resthook_*,
** sqlite_*, writes, PRAGMA, ATTACH and functions with side effects; when the schema changes that is
** done again. An expander must be used and freed on its connection.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_EXPAND_H
#define RESTHOOK_EXPAND_H

#include <stdbool.h>
#include <stdint.h>

#include "definition.h"
#include "render.h"
#include "sqlite.h"

struct expander;

enum expanded {
    EXPANDED,     /* *event is filled */
    FILTERED,     /* the watch's `when` was not true */
    UNEXPANDABLE, /* an expression failed: *error says why; the same row may succeed later */
};

/* What came out; the pointers are the expander's, good until it runs again or is freed. */
struct expansion {
    struct buffer payload; /* JSON: the bare payload */
    struct buffer change;  /* JSON: {"type","table", …}, only if asked for */
    struct buffer key;     /* text of the ordering key: a number's digits, base64 of a BLOB */
    bool has_key;
    /* The row was larger than capture_max: payload is its primary key and a mark,
    ** {"id":7,"truncated":true}. No expression ran but `when`, if what it reads was captured;
    ** otherwise it counts as true. There is no key. */
    bool truncated;
};

/*
** Makes version `watch` ready. *out is NULL and *error set (sqlite3_free it) when it can not be: no
** such version (SQLITE_NOTFOUND), or an expression that no longer compiles. Returns SQLITE_OK, or
** the code. While an expander runs it uses the connection's progress handler, and leaves none
** behind.
*/
int expander_open(sqlite3 *db, int64_t watch, struct expander **out, char **error);
/* The same on somebody else's connection: takes none of its hook slots, so there is no step limit
** but its own. */
int expander_open_hosted(sqlite3 *db, int64_t watch, struct expander **out, char **error);
/* Could this version be made ready? Says why not (SQLITE_ERROR and *error). copy: the schema, from
** blueprint_open. */
int expander_check(sqlite3 *db, sqlite3 *copy, const struct definition_row *row, char **error);
void expander_free(struct expander *expander);
bool expander_is_conditional(const struct expander *expander); /* has it a `when`? */

/*
** Expands the values v0, v1, … that stand in the columns of `row` from `first` on (a row of SELECT
** … FROM resthook_outbox, stepped to; the mark of a truncated row is read behind them).
** with_change: also render `change`. On UNEXPANDABLE *error is the expander's text, good until it
** runs again.
*/
enum expanded expander_run(struct expander *expander, sqlite3_stmt *row, int first,
                           bool with_change, struct expansion *event, const char **error);

/* Name of the event, of the table ('' is never returned), and how many values a row has. */
const char *expander_event(const struct expander *expander);
const char *expander_table(const struct expander *expander);
int expander_width(const struct expander *expander);

struct image;
/* What it knows of its rows, and the row that expander_run was given last: filter.c's. */
const struct image *expander_image(const struct expander *expander);
struct image *expander_shown(struct expander *expander);

#endif
