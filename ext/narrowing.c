/*
** narrowing.c: see narrowing.h. SQLite checks every condition once more, so what is read may be too
** much, but never too little.
** SPDX-License-Identifier: MIT
*/
#include "narrowing.h"

#include <stdlib.h>
#include <string.h>

static void narrow_subscription(struct narrowing *narrowing, const char *id, size_t length) {
    if (id != NULL && length >= sizeof narrowing->subscription) {
        return; /* none of ours is as long: SQLite looks through all there are */
    }
    if (id == NULL ||
        (narrowing->by_subscription && (strncmp(narrowing->subscription, id, length) != 0 ||
                                        narrowing->subscription[length] != '\0'))) {
        narrowing->none = true;
        return;
    }
    memcpy(narrowing->subscription, id, length);
    narrowing->subscription[length] = '\0';
    narrowing->by_subscription = true;
}

static void narrow_state(struct narrowing *narrowing, const char *state) {
    static const char *const open_ones[] = {"pending", "retrying", "held"};

    for (int i = 0; state != NULL && i < 3; i++) {
        if (strcmp(state, open_ones[i]) == 0) {
            narrowing->state = i;
        }
    }
    narrowing->state = state != NULL && strcmp(state, "dead") == 0 ? STATE_DEAD : narrowing->state;
    narrowing->recorded_only = state != NULL && strcmp(state, "pending") != 0;
}

static void narrow_event(struct narrowing *narrowing, sqlite3_int64 event) {
    narrowing->none = narrowing->none || (narrowing->by_event && narrowing->event != event);
    narrowing->event = event;
    narrowing->by_event = true;
}

void narrowing_read(struct narrowing *narrowing, int by, sqlite3_value **argv) {
    memset(narrowing, 0, sizeof *narrowing);
    narrowing->state = STATE_ANY;
    if ((by & BY_SUBSCRIPTION) != 0) {
        const char *id = (const char *)sqlite3_value_text(*argv);

        narrow_subscription(narrowing, id, (size_t)sqlite3_value_bytes(*argv));
        argv++;
    }
    if ((by & BY_EVENT) != 0) {
        narrow_event(narrowing, sqlite3_value_int64(*argv));
        argv++;
    }
    if ((by & BY_DELIVERY) != 0) {
        const char *id = (const char *)sqlite3_value_text(*argv);
        const char *dash = id != NULL ? strrchr(id, '-') : NULL;

        argv++;
        if (dash == NULL) { /* no delivery has such an id */
            narrowing->none = true;
            return;
        }
        narrow_subscription(narrowing, id, (size_t)(dash - id));
        narrow_event(narrowing, strtoll(dash + 1, NULL, 10));
    }
    if ((by & BY_STATE) != 0) {
        narrow_state(narrowing, (const char *)sqlite3_value_text(*argv));
    }
}

/* What stands in the place of a mark. sqlite3_malloc'ed. */
static char *condition(const struct narrowing *narrowing, const char *mark,
                       const char *event_column) {
    if (strcmp(mark, "(SUB)") == 0) {
        return sqlite3_mprintf(narrowing->by_subscription ? "s.id = ?1" : "1");
    }
    if (strcmp(mark, "(EVENT)") == 0) {
        return narrowing->by_event ? sqlite3_mprintf("%s = ?2", event_column)
                                   : sqlite3_mprintf("1");
    }
    /* The index's own condition first: by it SQLite knows that it may use it. */
    return sqlite3_mprintf(narrowing->state == STATE_DEAD ? "d.state = 4"
                                                          : "d.state < 3 AND d.state = %d",
                           narrowing->state);
}

char *narrowing_sql(const struct narrowing *narrowing, const char *sql, const char *event_column) {
    static const char *const marks[] = {"(SUB)", "(EVENT)", "(STATE)"};
    char *text = sqlite3_mprintf("%s", "");

    while (text != NULL && *sql != '\0') {
        const char *next = NULL, *mark = NULL;

        for (int i = 0; i < 3; i++) {
            const char *at = strstr(sql, marks[i]);

            if (at != NULL && (next == NULL || at < next)) {
                next = at;
                mark = marks[i];
            }
        }
        if (next == NULL) {
            return sqlite3_mprintf("%z%s", text, sql);
        }
        char *instead = condition(narrowing, mark, event_column);

        text = instead != NULL ? sqlite3_mprintf("%z%.*s%s", text, (int)(next - sql), sql, instead)
                               : (sqlite3_free(text), NULL);
        sqlite3_free(instead);
        sql = next + strlen(mark);
    }
    return text;
}

int narrowing_bind(const struct narrowing *narrowing, sqlite3_stmt *statement) {
    int rc = SQLITE_OK;

    if (narrowing->by_subscription && sqlite3_bind_parameter_count(statement) >= 1) {
        rc = sqlite3_bind_text(statement, 1, narrowing->subscription, -1, SQLITE_TRANSIENT);
    }
    if (rc == SQLITE_OK && narrowing->by_event && sqlite3_bind_parameter_count(statement) >= 2) {
        rc = sqlite3_bind_int64(statement, 2, narrowing->event);
    }
    return rc;
}
