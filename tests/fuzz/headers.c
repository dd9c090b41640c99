/*
** headers.c: a header that is accepted is one line, of a name that is a token and none of ours, and a
** request with any such still has each of ours once; a traceparent is what a regular expression says.
** SPDX-License-Identifier: MIT
*/
#include <regex.h>
#include <strings.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "fuzz.h"
#include "header.h"
#include "headers.h"
#include "request.h"
#include "sign.h"

static regex_t line_form, ours_form, trace_form;

static void compile_once(void) {
    static bool compiled;

    if (!compiled) {
        compiled = true;
        MUST(regcomp(&line_form,
                     "^[]!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}(;|: ([!-~]|[!-~][\t -~]*[!-~]))$",
                     REG_EXTENDED | REG_NOSUB) == 0,
             "regcomp");
        MUST(regcomp(&ours_form,
                     "^(host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|"
                     "http2-settings|expect|proxy-.*|content-length|content-type|content-encoding|"
                     "content-range|user-agent|x-event-type|webhook-.*|ce-.*)[:;]",
                     REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0,
             "regcomp");
        MUST(regcomp(&trace_form, "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[\t -~]*)?$",
                     REG_EXTENDED | REG_NOSUB) == 0,
             "regcomp");
    }
}

static int count_of(const struct curl_slist *list, const char *name) {
    int count = 0;

    for (; list != NULL; list = list->next) {
        count += strncasecmp(list->data, name, strlen(name)) == 0;
    }
    return count;
}

static void check_request(const char **headers) {
    struct request request = {0};
    struct target target = {.url = "https://example.com/", .ring = secret_ring_new()};
    struct job job = {.target = &target,
                      .event = "a.b",
                      .id = "id",
                      .content_type = "application/json",
                      .body = "{}",
                      .body_length = 2};
    static const char *const own[] = {
        "content-type:",      "x-event-type:",      "webhook-id:", "webhook-sequence:",
        "webhook-timestamp:", "webhook-signature:", "expect:"};

    target.headers = headers;
    for (int both = 0; both < 2; both++) {
        job.headers = both ? headers : NULL; /* an event's own stand instead */
        const struct curl_slist *list = request_headers(&request, &job, 1790000000000);

        for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
            MUST(count_of(list, own[i]) == 1, "%s", own[i]);
        }
    }
    request_free(&request);
    secret_ring_free((struct secret_ring *)target.ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    const char **headers = NULL;
    size_t trace_length, length;
    char *trace = take_line(&input, &trace_length), *json = take_rest(&input, &length);

    compile_once();
    if (headers_read(json, &headers) == NULL) {
        cJSON *object = cJSON_Parse(json);
        int count = 0;

        for (; headers[count] != NULL; count++) {
            MUST(regexec(&line_form, headers[count], 0, NULL, 0) == 0, "%s", headers[count]);
            MUST(regexec(&ours_form, headers[count], 0, NULL, 0) != 0, "%s", headers[count]);
        }
        MUST(count == cJSON_GetArraySize(object), "%d: %s", count, json);
        cJSON_Delete(object);
        check_request(headers);
    }
    headers_free(headers);
    /* What is wrong at an end can't be a trace's. */
    bool blank =
        trace_length > 55 && (trace[trace_length - 1] == ' ' || trace[trace_length - 1] == '\t');
    bool is = strlen(trace) == trace_length && trace_length <= 4096 && !blank &&
              regexec(&trace_form, trace, 0, NULL, 0) == 0 && strncmp(trace, "ff", 2) != 0 &&
              strncmp(trace + 3, "00000000000000000000000000000000", 32) != 0 &&
              strncmp(trace + 36, "0000000000000000", 16) != 0 &&
              (trace_length == 55 || strncmp(trace, "00", 2) != 0);
    MUST(header_is_traceparent(trace, trace_length) == is, "%s", trace);
    free(trace);
    free(json);
    return 0;
}
