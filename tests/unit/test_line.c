/*
** test_line.c: each rule of line.h by itself, and at the end all of them at random, where whoever
** is served is compared with whoever may be, found by looking at every line.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "line.h"
#include "source.h"

#define LINES 30
#define T0 INT64_C(1000000)

static struct endpoints *set;
static struct line lines[LINES];
static int opened;
static struct place places[200];
static int taken;

static void begin(int most_of_all, int most_of_one) {
    set = endpoints_new(most_of_all, most_of_one);
    opened = taken = 0;
}

/* Opens one that has something to send. */
static struct line *open_line(const char *endpoint) {
    struct line *line = &lines[opened++];

    line_open(set, line, NULL, endpoint, 0);
    line_ready(line);
    return line;
}

/* As many, each at an endpoint of its own. */
static void open_lines(int count) {
    for (int i = 0; i < count; i++) {
        char name[32];

        snprintf(name, sizeof name, "http://h%d:80", opened);
        open_line(name);
    }
}

/* In a turn for each. */
static struct line *next_line(int64_t now) {
    endpoints_turn(set, now);
    return endpoints_next(set, now);
}

static int take_place(struct line *line, int64_t now) {
    if (line == NULL) {
        return -1;
    }
    place_take(&places[taken++], line, now);
    return (int)(line - lines);
}

/* The number of the line that is served, which takes a place; -1: none. In a turn for each … */
static int serve(int64_t now) {
    return take_place(next_line(now), now);
}

/* … and in the turn that has begun. */
static int serve_next(int64_t now) {
    return take_place(endpoints_next(set, now), now);
}

/* Serves until none may send. Returns how many were served. */
static int fill(int64_t now) {
    int count = 0;

    while (serve(now) >= 0) {
        count++;
    }
    return count;
}

/* Its target has answered. */
static void prove(struct line *line) {
    struct place place;

    place_take(&place, line, T0);
    place_finish(&place, true, 0);
}

static void finish_all(bool healthy) {
    for (int i = 0; i < taken; i++) {
        if (places[i].line != NULL) {
            place_finish(&places[i], healthy, 0);
        }
    }
    taken = 0;
}

static int end(void **state) {
    (void)state;
    for (int i = 0; i < taken; i++) {
        if (places[i].line != NULL) {
            place_drop(&places[i]);
        }
    }
    for (int i = 0; i < opened; i++) {
        line_close(&lines[i]);
    }
    endpoints_free(set);
    return 0;
}

static void has_no_more_in_flight_than_places(void **state) {
    (void)state;
    begin(5, 100);
    open_lines(3);
    for (int i = 0; i < 3; i++) {
        prove(&lines[i]);
    }
    assert_int_equal(fill(T0), 5);
    place_drop(&places[2]);
    assert_int_equal(fill(T0), 1);
    finish_all(true);
    assert_int_equal(fill(T0), 5);
}

static void has_no_more_at_one_endpoint(void **state) {
    (void)state;
    begin(100, 6);
    for (int i = 0; i < 3; i++) {
        prove(open_line("http://a:80"));
    }
    open_line("http://a:81"); /* another one */
    assert_ptr_equal(lines[0].endpoint, lines[2].endpoint);
    assert_ptr_not_equal(lines[0].endpoint, lines[3].endpoint);
    assert_int_equal(fill(T0), 6 + 1); /* the new one's turn comes while the others are served */
    assert_int_equal(lines[3].in_flight, 1);
    assert_int_equal(fill(T0 + BUSY_FOR), 3);
    assert_int_equal(lines[3].in_flight, 4);
    assert_false(line_has_room(&lines[0], T0));
}

static void opens_with_success_and_shuts_with_failure(void **state) {
    static const int windows[] = {10, 5, 2, 1, 1};
    struct line *line;

    (void)state;
    begin(100, 10);
    line = open_line("http://a:80");
    assert_int_equal(fill(T0), 4);
    finish_all(true); /* each opens it by one */
    assert_int_equal(fill(T0), 8);
    finish_all(true);
    assert_int_equal(fill(T0), 10); /* as many as an endpoint may have */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(line->window, windows[i]);
        place_finish(&places[i], false, 0);
        assert_int_equal(line->window, windows[i + 1]);
    }
    for (int i = 4; i < 9; i++) {
        place_drop(&places[i]); /* unused: it says nothing */
    }
    assert_int_equal(line->window, 1);
    assert_int_equal(fill(T0), 0);
    place_drop(&places[9]);
    assert_int_equal(fill(T0 + BUSY_FOR), 1);
}

