/*
** identity.c: see identity.h.
**
** A token is written to the side file first, then to app.db: whoever dies between the two left an
** empty side file with a token beside a database without one, which is finished by the next start.
** Who dies there while he adopts left the token that app.db had until then beside the new one
** ("former"), and it is finished likewise. Everything else that doesn't fit is held.
** SPDX-License-Identifier: MIT
*/
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "hooks.h"
#include "log.h"
#include "memory.h"
#include "command.h"
#include "sql.h"

/* SQLite locks bytes 0x40000000 to 0x400001ff; ours is where no file has a byte. */
#define LOCK_BYTE 0x7265737468000000LL

#define TOKEN_MAX 40 /* bytes; those made here have 24 */

#define PATIENCE 500 /* ms for another program's lock; other databases wait meanwhile */

void identity_boot(char *out) {
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, 36) : 0;

    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
}

char *identity_take(const char *path, int *lock, char **error, int *status) {
    struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1};
    char *real = realpath(path, NULL);
    struct stat info;

    if (real == NULL || stat(real, &info) != 0) {
        bool missing =
            errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG;

        *error = xprintf("%s: %s%s", path, strerror(errno),
                         missing ? ": name an existing SQLite database" : "");
        *status = missing ? EXIT_NO_DATABASE : EXIT_IO; /* else it may well be there */
    } else if (!S_ISREG(info.st_mode)) {
        *error = xprintf("%s: this is not a file: name an SQLite database", path);
        *status = EXIT_NO_DATABASE;
    } else if (*lock < 0 && (*lock = open(real, O_RDWR | O_CLOEXEC)) < 0) {
        *error =
            xprintf("%s: %s: the dispatcher has to be able to write the database and its directory",
                    path, strerror(errno));
        *status = EXIT_IO;
    } else if (info.st_nlink > 1) {
        *error = xprintf("%s: held: the file has %lu names (hard links), and a side file for each "
                         "could send twice: "
                         "remove the other names",
                         path, (unsigned long)info.st_nlink);
        *status = EXIT_HELD;
    } else if (fcntl(*lock, F_OFD_SETLK, &byte) != 0) {
        *error = xprintf("%s: another resthookd delivers for this database: stop it first", path);
        *status = EXIT_HELD;
    } else {
        return real;
    }
    free(real);
    return NULL;
}

static char *inspect(struct db *app, const char *path, int *status) {
    sqlite3_stmt *statement = db_prepare(
        app,
        "SELECT count(*) FROM main.sqlite_master WHERE type = 'table' AND name = 'resthook_meta'");
    int64_t tables = db_value(app, statement, 0);
    int64_t schema;

    *status = EXIT_IO;
    if ((app->rc & 0xff) == SQLITE_BUSY) {
        return xprintf("%s: the database is locked: try again when the other program has finished",
                       path);
    }
    if ((app->rc & 0xff) == SQLITE_NOTADB) {
        *status = EXIT_NO_DATABASE;
        return xprintf("%s: %s: name an SQLite database", path, app->error);
    }
    if (app->rc != SQLITE_OK) { /* a full disk, say: it may well be the right file */
        return xprintf("%s: %s", path, app->error);
    }
    if (tables == 0) {
        *status = EXIT_NO_DATABASE;
        return xprintf("%s: there is no resthook schema in this database: run  resthookd sql %s "
                       "\"SELECT resthook_init()\"",
                       path, path);
    }
    statement = db_prepare(app, "SELECT value FROM main.resthook_meta WHERE name = 'schema'");
    schema = db_value(app, statement, 0);
    if (schema > SCHEMA_VERSION) {
        *status = EXIT_SCHEMA;
        return xprintf("%s: its schema is version %lld, newer than this program's %d: install the "
                       "newer resthookd",
                       path, (long long)schema, SCHEMA_VERSION);
    }
    return app->rc == SQLITE_OK ? NULL : xprintf("%s: %s", path, app->error);
}

char *identity_inspect(const char *path, int *status) {
    struct db app;
    char *wrong;

    db_open(&app, path, true, PATIENCE);
    wrong = inspect(&app, path, status);
    db_close(&app);
    return wrong;
}

static char *random_token(void) {
    unsigned char random[12];
    char *token = xcalloc(1, 2 * sizeof random + 1);

    if (RAND_bytes(random, sizeof random) != 1) {
        free(token);
        return NULL;
    }
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    }
    return token;
}

