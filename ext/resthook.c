/*
** resthook.c: the extension's entry point. It registers functions and virtual tables on one
** connection and nothing else: no thread, no hook, no network, nothing that outlives the
** connection.
** SPDX-License-Identifier: MIT
*/
#include <stddef.h>

#include "hooks.h"

#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT1
#endif

/* Before 3.31 a function can't be for direct use only: a hostile file's triggers could call it. */
#define OLDEST 3031000

#ifdef _WIN32
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

/*
** Called by load_extension(); with -DSQLITE_CORE by the program itself, directly or through
** sqlite3_auto_extension. Flags of what is registered: functions that change the database or read a
** secret are SQLITE_DIRECTONLY, so that no trigger or view of a hostile file can call them;
** resthook_emit is not, since users call it from their own triggers.
*/
EXPORTED int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
    static int (*const rooms[])(sqlite3 *) = {
        install_register, settings_register, subscribe_register, signing_register,
        verify_register,  emit_register,     backfill_register,  request_register,
        watch_register,   repair_register,   payload_register,   history_register};
    int rc = SQLITE_OK;

#ifdef SQLITE_CORE
    (void)api;
#else
    SQLITE_EXTENSION_INIT2(api);
#endif
    if (sqlite3_libversion_number() < OLDEST) {
        if (error != NULL) {
            *error = sqlite3_mprintf("resthook needs SQLite 3.31 or newer, this is %s",
                                     sqlite3_libversion());
        }
        return SQLITE_ERROR;
    }
    for (unsigned i = 0; rc == SQLITE_OK && i < sizeof rooms / sizeof *rooms; i++) {
        rc = rooms[i](db);
    }
    if (rc != SQLITE_OK && error != NULL) {
        *error = sqlite3_mprintf("resthook: %s", sqlite3_errmsg(db));
    }
    return rc;
}

int register_functions(sqlite3 *db, const struct function *functions, int count) {
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < count; i++) {
        int flags = functions[i].use == FUNCTION_DIRECT_ONLY ? SQLITE_DIRECTONLY
                    : functions[i].use == FUNCTION_PURE ? SQLITE_INNOCUOUS | SQLITE_DETERMINISTIC
                                                        : 0;

        rc = sqlite3_create_function_v2(db, functions[i].name, functions[i].arguments,
                                        SQLITE_UTF8 | flags, NULL, functions[i].run, NULL, NULL,
                                        NULL);
    }
    return rc;
}
