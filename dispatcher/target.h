/*
** target.h: what all requests of a subscription have in common, as its row says: URL, secrets,
** headers, schedule.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_TARGET_H
#define RESTHOOKD_TARGET_H

#include <sqlite3.h>

#include "secrets.h"
#include "source.h"

struct settings;

/* The columns of app_subscriptions (sql/outbox.sql). */
enum subscription_column {
    COL_ID,
    COL_EVENT,
    COL_TARGET,
    COL_STATUS,
    COL_SECRET,
    COL_OLD_SECRET,
    COL_OLD_SECRET_UNTIL,
    COL_VERIFY_SECRET,
    COL_VERIFY_EVENT,
    COL_HEADERS,
    COL_FORMAT,
    COL_MAX_IN_FLIGHT,
    COL_TIMEOUT,
    COL_RETRY_SCHEDULE,
    COL_RETRY_STATUSES,
    COL_FROM_ID,
    COL_TO_ID,
    COL_REVISION,
    COL_UPDATED_AT,
    COL_FILTER,
    COL_RATE,
    COL_ORDERED,
};

struct sub_target { /* struct target and what it points to */
    struct target target;
    int references;
    char *url, *headers_text, *schedule, *secret, *old_secret;
    struct statuses statuses;
    int64_t old_secret_until;
    const char **headers;
    bool signs;                /* all that it signs with could be read */
    char *challenge;           /* what it has to give back to be active; NULL: nothing (any more) */
    const char *secret_file;   /* its name, in secret; NULL: the secret is in the row */
    struct secret_stamp stamp; /* of that file when it was read */
};

/*
** Reads it; before: as it was when the row was last read, NULL at first: what it signs with is kept
** where that is still the same. *wrong: why the row can't be obeyed, good until the next call, or
** NULL. Never NULL itself. Held once.
*/
struct sub_target *sub_target_read(sqlite3_stmt *row, const struct sub_target *before,
                                   const struct settings *settings, const struct secrets *secrets,
                                   const char **wrong);
void sub_target_hold(struct sub_target *target);
void sub_target_release(struct sub_target *target);

/* An integer of a row, or what stands for NULL. */
int64_t target_column(sqlite3_stmt *row, int column, int64_t otherwise);

#endif
