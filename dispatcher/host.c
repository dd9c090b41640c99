/*
** host.c: see host.h. Without memory a host is no host, and refused.
** SPDX-License-Identifier: MIT
*/
#include "host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

/* Without the brackets of IPv6, and without the dot of the root. curl_free() it; NULL: none. */
static char *host_of(const char *url) {
    CURLU *parsed = curl_url();
    char *host = NULL;

    if (parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        size_t length = strlen(host);

        if (host[0] == '[') {
            length = strcspn(host, "]");
            memmove(host, host + 1, length - 1);
            length--;
        } else if (length > 1 && host[length - 1] == '.') {
            length--;
        }
        host[length] = '\0';
    }
    curl_url_cleanup(parsed);
    return host;
}

static bool is_address(const char *host) {
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* The last of the parts between dots: an address to those who read one, as WHATWG's URLs say. */
static bool ends_in_number(const char *host) {
    const char *dot = strrchr(host, '.');
    const char *last = dot != NULL ? dot + 1 : host;

    if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X')) {
        return last[2 + strspn(last + 2, "0123456789abcdefABCDEF")] == '\0';
    }
    return last[strspn(last, "0123456789")] == '\0';
}

/* RFC 6761 6.3; libcurl does not ask for it either. */
static bool is_localhost(const char *host) {
    static const char localhost[] = "localhost";
    size_t length = strlen(host);
    size_t end = sizeof localhost - 1;

    return length >= end && curl_strequal(host + length - end, localhost) &&
           (length == end || host[length - end - 1] == '.');
}

enum guard_answer host_judge(const struct guard *guard, const char *url) {
    enum guard_answer answer = GUARD_PUBLIC;
    char *host = host_of(url);

    if (host == NULL || is_address(host)) {
        answer = guard_judge_text(guard, host != NULL ? host : "");
    } else if (is_localhost(host)) {
        answer = guard_judge_text(guard, "127.0.0.1");
    } else if (ends_in_number(host)) {
        answer = GUARD_REFUSED;
    }
    curl_free(host);
    return answer;
}

bool host_is_name(const char *url) {
    char *host = host_of(url);
    bool is_name = host != NULL && !is_address(host);

    curl_free(host);
    return is_name;
}
