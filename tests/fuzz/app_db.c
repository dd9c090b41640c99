/*
** app_db.c: whatever somebody did to app.db, the dispatcher refuses it with an error, or hands out jobs
** that can be sent as they are.
** SPDX-License-Identifier: MIT
*/
#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};

    if (app_image.bytes == NULL) {
        make_templates(false);
    }
    make_files(&app_image, &input);
    dispatch(file, &input);
    return 0;
}
