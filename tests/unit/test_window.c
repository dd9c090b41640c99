/*
** test_window.c: the window against a list of events that is looked through from end to end.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "memory.h"
#include "window.h"

static struct window window;

static struct event *add_event(int64_t id, size_t bytes) {
    struct event *event = event_new(id, id * 1000, "a.b", 7);

    for (size_t i = 0; i < bytes; i++) {
        buffer_append(&event->body[FORMAT_BARE], "x", 1);
    }
    window_add(&window, event);
    window.read_to = id;
    return event;
}

static struct pair *add_pair(struct event *event) {
    return pair_new(&window, event, NULL);
}

static void is_empty_again(void) {
    assert_true(TAILQ_EMPTY(&window.events));
    assert_int_equal(window.events_count, 0);
    assert_int_equal(window.pairs_count, 0);
    assert_int_equal(window.bytes, 0);
    assert_int_equal(window_cursor(&window), window.read_to);
}

static void holds_the_cursor_before_what_is_unsettled(void **state) {
    struct pair *first;
    struct pair *second;
    struct pair *other;
    struct event *event;

    (void)state;
    window_open(&window, 41);
    assert_int_equal(window_cursor(&window), 41);
    window.read_to = 44; /* nobody wanted these */
    assert_int_equal(window_cursor(&window), 44);
    event = add_event(50, 0);
    assert_int_equal(window_cursor(&window), 50);
    first = add_pair(event);
    second = add_pair(event);
    other = add_pair(add_event(60, 0));
    window.read_to = 70;
    assert_int_equal(window_cursor(&window), 49);
    pair_settled(other); /* a later event moves it not */
    assert_int_equal(window_cursor(&window), 49);
    pair_settled(first);
    assert_int_equal(window_cursor(&window), 49);
    pair_settled(first); /* twice is once */
    assert_int_equal(window_cursor(&window), 49);
    pair_settled(second);
    assert_int_equal(window_cursor(&window), 70);
    pair_free(&window, first);
    assert_int_equal(window.events_count, 2); /* one pair of it is left */
    pair_free(&window, second);
    assert_int_equal(window.events_count, 1);
    pair_free(&window, other);
    is_empty_again();
}

/* Events claimed again from rows below the cursor. */
static void leaves_alone_what_is_outside_of_it(void **state) {
    struct event *event;
    struct pair *pair;

    (void)state;
    window_open(&window, 100);
    event = event_new(7, 7000, "a.b", 3);
    assert_int_equal(event->id, 7);
    assert_int_equal(event->created_at, 7000);
    assert_string_equal(event->name, "a.b");
    assert_int_equal(event->name_n, 3);
    buffer_text(&event->body[FORMAT_BARE], "{}");
    pair = add_pair(event);
    assert_int_equal(window_cursor(&window), 100);
    assert_int_equal(window.pairs_count, 1); /* yet it takes room */
    assert_int_equal(window.events_count, 0);
    assert_int_equal(window.bytes, 0);
    pair_free(&window, pair);
    event_free(&window, event_new(8, 0, "", 0)); /* one that nobody wants */
    is_empty_again();
}

static void is_full_of_events_pairs_or_bytes(void **state) {
    static struct pair *pairs[16384];
    struct event *event;
    int count;

    (void)state;
    window_open(&window, 0);
    for (count = 0; !window_full(&window); count++) {
        assert_in_range(count, 0, 4095);
        pairs[count] = add_pair(add_event(count + 1, 0));
    }
    assert_int_equal(count, 4096);
    pair_free(&window, pairs[--count]);
    assert_false(window_full(&window));
    while (count > 0) {
        pair_free(&window, pairs[--count]);
    }
    event = add_event(5000, 0);
    for (; !window_full(&window); count++) {
        assert_in_range(count, 0, 16383);
        pairs[count] = add_pair(event);
    }
    assert_int_equal(count, 16384);
    while (count > 0) {
        pair_free(&window, pairs[--count]);
    }
    assert_false(window_full(&window));
    pairs[0] = add_pair(add_event(5001, 5 << 20));
    pairs[1] = add_pair(add_event(5002, (3 << 20) - 1));
    assert_false(window_full(&window));
    pairs[2] = add_pair(add_event(5003, 1));
    assert_true(window_full(&window));
    for (int i = 0; i < 3; i++) {
        pair_free(&window, pairs[i]);
    }
    is_empty_again();
}

