/*
** trigger.c: writes the trigger that captures a row. It runs in the application's statements, with
** nothing but core SQL, and must never make one fail, change what it shows, or stand in the way of
** a migration. Why it looks as it does, for a table t(id, a) and version 7:
**
**   CREATE TRIGGER main."resthook_watch_7" AFTER INSERT ON "t"
**   WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=7)
**   BEGIN
**   INSERT INTO resthook_outbox(watch,v0,v1)
**     SELECT 7,(SELECT NEW."id")v0,(SELECT NEW."a")v1 FROM(SELECT NULL "a")new
**     WHERE(SELECT(8+ifnull(length(CAST(NEW."a" AS BLOB)),0)))<=1048576;
**   INSERT INTO resthook_outbox(watch,v0,v2)SELECT 7,NEW."id",1 WHERE changes()=0;
**   END
**
** - While nobody is subscribed it is AFTER UPDATE OF "nobody subscribed", a column that the table has
**   not (SQLite asks for none), and else the same: it is disarmed. No statement has it compiled in, so
**   a writer pays nothing, and whatever is renamed is renamed in it. Who subscribes arms it (arm.c).
**   One of "update of a, b" is always armed: its text alone follows those names.
** - The guard is one look-up by rowid. It stops an armed one whose last subscription ended, until the
**   dispatcher disarms it.
** - (SELECT NEW.a) finds the trigger's NEW first. After ALTER TABLE DROP COLUMN a, which parses
**   every trigger again and fails on a name that is gone, it finds the row of NULLs called new in
**   the scope around it. A RENAME before that renames NEW.a and not the NULL's name; then the DROP
**   fails, whatever the form: only names that are the column are renamed, and what is found when the
**   column is gone must not be it.
** - The sizes are added up in one SELECT of their own, from NEW and not from v0, v1 …: where a value
**   is an expression's result it is copied each time it is named, which made a row a quarter dearer.
**   A rowid takes 8 bytes and is not measured.
** - A row too large leaves the first INSERT without a row, and changes() of that INSERT is then 0:
**   exactly one of the two writes, whatever the values. length() of text stops at NUL and that of
**   NULL is NULL, hence CAST and ifnull. The second is at 8 columns 4 µs of a statement that is
**   prepared anew; a CASE around every value is 20.
** - Where `when` reads columns, the second captures them too, if they are small, so that `when` can
**   be asked: ,CASE m WHEN 0 THEN k0 END,1+m FROM(SELECT *,(sum)>1000 m FROM(… k0 … LIMIT 1)LIMIT 1).
**   A watch without `when` pays nothing for it.
** - A key value that is itself larger than the limit is left out, so that no row is copied that
**   SQLite could refuse.
** - The sum and the comparison of `changed` are balanced trees: an expression may be 1,000 deep, a
**   row 1,900 wide.
** - `changed` compares type and bytes: unary plus takes a column's affinity away, COLLATE BINARY
**   its collation. Reals are compared as reals; 0.0 and -0.0 are the same to every operator that
**   SQLite has.
**
** The text is as long as it must be and no longer: each statement a writer prepares compiles it.
** SPDX-License-Identifier: MIT
*/
#include "trigger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CREATE "CREATE TRIGGER "
#define DATABASE "main." /* else a TEMP table of the same name would be watched */
#define NAME "\"resthook_watch_%" PRId64 "\""
#define NOBODY "UPDATE OF \"nobody subscribed\""

void trigger_name(struct buffer *out, const char *name) {
    buffer_text(out, "\"");
    for (; *name != '\0'; name++) {
        buffer_append(out, name, 1);
        if (*name == '"') {
            buffer_append(out, name, 1);
        }
    }
    buffer_text(out, "\"");
}

void trigger_format(struct buffer *out, const char *format, ...) {
    char text[101];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_text(out, text);
}

typedef void (*write_item)(const struct trigger *trigger, struct buffer *out, int i);

/* Writes item(first) op item(first + 1) op …, as a balanced tree in parentheses. */
static void write_tree(const struct trigger *trigger, struct buffer *out, int first, int end,
                       const char *operator, write_item item) {
    int middle = first + (end - first) / 2;

    if (end - first == 1) {
        item(trigger, out, first);
        return;
    }
    buffer_text(out, "(");
    write_tree(trigger, out, first, middle, operator, item);
    buffer_text(out, operator);
    write_tree(trigger, out, middle, end, operator, item);
    buffer_text(out, ")");
}

