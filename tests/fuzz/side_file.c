/*
** side_file.c: whatever somebody did to app.db-resthook, the dispatcher refuses it with an error, or hands
** out jobs that can be sent as they are; and who reads the history gets rows, or none, and no error.
** SPDX-License-Identifier: MIT
*/
#include "hostile.h"

static void read_history(const char *table) {
    sqlite3 *db = open_file(file);
    char *sql = sqlite3_mprintf("SELECT * FROM %s", table);
    sqlite3_stmt *rows = prepare(db, sql);
    int rc;

    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(rows); i++) {
            (void)sqlite3_column_text(rows, i);
        }
    }
    MUST(rc == SQLITE_DONE, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(rows);
    sqlite3_free(sql);
    sqlite3_close(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};

    if (side_image.bytes == NULL) {
        make_templates(true);
    }
    make_files(&side_image, &input);
    read_history("resthook_deliveries");
    read_history("resthook_attempts");
    read_history("resthook_status");
    dispatch(file, &input);
    read_history("resthook_deliveries");
    return 0;
}
