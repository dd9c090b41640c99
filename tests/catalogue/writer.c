/*
** writer.c: an application that writes: SQL from standard input, run on one connection with nothing
** loaded and the settings that are asked for. What the application can see is printed: rows with
** their types, errors, and after each statement what changes(), last_insert_rowid() and
** total_changes() say (the last only where asked for: triggers do count there).
**
**   writer DATABASE [trusted_schema=0|1] [defensive=0|1] [recursive_triggers=0|1]
**          [foreign_keys=0|1] [length=N] [load_extension=0|1] [attached=1]
**
** attached=1: DATABASE is attached as "app" beside an empty main database, and the SQL names app.
** Built against any SQLite, the oldest supported one too: see matrix.
** SPDX-License-Identifier: MIT
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sqlite3 *db;

static int setting(const char *option) {
    const char *equals = strchr(option, '=');
    int value = equals != NULL ? (int)strtol(equals + 1, NULL, 10) : 0;
    char sql[100];

    if (equals == NULL) {
        return 0;
    }
    if (strncmp(option, "trusted_schema=", 15) == 0) {
        return sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, value, NULL) == SQLITE_OK;
    }
    if (strncmp(option, "defensive=", 10) == 0) {
        return sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, value, NULL) == SQLITE_OK;
    }
    if (strncmp(option, "length=", 7) == 0) {
        return sqlite3_limit(db, SQLITE_LIMIT_LENGTH, value) >= 0;
    }
    if (strncmp(option, "load_extension=", 15) == 0) { /* the C function and the SQL one */
        return sqlite3_enable_load_extension(db, value) == SQLITE_OK;
    }
    if (strncmp(option, "recursive_triggers=", 19) != 0 &&
        strncmp(option, "foreign_keys=", 13) != 0) {
        return 0;
    }
    snprintf(sql, sizeof sql, "PRAGMA %s", option);
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static char *all_of(FILE *file) {
    size_t length = 0, room = 65536, got;
    char *text = malloc(room + 1);

    while (text != NULL && (got = fread(text + length, 1, room - length, file)) > 0) {
        length += got;
        if (length == room) {
            char *longer = realloc(text, (room *= 2) + 1);

            if (longer == NULL) {
                free(text);
            }
            text = longer;
        }
    }
    if (text != NULL) {
        text[length] = '\0';
    }
    return text;
}

/* Type and value; long ones by their length. */
static void print_value(sqlite3_value *value) {
    static const char *const types[] = {"", "integer", "real", "text", "blob", "null"};
    int length = sqlite3_value_bytes(value);
    const unsigned char *bytes = sqlite3_value_blob(value);

    printf("%s ", types[sqlite3_value_type(value)]);
    if (length > 100) {
        printf("(%d bytes)", length);
    }
    for (int i = 0; i < length && length <= 100; i++) {
        printf(bytes[i] < ' ' || bytes[i] > '~' ? "\\%02x" : "%c", bytes[i]);
    }
}

static void run(sqlite3_stmt *statement) {
    int rc;

    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            fputs(i > 0 ? " | " : "row: ", stdout);
            print_value(sqlite3_column_value(statement, i));
        }
        putchar('\n');
    }
    if (rc != SQLITE_DONE) {
        printf("error %d: %s\n", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
    }
}

int main(int argc, char **argv) {
    const char *sql = NULL;
    int attached = argc > 2 && strcmp(argv[argc - 1], "attached=1") == 0;
    char *attach;

    if (argc < 2 || sqlite3_open(attached ? ":memory:" : argv[1], &db) != SQLITE_OK) {
        fprintf(stderr, "writer DATABASE [SETTING=VALUE]...\n");
        return 2;
    }
    sqlite3_busy_timeout(db, 5000);
    if (attached) {
        attach = sqlite3_mprintf("ATTACH %Q AS app", argv[1]);
        if (sqlite3_exec(db, attach, NULL, NULL, NULL) != SQLITE_OK) {
            fprintf(stderr, "%s\n", sqlite3_errmsg(db));
            return 2;
        }
        sqlite3_free(attach);
    }
    for (int i = 2; i < argc - attached; i++) {
        if (!setting(argv[i])) {
            fprintf(stderr, "writer: %s is no setting\n", argv[i]);
            return 2;
        }
    }
    char *text = all_of(stdin);

    for (sql = text; sql != NULL && *sql != '\0';) {
        sqlite3_stmt *statement = NULL;

        if (sqlite3_prepare_v2(db, sql, -1, &statement, &sql) != SQLITE_OK) {
            printf("error %d: %s\n", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
            break;
        }
        if (statement != NULL) {
            run(statement);
            sqlite3_finalize(statement);
            printf("changes %d, last_insert_rowid %lld\n", sqlite3_changes(db),
                   (long long)sqlite3_last_insert_rowid(db));
        }
    }
    free(text);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 3;
}
