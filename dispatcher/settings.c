/*
** settings.c: see settings.h.
** SPDX-License-Identifier: MIT
*/
#include "settings.h"

#include <stdio.h>
#include <string.h>

#include "hooks.h"
#include "retry.h"

void settings_read(struct settings *settings, struct db *app, sqlite3_stmt *list) {
    struct settings s;
    const struct {
        const char *name;
        int64_t *value;
        int64_t unit; /* ms in one, or 1 */
    } numbers[] = {
        {"timeout", &s.timeout, 1000},
        {"connect_timeout", &s.connect_timeout, 1000},
        {"retry_after_max", &s.retry_after_most, 1000},
        {"keep_events", &s.keep_events, 1000},
        {"keep_deliveries", &s.keep_deliveries, 1000},
        {"keep_dead", &s.keep_dead, 1000},
        {"keep_attempts", &s.keep_attempts, 1000},
        {"keep_pending", &s.keep_pending, 1000},
        {"keep_pending_rows", &s.keep_pending_rows, 1},
        {"failing_after", &s.failing_after, 1000},
        {"failing_probe", &s.failing_probe, 1000},
        {"max_in_flight", &s.endpoint_most, 1},
        {"sync_every", &s.sync_every, 1000},
        {"idempotency_window", &s.idempotency_window, 1000},
        {"response_max", &s.response_most, 1},
        {"response_headers_max", &s.headers_most, 1},
    };
    enum { NUMBERS = sizeof numbers / sizeof *numbers };

    for (size_t i = 0; i < NUMBERS; i++) {
        *numbers[i].value =
            (int64_t)(setting_bounded(numbers[i].name, NULL) * (double)numbers[i].unit);
    }
    snprintf(s.retry_schedule, sizeof s.retry_schedule, "%s", RETRY_STANDARD);
    while (db_row(app, list)) {
        const char *name = db_string(list, 0);
        double value = sqlite3_column_double(list, 1); /* before column_text, which may change it */
        const char *text = db_string(list, 1);

        if (name == NULL || text == NULL) {
            continue;
        }
        for (size_t i = 0; i < NUMBERS; i++) {
            if (strcmp(name, numbers[i].name) == 0) {
                *numbers[i].value =
                    (int64_t)(setting_bounded(name, &value) * (double)numbers[i].unit);
            }
        }
        if (strcmp(name, "retry_schedule") == 0) {
            snprintf(s.retry_schedule, sizeof s.retry_schedule, "%s", text);
        }
    }
    if (app->rc == SQLITE_OK) {
        *settings = s;
    }
}
