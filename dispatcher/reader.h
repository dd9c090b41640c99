/*
** reader.h: app.db as the dispatcher reads it: short read transactions on a connection that can't
** write.
**
** A row of the outbox becomes a name, times, and on demand a payload. The connection is open as
** long as the database; no read transaction outlives a call of the outbox's turn: a long one would
** keep the application's WAL growing, and with a rollback journal its writers waiting.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_READER_H
#define RESTHOOKD_READER_H

#include "db.h"
#include "format.h"

struct reader;

/* NULL with *error (the caller frees it). path: the real path. */
struct reader *reader_open(const char *path, char **error);
void reader_close(struct reader *reader);
void reader_checkpoint(struct reader *reader); /* of the WAL, as far as nobody waits for it */
struct db *reader_db(struct reader *reader);

/* Has another connection committed since the last call? Also true when it can't be told now (busy).
** */
bool reader_changed(struct reader *reader);
bool reader_is_wal(const struct reader *reader); /* as of the last reader_begin */

/* A read transaction. false: not now (busy), or an error that stays in reader_db until the next
** reader_begin. */
bool reader_begin(struct reader *reader);
void reader_end(struct reader *reader);
int64_t reader_revision(struct reader *reader); /* resthook_meta.revision; -1: it can't be read */
int64_t reader_schema(struct reader *reader);   /* PRAGMA schema_version */
int64_t reader_newest(struct reader *reader);   /* newest event id ever given out */

/* One row of the outbox. The texts are good until the next row is read. */
struct outbox_row {
    int64_t id, created_at;
    int64_t deliver_at; /* 0: at once */
    const char *event;  /* NULL: what stands there is no event name, or its watch is not known */
    const char *only;   /* NULL: for all */
    bool captured;      /* by a watch */
    bool conditional;   /* … that has a `when` */
};

/* Rows with id > after, in order; at most `most`. */
void reader_rows(struct reader *reader, int64_t after, int64_t most);
/* The same without deliver_at and bodies: what may be read sooner than it is taken. */
void reader_ahead(struct reader *reader, int64_t after, int64_t most);
/* The next of them, or the one row asked for by reader_row. false: no more. */
bool reader_next(struct reader *reader, struct outbox_row *row);
bool reader_row(struct reader *reader, int64_t id,
                struct outbox_row *row); /* false: it is not there */
void reader_rows_done(struct reader *reader);
/* Is that row still there, unchanged (id 0: there was none)? true also when it can't be read now:
** reader_db says why. */
bool reader_has(struct reader *reader, int64_t id, int64_t created_at);

enum reading {
    READ_BODY,     /* filled */
    READ_FILTERED, /* the watch's `when`, or a subscription's filter, was not true */
    READ_HELD,     /* an expression failed: *why */
    READ_DEAD,     /* it can never be sent: *why */
    READ_LATER,    /* not now: reader_db says why */
};
/* The payload of the row read last, into body (and, if wanted, the change format into change), and
** the headers it has of its own (headers.h). *why is good until the next call. */
enum reading reader_body(struct reader *reader, struct buffer *body, struct buffer *change,
                         bool with_change, const char ***headers, const char **why);
/* The ordering key of the row whose body was read last, "" without one, NULL: it is not known; good until
** the next. */
const char *reader_key(const struct reader *reader);
/* Does the filter let that row pass? body is what reader_body gave. READ_BODY: it does. */
enum reading reader_judge(struct reader *reader, const char *filter, const char *event,
                          const struct buffer *body, const char **why);

#endif
