/*
** table.c: looks a table up in the main database's schema and refuses what can't have a trigger of
** ours: what is not an ordinary table, what belongs to SQLite or to us, what is in another
** database.
**
** A description owns its texts until table_free.
** SPDX-License-Identifier: MIT
*/
#include "table.h"

#include <string.h>

#include "sql.h"

static int refuse(char **error, const char *name, const char *why) {
    *error = sqlite3_mprintf("table '%s': %s", name, why);
    return *error != NULL ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* Prepares a query about one name. */
static int ask(sqlite3 *db, const char *query, const char *name, sqlite3_stmt **statement) {
    int rc = sqlite3_prepare_v2(db, query, -1, statement, NULL);

    return rc == SQLITE_OK ? sqlite3_bind_text(*statement, 1, name, -1, SQLITE_STATIC) : rc;
}

/* Finalizes a statement; the code of an earlier error stays. */
static int end(sqlite3_stmt *statement, int rc) {
    int ended = sqlite3_finalize(statement);

    return rc == SQLITE_OK ? ended : rc;
}

/* Has the query a row? */
static int has_row(sqlite3 *db, const char *query, const char *name, bool *found) {
    sqlite3_stmt *statement = NULL;
    int rc = ask(db, query, name, &statement);

    if (rc == SQLITE_OK) {
        *found = sqlite3_step(statement) == SQLITE_ROW;
    }
    return end(statement, rc);
}

static char *copy(sqlite3_stmt *statement, int i) {
    const unsigned char *text = sqlite3_column_text(statement, i);

    return text != NULL ? sqlite3_mprintf("%s", text) : NULL;
}

/* Finds the table and refuses what is no ordinary one. */
static int find(sqlite3 *db, const char *name, struct table *table, char **error) {
    sqlite3_stmt *statement = NULL;
    bool shadow = false;
    int rc;

    if (sqlite3_strnicmp(name, "resthook_", 9) == 0 || sqlite3_strnicmp(name, "sqlite_", 7) == 0) {
        return refuse(error, name, "a table of resthook or of SQLite can't be watched");
    }
    rc = ask(db, sql_table_find, name, &statement);
    if (rc != SQLITE_OK) {
        return end(statement, rc);
    }
    rc = sqlite3_step(statement);
    if (rc == SQLITE_DONE) {
        rc = refuse(error, name, "no such table in the main database");
    } else if (rc == SQLITE_ROW &&
               sqlite3_stricmp((const char *)sqlite3_column_text(statement, 1), "view") == 0) {
        rc = refuse(error, name, "a view can't be watched, the tables below it can");
    } else if (rc == SQLITE_ROW && sqlite3_column_int(statement, 2) != 0) {
        rc = refuse(error, name, "a virtual table can't be watched, it has no triggers");
    } else if (rc == SQLITE_ROW) {
        shadow = sqlite3_column_int(statement, 3) != 0;
        table->name = copy(statement, 0);
        table->sql = copy(statement, 4);
        rc = table->name != NULL && table->sql != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    rc = end(statement, rc);
    if (rc == SQLITE_OK && sqlite3_libversion_number() >= 3037000) {
        rc = has_row(db, sql_table_shadow, table->name, &shadow);
    }
    if (rc == SQLITE_OK && shadow) {
        rc = refuse(error, name, "a shadow table can't be watched, it belongs to a virtual table");
    }
    return rc;
}

static int read_columns(sqlite3 *db, struct table *table) {
    sqlite3_stmt *statement = NULL;
    int rc = ask(db, sql_table_columns, table->name, &statement);

    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        struct table_column *columns =
            sqlite3_realloc64(table->columns, ((sqlite3_uint64)table->count + 1) * sizeof *columns);
        int hidden = sqlite3_column_int(statement, 1);

        if (columns == NULL) {
            rc = SQLITE_NOMEM;
            break;
        }
        table->columns = columns;
        columns[table->count] = (struct table_column){
            .name = copy(statement, 0),
            .kind = hidden == 2   ? COLUMN_VIRTUAL
                    : hidden == 3 ? COLUMN_STORED
                                  : COLUMN_PLAIN,
            .key = sqlite3_column_int(statement, 2),
        };
        table->key_count += columns[table->count].key > 0;
        rc = columns[table->count++].name != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    return end(statement, rc);
}

int table_describe(sqlite3 *db, const char *name, struct table *table, char **error) {
    static const char *const rowids[] = {"rowid", "_rowid_", "oid"};
    bool indexed = false;
    int rc;

    memset(table, 0, sizeof *table);
    *error = NULL;
    rc = find(db, name, table, error);
    if (rc == SQLITE_OK) {
        rc = read_columns(db, table);
    }
    if (rc == SQLITE_OK && table->key_count == 1) {
        rc = has_row(db, sql_table_key_index, table->name, &indexed);
        table->key_is_rowid = !indexed;
    }
    for (int i = 2; i >= 0 && table->key_count == 0; i--) {
        if (table_column(table, rowids[i]) == NULL) {
            table->rowid = rowids[i];
        }
    }
    if (rc != SQLITE_OK) {
        table_free(table);
    }
    return rc;
}

void table_free(struct table *table) {
    for (int i = 0; i < table->count; i++) {
        sqlite3_free(table->columns[i].name);
    }
    sqlite3_free(table->columns);
    sqlite3_free(table->name);
    sqlite3_free(table->sql);
    memset(table, 0, sizeof *table);
}

const struct table_column *table_column(const struct table *table, const char *name) {
    for (int i = 0; i < table->count; i++) {
        if (sqlite3_stricmp(table->columns[i].name, name) == 0) {
            return &table->columns[i];
        }
    }
    return NULL;
}
