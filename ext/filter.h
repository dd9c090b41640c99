/*
** filter.h: a subscription's filter: an SQL condition that says which of the matching events it
** receives.
**
** It sees `payload` (the bare body, JSON text), `event` (its name), of a captured event the rows NEW
** and OLD with their columns, and the application's tables; it runs as the expressions of a watch do
** (expand.h). A row that the operation does not have (OLD of an insert, NEW of a delete) is all NULL;
** the old row of an update is there if the watch keeps it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FILTER_H
#define RESTHOOK_FILTER_H

#include <stddef.h>

#include "expand.h"
#include "sqlite.h"

struct filter;

enum judgement {
    FILTER_PASSES,
    FILTER_STOPS, /* 0 or NULL, as WHERE has it */
    FILTER_FAILS, /* it can't be said: why */
    FILTER_STALE, /* the schema has changed: make it ready again */
};

/*
** Could this text be the filter of a subscription to `pattern`? It has to compile with every current
** watch whose event matches, with none if there is none, and must not fail where all tables are
** empty and all columns NULL, which is tried as far as the host's SQLite can count steps. Nothing is
** written. Returns SQLITE_OK, or the code, with *error (sqlite3_free it; may be NULL) saying why not.
*/
int filter_check(sqlite3 *db, const char *pattern, const char *text, char **error);

/*
** Makes a filter ready on a connection of our own, for rows of that expander (NULL: for emitted
** events), which may be freed before it. copy: the schema, from blueprint_open. Returns SQLITE_OK, or
** the code, with *out NULL and *error (sqlite3_free it).
*/
int filter_open(sqlite3 *db, sqlite3 *copy, const char *text, const struct expander *expander,
                struct filter **out, char **error);
void filter_free(struct filter *filter);
size_t filter_size(const struct filter *filter); /* bytes, about */
/* How many thousand steps the last judgement took. */
int filter_cost(const struct filter *filter);

/* Judges the event that `expander` (one of the same version, NULL as above) has just made. why has
** room for `size` bytes. */
enum judgement filter_judge(struct filter *filter, struct expander *expander, const char *event,
                            const char *payload, size_t length, char *why, int size);

#endif
