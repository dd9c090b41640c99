/*
** test_failures.c: the n-th thing fails, for every n until a day passes untouched: what the dispatcher
** asks of the disk, of SQLite's memory and of its own; and at the n-th write the power goes, for both
** files. Two results are allowed: it worked, or it was reported and nothing is lost or half done.
**
** The days are lived by the dispatcher's own rooms over real files, all but the transport: requests are
** answered here. In the suite some n are left out; with the argument "all" (make failures) none is. To
** look at one failure: ONLY=read FROM=187 build/unit/test_failures all 'the_disk_fails_once'.
** SPDX-License-Identifier: MIT
*/
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../failures/disk.h"
#include "command.h"
#include "engine.h"
#include "files.h"
#include "http.h"
#include "identity.h"
#include "line.h"
#include "log.h"
#include "scarce.h"
#include "sync.h"
#include "syncer.h"
#include "wake.h"

#define TURN 50 /* ms */
#define EVENTS 64
#define FLIGHTS 64
#define EXIT_OS 71 /* out of memory */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

/* ---- what is known of a day, also when the process that lived it is gone ---- */

enum fate { UNWRITTEN, TRIED, COMMITTED, ROLLED_BACK };
enum subscriber { PLAIN, ORDERED, FILTERED_ONE, GONE, SUBSCRIBERS };

static struct known {
    int64_t now;
    int newest; /* serial number */
    enum fate fate[EVENTS];
    bool is_item[EVENTS];
    struct pair {
        int sent, taken;
        int again;        /* how often it may be taken again */
        int taken_before; /* what was missing of it, is in again */
        int safe;         /* attempts that are recorded and on the disk: they are not repeated */
        int64_t taken_at;
        char id[80]; /* webhook-id */
    } pair[SUBSCRIBERS][EVENTS];
    int replayed; /* serial number, 0: none was asked for */
    bool replay_committed;
    bool end_is_safe; /* that "gone" has ended is said on the disk, in one file or the other */
    bool exhausted;   /* an allocation failed */
    char wrong[400];  /* the first thing that may not be */
} * known;

static void wrong(const char *format, ...) {
    if (known->wrong[0] == '\0') {
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(known->wrong, sizeof known->wrong, format, arguments);
        va_end(arguments);
    }
}

static bool wants(int sub, int serial) {
    return sub != FILTERED_ONE || (known->is_item[serial] && serial > 5);
}

/* ---- the receivers ---- */

struct http {
    struct job *flights[FLIGHTS];
    int count;
} transport;

static int subscriber_of(const struct job *job) {
    static const char *const hosts[] = {"plain.", "ordered.", "filtered.", "gone."};
    int sub = 0;

    while (sub < SUBSCRIBERS - 1 && strstr(job->target->url, hosts[sub]) == NULL) {
        sub++;
    }
    return sub;
}

static int serial_of(const struct job *job) {
    const char *n = strstr(job->body, "\"n\":");

    return n != NULL ? (int)strtol(n + 4, NULL, 10) : 0;
}

static void receive(const struct job *job) {
    int sub = subscriber_of(job), serial = serial_of(job);

    if (serial <= 0 || serial >= EVENTS) {
        wrong("a request of nothing: %s", job->body);
        return;
    }
    struct pair *pair = &known->pair[sub][serial];

    if (known->fate[serial] == ROLLED_BACK || known->fate[serial] == UNWRITTEN) {
        wrong("a ghost: %d was rolled back, and is sent", serial);
    }
    if (!wants(sub, serial)) {
        wrong("%d is not for %d", serial, sub);
    }
    if (pair->id[0] != '\0' && strcmp(pair->id, job->id) != 0) {
        wrong("%d for %d has another webhook-id: %s, it was %s", serial, sub, job->id, pair->id);
    }
    snprintf(pair->id, sizeof pair->id, "%s", job->id);
    for (int before = 1; sub == ORDERED && before < serial; before++) {
        if (known->fate[before] == COMMITTED && known->pair[sub][before].taken == 0) {
            wrong("%d is sent before %d", serial, before);
        }
    }
    pair->sent++;
}

