/*
** keys.c: see keys.h. A hash table that grows with what is in it.
** SPDX-License-Identifier: MIT
*/
#include "keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define BUCKETS_LEAST 64

struct keys {
    struct key **bucket;
    size_t buckets, count;
};

static size_t hash_of(const char *text) {
    uint64_t hash = 14695981039346656037U; /* FNV-1a */

    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    }
    return (size_t)(hash ^ hash >> 32);
}

static struct key **place_of(const struct keys *keys, const char *text) {
    struct key **link = &keys->bucket[hash_of(text) % keys->buckets];

    while (*link != NULL && strcmp((*link)->text, text) != 0) {
        link = &(*link)->next;
    }
    return link;
}

static void grow(struct keys *keys) {
    struct keys larger = {.buckets = keys->buckets * 2, .count = keys->count};

    larger.bucket = xcalloc(larger.buckets, sizeof *larger.bucket);
    for (size_t i = 0; i < keys->buckets; i++) {
        while (keys->bucket[i] != NULL) {
            struct key *key = keys->bucket[i];
            struct key **link = &larger.bucket[hash_of(key->text) % larger.buckets];

            keys->bucket[i] = key->next;
            key->next = *link;
            *link = key;
        }
    }
    free(keys->bucket);
    *keys = larger;
}

struct key *key_enter(struct keys **made, const char *text) {
    struct keys *keys = *made;
    struct key **link;

    if (keys == NULL) {
        keys = *made = xcalloc(1, sizeof *keys);
        keys->buckets = BUCKETS_LEAST;
        keys->bucket = xcalloc(keys->buckets, sizeof *keys->bucket);
    }
    link = place_of(keys, text);
    if (*link == NULL) {
        if (keys->count == keys->buckets) {
            grow(keys);
            link = place_of(keys, text);
        }
        *link = xcalloc(1, sizeof **link);
        **link = (struct key){.keys = keys, .text = xstrdup(text)};
        keys->count++;
    }
    (*link)->pairs++;
    (*link)->open++;
    return *link;
}

void key_close(struct key *key) {
    assert(key->open > 0);
    key->open--;
}

void key_leave(struct key *key, bool finished) {
    if (!finished) {
        key_close(key);
    }
    if (--key->pairs == 0) {
        struct key **link = place_of(key->keys, key->text);

        *link = key->next;
        key->keys->count--;
        free(key->text);
        free(key);
    }
}

const struct key *keys_find(const struct keys *keys, const char *text) {
    return keys != NULL ? *place_of(keys, text) : NULL;
}

size_t keys_count(const struct keys *keys) {
    return keys != NULL ? keys->count : 0;
}

void keys_free(struct keys *keys) {
    if (keys != NULL) {
        assert(keys->count == 0);
        free(keys->bucket);
        free(keys);
    }
}
