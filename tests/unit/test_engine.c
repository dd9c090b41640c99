/*
** test_engine.c: the engine, the schedule of lines and the verdicts, with a fake source, a fake
** transport and a fake clock: days of retries pass in a millisecond. The fakes take the place of
** http.o and the outbox at link time, which shows that the engine needs neither.
** SPDX-License-Identifier: MIT
*/
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine.h"
#include "http.h"
#include "line.h"
#include "stopwatch.h"
#include "verdict.h"

/* ---- the fake transport: what is sent ends at a time; HANG as a timeout after 15 s ---- */

#define FLIGHTS 512
#define HANG (-1)

struct flight {
    struct job *job;
    int64_t started_at, ends_at;
    int status;
};

struct http {
    struct flight flights[FLIGHTS];
    int count;
    int sent; /* of these, when the network was last moved on */
    int most; /* in flight at once, ever */
};

static struct http transport;
static int64_t clock_now;
static int answer_of(const struct job *job); /* the script */

void http_send(struct http *http, struct job *job, int64_t now) {
    int status = answer_of(job);

    assert_in_range(http->count, 0, FLIGHTS - 1);
    http->flights[http->count++] =
        (struct flight){job, now, now + (status == HANG ? job->target->timeout : 1), status};
    http->most = http->count > http->most ? http->count : http->most;
}

void http_work(struct http *http) {
    http->sent = http->count;
}

struct job *http_next(struct http *http, int64_t now, struct reply *reply) {
    for (int i = 0; i < http->count; i++) {
        if (http->flights[i].ends_at <= now) {
            struct flight ended = http->flights[i];

            http->flights[i] = http->flights[--http->count];
            *reply =
                (struct reply){.failure = ended.status == HANG ? FAILURE_TIMEOUT : FAILURE_NONE,
                               .status = ended.status == HANG ? 0 : ended.status,
                               .error = ended.status == HANG ? "timeout" : "",
                               .retry_after = ended.status == 429 ? 60000 : -1,
                               .started_at = ended.started_at,
                               .duration = now - ended.started_at,
                               .response = ""};
            return ended.job;
        }
    }
    return NULL;
}

int http_in_flight(const struct http *http) {
    return http->count;
}

struct job *http_abort(struct http *http) {
    return http->count > 0 ? http->flights[--http->count].job : NULL;
}

static int64_t next_end(const struct http *http) {
    int64_t next = NEVER;

    for (int i = 0; i < http->count; i++) {
        next = http->flights[i].ends_at < next ? http->flights[i].ends_at : next;
    }
    return next;
}

/* ---- the fake stopwatch ---- */

static int64_t worked; /* µs */

int64_t stopwatch_us(void) {
    return worked;
}

/* ---- the fake source: lines with so many events each, and what became of them ---- */

#define LINES 300

struct fake_line {
    struct line line;
    struct target target;
    struct job job[64];
    int64_t due[64]; /* NEVER: final */
    int attempts[64];
    bool out[64];
    int events, delivered, dead, ended;
    int64_t last_at; /* of a delivery */
};

static bool was_idle; /* as the source was told in its last turn */

struct fake {
    struct source source;
    struct fake_line lines[LINES];
    int count;
};

static struct fake fake;

static struct fake_line *line_of(struct line *line) {
    return (struct fake_line *)(void *)line; /* its first member */
}

static int next_event(const struct fake_line *line, int64_t now) {
    for (int i = 0; i < line->events; i++) {
        if (!line->out[i] && line->due[i] <= now) {
            return i;
        }
    }
    return -1;
}

static int64_t fake_turn(struct source *source, int64_t now, bool idle) {
    int64_t due = NEVER;

    (void)source;
    was_idle = idle;
    for (int i = 0; i < fake.count; i++) {
        struct fake_line *line = &fake.lines[i];

        if (next_event(line, now) >= 0) {
            line_ready(&line->line);
        }
        for (int e = 0; e < line->events; e++) {
            if (!line->out[e] && line->due[e] > now && line->due[e] < due) {
                due = line->due[e];
            }
        }
    }
    return due;
}

static struct job *fake_claim(struct source *source, struct line *claimed, int64_t now) {
    struct fake_line *line = line_of(claimed);
    int event = next_event(line, now);

    (void)source;
    if (event < 0) {
        line_done(claimed);
        return NULL;
    }
    line->out[event] = true;
    line->job[event] = (struct job){.line = claimed,
                                    .target = &line->target,
                                    .event = "a.b",
                                    .id = "id",
                                    .body = "{}",
                                    .body_length = 2,
                                    .attempt = line->attempts[event] + 1};
    if (next_event(line, now) < 0) {
        line_done(claimed);
    }
    return &line->job[event];
}