static void keeps_the_bound_of_a_line(void **state) {
    (void)state;
    begin(100, 10);
    line_open(set, &lines[opened++], NULL, "http://a:80", 2);
    line_ready(&lines[0]);
    assert_int_equal(fill(T0), 2);
    assert_false(line_has_room(&lines[0], T0));
    line_bound(&lines[0], 3);
    assert_true(line_has_room(&lines[0], T0));
    assert_int_equal(fill(T0), 1);
    place_drop(&places[0]);
    line_bound(&lines[0], 1); /* while it stands in the queue */
    assert_int_equal(fill(T0), 0);
    line_bound(&lines[0], 0);
    assert_int_equal(fill(T0), 2);
}

static void leaves_half_of_all_to_the_healthy(void **state) {
    (void)state;
    for (int most = 1; most <= 8; most++) {
        begin(most, 100);
        open_lines(10);
        for (int i = 0; i < 9; i++) {
            line_doubt(&lines[i]);
        }
        prove(&lines[9]);
        line_done(&lines[9]);
        assert_int_equal(fill(T0), (most + 1) / 2);
        line_ready(&lines[9]);
        assert_int_equal(fill(T0), most / 2);
        if (most < 8) {
            end(NULL);
        }
    }
}

static void leaves_half_of_an_endpoint_to_the_healthy(void **state) {
    (void)state;
    begin(100, 8);
    for (int i = 0; i < 10; i++) {
        line_doubt(open_line("http://a:80"));
    }
    assert_int_equal(fill(T0), 4);
    assert_false(line_has_room(&lines[9], T0));
    prove(open_line("http://a:80"));
    assert_true(line_has_room(&lines[10], T0));
    assert_int_equal(fill(T0), 4);
    assert_int_equal(lines[10].in_flight, 4);
}

/* However many new ones come and hang, who has answered is not kept waiting. */
static void leaves_a_quarter_to_those_that_answer(void **state) {
    (void)state;
    begin(4, 100);
    open_lines(20);
    prove(&lines[19]);
    line_done(&lines[19]);
    assert_int_equal(fill(T0), 3);
    for (int64_t now = T0; now <= T0 + 20 * SLOW_AFTER; now += SLOW_AFTER) {
        fill(now); /* until no slow one gives its place back any more */
    }
    line_ready(&lines[19]);
    assert_int_equal(fill(T0 + 20 * SLOW_AFTER), 1);
    assert_int_equal(lines[19].in_flight, 1);
}

static void doubts_whose_target_failed_last(void **state) {
    struct line *line;

    (void)state;
    begin(100, 10);
    line = open_line("http://a:80");
    assert_int_not_equal(line->health, DOUBTFUL); /* it is new */
    assert_int_equal(fill(T0), 4);
    place_finish(&places[0], false, 0);
    assert_int_equal(line->health, DOUBTFUL);
    place_finish(&places[1], true, 0);
    assert_int_not_equal(line->health, DOUBTFUL);
    line_doubt(line);
    assert_int_equal(line->health, DOUBTFUL);
    assert_int_equal(line->window, 1);
    place_drop(&places[2]);
    assert_int_equal(line->health, DOUBTFUL);
}

static void gives_back_the_places_of_the_slow(void **state) {
    (void)state;
    begin(2, 2);
    open_lines(3);
    for (int i = 0; i < 3; i++) {
        line_bound(&lines[i], 1);
    }
    assert_int_equal(serve(T0), 0);
    assert_int_equal(serve(T0 + 100), 1);
    assert_int_equal(fill(T0 + SLOW_AFTER - 1), 0);
    assert_int_not_equal(lines[0].health, DOUBTFUL);
    assert_int_equal(endpoints_due(set), T0 + SLOW_AFTER);
    assert_int_equal(serve(T0 + SLOW_AFTER), 2);
    assert_int_equal(lines[0].health, DOUBTFUL); /* it has not answered for a second */
    assert_int_equal(lines[0].in_flight, 1);
    assert_int_not_equal(lines[1].health, DOUBTFUL);
    assert_int_equal(endpoints_due(set), T0 + SLOW_AFTER + 100);
    place_finish(&places[0], true, 0); /* gives nothing back again */
    assert_int_not_equal(lines[0].health, DOUBTFUL);
    assert_int_equal(fill(T0 + SLOW_AFTER), 0);
}

