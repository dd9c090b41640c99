/*
** watches.c: see watches.h.
** SPDX-License-Identifier: MIT
*/
#include "watches.h"

#include <stdlib.h>

#include "event.h"
#include "memory.h"

void watches_open(struct watches *watches, struct db *db) {
    watches->db = db;
    watches->event = db_prepare(db, "SELECT event FROM main.resthook_watch WHERE id = ?1");
}

static void free_watch(struct watch *watch) {
    expander_free(watch->expander);
    sqlite3_free(watch->error);
    free(watch->event);
    free(watch);
}

void watches_forget(struct watches *watches) {
    for (int i = 0; i < WATCH_BUCKETS; i++) {
        while (watches->bucket[i] != NULL) {
            struct watch *watch = watches->bucket[i];

            watches->bucket[i] = watch->next;
            free_watch(watch);
        }
    }
}

/* NULL: none that may become a header. */
static char *read_event(struct watches *watches, int64_t id) {
    char *event = NULL;

    db_int(watches->db, watches->event, 1, id);
    if (db_row(watches->db, watches->event)) {
        event = db_copy(watches->event, 0);
        if (event != NULL &&
            event_check(event, (size_t)sqlite3_column_bytes(watches->event, 0)) != NULL) {
            free(event);
            event = NULL;
        }
        db_reset(watches->event);
    }
    return event;
}

const struct watch *watch_of(struct watches *watches, int64_t id) {
    struct watch **bucket = &watches->bucket[(uint64_t)id % WATCH_BUCKETS];
    struct db *db = watches->db;
    struct watch *watch;

    for (watch = *bucket; watch != NULL; watch = watch->next) {
        if (watch->id == id) {
            return watch;
        }
    }
    watch = xcalloc(1, sizeof *watch);
    watch->id = id;
    int rc = expander_open(db->handle, id, &watch->expander, &watch->error);

    if (db_is_passing(rc)) {
        db_fail(db, "%s", watch->error != NULL ? watch->error : sqlite3_errstr(rc));
    }
    watch->expander = rc == SQLITE_OK ? watch->expander : NULL;
    watch->event = read_event(watches, id);
    if (db->rc != SQLITE_OK) {
        free_watch(watch);
        return NULL;
    }
    watch->next = *bucket;
    *bucket = watch;
    return watch;
}
