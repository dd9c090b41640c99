/*
** generated.c: computes VIRTUAL generated columns where their failing hurts nobody.
**
** A trigger that read such a column would make the writer's statement fail with it ("malformed
** JSON"). So triggers capture what is stored, and here the table is made again, in a private
** connection in memory, from its own CREATE TABLE text; the captured values are inserted, with the
** affinities the columns have, and SQLite computes the rest as it would have. One row at a time,
** all such columns of it: INSERT computes them all.
**
** The text comes from the file: it is one statement, under an authorizer of its own (a CREATE
** TABLE, nothing else) and the step limit. A table whose text needs a function or a collation that
** only the application has can't be made. A column that was dropped since is captured as NULL;
** where the text says NOT NULL a harmless value stands in for it: SQLite drops no column that a
** generated one needs.
** SPDX-License-Identifier: MIT
*/
#include "generated.h"

#include <stdlib.h>
#include <string.h>

#include "cell.h"
#include "fence.h"
#include "linear.h"
#include "trigger.h"

struct column {
    char *name;
    bool not_null;
    bool blob;     /* declared BLOB: a STRICT table takes nothing else there */
    int parameter; /* of the INSERT; 0: generated */
};

struct generated {
    sqlite3 *db;
    char *table;
    struct column *columns;
    int count;
    sqlite3_stmt *insert;
    sqlite3_stmt *clear;
    sqlite3_stmt *select;
    int rc;         /* of setting the row's values … */
    size_t largest; /* … of which this is the largest, in bytes */
    char error[256];
};

/* A table of plain tables: what CREATE TABLE, INSERT, DELETE and SELECT of it need. */
static int authorize(void *context, int action, const char *first, const char *second,
                     const char *database, const char *inner) {
    switch (action) {
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_INDEX: /* of a key */
    case SQLITE_REINDEX:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
    case SQLITE_READ:
        return SQLITE_OK;
    case SQLITE_PRAGMA:
        return sqlite3_stricmp(first, "table_xinfo") == 0 ? SQLITE_OK : SQLITE_DENY;
    default:
        return fence_reader(context, action, first, second, database, inner);
    }
}

static int prepare(struct generated *generated, struct buffer *sql, sqlite3_stmt **statement) {
    int rc = sql->failed ? SQLITE_NOMEM
                         : sqlite3_prepare_v2(generated->db, sql->data, -1, statement, NULL);

    buffer_free(sql);
    return rc;
}

static int step_once(struct generated *generated, const char *text) {
    struct buffer sql = {0};
    sqlite3_stmt *statement = NULL;
    int rc;

    buffer_text(&sql, text);
    rc = prepare(generated, &sql, &statement);
    if (rc == SQLITE_OK) {
        (void)sqlite3_step(statement);
        rc = sqlite3_finalize(statement);
    }
    return rc;
}

/* Reads the columns of the table that was just made. */
static int read_columns(struct generated *generated) {
    sqlite3_stmt *statement = NULL;
    int parameter = 0;
    int rc = sqlite3_prepare_v2(
        generated->db,
        "SELECT name, hidden, \"notnull\", type FROM pragma_table_xinfo(?1) ORDER BY cid", -1,
        &statement, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, generated->table, -1, SQLITE_STATIC);
    }
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(statement, 3);
        int hidden = sqlite3_column_int(statement, 1);
        struct column *columns = sqlite3_realloc64(
            generated->columns, ((sqlite3_uint64)generated->count + 1) * sizeof *columns);

        if (columns == NULL) {
            rc = SQLITE_NOMEM;
            break;
        }
        generated->columns = columns;
        columns[generated->count] = (struct column){
            .name = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0)),
            .not_null = sqlite3_column_int(statement, 2) != 0,
            .blob = type != NULL && sqlite3_stricmp(type, "BLOB") == 0,
            .parameter = hidden == 0 ? ++parameter : 0,
        };
        rc = columns[generated->count++].name != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_finalize(statement);
    } else {
        (void)sqlite3_finalize(statement);
    }
    return rc;
}