void http_send(struct http *http, struct job *job, int64_t now) {
    (void)now;
    assert_in_range(http->count, 0, FLIGHTS - 1);
    http->flights[http->count++] = job;
    receive(job);
}

void http_work(struct http *http) {
    (void)http;
}

struct job *http_next(struct http *http, int64_t now, struct reply *reply) {
    if (http->count == 0) {
        return NULL;
    }
    struct job *job = http->flights[0];
    int sub = subscriber_of(job), serial = serial_of(job);
    struct pair *pair = &known->pair[sub][serial];
    bool fails = sub == ORDERED && serial % 4 == 1 && pair->sent == 1;

    memmove(http->flights, http->flights + 1, (size_t)--http->count * sizeof *http->flights);
    *reply = (struct reply){.status = sub == GONE ? 410
                                      : fails     ? 503
                                                  : 200,
                            .error = "",
                            .retry_after = -1,
                            .started_at = now - TURN,
                            .duration = TURN,
                            .steps = {-1, -1, -1, -1},
                            .response = "",
                            .headers = ""};
    if (reply->status == 200) {
        pair->taken++;
        pair->taken_at = now;
    }
    return job;
}

int http_in_flight(const struct http *http) {
    return http->count;
}

struct job *http_abort(struct http *http) {
    return http->count > 0 ? http->flights[--http->count] : NULL;
}

/* ---- the dispatcher's own memory, and the machine's boot: linked with --wrap ---- */

static long until_exhausted; /* allocations until one fails; 0: none does */
static char boot[60] = "one";

static bool exhausted(void) {
    if (!disk_suffers || until_exhausted == 0 || --until_exhausted > 0) {
        return false;
    }
    known->exhausted = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **text, const char *format, va_list arguments);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **text, const char *format, va_list arguments);
void __wrap_identity_boot(char *out);

void *__wrap_malloc(size_t size) {
    return exhausted() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return exhausted() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return exhausted() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text) {
    return exhausted() ? NULL : __real_strdup(text);
}

__attribute__((format(printf, 2, 0))) int __wrap_vasprintf(char **text, const char *format,
                                                           va_list arguments) {
    return exhausted() ? -1 : __real_vasprintf(text, format, arguments);
}

void __wrap_identity_boot(char *out) {
    strcpy(out, boot);
}

/* ---- the application ---- */

static const struct variant { /* of a day */
    const char *name;
    const char *journal_mode, *synchronous;
    bool loses; /* what is committed is not on the disk yet, says SQLite */
    const char *sync_every;
    const char *encoding;
} wal = {"WAL", "wal", "FULL", false, "1", "UTF-8"},
  wal_each = {"each", "wal", "FULL", false, "0", "UTF-8"},
  wal_normal = {"NORMAL", "wal", "NORMAL", true, "1", "UTF-8"},
  rollback = {"rollback", "delete", "EXTRA", false, "1", "UTF-8"},
  rollback_each = {"rb., each", "delete", "EXTRA", false, "0", "UTF-8"},
  utf16 = {"UTF-16", "wal", "FULL", false, "1", "UTF-16"}, *variant;

static char folder[] = "/tmp/resthook-failures-XXXXXX";
static char path[64];
static sqlite3 *app;

static char *beside(const char *suffix) {
    static char name[96];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return name;
}

