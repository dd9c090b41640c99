/*
** definition.h: one version of a watch, as resthook_watch has it, read into memory.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_DEFINITION_H
#define RESTHOOK_DEFINITION_H

#include <stdbool.h>
#include <stdint.h>

#include "clause.h"
#include "sqlite.h"
#include "template.h"

/* The columns of a row of resthook_watch (schema.sql says what they mean), as texts. */
struct definition_row {
    int64_t id;
    const char *table;
    const char *operation;
    const char *event;
    const char *options;
    const char *captured;
    const char *virtuals;  /* NULL: none */
    const char *table_sql; /* NULL: none */
    const char *primary_key;
};

struct definition_value {
    bool old;
    bool rowid;   /* not a column of the table */
    bool kept;    /* captured of a row too large to capture too, if it is small */
    bool gone;    /* a migration dropped the column: see definition_find_gone */
    char *column; /* name, that of the rowid too */
};

struct definition_key {
    char *name;
    int value; /* which of the values */
};

struct definition {
    int64_t id;
    enum operation operation;
    char *table;
    char *event;
    int width;
    struct definition_value *values;
    bool has_new;
    bool has_old;
    bool hides_gone; /* expressions see the columns that are not gone */
    int virtual_count;
    char **virtuals;
    char *table_sql;
    int key_count;
    struct definition_key *keys;
    struct template template; /* of `fields`; no field: the default payload */
    char **fields;            /* template.fields expressions */
    char **paths;             /* the fields as they were given: path[:type][?] */
    char *when;               /* NULL: always */
    char *key;                /* NULL: none */
};

/*
** Reads a row's texts; db is any connection, for its JSON functions. On error *error says what is
** wrong, naming the value (sqlite3_free it), and the definition is empty. Returns SQLITE_OK, or the
** code.
*/
int definition_read(sqlite3 *db, const struct definition_row *row, struct definition *definition,
                    char **error);
/* The same, for version id in db. */
int definition_load(sqlite3 *db, int64_t id, struct definition *definition, char **error);
/*
** What version id captured, with the options of the watch as it is now: for rows whose own options
** no longer compile. SQLITE_NOTFOUND: it is the current version, or its watch has ended.
*/
int definition_load_mended(sqlite3 *db, int64_t id, struct definition *definition, char **error);
/*
** Finds the columns that were dropped while the version's trigger stood: it captured NULL for them
** since. *any: there is one; *other: the watch was made again with other options meanwhile, so that
** a column may only be called otherwise. Returns SQLITE_OK, or the code.
*/
int definition_find_gone(sqlite3 *db, struct definition *definition, bool *any, bool *other);
/* Is there anything to compile? Without any the row itself is the payload. */
bool definition_has_expressions(const struct definition *definition);
void definition_free(struct definition *definition);

#endif