static int prepare_row(struct generated *generated, char *const *virtuals, int count) {
    struct buffer sql = {0};
    int rc;

    buffer_text(&sql, "INSERT INTO ");
    trigger_name(&sql, generated->table);
    for (int i = 0; i < generated->count; i++) {
        if (generated->columns[i].parameter > 0) {
            buffer_text(&sql, generated->columns[i].parameter > 1 ? "," : "(");
            trigger_name(&sql, generated->columns[i].name);
        }
    }
    for (int i = 0; i < generated->count; i++) {
        if (generated->columns[i].parameter > 0) {
            buffer_text(&sql, generated->columns[i].parameter > 1 ? ",?" : ")VALUES(?");
        }
    }
    buffer_text(&sql, ")");
    rc = prepare(generated, &sql, &generated->insert);
    if (rc == SQLITE_OK) {
        buffer_text(&sql, "DELETE FROM ");
        trigger_name(&sql, generated->table);
        rc = prepare(generated, &sql, &generated->clear);
    }
    if (rc == SQLITE_OK) {
        for (int i = 0; i < count; i++) {
            buffer_text(&sql, i > 0 ? "," : "SELECT ");
            trigger_name(&sql, virtuals[i]);
        }
        buffer_text(&sql, " FROM ");
        trigger_name(&sql, generated->table);
        rc = prepare(generated, &sql, &generated->select);
    }
    return rc;
}

/* An expression may see how text is kept: hex(a), CAST(a AS BLOB). It can be said as long as there
** is no table. */
static int take_encoding(sqlite3 *db, sqlite3 *like, char **error) {
    static const char *const known[][2] = {{"UTF-16le", "PRAGMA encoding = 'UTF-16le'"},
                                           {"UTF-16be", "PRAGMA encoding = 'UTF-16be'"}};
    sqlite3_stmt *statement = NULL;
    const char *encoding = NULL;
    const char *set = "";
    int rc = sqlite3_prepare_v2(like, "PRAGMA main.encoding", -1, &statement, NULL);
    int ended;

    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        encoding = (const char *)sqlite3_column_text(statement, 0);
    }
    for (size_t i = 0; encoding != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(encoding, known[i][0]) == 0) {
            set = known[i][1];
        }
    }
    ended = sqlite3_finalize(statement);
    rc = rc == SQLITE_OK ? ended : rc;
    if (rc != SQLITE_OK) {
        *error = sqlite3_mprintf("%s", sqlite3_errmsg(like));
    }
    return rc == SQLITE_OK ? sqlite3_exec(db, set, NULL, NULL, NULL) : rc;
}

