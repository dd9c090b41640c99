/*
** trigger.h: the text of a watch's trigger. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_TRIGGER_H
#define RESTHOOK_TRIGGER_H

#include <stdbool.h>
#include <stdint.h>

#include "clause.h"

#define TRIGGER_KEPT_MAX 1000 /* bytes, less than any capture_max */

/* One captured value: v0, v1, … in this order. */
struct trigger_value {
    bool old;           /* of OLD, not of NEW */
    bool key;           /* stands for a row that is too large to capture */
    bool small;         /* never more than an integer: a rowid */
    bool kept;          /* captured of such a row too, if all that are fit into TRIGGER_KEPT_MAX */
    const char *column; /* or the name by which the rowid is reached */
};

struct trigger {
    int64_t id;    /* of the version: the trigger is resthook_watch_<id> */
    bool disarmed; /* nobody is interested: no statement has it compiled in (see trigger.c) */
    enum operation operation;
    const char *table;
    const char *const *of; /* update of these columns only; none: of any */
    int of_count;
    const char *const *changed; /* fires only if one of these differs; none: always */
    int changed_count;
    bool never; /* does not fire at all */
    const struct trigger_value *values;
    int width;
    int64_t capture_max; /* bytes of a row that is captured whole */
};

/* Writes CREATE TRIGGER main."resthook_watch_<id>" …; the names are the caller's, as the schema
** spells them. */
void trigger_write(const struct trigger *trigger, struct buffer *out);

/* Is this what sqlite_master has after `written` was run? SQLite leaves the database's name out.
** stored NULL: false. */
bool trigger_is(const char *written, const char *stored);

/* Is that what sqlite_master has of a disarmed one? stored NULL: false. */
bool trigger_is_disarmed(const char *stored);

/* Writes what sqlite_master has of a trigger, armed or disarmed as `trigger` is, of which id, operation
** and `of` are read: what stands behind them stays as a RENAME left it. false: it is none of ours. */
bool trigger_turn(const char *stored, const struct trigger *trigger, struct buffer *out);

/* Appends an SQL identifier in quotes. */
void trigger_name(struct buffer *out, const char *name);
/* Appends a printf-formatted text of at most 100 bytes. */
void trigger_format(struct buffer *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
