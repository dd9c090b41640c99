/*
** plan.h: what a watch comes to on its table as the table is now: the values to capture, the row of
** resthook_watch, the trigger.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_PLAN_H
#define RESTHOOK_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "definition.h"
#include "table.h"
#include "trigger.h"

#define PLAN_VALUES_MAX                                                                            \
    1900 /* captured values; SQLite's 2,000 columns leave room for the outbox's own */

/* What is asked for. The lists are JSON arrays of column names, NULL: none. */
struct plan_request {
    const char *table;
    enum operation operation;
    const char *of;
    const char *changed;
    bool old; /* capture the old row of an update too */
    const char *event;
    const char *options;
    int64_t capture_max;
    bool existing; /* it is watched so already: a column of `of` or `changed` that is gone never
                   ** changes, and one that became VIRTUAL is not compared */
};

struct plan {
    struct plan_request request;
    struct table table;
    char **of; /* names, the table's own */
    int of_count;
    char **changed;
    int changed_count;
    char *when; /* NULL: none, or not to be asked of a row too large to capture */
    bool never; /* of `changed` nothing is left that can be compared */
    struct trigger_value *values;
    int width;
    struct buffer captured; /* JSON, as resthook_watch has it */
    struct buffer primary_key;
    struct buffer virtuals; /* empty: none */
    struct buffer of_json;  /* empty: none */
};

/*
** Makes the plan; the request's texts must live as long. Returns SQLITE_OK, or the code;
** SQLITE_ERROR with *error when the table can't be watched so.
*/
int plan_make(sqlite3 *db, const struct plan_request *request, struct plan *plan, char **error);
void plan_free(struct plan *plan);

/* The row of resthook_watch, pointing into the plan. */
struct definition_row plan_row(const struct plan *plan);
/* The JSON array for resthook_watch.of, NULL: none. */
const char *plan_of(const struct plan *plan);
/* The text of the trigger of version id, armed or disarmed (trigger.h). */
void plan_trigger(const struct plan *plan, int64_t id, bool disarmed, struct buffer *out);

#endif
