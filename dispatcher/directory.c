/*
** directory.c: see directory.h.
** SPDX-License-Identifier: MIT
*/
#include "directory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"

static bool is_beside(const char *name) {
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", "-resthook"};
    size_t length = strlen(name);

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t size = strlen(suffixes[i]);

        if (length > size && strcmp(name + length - size, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

char *directory_next(DIR *directory, const char *name) {
    const struct dirent *entry;

    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.' && !is_beside(entry->d_name)) {
            return xprintf("%s/%s", name, entry->d_name);
        }
    }
    return NULL;
}

/* A link leads to a file that is in nobody's directory but its own: whose it is, says whether the
** operator wants it. */
static bool is_strangers_link(const char *path) {
    struct stat info;

    return lstat(path, &info) != 0 ||
           (S_ISLNK(info.st_mode) && info.st_uid != 0 && info.st_uid != geteuid());
}

bool directory_offers(const char *path, struct stat *info) {
    return !is_strangers_link(path) && stat(path, info) == 0 && S_ISREG(info->st_mode);
}

bool directory_has_database(const char *path) {
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic];
    FILE *file = fopen(path, "rbe");
    bool same = file != NULL && fread(head, 1, sizeof head, file) == sizeof head &&
                memcmp(head, magic, sizeof magic) == 0;

    if (file != NULL) {
        fclose(file);
    }
    return same;
}
