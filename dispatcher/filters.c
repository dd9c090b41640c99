/*
** filters.c: see filters.h. A filter that can't be made ready is kept too, with the reason: nothing
** but another schema changes that.
** SPDX-License-Identifier: MIT
*/
#include "filters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blueprint.h"
#include "memory.h"

#define BUCKETS 4096
#define LEISURE 8 /* times all that are kept could have been asked since: then it is idle */
/* Thousands of steps. Filters that take more than CHEAP are asked of one event until they have taken
** SPENT_MOST together, some 200 ms; one that is not known yet, until ten times that. */
#define CHEAP 2
#define SPENT_MOST 4000
#define STALE_MOST 3 /* times in a row that the schema may change under us */

struct ready {
    char *text;
    int64_t watch;
    struct filter *filter; /* NULL: it could not be made ready */
    char *error;
    size_t size;
    int cost;      /* thousands of steps that it took last; -1: it was not asked so far */
    size_t at;     /* its place in all */
    uint64_t used; /* filters->asked at that time */
    struct ready *next;
};

struct filters {
    sqlite3 *db;
    sqlite3 *copy; /* of the schema; NULL: not needed so far */
    size_t bytes, most;
    uint64_t asked; /* how often, in all */
    int spent;      /* of this event, by those that are not cheap */
    struct ready **all;
    size_t count, room;
    int made;
    struct ready *guest; /* made ready for once: there was no room */
    struct ready *bucket[BUCKETS];
    char why[256];
};

struct filters *filters_new(sqlite3 *db, size_t bytes) {
    struct filters *filters = xcalloc(1, sizeof *filters);

    filters->db = db;
    filters->most = bytes;
    return filters;
}

static struct ready **bucket_of(struct filters *filters, const char *text, int64_t watch) {
    uint64_t hash = 14695981039346656037U ^ (uint64_t)watch; /* FNV-1a */

    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    }
    return &filters->bucket[hash % BUCKETS];
}

static void free_ready(struct ready *ready) {
    if (ready != NULL) {
        filter_free(ready->filter);
        sqlite3_free(ready->error);
        free(ready->text);
        free(ready);
    }
}

static void drop(struct filters *filters, struct ready *ready) {
    struct ready **link = bucket_of(filters, ready->text, ready->watch);

    if (ready == filters->guest) {
        filters->guest = NULL;
    } else {
        while (*link != ready) {
            link = &(*link)->next;
        }
        *link = ready->next;
        filters->all[ready->at] = filters->all[--filters->count];
        filters->all[ready->at]->at = ready->at;
        filters->bytes -= ready->size;
    }
    free_ready(ready);
}

void filters_forget(struct filters *filters) {
    filters_rest(filters);
    while (filters->count > 0) {
        drop(filters, filters->all[filters->count - 1]);
    }
}

void filters_rest(struct filters *filters) {
    free_ready(filters->guest);
    filters->guest = NULL;
    sqlite3_close(filters->copy);
    filters->copy = NULL;
}

void filters_free(struct filters *filters) {
    if (filters != NULL) {
        filters_forget(filters);
        free(filters->all);
        free(filters);
    }
}

int filters_count(const struct filters *filters) {
    return (int)filters->count;
}

int filters_made(const struct filters *filters) {
    return filters->made;
}

/* Two that are picked by chance go, if they are idle. */
static bool make_room(struct filters *filters, size_t size) {
    for (int tries = 2; filters->bytes + size > filters->most && tries > 0; tries--) {
        struct ready *picked;
        uint32_t chance;

        if (filters->count == 0) {
            return false;
        }
        sqlite3_randomness(sizeof chance, &chance);
        picked = filters->all[chance % filters->count];
        if (filters->asked - picked->used > LEISURE * filters->count) {
            drop(filters, picked);
        }
    }
    return filters->bytes + size <= filters->most;
}

