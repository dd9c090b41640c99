/*
** follow.c: what a migration renamed, followed in the row of a watch.
**
** ALTER TABLE RENAME COLUMN rewrites a trigger as it does the table, and knows nothing of our row.
** So the trigger says how each captured column is called now: value i stands in it as
** (SELECT NEW."name")v<i>. By that, `update of`, `changed` and the expressions, which say NEW.name
** and OLD.name, get the new names, as SQLite gives them to the triggers of the application's own.
**
** An expression is followed only where NEW and OLD are certain to be the rows: one in which either
** stands without a column, as a table or an alias, stays as it is. So do a column's names without
** NEW or OLD before them, and those of other tables. Whether it compiles is for others to say.
**
** Where a column was dropped and another got its name the trigger takes one for the other; then
** nothing is followed.
** SPDX-License-Identifier: MIT
*/
#include "follow.h"

#include <stdlib.h>
#include <string.h>

#include "clause.h"
#include "sql.h"
#include "trigger.h"

static char *copy_of(const char *text) {
    return sqlite3_mprintf("%s", text);
}

/* ---- what was renamed ---- */

/* Takes the columns' names out of the trigger: (SELECT NEW."name")v7. What does not look so is
** passed over. */
static int read_trigger(const char *trigger, struct rename *columns, int count) {
    static const char new[] = "(SELECT NEW.", old[] = "(SELECT OLD.";
    const size_t length = sizeof new - 1;
    struct buffer name = {0};
    int rc = SQLITE_OK;

    while (trigger != NULL && *trigger != '\0' && rc == SQLITE_OK) {
        const char *wrong, *quoted = NULL;
        bool blank;

        if (strncmp(trigger, new, length) == 0 || strncmp(trigger, old, length) == 0) {
            trigger += length;
            quoted = *trigger == '"' ? trigger : NULL;
        }
        trigger = *trigger != '\0' ? clause_token(trigger, &blank, &wrong) : NULL;
        if (quoted != NULL && trigger != NULL) {
            const char *digits = trigger + strspn(trigger, " ") + 2;
            char *end = NULL;
            long i = strncmp(digits - 2, ")v", 2) == 0 ? strtol(digits, &end, 10) : -1;

            if (i >= 0 && i < count && end != digits && !columns[i].rowid &&
                columns[i].now == NULL) {
                clause_unquote(quoted, trigger, &name);
                columns[i].now = name.failed ? NULL : copy_of(name.length > 0 ? name.data : "");
                rc = columns[i].now != NULL ? SQLITE_OK : SQLITE_NOMEM;
            }
        }
    }
    buffer_free(&name);
    return rc;
}

