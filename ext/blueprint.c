/*
** blueprint.c: the schema of a database, copied without its rows into a private connection in
** memory.
**
** The expressions of a watch must be checked under an authorizer, and a connection has room for
** one: the host's own stands there. A second connection to the same file would not see a table made
** in the caller's own transaction, and a database in memory has no file. So the check happens here,
** on tables that have the same names and columns and nothing else: no type, constraint, collation
** or default that could need a function or a collation only the host has, and none of the
** original's text is run. Views are their own text: they say what a name in an expression reaches.
** Virtual tables are made by their modules, as far as this library has them.
**
** What can not be copied is missing here, and an expression that names it is refused.
** SPDX-License-Identifier: MIT
*/
#include "blueprint.h"

#include <string.h>

#include "fence.h"
#include "linear.h"
#include "sql.h"
#include "trigger.h"

/* Runs one statement; that it fails does not matter. Only running out of memory does. */
static int try_statement(sqlite3 *copy, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(copy, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        (void)sqlite3_step(statement);
    }
    rc = rc == SQLITE_NOMEM ? rc : SQLITE_OK;
    if (sqlite3_finalize(statement) == SQLITE_NOMEM) {
        rc = SQLITE_NOMEM;
    }
    return rc;
}

/*
** Does a virtual table show another table's content (FTS, content=)? What its module reads when it
** runs no authorizer sees, and it could be our secrets. FTS5 takes every beginning of the word for
** it, `c=` too. What SQLite and the modules skip around it are white space of several kinds, a byte
** order mark, comments, quotes: so nothing is looked at but letters and what stands between
** arguments, and a text with a comment is taken for one that does.
*/
static bool shows_another(const char *sql) {
    static const char word[] = "content";
    size_t matched = sizeof word; /* letters of the word since an argument began; more: none */

    if (strstr(sql, "/*") != NULL || strstr(sql, "--") != NULL) {
        return true;
    }
    for (; *sql != '\0'; sql++) {
        char c = *sql >= 'A' && *sql <= 'Z' ? (char)(*sql + ('a' - 'A')) : *sql;

        if (c == ',' || c == '(') {
            matched = 0;
        } else if (c == '=' && matched >= 1 && matched < sizeof word) {
            return true;
        } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '=') {
            matched = matched < sizeof word - 1 && c == word[matched] ? matched + 1 : sizeof word;
        }
    }
    return false;
}

/* Virtual tables and views, by their text. */
static int copy_texts(sqlite3 *db, sqlite3 *copy, const char *query, bool virtual) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, query, -1, &statement, NULL);

    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(statement, 0);

        if (sql == NULL) {
            rc = SQLITE_NOMEM;
        } else if (!virtual || !shows_another(sql)) {
            rc = try_statement(copy, sql);
        }
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_finalize(statement);
    } else {
        (void)sqlite3_finalize(statement);
    }
    return rc;
}

/* Ends the CREATE TABLE that was being written, if any. */
static int end_table(sqlite3 *copy, struct buffer *sql) {
    int rc = SQLITE_OK;

    if (sql->length > 0) {
        buffer_text(sql, ")");
        rc = sql->failed ? SQLITE_NOMEM : try_statement(copy, sql->data);
        buffer_clear(sql);
    }
    return rc;
}

/* Tables, as names and columns. */
static int copy_tables(sqlite3 *db, sqlite3 *copy) {
    struct buffer sql = {0};
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql_blueprint_columns, -1, &statement, NULL);

    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(statement, 0);
        const char *column = (const char *)sqlite3_column_text(statement, 1);

        if (table == NULL || column == NULL) {
            rc = SQLITE_NOMEM;
        } else if (sqlite3_column_int(statement, 2) == 0) { /* the table's first column */
            rc = end_table(copy, &sql);
            buffer_text(&sql, "CREATE TABLE IF NOT EXISTS main.");
            trigger_name(&sql, table);
            buffer_text(&sql, "(");
            trigger_name(&sql, column);
        } else {
            buffer_text(&sql, ",");
            trigger_name(&sql, column);
        }
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_finalize(statement);
    } else {
        (void)sqlite3_finalize(statement);
    }
    if (rc == SQLITE_OK) {
        rc = end_table(copy, &sql);
    }
    buffer_free(&sql);
    return rc;
}

int blueprint_open(sqlite3 *db, sqlite3 **copy, char **error) {
    sqlite3 *made = NULL;
    struct fence fence;
    int rc;

    *copy = NULL;
    *error = NULL;
    if (!fence_possible()) {
        *error = sqlite3_mprintf("%s", FENCE_IMPOSSIBLE);
        return *error != NULL ? SQLITE_ERROR : SQLITE_NOMEM;
    }
    rc = sqlite3_open_v2(":memory:", &made, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);
    if (rc == SQLITE_OK) {
        rc = linear_install(made);
    }
    if (rc == SQLITE_OK) {
        (void)sqlite3_db_config(made, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
        fence_up(&fence, made, FENCE_LENGTH);
        rc = copy_texts(db, made, sql_blueprint_virtual, true);
        if (rc == SQLITE_OK) {
            rc = copy_tables(db, made);
        }
        if (rc == SQLITE_OK) {
            rc = copy_texts(db, made, sql_blueprint_views, false);
        }
        if (rc == SQLITE_OK) {
            /* A table-valued function declares its columns at its first use, which the authorizer
            ** would not let it. */
            rc = try_statement(made, "SELECT 1 FROM json_each('1'), json_tree('1')");
        }
        (void)fence_down(&fence);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_set_authorizer(made, fence_reader, NULL);
    }
    if (rc != SQLITE_OK) {
        (void)sqlite3_close(made);
        return rc;
    }
    *copy = made;
    return SQLITE_OK;
}
