/*
** render.c: a payload of any values under any paths is JSON, and cJSON finds each value in it where its
** path says; so it is in the envelopes.
** SPDX-License-Identifier: MIT
*/
#include <fnmatch.h>

#include "cell.h"
#include "event.h"
#include "format.h"
#include "json.h"
#include "value.h"

#define FIELDS 8
#define FIELD_MAX 60

static sqlite3 *db;
static sqlite3_stmt *row; /* of FIELDS values */

struct field {
    char *text;
    size_t length; /* of its path */
    struct value value;
    bool added, optional;
    enum template_type type;
};

static bool render_field(void *context, int field, enum template_type type, struct buffer *out) {
    const int *columns = context;

    return cell_render((struct cell){row, columns[field]}, type, out);
}

/* By the documentation: path[:type][?] */
static void read_suffix(struct field *field) {
    const char *end = field->text + strlen(field->text);

    field->optional = end > field->text && end[-1] == '?';
    field->length = strcspn(field->text, ":");
    field->type = strstr(field->text, ":bool")   ? TEMPLATE_BOOL
                  : strstr(field->text, ":json") ? TEMPLATE_JSON
                  : strstr(field->text, ":text") ? TEMPLATE_TEXT
                                                 : TEMPLATE_PLAIN;
    if (field->text[field->length] == '\0' && field->optional) {
        field->length--;
    }
}

static const cJSON *find(const cJSON *object, const char *path, size_t length) {
    const char *end = path + length;

    while (object != NULL && path < end) {
        const char *dot = memchr(path, '.', (size_t)(end - path));
        char name[FIELD_MAX + 1];

        dot = dot != NULL ? dot : end;
        snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
        object = cJSON_GetObjectItemCaseSensitive(object, name);
        path = dot + 1;
    }
    return object;
}

static void check_field(const cJSON *payload, const struct field *field) {
    const struct value *value = &field->value;
    const cJSON *found = find(payload, field->text, field->length);

    if (value->type == SQLITE_NULL && field->optional) {
        MUST(found == NULL, "%s", field->text);
        return;
    }
    MUST(found != NULL, "%s", field->text);
    if (value->type == SQLITE_NULL || field->type == TEMPLATE_PLAIN) {
        must_be(found, value);
    } else if (field->type == TEMPLATE_BOOL) {
        MUST(cJSON_IsBool(found), "%s", field->text);
    } else if (field->type == TEMPLATE_TEXT) {
        MUST(cJSON_IsString(found) || (value->type == SQLITE_FLOAT && !isfinite(value->real)), "%s",
             field->text);
    } else if (value->type != SQLITE_TEXT ||
               json_check(value->bytes, value->length, NULL) != NULL) {
        must_be(found, value);
    }
}

static cJSON *read(const struct buffer *json) {
    cJSON *read;

    MUST(!json->failed && json_check(json->data, json->length, NULL) == NULL, "%s", json->data);
    MUST(is_utf8(json->data, json->length), "%s", json->data);
    /* cJSON refuses half a surrogate pair; a value that is JSON may have it, or a long number. */
    read = cJSON_ParseWithOpts(json->data, NULL, 1);
    return read;
}

/* cJSON reads a number that is too large as infinity, which for cJSON_Compare equals nothing. */
static bool is_finite(const cJSON *item) {
    bool finite = !cJSON_IsNumber(item) || isfinite(item->valuedouble);

    for (const cJSON *part = item->child; part != NULL && finite; part = part->next) {
        finite = is_finite(part);
    }
    return finite;
}

static bool same(const cJSON *a, const cJSON *b) {
    return !is_finite(a) || cJSON_Compare(a, b, 1);
}

static void check_envelopes(const struct buffer *payload, const cJSON *plain, int64_t created_at) {
    struct buffer body = {0};
    const char *headers[FORMAT_HEADERS];

    format_standard(&body, "a.b", created_at, payload->data, payload->length);
    cJSON *whole = read(&body);
    MUST(same(plain, cJSON_GetObjectItemCaseSensitive(whole, "data")), "%s", body.data);
    const char *time = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(whole, "timestamp"));
    MUST(time != NULL && fnmatch("[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:"
                                 "[0-5][0-9].[0-9][0-9][0-9]Z",
                                 time, 0) == 0,
         "%s", body.data);
    cJSON_Delete(whole);

    buffer_clear(&body);
    format_emitted_change(&body, payload->data, payload->length);
    whole = read(&body);
    MUST(same(plain, cJSON_GetObjectItemCaseSensitive(whole, "record")), "%s", body.data);
    cJSON_Delete(whole);
    buffer_free(&body);

    format_cloudevents_headers(headers, "a.b", "token_1_1", "urn:resthook:token", created_at);
    for (int i = 0; headers[i] != NULL; i++) {
        MUST(strncmp(headers[i], "ce-", 3) == 0 && strpbrk(headers[i], "\r\n") == NULL, "%s",
             headers[i]);
        free((char *)headers[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct template template = {0};
    struct field fields[FIELDS];
    struct buffer payload = {0};
    int columns[FIELDS];
    int64_t created_at = (int64_t)take_number(&input, 8);
    bool readable = true; /* every path is UTF-8: no two look alike when they are mended */

    if (db == NULL) {
        MUST(sqlite3_open(":memory:", &db) == SQLITE_OK &&
                 sqlite3_prepare_v2(db, "SELECT ?1,?2,?3,?4,?5,?6,?7,?8", -1, &row, NULL) ==
                     SQLITE_OK,
             "sqlite3_open");
    }
    for (int i = 0; i < FIELDS; i++) {
        size_t length;

        fields[i].text = take_line(&input, &length);
        if (length > FIELD_MAX) {
            fields[i].text[FIELD_MAX] = '\0';
        }
        length = strlen(fields[i].text);
        fields[i].value = take_value(&input);
        bind_value(row, i + 1, &fields[i].value);
        columns[template.fields] = i;
        fields[i].added = length > 0 && template_add(&template, fields[i].text) == NULL;
        if (fields[i].added) {
            read_suffix(&fields[i]);
            readable = readable && is_utf8(fields[i].text, length);
        }
    }
    MUST(sqlite3_step(row) == SQLITE_ROW, "%s", sqlite3_errmsg(db));
    template_render(&template, render_field, columns, &payload);
    cJSON *whole = read(&payload);
    for (int i = 0; i < FIELDS && whole != NULL && readable; i++) {
        if (fields[i].added) {
            check_field(whole, &fields[i]);
        }
    }
    if (whole != NULL && readable) {
        check_envelopes(&payload, whole, created_at);
    }
    cJSON_Delete(whole);
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    for (int i = 0; i < FIELDS; i++) {
        free(fields[i].text);
        free(fields[i].value.bytes);
    }
    template_free(&template);
    buffer_free(&payload);
    return 0;
}