static int read_columns(sqlite3 *db, const struct followable *version, struct followed *followed) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql_watch_values, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, version->captured, -1, SQLITE_STATIC);
    }
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *was = (const char *)sqlite3_column_text(statement, 1);
        struct rename *grown = sqlite3_realloc64(
            followed->columns, ((sqlite3_uint64)followed->count + 1) * sizeof *grown);

        if (grown == NULL) {
            rc = SQLITE_NOMEM;
            break;
        }
        followed->columns = grown;
        grown = &grown[followed->count++];
        *grown = (struct rename){.rowid = was == NULL, .was = copy_of(was != NULL ? was : "")};
        rc = grown->was != NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (rc == SQLITE_OK) {
        return sqlite3_finalize(statement);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

static bool is_renamed(const struct rename *column) {
    return sqlite3_stricmp(column->was, column->now) != 0;
}

/* Gives each column that the trigger does not name its old name, and looks who is renamed. */
static int compare(struct followed *followed) {
    for (int i = 0; i < followed->count; i++) {
        struct rename *column = &followed->columns[i];

        if (column->now == NULL && (column->now = copy_of(column->was)) == NULL) {
            return SQLITE_NOMEM;
        }
        followed->renamed = followed->renamed || is_renamed(column);
    }
    for (int i = 0; i < followed->count; i++) {
        for (int j = 0; is_renamed(&followed->columns[i]) && j < followed->count; j++) {
            followed->collides =
                followed->collides ||
                (!followed->columns[j].rowid && !is_renamed(&followed->columns[j]) &&
                 sqlite3_stricmp(followed->columns[i].now, followed->columns[j].now) == 0);
        }
    }
    return SQLITE_OK;
}

/* The new name of a column; NULL: it has none. */
static const char *new_name(const struct followed *followed, const char *name) {
    for (int i = 0; i < followed->count; i++) {
        const struct rename *column = &followed->columns[i];

        if (is_renamed(column) && sqlite3_stricmp(column->was, name) == 0) {
            return column->now;
        }
    }
    return NULL;
}

/* ---- what they are named in ---- */

static bool is_row(const char *token, const char *end) {
    bool quoted = strchr("\"'`[", *token) != NULL;
    size_t length = (size_t)(end - token) - (quoted ? 2 : 0);

    token += quoted;
    return length == 3 &&
           (sqlite3_strnicmp(token, "new", 3) == 0 || sqlite3_strnicmp(token, "old", 3) == 0) &&
           token[-quoted] != '\'';
}

/* Is it a word or in quotes? */
static bool is_name(const char *token, const char *end) {
    return end - token > 1 || (unsigned char)*token >= 0x80 || strchr("(),;.", *token) == NULL;
}

/* An expression with the new names. false: not certain. */
static bool rename_expression(const struct followed *followed, const char *text,
                              struct buffer *out) {
    enum { ELSEWHERE, ROW, ROW_DOT, OTHER_DOT } at = ELSEWHERE;
    struct buffer name = {0};
    const char *end;

    for (; *text != '\0'; text = end) {
        const char *wrong, *now = NULL;
        bool blank;

        end = clause_token(text, &blank, &wrong);
        if (end == NULL || (at == ROW && !blank && *text != '.')) {
            break;
        }
        if (!blank && at == ROW_DOT && is_name(text, end)) {
            clause_unquote(text, end, &name);
            now = new_name(followed, name.length > 0 ? name.data : "");
        }
        if (!blank) {
            at = *text == '.'                           ? (at == ROW ? ROW_DOT : OTHER_DOT)
                 : at == ELSEWHERE && is_row(text, end) ? ROW
                                                        : ELSEWHERE;
        }
        if (now != NULL) {
            trigger_name(out, now);
        } else {
            buffer_append(out, text, (size_t)(end - text));
        }
    }
    out->failed = out->failed || name.failed;
    buffer_free(&name);
    return *text == '\0' && at != ROW;
}

/* What is in out, as a text that is sqlite3_free'd; out is empty again. */
static int take(struct buffer *out, char **text) {
    *text = out->failed ? NULL : copy_of(out->length > 0 ? out->data : "");
    buffer_free(out);
    return *text != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* A JSON array of names. json NULL: none. */
static int rename_names(sqlite3 *db, const struct followed *followed, const char *json,
                        char **text) {
    sqlite3_stmt *statement = NULL;
    struct buffer out = {0};
    bool names = true; /* all of them */
    int rc;

    if (json == NULL) {
        return SQLITE_OK;
    }
    rc = sqlite3_prepare_v2(db, sql_watch_names, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, json, -1, SQLITE_STATIC);
    }
    buffer_text(&out, "[");
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        const char *type = (const char *)sqlite3_column_text(statement, 1);
        const char *now = name != NULL ? new_name(followed, name) : NULL;

        names = names && name != NULL && type != NULL && strcmp(type, "text") == 0;
        now = now != NULL ? now : name != NULL ? name : "";
        buffer_text(&out, out.length > 1 ? "," : "");
        render_text(&out, now, strlen(now));
    }
    buffer_text(&out, "]");
    if (rc == SQLITE_OK) {
        rc = sqlite3_finalize(statement);
    } else {
        (void)sqlite3_finalize(statement);
    }
    if (rc == SQLITE_OK && names) {
        return take(&out, text);
    }
    buffer_free(&out);
    *text = rc == SQLITE_OK ? copy_of(json) : NULL;
    return rc == SQLITE_OK && *text == NULL ? SQLITE_NOMEM : rc;
}

/* An expression of the options, as it is or with the new names. Out of memory shows in out. */
static void follow_expression(const struct followed *followed, const char *text, size_t length,
                              struct buffer *out) {
    bool certain = strlen(text) == length && rename_expression(followed, text, out);

    if (!certain) {
        buffer_clear(out);
        buffer_append(out, text, length);
    }
}

