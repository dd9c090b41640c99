/*
** template.c: a payload's shape, kept as a flat list of nodes that name their parent.
**
** Fields are few (tens) and a template is built once for a version of a watch, so members are found
** by walking the list; rendering walks it once for each object. Out of memory is remembered in
** `failed`, as a buffer does.
** SPDX-License-Identifier: MIT
*/
#include "template.h"

#include <stdlib.h>
#include <string.h>

#define ROOT (-1)

/* The member of an object by its name; -1: there is none. */
static int find(const struct template *template, int parent, const char *name, size_t length) {
    for (int i = 0; i < template->count; i++) {
        const struct template_node *node = &template->nodes[i];
        if (node->parent == parent && strlen(node->name) == length &&
            memcmp(node->name, name, length) == 0) {
            return i;
        }
    }
    return -1;
}

/* Adds an object as a member. Returns its index, -1 when out of memory. */
static int add(struct template *template, int parent, const char *name, size_t length) {
    struct template_node *node;

    if (template->count == template->room) {
        int room = template->room > 0 ? template->room * 2 : 16;
        void *nodes = realloc(template->nodes, (size_t)room * sizeof template->nodes[0]);
        if (nodes == NULL) {
            template->failed = true;
            return -1;
        }
        template->nodes = nodes;
        template->room = room;
    }
    node = &template->nodes[template->count];
    node->name = strndup(name, length);
    if (node->name == NULL) {
        template->failed = true;
        return -1;
    }
    node->parent = parent;
    node->field = -1;
    node->type = TEMPLATE_PLAIN;
    node->optional = false;
    return template->count++;
}

/* Reads what follows the path: [:type][?]. *length becomes that of the path alone. */
static const char *read_suffix(const char *field, size_t *length, enum template_type *type,
                               bool *optional) {
    static const char *const names[] = {
        [TEMPLATE_BOOL] = "bool", [TEMPLATE_JSON] = "json", [TEMPLATE_TEXT] = "text"};
    const char *colon;
    size_t end = strlen(field);

    *optional = end > 0 && field[end - 1] == '?';
    if (*optional) {
        end--;
    }
    *type = TEMPLATE_PLAIN;
    *length = end;
    colon = memchr(field, ':', end);
    if (colon == NULL) {
        return NULL;
    }
    *length = (size_t)(colon - field);
    for (enum template_type t = TEMPLATE_BOOL; t <= TEMPLATE_TEXT; t++) {
        if (strlen(names[t]) == end - *length - 1 &&
            memcmp(colon + 1, names[t], strlen(names[t])) == 0) {
            *type = t;
            return NULL;
        }
    }
    return "unknown type (known: bool, json, text)";
}

const char *template_add(struct template *template, const char *field) {
    enum template_type type;
    bool optional;
    size_t length;
    int parent = ROOT;
    int depth = 0;
    const char *wrong = read_suffix(field, &length, &type, &optional);
    const char *end = field + length;

    if (wrong != NULL) {
        return wrong;
    }
    for (const char *part = field;; part++) {
        const char *dot = memchr(part, '.', (size_t)(end - part));
        size_t size = (size_t)((dot != NULL ? dot : end) - part);
        int node;

        if (size == 0) {
            return "a part of the path is empty";
        }
        if (++depth > TEMPLATE_DEPTH) {
            return "the path has more than 32 parts";
        }
        node = find(template, parent, part, size);
        if (node >= 0 && dot == NULL) {
            return template->nodes[node].field >= 0 ? "the path is there twice"
                                                    : "the path is both a value and an object";
        }
        if (node >= 0 && template->nodes[node].field >= 0) {
            return "the path is both a value and an object";
        }
        if (node < 0) {
            node = add(template, parent, part, size);
            if (node < 0) {
                return "out of memory";
            }
        }
        if (dot == NULL) {
            template->nodes[node].field = template->fields++;
            template->nodes[node].type = type;
            template->nodes[node].optional = optional;
            return NULL;
        }
        parent = node;
        part = dot;
    }
}

void template_free(struct template *template) {
    for (int i = 0; i < template->count; i++) {
        free(template->nodes[i].name);
    }
    free(template->nodes);
    memset(template, 0, sizeof *template);
}

struct rendering {
    const struct template *template;
    bool (*render)(void *context, int field, enum template_type type, struct buffer *out);
    void *context;
    struct buffer *out;
};

/* Takes back what was written behind `length`. */
static void cut(struct buffer *out, size_t length) {
    if (!out->failed) {
        out->length = length;
        out->data[length] = '\0';
    }
}

/* Writes an object. Returns false if it came out empty. */
static bool render_object(const struct rendering *rendering, int parent) {
    const struct template *template = rendering->template;
    struct buffer *out = rendering->out;
    bool first = true;

    buffer_text(out, "{");
    for (int i = parent + 1; i < template->count; i++) {
        const struct template_node *node = &template->nodes[i];
        size_t before = out->length;
        bool there;

        if (node->parent != parent) {
            continue;
        }
        if (!first) {
            buffer_text(out, ",");
        }
        render_text(out, node->name, strlen(node->name));
        buffer_text(out, ":");
        there = node->field < 0
                    ? render_object(rendering, i)
                    : rendering->render(rendering->context, node->field, node->type, out) ||
                          !node->optional;
        if (there) {
            first = false;
        } else {
            cut(out, before);
        }
    }
    buffer_text(out, "}");
    return !first;
}

void template_render(const struct template *template,
                     bool (*render)(void *context, int field, enum template_type type,
                                    struct buffer *out),
                     void *context, struct buffer *out) {
    struct rendering rendering = {template, render, context, out};

    (void)render_object(&rendering, ROOT);
}