static void has_so_many_slow_ones_and_no_more(void **state) {
    (void)state;
    begin(2, 100);
    open_lines(20);
    for (int i = 0; i < 20; i++) {
        line_bound(&lines[i], 1);
    }
    for (int second = 0; second <= SLOW_TIMES; second++) {
        assert_int_equal(fill(T0 + second * SLOW_AFTER), 2);
    }
    assert_int_equal(endpoints_due(set), NEVER); /* nothing to come of waiting */
    assert_int_equal(fill(T0 + 100 * SLOW_AFTER), 0);
    place_finish(&places[0], false, 0); /* a slow one ends: the oldest of the others is slow now */
    assert_int_equal(endpoints_due(set), T0 + (SLOW_TIMES + 1) * SLOW_AFTER);
    assert_int_equal(fill(T0 + 100 * SLOW_AFTER), 1);
}

static void asks_an_unknown_target_that_is_slow_no_further(void **state) {
    struct line *line;

    (void)state;
    begin(100, 100);
    line = open_line("http://a:80");
    assert_int_equal(fill(T0), 4);
    assert_int_equal(fill(T0 + SLOW_AFTER), 0);
    assert_int_equal(line->window, 1);
    finish_all(true);
    assert_int_equal(line->window, 5);
    assert_int_equal(fill(T0), 5);
    place_drop(&places[0]);
    place_drop(&places[1]);
    assert_int_equal(fill(T0 + SLOW_AFTER), 2); /* one that has answered is asked on */
    assert_int_equal(line->window, 5);
}

static void hides_no_slow_ones_behind_fast_ones(void **state) {
    struct line *line;

    (void)state;
    begin(100, 100);
    line = open_line("http://a:80");
    assert_int_equal(fill(T0), 4);
    line_done(line);
    assert_int_equal(fill(T0 + SLOW_AFTER), 0);
    place_finish(&places[0], true, 0);
    assert_int_equal(line->health, DOUBTFUL);
    place_finish(&places[1], true, 0);
    place_drop(&places[2]);
    assert_int_equal(line->health, DOUBTFUL);
    place_finish(&places[3], true, 0); /* the last of them */
    assert_int_not_equal(line->health, DOUBTFUL);
}

static void expect_turns(const int *turns, int count) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(serve(T0), turns[i]);
    }
}

static void lines_at_one_endpoint_take_turns(void **state) {
    static const int turns[] = {0, 1, 2, 0, 1, 2, 0};

    (void)state;
    begin(100, 100);
    for (int i = 0; i < 3; i++) {
        open_line("http://a:80");
    }
    expect_turns(turns, 7);
}

static void endpoints_take_turns(void **state) {
    static const int turns[] = {0, 3, 1, 3, 2, 3, 0, 3, 1, 2};

    (void)state;
    begin(100, 100);
    for (int i = 0; i < 3; i++) {
        open_line("http://a:80");
    }
    open_line("http://b:80"); /* sends as much as the three together, while it may */
    expect_turns(turns, 10);
}

static void doubtful_and_healthy_lines_take_turns(void **state) {
    int doubtful = 0;

    (void)state;
    begin(100, 100);
    open_lines(6);
    for (int i = 0; i < 3; i++) {
        line_doubt(&lines[i]);
    }
    for (int i = 0; i < 6; i++) {
        doubtful += serve(T0) < 3;
        assert_in_range(doubtful, (i + 1) / 2, i / 2 + 1);
    }
    assert_int_equal(doubtful, 3);
    assert_in_range(serve(T0), 3, 5); /* the doubtful ones may not, so it is the others' turn */
    assert_in_range(serve(T0), 3, 5);
}

/* Serves until the turn is over. Returns how many lines were served that are not good. */
static int serve_turn(int64_t now) {
    struct line *line;
    int unproven = 0;

    endpoints_turn(set, now);
    while ((line = endpoints_next(set, now)) != NULL) {
        unproven += line->health != GOOD;
        place_take(&places[taken++], line, now);
    }
    return unproven;
}

/* One that is good and has two places, and many that are not and have one. */
static struct line *open_one_that_is_good(void) {
    struct line *good = &lines[LINES - 1];

