/*
** log.h: what the dispatcher says, on standard error: one line an occasion, key=value or JSON.
**
** A line begins with time and level, then the message, then pairs. No value can forge a line:
** control characters are escaped, what is not UTF-8 becomes U+FFFD. Nothing secret is ever given to
** it.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_LOG_H
#define RESTHOOKD_LOG_H

#include <stdbool.h>
#include <stdio.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_open(enum log_level level, bool json);
/* Names for the options; false: unknown. */
bool log_level_named(const char *name, enum log_level *level);
bool log_enabled(enum log_level level);

/*
** A line: the message, then pairs of a key and a value, ended by NULL. A key ending in '#' is
** followed by a long long, any other by a const char * (NULL: the pair is left out).
**   log_line(LOG_INFO, "delivered", "delivery", id, "status#", 200LL, NULL);
*/
void log_line(enum log_level level, const char *message, ...) __attribute__((sentinel));

/*
** Writes a value for people as a line has it, whatever it holds: a control character, which could end
** the line or be obeyed by a terminal, as \xNN, a backslash as two. In quotes when it is empty or has
** a control character or one of `quoted`, which a part of a line needs and its end (NULL) does not.
*/
void log_show(FILE *out, const char *value, const char *quoted);
void log_complaint(const char *error); /* what it ends of, behind the program's name */

#endif
