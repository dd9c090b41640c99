/*
** bare_sender.c: the limit that deliveries are measured against: libcurl's multi interface and
** nothing else.
**
**   bare_sender REQUESTS IN_FLIGHT CA URL…    CA: a file of certificates, or "-"
**
** The same POST over and over, in bytes what resthookd sends for a row of tests/bench/run's table:
** the headers and the body are made once, so that nothing is read, rendered, signed or recorded.
** The URLs take turns. Ends when every request was answered by 2xx; anything else is a failure.
** SPDX-License-Identifier: MIT
*/
#include "bench.h"

#include <string.h>

#include <curl/curl.h>

static const char body[] =
    "{\"id\":123456,\"name\":\"Ada Lovelace\",\"email\":\"ada@example.com\",\"course\":"
    "\"NFdFJBSwwA8B\",\"status\":\"enrolled\",\"seats\":12,\"price\":49.5,\"created_at\":"
    "1790000000}";

static const char *const headers[] = {
    "Accept:",
    "Expect:",
    "content-type: application/json",
    "x-event-type: item.create",
    "webhook-id: 7c0e5b7c0e5b7c0e5b7c0e5b7c0e5b7c_123456_1790000000000",
    "webhook-sequence: 123456",
    "webhook-timestamp: 1790000000",
    "webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="};

static CURL *handle(const struct curl_slist *list, const char *ca) {
    CURL *easy = curl_easy_init();

    must(easy != NULL, "curl_easy_init");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "resthookd/0.1.0");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (strcmp(ca, "-") != 0) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
    }
    return easy;
}

static void check(const CURLMsg *message) {
    long status = 0;

    must(message->data.result == CURLE_OK, curl_easy_strerror(message->data.result));
    curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    must(status / 100 == 2, "an answer is not 2xx");
}

int main(int argc, char **argv) {
    must(argc > 4, "usage: bare_sender REQUESTS IN_FLIGHT CA URL...");
    long requests = number(argv[1]), in_flight = number(argv[2]), sent = 0, done = 0;
    int urls = argc - 4;
    struct curl_slist *list = NULL;
    CURLM *multi;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    must(multi != NULL, "curl_multi_init");
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, in_flight * 2);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        list = curl_slist_append(list, headers[i]);
    }
    for (; sent < in_flight && sent < requests; sent++) {
        CURL *easy = handle(list, argv[3]);

        curl_easy_setopt(easy, CURLOPT_URL, argv[4 + sent % urls]);
        curl_multi_add_handle(multi, easy);
    }
    while (done < requests) {
        const CURLMsg *message;
        int running, left;

        must(curl_multi_perform(multi, &running) == CURLM_OK, "curl_multi_perform");
        while ((message = curl_multi_info_read(multi, &left)) != NULL) {
            CURL *easy = message->easy_handle;

            check(message);
            done++;
            curl_multi_remove_handle(multi, easy);
            if (sent < requests) {
                curl_easy_setopt(easy, CURLOPT_URL, argv[4 + sent % urls]);
                curl_multi_add_handle(multi, easy);
                sent++;
            } else {
                curl_easy_cleanup(easy);
            }
        }
        must(done == requests || curl_multi_poll(multi, NULL, 0, 1000, NULL) == CURLM_OK,
             "curl_multi_poll");
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(list);
    return 0;
}
