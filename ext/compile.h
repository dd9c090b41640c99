/*
** compile.h: the expressions of a watch as one SQL statement over the one-row tables NEW and OLD.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_COMPILE_H
#define RESTHOOK_COMPILE_H

#include <stdbool.h>

#include "definition.h"
#include "sqlite.h"

/* A statement ready to run, and where its parts are. Without any expression there is no statement.
 */
struct compiled {
    sqlite3_stmt *statement; /* parameter i + 1 is captured value i; see compiled_virtual */
    int key;                 /* its column that has the ordering key, -1: none */
    int fields;              /* its first field */
    bool
        reads_virtual; /* NEW and OLD have the VIRTUAL generated columns: an expression reads one */
};

/* The parameter of virtual column i of NEW or OLD. */
int compiled_virtual(const struct definition *definition, bool old, int i);

/*
** Compiles the definition's expressions: each alone and all together on copy (a blueprint), then on
** db. with_virtual: NEW and OLD may have the virtual columns; they have them if the expressions do
** not compile without. The statement is made by the legacy sqlite3_prepare on purpose: after a
** change of the schema it fails with SQLITE_SCHEMA, rather than compiling itself again unchecked.
** Returns SQLITE_OK, or the code and *error, which names the expression.
*/
int compile_definition(sqlite3 *db, sqlite3 *copy, const struct definition *definition,
                       bool with_virtual, struct compiled *compiled, char **error);
void compiled_free(struct compiled *compiled);

/* ---- what filter.c makes its statement of, by the same rules ---- */

void compile_expression(const char *expression, struct buffer *out); /* in parentheses */
/* Prepares sql, which must be one whole statement, and frees it. *error gets SQLite's text, with
** SQLITE_ERROR; NULL with any other code. */
int compile_statement(sqlite3 *db, struct buffer *sql, sqlite3_stmt **statement, char **error);

#endif
