/*
** http_world.h: what the tests of the transport share: a server on 127.0.0.1 that answers as a
** script says, a thread a connection, and one attempt at a time by real libcurl.
** SPDX-License-Identifier: MIT
*/
#ifndef RESTHOOK_TESTS_HTTP_WORLD_H
#define RESTHOOK_TESTS_HTTP_WORLD_H

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "guard.h"
#include "http.h"
#include "sign.h"

/* The vector of Standard Webhooks' own libraries. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define NOW INT64_C(1614265330000) /* Thu, 25 Feb 2021 15:02:10 GMT */

#define CONNECTIONS_MOST 64
#define REQUESTS_MOST 256
#define GATHERED 8
#define REQUEST_MOST (2 * 1024 * 1024)

/* ---- The server ---- */

enum then {
    KEEP,    /* the connection */
    GATHER,  /* the same, but answers only when every GATHERED requests have come */
    CLOSE,   /* it */
    RESET,   /* it */
    HANG,    /* until the other side closes */
    DRIP,    /* the text again and again, a byte each 20 ms, until the other side closes */
    ENDLESS, /* the same without a pause */
};

struct answer {
    const char *head; /* NULL: the end of a script, whose last answer is repeated */
    enum then then;
    const char *text; /* for DRIP and ENDLESS */
};

#define SAYS(head)                                                                                 \
    { head, KEEP, NULL }
#define END                                                                                        \
    { NULL, KEEP, NULL }
#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define CHUNKED(status) "HTTP/1.1 " status " Status\r\ntransfer-encoding: chunked\r\n\r\n"
#define EMPTY(status) "HTTP/1.1 " status " Status\r\ncontent-length: 0\r\n\r\n"

struct server {
    int listener;
    int port;
    pthread_t thread;
    pthread_mutex_t lock; /* for all below */
    const struct answer *script;
    pthread_t threads[CONNECTIONS_MOST];
    int connections;
    char *requests[REQUESTS_MOST]; /* each as it came */
    int count;
};

struct connection {
    struct server *server;
    int fd;
};

static bool send_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* Reads one whole request into text. false: the other side is gone. */
static bool receive(int fd, char *text) {
    size_t length = 0;
    size_t whole = 0;

    while (whole == 0 || length < whole) {
        ssize_t came = recv(fd, text + length, REQUEST_MOST - 1 - length, 0);
        const char *end;

        if (came <= 0) {
            return false;
        }
        length += (size_t)came;
        text[length] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (whole == 0 && end != NULL) {
            const char *field = strcasestr(text, "\r\nContent-Length: ");

            whole = (size_t)(end + 4 - text);
            whole += field != NULL ? strtoul(field + 18, NULL, 10) : 0;
        }
    }
    return true;
}

/* Does as the answer says. Returns whether the connection lives on. */
static bool answer(int fd, const struct answer *answer) {
    static const struct linger at_once = {1, 0};
    struct pollfd closed = {.fd = fd, .events = POLLIN};
    bool alive = send_all(fd, answer->head, strlen(answer->head));

    switch (answer->then) {
    case KEEP:
    case GATHER:
        return alive;
    case RESET:
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return false;
    case HANG:
        poll(&closed, 1, -1);
        return false;
    case DRIP:
        for (size_t i = 0; poll(&closed, 1, 20) == 0; i++) {
            send_all(fd, answer->text + i % strlen(answer->text), 1);
        }
        return false;
    case ENDLESS:
        while (send_all(fd, answer->text, strlen(answer->text))) {
        }
        return false;
    default: /* CLOSE */
        return false;
    }
}

static int server_connections(struct server *server) {
    int count;

    pthread_mutex_lock(&server->lock);
    count = server->connections;
    pthread_mutex_unlock(&server->lock);
    return count;
}

