/*
** subscription.c: see subscription.h. A row that can't be obeyed (edited by hand into something
** senseless) keeps its events and is logged: nothing is sent by a guess, nothing is lost.
** SPDX-License-Identifier: MIT
*/
#include "subscription.h"

#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "fault.h"
#include "log.h"
#include "memory.h"
#include "roster_copy.h"
#include "sql.h"
#include "url.h"

void subscriptions_open(struct subscriptions *subs, struct db *app, struct journal *journal,
                        struct source *source, struct endpoints *endpoints,
                        const struct secrets *secrets) {
    memset(subs, 0, sizeof *subs);
    subs->read_settings = db_prepare(app, sql_app_settings);
    subs->read_list = db_prepare(app, sql_app_subscriptions);
    subs->read_end = db_prepare(app, sql_app_subscription_end);
    subs->put_public_key = db_prepare(journal_db(journal), sql_subscription_public_key);
    TAILQ_INIT(&subs->list);
    subs->source = source;
    subs->endpoints = endpoints;
    subs->secrets = *secrets;
}

static struct sub **bucket_of(struct subscriptions *subs, const char *id) {
    unsigned hash = 2166136261U; /* FNV-1a */

    for (; *id != '\0'; id++) {
        hash = (hash ^ (unsigned char)*id) * 16777619U;
    }
    return &subs->bucket[hash % SUB_BUCKETS];
}

static struct sub **bucket_numbered(struct subscriptions *subs, int64_t n) {
    return &subs->numbered[(uint64_t)n % SUB_BUCKETS];
}

void subscription_drop(struct subscriptions *subs, struct sub *sub) {
    struct sub **link = bucket_of(subs, sub->id);

    while (*link != sub) {
        link = &(*link)->next_by_id;
    }
    *link = sub->next_by_id;
    for (link = bucket_numbered(subs, sub->n); *link != sub; link = &(*link)->next_by_number) {
    }
    *link = sub->next_by_number;
    TAILQ_REMOVE(&subs->list, sub, links);
    subs->count--;
    line_close(&sub->line);
    sub_target_release(sub->target);
    free(sub->id);
    free(sub->event);
    free(sub->filter);
    free(sub->endpoint);
    free(sub->kept);
    keys_free(sub->keys);
    free(sub->reviewed);
    free(sub);
}

void subscriptions_close(struct subscriptions *subs) {
    while (!TAILQ_EMPTY(&subs->list)) {
        subscription_drop(subs, TAILQ_FIRST(&subs->list));
    }
}

struct sub *subscription_named(struct subscriptions *subs, const char *id) {
    struct sub *sub;

    if (id == NULL) {
        return NULL;
    }
    for (sub = *bucket_of(subs, id); sub != NULL && strcmp(sub->id, id) != 0;
         sub = sub->next_by_id) {
    }
    return sub;
}

struct sub *subscription_numbered(struct subscriptions *subs, int64_t n) {
    struct sub *sub;

    for (sub = *bucket_numbered(subs, n); sub != NULL && sub->n != n; sub = sub->next_by_number) {
    }
    return sub;
}

bool subscription_wants(const struct sub *sub, int64_t event, const char *name, const char *only) {
    if (event <= sub->from_id || event > sub->to_id) {
        return false;
    }
    return only != NULL ? strcmp(only, sub->id) == 0 : event_matches(sub->event, name);
}

bool subscription_is_open(const struct sub *sub) {
    return sub->status == SUB_SENDS || sub->status == SUB_PROBES ||
           (sub->status == SUB_FAILING && !sub->probing);
}

bool subscription_sends(const struct sub *sub, int64_t event) {
    return sub->status == SUB_SENDS || (sub->status == SUB_PROBES && event == sub->probe);
}

bool subscriptions_secrets_changed(const struct subscriptions *subs) {
    const struct sub *sub;

    if (!subs->secret_files) {
        return false;
    }
    TAILQ_FOREACH(sub, &subs->list, links) {
        const struct sub_target *target = sub->target;

        if (target->secret_file != NULL && sub->status != SUB_ENDED &&
            secrets_changed(&subs->secrets, target->secret_file, &target->stamp)) {
            return true;
        }
    }
    return false;
}

/* NULL has no place there, but may be there. */
static const char *text_of(sqlite3_stmt *row, int column) {
    const char *text = db_string(row, column);

    return text != NULL ? text : "";
}

