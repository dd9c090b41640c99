/*
** handle.h: libcurl's easy handles as this program uses them: which options are set, and why.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOKD_HANDLE_H
#define RESTHOOKD_HANDLE_H

#include <curl/curl.h>

#include "http.h"

/*
** A handle with all that every request has in common; the caller adds its callbacks. NULL: not with
** these options, or no memory. curl_easy_cleanup frees it.
*/
CURL *handle_new(const struct http_options *options);
/*
** What this job's request says. The body, the headers and the texts they point to must stay until
** the transfer has ended. false: libcurl refuses something, a URL that is none for example.
*/
bool handle_set_job(CURL *easy, const struct job *job, const struct curl_slist *headers);

#endif