    begin(100, 100);
    open_lines(LINES);
    for (int i = 0; i < LINES; i++) {
        line_bound(&lines[i], 1);
    }
    line_doubt(&lines[0]);
    prove(good);
    line_bound(good, 2);
    line_done(good);
    endpoints_turn(set, T0 - UNPROVEN_EVERY); /* takes what the one that was proven let follow */
    return good;
}

static void who_answers_waits_for_few_others_at_a_time(void **state) {
    struct line *good = open_one_that_is_good();
    int64_t at = T0;
    int left = LINES - 1;

    (void)state;
    line_ready(good);
    endpoints_turn(set, at);
    assert_int_equal(serve_next(at), LINES - 1); /* nobody was first who may hang */
    assert_true(serve_next(at) < LINES - 1);     /* one of them in the same turn */
    assert_int_equal(serve_next(at), LINES - 1);
    assert_int_equal(serve_next(at), -1);
    for (int latest = 0; ++at < T0 + UNPROVEN_EVERY; latest = taken - 1) {
        place_drop(&places[latest]);
        assert_int_equal(serve_turn(at), 0);
        assert_int_equal(good->in_flight, 2);
    }
    place_drop(&places[taken - 1]);
    assert_int_equal(endpoints_due(set), T0 + UNPROVEN_EVERY); /* somebody waits for that */
    endpoints_turn(set, at);
    assert_true(serve_next(at) < LINES - 1); /* busy with good ones: he is first now */
    assert_int_equal(serve_next(at), LINES - 1);
    assert_int_equal(serve_next(at), -1);
    left -= 2;
    int64_t served = at; /* from now on there is nothing for the good one to do */
    assert_int_equal(serve_turn(served + BUSY_FOR - 1), 0);
    assert_int_equal(endpoints_due(set), served + BUSY_FOR);
    assert_int_equal(serve_turn(served + BUSY_FOR), UNPROVEN_BETWEEN); /* it may come again */
    assert_int_equal(serve_turn(served + EXPECTED_FOR - 1), UNPROVEN_BETWEEN);
    left -= 2 * UNPROVEN_BETWEEN;
    for (; left > 0; left -= UNPROVEN_A_TURN) {
        assert_int_equal(serve_turn(served + EXPECTED_FOR),
                         left < UNPROVEN_A_TURN ? left : UNPROVEN_A_TURN);
    }
    assert_int_equal(endpoints_due(set), T0 + SLOW_AFTER);
}

static void a_turn_that_takes_long_is_no_pause(void **state) {
    struct line *good = open_one_that_is_good();

    (void)state;
    line_ready(good);
    assert_int_equal(serve_turn(T0), 1);
    line_done(good);
    assert_int_equal(serve_turn(T0 + BUSY_FOR),
                     0); /* what came meanwhile for the good one? nothing: */
    assert_int_equal(serve_turn(T0 + BUSY_FOR), UNPROVEN_BETWEEN);
}

/* A good one that always has something to send leaves a place to others, be there one or several, and come its answers
** seldom, so that it does not keep us busy, or often. */
static void who_always_has_something_leaves_a_place_to_others(void **state) {
    static const int pauses[] = {1, BUSY_FOR, EXPECTED_FOR, 3 * EXPECTED_FOR};

    (void)state;
    for (int places_there = 1; places_there <= 4; places_there += 3) {
        for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
            int64_t at = T0;
            int others = 0;

            begin(places_there, 100);
            open_lines(2);
            prove(&lines[0]);
            endpoints_turn(set, T0 - UNPROVEN_EVERY);
            for (int answers = 0; answers < UNPROVEN_EVERY + 2; answers++) {
                others += serve_turn(at);
                at += pauses[i];
                assert_int_equal(serve_turn(at), 0); /* all places are taken: a turn without any */
                finish_all(true);
                lines[1].health = UNTRIED; /* another one that is new */
            }
            assert_true(others > 0);
            end(NULL);
            opened = 0;
        }
    }
    begin(1, 100);
}

static void more_follow_each_that_turned_out_well(void **state) {
    const int last = LINES - 1;

    (void)state;
    begin(100, 100);
    open_lines(LINES);
    for (int i = 0; i < LINES; i++) {
        line_bound(&lines[i], 1);
    }
    prove(&lines[last]);
    line_done(&lines[last]);
    assert_int_equal(serve_turn(T0), UNPROVEN_A_TURN + UNPROVEN_MORE);
    line_ready(&lines[last]);
    assert_int_equal(serve_turn(T0), 0); /* from here on the good one keeps us busy */
    for (int i = 0; i < 3; i++) {
        place_finish(&places[i], i > 0, 0);
    }
    assert_int_equal(endpoints_due(set), T0); /* at once */
    assert_int_equal(serve_turn(T0), 2 * UNPROVEN_MORE);
    assert_int_equal(serve_turn(T0), 0);
}

