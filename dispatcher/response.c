/*
** response.c: what is kept of a response's body. A target may answer anything, of any length, for
** ever: a bounded part is kept, and that is made harmless to whoever prints it.
**
** The bytes are kept as they come and mended once, at the end. A few more are kept than are wanted,
** so that a character cut by the bound is not taken for broken. A lack of memory loses the text and
** nothing else.
** SPDX-License-Identifier: MIT
*/
#include "response.h"

#define CHARACTER_MOST 4 /* bytes of a character, RFC 3629 3 */

void response_begin(struct response *response, size_t most) {
    buffer_clear(&response->body);
    response->most = most < RESPONSE_READ_MOST ? most : RESPONSE_READ_MOST;
    response->read = 0;
}

bool response_take(struct response *response, const char *bytes, size_t length) {
    size_t room = response->most + CHARACTER_MOST - 1 - response->body.length;

    if (response->most > 0) {
        buffer_append(&response->body, bytes, length < room ? length : room);
    }
    response->read += length;
    return response->read <= RESPONSE_READ_MOST;
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

void response_text(const struct response *response, struct buffer *text) {
    size_t end = response->most;

    buffer_clear(text);
    render_json(text, response->body.data, response->body.length); /* mends UTF-8, nothing else */
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
    buffer_free(&response->body);
}
