/*
** url.c: which URLs a subscription may name: a subset of RFC 3986 narrow enough that everyone
** who reads one reads the same host in it. Every disagreement between two parsers is a way
** around a guard; so what parsers are known to disagree about (user names, backslashes, missing
** slashes, blanks, other alphabets, empty ports) is refused rather than understood, and what is
** accepted goes to libcurl as it was written.
**
** Hosts are names of letters, digits and hyphens (RFC 1123 2.1), and underscores, which names on
** private networks have (those of containers, for one); IPv4 addresses and IPv6
** addresses in brackets. A host such as 2130706433, 0x7f.1 or 127.1 is a name by this grammar,
** though resolvers read an IPv4 address in it: it passes here, since the guard judges the
** address itself when it is connected to.
**
** Nothing is allocated. *endpoint is written on success alone. The texts never repeat the URL,
** which may hold a token.
** SPDX-License-Identifier: MIT
*/
#include "url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 253 /* RFC 1035 2.3.4, without the dot of the root */
#define LABEL_MAX 63

_Static_assert(URL_MAX == 2048, "the text below says 2048");

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter_or_digit(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

static bool is_hex(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

/* What has no place anywhere in a URL, or none in ours: the commonest mistakes, by name. */
static const char *check_bytes(const char *url, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)url[i];

        if (c >= 0x80) {
            return "has a character outside ASCII: percent-encode it, and write a host in Punycode "
                   "(xn--...)";
        }
        if (c < ' ' || c == 0x7f) {
            return "has a control character";
        }
        if (c == ' ') {
            return "has a space";
        }
        if (c == '\\') {
            return "has a backslash";
        }
        if (c == '#') {
            return "has a fragment (#...), which is never sent";
        }
    }
    return NULL;
}

/* Path and query: pchar, "/" and "?" (RFC 3986 3.3, 3.4). */
static const char *check_path(const char *path, size_t length) {
    static const char marks[] = "-._~!$&'()*+,;=:@/?";

    for (size_t i = 0; i < length; i++) {
        if (path[i] == '%') {
            if (length - i < 3 || !is_hex(path[i + 1]) || !is_hex(path[i + 2])) {
                return "has a '%' that two hexadecimal digits do not follow";
            }
            i += 2;
        } else if (!is_letter_or_digit(path[i]) &&
                   memchr(marks, path[i], sizeof marks - 1) == NULL) {
            return "has a character that must be percent-encoded (one of \"<>[]^`{|})";
        }
    }
    return NULL;
}

static const char *check_ipv6(const char *text, size_t length) {
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (length < sizeof address) {
        memcpy(address, text, length);
        address[length] = '\0';
        if (inet_pton(AF_INET6, address, &parsed) == 1) {
            return NULL;
        }
    }
    return "has something in brackets that is not an IPv6 address (a zone such as %eth0 is not "
           "taken)";
}

static const char *check_name(const char *host, size_t length) {
    size_t start = 0;

    if (length > 1 && host[length - 1] == '.') {
        length--; /* the root: "example.com." */
    }
    if (length > HOST_MAX) {
        return "has a host of more than 253 bytes";
    }
    for (size_t i = 0; i <= length; i++) {
        if (i < length && host[i] != '.') {
            if (!is_letter_or_digit(host[i]) && host[i] != '-' && host[i] != '_') {
                return "has a host with a character other than letters, digits, '-', '_' and '.'";
            }
            continue;
        }
        if (i == start || i - start > LABEL_MAX) {
            return "has a host with a part between dots that is empty or longer than 63 bytes";
        }
        if (host[start] == '-' || host[i - 1] == '-') {
            return "has a host with a '-' at the beginning or end of a part";
        }
        start = i + 1;
    }
    return NULL;
}

/* Digits of a port, 1 to 65535, or 0. */
static int read_port(const char *text, size_t length) {
    int port = 0;

    if (length == 0 || length > 5) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i])) {
            return 0;
        }
        port = port * 10 + (text[i] - '0');
    }
    return port <= 65535 ? port : 0;
}

/*
** Reads "host" or "host:port". *host_length counts the brackets of an IPv6 address; *port is
** left as it is where there is none.
*/
static const char *check_authority(const char *text, size_t length, size_t *host_length,
                                   int *port) {
    const char *colon;
    const char *wrong;

    if (memchr(text, '@', length) != NULL) {
        return "has a user name or password before its host: use the option headers";
    }
    if (length > 0 && text[0] == '[') {
        const char *bracket = memchr(text, ']', length);

        if (bracket == NULL) {
            return "has a '[' without ']'";
        }
        *host_length = (size_t)(bracket - text) + 1;
        wrong = check_ipv6(text + 1, *host_length - 2);
        if (wrong == NULL && *host_length < length && text[*host_length] != ':') {
            wrong = "has something between ']' and the port";
        }
    } else {
        colon = memchr(text, ':', length);
        *host_length = colon != NULL ? (size_t)(colon - text) : length;
        wrong = *host_length == 0 ? "has no host" : check_name(text, *host_length);
    }
    if (wrong == NULL && *host_length < length) {
        *port = read_port(text + *host_length + 1, length - *host_length - 1);
        if (*port == 0) {
            wrong = "has a port that is not a number from 1 to 65535";
        }
    }
    return wrong;
}

/* The length of "scheme://" at the beginning, in any case, or 0. */
static size_t begins(const char *url, size_t length, const char *prefix) {
    size_t n = strlen(prefix);

    for (size_t i = 0; i < n; i++) {
        if (i >= length || lower(url[i]) != prefix[i]) {
            return 0;
        }
    }
    return n;
}

const char *url_check(const char *url, size_t length, struct url_endpoint *endpoint) {
    size_t start;
    size_t end;
    size_t host_length;
    int port = 443;
    const char *wrong;

    if (length == 0) {
        return "is empty";
    }
    if (length > URL_MAX) {
        return "is longer than 2048 bytes";
    }
    wrong = check_bytes(url, length);
    if (wrong != NULL) {
        return wrong;
    }
    start = begins(url, length, "https://");
    if (start == 0) {
        start = begins(url, length, "http://");
        port = 80;
    }
    if (start == 0) {
        return "does not begin with https:// or http://";
    }
    for (end = start; end < length && url[end] != '/' && url[end] != '?'; end++) {
    }
    wrong = check_authority(url + start, end - start, &host_length, &port);
    if (wrong == NULL) {
        wrong = check_path(url + end, length - end);
    }
    if (wrong == NULL && endpoint != NULL) {
        snprintf(endpoint->text, sizeof endpoint->text, "%.*s:%d", (int)(start + host_length), url,
                 port);
        for (char *c = endpoint->text; *c != '\0'; c++) {
            *c = lower(*c);
        }
    }
    return wrong;
}
