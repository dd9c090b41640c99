/*
** roster_copy.c: see roster_copy.h.
**
** With a rollback journal a reader makes a commit wait, so that no snapshot may last longer than a
** millisecond; to obey twenty thousand subscriptions takes hundreds. Their rows are therefore
** copied to memory in slices, each with a snapshot of its own, all of the same revision of app.db:
** where it moved, the copy begins anew. What is then done with them holds no lock.
** SPDX-License-Identifier: MIT
*/
#include "roster_copy.h"

#include <stdlib.h>

#include "memory.h"
#include "sql.h"
#include "stopwatch.h"

#define SLICE_US 700 /* of reading; beginning and ending the snapshot take time too */
#define BATCH 20     /* rows between two looks at the stopwatch */

struct roster_copy {
    struct db memory;
    sqlite3_stmt *slice, *add, *list, *clear;
    int columns;
    bool begun;
    int64_t revision, schema, cursor; /* what it is a copy of */
    char *last;                       /* id of the last row copied */
};

void roster_copy_free(struct roster_copy *copy) {
    db_close(&copy->memory);
    free(copy->last);
    free(copy);
}

struct roster_copy *roster_copy_new(struct db *app) {
    struct roster_copy *copy = xcalloc(1, sizeof *copy);
    char *slice =
        xprintf("SELECT * FROM (%s) WHERE id > ?2 ORDER BY id LIMIT ?3", sql_app_subscriptions);
    char *create = xstrdup("CREATE TABLE copy(c0"), *add = xstrdup("INSERT INTO copy VALUES (?");

    copy->slice = db_prepare(app, slice);
    copy->columns = sqlite3_column_count(copy->slice);
    for (int i = 1; i < copy->columns; i++) {
        char *longer_create = xprintf("%s, c%d", create, i), *longer_add = xprintf("%s, ?", add);

        free(create);
        free(add);
        create = longer_create;
        add = longer_add;
    }
    char *created = xprintf("%s)", create), *added = xprintf("%s)", add);

    db_open(&copy->memory, ":memory:", false, 0);
    /* What is dropped is given back, and there are secrets in it. */
    db_exec(&copy->memory, "PRAGMA auto_vacuum=FULL; PRAGMA secure_delete=ON");
    db_exec(&copy->memory, created);
    copy->add = db_prepare(&copy->memory, added);
    copy->list = db_prepare(&copy->memory, "SELECT * FROM copy ORDER BY rowid");
    copy->clear = db_prepare(&copy->memory, "DELETE FROM copy");
    free(slice);
    free(create);
    free(add);
    free(created);
    free(added);
    if (copy->slice == NULL || copy->memory.rc != SQLITE_OK) {
        roster_copy_free(copy);
        return NULL;
    }
    return copy;
}

void roster_copy_drop(struct roster_copy *copy) {
    copy->begun = false;
    db_run(&copy->memory, copy->clear);
}

static void begin(struct roster_copy *copy, int64_t revision, int64_t schema, int64_t cursor) {
    db_clear(&copy->memory);
    roster_copy_drop(copy);
    copy->begun = true;
    copy->revision = revision;
    copy->schema = schema;
    copy->cursor = cursor;
    free(copy->last);
    copy->last = xstrdup("");
}

/* Returns whether there may be more. */
static bool copy_some(struct roster_copy *copy, struct db *app) {
    char *last = NULL;
    int count = 0;

    db_int(app, copy->slice, 1, copy->cursor);
    db_text(app, copy->slice, 2, copy->last);
    db_int(app, copy->slice, 3, BATCH);
    while (db_row(app, copy->slice)) {
        for (int i = 0; i < copy->columns; i++) {
            int rc = sqlite3_bind_value(copy->add, i + 1, sqlite3_column_value(copy->slice, i));

            if (rc != SQLITE_OK) { /* it would be NULL, and he another, until a restart */
                db_fail(&copy->memory, "%s", sqlite3_errstr(rc));
            }
        }
        db_run(&copy->memory, copy->add);
        if (++count == BATCH) {
            last = db_copy(copy->slice, 0);
        }
    }
    if (last != NULL) {
        free(copy->last);
        copy->last = last;
    }
    return count == BATCH;
}

bool roster_copy_slice(struct roster_copy *copy, struct db *app, int64_t revision, int64_t schema,
                       int64_t cursor) {
    int64_t began = stopwatch_us();
    bool more = true;

    if (!copy->begun || copy->revision != revision || copy->schema != schema) {
        begin(copy, revision, schema, cursor);
    }
    while (more && stopwatch_us() - began < SLICE_US) {
        more = copy_some(copy, app);
    }
    return !more;
}

struct db *roster_copy_db(struct roster_copy *copy) {
    return &copy->memory;
}

sqlite3_stmt *roster_copy_list(struct roster_copy *copy) {
    return copy->list;
}
