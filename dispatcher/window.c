/*
** window.c: see window.h.
** SPDX-License-Identifier: MIT
*/
#include "window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "headers.h"
#include "memory.h"

/* Bounds of what is read ahead: enough to keep every place busy, little enough to be read again
** after a crash. */
#define EVENTS_MOST 4096
#define PAIRS_MOST 16384
#define BYTES_MOST (8U << 20)

void window_open(struct window *window, int64_t cursor) {
    *window = (struct window){.read_to = cursor};
    TAILQ_INIT(&window->events);
}

static bool settled(const struct event *event) {
    return event->unsettled == 0;
}

int64_t window_cursor(const struct window *window) {
    const struct event *event;

    TAILQ_FOREACH(event, &window->events, links) {
        if (!settled(event)) {
            return event->id - 1;
        }
    }
    return window->read_to;
}

bool window_full(const struct window *window) {
    return window->events_count >= EVENTS_MOST || window->pairs_count >= PAIRS_MOST ||
           window->bytes >= BYTES_MOST;
}

struct event *event_new(int64_t id, int64_t created_at, const char *name, int64_t name_n) {
    struct event *event = xcalloc(1, sizeof *event);

    event->id = id;
    event->created_at = created_at;
    event->name = name;
    event->name_n = name_n;
    TAILQ_INIT(&event->pairs);
    return event;
}

/* Of what it has in memory for as long as it is in the window; the other formats come later. */
static size_t size_of(const struct event *event) {
    size_t size = event->body[FORMAT_BARE].length;

    for (const char **header = event->headers; header != NULL && *header != NULL; header++) {
        size += strlen(*header);
    }
    return size;
}

void window_add(struct window *window, struct event *event) {
    assert(TAILQ_EMPTY(&window->events) || TAILQ_LAST(&window->events, event_list)->id < event->id);
    TAILQ_INSERT_TAIL(&window->events, event, links);
    event->in_window = true;
    window->events_count++;
    window->bytes += size_of(event);
}

void event_free(struct window *window, struct event *event) {
    assert(TAILQ_EMPTY(&event->pairs) && settled(event));
    if (event->in_window) {
        TAILQ_REMOVE(&window->events, event, links);
        window->events_count--;
        window->bytes -= size_of(event);
    }
    for (int i = 0; i < FORMATS; i++) {
        buffer_free(&event->body[i]);
    }
    for (int i = 0; i < FORMAT_HEADERS; i++) {
        free((char *)event->ce_headers[i]);
    }
    headers_free(event->headers);
    free(event);
}

struct pair *pair_new(struct window *window, struct event *event, struct sub *sub) {
    struct pair *pair = xcalloc(1, sizeof *pair);

    pair->event = event;
    pair->sub = sub;
    event->unsettled++;
    window->pairs_count++;
    TAILQ_INSERT_TAIL(&event->pairs, pair, siblings);
    return pair;
}

void pair_settled(struct pair *pair) {
    if (!pair->recorded) {
        pair->recorded = true;
        pair->event->unsettled--;
    }
}

void pair_free(struct window *window, struct pair *pair) {
    struct event *event = pair->event;

    pair_settled(pair);
    TAILQ_REMOVE(&event->pairs, pair, siblings);
    window->pairs_count--;
    sub_target_release(pair->target);
    if (pair->key != NULL) {
        key_leave(pair->key, pair->place == PAIR_DONE);
    }
    free(pair->error);
    free(pair->response);
    free(pair->headers);
    free(pair->reason);
    free(pair);
    if (TAILQ_EMPTY(&event->pairs)) {
        event_free(window, event);
    }
}
