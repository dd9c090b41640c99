/*
** shell.c: see shell.h. For hosts that can't load extensions: everything the functions do, from a
** command line.
** SPDX-License-Identifier: MIT
*/
#include "shell.h"

#include <curl/curl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "db.h"
#include "fault.h"
#include "filter.h"
#include "hooks.h"
#include "host.h"
#include "log.h"
#include "memory.h"
#include "patience.h"
#include "secrets.h"
#include "sign.h"
#include "stopwatch.h"
#include "url.h"

#define PATIENCE 5 /* seconds of the processor for all that check reads, and for each filter */
#define FILTERS_US 30000000 /* for all filters */

/* The extension's entry point, linked in (ext/resthook.c). */
int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

/* The rest of a line. What SQLite says repeats names and values of the file. */
static void print_rest(FILE *out, const char *before, const char *text) {
    fputs(before, out);
    log_show(out, text, NULL);
    fputc('\n', out);
}

static void print_path_error(const char *path, const char *error) {
    fputs("Error: ", stderr);
    log_show(stderr, path, NULL);
    print_rest(stderr, ": ", error);
}

static sqlite3 *open_with_functions(const char *path, int flags) {
    sqlite3 *db = NULL;
    char *error = NULL;

    public_key_of = sign_public_key;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        print_path_error(path, sqlite3_errmsg(db));
    } else if (sqlite3_resthook_init(db, &error, NULL) != SQLITE_OK) {
        print_path_error(path, error != NULL ? error : sqlite3_errmsg(db));
        sqlite3_free(error);
    } else {
        sqlite3_busy_timeout(db, 5000);
        return db;
    }
    sqlite3_close(db);
    return NULL;
}

static void print_row(sqlite3_stmt *statement) {
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        const char *text = (const char *)sqlite3_column_text(statement, i);

        if (i > 0) {
            putchar('|');
        }
        if (text != NULL) {
            fwrite(text, 1, (size_t)sqlite3_column_bytes(statement, i), stdout);
        }
    }
    putchar('\n');
}

static char *read_all(FILE *file) {
    size_t length = 0, room = 65536;
    char *text = xrealloc(NULL, room);
    size_t n;

    while ((n = fread(text + length, 1, room - length - 1, file)) > 0) {
        length += n;
        if (room - length < 2) {
            room *= 2;
            text = xrealloc(text, room);
        }
    }
    text[length] = '\0';
    return text;
}

/* Runs every statement; stops at the first error, as a script must not go on from half of itself.
** */
static int run_all(sqlite3 *db, const char *sql) {
    while (*sql != '\0') {
        sqlite3_stmt *statement = NULL;
        int rc = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);

        if (rc == SQLITE_OK && statement != NULL) {
            while (sqlite3_step(statement) == SQLITE_ROW) {
                print_row(statement);
                fault_point("sql.row");
            }
            rc = sqlite3_finalize(statement); /* says what the last step met */
            fault_point("sql.statement");
        }
        if (rc != SQLITE_OK) {
            fflush(stdout);
            print_rest(stderr, "Error: ", sqlite3_errmsg(db));
            return 1;
        }
    }
    if (!sqlite3_get_autocommit(db)) {
        fprintf(stderr, "Error: the SQL ended inside a transaction, which is rolled back\n");
        return 1;
    }
    return 0;
}

