/*
** narrowing.c: see narrowing.h. SQLite checks every condition once more, so what is read may be too
** much, but never too little.
** SPDX-License-Identifier: MIT
*/
#include "narrowing.h"

#include <stdlib.h>
#include <string.h>

static void narrow_subscription(struct narrowing *narrowing, const char *id, size_t length) {
    if (id == NULL || length >= sizeof narrowing->subscription ||
        (narrowing->by_subscription && (strncmp(narrowing->subscription, id, length) != 0 ||
                                        narrowing->subscription[length] != '\0'))) {
        narrowing->none = true;
        return;
    }
    memcpy(narrowing->subscription, id, length);
    narrowing->subscription[length] = '\0';
    narrowing->by_subscription = true;
}

static void narrow_event(struct narrowing *narrowing, sqlite3_int64 event) {
    narrowing->none = narrowing->none || (narrowing->by_event && narrowing->event != event);
    narrowing->event = event;
    narrowing->by_event = true;
}

void narrowing_read(struct narrowing *narrowing, int by, sqlite3_value **argv) {
    memset(narrowing, 0, sizeof *narrowing);
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

        narrow_subscription(narrowing, id,
                            dash != NULL ? (size_t)(dash - id) : sizeof narrowing->subscription);
        narrow_event(narrowing, dash != NULL ? strtoll(dash + 1, NULL, 10) : 0);
    }
}

char *narrowing_sql(const struct narrowing *narrowing, const char *sql, const char *event_column) {
    static const char sub_mark[] = "(SUB)", event_mark[] = "(EVENT)";
    char *text = sqlite3_mprintf("%s", "");

    while (text != NULL && *sql != '\0') {
        const char *sub = strstr(sql, sub_mark), *event = strstr(sql, event_mark);
        const char *next = sub != NULL && (event == NULL || sub < event) ? sub : event;
        char *longer;

        if (next == NULL) {
            longer = sqlite3_mprintf("%s%s", text, sql);
            sql += strlen(sql);
        } else if (next == sub) {
            longer = sqlite3_mprintf("%s%.*s%s", text, (int)(next - sql), sql,
                                     narrowing->by_subscription ? "s.id = ?1" : "1");
            sql = next + sizeof sub_mark - 1;
        } else {
            longer = sqlite3_mprintf("%s%.*s%s%s", text, (int)(next - sql), sql,
                                     narrowing->by_event ? event_column : "1",
                                     narrowing->by_event ? " = ?2" : "");
            sql = next + sizeof event_mark - 1;
        }
        sqlite3_free(text);
        text = longer;
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
