/*
** test_db.c: what is opened, and what is not.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "db.h"

static bool opens(const char *path) {
    struct db db;
    bool open = db_open(&db, path, false, 0) && db_exec(&db, "SELECT count(*) FROM sqlite_master");

    db_close(&db);
    return open;
}

/* Somebody may put one there between our look and our opening. */
static void follows_no_link(void **state) {
    char folder[] = "/tmp/resthook-db-XXXXXX";
    char real[64], file[128], link[128], by_folder[128];
    sqlite3 *db;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(real, sizeof real, "%s/real", folder);
    snprintf(file, sizeof file, "%s/app.db", real);
    snprintf(link, sizeof link, "%s/link.db", folder);
    snprintf(by_folder, sizeof by_folder, "%s/folder", folder);
    assert_int_equal(mkdir(real, 0700), 0);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(symlink(file, link), 0);
    assert_int_equal(symlink(real, by_folder), 0);
    assert_true(opens(file));
    assert_false(opens(link));
    unlink(link);
    snprintf(link, sizeof link, "%s/folder/app.db", folder);
    assert_false(opens(link));
    unlink(by_folder);
    unlink(file);
    rmdir(real);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_no_link)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
