/*
** handle.c: which options of libcurl are set, and why. A handle is made once and used for many
** requests to many targets: what is the same for all stays on it.
**
** Nothing comes from the environment or a file but by an option of the operator's: no proxy, no
** .netrc, no system-wide certificates beside the ones he named.
** SPDX-License-Identifier: MIT
*/
#include "handle.h"

#include <limits.h>

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

/*
** https offers HTTP/2 in its handshake. Plain http stays at 1.1: by prior knowledge HTTP/2 fails in
** libcurl 7.88.
*/
static bool set_protocol(CURL *easy, const struct http_options *options) {
    return SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_POST, 1L) &&
           SET(CURLOPT_USERAGENT, options->user_agent) &&
           SET(CURLOPT_FOLLOWLOCATION, 0L) &&           /* what is inside, a redirect can name */
           SET(CURLOPT_PATH_AS_IS, 1L) &&               /* a target is what its subscriber wrote */
           SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) && /* as url_check does */
           SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
}

/* An empty text: none, and nothing from http_proxy or no_proxy. */
static bool set_way(CURL *easy, const struct http_options *options) {
    return SET(CURLOPT_PROXY, options->proxy != NULL ? options->proxy : "") &&
           SET(CURLOPT_NOPROXY, "") && SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
           SET(CURLOPT_TCP_NODELAY, 1L) && SET(CURLOPT_NOSIGNAL, 1L) &&
           /* else a transfer that is given up waits for its name server, and everyone with it */
           SET(CURLOPT_QUICK_EXIT, 1L);
}

/* A --ca stands instead of the system's certificates: CAPATH would be searched beside CAINFO. */
static bool set_trust(CURL *easy, const struct http_options *options) {
    if (!SET(CURLOPT_SSL_VERIFYPEER, 1L) || !SET(CURLOPT_SSL_VERIFYHOST, 2L)) {
        return false;
    }
    if (options->ca_file == NULL) {
        return true;
    }
    return SET(CURLOPT_CAINFO, options->ca_file) && SET(CURLOPT_CAPATH, NULL) &&
           (options->proxy == NULL ||
            (SET(CURLOPT_PROXY_CAINFO, options->ca_file) && SET(CURLOPT_PROXY_CAPATH, NULL)));
}

CURL *handle_new(const struct http_options *options) {
    CURL *easy = curl_easy_init();

    if (easy != NULL && set_protocol(easy, options) && set_way(easy, options) &&
        set_trust(easy, options)) {
        return easy;
    }
    curl_easy_cleanup(easy);
    return NULL;
}

/* For libcurl, to which 0 is for ever. */
static long milliseconds(int64_t wanted) {
    int64_t bounded = wanted < LONG_MAX ? wanted : LONG_MAX;

    return bounded > 1 ? (long)bounded : 1;
}

bool handle_set_job(CURL *easy, const struct job *job, const struct curl_slist *headers) {
    const struct target *target = job->target;

    return SET(CURLOPT_URL, target->url) && SET(CURLOPT_HTTPHEADER, headers) &&
           SET(CURLOPT_TIMEOUT_MS, milliseconds(target->timeout)) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(target->connect_timeout)) &&
           SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)job->body_length) &&
           SET(CURLOPT_POSTFIELDS, job->body != NULL ? job->body : ""); /* not copied */
}
