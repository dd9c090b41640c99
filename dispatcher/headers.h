/*
** headers.h: request headers that a subscription or an event gives, as they stand in app.db.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_HEADERS_H
#define RESTHOOKD_HEADERS_H

/*
** Reads a JSON object into "name: value" texts, with NULL at the end. Returns NULL, or what is wrong,
** a constant text; *headers is to be freed in any case. Each is checked again: the row may have been
** written by other means than our functions.
*/
const char *headers_read(const char *json, const char ***headers);
void headers_free(const char **headers); /* NULL too */

#endif
