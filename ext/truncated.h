/*
** truncated.h: `when` of a row that was too large to capture.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_TRUNCATED_H
#define RESTHOOK_TRUNCATED_H

#include <stdbool.h>

#include "evaluate.h"

/* What asks it: of the version that whole evaluates, whose definition it reads. */
struct truncated;

/* Does `when` hold for the row that whole is at? What can't be asked does. *truncated is made when
** the first row needs it. whole fails if it can't be made, or `when` can't be computed. */
bool truncated_wanted(struct truncated **truncated, struct evaluation *whole);
void truncated_free(struct truncated *truncated);

#endif