/* ms until the next of those that are not good is served, which fails, beside a good one that keeps us busy. */
static int until_next(int64_t *now) {
    for (int since = 1;; since++) {
        int unproven = serve_turn(++*now);

        for (int i = 0; i < taken; i++) {
            place_finish(&places[i], places[i].line == &lines[0], 0);
        }
        taken = 0;
        if (unproven > 0) {
            assert_int_equal(unproven, 1);
            return since;
        }
    }
}

static void others_are_tried_less_often_while_it_is_in_vain(void **state) {
    int64_t now = T0;

    (void)state;
    begin(100, 100);
    open_lines(3);
    for (int i = 0; i < 3; i++) {
        line_bound(&lines[i], 1);
    }
    prove(&lines[0]);
    endpoints_turn(set, T0 - UNPROVEN_EVERY);
    (void)until_next(&now);
    for (int doublings = 0; doublings <= UNPROVEN_DOUBLINGS + 1; doublings++) {
        int most = doublings < UNPROVEN_DOUBLINGS ? doublings : UNPROVEN_DOUBLINGS;

        for (int tries = doublings == 0; tries < UNPROVEN_IN_VAIN; tries++) {
            assert_int_equal(until_next(&now), UNPROVEN_EVERY << most);
        }
    }
    /* One that answers, though slowly: it is not good yet, but it was not in vain. */
    struct place slow, other;

    line_bound(&lines[2], 3);
    place_take(&slow, &lines[2], now);
    now += SLOW_AFTER;
    endpoints_turn(set, now);
    while (endpoints_next(set, now) == NULL) {
        endpoints_turn(set, ++now);
    }
    int was_slow = lines[2].slow;

    place_take(&other, &lines[2], now);
    place_finish(&other, true, 0);
    enum health health = lines[2].health;

    (void)until_next(&now);
    int every = until_next(&now);

    place_finish(&slow, true, 0);
    assert_int_equal(was_slow, 1);
    assert_int_not_equal(health, GOOD);
    assert_int_equal(every, UNPROVEN_EVERY);
}

/* Some new ones that fail or hang, and none that answered since: the next is thought to do likewise. */
static void new_ones_are_dubious_after_others(void **state) {
    const struct line *last = &lines[LINES - 1];

    (void)state;
    begin(100, 100);
    open_lines(LINES);
    for (int i = 0; i < LINES; i++) {
        line_bound(&lines[i], 1);
    }
    assert_int_equal(serve_turn(T0), UNPROVEN_A_TURN);
    for (int i = 0; i + 2 < NEW_FAILED; i++) {
        place_finish(&places[i], false, 0);
    }
    assert_true(line_is_dubious(&lines[0]));
    assert_false(line_is_dubious(last));
    endpoints_turn(set, T0 + SLOW_AFTER);
    (void)endpoints_next(set, T0 + SLOW_AFTER); /* two hang */
    assert_true(line_is_dubious(last));
    while (serve_next(T0 + SLOW_AFTER) < UNPROVEN_A_TURN) { /* to one that is new */
    }
    place_finish(&places[taken - 1], true, 0);
    assert_false(line_is_dubious(last));
    assert_true(line_is_dubious(&lines[0]));
}

static void sends_nothing_before_the_throttle_ends(void **state) {
    (void)state;
    begin(100, 100);
    open_line("http://a:80");
    open_line("http://a:80");
    assert_int_equal(serve(T0), 0);
    assert_int_equal(serve(T0), 1);
    assert_int_equal(serve(T0), 0);
    place_finish(&places[0], false, T0 + 500);
    place_finish(&places[2], false, T0 + 300); /* a shorter one takes nothing back */
    assert_int_equal(fill(T0 + 499), 3);       /* the other line at the endpoint goes on */
    assert_int_equal(lines[0].in_flight, 0);
    assert_false(line_has_room(&lines[0], T0 + 499));
    assert_int_equal(endpoints_due(set), T0 + 500);
    line_done(&lines[0]);
    line_ready(&lines[0]);
    line_done(&lines[1]);
    assert_int_equal(fill(T0 + 499), 0);
    assert_true(line_has_room(&lines[0], T0 + 500));
    assert_int_equal(serve(T0 + 500), 0);
    place_finish(&places[taken - 1], true, T0 + 900);
    assert_int_equal(endpoints_due(set), T0 + 900);
    assert_int_equal(fill(T0 + 899), 0);
    assert_true(fill(T0 + 900) > 0);
}

