/*
** json.h: is this text one JSON value (RFC 8259)? Pure, no allocation, no recursion.
**
** Payloads are never parsed and written again, which would lose integers above 2^53 and cut at
** NUL: they are checked here and travel as the bytes they are. SQLite's json_valid() would not do:
** it stops at a NUL. Bytes that are not UTF-8 pass inside strings: render_json mends them.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_JSON_H
#define RESTHOOK_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH 1000 /* nesting; SQLite's own parser allows as much */

/*
** Returns NULL, or what is wrong, a constant text ("a string without an end"), with the offset
** of the byte in *where (if not NULL).
*/
const char *json_check(const char *text, size_t length, size_t *where);

#endif
