/*
** event.h: the rules for event names and for the patterns that subscriptions name them by. Pure.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_EVENT_H
#define RESTHOOK_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#define EVENT_MAX 200 /* bytes of a name or a pattern */

#define EVENT_VERIFY "resthook.verify" /* asks a target whether it wants what follows */

/*
** A name is words of ASCII letters, digits, '_' and '-' joined by '.', at most EVENT_MAX bytes:
** it becomes the value of the header x-event-type as it is. Returns NULL, or what is wrong, a
** constant text ("is empty").
*/
const char *event_check(const char *name, size_t length);

/* A pattern is a name, a name followed by ".*", or "*". Returns NULL, or what is wrong. */
const char *event_check_pattern(const char *pattern, size_t length);

/* Does the pattern name the event? "a.*" names "a.b" and "a.b.c", not "a"; "*" all but resthook's
** own. Both are valid. */
bool event_matches(const char *pattern, const char *name);

/* Is there an event of resthook's own that the pattern names? */
bool event_pattern_is_known(const char *pattern);

extern const char event_own[]; /* all of them, for people */

/* Names that only resthook itself may emit: "resthook" and all below it. */
bool event_is_reserved(const char *name);

#endif
