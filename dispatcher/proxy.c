/*
** proxy.c: see proxy.h.
** SPDX-License-Identifier: MIT
*/
#include "proxy.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"

#define FILE_MOST 4096

/* As libcurl reads it when it connects: without a scheme it guesses one, ftp for "ftp.example.com". */
static bool parse(CURLU *parsed, const char *url) {
    return curl_url_set(parsed, CURLUPART_URL, url,
                        CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK;
}

/* A part of it, which may not be there; false: it can't be read. curl_free() it. */
static bool get(CURLU *parsed, CURLUPart part, CURLUcode none, char **text) {
    CURLUcode code = curl_url_get(parsed, part, text, CURLU_URLDECODE);

    return code == CURLUE_OK || code == none;
}

static void forget(char *text) {
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    curl_free(text);
}

static bool is_scheme(const char *scheme) {
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (curl_strequal(schemes[i], scheme)) {
            return true;
        }
    }
    return false;
}

/* libcurl takes port 0, to which nobody connects. */
static bool is_usable(CURLU *parsed) {
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *password = NULL;
    bool usable = get(parsed, CURLUPART_SCHEME, CURLUE_OK, &scheme) && is_scheme(scheme) &&
                  get(parsed, CURLUPART_HOST, CURLUE_OK, &host) && *host != '\0' &&
                  get(parsed, CURLUPART_PORT, CURLUE_NO_PORT, &port) &&
                  (port == NULL || strtol(port, NULL, 10) > 0) &&
                  get(parsed, CURLUPART_USER, CURLUE_NO_USER, &user) &&
                  get(parsed, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD, &password);

    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    forget(user);
    forget(password);
    return usable;
}

bool proxy_check(const char *url) {
    const char *mark = strstr(url, "://");
    CURLU *parsed = curl_url();
    /* Of three slashes libcurl takes what follows for the host, and whoever wrote them left it out. */
    bool good = parsed != NULL && (mark == NULL || mark[3] != '/') && parse(parsed, url) &&
                is_usable(parsed);

    curl_url_cleanup(parsed);
    return good;
}

/* The length of a text without what may be a password whose host was forgotten: all behind the colon,
** but for a port. */
static int shown_length(const char *text) {
    const char *colon = strrchr(text, ':');
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;

    if (colon == NULL ||
        (digits <= sizeof "65535" - 1 && strchr("/]", colon[1 + digits]) != NULL)) {
        return (int)strlen(text);
    }
    return (int)(colon + 1 - text);
}

char *proxy_shown(const char *url) {
    const char *mark = strstr(url, "://");
    const char *host = strrchr(url, '@');
    int scheme = mark != NULL ? (int)(mark + 3 - url) : 0;

    if (host != NULL && host >= url + scheme) {
        return xprintf("%.*s…%s", scheme, url, host);
    }
    int length = shown_length(url + scheme);

    return xprintf("%.*s%s", scheme + length, url, url[scheme + length] != '\0' ? "…" : "");
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
        *error = xprintf("%s: its first line is not " PROXY_WANTED, path);
        text_forget(line);
        line = NULL;
    }
    return line;
}