static int server_requests(struct server *server) {
    int count;

    pthread_mutex_lock(&server->lock);
    count = server->count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

static void *serve_connection(void *data) {
    struct connection *connection = data;
    struct server *server = connection->server;
    char *text = malloc(REQUEST_MOST);
    bool alive = text != NULL;

    while (alive && receive(connection->fd, text)) {
        struct answer next;

        pthread_mutex_lock(&server->lock);
        server->requests[server->count++] = strdup(text);
        next = *server->script;
        server->script += server->script[1].head != NULL;
        pthread_mutex_unlock(&server->lock);
        while (next.then == GATHER && server_requests(server) % GATHERED != 0) {
            poll(NULL, 0, 1);
        }
        alive = answer(connection->fd, &next);
    }
    close(connection->fd);
    free(text);
    free(connection);
    return NULL;
}

static void *serve(void *data) {
    struct server *server = data;
    int fd;

    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        struct connection *connection = malloc(sizeof *connection);

        *connection = (struct connection){server, fd};
        pthread_mutex_lock(&server->lock);
        pthread_create(&server->threads[server->connections++], NULL, serve_connection, connection);
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

static void server_open(struct server *server, const struct answer *script) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    memset(server, 0, sizeof *server);
    pthread_mutex_init(&server->lock, NULL);
    server->script = script;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* The other side has closed its connections, or is about to. */
static void server_close(struct server *server) {
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    for (int i = 0; i < server->connections; i++) {
        pthread_join(server->threads[i], NULL);
    }
    for (int i = 0; i < server->count; i++) {
        free(server->requests[i]);
    }
    close(server->listener);
    pthread_mutex_destroy(&server->lock);
}

/* ---- One attempt at a time ---- */

struct world {
    struct server server;
    struct guard *guard;
    struct http_options options;
    struct http *http;
    struct secret_ring *ring;
    struct target target;
    struct job job;
    char url[256];
    struct reply reply;
};

static struct world world;

static bool may_hang; /* each attempt: it goes by the other lane then */

/* A world in which the server says OK; a test gives it another script before it sends anything. */
static int open_world(void **state) {
    static const struct answer script[] = {SAYS(OK), END};
    static const char body[] = "{\"test\": 2432232314}";

    (void)state;
    memset(&world, 0, sizeof world);
    server_open(&world.server, script);
    world.guard = guard_new();
    assert_true(guard_allow(world.guard, "127.0.0.0/8"));
    world.options = (struct http_options){
        .guard = world.guard, .user_agent = "resthookd/test", .connections = 16};
    world.ring = secret_ring_new();
    assert_null(secret_ring_add(world.ring, SECRET, strlen(SECRET), INT64_MAX));
    assert_non_null(world.ring);
    snprintf(world.url, sizeof world.url, "http://127.0.0.1:%d/", world.server.port);
    world.target = (struct target){.url = world.url,
                                   .ring = world.ring,
                                   .timeout = 10000,
                                   .connect_timeout = 5000,
                                   .response_most = 1024,
                                   .headers_most = 256};
    world.job = (struct job){.target = &world.target,
                             .event = "enrollment.create",
                             .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                             .content_type = "application/json",
                             .body = body,
                             .body_length = sizeof body - 1,
                             .attempt = 1,
                             .may_hang = may_hang};
    return 0;
}

static void set_url(const char *scheme, const char *host, int port) {
    snprintf(world.url, sizeof world.url, "%s://%s:%d/", scheme, host, port);
}

/* Anew, when the options have changed. */
static void connect_world(void) {
    http_free(world.http);
    world.http = http_new(&world.options);
    assert_non_null(world.http);
}

static int close_world(void **state) {
    (void)state;
    http_free(world.http);
    server_close(&world.server);
    secret_ring_free(world.ring);
    guard_free(world.guard);
    return 0;
}

/* The next attempt that ends; fails after 10 seconds. */
static struct job *wait_for(void) {
    struct job *job = NULL;
    time_t late = time(NULL) + 10;

    for (;;) {
        http_work(world.http);
        job = http_next(world.http, NOW, &world.reply);
        if (job != NULL) {
            return job;
        }
        assert_true(time(NULL) < late);
        http_wait(world.http, NULL, 0, 1000);
    }
}

/* One attempt, from the start to its end. */
static const struct reply *post(void) {
    if (world.http == NULL) {
        connect_world();
    }
    http_send(world.http, &world.job, NOW);
    assert_int_equal(http_in_flight(world.http), 1);
    assert_ptr_equal(wait_for(), &world.job);
    assert_int_equal(http_in_flight(world.http), 0);
    assert_int_equal(world.reply.started_at, NOW);
    assert_true(world.reply.duration >= 0 && world.reply.duration < 10000);
    return &world.reply;
}

static void expect_status(const struct reply *reply, int status) {
    if (reply->failure != FAILURE_NONE || reply->status != status) {
        fail_msg("%d %s (%d)", reply->status, reply->error, reply->failure);
    }
    assert_string_equal(reply->error, "");
}

static void expect_failure(const struct reply *reply, enum failure failure, const char *text) {
    if (reply->failure != failure) {
        fail_msg("%d %s (%d)", reply->status, reply->error, reply->failure);
    }
    assert_string_equal(reply->error, text);
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->retry_after, -1);
}

static void expect_response(const struct reply *reply, const char *text) {
    assert_int_equal(reply->response_length, strlen(text));
    assert_memory_equal(reply->response, text, strlen(text));
}

static void expect_start(const char *request, const char *start) {
    if (strncmp(request, start, strlen(start)) != 0) {
        fail_msg("'%s' before\n%s", start, request);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

#endif