static void fake_settle(struct source *source, struct job *job, const struct outcome *outcome,
                        int64_t now) {
    struct fake_line *line = line_of(job->line);
    int event = (int)(job - line->job);

    (void)source;
    line->out[event] = false;
    if (outcome == NULL) {
        line->due[event] = now;
        return;
    }
    line->attempts[event]++;
    line->due[event] = outcome->state == VERDICT_RETRY ? outcome->next_at : NEVER;
    line->delivered += outcome->state == VERDICT_DELIVERED;
    line->dead += outcome->state == VERDICT_DEAD;
    line->ended += outcome->effect == EFFECT_GONE;
    if (outcome->state == VERDICT_DELIVERED) {
        line->last_at = now;
    }
}

static bool fake_drained(const struct source *source, int64_t now) {
    (void)source;
    for (int i = 0; i < fake.count; i++) {
        if (next_event(&fake.lines[i], now) >= 0) {
            return false;
        }
    }
    return true;
}

/* ---- running ---- */

static struct engine *engine;
static struct endpoints *endpoints;
static int script[LINES][16]; /* answers of a line, by attempt; 0: as the one before */

static int answer_of(const struct job *job) {
    const int *answers = script[line_of(job->line) - fake.lines];
    int answer = 204;

    for (int i = 0; i < job->attempt && i < 16; i++) {
        answer = answers[i] != 0 ? answers[i] : answer;
    }
    return answer;
}

static struct fake_line *add_line(const char *endpoint, int events, int answer) {
    struct fake_line *line = &fake.lines[fake.count];

    line_open(endpoints, &line->line, &fake.source, endpoint, 0);
    line->target.timeout = 15000;
    line->target.retry_after_most = 86400000;
    assert_null(retry_parse(RETRY_STANDARD, strlen(RETRY_STANDARD), &line->target.schedule));
    line->events = events;
    script[fake.count++][0] = answer;
    return line;
}

static int begin(void **state) {
    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(&transport, 0, sizeof transport);
    memset(script, 0, sizeof script);
    fake.source = (struct source){fake_turn, fake_claim, fake_settle, fake_drained};
    clock_now = 1000000;
    endpoints = endpoints_new(64, 16);
    engine = engine_new(&transport, endpoints);
    engine_add(engine, &fake.source);
    return 0;
}

static int end(void **state) {
    (void)state;
    engine_cancel(engine, clock_now);
    for (int i = 0; i < fake.count; i++) {
        line_close(&fake.lines[i].line);
    }
    engine_free(engine);
    endpoints_free(endpoints);
    return 0;
}

/* Goes from event to event, never sleeping, until `until` or until nothing will ever happen. */
static void run_to(int64_t until) {
    while (clock_now < until) {
        int64_t due = engine_turn(engine, clock_now);
        int64_t ends = next_end(&transport);

        due = ends < due ? ends : due;
        if (due == NEVER) {
            return;
        }
        due = due < until ? due : until;
        clock_now = due > clock_now ? due : clock_now + 1;
    }
}

static void test_delivers_at_once(void **state) {
    struct fake_line *line = add_line("http://a:80", 50, 204);

    (void)state;
    run_to(clock_now + 1000);
    assert_int_equal(line->delivered, 50);
    assert_true(engine_drained(engine, clock_now));
    assert_int_equal(engine_counts(engine)->delivered, 50);
}

static void test_retries_for_days_and_then_dies(void **state) {
    struct fake_line *line = add_line("http://a:80", 1, 500);
    int64_t began = clock_now;

    (void)state;
    run_to(clock_now + 10LL * 86400000);
    assert_int_equal(line->attempts[0], 10);
    assert_int_equal(line->dead, 1);
    /* 5s 5m 30m 2h 5h 10h 14h 20h 24h with 10 % of jitter */
    assert_in_range((uintmax_t)(clock_now - began), 270305000ULL * 9 / 10, 271505000ULL * 11 / 10);
}

static void test_succeeds_on_a_later_attempt(void **state) {
    struct fake_line *line = add_line("http://a:80", 1, 500);

    (void)state;
    script[0][3] = 200;
    run_to(clock_now + 86400000);
    assert_int_equal(line->attempts[0], 4);
    assert_int_equal(line->delivered, 1);
}

static void test_410_is_gone(void **state) {
    struct fake_line *line = add_line("http://a:80", 1, 410);

    (void)state;
    run_to(clock_now + 1000);
    assert_int_equal(line->ended, 1);
    assert_int_equal(line->dead, 1);
}

