/*
** options.c: what resthook_subscribe(), resthook_update() and resthook_emit() accept the dispatcher can
** obey; what they refuse changes nothing, and the error does not show the secret.
** SPDX-License-Identifier: MIT
*/
#include "blueprint.h"
#include "expand.h"
#include "filter.h"
#include "format.h"
#include "headers.h"
#include "hooked.h"
#include "sql.h"
#include "subscription.h"

static sqlite3 *db;
static sqlite3_stmt *calls[3], *row, *extra, *secret;
static const char *const functions[] = {
    "resthook_subscribe: ", "resthook_update: ", "resthook_emit: "};

static void open_once(void) {
    if (db == NULL) {
        db = open_hooked("CREATE TABLE t(id INTEGER PRIMARY KEY, a);"
                         "SELECT resthook_watch('t', 'insert', 'a.b');"
                         "INSERT INTO resthook_subscription(id, event, target, secret, from_id, "
                         "created_at, updated_at) VALUES ('sub_x', 'a.c', 'https://example.com/x',"
                         "'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz', 0, 1, 1)");
        calls[0] = prepare(db, "SELECT resthook_subscribe('a.b', 'https://example.com/', ?1)");
        calls[1] = prepare(db, "SELECT resthook_update('sub_x', ?1)");
        calls[2] = prepare(db, "SELECT resthook_emit('a.b', '{}', ?1)");
        row = prepare(db, sql_app_subscriptions);
        extra = prepare(db, "SELECT headers FROM resthook_extra");
        secret = prepare(db, "SELECT value FROM json_each(CASE WHEN json_valid(?1) THEN ?1 ELSE "
                             "'{}' END) WHERE key = 'secret' AND type = 'text'");
    }
}

static int64_t mark(void) {
    return number_of(db, "SELECT (SELECT count(*) FROM resthook_subscription) * 1000000 + "
                         "(SELECT sum(revision) FROM resthook_subscription) * 1000 + "
                         "(SELECT count(*) FROM resthook_outbox) + "
                         "(SELECT count(*) FROM resthook_extra)");
}

static void check_hidden(const char *text, size_t length) {
    sqlite3_bind_text(secret, 1, text, (int)length, SQLITE_STATIC);
    if (sqlite3_step(secret) == SQLITE_ROW && sqlite3_column_bytes(secret, 0) >= 12) {
        const char *hidden = (const char *)sqlite3_column_text(secret, 0);
        const char *first = strstr(text, hidden);

        /* It may stand elsewhere in the document too. */
        MUST((first != NULL && strstr(first + 1, hidden) != NULL) ||
                 strstr(sqlite3_errmsg(db), hidden) == NULL,
             "%s", text);
    }
    sqlite3_reset(secret);
}

static void check_filter(const char *text) {
    struct expander *expander = NULL;
    struct filter *filter = NULL;
    sqlite3 *copy = NULL;
    char *error = NULL;

    MUST(blueprint_open(db, &copy, &error) == SQLITE_OK, "%s", error);
    MUST(expander_open(db, 1, &expander, &error) == SQLITE_OK, "%s", error);
    MUST(filter_open(db, copy, text, expander, &filter, &error) == SQLITE_OK, "%s: %s", text,
         error);
    filter_free(filter);
    expander_free(expander);
    sqlite3_close(copy);
}

static void check_subscriptions(const char *changed) {
    const struct settings settings = {.timeout = 15000, .retry_schedule = "0,5s"};
    const struct secrets secrets = {NULL, "app.db"};
    enum format format;

    sqlite3_bind_int64(row, 1, 0);
    while (sqlite3_step(row) == SQLITE_ROW) {
        const char *wrong = NULL, *filter = (const char *)sqlite3_column_text(row, COL_FILTER);
        struct sub_target *target = sub_target_read(row, NULL, &settings, &secrets, &wrong);

        MUST(wrong == NULL || target->secret_file != NULL, "%s: %s", wrong, changed);
        MUST(target->target.timeout >= 100 && target->target.timeout <= 300000, "%s", changed);
        MUST(target_column(row, COL_MAX_IN_FLIGHT, 1) >= 1 &&
                 target_column(row, COL_MAX_IN_FLIGHT, 1) <= 1000,
             "%s", changed);
        MUST(format_named((const char *)sqlite3_column_text(row, COL_FORMAT), &format), "%s",
             changed);
        if (filter != NULL &&
            strcmp((const char *)sqlite3_column_text(row, COL_EVENT), "a.b") == 0) {
            check_filter(filter);
        }
        sub_target_release(target);
    }
    sqlite3_reset(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    unsigned which = take_byte(&input) % 3;
    size_t length;
    char *text = take_rest(&input, &length);

    open_once();
    run(db, "BEGIN");
    int64_t before = mark();
    sqlite3_bind_text(calls[which], 1, text, (int)length, SQLITE_STATIC);
    if (call_succeeds(db, calls[which], functions[which])) {
        check_subscriptions(text);
        if (sqlite3_step(extra) == SQLITE_ROW && sqlite3_column_type(extra, 0) != SQLITE_NULL) {
            const char **headers = NULL;
            const char *wrong = headers_read((const char *)sqlite3_column_text(extra, 0), &headers);

            MUST(wrong == NULL, "%s: %s", wrong, text);
            headers_free(headers);
        }
        sqlite3_reset(extra);
        sqlite3_reset(calls[which]);
    } else {
        check_hidden(text, length);
        sqlite3_reset(calls[which]);
        MUST(mark() == before, "%s", text);
    }
    run(db, "ROLLBACK");
    free(text);
    return 0;
}
