/*
** receiver.c: the one receiver that everything is measured against: one thread, epoll, HTTP/1.1
** with keep-alive, by HTTP and by HTTPS.
**
**   receiver CERTIFICATE KEY    listens on every address; prints both ports
**
** POST /hang… is never answered; any other POST is answered by 204 as soon as it is there, and
** counted. Of POST /timed… the body's "id" and the time of its arrival are kept. GET is for the
** one who measures: /count says how many came, /take all that is known (count, the first, the last
** and every 1,000th arrival; id and arrival of the timed ones; times by CLOCK_MONOTONIC in ns),
** and begins anew.
** SPDX-License-Identifier: MIT
*/
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/tcp.h>
#include <openssl/ssl.h>

#define EVENTS 256
#define CONNECTIONS 65536
#define MARK_EVERY 1000
#define TIMES 1000000 /* arrivals that are kept at most, of either kind */

struct connection {
    int fd;
    bool listens;
    SSL *ssl;     /* NULL: plain */
    SSL_CTX *tls; /* of one that listens for HTTPS */
    size_t length;
    char buffer[16384];
};

static int epoll;
static struct connection *connections[CONNECTIONS]; /* by descriptor */
static int64_t count, first, last;
static int64_t marks[TIMES], marks_count;
static struct { int64_t id, at; } timed[TIMES];
static int64_t timed_count;

static const char answer_204[] = "HTTP/1.1 204 No Content\r\n\r\n";

static struct connection *connection_new(int fd) {
    struct connection *connection = calloc(1, sizeof *connection);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    must(connection != NULL && fd < CONNECTIONS, "too many connections");
    connection->fd = fd;
    connections[fd] = connection;
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    return connection;
}

static void drop(struct connection *connection) {
    connections[connection->fd] = NULL;
    SSL_free(connection->ssl);
    close(connection->fd);
    free(connection);
}

/* Returns the port, any that is free. */
static int listen_on(SSL_CTX *tls) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
             listen(fd, 4096) == 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0,
         "no port to listen on");
    connection_new(fd)->listens = true;
    connections[fd]->tls = tls;
    return ntohs(address.sin_port);
}