/* The connection on which the copy of the table is, with what the table's expressions may use. */
static int open_apart(struct generated *generated, sqlite3 *like, const char *table, char **error) {
    int rc = sqlite3_open_v2(":memory:", &generated->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY,
                             NULL);

    if (rc == SQLITE_OK) {
        rc = linear_install(generated->db);
    }
    if (rc == SQLITE_OK) {
        rc = take_encoding(generated->db, like, error);
    }
    if (rc == SQLITE_OK) {
        /* The authorizer says which functions; 3.38 to 3.40 think json_extract() unsafe in an
        ** untrusted schema. */
        (void)sqlite3_db_config(generated->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, NULL);
        rc = sqlite3_exec(generated->db,
                          "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON", NULL,
                          NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        generated->table = sqlite3_mprintf("%s", table);
        rc = generated->table != NULL ? sqlite3_set_authorizer(generated->db, authorize, NULL)
                                      : SQLITE_NOMEM;
    }
    return rc;
}

int generated_open(sqlite3 *like, const char *table, const char *table_sql, char *const *virtuals,
                   int count, struct generated **out, char **error) {
    struct generated *generated = sqlite3_malloc64(sizeof *generated);
    struct fence fence;
    int rc;

    *out = NULL;
    *error = NULL;
    if (generated == NULL) {
        return SQLITE_NOMEM;
    }
    if (!fence_possible()) {
        *error = sqlite3_mprintf("%s", FENCE_IMPOSSIBLE);
        sqlite3_free(generated);
        return *error != NULL ? SQLITE_ERROR : SQLITE_NOMEM;
    }
    memset(generated, 0, sizeof *generated);
    rc = open_apart(generated, like, table, error);
    if (rc == SQLITE_OK) {
        fence_up(&fence, generated->db, FENCE_LENGTH);
        rc = step_once(generated, table_sql);
        (void)fence_down(&fence);
    }
    if (rc == SQLITE_OK) {
        rc = read_columns(generated);
    }
    if (rc == SQLITE_OK) {
        rc = prepare_row(generated, virtuals, count);
    }
    if (rc != SQLITE_OK) {
        if (*error == NULL) {
            *error = sqlite3_mprintf("%s", sqlite3_errmsg(generated->db));
        }
        generated_free(generated);
        return rc;
    }
    *out = generated;
    return SQLITE_OK;
}

void generated_free(struct generated *generated) {
    if (generated == NULL) {
        return;
    }
    for (int i = 0; i < generated->count; i++) {
        sqlite3_free(generated->columns[i].name);
    }
    (void)sqlite3_finalize(generated->insert);
    (void)sqlite3_finalize(generated->clear);
    (void)sqlite3_finalize(generated->select);
    (void)sqlite3_close(generated->db);
    sqlite3_free(generated->columns);
    sqlite3_free(generated->table);
    sqlite3_free(generated);
}

const char *generated_column(const struct generated *generated, int i) {
    return i < generated->count ? generated->columns[i].name : NULL;
}

void generated_begin(struct generated *generated) {
    (void)sqlite3_reset(generated->select);
    (void)sqlite3_step(generated->clear);
    (void)sqlite3_clear_bindings(generated->insert);
    generated->rc = sqlite3_reset(generated->clear);
    generated->largest = 0;
}

void generated_set(struct generated *generated, const char *column, sqlite3_stmt *row, int i) {
    const struct column *to = NULL;

    for (int k = 0; k < generated->count && to == NULL; k++) {
        if (strcmp(generated->columns[k].name, column) == 0) {
            to = &generated->columns[k];
        }
    }
    if (to == NULL || to->parameter == 0 || generated->rc != SQLITE_OK) {
        return;
    }
    if (sqlite3_column_type(row, i) != SQLITE_NULL) {
        size_t bytes = cell_bytes((struct cell){row, i});

        generated->largest = bytes > generated->largest ? bytes : generated->largest;
        generated->rc =
            sqlite3_bind_value(generated->insert, to->parameter, sqlite3_column_value(row, i));
    } else if (to->not_null && to->blob) {
        generated->rc = sqlite3_bind_zeroblob(generated->insert, to->parameter, 0);
    } else if (to->not_null) {
        generated->rc = sqlite3_bind_int(generated->insert, to->parameter, 0);
    }
}

sqlite3_stmt *generated_compute(struct generated *generated) {
    struct fence fence;
    const char *limit;
    int rc = generated->rc;

    fence_up(&fence, generated->db, fence_length(FENCE_ROOM, generated->largest));
    if (rc == SQLITE_OK) {
        (void)sqlite3_step(generated->insert);
        rc = sqlite3_reset(generated->insert);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(generated->select);
    }
    limit = fence_down(&fence);
    if (rc == SQLITE_ROW) {
        return generated->select;
    }
    (void)sqlite3_snprintf((int)sizeof generated->error, generated->error, "generated columns: %s",
                           limit != NULL ? limit : sqlite3_errmsg(generated->db));
    return NULL;
}

const char *generated_error(const struct generated *generated) {
    return generated->error;
}
