/*
** reader.c: see reader.h.
** SPDX-License-Identifier: MIT
*/
#include "reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cell.h"
#include "event.h"
#include "filters.h"
#include "headers.h"
#include "json.h"
#include "linear.h"
#include "memory.h"
#include "sql.h"
#include "watches.h"

/* Columns of SELECT * FROM resthook_outbox (sql/schema.sql). */
enum {
    ROW_ID,
    ROW_EVENT,
    ROW_PAYLOAD,
    ROW_KEY,
    ROW_DELIVER_AT,
    ROW_ONLY,
    ROW_CREATED_AT,
    ROW_WATCH,
    ROW_VALUES
};

#define WHY_MOST 256 /* bytes of a reason */
#define PATIENCE 500 /* ms for another program's lock while it is opened */

struct reader {
    struct db db;
    sqlite3_stmt *begin, *end, *data_version, *revision, *schema, *newest, *rows, *ahead, *one,
        *extra, *mode, *current;
    int64_t seen_version;
    int64_t seen_schema;
    bool wal;
    struct watches watches;
    const struct watch *shown; /* whose row reader_body gave last; NULL: an emitted event's */
    bool truncated;            /* that row was too large to capture */
    struct filters *filters;   /* NULL: no subscription had one so far */
    struct buffer why;
    struct buffer key; /* of the row read last, if … */
    bool knows_key;
};

/* The application may change it while we run. */
static void read_mode(struct reader *reader) {
    if (db_row(&reader->db, reader->mode)) {
        reader->wal = sqlite3_stricmp(db_string(reader->mode, 0), "wal") == 0;
        db_reset(reader->mode);
    }
}

struct reader *reader_open(const char *path, char **error) {
    struct reader *reader = xcalloc(1, sizeof *reader);
    struct db *db = &reader->db;

    *error = NULL;
    /* Opened for writing, since a WAL file without one can't be read by a connection that may not
    ** create it. */
    if (db_open(db, path, true, PATIENCE)) { /* without memory there is no handle at all */
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    }
    db_exec(db, "PRAGMA query_only=ON; PRAGMA cache_size=-4000;");
    if (db->rc == SQLITE_OK && linear_install(db->handle) != SQLITE_OK) {
        db_fail(db, "%s", sqlite3_errmsg(db->handle));
    }
    reader->begin = db_prepare(db, "BEGIN");
    reader->end = db_prepare(db, "COMMIT");
    reader->data_version = db_prepare(db, "PRAGMA data_version");
    reader->schema = db_prepare(db, "PRAGMA schema_version");
    reader->revision = db_prepare(db, sql_app_revision);
    reader->newest = db_prepare(db, sql_app_newest);
    reader->rows = db_prepare(db, sql_app_events);
    reader->ahead = db_prepare(db, sql_app_ahead);
    reader->one = db_prepare(db, sql_app_event);
    watches_open(&reader->watches, db);
    reader->extra = db_prepare(db, sql_app_extra);
    reader->mode = db_prepare(db, "PRAGMA journal_mode");
    read_mode(reader);
    reader->seen_version = -1;
    if (db->rc != SQLITE_OK) {
        *error = xprintf("%s: %s", path, db->error);
        reader_close(reader);
        return NULL;
    }
    sqlite3_busy_timeout(db->handle, 0); /* from now on it gives way */
    return reader;
}

static void forget_watches(struct reader *reader) {
    if (reader->filters != NULL) {
        filters_forget(reader->filters); /* before the expanders that they are of */
    }
    reader->shown = NULL;
    watches_forget(&reader->watches);
}

