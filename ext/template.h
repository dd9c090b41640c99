/*
** template.h: the shape of a payload: which fields it has, under which dotted paths. Pure.
**
** A field is "path[:type][?]": "id", "owner.email", "include_chat:bool", "started_at?". Paths that
** begin alike make one nested object, where the first of them stands. A trailing '?' leaves the
** member out when its value is NULL; an object whose every member is left out is left out too. A
** template owns its nodes until template_free.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_TEMPLATE_H
#define RESTHOOK_TEMPLATE_H

#include <stdbool.h>

#include "render.h"

#define TEMPLATE_DEPTH 32 /* parts of a path */

enum template_type {
    TEMPLATE_PLAIN, /* as the value is */
    TEMPLATE_BOOL,  /* false or true by SQL's truth */
    TEMPLATE_JSON,  /* text that is JSON is embedded */
    TEMPLATE_TEXT,  /* a number as a string of its digits */
};

struct template_node {
    char *name;
    int parent; /* index of a node, -1: the payload itself */
    int field;  /* number of the field, -1: an object */
    enum template_type type;
    bool optional;
};

struct template {
    struct template_node *nodes; /* a child always stands behind its parent */
    int count;
    int room;
    int fields;  /* how many were added */
    bool failed; /* out of memory */
};

/* Adds the next field (the first has number 0). Returns NULL, or what is wrong, a constant text. */
const char *template_add(struct template *template, const char *field);
void template_free(struct template *template);

/*
** Writes the payload: render writes the JSON of one field, "null" included, and returns false if
** its value is NULL.
*/
void template_render(const struct template *template,
                     bool (*render)(void *context, int field, enum template_type type,
                                    struct buffer *out),
                     void *context, struct buffer *out);

#endif
