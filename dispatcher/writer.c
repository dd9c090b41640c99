/*
** writer.c: see writer.h.
** SPDX-License-Identifier: MIT
*/
#include "writer.h"

#include <stdlib.h>

#include "memory.h"

struct writer {
    struct db db;
    char *path;
    bool open;
    bool full; /* synchronous is EXTRA now */
    int64_t commits;
    sqlite3_stmt *data_version; /* of this connection: its own commits don't count in it */
    int64_t seen_version;
};

struct writer *writer_new(const char *path) {
    struct writer *writer = xcalloc(1, sizeof *writer);

    writer->path = xstrdup(path);
    return writer;
}

void writer_close(struct writer *writer) {
    if (writer->open) {
        db_close(&writer->db);
        writer->open = false;
    }
}

void writer_free(struct writer *writer) {
    writer_close(writer);
    free(writer->path);
    free(writer);
}

bool writer_open(struct writer *writer) {
    struct db *db = &writer->db;

    if (writer->open) {
        return true;
    }
    db_open(db, writer->path, true, 0);
    writer->full = false;
    db_exec(db, "PRAGMA synchronous=NORMAL");
    writer->data_version = db_prepare(db, "PRAGMA data_version");
    writer->seen_version = db_value(db, writer->data_version, -1);
    writer->open = db->rc == SQLITE_OK;
    if (!writer->open) {
        db_close(db);
    }
    return writer->open;
}

struct db *writer_db(struct writer *writer) {
    return &writer->db;
}

bool writer_begin(struct writer *writer, bool wal) {
    struct db *db = &writer->db;

    db_clear(db);
    /* NORMAL is safe against corruption in WAL only, and writer_sync makes up for it there; with FULL a
    ** rollback journal may come back after its removal. */
    if (writer->full == wal &&
        db_exec(db, wal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=EXTRA")) {
        writer->full = !wal;
    }
    return db_exec(db, "BEGIN IMMEDIATE");
}

bool writer_end(struct writer *writer) {
    struct db *db = &writer->db;

    if (db_exec(db, "COMMIT")) {
        writer->commits++;
        return true;
    }
    db_clear(db);
    if (!sqlite3_get_autocommit(db->handle)) {
        db_exec(db, "ROLLBACK");
    }
    db_clear(db);
    return false;
}

bool writer_sync(struct writer *writer, bool wal) {
    sqlite3_file *file = NULL;

    return !wal || /* the commit did it */
           (sqlite3_file_control(writer->db.handle, "main", SQLITE_FCNTL_JOURNAL_POINTER,
                                 (void *)&file) == SQLITE_OK &&
            file != NULL && file->pMethods != NULL &&
            file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK);
}

bool writer_others(struct writer *writer) {
    if (!writer->open) {
        return true;
    }
    db_clear(&writer->db);
    int64_t version = db_value(&writer->db, writer->data_version, -1);
    bool others = version == -1 || version != writer->seen_version;

    writer->seen_version = version;
    return others;
}

int64_t writer_commits(const struct writer *writer) {
    return writer->commits;
}