void reader_checkpoint(struct reader *reader) {
    if (reader->wal && reader->db.handle != NULL) {
        /* What the application has not yet checkpointed, should it have closed before us: its file
        ** alone is then whole. Passive: it waits for nobody and nobody for it; what it can't do
        ** the next one does. */
        sqlite3_wal_checkpoint_v2(reader->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
}

void reader_close(struct reader *reader) {
    forget_watches(reader);
    filters_free(reader->filters);
    reader_checkpoint(reader);
    db_close(&reader->db);
    buffer_free(&reader->key);
    buffer_free(&reader->why);
    free(reader);
}

struct db *reader_db(struct reader *reader) {
    return &reader->db;
}

bool reader_changed(struct reader *reader) {
    db_clear(&reader->db);
    int64_t version = db_value(&reader->db, reader->data_version, -1);

    if (version == reader->seen_version && version != -1) {
        return false;
    }
    reader->seen_version = version;
    return true;
}

bool reader_is_wal(const struct reader *reader) {
    return reader->wal;
}

bool reader_begin(struct reader *reader) {
    db_clear(&reader->db);
    db_watch(&reader->db);
    if (!db_run(&reader->db, reader->begin)) {
        return false;
    }
    /* The first read takes the snapshot; a schema that moved makes every watch compile anew. */
    int64_t schema = db_value(&reader->db, reader->schema, -1);

    if (reader->db.rc == SQLITE_OK && schema != reader->seen_schema) {
        forget_watches(reader);
        reader->seen_schema = schema;
    }
    read_mode(reader);
    if (reader->db.rc != SQLITE_OK) {
        int rc = reader->db.rc;

        reader_end(reader);
        reader->db.rc = rc;
        return false;
    }
    return true;
}

void reader_end(struct reader *reader) {
    reader_rows_done(reader);
    if (reader->filters != NULL) {
        filters_rest(reader->filters);
    }
    if (!sqlite3_get_autocommit(reader->db.handle)) {
        sqlite3_step(reader->end); /* ends a read: there is nothing that could fail to be written */
        sqlite3_reset(reader->end);
    }
}

/* Where a hand took it away, every commit may be a change. */
int64_t reader_revision(struct reader *reader) {
    int64_t revision = db_value(&reader->db, reader->revision, -1);

    return revision >= 0 ? revision : db_value(&reader->db, reader->data_version, -1);
}

int64_t reader_schema(struct reader *reader) {
    return reader->seen_schema;
}

int64_t reader_newest(struct reader *reader) {
    return db_value(&reader->db, reader->newest, 0);
}

static void ask_for(struct reader *reader, sqlite3_stmt *rows, int64_t after, int64_t most) {
    reader->current = rows;
    db_int(&reader->db, rows, 1, after);
    db_int(&reader->db, rows, 2, most);
}

void reader_rows(struct reader *reader, int64_t after, int64_t most) {
    ask_for(reader, reader->rows, after, most);
}

void reader_ahead(struct reader *reader, int64_t after, int64_t most) {
    ask_for(reader, reader->ahead, after, most);
}

void reader_rows_done(struct reader *reader) {
    if (reader->current != NULL) {
        db_reset(reader->current);
        reader->current = NULL;
    }
}

static const char *event_of(struct reader *reader, sqlite3_stmt *current, struct outbox_row *row) {
    if (row->captured) {
        const struct watch *watch =
            watch_of(&reader->watches, sqlite3_column_int64(current, ROW_WATCH));

        row->conditional =
            watch != NULL && (watch->expander == NULL || expander_is_conditional(watch->expander));
        return watch != NULL ? watch->event : NULL;
    }
    const char *name = db_string(current, ROW_EVENT);

    if (name == NULL ||
        event_check(name, (size_t)sqlite3_column_bytes(current, ROW_EVENT)) != NULL) {
        return NULL;
    }
    return name;
}

bool reader_next(struct reader *reader, struct outbox_row *row) {
    sqlite3_stmt *current = reader->current;

    db_watch(&reader->db); /* expressions have a fence of their own */
    if (current == NULL || !db_row(&reader->db, current)) {
        return false;
    }
    row->id = sqlite3_column_int64(current, ROW_ID);
    row->created_at = sqlite3_column_int64(current, ROW_CREATED_AT);
    row->deliver_at = sqlite3_column_int64(current, ROW_DELIVER_AT);
    row->only = db_string(current, ROW_ONLY);
    row->captured = sqlite3_column_type(current, ROW_WATCH) == SQLITE_INTEGER;
    row->conditional = false;
    row->event = event_of(reader, current, row);
    return reader->db.rc ==
           SQLITE_OK; /* that its name can't be read does not say that it has none */
}

bool reader_row(struct reader *reader, int64_t id, struct outbox_row *row) {
    reader_rows_done(reader);
    reader->current = reader->one;
    db_int(&reader->db, reader->one, 1, id);
    return reader_next(reader, row);
}

bool reader_has(struct reader *reader, int64_t id, int64_t created_at) {
    struct outbox_row row;
    bool there = id == 0 || (reader_row(reader, id, &row) && row.created_at == created_at);

    reader_rows_done(reader);
    return there || reader->db.rc != SQLITE_OK;
}

/* A reason as the views show it, good until the next. SQLite's words repeat values and names. */
static const char *say(struct reader *reader, const char *before, const char *text) {
    buffer_clear(&reader->why);
    buffer_text(&reader->why, before);
    render_plain(&reader->why, text, strnlen(text, WHY_MOST));
    return reader->why.failed ? "there is no memory to say why" : reader->why.data;
}

/* A look-up by rowid, which costs nothing next to a request. */
static enum reading own_headers(struct reader *reader, const char ***headers, const char **why) {
    struct db *db = &reader->db;
    enum reading reading = READ_BODY;

    db_int(db, reader->extra, 1, sqlite3_column_int64(reader->current, ROW_ID));
    db_int(db, reader->extra, 2, sqlite3_column_int64(reader->current, ROW_CREATED_AT));
    if (db_row(db, reader->extra)) {
        const char *text = db_string(reader->extra, 0);
        const char *wrong = text != NULL ? headers_read(text, headers) : NULL;

        if (wrong != NULL) {
            *why = say(reader, "its headers can't be sent: ", wrong);
            reading = READ_DEAD;
        }
        db_reset(reader->extra);
    }
    return db->rc == SQLITE_OK ? reading : READ_LATER;
}

static enum reading emitted_body(struct reader *reader, struct buffer *body, struct buffer *change,
                                 bool with_change, const char **why) {
    sqlite3_stmt *row = reader->current;
    int type = sqlite3_column_type(row, ROW_PAYLOAD); /* before column_text, which may change it */
    const char *payload = db_string(row, ROW_PAYLOAD);
    size_t length = (size_t)sqlite3_column_bytes(row, ROW_PAYLOAD);

    cell_render_key((struct cell){row, ROW_KEY}, &reader->key);
    reader->knows_key = true;
    if (payload == NULL || type == SQLITE_BLOB || json_check(payload, length, NULL) != NULL) {
        *why = "payload is not JSON";
        return READ_DEAD;
    }
    render_json(body, payload, length);
    if (with_change) {
        format_emitted_change(change, body->data, body->length);
    }
    return READ_BODY;
}

static enum reading captured_body(struct reader *reader, struct buffer *body, struct buffer *change,
                                  bool with_change, const char **why) {
    sqlite3_stmt *row = reader->current;
    const struct watch *watch = watch_of(&reader->watches, sqlite3_column_int64(row, ROW_WATCH));
    struct expansion expansion;
    const char *error = NULL;

    if (watch == NULL) {
        return READ_LATER;
    }
    if (watch->expander == NULL) {
        *why = say(reader, "", watch->error != NULL ? watch->error : "its watch is not known");
        return READ_HELD;
    }
    memset(&expansion, 0, sizeof expansion);
    switch (expander_run(watch->expander, row, ROW_VALUES, with_change, &expansion, &error)) {
    case FILTERED:
        return READ_FILTERED;
    case UNEXPANDABLE:
        *why = say(reader, "", error != NULL ? error : "its expressions failed");
        return READ_HELD;
    case EXPANDED:
        break;
    }
    reader->shown = watch;
    reader->truncated = expansion.truncated;
    buffer_append(body, expansion.payload.data, expansion.payload.length);
    if (expansion.has_key) {
        buffer_append(&reader->key, expansion.key.data, expansion.key.length);
    }
    reader->knows_key = true;
    if (with_change) {
        buffer_append(change, expansion.change.data, expansion.change.length);
    }
    return READ_BODY;
}

enum reading reader_body(struct reader *reader, struct buffer *body, struct buffer *change,
                         bool with_change, const char ***headers, const char **why) {
    enum reading reading;

    reader->shown = NULL;
    reader->truncated = false;
    reader->knows_key = false;
    if (reader->filters != NULL) {
        filters_begin(reader->filters);
    }
    buffer_clear(&reader->key);
    bool captured = sqlite3_column_type(reader->current, ROW_WATCH) == SQLITE_INTEGER;

    reading = captured ? captured_body(reader, body, change, with_change, why)
                       : emitted_body(reader, body, change, with_change, why);
    if (body->failed || change->failed || reader->key.failed) {
        memory_exhausted(); /* half a body is none, and without its key it has no place */
    }
    return reading == READ_BODY && !captured ? own_headers(reader, headers, why) : reading;
}

enum reading reader_judge(struct reader *reader, const char *filter, const char *event,
                          const struct buffer *body, const char **why) {
    const struct watch *watch = reader->shown;
    const char *error = NULL;

    if (reader->truncated) {
        *why = "filter: the row is larger than capture_max: there is nothing to judge by";
        return READ_DEAD;
    }
    if (reader->filters == NULL) {
        reader->filters = filters_new(reader->db.handle, FILTERS_BYTES);
    }
    switch (filters_judge(reader->filters, filter, watch != NULL ? watch->id : 0,
                          watch != NULL ? watch->expander : NULL, event, body, &error)) {
    case FILTER_PASSES:
        return READ_BODY;
    case FILTER_STOPS:
        return READ_FILTERED;
    default:
        *why = say(reader, "filter: ", error);
        return READ_HELD;
    }
}

const char *reader_key(const struct reader *reader) {
    return !reader->knows_key ? NULL : reader->key.length > 0 ? reader->key.data : "";
}
