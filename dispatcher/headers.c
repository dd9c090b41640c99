/*
** headers.c: see headers.h.
** SPDX-License-Identifier: MIT
*/
#include "headers.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "memory.h"

const char *headers_read(const char *json, const char ***headers) {
    cJSON *object = cJSON_ParseWithOpts(json, NULL, 1);
    const char *wrong = cJSON_IsObject(object) ? NULL : "headers are not a JSON object";
    const char **list = xcalloc((size_t)cJSON_GetArraySize(object) + 1, sizeof *list);
    const cJSON *header;
    int count = 0;

    *headers = list;
    cJSON_ArrayForEach(header, object) {
        const char *value = cJSON_GetStringValue(header);

        if (wrong == NULL && value == NULL) {
            wrong = "a header's value is not a text";
        }
        if (wrong == NULL) {
            wrong = header_check(header->string, strlen(header->string), value, strlen(value));
        }
        if (wrong == NULL) {
            /* libcurl drops "name: "; an empty value is said with a semicolon. */
            list[count++] = *value != '\0' ? xprintf("%s: %s", header->string, value)
                                           : xprintf("%s;", header->string);
        }
    }
    cJSON_Delete(object);
    return wrong;
}

void headers_free(const char **headers) {
    for (const char **header = headers; header != NULL && *header != NULL; header++) {
        text_forget((char *)*header); /* Authorization, say */
    }
    free(headers);
}
