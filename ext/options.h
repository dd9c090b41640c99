/*
** options.h: an options document: one JSON object, read with the host's own JSON functions.
**
** Each room lists the keys it knows in one table; the text of the error for an unknown key comes
** from it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_OPTIONS_H
#define RESTHOOK_OPTIONS_H

#include "hooks.h"

enum option_type {
    OPTION_TEXT,
    OPTION_INTEGER,
    OPTION_NUMBER,
    OPTION_BOOLEAN,
    OPTION_SWITCH, /* true, false, or a text that says more */
    OPTION_OBJECT,
    OPTION_ARRAY
};

struct option_rule {
    const char *key;
    enum option_type type; /* JSON null is taken for every key: back to the default */
};

/* One key of a document. The text is the document's own, good until options_free. */
struct option {
    bool given;
    bool null;
    char *text;            /* text, or JSON of an object or array; sqlite3_malloc'ed */
    bool literal;          /* OPTION_SWITCH: it is true or false, not a text */
    sqlite3_int64 integer; /* OPTION_INTEGER; OPTION_BOOLEAN as 0 or 1 */
    double number;         /* OPTION_NUMBER */
};

/*
** Reads argument `document` (NULL pointer or SQL NULL: no option given) by the rules into values[],
** one for each rule. Fails the call on what is not a JSON object, on an unknown key (naming the
** known ones), on a key given twice, on a wrong type (naming key, value and type). At most 1 MiB.
*/
void options_read(struct call *call, sqlite3_value *document, const struct option_rule *rules,
                  int count, struct option *values);
/*
** Checks an object of request headers, {"name": "value"}: at most 50, each by header_check, and
** none twice. Fails the call, never with a value, which may be a credential.
*/
void options_check_headers(struct call *call, const char *object);
void options_free(struct option *values, int count);

#endif
