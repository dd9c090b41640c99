/*
** writer.h: app.db as the dispatcher writes it: rarely, for about a millisecond, on a connection of
** its own that is opened when it is first wanted. It tries its lock once and gives way.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_WRITER_H
#define RESTHOOKD_WRITER_H

#include "db.h"

struct writer;

struct writer *writer_new(const char *path);
void writer_free(struct writer *writer);
bool writer_open(struct writer *writer);  /* false: not now */
void writer_close(struct writer *writer); /* until it is wanted again */
/* For reading, and between begin and end for writing; open. */
struct db *writer_db(struct writer *writer);
/* false: somebody else has the lock. wal: app.db is in WAL mode now. */
bool writer_begin(struct writer *writer, bool wal);
/* Commits; false: nothing was written. */
bool writer_end(struct writer *writer);
/* After an end: what was committed outlives the power now. In WAL mode that is not awaited with the
** lock held. */
bool writer_sync(struct writer *writer, bool wal);
int64_t writer_commits(const struct writer *writer); /* so far */
/* Has anybody else committed since the last call? Also true when it can't be told now: busy, or not
** open. */
bool writer_others(struct writer *writer);

#endif