/* NEW."a" or OLD."a": value i's column. */
static void write_column(const struct trigger *trigger, struct buffer *out, int i) {
    buffer_text(out, trigger->values[i].old ? "OLD." : "NEW.");
    trigger_name(out, trigger->values[i].column);
}

static void write_size(const struct trigger *trigger, struct buffer *out, int i) {
    if (trigger->values[i].small) {
        buffer_text(out, "8");
        return;
    }
    buffer_text(out, "ifnull(length(CAST(");
    write_column(trigger, out, i);
    buffer_text(out, " AS BLOB)),0)");
}

static void write_kept_size(const struct trigger *trigger, struct buffer *out, int i) {
    (void)trigger;
    trigger_format(out, "ifnull(length(CAST(k%d AS BLOB)),0)", i);
}

static void write_difference(const struct trigger *trigger, struct buffer *out, int i) {
    (void)trigger;
    trigger_format(out, "(typeof(n%d)<>typeof(o%d)OR+n%d COLLATE BINARY IS NOT+o%d)", i, i, i, i);
}

/* AND EXISTS(…): one of the columns `changed` differs. */
static void write_changed(const struct trigger *trigger, struct buffer *out) {
    buffer_text(out, " AND EXISTS(SELECT 1 FROM(SELECT");
    for (int i = 0; i < trigger->changed_count; i++) {
        buffer_text(out, i > 0 ? ",(SELECT NEW." : "(SELECT NEW.");
        trigger_name(out, trigger->changed[i]);
        trigger_format(out, ")n%d,(SELECT OLD.", i);
        trigger_name(out, trigger->changed[i]);
        trigger_format(out, ")o%d", i);
    }
    buffer_text(out, " FROM");
    for (int side = 0; side < 2; side++) {
        buffer_text(out, side == 0 ? "(SELECT" : ",(SELECT");
        for (int i = 0; i < trigger->changed_count; i++) {
            buffer_text(out, i > 0 ? ",NULL " : " NULL ");
            trigger_name(out, trigger->changed[i]);
        }
        buffer_text(out, side == 0 ? ")new" : ")old");
    }
    buffer_text(out, " LIMIT 1)WHERE");
    buffer_text(out, trigger->changed_count > 1 ? "" : " ");
    write_tree(trigger, out, 0, trigger->changed_count, "OR", write_difference);
    buffer_text(out, ")");
}

/* (SELECT NULL "a",NULL "b")new: what a dropped column is found in, of all values or of those kept.
** Returns whether there was anything to write. */
static bool write_nulls(const struct trigger *trigger, bool old, bool kept, const char *before,
                        struct buffer *out) {
    bool any = false;

    for (int i = 0; i < trigger->width; i++) {
        if (trigger->values[i].old == old && !trigger->values[i].small &&
            (!kept || trigger->values[i].kept)) {
            buffer_text(out, any ? ",NULL " : before);
            buffer_text(out, any ? "" : "(SELECT NULL ");
            trigger_name(out, trigger->values[i].column);
            any = true;
        }
    }
    if (any) {
        buffer_text(out, old ? ")old" : ")new");
    }
    return any;
}

static void write_row(const struct trigger *trigger, struct buffer *out) {
    bool any;

    buffer_text(out, "INSERT INTO resthook_outbox(watch");
    for (int i = 0; i < trigger->width; i++) {
        trigger_format(out, ",v%d", i);
    }
    trigger_format(out, ")SELECT %" PRId64, trigger->id);
    for (int i = 0; i < trigger->width; i++) {
        buffer_text(out, ",(SELECT ");
        write_column(trigger, out, i);
        trigger_format(out, ")v%d", i);
    }
    any = write_nulls(trigger, false, false, " FROM", out);
    (void)write_nulls(trigger, true, false, any ? "," : " FROM", out);
    buffer_text(out, " WHERE(SELECT ");
    write_tree(trigger, out, 0, trigger->width, "+", write_size);
    trigger_format(out, ")<=%" PRId64 ";", trigger->capture_max);
}

static void write_key(const struct trigger *trigger, struct buffer *out, int i) {
    bool small = trigger->values[i].small;

    if (!small) {
        buffer_text(out, "CASE WHEN length(CAST(");
        write_column(trigger, out, i);
        trigger_format(out, " AS BLOB))<=%" PRId64 " THEN ", trigger->capture_max);
    }
    write_column(trigger, out, i);
    buffer_text(out, small ? "" : " END");
}

