/*
** render.h: SQLite's values as JSON, exactly; and the growing buffer they are written to. Pure.
**
** A buffer owns its bytes until buffer_free. An append that finds no memory sets `failed` and
** every later append does nothing, so that a caller checks once, at the end.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_RENDER_H
#define RESTHOOK_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data; /* length bytes and a closing NUL; NULL before the first append, of 0 bytes even */
    size_t length;
    size_t room;
    bool failed; /* out of memory */
};

/* Bytes of the buffer itself can't be appended to it: it may move. NULL is fine for no bytes. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_text(struct buffer *buffer, const char *text); /* a C string, as it is */
void buffer_clear(struct buffer *buffer);                  /* length 0, memory kept, failed reset */
void buffer_free(struct buffer *buffer);                   /* as if never used */

void render_null(struct buffer *out);
void render_boolean(struct buffer *out, bool value);
void render_integer(struct buffer *out, int64_t value); /* a number, whatever its size */
/*
** Of 15, 16 and 17 digits the fewest that read back as the same double, always with a '.' or an
** exponent ("3.0", "-0.0", "1e+300"); NaN and infinities as null (JSON has neither, RFC 8259 6).
** The host's locale does not matter.
*/
void render_real(struct buffer *out, double value);
/*
** A JSON string. Invalid UTF-8 becomes U+FFFD (one for each maximal part, as Unicode 3.9 and
** WHATWG have it), NUL and control characters \u00XX; nothing else is escaped but '"' and '\'.
*/
void render_text(struct buffer *out, const char *text, size_t length);
/* A JSON string of base64 (RFC 4648 4, with padding). */
void render_blob(struct buffer *out, const void *bytes, size_t length);
/* JSON text as it is, but for invalid UTF-8, which becomes U+FFFD. It was checked by json_check. */
void render_json(struct buffer *out, const char *json, size_t length);
/* Text for people, wherever they read it: the same, and '?' for each byte of a control character. */
void render_plain(struct buffer *out, const char *text, size_t length);

#endif
