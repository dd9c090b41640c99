/*
** clause.c: reads the operation and the expressions of a watch as text.
**
** An expression is set into a larger statement. It must not be able to leave its place there ("1)
** FROM x --"), whatever SQLite would make of the whole; so its brackets are counted here, token by
** token, before SQLite sees it. The token rules are those of SQLite's tokenizer
** (sqlite.org/lang_expr.html, lang_comment.html): '' doubled inside quotes, no nesting of comments,
** any byte above 127 is a letter.
**
** Nothing here allocates but the caller's buffer. What is wrong comes back as a constant text.
** SPDX-License-Identifier: MIT
*/
#include "clause.h"

#include <string.h>
#include <strings.h>

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

/* What may follow the first letter of a name. */
static bool is_word(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '$';
}

static const char *skip_space(const char *text) {
    while (is_space(*text)) {
        text++;
    }
    return text;
}

static const char *skip_word(const char *text) {
    while (is_word(*text)) {
        text++;
    }
    return text;
}

/* From an opening quote to behind the closing one; NULL: it is not closed. */
static const char *skip_quoted(const char *text) {
    char close = *text == '[' ? ']' : *text;

    for (text++; *text != '\0'; text++) {
        if (*text == close) {
            if (close == ']' || text[1] != close) {
                return text + 1;
            }
            text++;
        }
    }
    return NULL;
}

static bool word_is(const char *word, const char *end, const char *expected) {
    size_t length = (size_t)(end - word);

    return length == strlen(expected) && strncasecmp(word, expected, length) == 0;
}

const char *clause_operation_name(enum operation operation) {
    static const char *const names[] = {"insert", "update", "delete"};

    return names[operation];
}

const char *clause_operation(const char *text, enum operation *operation, const char **names) {
    static const char wrong[] = "insert, update, delete or update of columns is expected";
    const char *word = skip_space(text);
    const char *end = skip_word(word);
    bool known = false;

    for (enum operation o = OPERATION_INSERT; o <= OPERATION_DELETE; o++) {
        if (word_is(word, end, clause_operation_name(o))) {
            *operation = o;
            known = true;
        }
    }
    if (!known) {
        return wrong;
    }
    *names = NULL;
    word = skip_space(end);
    if (*word == '\0') {
        return NULL;
    }
    end = skip_word(word);
    if (*operation != OPERATION_UPDATE || !word_is(word, end, "of")) {
        return wrong;
    }
    *names = skip_space(end);
    return **names == '\0' ? "a column name is expected after of" : NULL;
}

void clause_unquote(const char *text, const char *end, struct buffer *name) {
    bool quoted = !is_word(*text);

    buffer_clear(name);
    for (const char *c = text + quoted; c < end - quoted; c++) {
        buffer_append(name, c, 1);
        if (quoted && *c == *text) {
            c++; /* doubled */
        }
    }
}

const char *clause_next_name(const char **names, struct buffer *name) {
    const char *text = skip_space(*names);
    const char *end;

    buffer_clear(name);
    if (is_letter(*text)) {
        end = skip_word(text);
        buffer_append(name, text, (size_t)(end - text));
    } else if (*text != '\0' && strchr("\"'`[", *text) != NULL) {
        end = skip_quoted(text);
        if (end == NULL) {
            return "a quote is not closed";
        }
        clause_unquote(text, end, name);
        if (name->length == 0) {
            return "a column name is empty";
        }
    } else {
        return "a column name is expected";
    }
    text = skip_space(end);
    if (*text == ',') {
        *names = text + 1;
    } else if (*text == '\0') {
        *names = NULL;
    } else {
        return "a comma is expected between column names";
    }
    return NULL;
}

const char *clause_token(const char *text, bool *blank, const char **wrong) {
    const char *end;

    *blank = true;
    if (is_space(*text)) {
        return skip_space(text);
    }
    if (text[0] == '-' && text[1] == '-') {
        return text + strcspn(text, "\n");
    }
    if (text[0] == '/' && text[1] == '*') {
        end = strstr(text + 2, "*/");
        *wrong = "a comment is not closed";
        return end != NULL ? end + 2 : NULL;
    }
    *blank = false;
    if (is_word(*text) && *text != '$') {
        return skip_word(text);
    }
    if (strchr("'\"`[", *text) != NULL) {
        *wrong = "a quote is not closed";
        return skip_quoted(text);
    }
    return text + 1;
}

const char *clause_expression(const char *text) {
    const char *wrong = NULL;
    bool empty = true;
    int depth = 0;

    while (*text != '\0') {
        bool blank;
        const char *end = clause_token(text, &blank, &wrong);

        if (end == NULL) {
            return wrong;
        }
        empty = empty && blank;
        if (!blank && end == text + 1) {
            switch (*text) {
            case '(':
                depth++;
                break;
            case ')':
                if (--depth < 0) {
                    return "a closing parenthesis has no opening one";
                }
                break;
            case ';':
                return "a semicolon can't be part of an expression";
            case '?':
            case ':':
            case '@':
            case '#':
            case '$':
                return "a parameter can't be part of an expression";
            default:
                break;
            }
        }
        text = end;
    }
    if (depth > 0) {
        return "a parenthesis is not closed";
    }
    return empty ? "an expression is expected" : NULL;
}

bool clause_names(const char *expression, const char *name) {
    struct buffer token = {0};
    bool found = false;
    const char *end;

    for (; *expression != '\0' && !found; expression = end) {
        const char *wrong;
        bool blank;

        end = clause_token(expression, &blank, &wrong);
        if (end == NULL) {
            break;
        }
        if (!blank && (is_word(*expression) || end - expression > 1)) {
            clause_unquote(expression, end, &token);
            found = strcasecmp(token.length > 0 ? token.data : "", name) == 0;
        }
    }
    found = found || token.failed; /* then it may */
    buffer_free(&token);
    return found;
}

bool clause_takes_all(const char *expression) {
    const char *end;
    bool operand = false; /* the last token could be multiplied */

    for (; *expression != '\0'; expression = end) {
        const char *wrong;
        bool blank;

        end = clause_token(expression, &blank, &wrong);
        if (end == NULL || (*expression == '*' && !operand)) {
            return true;
        }
        if (!blank) {
            operand = strchr(".,", *expression) == NULL && !word_is(expression, end, "select") &&
                      !word_is(expression, end, "distinct") && !word_is(expression, end, "all");
        }
    }
    return false;
}
