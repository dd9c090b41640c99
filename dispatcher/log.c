/*
** log.c: see log.h. A line is built whole and written at once, so that lines of several processes
** do not mix.
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

#define LINE_MAX_BYTES 4096

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

struct text {
    char bytes[LINE_MAX_BYTES];
    size_t length;
};

static void put(struct text *line, char c) {
    if (line->length < sizeof line->bytes - 1) {
        line->bytes[line->length++] = c;
    }
}

static void put_text(struct text *line, const char *text) {
    while (*text != '\0') {
        put(line, *text++);
    }
}

/* A value is quoted when it has a space, a quote, an equals sign or anything that could end the
** line. */
static void put_value(struct text *line, const char *value) {
    bool plain = *value != '\0';

    for (const char *c = value; *c != '\0'; c++) {
        plain =
            plain && (unsigned char)*c > ' ' && *c != '"' && *c != '=' && *c != '\\' && *c != 127;
    }
    if (plain) {
        put_text(line, value);
        return;
    }
    put(line, '"');
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            put(line, '\\');
            put(line, *c);
        } else if ((unsigned char)*c < ' ' || *c == 127) {
            char escaped[8];

            snprintf(escaped, sizeof escaped, "\\x%02x", (unsigned char)*c);
            put_text(line, escaped);
        } else {
            put(line, *c);
        }
    }
    put(line, '"');
}

static void emit(struct text *line) {
    line->bytes[line->length++] = '\n';
    if (write(STDERR_FILENO, line->bytes, line->length) < 0) {
        return; /* there is nowhere left to complain */
    }
}

static void emit_json(cJSON *object) {
    char *text = object != NULL ? cJSON_PrintUnformatted(object) : NULL;

    if (text != NULL) {
        dprintf(STDERR_FILENO, "%s\n", text);
    }
    cJSON_free(text);
    cJSON_Delete(object);
}

void log_line(enum log_level level, const char *message, ...) {
    if (!log_enabled(level)) {
        return;
    }
    char time[32], name[40], number[24];
    struct text line = {.length = 0};
    cJSON *object = as_json ? cJSON_CreateObject() : NULL;
    const char *key;
    va_list pairs;

    now_text(time, sizeof time);
    if (as_json) {
        cJSON_AddStringToObject(object, "time", time);
        cJSON_AddStringToObject(object, "level", names[level]);
        cJSON_AddStringToObject(object, "message", message);
    } else {
        put_text(&line, time);
        put(&line, ' ');
        put_text(&line, names[level]);
        put(&line, ' ');
        put_text(&line, message);
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
        if (as_json && is_number) {
            cJSON_AddRawToObject(object, name, value);
        } else if (as_json) {
            cJSON_AddStringToObject(object, name, value);
        } else {
            put(&line, ' ');
            put_text(&line, name);
            put(&line, '=');
            put_value(&line, value);
        }
    }
    va_end(pairs);
    if (as_json) {
        emit_json(object);
    } else {
        emit(&line);
    }
}