/* What they own goes with them: the sanitizers look. */
static void frees_what_it_owns(void **state) {
    struct sub_target *target = xcalloc(1, sizeof *target);
    struct event *event;
    struct pair *pair;

    (void)state;
    window_open(&window, 0);
    event = add_event(1, 10);
    for (int i = 0; i < FORMATS; i++) {
        buffer_text(&event->body[i], i == FORMAT_BARE ? "" : "body");
    }
    format_cloudevents_headers(event->ce_headers, "a.b", "id", "/source", 0);
    pair = add_pair(event);
    target->references = 2;
    pair->target = target;
    pair->error = xstrdup("error");
    pair->response = xstrdup("response");
    pair->reason = xstrdup("reason");
    pair_free(&window, pair);
    assert_int_equal(target->references, 1);
    sub_target_release(target);
    is_empty_again();
}

/* ---- against the naive one ---- */

#define EVENTS 40
#define PAIRS 6
#define STEPS 400000

struct naive_event {
    struct event *event; /* NULL: this place is free */
    struct pair *pairs[PAIRS];
    bool settled[PAIRS];
    int64_t id;
    size_t bytes;
    bool inside;
};

static struct naive_event naive[EVENTS];

static uint32_t random_below(uint32_t bound) {
    static uint32_t x = 2463534242U; /* xorshift32: the same each time */

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % bound;
}

static void compare(void) {
    int64_t cursor = window.read_to;
    int events = 0;
    int pairs = 0;
    size_t bytes = 0;

    for (int i = 0; i < EVENTS; i++) {
        if (naive[i].event != NULL && naive[i].inside) {
            events++;
            bytes += naive[i].bytes;
        }
        for (int p = 0; p < PAIRS && naive[i].event != NULL; p++) {
            pairs += naive[i].pairs[p] != NULL;
            if (naive[i].inside && naive[i].pairs[p] != NULL && !naive[i].settled[p] &&
                naive[i].id <= cursor) {
                cursor = naive[i].id - 1;
            }
        }
    }
    assert_int_equal(window_cursor(&window), cursor);
    assert_int_equal(window.events_count, events);
    assert_int_equal(window.pairs_count, pairs);
    assert_int_equal(window.bytes, bytes);
}

static void new_event(struct naive_event *place) {
    int pairs = 1 + (int)random_below(PAIRS);

    memset(place, 0, sizeof *place);
    place->inside = random_below(4) != 0;
    if (place->inside) {
        place->bytes = random_below(100);
        place->id = window.read_to + 1 + random_below(3);
        place->event = add_event(place->id, place->bytes);
    } else {
        place->id = 1 + random_below((uint32_t)window.read_to + 1);
        place->event = event_new(place->id, 0, "a.b", 1);
    }
    for (int p = 0; p < pairs; p++) {
        place->pairs[p] = add_pair(place->event);
    }
}

static void free_pair(struct naive_event *place, int p) {
    pair_free(&window, place->pairs[p]);
    place->pairs[p] = NULL;
    for (int i = 0; i < PAIRS; i++) {
        if (place->pairs[i] != NULL) {
            return;
        }
    }
    place->event = NULL; /* it went with its last pair */
}

static void agrees_with_the_naive_one(void **state) {
    (void)state;
    window_open(&window, 0);
    for (int step = 0; step < STEPS; step++) {
        struct naive_event *place = &naive[random_below(EVENTS)];
        int p = (int)random_below(PAIRS);

        if (place->event == NULL) {
            new_event(place);
        } else if (place->pairs[p] != NULL && random_below(2) == 0) {
            pair_settled(place->pairs[p]);
            place->settled[p] = true;
        } else if (place->pairs[p] != NULL) {
            free_pair(place, p);
        } else {
            window.read_to += random_below(2); /* an event that nobody wants */
        }
        compare();
    }
    for (int i = 0; i < EVENTS; i++) {
        for (int p = 0; p < PAIRS; p++) {
            if (naive[i].event != NULL && naive[i].pairs[p] != NULL) {
                free_pair(&naive[i], p);
                compare();
            }
        }
    }
    is_empty_again();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_cursor_before_what_is_unsettled),
        cmocka_unit_test(leaves_alone_what_is_outside_of_it),
        cmocka_unit_test(is_full_of_events_pairs_or_bytes),
        cmocka_unit_test(frees_what_it_owns),
        cmocka_unit_test(agrees_with_the_naive_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
