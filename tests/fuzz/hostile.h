/*
** hostile.h: a database and its side file, changed by somebody who means harm, and a dispatcher over
** them. Nothing is sent: each job is looked at as one that could be, and an outcome made up for it.
**
** An input is steps: bytes of the file overwritten; a value put into any column of any row, where no
** constraint and no type is left; a line of SQL. It says besides what the targets answer.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FUZZ_HOSTILE_H
#define RESTHOOK_FUZZ_HOSTILE_H

#include <stdio.h>
#include <unistd.h>

#include "db.h"
#include "event.h"
#include "header.h"
#include "hooked.h"
#include "hooks.h"
#include "json.h"
#include "log.h"
#include "memory.h"
#include "outbox.h"
#include "sign.h"
#include "url.h"
#include "value.h"

#define NOW INT64_C(1790000000000) /* 2026-09-21 */
#define TURNS 6
#define STEPS_MOST 24  /* of an input */
#define SQL_STEPS 2000 /* thousands of SQLite's own, of a line */
#define COLUMNS_MOST 400

static char folder[200], file[220], side[240];

struct image {
    const char *path;
    uint8_t *bytes;
    size_t size;
};
static struct image app_image = {.path = file}, side_image = {.path = side};

/* Instead of log.c's: what is said of each input is nobody's to read. */
void log_line(enum log_level level, const char *message, ...) {
    (void)level;
    (void)message;
}
bool log_enabled(enum log_level level) {
    (void)level;
    return false;
}

/* What steps can put a value into. */
static struct { char *put; /* UPDATE … */ } columns[COLUMNS_MOST];
static unsigned columns_count;

static void remove_files(void) {
    static const char *const suffixes[] = {
        "",          "-wal",          "-shm",          "-journal",
        "-resthook", "-resthook-wal", "-resthook-shm", "-resthook-journal"};

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char path[300];

        snprintf(path, sizeof path, "%s%s", file, suffixes[i]);
        unlink(path);
    }
}

static void remove_folder(void) {
    remove_files();
    rmdir(folder);
}

static void read_image(struct image *image) {
    FILE *in = fopen(image->path, "rb");

    MUST(in != NULL && fseek(in, 0, SEEK_END) == 0, "%s", image->path);
    image->size = (size_t)ftell(in);
    image->bytes = malloc(image->size);
    rewind(in);
    MUST(image->bytes != NULL && fread(image->bytes, 1, image->size, in) == image->size, "%s",
         image->path);
    fclose(in);
}

static void write_image(const struct image *image) {
    FILE *out = fopen(image->path, "wb");

    MUST(out != NULL && fwrite(image->bytes, 1, image->size, out) == image->size &&
             fclose(out) == 0,
         "%s", image->path);
}

