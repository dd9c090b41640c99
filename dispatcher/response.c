/*
** response.c: what is kept of a response. A target may answer anything, of any length, for ever: a
** bounded part is kept, and that is made harmless to whoever prints it.
**
** The bytes are kept as they come and mended once, at the end. A few more are kept than are wanted,
** so that a character cut by the bound is not taken for broken. A lack of memory loses the text and
** nothing else.
** SPDX-License-Identifier: MIT
*/
#include "response.h"

#include <string.h>
#include <strings.h>

#define CHARACTER_MOST 4 /* bytes of a character, RFC 3629 3 */

static void begin(struct kept *kept, size_t most) {
    buffer_clear(&kept->bytes);
    kept->most = most < RESPONSE_READ_MOST ? most : RESPONSE_READ_MOST;
    kept->read = 0;
}

void response_begin(struct response *response, size_t head_most, size_t body_most) {
    begin(&response->head, head_most);
    begin(&response->body, body_most);
    response->whole_head = false;
    response->keeps_head = false;
    response->leaves_out = false;
}

static void keep(struct kept *kept, const char *bytes, size_t length) {
    size_t room = kept->most + CHARACTER_MOST - 1;

    room = kept->bytes.length < room ? room - kept->bytes.length : 0;
    if (kept->most > 0) {
        buffer_append(&kept->bytes, bytes, length < room ? length : room);
    }
}

/* A cookie is a credential, whoever reads the history. */
static const char cookie[] = "set-cookie";

static void keep_header(struct response *response, const char *line, size_t length) {
    size_t named = sizeof cookie - 1;

    if (line[0] == ' ' || line[0] == '\t') { /* the line before goes on, RFC 9112 5.2 */
        if (!response->leaves_out) {
            keep(&response->head, line, length);
        }
        return;
    }
    response->leaves_out = length >= named && strncasecmp(line, cookie, named) == 0;
    if (response->leaves_out) {
        static const char instead[] = ": (left out)\n";

        keep(&response->head, line, named);
        keep(&response->head, instead, sizeof instead - 1);
    } else {
        keep(&response->head, line, length);
    }
}

/* The most frequent answer's headers tell nobody anything, and cost something. */
static bool is_success(const char *line, size_t length) {
    const char *space = memchr(line, ' ', length);

    return space != NULL && space + 1 < line + length && space[1] == '2';
}

bool response_take_line(struct response *response, const char *line, size_t length) {
    response->head.read += length;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        buffer_clear(&response->head.bytes);
        response->whole_head = false;
        response->keeps_head = !is_success(line, length);
    } else if (length > 0 && (line[0] == '\r' || line[0] == '\n')) {
        response->whole_head = true;
    } else if (length > 0 && response->keeps_head && !response->whole_head) {
        keep_header(response, line, length);
    }
    return response->head.read <= RESPONSE_HEAD_MOST;
}

bool response_take(struct response *response, const char *bytes, size_t length) {
    keep(&response->body, bytes, length);
    response->body.read += length;
    return response->body.read <= RESPONSE_READ_MOST;
}

/* U+0000 to U+001F but \t and \n, U+007F, U+0080 to U+009F; in valid UTF-8. Returns the new length.
 */
static size_t drop_controls(char *text, size_t length) {
    size_t kept = 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0) {
            i++;
        } else if ((c >= ' ' && c != 0x7f) || c == '\t' || c == '\n') {
            text[kept++] = text[i];
        }
    }
    return kept;
}

void response_text(const struct kept *kept, struct buffer *text) {
    size_t end = kept->most;

    buffer_clear(text);
    render_json(text, kept->bytes.data, kept->bytes.length); /* mends UTF-8, nothing else */
    if (text->failed || text->data == NULL) {
        buffer_clear(text);
        return;
    }
    if (text->length > end) {
        while (end > 0 && ((unsigned char)text->data[end] & 0xc0) == 0x80) {
            end--; /* to where a character begins */
        }
        text->length = end;
    }
    text->length = drop_controls(text->data, text->length);
    text->data[text->length] = '\0';
}

void response_free(struct response *response) {
    buffer_free(&response->head.bytes);
    buffer_free(&response->body.bytes);
}
