/*
** memory.h: allocation in the dispatcher: it succeeds or ends the process. The outbox makes that
** safe: what was not recorded is sent again, with the same webhook-id.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_MEMORY_H
#define RESTHOOKD_MEMORY_H

#include <stddef.h>

_Noreturn void memory_exhausted(void); /* says so and ends the process */
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
char *xprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void text_forget(char *text); /* wipes what nobody else is to see, and frees it; NULL is fine */

#endif
