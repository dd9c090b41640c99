/*
** fuzz.h: what a target of the fuzzer is: a function over bytes that aborts where what its file says
** must hold does not. `make fuzz` links it with libFuzzer; the tests link it with replay.c, which
** gives it the files of its corpus.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_FUZZ_H
#define RESTHOOK_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What is left of an input. */
struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t take_byte(struct input *input) {
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

static inline uint64_t take_number(struct input *input, int bytes) {
    uint64_t number = 0;

    while (bytes-- > 0) {
        number = number << 8 | take_byte(input);
    }
    return number;
}

/* Up to `length` bytes as a text that ends where its memory ends, so that the sanitizers see a byte
** too many; free it. */
static inline char *take_text(struct input *input, size_t *length) {
    char *text;

    *length = *length < input->left ? *length : input->left;
    text = calloc(1, *length + 1);
    MUST(text != NULL, "memory");
    memcpy(text, input->at, *length);
    input->at += *length;
    input->left -= *length;
    return text;
}

/* The same: what is left of the line, whose end is passed over. */
static inline char *take_line(struct input *input, size_t *length) {
    const uint8_t *end = input->left > 0 ? memchr(input->at, '\n', input->left) : NULL;
    char *line;

    *length = end != NULL ? (size_t)(end - input->at) : input->left;
    line = take_text(input, length);
    (void)take_byte(input);
    return line;
}

/* The same: everything. */
static inline char *take_rest(struct input *input, size_t *length) {
    *length = input->left;
    return take_text(input, length);
}

/* Is it UTF-8 (RFC 3629)? By arithmetic, where render.c goes by Unicode's table. */
static inline bool is_utf8(const char *text, size_t length) {
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    while (length > 0) {
        uint32_t code = (unsigned char)*text;
        unsigned more = code < 0x80       ? 0
                        : code >> 5 == 6  ? 1
                        : code >> 4 == 14 ? 2
                        : code >> 3 == 30 ? 3
                                          : 4;

        if (more == 4 || length <= more) {
            return false;
        }
        code = more > 0 ? code & (0x3fU >> more) : code;
        for (unsigned i = 1; i <= more; i++) {
            if (((unsigned char)text[i] & 0xc0) != 0x80) {
                return false;
            }
            code = code << 6 | ((unsigned char)text[i] & 0x3f);
        }
        if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
        text += more + 1;
        length -= more + 1;
    }
    return true;
}

#endif
