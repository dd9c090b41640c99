/*
** sync.c: see sync.h. SQLite syncs the WAL before it copies any of it, and the file before it says that
** it did; whoever commits meanwhile neither waits nor is waited for. Closing takes no lock (guest, db.h).
** SPDX-License-Identifier: MIT
*/
#include "sync.h"

#include "db.h"
#include "fault.h"

/* The WAL alone, by the file that SQLite has open for it. */
static int sync_wal(sqlite3 *handle) {
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&wal);

    if (rc == SQLITE_OK && (wal == NULL || wal->pMethods == NULL)) {
        rc = SQLITE_CANTOPEN; /* it has none: it is no side file */
    }
    return rc == SQLITE_OK ? wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY)
                           : rc;
}

/* A reader, or somebody who copies it just now, may let it copy nothing; then it has synced nothing
** either. */
static int copy_wal(sqlite3 *handle) {
    int frames = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(handle, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);

    return rc == SQLITE_BUSY || (rc == SQLITE_OK && copied < frames) ? sync_wal(handle) : rc;
}

int sync_side_file(const char *path, bool copy) {
    struct db db;
    int rc;

    if (db_open(&db, path, true, 0)) {
        /* The second opens the WAL, without which nothing is copied. */
        db_exec(&db, "PRAGMA synchronous=FULL; SELECT 1 FROM sqlite_master LIMIT 1");
    }
    fault_point("sync.begun");
    rc = db.rc;
    if (rc == SQLITE_OK) {
        rc = copy ? copy_wal(db.handle) : sync_wal(db.handle);
    }
    fault_point("sync.done");
    db_close(&db);
    return rc;
}
