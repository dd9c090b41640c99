/*
** stuck.c: a library for LD_PRELOAD: a disk that takes its time. While the file STUCK_WHILE exists no sync
** of a side file's WAL ends; that one has begun meanwhile says the file STUCK_SEEN.
** SPDX-License-Identifier: MIT
*/
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN __attribute__((visibility("default")))

static int is_a_side_files_wal(int fd) {
    static const char end[] = "-resthook-wal";
    char link[40], path[4096];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);

    return length >= (ssize_t)sizeof end - 1 &&
           memcmp(path + length - (sizeof end - 1), end, sizeof end - 1) == 0;
}

static int sync_by(const char *name, int fd) {
    int (*call)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *while_it_is = getenv("STUCK_WHILE"), *seen = getenv("STUCK_SEEN");

    if (call == NULL || while_it_is == NULL || seen == NULL) {
        abort();
    }
    if (is_a_side_files_wal(fd) && access(while_it_is, F_OK) == 0) {
        close(open(seen, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        while (access(while_it_is, F_OK) == 0) {
            usleep(1000);
        }
    }
    return call(fd);
}

OWN int fsync(int fd);
int fsync(int fd) {
    return sync_by("fsync", fd);
}

OWN int fdatasync(int fd);
int fdatasync(int fd) {
    return sync_by("fdatasync", fd);
}
