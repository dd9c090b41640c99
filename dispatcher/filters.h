/*
** filters.h: the filters of a database's subscriptions, each made ready once for a version of a
** watch.
**
** What is equal is shared: it is the text and the version that count, not whose it is. They are kept
** as long as the schema stays as it is, up to so many bytes. What has no room is made ready each
** time, unless one that is kept was not asked for long: all are asked in the same order at each
** event, so what was used longest ago is what is needed next, and must not go for that.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_FILTERS_H
#define RESTHOOKD_FILTERS_H

#include "filter.h"
#include "render.h"

#define FILTERS_BYTES (64 * 1024 * 1024) /* of one database: some ten thousand, at 4 to 10 kB */

struct filters;

struct filters *filters_new(sqlite3 *db, size_t bytes);
void filters_free(struct filters *filters);
void filters_forget(struct filters *filters); /* the schema has changed */
void filters_rest(struct filters *filters);   /* gives back what is only needed to make one ready */
int filters_count(const struct filters *filters); /* kept ready */
int filters_made(const struct filters *filters);  /* how often one was made ready */

/* Another event is judged: see filters_judge. */
void filters_begin(struct filters *filters);
/*
** Judges the event that the expander of version `watch` has just made (emitted: 0 and NULL). On
** FILTER_FAILS *why is good until the next call. It is never FILTER_STALE.
*/
enum judgement filters_judge(struct filters *filters, const char *text, int64_t watch,
                             struct expander *expander, const char *event,
                             const struct buffer *payload, const char **why);

#endif