static void keep(struct filters *filters, struct ready *ready) {
    struct ready **bucket = bucket_of(filters, ready->text, ready->watch);

    ready->size = sizeof *ready + sizeof ready + strlen(ready->text) +
                  (ready->filter != NULL ? filter_size(ready->filter) : 0) +
                  (ready->error != NULL ? strlen(ready->error) : 0);
    if (!make_room(filters, ready->size)) {
        free_ready(filters->guest);
        filters->guest = ready;
        return;
    }
    filters->bytes += ready->size;
    if (filters->count == filters->room) {
        filters->room = filters->room * 2 + 16;
        filters->all = xrealloc(filters->all, filters->room * sizeof(struct ready *));
    }
    ready->at = filters->count;
    filters->all[filters->count++] = ready;
    ready->next = *bucket;
    *bucket = ready;
}

/* NULL: it could not be tried, for want of memory; filters->why says so. */
static struct ready *make_ready(struct filters *filters, const char *text, int64_t watch,
                                const struct expander *expander) {
    struct filter *filter = NULL;
    struct ready *ready;
    char *error = NULL;
    int rc = SQLITE_OK;

    if (filters->copy == NULL) {
        rc = blueprint_open(filters->db, &filters->copy, &error);
    }
    if (rc == SQLITE_OK) {
        rc = filter_open(filters->db, filters->copy, text, expander, &filter, &error);
    }
    if (rc != SQLITE_OK && rc != SQLITE_ERROR) {
        snprintf(filters->why, sizeof filters->why, "%s",
                 error != NULL ? error : sqlite3_errstr(rc));
        sqlite3_free(error);
        return NULL;
    }
    filters->made++;
    ready = xcalloc(1, sizeof *ready);
    ready->text = xstrdup(text);
    ready->watch = watch;
    ready->filter = filter;
    ready->cost = -1;
    ready->error = error;
    keep(filters, ready);
    return ready;
}

static struct ready *ready_for(struct filters *filters, const char *text, int64_t watch,
                               const struct expander *expander) {
    struct ready *ready = *bucket_of(filters, text, watch);

    while (ready != NULL && (ready->watch != watch || strcmp(ready->text, text) != 0)) {
        ready = ready->next;
    }
    if (ready == NULL) {
        ready = make_ready(filters, text, watch, expander);
    }
    if (ready != NULL) {
        ready->used = ++filters->asked;
    }
    return ready;
}

void filters_begin(struct filters *filters) {
    filters->spent = 0;
}

/* Must it wait until it is asked alone? Every filter may take its steps, but of ten thousand that do
** nobody else would get a turn. */
static bool waits(const struct filters *filters, const struct ready *ready) {
    return ready->cost < 0 ? filters->spent >= 10 * SPENT_MOST
                           : ready->cost > CHEAP && filters->spent >= SPENT_MOST;
}

enum judgement filters_judge(struct filters *filters, const char *text, int64_t watch,
                             struct expander *expander, const char *event,
                             const struct buffer *payload, const char **why) {
    enum judgement said = FILTER_STALE;

    *why = filters->why;
    snprintf(filters->why, sizeof filters->why, "the schema keeps changing");
    for (int i = 0; i < STALE_MOST && said == FILTER_STALE; i++) {
        struct ready *ready = ready_for(filters, text, watch, expander);

        if (ready == NULL) {
            return FILTER_FAILS;
        }
        if (ready->filter == NULL) {
            *why = ready->error != NULL ? ready->error : "it does not compile";
            return FILTER_FAILS;
        }
        if (waits(filters, ready)) {
            *why = "the filters of this event take too long together: it is asked by itself";
            return FILTER_FAILS;
        }
        said = filter_judge(ready->filter, expander, event, payload->data, payload->length,
                            filters->why, (int)sizeof filters->why);
        ready->cost = filter_cost(ready->filter);
        filters->spent += ready->cost > CHEAP ? ready->cost : 0;
        if (said == FILTER_STALE) {
            drop(filters, ready);
            filters_rest(filters);
        }
    }
    return said == FILTER_STALE ? FILTER_FAILS : said;
}