static void sql(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (sqlite3_exec(app, text, NULL, NULL, NULL) != SQLITE_OK) {
        wrong("the application is disturbed: %s: %s", text, sqlite3_errmsg(app));
        sqlite3_exec(app, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_free(text);
}

static void app_open(void) {
    assert_int_equal(sqlite3_open(path, &app), SQLITE_OK);
    assert_int_equal(sqlite3_resthook_init(app, NULL, NULL), SQLITE_OK);
    sql("PRAGMA journal_mode=%s", variant->journal_mode);
    sql("PRAGMA synchronous=%s", variant->synchronous);
    sqlite3_wal_autocheckpoint(app, 20);
}

static void app_close(void) {
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    app = NULL;
}

/* So many events in one transaction, by all ways that there are. Each has its fact, so that it is known
** what SQLite kept. */
static void write_events(int count, bool keep) {
    int from = known->newest + 1;

    sql("BEGIN");
    for (int serial = from; serial < from + count; serial++) {
        known->fate[serial] = keep ? TRIED : ROLLED_BACK;
        known->is_item[serial] = serial % 3 == 0;
        if (serial % 3 == 0) {
            sql("INSERT INTO item(n) VALUES (%d)", serial);
        } else if (serial % 3 == 1) {
            sql("SELECT resthook_emit('a.own', '{\"n\":%d}')", serial);
        } else {
            sql("INSERT INTO resthook_outbox(event, payload) VALUES ('a.plain', '{\"n\":%d}')",
                serial);
        }
        sql("INSERT INTO fact VALUES (%d)", serial);
        known->newest = serial;
    }
    sql(keep ? "COMMIT" : "ROLLBACK");
    for (int serial = from; keep && serial < from + count; serial++) {
        known->fate[serial] = COMMITTED;
    }
}

static void remove_files(void) {
    static const char *const suffixes[] = {"",          "-wal",          "-shm",         "-journal",
                                           "-resthook", "-resthook-wal", "-resthook-shm"};

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        unlink(beside(suffixes[i]));
    }
}

static struct image {
    char *bytes;
    size_t length;
} image;

/* What every day of this variant begins with. */
static void make_image(const struct variant *of) {
    struct stat info = {0};

    variant = of;
    remove_files();
    app_open();
    sql("PRAGMA encoding = '%s'", variant->encoding);
    sql("SELECT resthook_init()");
    sql("CREATE TABLE item(id INTEGER PRIMARY KEY, n)");
    sql("CREATE TABLE fact(n PRIMARY KEY)");
    sql("SELECT resthook_watch('item', 'insert', 'a.item')");
    sql("SELECT resthook_set('keep_events', 60)");
    sql("SELECT resthook_set('sync_every', %s)", variant->sync_every);
    sql("SELECT resthook_subscribe('a.*', 'https://plain.example/')");
    sql("SELECT resthook_subscribe('a.*', 'https://ordered.example/', '{\"ordered\":true}')");
    sql("SELECT resthook_subscribe('a.item', 'https://filtered.example/',"
        " '{\"filter\":\"NEW.n > 5\"}')");
    sql("SELECT resthook_subscribe('a.*', 'https://gone.example/')");
    app_close();
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    image.length = (size_t)info.st_size;
    image.bytes = realloc(image.bytes, image.length);
    assert_int_equal(read(fd, image.bytes, image.length), info.st_size);
    close(fd);
}

static void begin_day(void) {
    struct timespec clock;

    remove_files();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, image.bytes, image.length), image.length);
    close(fd);
    memset(known, 0, sizeof *known);
    clock_gettime(CLOCK_REALTIME, &clock);
    known->now = (int64_t)clock.tv_sec * 1000;
}

static struct figures { long days, refused, held, unrecorded, synced; } * figures; /* shared, too */

/*
** The syncer without its thread, so that the n-th thing is the same each day: it works when it is asked
** whether it has, a turn later; and it copies the WAL each second time, however short that is.
*/
static struct syncer { int jobs; } syncer;

void syncer_ask(struct syncer *self, struct sync_job *job) {
    (void)self;
    job->asked = true;
}

bool syncer_ended(struct syncer *self, struct sync_job *job, int *rc) {
    bool asked = job->asked;

    if (asked) {
        *rc = sync_side_file(job->path, self->jobs++ % 2 == 1);
        figures->synced++;
        job->asked = false;
    }
    return asked;
}

void syncer_wait(struct syncer *self, struct sync_job *job) {
    int rc;

    (void)syncer_ended(self, job, &rc);
}

/* ---- the dispatcher ---- */