/* FROM(SELECT *,(sum of their sizes)>1000 m FROM(the kept values as k0, k1 …)). */
static void write_kept(const struct trigger *trigger, int count, struct buffer *out) {
    int k = 0;
    bool any;

    buffer_text(out, " FROM(SELECT *,");
    write_tree(trigger, out, 0, count, "+", write_kept_size);
    trigger_format(out, ">%d m FROM(SELECT", TRIGGER_KEPT_MAX);
    for (int i = 0; i < trigger->width; i++) {
        if (trigger->values[i].kept) {
            buffer_text(out, k > 0 ? ",(SELECT " : "(SELECT ");
            write_column(trigger, out, i);
            trigger_format(out, ")k%d", k++);
        }
    }
    any = write_nulls(trigger, false, true, " FROM", out);
    (void)write_nulls(trigger, true, true, any ? "," : " FROM", out);
    buffer_text(out, " LIMIT 1)LIMIT 1)");
}

/* What stands for a row that is too large: its key, what `when` reads if it is small, and a mark in
** the column behind the values: 1, or 2 where the latter is not there. */
static void write_mark(const struct trigger *trigger, struct buffer *out) {
    int kept = 0;

    buffer_text(out, "INSERT INTO resthook_outbox(watch");
    for (int i = 0; i < trigger->width; i++) {
        if (trigger->values[i].key || trigger->values[i].kept) {
            trigger_format(out, ",v%d", i);
        }
    }
    trigger_format(out, ",v%d)SELECT %" PRId64, trigger->width, trigger->id);
    for (int i = 0; i < trigger->width; i++) {
        if (trigger->values[i].key) {
            buffer_text(out, ",");
            write_key(trigger, out, i);
        } else if (trigger->values[i].kept) {
            trigger_format(out, ",CASE m WHEN 0 THEN k%d END", kept++);
        }
    }
    buffer_text(out, kept > 0 ? ",1+m" : ",1");
    if (kept > 0) {
        write_kept(trigger, kept, out);
    }
    buffer_text(out, kept > 0 ? "WHERE changes()=0;" : " WHERE changes()=0;");
}

/* CREATE TRIGGER main."resthook_watch_7" AFTER UPDATE OF "a" and what separates it from its ON. */
static void write_head(const struct trigger *trigger, struct buffer *out) {
    static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};

    trigger_format(out, CREATE DATABASE NAME " AFTER ", trigger->id);
    if (trigger->disarmed) {
        buffer_text(out, NOBODY " ");
        return;
    }
    buffer_text(out, events[trigger->operation]);
    for (int i = 0; i < trigger->of_count; i++) {
        buffer_text(out, i > 0 ? "," : " OF ");
        trigger_name(out, trigger->of[i]);
    }
    buffer_text(out, " ");
}

void trigger_write(const struct trigger *trigger, struct buffer *out) {
    write_head(trigger, out);
    buffer_text(out, "ON ");
    trigger_name(out, trigger->table);
    trigger_format(out, " WHEN EXISTS(SELECT 1 FROM resthook_interest WHERE watch=%" PRId64 ")",
                   trigger->id);
    if (trigger->changed_count > 0) {
        write_changed(trigger, out);
    }
    buffer_text(out, trigger->never ? " AND 0" : "");
    buffer_text(out, " BEGIN ");
    write_row(trigger, out);
    write_mark(trigger, out);
    buffer_text(out, "END");
}

bool trigger_is(const char *written, const char *stored) {
    return stored != NULL && strncmp(stored, CREATE, strlen(CREATE)) == 0 &&
           strcmp(stored + strlen(CREATE), written + strlen(CREATE DATABASE)) == 0;
}

/* Where the ON stands that is neither a name nor part of one; NULL: nowhere. */
static const char *find_on(const char *stored) {
    const char *at = stored;

    while (at != NULL && *at != '\0') {
        const char *wrong, *end;
        bool blank;

        end = clause_token(at, &blank, &wrong);
        if (end == at + 2 && strncmp(at, "ON", 2) == 0) {
            return at;
        }
        at = end;
    }
    return NULL;
}

bool trigger_is_disarmed(const char *stored) {
    const char *on = stored != NULL ? find_on(stored) : NULL;
    const size_t length = strlen(NOBODY " ");

    return on != NULL && (size_t)(on - stored) > length &&
           strncmp(on - length, NOBODY, length - 1) == 0;
}

bool trigger_turn(const char *stored, const struct trigger *trigger, struct buffer *out) {
    const char *on = strncmp(stored, CREATE, strlen(CREATE)) == 0 ? find_on(stored) : NULL;

    if (on == NULL) {
        return false;
    }
    write_head(trigger, out);
    buffer_text(out, on);
    return true;
}
