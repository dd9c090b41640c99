/*
** journal_file.c: the side file itself: made, recognized as ours, opened and closed.
** SPDX-License-Identifier: MIT
*/
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "journal_state.h"
#include "memory.h"
#include "sql.h"

#define JOURNAL_SCHEMA 2

/* A link would let the side file be any file, in a folder of anybody's. */
static bool is_file(const char *path, const struct stat *info, char **error) {
    const char *what = S_ISLNK(info->st_mode)    ? "a symbolic link"
                       : !S_ISREG(info->st_mode) ? "not a file"
                       : info->st_nlink > 1      ? "a file with several names (hard links)"
                                                 : NULL;

    if (what != NULL) {
        *error = xprintf("%s: this is %s: the side file has to be a file of its own, remove it",
                         path, what);
    }
    return what == NULL;
}

/*
** Only root may give a file away. Anybody else made it as himself, and gives it to the database's
** group if that is one of his; else the group that it has, which the database knows nothing of, gets
** nothing.
*/
static bool dress(int fd, const struct stat *model) {
    mode_t mode = model->st_mode & 0666;

    if (fchown(fd, model->st_uid, model->st_gid) != 0) {
        if (geteuid() == 0) {
            return false;
        }
        if (fchown(fd, (uid_t)-1, model->st_gid) != 0) {
            mode &= ~(mode_t)S_IRWXG;
        }
    }
    return fchmod(fd, mode) == 0;
}

/* The side file is made before SQLite opens it, so that it never has a wider mode than the
** database. One that is empty was left by somebody who was killed in here. */
static bool create_like(const char *path, const char *database, char **error) {
    struct stat model, there;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 && errno == EEXIST && lstat(path, &there) == 0) {
        if (!is_file(path, &there, error) || there.st_size > 0 || there.st_uid != geteuid()) {
            return *error == NULL;
        }
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0) {
        *error = xprintf("cannot create %s: %s", path, strerror(errno));
        return false;
    }
    fault_point("birth.created");
    bool made = stat(database, &model) == 0 && dress(fd, &model);

    if (!made) {
        *error =
            xprintf("cannot give %s the owner and mode of the database: %s", path, strerror(errno));
        unlink(path);
    }
    close(fd); /* nobody has the file open yet: no lock is lost */
    return made;
}

/* Is what is in the file ours? Asked before anything is changed in it. */
static void recognize(struct journal *journal) {
    struct db *db = &journal->db;
    sqlite3_stmt *statement = db_prepare(db, "SELECT count(*) FROM sqlite_master");
    int64_t schema;

    journal->is_new = db_value(db, statement, 1) == 0;
    if (journal->is_new) {
        return;
    }
    statement = db_prepare(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name "
                               "IN ('meta', 'delivery', 'anchor')");
    if (db_value(db, statement, 3) != 3) {
        db_fail(db, "this is another database, not a side file");
    }
    statement = db_prepare(db, "SELECT value FROM meta WHERE name = 'schema'");
    schema = db_value(db, statement, 0);
    if (db->rc == SQLITE_OK && (schema < 1 || schema > JOURNAL_SCHEMA)) {
        db_fail(db, "its schema is version %lld, this program knows %d", (long long)schema,
                JOURNAL_SCHEMA);
    }
    journal->schema = (int)schema;
}

struct journal *journal_look(const char *path, char **error) {
    struct journal *journal;
    struct stat info;

    *error = NULL;
    if (lstat(path, &info) != 0) {
        if (errno != ENOENT) {
            *error = xprintf("%s: %s", path, strerror(errno));
        }
        return NULL;
    }
    if (!is_file(path, &info, error)) {
        return NULL;
    }
    journal = xcalloc(1, sizeof *journal);
    /* As a guest: what a dispatcher that was killed left in the WAL stays there. */
    db_open(&journal->db, path, true, JOURNAL_PATIENCE);
    db_exec(&journal->db, "PRAGMA query_only=ON");
    recognize(journal);
    if (journal->db.rc == SQLITE_OK && !journal->is_new) {
        journal->meta_get = db_prepare(&journal->db, sql_meta_get);
        return journal;
    }
    if (journal->db.rc != SQLITE_OK) {
        *error = xprintf("%s: %s", path, journal->db.error);
    }
    journal_close(journal);
    return NULL;
}

struct journal *journal_open(const char *path, const char *database, char **error) {
    struct journal *journal = xcalloc(1, sizeof *journal);
    struct db *db = &journal->db;
    sqlite3_stmt *statement;

    *error = NULL;
    if (!create_like(path, database, error)) {
        free(journal);
        return NULL;
    }
    db_open(db, path, false, JOURNAL_PATIENCE);
    db_patient(db, true); /* until it is known whose it is */
    recognize(journal);
    statement = db_prepare(db, "PRAGMA journal_mode=WAL");
    db_run(db, statement);
    db_exec(db, "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=OFF; PRAGMA secure_delete=ON; "
                "PRAGMA cache_size=-4000;");
    db_exec(db, "BEGIN IMMEDIATE");
    if (journal->schema == 1) {
        db_exec(db, sql_journal_upgrade_2);
        fault_point("upgrade.side_changed");
    }
    db_exec(db, sql_journal);
    fault_point("birth.before_commit");
    db_exec(db, "INSERT OR IGNORE INTO meta(name, value) VALUES ('schema', 2); COMMIT");
    fault_point("birth.after_commit");
    journal_prepare(journal);
    if (db->rc != SQLITE_OK) {
        *error = xprintf("%s: %s", path, db->error);
        journal_close(journal);
        return NULL;
    }
    return journal;
}

void journal_close(struct journal *journal) {
    db_close(&journal->db);
    free(journal);
}
