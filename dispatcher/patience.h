/*
** patience.h: an end for what SQLite computes in this process, whichever room's connection does it.
**
** A file that somebody made for the purpose has a view that never ends in the place of a table. The
** extension's functions look into the side file through connections of their own, which db.h knows
** nothing of.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_PATIENCE_H
#define RESTHOOKD_PATIENCE_H

#include <stdbool.h>

/* From now on the process may compute for so many seconds of the processor, since a busy machine is no
** reason to stop; then every connection that was opened since the first call is interrupted, but for
** one that others have put a progress handler on. */
void patience_begin(int seconds);
bool patience_over(void); /* also for loops of our own, which nobody interrupts */
void patience_end(void);  /* for connections that are opened from now on */

#endif
