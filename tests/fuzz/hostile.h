/*
** hostile.h: a database and its side file, one of them changed by somebody who means harm.
**
** An input is steps: bytes of the file overwritten; a value put into any column of any row, where no
** constraint and no type is left; a line of SQL. What follows them is dispatch.h's.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FUZZ_HOSTILE_H
#define RESTHOOK_FUZZ_HOSTILE_H

#include <stdio.h>
#include <unistd.h>

#include "dispatch.h"
#include "hooked.h"
#include "value.h"

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

/* Statements, each of which puts a value into a column of a row. */
static char *updates[COLUMNS_MOST];
static unsigned updates_count;

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
    while (sqlite3_step(list) == SQLITE_ROW && updates_count < COLUMNS_MOST) {
        updates[updates_count++] =
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
    dispatch(file, &input);
    sqlite3 *db = open_file(file);
    add_events(db);
    finish_template(
        db, "UPDATE resthook_meta SET value = '0123456789abcdef01234567' WHERE name = 'token';"
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
    unsigned column = (unsigned)take_number(input, 2) % updates_count, at = take_byte(input) % 16;
    struct value value = take_value(input);

    if (sqlite3_prepare_v2(db, updates[column], -1, &statement, NULL) == SQLITE_OK) {
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

    /* A view or a trigger without an end is held after a hundred million steps: too slow here. */
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
