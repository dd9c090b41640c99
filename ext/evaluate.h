/*
** evaluate.h: the expressions of a watch run over one captured row.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_EVALUATE_H
#define RESTHOOK_EVALUATE_H

#include <stdbool.h>

#include "compile.h"
#include "image.h"

/* What runs them, on one connection. Its row is image; what came out of it is compiled's, while the
** statement stands on its row. */
struct evaluation {
    sqlite3 *db;
    bool hosted; /* somebody else's connection: none of its hook slots is taken */
    const struct definition *definition;
    struct image image;
    struct compiled compiled;
    bool failed;      /* the run under way: error says why */
    char error[1000]; /* the first reason */
};

/* Makes one of a definition that outlives it. Nothing is compiled yet. Returns SQLITE_OK, or the
** code and *error; close it in any case. */
int evaluation_open(struct evaluation *evaluation, sqlite3 *db, bool hosted,
                    const struct definition *definition, char **error);
void evaluation_close(struct evaluation *evaluation);
/* Compiles the expressions, if there are any; a run does it where it was not done. copy: the schema,
** from blueprint_open; NULL: one is made. Returns SQLITE_OK, or the code and *error. */
int evaluation_compile(struct evaluation *evaluation, sqlite3 *copy, char **error);

/* Begins a run over a row whose v0 is in column first. */
void evaluation_begin(struct evaluation *evaluation, sqlite3_stmt *row, int first);
/* Runs the expressions over the row, of which there must be one. Returns true if `when` holds: then
** the statement is on its row. */
bool evaluation_run(struct evaluation *evaluation);
/* The run fails; the first reason stays. */
void evaluation_fail(struct evaluation *evaluation, const char *text);
/* Lets go of the row's values. */
void evaluation_end(struct evaluation *evaluation);

#endif
