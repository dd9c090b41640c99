/*
** proxy.c: see proxy.h.
** SPDX-License-Identifier: MIT
*/
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"

#define FILE_MOST 4096

bool proxy_check(const char *url) {
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    const char *mark = strstr(url, "://");

    if (mark == NULL) {
        return *url != '\0';
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strlen(schemes[i]) == (size_t)(mark - url) &&
            strncasecmp(url, schemes[i], (size_t)(mark - url)) == 0) {
            return mark[3] != '\0';
        }
    }
    return false;
}

char *proxy_shown(const char *url) {
    const char *mark = strstr(url, "://");
    const char *host = strrchr(url, '@');
    int scheme = mark != NULL ? (int)(mark + 3 - url) : 0;

    return host != NULL && host >= url + scheme ? xprintf("%.*s…%s", scheme, url, host)
                                                : xstrdup(url);
}

static char *first_line(int file, const char *path, char **error) {
    char text[FILE_MOST + 1] = {0};
    ssize_t length = read(file, text, FILE_MOST);
    char *line = NULL;

    if (length < 0) {
        *error = xprintf("%s: %s", path, strerror(errno));
    } else {
        text[strcspn(text, "\r\n")] = '\0';
        line = xstrdup(text);
    }
    explicit_bzero(text, sizeof text);
    return line;
}

char *proxy_read(const char *path, char **error) {
    int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat info;
    char *line = NULL;

    *error = NULL;
    if (file < 0 || fstat(file, &info) != 0) {
        *error = xprintf("%s: %s", path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        *error = xprintf("%s: it is not a file", path);
    } else if ((info.st_mode & S_IRWXO) != 0) {
        *error = xprintf("%s: everybody may read or write it; chmod o= mends that", path);
    } else {
        line = first_line(file, path, error);
    }
    if (file >= 0) {
        close(file);
    }
    if (line != NULL && !proxy_check(line)) {
        *error = xprintf("%s: its first line is not a URL of http, https, socks4, socks4a, socks5 "
                         "or socks5h",
                         path);
        text_forget(line);
        line = NULL;
    }
    return line;
}
