/*
** sparse.c: a host whose SQLite was built without something (SQLITE_OMIT_PROGRESS_CALLBACK, as
** better-sqlite3's is, SQLITE_OMIT_AUTHORIZATION): what it hands to an extension has nothing in that
** place. Or one whose SQLite is of another version, as a number: 3030001 says that it is 3.30.1.
**
**     sparse EXTENSION progress_handler|set_authorizer|VERSION SQL
**
** runs the SQL on a database in memory, and prints each value.
** SPDX-License-Identifier: MIT
*/
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SQLITE_CORE
#define SQLITE_CORE
#endif
#include <sqlite3ext.h>

typedef int entry_point(sqlite3 *db, char **error, const sqlite3_api_routines *api);

static sqlite3_api_routines sparse;
static const char *without;

static int version(void) {
    return (int)strtol(without, NULL, 10);
}

static int take(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
    (void)db;
    (void)error;
    sparse = *api;
    if (strcmp(without, "progress_handler") == 0) {
        sparse.progress_handler = NULL;
    } else if (strcmp(without, "set_authorizer") == 0) {
        sparse.set_authorizer = NULL;
    } else {
        sparse.libversion_number = version;
    }
    return SQLITE_OK;
}

static int print(void *context, int count, char **values, char **names) {
    (void)context;
    (void)names;
    for (int i = 0; i < count; i++) {
        puts(values[i] != NULL ? values[i] : "NULL");
    }
    return 0;
}

int main(int argc, char **argv) {
    void *extension = argc == 4 ? dlopen(argv[1], RTLD_NOW) : NULL;
    void *symbol = extension != NULL ? dlsym(extension, "sqlite3_resthook_init") : NULL;
    entry_point *enter = NULL;
    sqlite3 *db = NULL;
    char *error = NULL;
    int rc = sqlite3_auto_extension((void (*)(void))take);

    without = argc == 4 ? argv[2] : "";
    memcpy(&enter, &symbol, sizeof enter);
    if (rc != SQLITE_OK || enter == NULL) {
        fputs("usage: sparse EXTENSION WITHOUT SQL\n", stderr);
        return 2;
    }
    rc = sqlite3_open(":memory:", &db);
    if (rc == SQLITE_OK) {
        rc = enter(db, &error, &sparse);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, argv[3], print, NULL, &error);
    }
    if (rc != SQLITE_OK) {
        fprintf(stderr, "%s\n", error != NULL ? error : sqlite3_errstr(rc));
    }
    sqlite3_free(error);
    (void)sqlite3_close(db);
    return rc == SQLITE_OK ? 0 : 1;
}