/* A request of it ends; whoever: as if there had been no connection, else a 500. */
static void fail_one(struct line *line, bool whoever, int64_t now) {
    struct place place;

    place_take(&place, line, now);
    place_failed(&place, whoever, now, 0);
    place_finish(&place, false, 0);
}

static void keeps_the_pace_of_a_line(void **state) {
    struct line *line;

    (void)state;
    begin(100, 100);
    line = open_line("http://a:80");
    open_line("http://a:80"); /* who shares its endpoint has its own pace, or none */
    line_pace(line, 10);
    assert_int_equal(fill(T0), 1 + 4);
    assert_false(line_has_room(line, T0));
    assert_int_equal(endpoints_due(set), T0 + 100);
    assert_int_equal(fill(T0 + 99), 0);
    assert_int_equal(fill(T0 + 100), 1);
    line_pace(line, 0);
    assert_int_equal(fill(T0 + 100), 2);
}

static void ten_thousand_that_rest_cost_little(void **state) {
    enum { COUNT = 10000 };
    static struct line many[COUNT];
    static struct place held[COUNT];
    struct line *line;
    int64_t now = T0, before = 0;
    int served = 0;

    (void)state;
    begin(COUNT, COUNT);
    for (int i = 0; i < COUNT; i++) {
        line_open(set, &many[i], NULL, "http://a:80", 0);
        line_pace(&many[i], 0.1 + i % 7);
        line_ready(&many[i]);
    }
    /* Each round everybody whose time has come is served, in order of time; none is passed over. */
    while (served < 5 * COUNT) {
        while ((line = next_line(now)) != NULL) {
            place_take(&held[line - many], line, now);
            place_finish(&held[line - many], true, 0);
            assert_true(line->paced_until > now);
            served++;
        }
        before = now;
        now = endpoints_due(set);
        assert_true(now > before && now < NEVER);
    }
    for (int i = 0; i < COUNT; i++) {
        line_close(&many[i]);
    }
}

static void leaves_an_endpoint_alone_that_fails_whoever_asks(void **state) {
    struct line *a, *b;
    int64_t until;

    (void)state;
    begin(100, 100);
    a = open_line("http://a:80");
    b = open_line("http://a:80");
    open_line("http://b:80");
    prove(b);
    for (int i = 0; i < 5; i++) {
        fail_one(a, true, T0);
    }
    assert_true(line_is_cut(a) && line_is_cut(b) && line_is_shunned(b, T0));
    assert_false(line_has_room(b, T0));
    assert_int_equal(fill(T0), 4); /* of the other endpoint */
    until = endpoints_due(set);
    assert_true(until >= T0 + 800 && until <= T0 + 1200);
    assert_int_equal(fill(until - 1), 0);
    assert_int_equal(serve(until), 1); /* one, of whom it answered last */
    assert_int_equal(serve(until), -1);
    place_failed(&places[taken - 1], true, until, 0);
    place_finish(&places[taken - 1], false, 0);
    assert_int_equal(serve(until + 1500), -1);
    assert_true(serve(until + 2400) >= 0);
    place_answered(&places[taken - 1]);
    place_finish(&places[taken - 1], true, 0);
    assert_false(line_is_cut(a) || endpoints_any_cut(set));
    assert_true(fill(until + 2400) > 1);
}

static void tries_again_when_the_one_that_tried_is_dropped(void **state) {
    (void)state;
    begin(100, 100);
    open_line("http://a:80");
    for (int i = 0; i < 5; i++) {
        fail_one(&lines[0], true, T0);
    }
    assert_int_equal(serve(T0 + 2000), 0);
    assert_int_equal(serve(T0 + 2000), -1);
    place_drop(&places[0]);
    assert_int_equal(serve(T0 + 2000), 0);
}