static void test_429_throttles_its_line(void **state) {
    struct fake_line *line = add_line("http://a:80", 3, 429);
    struct fake_line *other = add_line("http://a:80", 20, 204);
    int64_t began = clock_now;

    (void)state;
    script[0][1] = 204;
    run_to(began + 59000);
    assert_int_equal(line->delivered, 0);
    assert_int_equal(other->delivered, 20);
    run_to(began + 120000);
    assert_int_equal(line->delivered, 3);
    assert_true(line->last_at >= began + 60000);
}

/* A target that hangs costs the others nothing, though all of them stand before it. */
static void test_a_hundred_hang_and_one_lives(void **state) {
    struct fake_line *living;
    int64_t began = clock_now;

    (void)state;
    for (int i = 0; i < 250; i++) {
        char name[32];

        snprintf(name, sizeof name, "http://hang%d:80", i);
        add_line(name, 60, HANG);
    }
    living = add_line("http://lives:80", 64, 204);
    run_to(began + 6000); /* of 64 places 48, given back after a second each, for 250 that hang */
    assert_int_equal(living->delivered, 64);
    assert_in_range(transport.most, 1, 64 + 64 * SLOW_TIMES);
}

static void test_two_paths_of_one_endpoint(void **state) {
    struct fake_line *living;

    (void)state;
    for (int i = 0; i < 20; i++) {
        add_line("http://a:80", 60, HANG);
    }
    living = add_line("http://a:80", 64, 204);
    run_to(clock_now + 3000);
    assert_int_equal(living->delivered, 64);
}

static void test_a_dead_target_holds_one_place(void **state) {
    struct fake_line *line = add_line("http://a:80", 60, HANG);

    (void)state;
    run_to(clock_now + 60000);
    assert_int_equal(line->line.in_flight, 1);
}

static void test_stop_and_cancel(void **state) {
    struct fake_line *line = add_line("http://a:80", 60, HANG);

    (void)state;
    run_to(clock_now + 10);
    engine_stop(engine);
    int in_flight = transport.count;

    run_to(clock_now + 100);
    assert_int_equal(transport.count, in_flight);
    engine_cancel(engine, clock_now);
    assert_true(engine_idle(engine));
    assert_int_equal(line->line.in_flight, 0);
    for (int i = 0; i < line->events; i++) {
        assert_int_equal(line->attempts[i], 0);
    }
}

/* A source that works for long, while the answer to what is in flight comes in. */
static int64_t long_turn(struct source *source, int64_t now, bool idle) {
    (void)source;
    (void)idle;
    worked += 5000000;
    if (transport.count > 0) {
        transport.flights[0].ends_at = now + 5000;
    }
    return NEVER;
}

static int delivered_before; /* … the last source's turn */
static int64_t turned_at;

static int64_t last_turn(struct source *source, int64_t now, bool idle) {
    (void)source;
    (void)idle;
    delivered_before = fake.lines[0].delivered;
    turned_at = now;
    return NEVER;
}

static void test_answers_are_taken_while_sources_work(void **state) {
    struct source slow = {long_turn, fake_claim, fake_settle, fake_drained};
    struct source last = {last_turn, fake_claim, fake_settle, fake_drained};

    (void)state;
    add_line("http://a:80", 1, 204);
    engine_add(engine, &slow);
    engine_add(engine, &last);
    (void)engine_turn(engine, clock_now);
    assert_int_equal(transport.count, 1);
    assert_int_equal(delivered_before, 0);
    /* Five seconds later, as it is by then: and who had his turn before gets another one first. */
    assert_int_equal(engine_turn(engine, clock_now), clock_now + 5000);
    assert_int_equal(transport.count, 0);
    assert_false(engine_idle(engine));
    assert_int_equal(delivered_before, 1);
    assert_int_equal(turned_at, clock_now + 5000);
    assert_int_equal(fake.lines[0].last_at, clock_now + 5000);
    (void)engine_turn(engine, clock_now + 5000);
    assert_true(engine_idle(engine));
}

/* What such a look took in is written with the next turn, and waits for nobody who may hang. */
static void test_what_was_delivered_amid_a_turn_is_written_in_the_next(void **state) {
    struct source slow = {long_turn, fake_claim, fake_settle, fake_drained};
    struct source last = {last_turn, fake_claim, fake_settle, fake_drained};
    struct fake_line *good = add_line("http://a:80", 1, 204);

    (void)state;
    engine_add(engine, &slow);
    engine_add(engine, &last);
    (void)engine_turn(engine, clock_now);
    (void)add_line("http://b:80", 1, HANG);
    (void)engine_turn(engine, clock_now);
    assert_int_equal(good->delivered, 1);
    assert_false(was_idle); /* before it was taken in */
    assert_int_equal(transport.count, 1);
    (void)engine_turn(engine, clock_now + 5000);
    assert_true(was_idle);
}

static void add_event(struct fake_line *line) {
    line->events++;
    line_ready(&line->line);
}

