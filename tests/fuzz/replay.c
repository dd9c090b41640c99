/*
** replay.c: the main of a target without libFuzzer: gives it every file of the directories that are
** named, and says how many in TAP. What fails is the file named last: the target ends the process.
** SPDX-License-Identifier: MIT
*/
#include <dirent.h>

#include "fuzz.h"

static void replay(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0;

    printf("# %s\n", path);
    fflush(stdout);
    MUST(file != NULL, "%s can't be read", path);
    for (size_t room = 4096, got = 1; got > 0; size += got, room *= 2) {
        uint8_t *grown = realloc(data, room);

        MUST(grown != NULL, "memory");
        data = grown;
        got = fread(data + size, 1, room - size, file);
    }
    MUST(ferror(file) == 0, "%s can't be read", path);
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int main(int argc, char **argv) {
    int files = 0;

    for (int i = 1; i < argc; i++) {
        struct dirent **names;
        int count = scandir(argv[i], &names, NULL, alphasort);

        for (int n = 0; n < count; n++) {
            char path[4096];

            if (names[n]->d_name[0] != '.') {
                snprintf(path, sizeof path, "%s/%s", argv[i], names[n]->d_name);
                replay(path);
                files++;
            }
            free(names[n]);
        }
        if (count >= 0) {
            free(names);
        }
    }
    printf("%sok 1 - %d files\n1..1\n", files > 0 ? "" : "not ", files);
    return files > 0 ? 0 : 1;
}
