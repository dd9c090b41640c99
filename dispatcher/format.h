/*
** format.h: the shapes of a request's body. Pure.
**   bare         the payload itself (Strigo's and Zapier's way)
**   standard     {"type","timestamp","data"}   Standard Webhooks 1.0.0
**   cloudevents  the payload, with ce-* headers: binary mode of CloudEvents 1.0's HTTP binding
**   change       {"type","table","schema","record","old_record"}, of an update whose old row is kept also
**                "changed": what receivers of database webhooks (Supabase's) parse
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_FORMAT_H
#define RESTHOOKD_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "render.h"

enum format { FORMAT_BARE, FORMAT_STANDARD, FORMAT_CLOUDEVENTS, FORMAT_CHANGE, FORMATS };

bool format_named(const char *name, enum format *format);

/* A moment as "2026-01-02T03:04:05.678Z" (RFC 3339, years 1970 to 9999); out has 32 bytes. */
void format_time(int64_t ms, char *out);

/* The standard envelope around a payload. */
void format_standard(struct buffer *out, const char *event, int64_t created_at, const char *payload,
                     size_t length);
/* change for an event that no table caused:
** {"type":"EMIT","table":null,"schema":null,"record":payload,"old_record":null}. */
void format_emitted_change(struct buffer *out, const char *payload, size_t length);

#define FORMAT_HEADERS 6
/* The ce-* headers of an event as "name: value" texts and a NULL; they are the caller's (free
** each). The texts stand as they are: event names (event_check), tokens and ids have nothing that
** CloudEvents' HTTP binding (3.1.3.2) wants percent-encoded. */
void format_cloudevents_headers(const char *headers[FORMAT_HEADERS], const char *event,
                                const char *id, const char *source, int64_t created_at);

#endif