static sqlite3 *open_file(const char *path) {
    sqlite3 *db;

    MUST(sqlite3_open(path, &db) == SQLITE_OK, "%s", path);
    MUST(sqlite3_resthook_init(db, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    return db;
}

/* A file that says nothing of when and by whom it was made, and whose rows may be anything. */
static void finish_template(sqlite3 *db, const char *sql) {
    run(db, sql);
    run(db, "PRAGMA writable_schema = ON;"
            "UPDATE sqlite_master SET sql = replace(replace(replace(replace(replace(sql,"
            "' INTEGER NOT NULL', ''), ' TEXT NOT NULL', ''), ' NOT NULL', ''), ' INTEGER,', ','),"
            "' TEXT,', ',') WHERE type = 'table';"
            "PRAGMA writable_schema = RESET; VACUUM");
    MUST(sqlite3_close(db) == SQLITE_OK, "sqlite3_close");
}

/* ---- the dispatcher ---- */

static void check_header(const char *name, const char *value) {
    MUST(value != NULL && header_check("x", 1, value, strlen(value)) == NULL, "%s: %s", name,
         value);
}

static void check_headers(const char *const *headers, bool own) {
    for (; headers != NULL && *headers != NULL; headers++) {
        size_t name = strcspn(*headers, ":;");
        const char *value = (*headers)[name] == ';' ? "" : *headers + name + 2;

        if (own) {
            check_header(*headers, value);
        } else {
            MUST(header_check(*headers, name, value, strlen(value)) == NULL, "%s", *headers);
        }
    }
}

/* Could it be sent as it is? */
static void check_job(const struct job *job) {
    const struct target *target = job->target;
    char signature[SIGN_TEXT_MAX];

    MUST(url_check(target->url, strlen(target->url), NULL) == NULL, "%s", target->url);
    MUST(event_check(job->event, strlen(job->event)) == NULL, "%s", job->event);
    MUST(target->timeout > 0 && target->connect_timeout > 0, "%lld, %lld",
         (long long)target->timeout, (long long)target->connect_timeout);
    MUST(target->schedule.count > 0 && target->schedule.count <= RETRY_MAX, "%d",
         target->schedule.count);
    MUST(json_check(job->body, job->body_length, NULL) == NULL, "%s", job->body);
    MUST(is_utf8(job->body, job->body_length), "%s", job->body);
    check_header("webhook-id", job->id);
    check_header("content-type", job->content_type);
    if (job->challenge != NULL) {
        check_header("x-hook-secret", job->challenge);
    }
    check_headers(job->extra, true);
    check_headers(target->headers, false);
    check_headers(job->headers, false);
    sign_request(target->ring, NOW, job->id, job->body, job->body_length, signature);
    check_header("webhook-signature", signature);
}

static void settle(struct source *source, struct job *job, uint8_t answer, int64_t now) {
    static const struct outcome outcomes[] = {
        {.state = VERDICT_DELIVERED,
         .status = 200,
         .error = "",
         .response = "ok",
         .response_length = 2},
        {.state = VERDICT_RETRY,
         .status = 500,
         .class = "status",
         .error = "status: 500",
         .response = "",
         .headers = "x: y",
         .headers_length = 4},
        {.state = VERDICT_DEAD,
         .class = "connect",
         .error = "connect: refused",
         .reason = "no success in 10 attempts",
         .response = ""},
        {.state = VERDICT_DEAD,
         .effect = EFFECT_GONE,
         .status = 410,
         .class = "status",
         .error = "",
         .reason = "gone: 410 from target",
         .response = ""},
        {.state = VERDICT_DELIVERED,
         .effect = EFFECT_CONFIRMED,
         .status = 200,
         .error = "",
         .response = ""},
        {.state = VERDICT_RETRY,
         .effect = EFFECT_THROTTLE,
         .status = 429,
         .class = "status",
         .error = "",
         .response = ""},
    };
    struct outcome outcome = outcomes[answer % (sizeof outcomes / sizeof *outcomes)];

    if (answer == 0xff) {
        place_drop(&job->place);
        source->settle(source, job, NULL, now);
        return;
    }
    if (outcome.effect == EFFECT_CONFIRMED && job->challenge == NULL) {
        outcome.effect = EFFECT_NONE;
    }
    outcome.started_at = now;
    outcome.next_at = now + answer;
    outcome.throttle_until = outcome.effect == EFFECT_THROTTLE ? now + 100 : 0;
    outcome.headers = outcome.headers != NULL ? outcome.headers : "";
    outcome.steps = (struct steps){1, 2, 3, 4};
    place_finish(&job->place, outcome.state == VERDICT_DELIVERED, outcome.throttle_until);
    source->settle(source, job, &outcome, now);
}

/* A dispatcher's life over the files, short. */
static void dispatch(struct input *answers) {
    struct outbox_options options = {.adopt = (enum adopt)(take_byte(answers) % 4), .lock = -1};
    struct endpoints *endpoints = endpoints_new(8, 4);
    struct wake *wake = wake_new();
    char *error = NULL;
    int64_t now = NOW;
    int status = 0;

    options.adopt = options.adopt > ADOPT_SKIP ? ADOPT_NO : options.adopt;
    MUST(wake != NULL, "descriptors");
    struct outbox *outbox = outbox_open(file, &options, endpoints, wake, now, &error, &status);
    MUST(outbox != NULL || (error != NULL && status >= 64), "%d: %s", status, error);
    for (int i = 0; outbox != NULL && i < TURNS; i++) {
        struct source *source = outbox_source(outbox);
        struct line *line;

        now += 1 + (int64_t)take_byte(answers) * 20;
        endpoints_turn(endpoints, now);
        wake_turn(wake);
        (void)source->turn(source, now, true);
        while ((line = endpoints_next(endpoints, now)) != NULL) {
            struct job *job = source->claim(source, line, now);

            if (job != NULL) {
                check_job(job);
                place_take(&job->place, line, now);
                settle(source, job, take_byte(answers), now);
            }
        }
    }
    if (outbox != NULL) {
        (void)outbox_upkeep(outbox, now);
        (void)outbox_close(outbox, now);
    }
    free(error);
    wake_free(wake);
    endpoints_free(endpoints);
}

/* ---- the files ---- */

static void make_app(void) {
    sqlite3 *db = open_file(file);

    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, db);
    run(db,
        "PRAGMA page_size = 1024; PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;"
        "CREATE TABLE item(id INTEGER PRIMARY KEY, name, price, v AS (name || '!'));"
        "SELECT resthook_init();"
        "SELECT resthook_watch('item', 'insert', 'item.create', '{\"fields\":{\"id\":\"NEW.id\","
        "\"o.name?\":\"NEW.name\",\"p:json\":\"NEW.price\"},\"when\":\"NEW.id > 0\","
        "\"key\":\"NEW.name\",\"record\":\"always\"}');"
        "SELECT resthook_watch('item', 'update', 'item.update', "
        "'{\"old\":true,\"changed\":[\"price\"]}');"
        "SELECT resthook_subscribe('*', 'https://a.example/1', "
        "'{\"headers\":{\"x-a\":\"b\"},\"retry_statuses\":\"5xx\"}');"
        "SELECT resthook_subscribe('item.*', 'https://b.example/2', "
        "'{\"filter\":\"NEW.price > 1\",\"format\":\"change\",\"ordered\":\"stop\"}');"
        "SELECT resthook_subscribe('item.create', 'https://b.example/3', "
        "'{\"format\":\"cloudevents\",\"signing\":\"v1a\",\"rate\":5,\"timeout\":2,"
        "\"retry_schedule\":\"0,1s\",\"max_in_flight\":2}');"
        "SELECT resthook_subscribe('item.update', 'http://c.example/4', "
        "'{\"verify\":\"x-hook-secret\",\"format\":\"standard\"}');"
        "SELECT resthook_subscribe('resthook.*', 'http://c.example/5');"
        "INSERT INTO item(id, name, price) VALUES (1, 'tea', 2.5), (2, 'milk', NULL);"
        "SELECT resthook_emit('item.sold', '{\"n\":1}', "
        "'{\"key\":\"k\",\"headers\":{\"x-b\":\"c\"},\"idempotency_key\":\"i\"}');");
    MUST(sqlite3_close(db) == SQLITE_OK, "sqlite3_close");
}

#define FIRST_SUB "(SELECT id FROM resthook_subscription ORDER BY rowid LIMIT 1)"

static void add_events(sqlite3 *db) {
    run(db, "PRAGMA synchronous = OFF;"
            "UPDATE item SET price = 3; INSERT INTO item(id, name, price) VALUES (3, 'x', 4);"
            "SELECT resthook_emit('item.late', '[]', '{\"deliver_at\":1790000100}');"
            "SELECT resthook_replay(" FIRST_SUB " || '-2');"
            "SELECT resthook_rotate_secret(" FIRST_SUB ");"
            "SELECT resthook_backfill(" FIRST_SUB ", 'item')");
}

/* One statement a column of a table: a value, and which row. */
static void list_columns(sqlite3 *db, const char *like) {
    sqlite3_stmt *list = prepare(
        db, "SELECT m.name, c.name, first_value(c.name) OVER (PARTITION BY m.name ORDER BY c.cid) "
            "FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c "
            "WHERE m.type = 'table' AND m.name LIKE ?1 ESCAPE '!' ORDER BY m.name, c.cid");

    sqlite3_bind_text(list, 1, like, -1, SQLITE_STATIC);
    while (sqlite3_step(list) == SQLITE_ROW && columns_count < COLUMNS_MOST) {
        columns[columns_count++].put =
            sqlite3_mprintf("UPDATE OR REPLACE \"%w\" SET \"%w\" = ?1 WHERE \"%w\" IS "
                            "(SELECT \"%w\" FROM \"%w\" LIMIT 1 OFFSET ?2)",
                            sqlite3_column_text(list, 0), sqlite3_column_text(list, 1),
                            sqlite3_column_text(list, 2), sqlite3_column_text(list, 2),
                            sqlite3_column_text(list, 0));
    }
    sqlite3_finalize(list);
}

static void make_templates(bool of_side) {
    static const uint8_t answers[] = {0, 1, 0, 1, 2, 1, 0, 1, 0, 1, 1, 0};
    const char *scratch = getenv("TMPDIR");
    struct input input = {answers, sizeof answers};

    snprintf(folder, sizeof folder, "%s/resthook-fuzz-XXXXXX",
             scratch != NULL && strlen(scratch) < 100 ? scratch : "/tmp");
    MUST(mkdtemp(folder) != NULL, "%s", folder);
    snprintf(file, sizeof file, "%s/app.db", folder);
    snprintf(side, sizeof side, "%s-resthook", file);
    atexit(remove_folder);
    make_app();
    dispatch(&input);
    sqlite3 *db = open_file(file);
    add_events(db);
    finish_template(db, "UPDATE resthook_meta SET value = '0123456789abcdef01234567' WHERE name = 'token';"
                        "UPDATE resthook_outbox SET created_at = 1789999999000 + id;"
                        "UPDATE resthook_extra SET created_at = 1789999999000 + event;"
                        "UPDATE resthook_subscription SET created_at = 1, updated_at = 2;"
                        "UPDATE resthook_watch SET created_at = 1;"
                        "UPDATE resthook_backfill_run SET created_at = 1;"
                        "UPDATE resthook_request SET created_at = 1");
    MUST(sqlite3_open(side, &db) == SQLITE_OK, "%s", side);
    finish_template(db, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024;"
                        "UPDATE meta SET value = '0123456789abcdef01234567' WHERE name = 'token';"
                        "UPDATE meta SET value = 1 WHERE name LIKE '%!_at' ESCAPE '!';"
                        "UPDATE delivery SET created_at = 1789999999000 + event;"
                        "UPDATE anchor SET created_at = 1789999999000 + id");
    read_image(&app_image);
    read_image(&side_image);
    db = open_file(of_side ? side : file);
    list_columns(db, of_side ? "%" : "resthook!_%");
    sqlite3_close(db);
}

static int authorize(void *context, int action, const char *a, const char *b, const char *c,
                     const char *d) {
    (void)context;
    (void)c;
    (void)d;
    /* It is the file that is hostile, not the process. */
    return action == SQLITE_ATTACH ||
                   (action == SQLITE_PRAGMA && sqlite3_stricmp(a, "temp_store_directory") == 0) ||
                   (action == SQLITE_FUNCTION && sqlite3_stricmp(b, "load_extension") == 0)
               ? SQLITE_DENY
               : SQLITE_OK;
}

static int count_down(void *left) {
    return --*(int *)left < 0;
}

static void put_value(sqlite3 *db, struct input *input) {
    sqlite3_stmt *statement = NULL;
    unsigned column = (unsigned)take_number(input, 2) % columns_count, at = take_byte(input) % 16;
    struct value value = take_value(input);

    if (sqlite3_prepare_v2(db, columns[column].put, -1, &statement, NULL) == SQLITE_OK) {
        bind_value(statement, 1, &value);
        sqlite3_bind_int(statement, 2, (int)at);
        (void)sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    free(value.bytes);
}

static void run_line(sqlite3 *db, struct input *input) {
    int left = SQL_STEPS;
    size_t length;
    char *sql = take_line(input, &length);

    /* A view or a trigger without an end holds a dispatcher that reads or writes through it. */
    if (strcasestr(sql, "recursive") != NULL) {
        free(sql);
        return;
    }
    sqlite3_progress_handler(db, 1000, count_down, &left);
    (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    free(sql);
}

/* Overwrites some bytes of the file. */
static void patch(const char *path, struct input *input, size_t most) {
    FILE *out = fopen(path, "r+b");
    long at = (long)(take_number(input, 3) % most);
    size_t length = take_byte(input) % 16U;
    char *bytes = take_text(input, &length);

    MUST(out != NULL && fseek(out, at, SEEK_SET) == 0, "%s", path);
    (void)fwrite(bytes, 1, length, out);
    fclose(out);
    free(bytes);
}

/* Makes both files, the image's one changed as the input says. */
static void make_files(const struct image *image, struct input *input) {
    sqlite3 *db = NULL;

    remove_files();
    write_image(&app_image);
    write_image(&side_image);
    for (int i = 0; i < STEPS_MOST && input->left > 0; i++) {
        uint8_t step = take_byte(input) % 4;

        if (step == 0) {
            break;
        }
        if (step == 1) {
            sqlite3_close(db);
            db = NULL;
            patch(image->path, input, image->size);
            continue;
        }
        if (db == NULL) {
            db = open_file(image->path);
            sqlite3_exec(db,
                         "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;"
                         "PRAGMA writable_schema = ON",
                         NULL, NULL, NULL);
            sqlite3_set_authorizer(db, authorize, NULL);
        }
        if (step == 2) {
            put_value(db, input);
        } else {
            run_line(db, input);
        }
    }
    sqlite3_close(db);
}

#endif
