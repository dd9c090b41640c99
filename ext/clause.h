/*
** clause.h: the two pieces of SQL text that people hand to resthook_watch(): the operation ("update
** of a, b") and expressions. Pure, reads NUL-terminated text as SQLite's own tokenizer does.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_CLAUSE_H
#define RESTHOOK_CLAUSE_H

#include <stdbool.h>

#include "render.h"

enum operation { OPERATION_INSERT, OPERATION_UPDATE, OPERATION_DELETE };

/* "insert", "update", "delete", as stored and shown. */
const char *clause_operation_name(enum operation operation);

/*
** Reads "insert", "update", "delete" or "update of NAME, NAME …", in any case. *names is where the
** list of names begins, NULL when there is none. Returns NULL, or what is wrong, a constant text.
*/
const char *clause_operation(const char *text, enum operation *operation, const char **names);

/*
** Takes the next name from the list at *names into *name (cleared first): a bare word, or quoted in
** one of SQLite's four ways. *names moves on, and is NULL after the last name. Returns NULL, or
** what is wrong.
*/
const char *clause_next_name(const char **names, struct buffer *name);

/*
** From a token, which is not the end, to behind it: spaces, a comment, a word or number, something
** in quotes, or one other character. *blank: it is space or a comment. NULL: it is not closed, and
** *wrong says what, a constant text.
*/
const char *clause_token(const char *text, bool *blank, const char **wrong);
/* The name that a token is, without its quotes, into *name (cleared first). */
void clause_unquote(const char *text, const char *end, struct buffer *name);

/* Does a token of the expression spell this name, in any case, with or without quotes? */
bool clause_names(const char *expression, const char *name);
/* May it read columns that it does not spell: SELECT *, t.*? */
bool clause_takes_all(const char *expression);

/*
** Is this text, set between "(\n" and "\n)", sure to stay between them? Quotes, brackets and
** comments must be closed and a semicolon or a parameter must not stand outside them. Whether it is
** an expression is for SQLite to say. Returns NULL, or what is wrong, a constant text.
*/
const char *clause_expression(const char *text);

#endif
