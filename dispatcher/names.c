/*
** names.c: the names of events, and which subscriptions want each: found once for every state of the
** roster.
** SPDX-License-Identifier: MIT
*/
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "memory.h"
#include "state.h"

struct event_name *names_find(struct outbox *outbox, const char *text) {
    unsigned hash = 2166136261U; /* FNV-1a */
    struct event_name **bucket, *name;

    for (const char *c = text; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 16777619U;
    }
    bucket = &outbox->names[hash % NAME_BUCKETS];
    for (name = *bucket; name != NULL && strcmp(name->text, text) != 0; name = name->next) {
    }
    if (name == NULL) {
        name = xcalloc(1, sizeof *name);
        name->text = xstrdup(text);
        name->generation = -1;
        name->next = *bucket;
        *bucket = name;
    }
    if (name->generation != outbox->generation) {
        struct sub *sub;

        name->count = 0;
        TAILQ_FOREACH(sub, &outbox->subs.list, links) {
            if (event_matches(sub->event, name->text)) {
                if ((name->count & (name->count - 1)) == 0) { /* grows at powers of two */
                    name->subs =
                        xrealloc(name->subs, (size_t)(name->count * 2 + 1) * sizeof(struct sub *));
                }
                name->subs[name->count++] = sub;
            }
        }
        name->generation = outbox->generation;
    }
    return name;
}

bool names_wanted(struct outbox *outbox, const char *event) {
    const struct event_name *name = names_find(outbox, event);

    for (int i = 0; i < name->count; i++) {
        if (name->subs[i]->status != SUB_ENDED) {
            return true;
        }
    }
    return false;
}

int64_t names_number(struct outbox *outbox, struct event_name *name) {
    if (name->n == 0) {
        struct db *db = journal_db(outbox->journal);

        db_clear(db);
        name->n = journal_event_name(outbox->journal, name->text);
        db_clear(db);
    }
    return name->n;
}

void names_free(struct outbox *outbox) {
    for (int i = 0; i < NAME_BUCKETS; i++) {
        while (outbox->names[i] != NULL) {
            struct event_name *name = outbox->names[i];

            outbox->names[i] = name->next;
            free(name->text);
            free(name->subs);
            free(name);
        }
    }
}
