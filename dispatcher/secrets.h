/*
** secrets.h: secrets that stand in files of the operator's (--secrets DIR) instead of in the
** database: a subscription whose secret is "file:NAME" signs with what is in DIR/NAME.
**
** NAME comes from the database, whose owner the operator need not trust: it is a plain name, no
** link is followed, and where DIR has a directory with the database file's own name, that one
** stands for DIR, so that one tenant's file can't use another one's secrets.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SECRETS_H
#define RESTHOOKD_SECRETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "sign.h"

struct secrets {
    const char *directory; /* NULL: there are none */
    const char *database;  /* its file's name, without folder */
};

/* What tells one content of a file from another; all zero: it is not there. */
struct secret_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

/*
** Adds every secret in a file to the ring: one a line, SIGN_SECRETS_MAX at most, all of which sign.
** Returns NULL, or why that can't be done, without anything of the content, good until the next
** call. The stamp is the file's in either case.
*/
const char *secrets_read(const struct secrets *secrets, const char *name, struct secret_ring *ring,
                         struct secret_stamp *stamp);
/* Is the file another than it was? */
bool secrets_changed(const struct secrets *secrets, const char *name,
                     const struct secret_stamp *stamp);

#endif