static void take_connections(const struct connection *listening) {
    int fd, on = 1;

    while ((fd = accept4(listening->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = connection_new(fd);

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (listening->tls != NULL) {
            connection->ssl = SSL_new(listening->tls);
            must(connection->ssl != NULL && SSL_set_fd(connection->ssl, fd) == 1, "SSL_new");
            SSL_set_accept_state(connection->ssl);
        }
    }
}

/* Bytes read, 0 at the end, -1 when there are none now. */
static ssize_t receive(struct connection *connection, char *to, size_t room) {
    if (connection->ssl == NULL) {
        ssize_t n = recv(connection->fd, to, room, 0);

        return n < 0 && errno != EAGAIN ? 0 : n;
    }
    int n = SSL_read(connection->ssl, to, (int)room);

    if (n > 0) {
        return n;
    }
    return SSL_get_error(connection->ssl, n) == SSL_ERROR_WANT_READ ? -1 : 0;
}

/* Answers are small, but for those of GET: whoever asks that waits for it. */
static void answer(struct connection *connection, const char *text, size_t length) {
    while (length > 0) {
        ssize_t n = connection->ssl != NULL ? SSL_write(connection->ssl, text, (int)length)
                                            : send(connection->fd, text, length, MSG_NOSIGNAL);

        if (n > 0) {
            text += n;
            length -= (size_t)n;
        } else if (connection->ssl != NULL || errno != EAGAIN) {
            return; /* it has gone; the next read says so */
        }
    }
}

static void report(struct connection *connection, bool whole) {
    char *text = NULL, *head = NULL;
    size_t length = 0, head_length = 0;
    FILE *out = open_memstream(&text, &length);
    FILE *before = open_memstream(&head, &head_length);

    must(out != NULL && before != NULL, "out of memory");
    fprintf(out, "count %lld\n", (long long)count);
    if (whole) {
        fprintf(out, "first %lld\nlast %lld\n", (long long)first, (long long)last);
        for (int64_t i = 0; i < marks_count; i++) {
            fprintf(out, "mark %lld\n", (long long)marks[i]);
        }
        for (int64_t i = 0; i < timed_count; i++) {
            fprintf(out, "%lld %lld\n", (long long)timed[i].id, (long long)timed[i].at);
        }
        count = first = last = marks_count = timed_count = 0;
    }
    fclose(out);
    fprintf(before, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n", length);
    fclose(before);
    answer(connection, head, head_length);
    answer(connection, text, length);
    free(head);
    free(text);
}

static void note_timed(const char *body, int64_t now) {
    const char *id = strstr(body, "\"id\":");

    if (id != NULL && timed_count < TIMES) {
        timed[timed_count].id = strtoll(id + 5, NULL, 10);
        timed[timed_count++].at = now;
    }
}

static void note(int64_t now) {
    if (count++ == 0) {
        first = now;
    }
    last = now;
    if (count % MARK_EVERY == 0 && marks_count < TIMES) {
        marks[marks_count++] = now;
    }
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* One request, if it is there whole. Returns its length, or 0. The buffer ends with a NUL. */
static size_t take_request(struct connection *connection, int64_t now) {
    char *head_end = strstr(connection->buffer, "\r\n\r\n");

    if (head_end == NULL) {
        return 0;
    }
    *head_end = '\0';
    const char *field = strcasestr(connection->buffer, "\r\ncontent-length:");
    size_t body = field != NULL ? (size_t)strtol(field + 17, NULL, 10) : 0;
    size_t length = (size_t)(head_end + 4 - connection->buffer) + body;

    *head_end = '\r';
    must(length < sizeof connection->buffer, "a request is too large");
    if (length > connection->length) {
        return 0;
    }
    if (begins(connection->buffer, "GET ")) {
        report(connection, begins(connection->buffer, "GET /take"));
    } else if (!begins(connection->buffer, "POST /hang")) {
        if (begins(connection->buffer, "POST /timed")) {
            note_timed(head_end + 4, now);
        } else {
            note(now);
        }
        answer(connection, answer_204, sizeof answer_204 - 1);
    }
    return length;
}

static void take_bytes(struct connection *connection) {
    ssize_t n;

    do {
        n = receive(connection, connection->buffer + connection->length,
                    sizeof connection->buffer - 1 - connection->length);
        if (n > 0) {
            int64_t now = monotonic_ns();
            size_t taken;

            connection->length += (size_t)n;
            connection->buffer[connection->length] = '\0';
            while ((taken = take_request(connection, now)) > 0) {
                connection->length -= taken;
                memmove(connection->buffer, connection->buffer + taken, connection->length + 1);
            }
        }
    } while (n > 0 && connection->ssl != NULL); /* what OpenSSL has read ahead, epoll can't see */
    if (n == 0) {
        drop(connection);
    }
}

static SSL_CTX *tls_new(const char *certificate, const char *key) {
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    must(tls != NULL && SSL_CTX_use_certificate_chain_file(tls, certificate) == 1 &&
             SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1,
         "the certificate can't be used");
    SSL_CTX_set_read_ahead(tls, 1);
    return tls;
}

int main(int argc, char **argv) {
    struct epoll_event events[EVENTS];
    struct rlimit limit;

    must(argc == 3, "usage: receiver CERTIFICATE KEY");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    must(epoll >= 0, "epoll_create1");
    printf("%d\n", listen_on(NULL));
    printf("%d\n", listen_on(tls_new(argv[1], argv[2])));
    must(fflush(stdout) == 0, "standard output");
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct connection *connection = connections[events[i].data.fd];

            if (connection->listens) {
                take_connections(connection);
            } else {
                take_bytes(connection);
            }
        }
    }
}
