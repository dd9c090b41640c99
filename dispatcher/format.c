/*
** format.c: see format.h.
** SPDX-License-Identifier: MIT
*/
#include "format.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "memory.h"

static const char *const names[FORMATS] = {"bare", "standard", "cloudevents", "change"};

bool format_named(const char *name, enum format *format) {
    for (int i = 0; i < FORMATS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *format = (enum format)i;
            return true;
        }
    }
    return false;
}

/* RFC 3339 has years of four digits. An emitted row may claim any time: one that can't be is written
** as the nearest that can. */
#define LAST_MS INT64_C(253402300799999)

void format_time(int64_t ms, char *out) {
    int64_t bounded = ms < 0 ? 0 : ms > LAST_MS ? LAST_MS : ms;
    time_t seconds = (time_t)(bounded / 1000);
    struct tm parts;

    gmtime_r(&seconds, &parts);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, 32 - n, ".%03dZ", (int)(bounded % 1000));
}

void format_standard(struct buffer *out, const char *event, int64_t created_at, const char *payload,
                     size_t length) {
    char time[32];

    format_time(created_at, time);
    buffer_text(out, "{\"type\":");
    render_text(out, event, strlen(event));
    buffer_text(out, ",\"timestamp\":\"");
    buffer_text(out, time);
    buffer_text(out, "\",\"data\":");
    buffer_append(out, payload, length);
    buffer_text(out, "}");
}

void format_emitted_change(struct buffer *out, const char *payload, size_t length) {
    buffer_text(out, "{\"type\":\"EMIT\",\"table\":null,\"schema\":null,\"record\":");
    buffer_append(out, payload, length);
    buffer_text(out, ",\"old_record\":null}");
}

void format_cloudevents_headers(const char *headers[FORMAT_HEADERS], const char *event,
                                const char *id, const char *source, int64_t created_at) {
    char time[32];

    format_time(created_at, time);
    headers[0] = xstrdup("ce-specversion: 1.0");
    headers[1] = xprintf("ce-id: %s", id);
    headers[2] = xprintf("ce-source: %s", source);
    headers[3] = xprintf("ce-type: %s", event);
    headers[4] = xprintf("ce-time: %s", time);
    headers[5] = NULL;
}