static bool same(const char *a, const char *b) {
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Could it be one that was made here? It becomes a part of headers. */
static bool is_token(const char *token) {
    size_t length = strlen(token);

    return length > 0 && length <= TOKEN_MAX &&
           strspn(token, "0123456789abcdefghijklmnopqrstuvwxyz") == length;
}

/* Has the side file (NULL: there is none) never been used? Then nothing was sent by it. */
static bool untouched(struct journal *journal) {
    if (journal == NULL) {
        return true;
    }
    sqlite3_stmt *any = db_prepare(journal_db(journal), "SELECT 1 FROM delivery LIMIT 1");

    return journal_get(journal, "cursor", 0) == 0 && db_value(journal_db(journal), any, 0) == 0;
}

/* What the two files say of themselves; NULL: nothing. */
struct identity {
    char *app_token;
    char *side_token, *side_path;
    char *former; /* app.db's token, "" for none, when an adoption began that was not finished */
};

static void free_identity(struct identity *known) {
    free(known->app_token);
    free(known->side_token);
    free(known->side_path);
    free(known->former);
}

static bool is_half_adopted(const struct identity *known, const char *path) {
    return same(known->former, known->app_token != NULL ? known->app_token : "") &&
           known->side_token != NULL && is_token(known->side_token) && same(path, known->side_path);
}

/* Why it can't be that this side file and this database belong together as they are; NULL: they do.
** */
static const char *misfit(const struct identity *known, const char *path, struct journal *journal) {
    if (is_half_adopted(known, path)) {
        return NULL;
    }
    if (known->app_token == NULL && known->side_token == NULL) {
        return untouched(journal) ? NULL : "the side file is not of this database";
    }
    if ((known->app_token != NULL && !is_token(known->app_token)) ||
        (known->side_token != NULL && !is_token(known->side_token))) {
        return "its token was written by somebody else";
    }
    if (known->app_token == NULL) {
        return same(path, known->side_path) && untouched(journal)
                   ? NULL
                   : "the database is new, its side file is not";
    }
    if (known->side_token == NULL) {
        return "its side file is missing: this is a copy, or the side file was deleted";
    }
    if (!same(known->app_token, known->side_token)) {
        return "its side file belongs to another database: one of the two was restored or replaced";
    }
    return same(path, known->side_path) ? NULL : "it was moved or copied here with its side file";
}

int64_t identity_common_past(struct db *app, struct journal *journal, int64_t *created_at) {
    sqlite3_stmt *witnesses = db_prepare(journal_db(journal), sql_witness_list);
    sqlite3_stmt *created = db_prepare(app, sql_app_event_created);
    int64_t common = 0;

    while (common == 0 && db_row(journal_db(journal), witnesses)) {
        *created_at = sqlite3_column_int64(witnesses, 1);
        db_int(app, created, 1, sqlite3_column_int64(witnesses, 0));
        if (db_value(app, created, -1) == *created_at) {
            common = sqlite3_column_int64(witnesses, 0);
        }
    }
    db_reset(witnesses);
    return common;
}

/* Makes the side file this database's. What it knows of the past that it shares with this file is
** kept. */
static bool renew(struct db *app, struct journal *journal, const char *path, const char *token,
                  const char *former, enum adopt adopt, bool keep, int64_t now) {
    struct db *db = journal_db(journal);
    sqlite3_stmt *newest = db_prepare(app, sql_app_newest);
    int64_t top = db_value(app, newest, 0);
    int64_t common_created;
    int64_t common = keep ? identity_common_past(app, journal, &common_created) : 0;

    if (app->rc != SQLITE_OK || db->rc != SQLITE_OK) {
        return false; /* what was not read is not to be forgotten */
    }
    journal_begin(journal, true);
    if (keep || common < journal_get(journal, "cursor", 0)) {
        /* What the side file knows of later events is of other events. It may know some above the cursor,
        ** which may stand still for long. */
        journal_rewind(journal, common);
    }
    if (common < journal_get(journal, "counted_to", 0)) {
        journal_set(journal, "counted_to", common);
    }
    if (!keep) {
        db_exec(db, "DELETE FROM delivery; DELETE FROM attempt; DELETE FROM effect;"
                    " DELETE FROM anchor; DELETE FROM notice; DELETE FROM gap;"
                    " UPDATE subscription SET failing_since = NULL, filtered = 0");
        journal_set(journal, "request_cursor", 0);
        journal_set(journal, "request_filed", 0);
    }
    if (adopt == ADOPT_SKIP) {
        sqlite3_stmt *cancel =
            db_prepare(db, "UPDATE delivery SET state = 5, next_at = NULL,"
                           " reason = 'skipped by --adopt=skip', finished_at = ?1 WHERE state < 3");

        db_int(db, cancel, 1, now);
        db_run(db, cancel);
        journal_set(journal, "cursor", top);
    }
    journal_set_text(journal, "token", token);
    journal_set_text(journal, "path", path);
    if (adopt != ADOPT_NO) {
        journal_set_text(journal, "former", former != NULL ? former : "");
    }
    fault_point("adopt.before_commit");
    bool committed = journal_commit(journal);

    fault_point("adopt.after_commit");
    return committed;
}

static bool write_token(struct db *app, const char *token) {
    sqlite3_stmt *set = db_prepare(app, sql_app_meta_set);

    db_text(app, set, 1, "token");
    db_text(app, set, 2, token);
    return db_run(app, set);
}

static char *read_token(struct db *app) {
    sqlite3_stmt *get = db_prepare(app, sql_app_meta);
    char *token = NULL;

    db_text(app, get, 1, "token");
    if (db_row(app, get)) {
        token = db_copy(get, 0);
        db_reset(get);
    }
    return token;
}

/* journal: NULL when there is none. */
static struct identity read_identity(struct db *app, struct journal *journal) {
    struct identity known = {.app_token = read_token(app)};

    if (journal != NULL) {
        known.side_token = journal_get_text(journal, "token");
        known.side_path = journal_get_text(journal, "path");
        known.former = journal_get_text(journal, "former");
    }
    return known;
}

/* The side file's token becomes app.db's. Whoever restores the former app.db later is held. */
static bool finish(struct db *app, struct journal *journal, const struct identity *known,
                   const char *token) {
    if (!same(known->app_token, token) && !write_token(app, token)) {
        return false;
    }
    fault_point("adopt.app_done");
    return db_exec(journal_db(journal), "DELETE FROM meta WHERE name = 'former'");
}

static char *held(const char *path, const char *wrong) {
    return xprintf("%s: held: %s: start once with --adopt to send what is pending, or "
                   "--adopt=skip to cancel it",
                   path, wrong);
}

char *identity_compare(const char *path, int *status) {
    char *side = xprintf("%s-resthook", path);
    char *error = NULL;
    const char *wrong = NULL;
    struct journal *journal = journal_look(side, &error);
    struct identity known = {0};
    struct db app;

    *status = EXIT_IO;
    db_open(&app, path, true, PATIENCE);
    if (error == NULL) {
        known = read_identity(&app, journal);
        wrong = misfit(&known, path, journal);
    }
    if (error == NULL && app.rc != SQLITE_OK) {
        error = xprintf("%s: %s", path, app.error);
    } else if (journal != NULL && journal_db(journal)->rc != SQLITE_OK) {
        error = xprintf("%s: %s", side, journal_db(journal)->error);
    } else if (wrong != NULL) {
        *status = EXIT_HELD;
        error = held(path, wrong);
    }
    if (journal != NULL) {
        journal_close(journal);
    }
    db_close(&app);
    free(side);
    free_identity(&known);
    return error;
}

char *identity_settle(const char *path, struct journal *journal, enum adopt adopt, int64_t now,
                      char **error, int *status) {
    struct db app;
    char *token = NULL;
    const char *wrong;

    *status = EXIT_IO;
    db_open(&app, path, true, PATIENCE);
    /* The token has to outlive the power: the side file does, and alone it is held. With FULL a rollback
    ** journal may come back after its removal. */
    db_exec(&app, "PRAGMA synchronous=EXTRA");
    struct identity known = read_identity(&app, journal);

    wrong = misfit(&known, path, journal);
    if (app.rc != SQLITE_OK || journal_db(journal)->rc != SQLITE_OK) {
        *error =
            xprintf("%s: %s", path, app.rc != SQLITE_OK ? app.error : journal_db(journal)->error);
    } else if (wrong != NULL && adopt == ADOPT_NO) {
        *status = EXIT_HELD;
        *error = held(path, wrong);
    } else {
        bool half = is_half_adopted(&known, path);
        bool settled =
            adopt == ADOPT_NO && known.side_token != NULL && (half || known.app_token != NULL);
        bool keep = adopt == ADOPT_NO || half || same(known.app_token, known.side_token);

        token = adopt == ADOPT_NO && known.side_token != NULL ? xstrdup(known.side_token)
                                                              : random_token();
        if (token == NULL ||
            (!settled && !renew(&app, journal, path, token, known.app_token, adopt, keep, now)) ||
            !finish(&app, journal, &known, token)) {
            *error = xprintf("%s: its identity can't be written: %s", path,
                             app.rc != SQLITE_OK ? app.error : journal_error(journal));
            free(token);
            token = NULL;
        } else if (adopt != ADOPT_NO) {
            fault_point("adopt.done");
            log_line(LOG_WARN, "adopted", "database", path, "pending",
                     adopt == ADOPT_SKIP ? "cancelled" : "sent", NULL);
        }
    }
    free_identity(&known);
    db_close(&app);
    return token;
}