static void one_line_alone_shuts_nobody_out(void **state) {
    (void)state;
    begin(100, 100);
    open_line("http://a:80");
    open_line("http://a:80");
    for (int i = 0; i < 50; i++) {
        fail_one(&lines[0], false, T0);
    }
    assert_false(line_is_cut(&lines[1]));
    for (int i = 0; i < 4; i++) { /* both, by turns */
        fail_one(&lines[i % 2 == 0], false, T0);
    }
    assert_true(line_is_cut(&lines[1]));
}

static void a_clock_set_back_lets_nobody_rest_longer(void **state) {
    (void)state;
    begin(100, 100);
    open_line("http://a:80");
    line_pace(&lines[0], 1);
    assert_int_equal(fill(T0), 1);
    finish_all(true);
    assert_int_equal(fill(T0 - 500000), 0);
    assert_int_equal(fill(T0 - 500000 + 1000), 1);
}

/* Everything here lasts as long as before when the clock is set back. */
static void waits_no_longer_when_the_clock_is_set_back(void **state) {
    const int64_t back = T0 - 600000;

    (void)state;
    begin(2, 2);
    open_line("http://a:80");
    open_line("http://b:80");
    endpoints_turn(set, T0);
    assert_int_equal(serve(T0), 0);
    place_finish(&places[0], false, T0 + 1000);
    assert_int_equal(serve(T0), 1); /* and hangs */
    line_done(&lines[1]);
    endpoints_turn(set, back);
    assert_true(line_is_throttled(&lines[0], back));
    assert_int_equal(endpoints_due(set), back + 1000);
    assert_int_equal(serve(back + 999), -1);
    assert_int_equal(serve(back + 1000), 0);
    assert_false(line_is_throttled(&lines[0], back + 1000));
    assert_int_equal(lines[1].slow, 1);
    /* What is told from now on is of the new time. */
    place_finish(&places[2], false, back + 5000);
    assert_int_equal(serve(back + 4999), -1);
    assert_int_equal(serve(back + 5000), 0);
}

static void serves_who_has_something_to_send(void **state) {
    (void)state;
    begin(100, 100);
    assert_null(endpoints_next(set, T0));
    assert_int_equal(endpoints_due(set), NEVER);
    line_open(set, &lines[opened++], NULL, "http://a:80", 0);
    assert_int_equal(fill(T0), 0);
    line_ready(&lines[0]);
    line_ready(&lines[0]);
    assert_int_equal(serve(T0), 0);
    line_done(&lines[0]);
    line_done(&lines[0]);
    assert_int_equal(fill(T0), 0);
    assert_true(line_has_room(&lines[0], T0));
    line_doubt(&lines[0]); /* changes nothing of that */
    assert_int_equal(fill(T0), 0);
}

/* ---- all at random ---- */

#define PLACES 9
#define MOST 5
#define ENDPOINTS 7
#define STEPS 500000

static uint32_t random_below(uint32_t bound) {
    static uint32_t x = 2463534242U; /* xorshift32: the same each time */

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % bound;
}

static void reopen(struct line *line) {
    char name[32];

    snprintf(name, sizeof name, "http://h%u:80", random_below(ENDPOINTS));
    line_open(set, line, NULL, name, (int)random_below(4));
}

/* Places held, at an endpoint or (NULL) in all, by lines of this health or worse. */
static int held(const struct endpoint *endpoint, enum health health) {
    int count = 0;

    for (int i = 0; i < LINES; i++) {
        if ((endpoint == NULL || lines[i].endpoint == endpoint) && lines[i].health <= health) {
            count += lines[i].in_flight - lines[i].slow;
        }
    }
    return count;
}

static bool may_have(const struct endpoint *endpoint, int most, enum health health) {
    return held(endpoint, GOOD) < most &&
           (health == GOOD || held(endpoint, UNTRIED) < most - most / 4) &&
           (health != DOUBTFUL || held(endpoint, DOUBTFUL) < (most + 1) / 2);
}

static bool may_send(const struct line *line, int64_t now) {
    return line->waiting && line->throttle_until <= now && line->in_flight < line->window &&
           (line->most == 0 || line->in_flight < line->most) &&
           may_have(line->endpoint, MOST, line->health) && may_have(NULL, PLACES, line->health);
}