static enum sub_status read_status(sqlite3_stmt *row) {
    const char *status = db_string(row, COL_STATUS);

    if (sqlite3_column_type(row, COL_TO_ID) != SQLITE_NULL) {
        return SUB_ENDED;
    }
    if (status != NULL && strcmp(status, "pending") == 0) {
        return SUB_PROBES;
    }
    if (status != NULL && strcmp(status, "failing") == 0) {
        return SUB_FAILING;
    }
    return status != NULL && strcmp(status, "active") == 0 ? SUB_SENDS : SUB_KEEPS;
}

static struct sub *add(struct subscriptions *subs, sqlite3_stmt *row, const char *endpoint,
                       int64_t n) {
    struct sub *sub = xcalloc(1, sizeof *sub);

    sub->id = db_copy(row, COL_ID);
    sub->event = xstrdup(text_of(row, COL_EVENT));
    sub->endpoint = xstrdup(endpoint);
    sub->n = n;
    sub->from_id = sqlite3_column_int64(row, COL_FROM_ID);
    sub->to_id = NEVER;
    sub->revision = -1;
    sub->ended = "unsubscribed";
    sub->sorted = true;
    sub->recorded_to = NEVER;
    TAILQ_INIT(&sub->fresh);
    TAILQ_INIT(&sub->again);
    TAILQ_INIT(&sub->busy);
    line_open(subs->endpoints, &sub->line, subs->source, endpoint, 0);
    struct sub **bucket = bucket_of(subs, sub->id);

    sub->next_by_id = *bucket;
    *bucket = sub;
    bucket = bucket_numbered(subs, n);
    sub->next_by_number = *bucket;
    *bucket = sub;
    TAILQ_INSERT_TAIL(&subs->list, sub, links);
    subs->count++;
    return sub;
}

static bool read_ordered(sqlite3_stmt *row, enum ordered *ordered) {
    const char *text = db_string(row, COL_ORDERED);

    *ordered = text == NULL ? ORDERED_NOT : strcmp(text, "stop") == 0 ? ORDERED_STOP : ORDERED_SKIP;
    return *ordered != ORDERED_SKIP || strcmp(text, "skip") == 0;
}

static bool is_within(sqlite3_stmt *row, int column, double least, double most) {
    double value = sqlite3_column_double(row, column);

    return sqlite3_column_type(row, column) == SQLITE_NULL || (value >= least && value <= most);
}

/* false: the bounds of resthook_subscribe() are not kept; then nothing of it is obeyed. */
static bool read_speed(const struct subscriptions *subs, struct sub *sub, sqlite3_stmt *row) {
    bool good = is_within(row, COL_RATE, 0.01, 10000) && is_within(row, COL_MAX_IN_FLIGHT, 1, 1000);

    if (good) {
        line_bound(&sub->line,
                   (int)target_column(row, COL_MAX_IN_FLIGHT, subs->settings.endpoint_most));
        line_pace(&sub->line, sqlite3_column_double(row, COL_RATE));
    }
    return good;
}

/* For the extension, which can't work it out: of which change of the row it is, too. */
static void put_public_key(struct subscriptions *subs, const struct sub *sub, struct db *side) {
    char text[PUBLIC_TEXT_MAX];
    bool has = secret_ring_public_key(sub->target->target.ring, text);

    if (has || sub->target->secret_file != NULL) {
        db_int(side, subs->put_public_key, 1, sub->n);
        db_text(side, subs->put_public_key, 2, has ? text : NULL);
        db_int(side, subs->put_public_key, 3, sub->revision);
        db_int(side, subs->put_public_key, 4, sub->updated_at);
        db_run(side, subs->put_public_key);
    }
}

/* Said once, until it is another reason. */
static void keep(struct sub *sub, const char *why) {
    if (why != NULL && (sub->kept == NULL || strcmp(sub->kept, why) != 0)) {
        log_line(LOG_ERROR, "subscription can't be obeyed: its events are kept", "subscription",
                 sub->id, "reason", why, NULL);
    }
    free(sub->kept);
    sub->kept = why != NULL ? xstrdup(why) : NULL;
    if (why != NULL) {
        sub->status = SUB_KEEPS;
    }
}