/* The fields as a JSON object; NULL: there are none. */
static int rename_fields(sqlite3 *db, const struct followed *followed, const char *options,
                         char **fields) {
    sqlite3_stmt *statement = NULL;
    struct buffer out = {0}, expression = {0};
    int rc = sqlite3_prepare_v2(db, sql_watch_fields, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, options, -1, SQLITE_STATIC);
    }
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *path = (const char *)sqlite3_column_text(statement, 0);
        const char *text = (const char *)sqlite3_column_text(statement, 1);

        buffer_text(&out, out.length > 0 ? "," : "{");
        render_text(&out, path != NULL ? path : "", (size_t)sqlite3_column_bytes(statement, 0));
        buffer_text(&out, ":");
        buffer_clear(&expression);
        follow_expression(followed, text != NULL ? text : "",
                          (size_t)sqlite3_column_bytes(statement, 1), &expression);
        render_text(&out, expression.data, expression.length);
        out.failed = out.failed || expression.failed;
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_finalize(statement);
    } else {
        (void)sqlite3_finalize(statement);
    }
    buffer_free(&expression);
    if (rc == SQLITE_OK && out.length > 0) {
        buffer_text(&out, "}");
        return take(&out, fields);
    }
    rc = out.failed ? SQLITE_NOMEM : rc;
    buffer_free(&out);
    return rc;
}

/* Options with the new names in `when`, `key`, `fields` and `changed`. */
static int rename_options(sqlite3 *db, struct followed *followed, const char *options) {
    sqlite3_stmt *clauses = NULL, *write = NULL;
    char *fields = NULL;
    int rc = rename_fields(db, followed, options, &fields);

    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(db, sql_watch_clauses, -1, &clauses, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(db, sql_watch_followed, -1, &write, NULL);
    }
    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_text(clauses, 1, options, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(write, 1, options, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(write, 2, followed->changed, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(write, 3, fields, -1, SQLITE_STATIC);
        rc = sqlite3_step(clauses) == SQLITE_ROW ? SQLITE_OK : sqlite3_reset(clauses);
    }
    for (int i = 0; rc == SQLITE_OK && i < 2; i++) { /* when, key */
        const char *text = (const char *)sqlite3_column_text(clauses, i);
        struct buffer out = {0};

        if (text != NULL) {
            follow_expression(followed, text, (size_t)sqlite3_column_bytes(clauses, i), &out);
            rc = out.failed
                     ? SQLITE_NOMEM
                     : sqlite3_bind_text(write, 4 + i, out.data, (int)out.length, SQLITE_TRANSIENT);
        }
        buffer_free(&out);
    }
    if (rc == SQLITE_OK && sqlite3_step(write) == SQLITE_ROW) {
        followed->options = copy_of((const char *)sqlite3_column_text(write, 0));
        rc = followed->options != NULL ? SQLITE_OK : SQLITE_NOMEM;
    } else if (rc == SQLITE_OK) {
        rc = sqlite3_reset(write);
    }
    (void)sqlite3_finalize(clauses);
    (void)sqlite3_finalize(write);
    sqlite3_free(fields);
    return rc;
}

static int keep(const char *text, char **copy) {
    *copy = text != NULL ? copy_of(text) : NULL;
    return text != NULL && *copy == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int follow(sqlite3 *db, const struct followable *version, struct followed *followed) {
    int rc;

    *followed = (struct followed){0};
    rc = read_columns(db, version, followed);
    if (rc == SQLITE_OK) {
        rc = read_trigger(version->trigger, followed->columns, followed->count);
    }
    if (rc == SQLITE_OK) {
        rc = compare(followed);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (followed->renamed && !followed->collides) {
        rc = rename_names(db, followed, version->of, &followed->of);
        if (rc == SQLITE_OK) {
            rc = rename_names(db, followed, version->changed, &followed->changed);
        }
        return rc == SQLITE_OK ? rename_options(db, followed, version->options) : rc;
    }
    rc = keep(version->of, &followed->of);
    if (rc == SQLITE_OK) {
        rc = keep(version->changed, &followed->changed);
    }
    return rc == SQLITE_OK ? keep(version->options, &followed->options) : rc;
}

void followed_free(struct followed *followed) {
    for (int i = 0; i < followed->count; i++) {
        sqlite3_free(followed->columns[i].was);
        sqlite3_free(followed->columns[i].now);
    }
    sqlite3_free(followed->columns);
    sqlite3_free(followed->of);
    sqlite3_free(followed->changed);
    sqlite3_free(followed->options);
    *followed = (struct followed){0};
}

bool followed_lost(const struct followed *followed, const struct table *table) {
    bool lost = followed->collides;

    for (int i = 0; i < followed->count && !lost; i++) {
        const char *now = followed->columns[i].now;
        lost = !followed->columns[i].rowid && table_column(table, now) == NULL;
    }
    return lost;
}
