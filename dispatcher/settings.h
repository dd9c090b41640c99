/*
** settings.h: the settings of one database (resthook_setting), as its last snapshot has them. What they
** mean, and their bounds, is in ext/settings.c.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_SETTINGS_H
#define RESTHOOKD_SETTINGS_H

#include "db.h"

struct settings {
    int64_t timeout, connect_timeout, retry_after_most;                           /* ms */
    int64_t keep_events, keep_deliveries, keep_dead, keep_attempts, keep_pending; /* ms */
    int64_t keep_pending_rows;
    int64_t failing_after, failing_probe; /* ms */
    int64_t endpoint_most;
    int64_t sync_every;         /* ms */
    int64_t idempotency_window; /* ms */
    int64_t response_most, headers_most;
    char retry_schedule[512];
};

/* Reads them from the rows of `list` (sql_app_settings): whatever stands there, and whatever is missing,
** they come within their bounds. Where app has an error they stay as they were. */
void settings_read(struct settings *settings, struct db *app, sqlite3_stmt *list);

#endif