/* What lines and places say of each other, and who is slow. */
static void compare(int64_t now) {
    int in_flight[LINES] = {0};
    int slow[LINES] = {0};
    int all_slow = 0;

    for (int i = 0; i < taken; i++) {
        if (places[i].line != NULL) {
            in_flight[places[i].line - lines]++;
            slow[places[i].line - lines] += places[i].slow;
            all_slow += places[i].slow;
        }
    }
    for (int i = 0; i < taken; i++) {
        if (places[i].line != NULL && !places[i].slow && places[i].taken_at + SLOW_AFTER <= now) {
            assert_int_equal(all_slow, PLACES * SLOW_TIMES);
        }
    }
    for (int i = 0; i < LINES; i++) {
        assert_int_equal(lines[i].in_flight, in_flight[i]);
        assert_int_equal(lines[i].slow, slow[i]);
        assert_true(lines[i].slow == 0 || lines[i].health == DOUBTFUL);
        assert_in_range(lines[i].window, 1, MOST);
    }
}

static void serve_or_not(int64_t now) {
    struct line *line = next_line(now);

    compare(now);
    for (int i = 0; line == NULL && i < LINES; i++) {
        if (may_send(&lines[i], now)) { /* it waits while good ones are busy */
            assert_int_not_equal(lines[i].health, GOOD);
            assert_true(endpoints_due(set) <= now + UNPROVEN_EVERY);
        }
    }
    if (line != NULL) {
        int place = 0;

        assert_true(may_send(line, now));
        while (place < taken && places[place].line != NULL) {
            place++;
        }
        taken += place == taken;
        place_take(&places[place], line, now);
    }
}

static void end_one(int64_t now) {
    struct place *place = &places[random_below((uint32_t)taken)];

    if (place->line == NULL) {
        return;
    }
    if (random_below(8) == 0) {
        place_drop(place);
    } else {
        place_finish(place, random_below(3) != 0,
                     random_below(6) == 0 ? now + random_below(3000) : 0);
    }
}

static void obeys_at_random(void **state) {
    int64_t now = T0;

    (void)state;
    begin(PLACES, MOST);
    for (opened = 0; opened < LINES; opened++) {
        reopen(&lines[opened]);
    }
    for (int step = 0; step < STEPS; step++) {
        struct line *line = &lines[random_below(LINES)];

        switch (random_below(12)) {
        case 0:
            now += random_below(400);
            break;
        case 1:
            line_done(line);
            break;
        case 2:
            line_doubt(line);
            break;
        case 3:
            line_bound(line, (int)random_below(4));
            break;
        case 4:
            if (line->in_flight == 0) {
                line_close(line);
                reopen(line);
            }
            break;
        case 5:
        case 6:
            line_ready(line);
            break;
        case 7:
        case 8:
            if (taken > 0) {
                end_one(now);
            }
            break;
        default:
            serve_or_not(now);
        }
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(has_no_more_in_flight_than_places),
        TEST(has_no_more_at_one_endpoint),
        TEST(opens_with_success_and_shuts_with_failure),
        TEST(keeps_the_bound_of_a_line),
        TEST(leaves_half_of_all_to_the_healthy),
        TEST(leaves_half_of_an_endpoint_to_the_healthy),
        TEST(leaves_a_quarter_to_those_that_answer),
        TEST(doubts_whose_target_failed_last),
        TEST(gives_back_the_places_of_the_slow),
        TEST(has_so_many_slow_ones_and_no_more),
        TEST(asks_an_unknown_target_that_is_slow_no_further),
        TEST(hides_no_slow_ones_behind_fast_ones),
        TEST(lines_at_one_endpoint_take_turns),
        TEST(endpoints_take_turns),
        TEST(doubtful_and_healthy_lines_take_turns),
        TEST(who_answers_waits_for_few_others_at_a_time),
        TEST(a_turn_that_takes_long_is_no_pause),
        TEST(who_always_has_something_leaves_a_place_to_others),
        TEST(more_follow_each_that_turned_out_well),
        TEST(others_are_tried_less_often_while_it_is_in_vain),
        TEST(new_ones_are_dubious_after_others),
        TEST(sends_nothing_before_the_throttle_ends),
        TEST(keeps_the_pace_of_a_line),
        TEST(ten_thousand_that_rest_cost_little),
        TEST(leaves_an_endpoint_alone_that_fails_whoever_asks),
        TEST(tries_again_when_the_one_that_tried_is_dropped),
        TEST(one_line_alone_shuts_nobody_out),
        TEST(a_clock_set_back_lets_nobody_rest_longer),
        TEST(waits_no_longer_when_the_clock_is_set_back),
        TEST(serves_who_has_something_to_send),
        TEST(obeys_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
