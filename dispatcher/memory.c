/*
** memory.c: see memory.h.
** SPDX-License-Identifier: MIT
*/
#include "memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_OS 71 /* sysexits EX_OSERR */

void memory_exhausted(void) {
    fputs("resthookd: out of memory\n", stderr);
    exit(EXIT_OS);
}

static void *checked(void *memory) {
    if (memory == NULL) {
        memory_exhausted();
    }
    return memory;
}

void *xcalloc(size_t count, size_t size) {
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *xrealloc(void *old, size_t size) {
    return checked(realloc(old, size > 0 ? size : 1));
}

char *xstrdup(const char *text) {
    return checked(strdup(text));
}

char *xprintf(const char *format, ...) {
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
    }
    va_end(arguments);
    return checked(text);
}

void text_forget(char *text) {
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}