/* What is to be sent goes out in the turn that claims it, while no answer is expected that would have to be looked at
** first. */
static void test_sends_at_once_when_nobody_is_expected_to_answer(void **state) {
    struct fake_line *hung = add_line("http://a:80", 1, HANG);
    struct fake_line *good = add_line("http://b:80", 0, 204);

    (void)state;
    assert_int_equal(engine_turn(engine, clock_now),
                     clock_now); /* an answer may be there already */
    assert_int_equal(transport.sent, 1);
    add_event(good); /* not proven yet */
    (void)engine_turn(engine, clock_now);
    assert_int_equal(transport.sent, 2);
    clock_now++;
    (void)engine_turn(engine, clock_now);
    assert_int_equal(good->delivered, 1);
    add_event(good);
    assert_int_equal(engine_turn(engine, clock_now), clock_now);
    assert_int_equal(transport.count, 2);
    assert_int_equal(transport.sent, 2);
    add_event(good); /* while the one before is under way */
    (void)engine_turn(engine, clock_now);
    assert_int_equal(transport.count, 3);
    assert_int_equal(transport.sent, 2); /* with the next turn */
    assert_int_equal(hung->delivered, 0);
}

/* Between the events of one that is good, others are tried as fast as the network can: who answers among many that don't
** is found out in no time. */
static void test_who_answers_is_found_among_many_who_do_not(void **state) {
    struct fake_line *good = add_line("http://good:80", 1, 204);
    int answer = 0;

    (void)state;
    (void)engine_turn(engine, clock_now++);
    (void)engine_turn(engine, clock_now++);
    assert_int_equal(good->delivered, 1);
    const int64_t since = clock_now;

    for (int i = 1; i < 250; i++) {
        char name[32];

        snprintf(name, sizeof name, "http://h%d:80", i);
        add_line(name, 1, i % 10 == 0 ? 204 : 500);
    }
    for (; answer < 24 && clock_now < since + 10000; clock_now++) {
        if ((clock_now - since) % 5 == 0) {
            good->events = 1; /* another one in its place */
            good->due[0] = clock_now;
            line_ready(&good->line);
        }
        while (engine_turn(engine, clock_now) <= clock_now) {
        }
        answer = 0;
        for (int i = 1; i < fake.count; i++) {
            answer += fake.lines[i].delivered;
        }
    }
    assert_int_equal(answer, 24);
    assert_in_range(clock_now - since, 1, 100);
}

static void test_what_was_delivered_waits_for_nobody_who_may_hang(void **state) {
    struct fake_line *refuses = add_line("http://a:80", 0, 500);
    struct fake_line *good = add_line("http://b:80", 1, 204);

    (void)state;
    add_line("http://c:80", 1, HANG);
    (void)engine_turn(engine, clock_now++);
    (void)engine_turn(engine, clock_now);
    assert_int_equal(good->delivered, 1);
    assert_true(was_idle);
    add_event(good);
    add_event(good);
    (void)engine_turn(engine, clock_now++);
    assert_false(was_idle);         /* nothing has happened */
    transport.flights[1].ends_at++; /* not both at once */
    (void)engine_turn(engine, clock_now++);
    assert_int_equal(good->delivered, 2);
    assert_false(was_idle); /* the other one comes soon */
    (void)engine_turn(engine, clock_now);
    assert_int_equal(good->delivered, 3);
    assert_true(was_idle);
    clock_now += BUSY_FOR;
    add_event(refuses);
    (void)engine_turn(engine, clock_now++);
    (void)engine_turn(engine, clock_now);
    assert_int_equal(refuses->attempts[0], 1);
    assert_false(was_idle); /* others that fail come soon */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sends_at_once_when_nobody_is_expected_to_answer, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_who_answers_is_found_among_many_who_do_not, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_what_was_delivered_waits_for_nobody_who_may_hang,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_delivers_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_retries_for_days_and_then_dies, begin, end),
        cmocka_unit_test_setup_teardown(test_succeeds_on_a_later_attempt, begin, end),
        cmocka_unit_test_setup_teardown(test_410_is_gone, begin, end),
        cmocka_unit_test_setup_teardown(test_429_throttles_its_line, begin, end),
        cmocka_unit_test_setup_teardown(test_a_hundred_hang_and_one_lives, begin, end),
        cmocka_unit_test_setup_teardown(test_two_paths_of_one_endpoint, begin, end),
        cmocka_unit_test_setup_teardown(test_a_dead_target_holds_one_place, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_and_cancel, begin, end),
        cmocka_unit_test_setup_teardown(test_answers_are_taken_while_sources_work, begin, end),
        cmocka_unit_test_setup_teardown(test_what_was_delivered_amid_a_turn_is_written_in_the_next,
                                        begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
