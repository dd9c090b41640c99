/*
** url.c: what the URL rule accepts libcurl, which will send to it, reads alike: the same scheme, host,
** port, path and query.
** SPDX-License-Identifier: MIT
*/
#include <arpa/inet.h>
#include <strings.h>

#include <curl/curl.h>

#include "fuzz.h"
#include "url.h"

/* libcurl writes an address that is written oddly (0x7f.1) as it is usual: the address counts. */
static bool same_host(const char *ours, const char *theirs) {
    struct in_addr v4[2];
    struct in6_addr v6[2];
    char text[2][64];

    if (strcasecmp(ours, theirs) == 0) {
        return true;
    }
    if (*ours != '[' || *theirs != '[') {
        return inet_aton(ours, &v4[0]) != 0 && inet_aton(theirs, &v4[1]) != 0 &&
               v4[0].s_addr == v4[1].s_addr;
    }
    snprintf(text[0], sizeof text[0], "%.*s", (int)strcspn(ours + 1, "]"), ours + 1);
    snprintf(text[1], sizeof text[1], "%.*s", (int)strcspn(theirs + 1, "]"), theirs + 1);
    return inet_pton(AF_INET6, text[0], &v6[0]) == 1 && inet_pton(AF_INET6, text[1], &v6[1]) == 1 &&
           memcmp(&v6[0], &v6[1], sizeof v6[0]) == 0;
}

static void compare(const char *url, const struct url_endpoint *endpoint) {
    char scheme[8] = "", host[300] = "", port[8] = "";
    char *theirs[5] = {NULL};
    const char *path = strstr(url, "://") + 3, *query = strchr(url, '?');
    size_t length;
    CURLU *read = curl_url();

    path += strcspn(path, "/?");
    length = strcspn(path, "?");
    MUST(sscanf(endpoint->text, "%7[^:]://%299[^\n]", scheme, host) == 2, "%s", endpoint->text);
    char *colon = strrchr(host, ':');
    MUST(colon != NULL, "%s", endpoint->text);
    snprintf(port, sizeof port, "%s", colon + 1);
    *colon = '\0';

    CURLUcode rc = curl_url_set(read, CURLUPART_URL, url, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS);
    MUST(rc == CURLUE_OK, "%s: %s", url, curl_url_strerror(rc));
    MUST(curl_url_get(read, CURLUPART_SCHEME, &theirs[0], 0) == CURLUE_OK, "%s", url);
    MUST(curl_url_get(read, CURLUPART_HOST, &theirs[1], 0) == CURLUE_OK, "%s", url);
    MUST(curl_url_get(read, CURLUPART_PORT, &theirs[2], CURLU_DEFAULT_PORT) == CURLUE_OK, "%s",
         url);
    MUST(curl_url_get(read, CURLUPART_PATH, &theirs[3], 0) == CURLUE_OK, "%s", url);
    MUST(strcmp(scheme, theirs[0]) == 0, "%s: %s, %s", url, scheme, theirs[0]);
    MUST(same_host(host, theirs[1]), "%s: %s, %s", url, host, theirs[1]);
    MUST(strtol(port, NULL, 10) == strtol(theirs[2], NULL, 10), "%s: %s, %s", url, port, theirs[2]);
    MUST(length == 0 ? strcmp(theirs[3], "/") == 0
                     : strlen(theirs[3]) == length && strncmp(path, theirs[3], length) == 0,
         "%s: %s", url, theirs[3]);
    if (query != NULL && query[1] != '\0') {
        MUST(curl_url_get(read, CURLUPART_QUERY, &theirs[4], 0) == CURLUE_OK, "%s", url);
        MUST(strcmp(query + 1, theirs[4]) == 0, "%s: %s", url, theirs[4]);
    }
    for (int i = 0; i < 5; i++) {
        curl_free(theirs[i]);
    }
    curl_url_cleanup(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct url_endpoint endpoint = {.text = "as it was"};
    size_t length;
    char *url = take_rest(&input, &length);

    if (url_check(url, length, &endpoint) == NULL) {
        MUST(strlen(url) == length, "a NUL was accepted");
        compare(url, &endpoint);
    } else {
        MUST(strcmp(endpoint.text, "as it was") == 0, "%s", url);
    }
    free(url);
    return 0;
}
