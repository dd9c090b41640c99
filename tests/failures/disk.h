/*
** disk.h: a disk for tests that fails when it is told to: a VFS over SQLite's own, the default from
** disk_install on.
**
** While disk_suffers is set, the n-th operation of a kind fails, once or from then on. After disk_cut
** the power goes at the n-th write, sync, truncation or deletion of whatever file: what was not synced
** is there or not, sector by sector, whatever came first; then the process ends.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_TESTS_DISK_H
#define RESTHOOK_TESTS_DISK_H

#include <stdbool.h>

enum disk_kind {
    DISK_OPEN,
    DISK_READ,
    DISK_SHORT, /* read(2) brings half of what there is, and the rest when asked again */
    DISK_END,   /* a WAL ends too early. Of a database's file SQLite believes it */
    DISK_WRITE, /* half of it is written */
    DISK_FULL,  /* likewise, for want of room */
    DISK_SYNC,
    DISK_TRUNCATE,
    DISK_LOCK,
    DISK_BUSY, /* somebody else has the lock */
    DISK_DELETE,
    DISK_SHM, /* the memory that connections share can't be mapped */
    DISK_KINDS
};

extern const char *const disk_names[DISK_KINDS];
extern bool disk_suffers; /* while it is the dispatcher that runs */
extern long disk_struck;  /* operations that failed since disk_fail */

void disk_install(void);
void disk_fail(enum disk_kind kind, long n, bool lasting); /* n: from 1 */
void disk_heal(void);

#define DISK_POWER 99 /* the exit status of a process whose power went */
/* From now on; what is on the disk by now is there. */
void disk_cut(long n, unsigned seed);
/* Has a file whose name ends so anything that would not outlive the power? */
bool disk_is_synced(const char *suffix);

#endif
