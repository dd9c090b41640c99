/*
** log.c: see log.h. A line is built whole and written at once, so that lines of several processes
** do not mix. One that finds no memory is lost.
** SPDX-License-Identifier: MIT
*/
#include "log.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "render.h"

static const char *const names[] = {"error", "warn", "info", "debug"};
static enum log_level threshold = LOG_INFO;
static bool as_json;

void log_open(enum log_level level, bool json) {
    threshold = level;
    as_json = json;
}

bool log_level_named(const char *name, enum log_level *level) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(enum log_level level) {
    return level <= threshold;
}

static void now_text(char *out, size_t room) {
    struct timespec now;
    struct tm parts;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t n = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, room - n, ".%03ldZ", now.tv_nsec / 1000000);
}

/* The length of the control character at c, in valid UTF-8; 0: it is none. C1 as well: U+009B does
** to a terminal what ESC [ does. */
static size_t control_at(const char *c) {
    const unsigned char *u = (const unsigned char *)c;

    if (u[0] == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0) {
        return 2;
    }
    return u[0] < ' ' || u[0] == 127 ? 1 : 0;
}

/* As log_show says, of valid UTF-8. */
static void put_value(struct buffer *line, const char *value, const char *quoted) {
    bool quote = quoted != NULL && *value == '\0';
    size_t control = 0; /* bytes of a control character that are still to come */

    for (const char *c = value; *c != '\0' && quoted != NULL && !quote; c++) {
        quote = strchr(quoted, *c) != NULL || control_at(c) > 0;
    }
    buffer_text(line, quote ? "\"" : "");
    for (const char *c = value; *c != '\0'; c++) {
        char text[5] = {*c};

        control = control > 0 ? control : control_at(c);
        if (control > 0) {
            snprintf(text, sizeof text, "\\x%02x", (unsigned char)*c);
            control--;
        } else if (*c == '\\' || (*c == '"' && quote)) {
            snprintf(text, sizeof text, "\\%c", *c);
        }
        buffer_text(line, text);
    }
    buffer_text(line, quote ? "\"" : "");
}

void log_show(FILE *out, const char *value, const char *quoted) {
    struct buffer mended = {0}, shown = {0};

    render_json(&mended, value, strlen(value)); /* mends UTF-8, nothing else */
    put_value(&shown, mended.data != NULL ? mended.data : "", quoted);
    if (mended.failed || shown.failed) {
        memory_exhausted();
    }
    fputs(shown.data, out);
    buffer_free(&mended);
    buffer_free(&shown);
}

void log_complaint(const char *error) {
    fputs("resthookd: ", stderr);
    log_show(stderr, error, NULL);
    fputc('\n', stderr);
}

static void put_json(struct buffer *line, cJSON *object) {
    char *text = cJSON_PrintUnformatted(object);
    const char *from = text != NULL ? text : "{}";

    for (const char *c = from; *c != '\0'; c++) { /* what cJSON leaves as it is: DEL, and C1 */
        size_t control = control_at(c);
        char escaped[sizeof "\\u0000"];

        if (control > 0) {
            buffer_append(line, from, (size_t)(c - from));
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned char)c[control - 1]);
            buffer_text(line, escaped);
            from = c + control;
            c = from - 1;
        }
    }
    buffer_text(line, from);
    cJSON_free(text);
    cJSON_Delete(object);
}

static void emit(struct buffer *line) {
    buffer_text(line, "\n");
    if (!line->failed && write(STDERR_FILENO, line->data, line->length) < 0) {
        return; /* there is nowhere left to complain */
    }
}

void log_line(enum log_level level, const char *message, ...) {
    if (!log_enabled(level)) {
        return;
    }
    char time[32], name[40], number[24];
    struct buffer line = {0}, text = {0};
    cJSON *object = as_json ? cJSON_CreateObject() : NULL;
    const char *key;
    va_list pairs;

    now_text(time, sizeof time);
    if (as_json) {
        cJSON_AddStringToObject(object, "time", time);
        cJSON_AddStringToObject(object, "level", names[level]);
        cJSON_AddStringToObject(object, "message", message);
    } else {
        buffer_text(&line, time);
        buffer_text(&line, " ");
        buffer_text(&line, names[level]);
        buffer_text(&line, " ");
        buffer_text(&line, message);
    }
    va_start(pairs, message);
    while ((key = va_arg(pairs, const char *)) != NULL) {
        size_t length = strlen(key);
        bool is_number = length > 0 && key[length - 1] == '#';
        long long integer = is_number ? va_arg(pairs, long long) : 0;
        const char *value = is_number ? number : va_arg(pairs, const char *);

        snprintf(number, sizeof number, "%lld", integer);
        snprintf(name, sizeof name, "%.*s", (int)(is_number ? length - 1 : length), key);
        if (value == NULL) {
            continue;
        }
        buffer_clear(&text);
        render_json(&text, value, strlen(value)); /* mends UTF-8, nothing else */
        value = text.data != NULL ? text.data : "";
        if (as_json && is_number) {
            cJSON_AddRawToObject(object, name, value);
        } else if (as_json) {
            cJSON_AddStringToObject(object, name, value);
        } else {
            buffer_text(&line, " ");
            buffer_text(&line, name);
            buffer_text(&line, "=");
            put_value(&line, value, " \"=\\");
        }
    }
    va_end(pairs);
    if (as_json) {
        put_json(&line, object);
    }
    emit(&line);
    buffer_free(&text);
    buffer_free(&line);
}
