/*
** notify.c: see notify.h. One datagram an occasion, to a socket with a name in the file system or, with
** '@', in the abstract one; the protocol is stable and needs no library.
**
** How it fails: what can't be said isn't. A sign of life waits for nobody, and is given again soon if
** there was no room for it; ready and stopping wait as sd_notify does.
** SPDX-License-Identifier: MIT
*/
#include "notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "memory.h"
#include "stopwatch.h"

struct notify {
    int fd; /* -1: nobody asked */
    struct sockaddr_un address;
    socklen_t length;
    int64_t every, alive_at; /* µs by the stopwatch; every 0: no watchdog */
    char *status;            /* said last */
    bool stopping;           /* that was said */
};

/* A whole number above 0; 0: it is none. */
static int64_t number(const char *text) {
    char *end = NULL;
    long long value;

    errno = 0;
    value = text != NULL ? strtoll(text, &end, 10) : 0;
    return text != NULL && errno == 0 && end != text && *end == '\0' && value > 0 ? value : 0;
}

static void find_socket(struct notify *notify, const char *name) {
    size_t length = name != NULL ? strlen(name) : 0;

    if (length < 2 || length >= sizeof notify->address.sun_path ||
        (name[0] != '/' && name[0] != '@')) {
        return;
    }
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, name, length);
    if (name[0] == '@') {
        notify->address.sun_path[0] = '\0';
    }
    notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

struct notify *notify_new(void) {
    struct notify *notify = xcalloc(1, sizeof *notify);
    const char *pid = getenv("WATCHDOG_PID");

    notify->fd = -1;
    find_socket(notify, getenv("NOTIFY_SOCKET"));
    if (notify->fd >= 0 && (pid == NULL || number(pid) == getpid())) {
        notify->every = number(getenv("WATCHDOG_USEC")) / 2;
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return notify;
}

void notify_free(struct notify *notify) {
    if (notify->fd >= 0) {
        close(notify->fd);
    }
    free(notify->status);
    free(notify);
}

static bool say(const struct notify *notify, const char *text, int flags) {
    return notify->fd < 0 ||
           sendto(notify->fd, text, strlen(text), flags | MSG_NOSIGNAL,
                  (const struct sockaddr *)(const void *)&notify->address, notify->length) >= 0;
}

void notify_ready(struct notify *notify) {
    (void)say(notify, "READY=1", 0);
}

void notify_stopping(struct notify *notify) {
    if (!notify->stopping) {
        notify->stopping = true;
        (void)say(notify, "STOPPING=1", 0);
    }
}

void notify_status(struct notify *notify, const char *status) {
    if (notify->fd < 0 || (notify->status != NULL && strcmp(notify->status, status) == 0)) {
        return;
    }
    char *text = xprintf("STATUS=%s", status);

    if (say(notify, text, MSG_DONTWAIT)) {
        free(notify->status);
        notify->status = xstrdup(status);
    }
    free(text);
}

int64_t notify_turn(struct notify *notify) {
    int64_t now = stopwatch_us();

    if (notify->every == 0) {
        return INT64_MAX;
    }
    if (now >= notify->alive_at) {
        bool said = say(notify, "WATCHDOG=1", MSG_DONTWAIT);

        notify->alive_at = now + (said ? notify->every : notify->every / 8);
    }
    return (notify->alive_at - now) / 1000 + 1;
}
