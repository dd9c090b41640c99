/*
** fault.c: see fault.h. Only the build for the tests has it.
**
** Besides the points that the rooms name there are those of SQLite's own writing, in whichever file,
** "disk.write" and its like; of "disk.half_write" the first half of the bytes arrives.
** SPDX-License-Identifier: MIT
*/
#include "fault.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *wanted; /* NULL: none, or not read yet */
static size_t wanted_length;
static long passages_left = -1;

static void read_wanted(void) {
    const char *fault = getenv("RESTHOOK_FAULT");
    const char *colon = fault != NULL ? strrchr(fault, ':') : NULL;

    passages_left = 0;
    if (colon != NULL) {
        wanted = fault;
        wanted_length = (size_t)(colon - fault);
        passages_left = strtol(colon + 1, NULL, 10);
    }
}

/* Is this passage of a point the last one? */
static bool is_the_one(const char *name) {
    if (passages_left < 0) {
        read_wanted();
    }
    return wanted != NULL && strlen(name) == wanted_length &&
           strncmp(name, wanted, wanted_length) == 0 && --passages_left == 0;
}

static _Noreturn void end(const char *name) {
    char line[100];
    int length = snprintf(line, sizeof line, "fault %s\n", name);

    (void)!write(STDERR_FILENO, line, (size_t)length);
    for (;;) {
        kill(getpid(), SIGKILL);
    }
}

void fault_point(const char *name) {
    if (is_the_one(name)) {
        end(name);
    }
}

/* ---- SQLite's system calls ---- */

static ssize_t faulty_write(int fd, const void *data, size_t size) {
    fault_point("disk.write");
    if (is_the_one("disk.half_write")) {
        (void)!write(fd, data, size / 2);
        end("disk.half_write");
    }
    return write(fd, data, size);
}

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t at) {
    fault_point("disk.write");
    if (is_the_one("disk.half_write")) {
        (void)!pwrite(fd, data, size / 2, at);
        end("disk.half_write");
    }
    return pwrite(fd, data, size, at);
}

static int faulty_ftruncate(int fd, off_t size) {
    fault_point("disk.truncate");
    return ftruncate(fd, size);
}

static int faulty_unlink(const char *path) {
    fault_point("disk.unlink");
    return unlink(path);
}

void fault_open(void) {
    sqlite3_vfs *vfs = sqlite3_initialize() == SQLITE_OK ? sqlite3_vfs_find(NULL) : NULL;

    if (vfs == NULL || vfs->iVersion < 3 || vfs->xSetSystemCall == NULL) {
        return;
    }
    vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)faulty_write);
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)faulty_pwrite);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)faulty_pwrite);
    vfs->xSetSystemCall(vfs, "ftruncate", (sqlite3_syscall_ptr)faulty_ftruncate);
    vfs->xSetSystemCall(vfs, "unlink", (sqlite3_syscall_ptr)faulty_unlink);
}
