/*
** message.c: what a call says when it fails, and how a value is shown in it.
**
** Every error has a message that begins with the function's name, is of bounded length and clean
** UTF-8; SQLite's own texts are passed on behind it. Out of memory is SQLITE_NOMEM.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <string.h>

#include "hooks.h"
#include "render.h"

#define SHOWN_MAX 80    /* bytes of a value in a message */
#define MESSAGE_MAX 800 /* of all of it: */
#define MESSAGE_END 300 /* as much as this of its end, where the reason often stands */

/* Appends at most `most` bytes of a text, cut between characters, with invalid UTF-8 replaced and
** control characters too. Returns true when it was all of it. */
static bool append_clean(struct buffer *out, const char *text, int length, int most) {
    int end = length;

    if (end > most) {
        for (end = most; end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80; end--) {
            /* not in the middle of a character */
        }
    }
    render_plain(out, text, (size_t)end);
    return end == length;
}

/* Keeps an error, with its message unless there is no memory for that. */
static void keep(struct call *call, int rc, const char *text) {
    struct buffer clean = {0};

    int length = (int)strlen(text);

    call->rc = rc;
    if (length <= MESSAGE_MAX) {
        (void)append_clean(&clean, text, length, length);
    } else {
        const char *end = text + length - MESSAGE_END;

        while (((unsigned char)*end & 0xc0) == 0x80) {
            end++; /* not in the middle of a character */
        }
        (void)append_clean(&clean, text, length, MESSAGE_MAX - MESSAGE_END);
        buffer_text(&clean, "…");
        (void)append_clean(&clean, end, (int)strlen(end), MESSAGE_END);
    }
    if (!clean.failed) {
        call->error = sqlite3_mprintf("%s: %s", call->function, clean.data);
    }
    buffer_free(&clean);
}

void call_fail(struct call *call, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments); /* wanted or not: %z frees */
    va_end(arguments);
    if (call->rc == SQLITE_OK && text != NULL) {
        keep(call, SQLITE_ERROR, text);
    } else if (call->rc == SQLITE_OK) {
        call->rc = SQLITE_NOMEM;
    }
    sqlite3_free(text);
}

void call_check(struct call *call, int rc) {
    if (call->rc != SQLITE_OK || rc == SQLITE_OK) {
        return;
    }
    if (rc == SQLITE_NOMEM) {
        call->rc = rc;
    } else {
        keep(call, rc, sqlite3_errmsg(call->db));
    }
}

static bool holds(const char *text, int length, const char *part) {
    int size = (int)strlen(part);

    for (int i = 0; i + size <= length; i++) {
        if (memcmp(text + i, part, (size_t)size) == 0) {
            return true;
        }
    }
    return false;
}

/* Has it what a secret has, or a URL with a user's name and password? */
static bool may_be_secret(const char *text, int length) {
    return holds(text, length, "whsec_") || holds(text, length, "whsk_") ||
           (holds(text, length, ":") && (holds(text, length, "@") || holds(text, length, "%40")));
}

/* The text of a value, mended and cut for an error message. */
static char *show(const char *text, int length, bool quoted) {
    struct buffer clean = {0};
    char *result = NULL;

    if (may_be_secret(text, length)) {
        return sqlite3_mprintf("(not shown: it may hold a secret)");
    }
    bool whole = append_clean(&clean, text, length, SHOWN_MAX);

    if (!clean.failed && !whole) {
        result = sqlite3_mprintf("'%s…' (%d bytes)", clean.data, length);
    } else if (!clean.failed) {
        result = sqlite3_mprintf(quoted ? "'%s'" : "%s", clean.data);
    }
    buffer_free(&clean);
    return result;
}

char *shown_text(const char *text) {
    return text != NULL ? show(text, (int)strlen(text), true) : NULL;
}

char *shown(sqlite3_value *value) {
    int type = sqlite3_value_type(value);

    if (type == SQLITE_NULL) {
        return sqlite3_mprintf("NULL");
    }
    if (type == SQLITE_BLOB) {
        return sqlite3_mprintf("a BLOB of %d bytes", sqlite3_value_bytes(value));
    }
    const char *text = (const char *)sqlite3_value_text(value);

    return text != NULL ? show(text, sqlite3_value_bytes(value), type == SQLITE_TEXT) : NULL;
}

char *shown_before(sqlite3_value *value, char end) {
    const char *text = (const char *)sqlite3_value_text(value);
    const char *found = text != NULL ? strchr(text, end) : NULL;
    char *part, *result;

    if (found == NULL) {
        return shown(value);
    }
    part = sqlite3_mprintf("%.*s%c…", (int)(found - text), text, end);
    result = shown_text(part);
    sqlite3_free(part);
    return result;
}

const char *call_text_argument(struct call *call, sqlite3_value **argv, int i, const char *what,
                               int most) {
    if (call->rc != SQLITE_OK) {
        return NULL;
    }
    if (sqlite3_value_type(argv[i]) != SQLITE_TEXT) {
        call_fail(call, "%s is %z, expected text", what, shown(argv[i]));
        return NULL;
    }
    const char *text = (const char *)sqlite3_value_text(argv[i]);
    int length = sqlite3_value_bytes(argv[i]);

    if (text == NULL) {
        call_check(call, SQLITE_NOMEM);
    } else if (length > most) {
        call_fail(call, "%s %z is too long, expected at most %d bytes", what, shown(argv[i]), most);
    } else if (strlen(text) != (size_t)length) {
        call_fail(call, "%s %z contains a NUL character", what, shown(argv[i]));
    }
    return call->rc == SQLITE_OK ? text : NULL;
}