static void read_row(struct subscriptions *subs, struct sub *sub, sqlite3_stmt *row) {
    const char *format = db_string(row, COL_FORMAT);
    const char *wrong = NULL;
    struct sub_target *target =
        sub_target_read(row, sub->target, &subs->settings, &subs->secrets, &wrong);

    subs->secret_files = subs->secret_files || target->secret_file != NULL;
    subs->secret_missing = subs->secret_missing || (wrong != NULL && target->secret_file != NULL);
    sub->revision = sqlite3_column_int64(row, COL_REVISION);
    sub->updated_at = sqlite3_column_int64(row, COL_UPDATED_AT);
    sub->probe = sqlite3_column_int64(row, COL_VERIFY_EVENT);
    sub->status = read_status(row);
    sub->to_id = target_column(row, COL_TO_ID, NEVER);
    if (!read_speed(subs, sub, row)) {
        wrong = "its rate or max_in_flight is out of bounds";
    }
    if (format == NULL || !format_named(format, &sub->format)) {
        wrong = "its format is not known";
    }
    free(sub->filter);
    sub->filter = db_copy(row, COL_FILTER);
    if (sub->filter != NULL &&
        strlen(sub->filter) != (size_t)sqlite3_column_bytes(row, COL_FILTER)) {
        wrong = "its filter has a NUL character";
    }
    if (event_check_pattern(text_of(row, COL_EVENT),
                            (size_t)sqlite3_column_bytes(row, COL_EVENT)) != NULL) {
        wrong = "its event is not a name, one followed by .*, or *";
    }
    if (!read_ordered(row, &sub->ordered)) {
        wrong = "ordered is neither skip nor stop";
    }
    sub_target_release(sub->target);
    sub->target = target;
    keep(sub, sub->status == SUB_SENDS || sub->status == SUB_PROBES || sub->status == SUB_FAILING
                  ? wrong
                  : NULL);
}

/* A known subscription that the list no longer has ended at or below the cursor, or its row is gone
** altogether. */
static void find_ends(struct subscriptions *subs, struct db *app) {
    struct sub *sub;

    TAILQ_FOREACH(sub, &subs->list, links) {
        /* One that a 410 ended here has its end only now. */
        if (!sub->seen && (sub->status != SUB_ENDED || sub->to_id == NEVER)) {
            db_text(app, subs->read_end, 1, sub->id);
            int64_t to_id = db_value(app, subs->read_end, 0);

            if (app->rc != SQLITE_OK) {
                return; /* what was not read has not ended */
            }
            sub->to_id = to_id;
            sub->status = SUB_ENDED;
        }
    }
}

bool subscriptions_load(struct subscriptions *subs, struct db *app, struct roster_copy *copy,
                        struct journal *journal, int64_t cursor) {
    struct db *from = copy != NULL ? roster_copy_db(copy) : app;
    sqlite3_stmt *list = copy != NULL ? roster_copy_list(copy) : subs->read_list;
    struct url_endpoint endpoint;
    struct sub *sub;

    settings_read(&subs->settings, app, subs->read_settings);
    subs->secret_missing = false;
    TAILQ_FOREACH(sub, &subs->list, links) {
        sub->seen = false;
        sub->was = sub->obeyed ? sub->status : sub->was;
        sub->missed = !sub->obeyed;
        sub->obeyed = false;
    }
    journal_begin(journal, false);
    if (copy == NULL) {
        db_int(app, list, 1, cursor);
    }
    while (db_row(from, list)) {
        const char *id = db_string(list, COL_ID);
        const char *url = text_of(list, COL_TARGET);

        if (id == NULL) {
            continue; /* the table is not the one that resthook_init() made */
        }
        sub = subscription_named(subs, id);
        if (sub == NULL) {
            bool usable = url_check(url, strlen(url), &endpoint) == NULL;

            sub = add(subs, list,
                      usable ? endpoint.text : "unusable:", journal_subscription(journal, id, url));
        }
        sub->seen = true;
        read_row(subs, sub, list);
        put_public_key(subs, sub, journal_db(journal));
    }
    fault_point("roster.before_commit");
    bool written = journal_commit(journal);

    fault_point("roster.after_commit");
    if (!written || app->rc != SQLITE_OK || from->rc != SQLITE_OK) {
        return false;
    }
    find_ends(subs, app);
    return app->rc == SQLITE_OK;
}