static char *names[] = {path};
static struct options options = {.names = names, .count = 1, .max_in_flight = 32};
static struct dispatcher {
    struct endpoints *endpoints;
    struct wake *wake;
    struct engine *engine;
    struct files *files;
    bool runs;
} dispatcher;

static long memory_left = -1; /* SQLite's, while the dispatcher runs */

static void enter(void) {
    disk_suffers = true;
    countdown = memory_left;
}

static void leave(void) {
    memory_left = countdown;
    countdown = -1;
    disk_suffers = false;
}

/* How many attempts the side file knows of each pair that is not sent again; -1: it is. */
static void find_recorded(int attempts[SUBSCRIBERS][EVENTS]) {
    sqlite3_stmt *rows = NULL;
    sqlite3 *side;

    memset(attempts, -1, SUBSCRIBERS * sizeof *attempts);
    if (sqlite3_open_v2(beside("-resthook"), &side, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_db_config(side, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_prepare_v2(side,
                           "SELECT (SELECT value FROM meta WHERE name = 'token') || '_' || event ||"
                           " '_' || created_at, target LIKE '%plain%', target LIKE '%ordered%',"
                           " attempts FROM delivery, subscription ON n = sub"
                           " WHERE state = 3 OR target LIKE '%plain%'", /* where none fails */
                           -1, &rows, NULL);
        while (sqlite3_step(rows) == SQLITE_ROW) {
            int sub = sqlite3_column_int(rows, 1)   ? PLAIN
                      : sqlite3_column_int(rows, 2) ? ORDERED
                                                    : FILTERED_ONE;
            for (int serial = 1; serial < EVENTS; serial++) {
                const struct pair *pair = &known->pair[sub][serial];

                if (strcmp(pair->id, (const char *)sqlite3_column_text(rows, 0)) == 0) {
                    attempts[sub][serial] = sqlite3_column_int(rows, 3);
                }
            }
        }
        sqlite3_finalize(rows);
    }
    sqlite3_close(side);
}

/* How many of those that were taken are missing among them, but for what was lost before. */
static int missed(const struct pair *pair, int attempts) {
    return pair->taken - pair->again - (attempts > 0 ? attempts : 0);
}

/* A dispatcher has ended. What it did not record is taken again. */
static void count_unrecorded(bool said_all_is, int64_t since) {
    int attempts[SUBSCRIBERS][EVENTS];

    find_recorded(attempts);
    for (int sub = 0; sub < SUBSCRIBERS; sub++) {
        for (int serial = 1; serial <= known->newest; serial++) {
            struct pair *pair = &known->pair[sub][serial];

            int more = missed(pair, attempts[sub][serial]);

            if (known->fate[serial] != COMMITTED || more <= 0 ||
                pair->taken == pair->taken_before) {
                continue;
            }
            pair->again += more;
            pair->taken_before = pair->taken;
            if (said_all_is) {
                wrong("%d for %d is not recorded, though all is said to be", serial, sub);
            } else if (attempts[sub][serial] < pair->safe && pair->safe > 0) {
                wrong("%d for %d was recorded safely, and is not now", serial, sub);
            } else if (pair->taken_at < since) {
                wrong("%d for %d was taken %lld ms before the end, and not recorded", serial, sub,
                      (long long)(known->now - pair->taken_at));
            }
        }
    }
}

static void start(void) {
    enter();
    dispatcher.endpoints = endpoints_new(options.max_in_flight, 16);
    dispatcher.wake = wake_new();
    dispatcher.engine = engine_new(&transport, dispatcher.endpoints);
    dispatcher.files =
        files_new(&options, dispatcher.engine, dispatcher.endpoints, dispatcher.wake, &syncer);
    dispatcher.runs = files_open(dispatcher.files, known->now) < 0;
    leave();
}

static void stop(void) {
    bool ran = dispatcher.runs, recorded;

    enter();
    engine_cancel(dispatcher.engine, known->now);
    recorded = files_close(dispatcher.files, known->now);
    engine_free(dispatcher.engine);
    endpoints_free(dispatcher.endpoints);
    wake_free(dispatcher.wake);
    leave();
    dispatcher.runs = false;
    figures->unrecorded += !recorded;
    count_unrecorded(ran && recorded, INT64_MIN);
}

static void turn(void) {
    known->now += TURN;
    enter();
    if (dispatcher.runs) {
        wake_turn(dispatcher.wake);
        engine_turn(dispatcher.engine, known->now);
        files_turn(dispatcher.files, known->now);
    }
    leave();
}

static int64_t number(sqlite3 *db, const char *text) {
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return value;
}

static int64_t number_in_side(const char *text) {
    sqlite3 *side;
    int64_t value = -1;

    if (sqlite3_open_v2(beside("-resthook"), &side, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_db_config(side, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        value = number(side, text);
    }
    sqlite3_close(side);
    return value;
}

static bool has_gone_ended(void) {
    return number(app, "SELECT count(*) FROM resthook_subscriptions WHERE target LIKE '%gone%'"
                       " AND status = 'ended'") == 1;
}

/* Or is to be ended: app.db is not told yet. */
static bool is_end_said(void) {
    return has_gone_ended() || number_in_side("SELECT count(*) FROM effect") > 0;
}

static bool watches_the_power; /* it is known what is recorded safely */

static void work(int turns) {
    while (turns-- > 0) {
        turn();
        if (watches_the_power && dispatcher.runs && disk_is_synced("-resthook-wal")) {
            int attempts[SUBSCRIBERS][EVENTS];

            find_recorded(attempts);
            for (int i = 0; i < SUBSCRIBERS * EVENTS; i++) {
                struct pair *pair = &known->pair[i / EVENTS][i % EVENTS];

                pair->safe = attempts[i / EVENTS][i % EVENTS];
            }
            known->end_is_safe = is_end_said();
        }
    }
}

/* Somebody starts it until it runs, as a service manager does. */
static void start_somehow(void) {
    start();
    if (!dispatcher.runs) {
        figures->refused++;
        stop();
        known->now += 1000;
        start();
    }
}

/* Of what is delivered: of anything else it would come to nothing. */
static void ask_for_replay(void) {
    int attempts[SUBSCRIBERS][EVENTS];

    find_recorded(attempts);
    known->replayed = 1;
    if (attempts[PLAIN][1] > 0) {
        sql("SELECT resthook_replay(id || '-1') FROM resthook_subscriptions"
            " WHERE target LIKE '%%plain%%'");
        known->replay_committed = known->wrong[0] == '\0';
    }
}

static void day(void) {
    app_open();
    write_events(3, true);
    start_somehow();
    work(6);
    write_events(4, true);
    write_events(2, false);
    work(6);
    ask_for_replay();
    work(30);
    write_events(3, true);
    work(25);
    stop();
    write_events(2, true);
    known->now += 70000; /* what was there before is old by now */
    start_somehow();
    work(20);
    write_events(3, true);
    work(40);
}

/* Of what the dispatcher writes to app.db so that the side file can rely on it: the token, and that
** "gone" has ended. The application syncs what it writes. */
static void check_told(const char *what) {
    if (!disk_is_synced("app.db") || !disk_is_synced("app.db-wal") ||
        !disk_is_synced("app.db-journal")) {
        wrong("%s could be taken back", what);
    }
}

static void day_that_is_told(void) {
    app_open();
    write_events(3, true);
    start_somehow();
    check_told("the token");
    for (int turns = 0; turns < 200 && !has_gone_ended(); turns++) {
        work(1);
    }
    if (!has_gone_ended() || number_in_side("SELECT count(*) FROM effect") != 0) {
        wrong("the end was not told");
    }
    check_told("the end");
}

/* ---- afterwards ---- */

static bool expected(int sub, int serial) {
    return known->fate[serial] == COMMITTED && sub != GONE && wants(sub, serial);
}

/* What is still to come; "" for nothing. */
static const char *missing(void) {
    static char what[100];

    what[0] = '\0';
    for (int sub = 0; sub < SUBSCRIBERS; sub++) {
        for (int serial = 1; serial <= known->newest; serial++) {
            if (expected(sub, serial) && known->pair[sub][serial].taken == 0) {
                snprintf(what, sizeof what, "%d for %d is lost", serial, sub);
            }
        }
    }
    if (known->replay_committed && known->pair[PLAIN][known->replayed].taken < 2) {
        snprintf(what, sizeof what, "the replay is lost");
    }
    if (what[0] == '\0' && !has_gone_ended()) {
        snprintf(what, sizeof what, "who is gone has not ended");
    }
    if (what[0] == '\0' && number_in_side("SELECT count(*) FROM delivery WHERE state < 3") != 0) {
        snprintf(what, sizeof what, "something is not final");
    }
    return what;
}

static void finish(void) {
    for (int turns = 0; turns < 200 && missing()[0] != '\0' && known->wrong[0] == '\0'; turns++) {
        work(10);
    }
}

static void check_file(const char *suffix) {
    sqlite3_stmt *statement = NULL;
    sqlite3 *db;

    if (sqlite3_open(beside(suffix), &db) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW ||
        strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        wrong("app.db%s is not whole: %s", suffix, sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* Nothing fails any more: is all there in the end, and nothing else? */
static void end_day(void) {
    int attempts[SUBSCRIBERS][EVENTS];

    if (dispatcher.runs) {
        finish();
        if (missing()[0] != '\0' && !files_all_held(dispatcher.files)) {
            wrong("without a restart %s", missing());
        }
        figures->held += files_all_held(dispatcher.files);
        stop();
    } else if (dispatcher.files != NULL) {
        stop();
    }
    start();
    write_events(2, true);
    finish();
    if (missing()[0] != '\0') {
        wrong("%s", missing());
    }
    stop();
    app_close();
    find_recorded(attempts);
    for (int sub = 0; sub < SUBSCRIBERS; sub++) {
        for (int serial = 1; serial <= known->newest; serial++) {
            const struct pair *pair = &known->pair[sub][serial];
            int most = 1 + pair->again + (sub == PLAIN && serial == known->replayed);

            if (expected(sub, serial) &&
                (attempts[sub][serial] < 0 || missed(pair, attempts[sub][serial]) > 0)) {
                wrong("%d for %d is delivered, and not recorded", serial, sub);
            }
            if (pair->taken > most) {
                wrong("%d for %d is delivered %d times, not %d", serial, sub, pair->taken, most);
            }
        }
    }
    check_file("");
    check_file("-resthook");
    dispatcher.files = NULL;
    figures->days++;
}

/* ---- the tests ---- */

static bool all; /* every n */
static int said, kept_stderr;

static long first(void) {
    const char *from = getenv("FROM");

    return from != NULL ? strtol(from, NULL, 10) : 1;
}

static long step(long n) {
    return all ? 1 : SANITIZED ? 1 + 7 * n : 1 + n * 3 / 4;
}

static void hear(bool dispatcher_alone) {
    fflush(stderr);
    assert_true(dup2(dispatcher_alone ? said : kept_stderr, STDERR_FILENO) >= 0);
    if (dispatcher_alone) {
        assert_int_equal(ftruncate(said, 0), 0);
    }
}

static void judge(const char *what, long n) {
    hear(false);
    if (known->wrong[0] != '\0') {
        char text[8000];
        ssize_t length = pread(said, text, sizeof text - 1, 0);

        text[length > 0 ? length : 0] = '\0';
        fail_msg("%s, %s, %ld: %s\nit said:\n%s", variant->name, what, n, known->wrong, text);
    }
}

static void fail_each(const struct variant *of, enum disk_kind kind, bool lasting) {
    long n;

    make_image(of);
    *figures = (struct figures){0};
    for (n = first();; n += all ? 1 : SANITIZED ? step(n) : 1 + 2 * n) { /* of 36 kinds */
        bool struck;

        begin_day();
        hear(true);
        disk_fail(kind, n, lasting);
        day();
        disk_heal();
        struck = disk_struck > 0;
        end_day();
        judge(disk_names[kind], n);
        if (!struck) {
            break;
        }
    }
    print_message("%-9s %-13s %-7s to %4ld: %ld days, %ld starts refused, %ld held, %ld ends not "
                  "recorded\n",
                  of->name, disk_names[kind], lasting ? "lasting" : "once", n, figures->days,
                  figures->refused, figures->held, figures->unrecorded);
}

static void each(bool lasting) {
    const char *only = getenv("ONLY");

    for (enum disk_kind kind = 0; kind < DISK_KINDS; kind++) {
        if (only == NULL || strcmp(only, disk_names[kind]) == 0) {
            fail_each(&wal, kind, lasting);
            if (all || !lasting) {
                fail_each(&rollback, kind, lasting);
            }
        }
    }
}

static void the_disk_fails_once(void **state) {
    (void)state;
    each(false);
}

static void the_disk_fails_for_long(void **state) {
    (void)state;
    each(true);
}

/* What fails in a process of its own; nothing of it: 0, memory: -1. */
struct blow {
    long cut;
    unsigned seed;
    long own, memory;
};

static void resume(void) {
    app_open();
    start_somehow();
    write_events(2, true);
    work(20);
    stop();
}

/* Returns what that ended with: DISK_POWER, EXIT_OS, or 0 when it passed. */
static int live(void (*life)(void), struct blow blow) {
    int status = -1;
    pid_t pid;

    hear(true);
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka would have it a failed test in this process */
        signal(SIGABRT, SIG_DFL);
        if (blow.cut > 0) {
            disk_cut(blow.cut, blow.seed);
            watches_the_power = true;
        }
        until_exhausted = blow.own;
        failed = false;
        memory_left = blow.memory;
        life();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The application's file says what was committed after all. */
static void find_committed(bool may_be_lost) {
    app_open();
    for (int serial = 1; serial <= known->newest; serial++) {
        char text[60];

        snprintf(text, sizeof text, "SELECT count(*) FROM fact WHERE n = %d", serial);
        if (known->fate[serial] == ROLLED_BACK || known->fate[serial] == UNWRITTEN) {
            continue;
        }
        bool there = number(app, text) == 1;

        if (!there && known->fate[serial] == COMMITTED && !may_be_lost) {
            wrong("%d was committed, and SQLite has lost it", serial);
        }
        if (!there && known->replayed == serial) {
            known->replay_committed = false;
        }
        known->fate[serial] = there ? COMMITTED : ROLLED_BACK;
    }
    if (may_be_lost) {
        known->replay_committed = false;
    }
}

/* The machine is there again, and what SQLite promised. */
static void come_back(void) {
    int64_t since = known->now - (variant->sync_every[0] - '0') * 1000 - 2 * TURN;

    unlink(beside("-shm"));
    unlink(beside("-resthook-shm"));
    strcat(boot, " more");
    known->now += 1000;
    find_committed(variant->loses);
    if (known->end_is_safe && !is_end_said()) {
        wrong("who is gone was ended, and is not now");
    }
    count_unrecorded(false, since);
}

/* false: the day was over before. */
static bool power_goes_at(long n, unsigned seed) {
    struct blow blow = {.cut = n, .seed = (unsigned)n * 7919 + seed, .memory = -1};

    begin_day();
    strcpy(boot, "one");
    int status = live(day, blow);

    if (status == 0) {
        return false;
    }
    if (status != DISK_POWER) {
        wrong("the dispatcher ended with %d", status);
    }
    come_back();
    if (n % 2 == 1) { /* and goes again meanwhile, or not */
        app_close();
        blow.cut = 1 + n % 40;
        if (live(resume, blow) == DISK_POWER) {
            come_back();
        } else {
            find_committed(false);
        }
    }
    end_day();
    judge("power", n);
    return true;
}

static void the_power_goes(const struct variant *of) {
    unsigned seeds = all ? 4 : 1;
    bool goes = true;
    long n;

    make_image(of);
    *figures = (struct figures){0};
    for (n = first(); goes; n += step(n)) {
        for (unsigned seed = 0; seed < seeds && goes; seed++) {
            goes = power_goes_at(n, seed);
        }
    }
    print_message("%-9s %-13s %-7s to %4ld: %ld days, %ld syncs\n", of->name, "power", "", n,
                  figures->days, figures->synced);
    assert_true(figures->synced > 0 || strcmp(of->sync_every, "0") == 0);
}

/* In whatever moment the power goes: it can take back nothing of this. */
static void what_is_told_stays(void **state) {
    static const struct variant *const variants[] = {&wal, &rollback};

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        make_image(variants[i]);
        begin_day();
        assert_int_equal(live(day_that_is_told, (struct blow){.cut = LONG_MAX, .memory = -1}), 0);
        judge("power", 0);
    }
}

static void power_is_lost(void **state) {
    (void)state;
    the_power_goes(&wal);
    the_power_goes(&wal_each);
    the_power_goes(&wal_normal);
    the_power_goes(&rollback);
    the_power_goes(&rollback_each);
}

static void day_to_its_end(void) {
    day();
    known->exhausted |= failed;
    memory_left = -1;
    until_exhausted = 0;
    end_day();
}

/* Of SQLite, which says so, or of our own rooms, which end then: the outbox makes that safe. Whether it came to that. */
static bool memory_ends(const char *whose, long n, struct blow blow) {
    begin_day();
    int status = live(day_to_its_end, blow);

    if (status != EXIT_OS && status != 0) { /* 0: a line of the log, say, was not written */
        wrong("the dispatcher ended with %d", status);
    }
    if (status != 0) {
        find_committed(false);
        count_unrecorded(false, INT64_MIN);
        end_day();
    }
    judge(whose, n);
    return status != 0 || known->exhausted;
}

static void memory_is_short(void **state) {
    static const struct variant *const variants[] = {&wal, &rollback, &utf16};
    long n;

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        make_image(variants[i]);
        *figures = (struct figures){0};
        for (n = first() - 1; memory_ends("SQLite's memory", n, (struct blow){.memory = n});
             n += all ? 41 : step(n)) {
        }
        print_message("%-9s %-13s %-7s to %4ld: %ld days, %ld starts refused, %ld held\n",
                      variants[i]->name, "its memory", "once", n, figures->days, figures->refused,
                      figures->held);
    }
}

static void memory_is_gone(void **state) {
    long n;

    (void)state;
    make_image(&wal);
    *figures = (struct figures){0};
    for (n = first(); memory_ends("memory", n, (struct blow){.own = n, .memory = -1});
         n += step(n)) {
    }
    print_message("%-9s %-13s %-7s to %4ld: %ld days\n", "WAL", "memory", "", n, figures->days);
}

static void *shared(size_t size) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static int begin(void **state) {
    (void)state;
    if (make_memory_scarce() != 0 ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK) { /* it would not be seen */
        return -1;
    }
    sqlite3_initialize();
    disk_install();
    known = shared(sizeof *known);
    figures = shared(sizeof *figures);
    snprintf(path, sizeof path, "%s/app.db", mkdtemp(folder));
    said = open(beside("-said"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    unlink(beside("-said"));
    kept_stderr = dup(STDERR_FILENO);
    log_open(LOG_WARN, false);
    return known == MAP_FAILED || figures == MAP_FAILED || said < 0 ? -1 : 0;
}

static int end(void **state) {
    (void)state;
    free(image.bytes);
    remove_files();
    return rmdir(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_disk_fails_once), cmocka_unit_test(the_disk_fails_for_long),
        cmocka_unit_test(what_is_told_stays),  cmocka_unit_test(power_is_lost),
        cmocka_unit_test(memory_is_short),     cmocka_unit_test(memory_is_gone),
    };

    all = argc > 1 && strcmp(argv[1], "all") == 0;
    if (argc > 2) {
        cmocka_set_test_filter(argv[2]); /* a pattern of names */
    }
    return cmocka_run_group_tests(tests, begin, end);
}
