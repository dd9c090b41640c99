/*
** net.c: a library for LD_PRELOAD: the N-th call of a kind that a process makes for its IPv4 sockets
** fails, once, with a chosen errno. NET_FAILS="connect 2 111", that is kind, N, errno; once that came
** to be the file NET_FAILED is made.
** SPDX-License-Identifier: MIT
*/
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#define OWN __attribute__((visibility("default")))

static void *next(const char *name) {
    void *call = dlsym(RTLD_NEXT, name);

    if (call == NULL) {
        abort();
    }
    return call;
}

static bool is_ours(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET;
}

static bool fails(const char *kind) {
    static long left = -1;
    static int error;
    static char failing[16];

    if (left < 0) {
        const char *what = getenv("NET_FAILS"), *space = what != NULL ? strchr(what, ' ') : NULL;
        char *end;

        left = 0;
        if (space != NULL) {
            snprintf(failing, sizeof failing, "%.*s", (int)(space - what), what);
            left = strtol(space, &end, 10);
            error = (int)strtol(end, NULL, 10);
        }
    }
    if (strcmp(kind, failing) != 0 || left == 0 || --left > 0) {
        return false;
    }
    const char *file = getenv("NET_FAILED");
    int fd = file != NULL ? open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return true;
}

OWN int socket(int domain, int type, int protocol);
OWN int connect(int fd, const struct sockaddr *address, socklen_t length);
OWN ssize_t send(int fd, const void *bytes, size_t size, int flags);
OWN ssize_t recv(int fd, void *bytes, size_t size, int flags);

int socket(int domain, int type, int protocol) {
    static int (*real)(int, int, int);

    real = real != NULL ? real : (int (*)(int, int, int))next("socket");
    return domain == AF_INET && fails("socket") ? -1 : real(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    static int (*real)(int, const struct sockaddr *, socklen_t);

    real = real != NULL ? real : (int (*)(int, const struct sockaddr *, socklen_t))next("connect");
    return is_ours(fd) && fails("connect") ? -1 : real(fd, address, length);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
    static ssize_t (*real)(int, const void *, size_t, int);

    real = real != NULL ? real : (ssize_t(*)(int, const void *, size_t, int))next("send");
    return is_ours(fd) && fails("send") ? -1 : real(fd, bytes, size, flags);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags) {
    static ssize_t (*real)(int, void *, size_t, int);

    real = real != NULL ? real : (ssize_t(*)(int, void *, size_t, int))next("recv");
    return is_ours(fd) && fails("recv") ? -1 : real(fd, bytes, size, flags);
}
