/*
** scarce.h: SQLite's memory for tests that let it end: the n-th allocation from now fails, once.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_TESTS_SCARCE_H
#define RESTHOOK_TESTS_SCARCE_H

#include <stdbool.h>

#include "sqlite.h"

static sqlite3_mem_methods plain;
static long countdown = -1; /* allocations until one fails; -1: none does */
static bool failed;         /* one did */

static bool may_allocate(void) {
    if (countdown >= 0 && countdown-- == 0) {
        failed = true;
        return false;
    }
    return true;
}

static void *allocate(int size) {
    return may_allocate() ? plain.xMalloc(size) : NULL;
}

static void *reallocate(void *old, int size) {
    return may_allocate() ? plain.xRealloc(old, size) : NULL;
}

/* Before SQLite is used at all. Returns 0, or not. */
static int make_memory_scarce(void) {
    sqlite3_mem_methods scarce;

    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain) != SQLITE_OK) {
        return -1;
    }
    scarce = plain;
    scarce.xMalloc = allocate;
    scarce.xRealloc = reallocate;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &scarce);
}

#endif