int shell_sql(const char *path, const char *sql) {
    sqlite3 *db = open_with_functions(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    char *input = NULL;
    int status;

    if (db == NULL) {
        return 1;
    }
    if (sql == NULL) {
        sql = input = read_all(stdin);
    }
    status = run_all(db, sql);
    free(input);
    sqlite3_close(db);
    return status;
}

/* What stands behind it on the line can't be taken for a part of it. */
static void print_word(sqlite3_stmt *statement, int column) {
    const char *text = db_string(statement, column);

    log_show(stdout, text != NULL ? text : "-", " \"");
}

/* Rows may come without end. */
static bool next_row(sqlite3_stmt *statement) {
    return !patience_over() && sqlite3_step(statement) == SQLITE_ROW;
}

/* Ends a query. An error is told, but for the interruption, which shell_check tells. */
static bool end_rows(sqlite3 *db, sqlite3_stmt *statement, bool ok) {
    if ((sqlite3_finalize(statement) == SQLITE_OK && ok) || patience_over()) {
        return ok;
    }
    print_rest(stdout, "  error: ", sqlite3_errmsg(db));
    return false;
}

/* Prints "name: value" for the rows of a query of two columns. */
static bool print_pairs(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK;

    while (ok && next_row(statement)) {
        const char *name = db_string(statement, 0), *value = db_string(statement, 1);

        fputs("  ", stdout);
        log_show(stdout, name != NULL ? name : "-", NULL);
        print_rest(stdout, ": ", value != NULL ? value : "-");
    }
    return end_rows(db, statement, ok);
}

static const char *lacks(const struct guard *guard, bool allow_http, const char *target) {
    enum guard_answer answer = host_judge(guard, target);

    if (answer == GUARD_REFUSED) {
        return " (this address needs --allow)";
    }
    if (answer == GUARD_PUBLIC && !allow_http && curl_strnequal(target, "http:", 5)) {
        return " (plain http: needs --allow or --allow-http)";
    }
    return "";
}

/* Why a secret can't be used, good until the next call; NULL: it can. */
static const char *unusable(const char *secret, const struct secrets *secrets) {
    struct secret_ring *ring = secret_ring_new();
    struct secret_stamp stamp;
    const char *file = secret_file(secret);
    const char *wrong = file != NULL ? secrets_read(secrets, file, ring, &stamp)
                                     : secret_ring_add(ring, secret, strlen(secret), INT64_MAX);

    secret_ring_free(ring);
    return wrong;
}

static bool check_targets(sqlite3 *db, const struct guard *guard, bool allow_http,
                          const struct secrets *secrets) {
    static const char *const before[] = {"  ", " ", " ", " to "};
    sqlite3_stmt *statement = NULL;
    bool ok =
        sqlite3_prepare_v2(
            db,
            "SELECT id, status, event, target, secret FROM main.resthook_subscription ORDER BY id",
            -1, &statement, NULL) == SQLITE_OK;

    while (ok && next_row(statement)) {
        const char *target = db_string(statement, 3);
        const char *wrong =
            target == NULL ? "there is none" : url_check(target, strlen(target), NULL);
        const char *secret = db_string(statement, 4);
        const char *mute = secret == NULL ? "is not there" : unusable(secret, secrets);

        for (int i = 0; i < 4; i++) {
            fputs(before[i], stdout);
            print_word(statement, i);
        }
        if (wrong != NULL) {
            printf(": %s", wrong);
        } else {
            fputs(lacks(guard, allow_http, target), stdout);
        }
        if (mute != NULL) {
            fputs("; can't sign: ", stdout);
            print_rest(stdout, secret != NULL && secret_file(secret) != NULL ? "" : "its secret ",
                       mute);
        } else {
            putchar('\n');
        }
    }
    return end_rows(db, statement, ok);
}

/* A filter that was good when it was set may no longer fit the tables and watches there are. An older
** schema has none. */
static void check_filters(sqlite3 *db) {
    sqlite3_stmt *statement = NULL;
    int64_t until = stopwatch_work_us() + FILTERS_US;

    if (sqlite3_prepare_v2(db,
                           "SELECT id, event, filter FROM main.resthook_subscription"
                           " WHERE to_id IS NULL AND event IS NOT NULL AND filter IS NOT NULL"
                           " ORDER BY id",
                           -1, &statement, NULL) != SQLITE_OK) {
        return;
    }
    while (next_row(statement)) {
        char *error = NULL;
        int rc = filter_check(db, db_string(statement, 1), db_string(statement, 2), &error);

        if (rc != SQLITE_OK && !patience_over()) {
            fputs("  ", stdout);
            print_word(statement, 0);
            print_rest(stdout,
                       ": its filter can't be used: ", error != NULL ? error : sqlite3_errstr(rc));
        }
        sqlite3_free(error);
        if (stopwatch_work_us() > until) {
            printf("  filters: not all of them were tried: that takes too long\n");
            break;
        }
        if (!patience_over()) { /* many filters are no mistake */
            patience_begin(PATIENCE);
        }
    }
    sqlite3_finalize(statement);
}

/* Several names of one file: identity_take holds it, as it does what another process has. */
static bool has_links(int lock) {
    struct stat info;

    return lock >= 0 && fstat(lock, &info) == 0 && info.st_nlink > 1;
}

/* Whoever looks into a file in WAL mode makes a WAL if there is none. */
static bool has_wal(const char *path) {
    struct stat info;
    char *wal = xprintf("%s-wal", path);
    bool there = lstat(wal, &info) == 0;

    free(wal);
    return there;
}

/* What was made by looking goes with the last connection that is no guest's (db_open). */
static void take_away_wal(const char *path) {
    struct db db;

    if (has_wal(path)) {
        db_open(&db, path, false, 0);
        db_value(&db, db_prepare(&db, "PRAGMA schema_version"), 0);
        db_close(&db);
    }
}

/* What there is to say of a database that is in order. Returns the exit status. */
static int print_state(const char *real, const struct guard *guard, bool allow_http,
                       const char *secrets, char **error) {
    patience_begin(PATIENCE);
    sqlite3 *db = open_with_functions(real, SQLITE_OPEN_READWRITE);
    const char *name = strrchr(real, '/') + 1;
    int status = 0;

    if (db == NULL) {
        patience_end();
        return EXIT_IO;
    }
    /* Nothing of it is shown, but a dispatcher would read it. */
    (void)sqlite3_exec(db, "SELECT count(*) FROM main.resthook_setting", NULL, NULL, NULL);
    if (!print_pairs(db, "SELECT 'schema', value FROM main.resthook_meta WHERE name = 'schema'") ||
        !print_pairs(db, "SELECT 'journal mode', journal_mode FROM pragma_journal_mode") ||
        !print_pairs(db, "SELECT name, value FROM resthook_status") ||
        !check_targets(db, guard, allow_http, &(struct secrets){secrets, name})) {
        status = EXIT_IO;
    }
    check_filters(db);
    if (patience_over()) {
        *error = xprintf("%s: " DB_ENDLESS, real);
        status = EXIT_IO;
    }
    patience_end();
    sqlite3_close(db);
    char *directory = xprintf("%.*s", (int)(name - real), real);

    if (access(directory, W_OK) != 0) {
        printf("  permissions: the directory can't be written: there can be no side file\n");
        status = EXIT_IO;
    }
    free(directory);
    return status;
}

int shell_check(const char *path, const struct guard *guard, bool allow_http, const char *secrets) {
    int status = 0, lock = -1;
    char *error = NULL;
    char *real = identity_take(path, &lock, &error, &status);
    bool taken = real != NULL;
    char *side = taken ? xprintf("%s-resthook", real) : NULL;
    bool had_wal = !taken || has_wal(real), side_had_wal = !taken || has_wal(side);

    print_rest(stdout, "", path);
    if (real == NULL && (status != EXIT_HELD || has_links(lock))) {
        goto done;
    }
    if (real == NULL) { /* another one delivers: that is an answer, not an error */
        print_rest(stdout, "  dispatcher: ", error);
        free(error);
        error = NULL;
        real = realpath(path, NULL);
    }
    error = identity_inspect(real, &status);
    if (error != NULL) {
        goto done;
    }
    if (taken) { /* whoever has it may be settling its identity right now */
        error = identity_compare(real, &status);
        if (error != NULL) {
            goto done;
        }
    }
    status = print_state(real, guard, allow_http, secrets, &error);

done:
    if (error != NULL) {
        log_complaint(error);
    }
    if (!had_wal) {
        take_away_wal(real);
    }
    if (!side_had_wal) {
        take_away_wal(side);
    }
    free(side);
    if (lock >= 0) {
        close(lock);
    }
    free(error);
    free(real);
    return status;
}
