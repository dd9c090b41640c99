/*
** fault.h: where the tests can end the process (tests/torture): at named points of everything that it
** does in more than one step. "settle.before_commit" is a step and a moment in it.
**
** In a build with -DFAULTS the environment's RESTHOOK_FAULT=name:count makes the count-th passage of
** that point the last thing the process does: SIGKILL. In any other build nothing of this is left.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_FAULT_H
#define RESTHOOKD_FAULT_H

#ifdef FAULTS
void fault_open(void); /* before the first database is opened: SQLite's writes are points too */
void fault_point(const char *name);
#else
#define fault_open() ((void)0)
#define fault_point(name) ((void)0)
#endif

#endif
