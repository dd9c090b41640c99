/*
** confine.h: what the process gives up before it opens anything: a mistake in it, or in a library of
** it, is then worth less to whoever finds it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_CONFINE_H
#define RESTHOOKD_CONFINE_H

#include <stdbool.h>

/*
** For good: no program that it might start gets more rights than it has; of root's powers only those
** over files stay. And, unless dumps are wanted (there are secrets in them), no crash leaves a core
** dump, and nobody but root may trace it or read its memory or environment.
*/
void confine_self(bool dumps);
/* What it makes from now on is its own alone, but for what is given the database's mode. */
void confine_files(void);

#endif
