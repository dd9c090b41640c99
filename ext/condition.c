/*
** condition.c: a subscription's filter as one statement:
**
**   WITH NEW("id","a")AS(SELECT ?1,?2),OLD("id","a")AS(SELECT NULL,NULL)
**   SELECT 1 FROM NEW,OLD WHERE(SELECT 1 FROM(SELECT ?3 AS payload,?4 AS event)WHERE(filter))
**
** The inner scope makes `payload` and `event` mean ours, whatever the table's columns are called,
** and the outer WHERE keeps an aggregate out. There may be ten thousand such statements, so NEW and
** OLD have only the columns that the filter names: of a table with a hundred that is a tenth of the
** memory.
** SPDX-License-Identifier: MIT
*/
#include "condition.h"

#include <string.h>

#include "compile.h"
#include "sqlite.h"
#include "trigger.h"

/* One of the two one-row tables. */
struct row {
    struct condition *condition;
    struct buffer *out;
    bool old;   /* which */
    bool there; /* the operation has it; otherwise it has the other's columns, all NULL */
    bool whole; /* every column, whether the text has its name or not */
};

static bool contains(const char *text, const char *word) {
    int length = (int)strlen(word);

    for (; *text != '\0'; text++) {
        if (sqlite3_strnicmp(text, word, length) == 0) {
            return true;
        }
    }
    return false;
}

/* A name with a quote in it can be written in more than one way. */
static bool is_named(const struct row *row, const char *column) {
    return row->whole || strpbrk(column, "\"'`[]") != NULL ||
           contains(row->condition->text, column);
}

/* The name of value (or, behind them, of virtual column) i; NULL: it is not of this row, or need not
** be in it. */
static const char *column_of(const struct row *row, int i) {
    const struct definition *d = row->condition->d;
    const char *column;

    if (i >= d->width) {
        column = d->virtuals[i - d->width];
    } else if (d->values[i].old == (row->there ? row->old : !row->old)) {
        column = d->values[i].column;
    } else {
        return NULL;
    }
    return is_named(row, column) ? column : NULL;
}

static void write_value(const struct row *row, int i) {
    struct condition *condition = row->condition;

    if (!row->there || condition->sources == NULL) {
        buffer_text(row->out, "NULL");
        return;
    }
    if (i >= condition->d->width && row->old) {
        i += condition->d->virtual_count;
    }
    condition->sources[condition->count++] = i;
    trigger_format(row->out, "?%d", condition->count);
}

/* NEW("a","b")AS(SELECT ?1,?2). With nothing named it has one column that nobody can know. */
static void write_row(const struct row *row) {
    const struct definition *d = row->condition->d;
    int columns = d->width + (row->condition->with_virtual ? d->virtual_count : 0);

    buffer_text(row->out, row->old ? "OLD(" : "NEW(");
    for (int pass = 0; pass < 2; pass++) {
        int written = 0;

        for (int i = 0; i < columns; i++) {
            const char *column = column_of(row, i);

            if (column == NULL) {
                continue;
            }
            buffer_text(row->out, written++ > 0 ? "," : "");
            if (pass == 0) {
                trigger_name(row->out, column);
            } else {
                write_value(row, i);
            }
        }
        buffer_text(row->out, written > 0 ? "" : pass == 0 ? "\"\"" : "NULL");
        buffer_text(row->out, pass == 0 ? ")AS(SELECT " : ")");
    }
}

void condition_write(struct condition *condition, struct buffer *out) {
    const struct definition *d = condition->d;
    bool whole = contains(condition->text, "select"); /* it may read NEW as a table */
    bool new = d != NULL && (d->has_new || d->operation == OPERATION_DELETE);
    bool old = d != NULL && (d->has_old || d->operation == OPERATION_INSERT);

    condition->count = 0;
    if (new) {
        buffer_text(out, "WITH ");
        write_row(&(struct row){condition, out, false, d->has_new, whole});
    }
    if (old) {
        buffer_text(out, new ? "," : "WITH ");
        write_row(&(struct row){condition, out, true, d->has_old, whole});
    }
    buffer_text(out, "SELECT 1");
    buffer_text(out, new ? " FROM NEW" : "");
    buffer_text(out, old ? (new ? ",OLD" : " FROM OLD") : "");
    buffer_text(out, " WHERE(SELECT 1 FROM(SELECT ");
    if (condition->sources != NULL) {
        trigger_format(out, "?%d AS payload,?%d AS event)WHERE", condition->count + 1,
                       condition->count + 2);
    } else {
        buffer_text(out, "'{}' AS payload,'' AS event)WHERE");
    }
    compile_expression(condition->text, out);
    buffer_text(out, ")");
}
