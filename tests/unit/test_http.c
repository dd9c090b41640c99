/*
** test_http.c: the transport, by real libcurl against servers on 127.0.0.1.
**
** The server of this file answers as a script says, a thread a connection. Names are resolved by
** the getaddrinfo of this file, so that a name server can lie, or hang.
** SPDX-License-Identifier: MIT
*/
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "guard.c" /* to take back what was allowed, between two requests on one connection */
#include "http.h"
#include "response.h"
#include "sign.h"

/* The vector of Standard Webhooks' own libraries. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define NOW INT64_C(1614265330000) /* Thu, 25 Feb 2021 15:02:10 GMT */

#define CONNECTIONS_MOST 64
#define REQUESTS_MOST 256
#define REQUEST_MOST (2 * 1024 * 1024)

/* ---- The resolver ---- */

static sem_t name_server; /* "slow.test" waits for it */

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **result);
__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *list);

static const struct {
    const char *name;
    const char *addresses[3];
} known[] = {
    {"inside.test", {"127.0.0.1"}},
    {"private.test", {"10.255.255.1", "192.168.255.1"}},
    {"mixed.test", {"192.0.2.1", "127.0.0.1"}}, /* one that is never allowed, and one that is */
    {"slow.test", {"127.0.0.1"}},
};

static struct addrinfo *info_of(const char *address, long port, struct addrinfo *next) {
    struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in));
    struct sockaddr_in *in = (void *)(info + 1);

    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, address, &in->sin_addr);
    info->ai_family = AF_INET;
    info->ai_socktype = SOCK_STREAM;
    info->ai_protocol = IPPROTO_TCP;
    info->ai_addr = (struct sockaddr *)in;
    info->ai_addrlen = sizeof *in;
    info->ai_next = next;
    return info;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    long port = service != NULL ? strtol(service, NULL, 10) : 0;

    (void)hints;
    *result = NULL;
    if (strcmp(node, "slow.test") == 0) {
        struct timespec late;

        clock_gettime(CLOCK_REALTIME, &late);
        late.tv_sec += 5;
        sem_timedwait(&name_server, &late);
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        for (int a = 2; a >= 0 && strcmp(node, known[i].name) == 0; a--) {
            if (known[i].addresses[a] != NULL) {
                *result = info_of(known[i].addresses[a], port, *result);
            }
        }
    }
    return *result != NULL ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list) {
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;

        free(list);
        list = next;
    }
}

/* ---- The server ---- */

enum then {
    KEEP,    /* the connection */
    CLOSE,   /* it */
    RESET,   /* it */
    HANG,    /* until the other side closes */
    DRIP,    /* the body's text, a byte each 20 ms, then close */
    ENDLESS, /* the text again and again, until the other side closes */
};

struct answer {
    const char *head; /* NULL: the end of a script, whose last answer is repeated */
    enum then then;
    const char *text; /* for DRIP and ENDLESS */
};

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
        return alive;
    case RESET:
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return false;
    case HANG:
        poll(&closed, 1, -1);
        return false;
    case DRIP:
        for (const char *at = answer->text; *at != '\0' && poll(&closed, 1, 20) == 0; at++) {
            send_all(fd, at, 1);
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

static void open_world(struct world *world, const struct answer *script) {
    static const char body[] = "{\"test\": 2432232314}";
    const char *wrong;

    memset(world, 0, sizeof *world);
    server_open(&world->server, script);
    world->guard = guard_new();
    assert_true(guard_allow(world->guard, "127.0.0.0/8"));
    world->options = (struct http_options){
        .guard = world->guard, .user_agent = "resthookd/test", .connections = 16};
    world->ring = secret_ring_new(SECRET, NULL, 0, &wrong);
    assert_non_null(world->ring);
    snprintf(world->url, sizeof world->url, "http://127.0.0.1:%d/", world->server.port);
    world->target = (struct target){.url = world->url,
                                    .ring = world->ring,
                                    .timeout = 10000,
                                    .connect_timeout = 5000,
                                    .response_most = 1024};
    world->job = (struct job){.target = &world->target,
                              .event = "enrollment.create",
                              .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                              .content_type = "application/json",
                              .body = body,
                              .body_length = sizeof body - 1,
                              .attempt = 1};
}

static void set_url(struct world *world, const char *scheme, const char *host, int port) {
    snprintf(world->url, sizeof world->url, "%s://%s:%d/", scheme, host, port);
}

static void connect_world(struct world *world) {
    world->http = http_new(&world->options);
    assert_non_null(world->http);
}

static void close_world(struct world *world) {
    http_free(world->http);
    server_close(&world->server);
    secret_ring_free(world->ring);
    guard_free(world->guard);
}

/* The next attempt that ends; fails after 10 seconds. */
static struct job *wait_for(struct world *world) {
    struct job *job = NULL;
    time_t late = time(NULL) + 10;

    for (;;) {
        http_work(world->http);
        job = http_next(world->http, NOW, &world->reply);
        if (job != NULL) {
            return job;
        }
        assert_true(time(NULL) < late);
        http_wait(world->http, NULL, 0, 1000);
    }
}

/* One attempt, from the start to its end. */
static const struct reply *post(struct world *world) {
    if (world->http == NULL) {
        connect_world(world);
    }
    http_send(world->http, &world->job, NOW);
    assert_int_equal(http_in_flight(world->http), 1);
    assert_ptr_equal(wait_for(world), &world->job);
    assert_int_equal(http_in_flight(world->http), 0);
    assert_int_equal(world->reply.started_at, NOW);
    assert_true(world->reply.duration >= 0 && world->reply.duration < 10000);
    return &world->reply;
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

/* ---- The request ---- */

static void expect_start(const char *request, const char *start) {
    if (strncmp(request, start, strlen(start)) != 0) {
        fail_msg("'%s' before\n%s", start, request);
    }
}

/* Is the line in the head of the request, once? */
static void expect_line(const char *request, const char *line) {
    char *wanted = NULL;
    const char *at;

    assert_true(asprintf(&wanted, "\r\n%s\r\n", line) > 0);
    at = strstr(request, wanted);
    if (at == NULL || strstr(at + 1, wanted) != NULL) {
        fail_msg("'%s' in\n%s", line, request);
    }
    free(wanted);
}

static int lines_of(const char *request) {
    int lines = 0;

    for (const char *at = request; strncmp(at, "\r\n", 2) != 0; at = strstr(at, "\r\n") + 2) {
        lines++;
    }
    return lines;
}

static void sends_what_is_specified(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    static const char *const headers[] = {
        "Authorization: Bearer abc", "x-empty:",       "X-Empty-Too:  ",
        "accept: text/plain",        "x-colon: a:b;c", NULL};
    static const char *const extra[] = {"ce-id: 7", "ce-source: /a%20b", NULL};
    struct world world;
    char host[64];
    const char *request;

    (void)state;
    open_world(&world, script);
    world.target.headers = headers;
    world.job.extra = extra;
    world.job.content_type = "application/cloudevents+json";
    snprintf(world.url, sizeof world.url, "http://127.0.0.1:%d/a/../b%%20c?d=e&f=%%2F",
             world.server.port);
    snprintf(host, sizeof host, "Host: 127.0.0.1:%d", world.server.port);
    for (int i = 0; i < 3; i++) { /* on a new handle, and on used ones */
        expect_status(post(&world), 200);
        assert_int_equal(server_requests(&world.server), i + 1);
        request = world.server.requests[i];
        expect_start(request, "POST /a/../b%20c?d=e&f=%2F HTTP/1.1\r\n");
        expect_line(request, host);
        expect_line(request, "User-Agent: resthookd/test");
        expect_line(request, "content-type: application/cloudevents+json");
        expect_line(request, "x-event-type: enrollment.create");
        expect_line(request, "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek");
        expect_line(request, "webhook-timestamp: 1614265330");
        expect_line(request, "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        expect_line(request, "Authorization: Bearer abc");
        expect_line(request, "x-empty:");
        expect_line(request, "X-Empty-Too:");
        expect_line(request, "accept: text/plain");
        expect_line(request, "x-colon: a:b;c");
        expect_line(request, "ce-id: 7");
        expect_line(request, "ce-source: /a%20b");
        expect_line(request, "Content-Length: 20");
        assert_int_equal(lines_of(request), 16); /* and nothing else */
        assert_string_equal(strstr(request, "\r\n\r\n") + 4, "{\"test\": 2432232314}");
    }
    /* the next one has less */
    world.target.headers = NULL;
    world.job.extra = NULL;
    world.job.content_type = "application/json";
    expect_status(post(&world), 200);
    request = world.server.requests[3];
    expect_line(request, "content-type: application/json");
    assert_int_equal(lines_of(request), 9);
    close_world(&world);
}

#define BODY_MOST ((size_t)1500000)

static void sends_bodies_of_any_size(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    static const size_t sizes[] = {0, 1, 16384, BODY_MOST}; /* libcurl expects from 1 MiB on */
    struct world world;
    char *body = malloc(BODY_MOST);

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < BODY_MOST; i++) {
        body[i] = (char)(' ' + i * 7 % 95);
    }
    open_world(&world, script);
    world.job.body = body;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *came;

        world.job.body_length = sizes[i];
        expect_status(post(&world), 200);
        came = strstr(world.server.requests[i], "\r\n\r\n") + 4;
        assert_int_equal(strlen(came), sizes[i]);
        assert_memory_equal(came, body, sizes[i]);
        assert_null(strcasestr(world.server.requests[i], "\r\nExpect"));
    }
    close_world(&world);
    free(body);
}

/* ---- Answers ---- */

static void reads_statuses_on_one_connection(void **state) {
    static const struct answer script[] = {
        {OK, KEEP, NULL},           {"HTTP/1.1 204 No Content\r\n\r\n", KEEP, NULL},
        {EMPTY("500"), KEEP, NULL}, {EMPTY("410"), KEEP, NULL},
        {EMPTY("404"), KEEP, NULL}, {EMPTY("299"), KEEP, NULL},
        {EMPTY("999"), KEEP, NULL}, {"HTTP/1.1 304 Not Modified\r\n\r\n", KEEP, NULL},
        {OK, KEEP, NULL},           {NULL, KEEP, NULL}};
    static const int statuses[] = {200, 204, 500, 410, 404, 299, 999, 304, 200};
    struct world world;

    (void)state;
    open_world(&world, script);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        expect_status(post(&world), statuses[i]);
        expect_response(&world.reply, statuses[i] == 200 ? "ok" : "");
        assert_int_equal(world.reply.retry_after, -1);
    }
    assert_int_equal(server_connections(&world.server), 1);
    close_world(&world);
}

static void reads_answers_in_every_form(void **state) {
    static const struct answer script[] = {
        {"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" OK, KEEP, NULL},
        {"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", KEEP, NULL},
        {CHUNKED("200") "2\r\nok\r\n0\r\nx-trailer: HTTP/\r\n\r\n", KEEP, NULL},
        {CHUNKED("200") "1;x=y\r\no\r\n1\r\nk\r\n0\r\n\r\n", KEEP, NULL},
        {"HTTP/1.1 200 OK\r\n\r\nok", CLOSE, NULL},
        {"HTTP/1.0 200 OK\r\n\r\nok", CLOSE, NULL},
        {"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", KEEP, NULL},
        {"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok", KEEP, NULL},
        {"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", KEEP, NULL},
        {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    open_world(&world, script);
    for (size_t i = 0; i < sizeof script / sizeof *script - 1; i++) {
        expect_status(post(&world), 200);
        expect_response(&world.reply, "ok");
    }
    close_world(&world);
}

static void follows_no_redirect(void **state) {
    struct answer script[] = {{NULL, KEEP, NULL}, {OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;
    char head[256];

    (void)state;
    open_world(&world, script);
    snprintf(head, sizeof head,
             "HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:%d/elsewhere\r\n"
             "content-length: 0\r\n\r\n",
             world.server.port);
    script[0].head = head;
    expect_status(post(&world), 301);
    assert_int_equal(server_requests(&world.server), 1);
    close_world(&world);
}

static void reads_retry_after(void **state) {
    static const struct answer script[] = {
        {"HTTP/1.1 429 Slow\r\nRETRY-AFTER:  120 \r\ncontent-length: 0\r\n\r\n", KEEP, NULL},
        {"HTTP/1.1 503 No\r\nretry-after: Thu, 25 Feb 2021 15:03:10 GMT\r\n"
         "content-length: 0\r\n\r\n",
         KEEP, NULL},
        {"HTTP/1.1 503 No\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", KEEP, NULL},
        {"HTTP/1.1 503 No\r\nretry-after:\r\ncontent-length: 0\r\n\r\n", KEEP, NULL},
        {EMPTY("503"), KEEP, NULL},
        {NULL, KEEP, NULL}};
    static const int64_t asked[] = {120000, 60000, -1, -1, -1};
    struct world world;

    (void)state;
    open_world(&world, script);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        expect_status(post(&world), i == 0 ? 429 : 503);
        assert_int_equal(world.reply.retry_after, asked[i]);
    }
    close_world(&world);
}

static void bounds_what_is_read(void **state) {
    static const struct answer script[] = {
        {"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n", ENDLESS, "0123456789abcde\n"},
        {CHUNKED("200"), ENDLESS, "10\r\n0123456789abcde\n\r\n"},
        {"HTTP/1.1 500 No\r\n\r\n", ENDLESS, "0123456789abcde\n"},
        {OK, KEEP, NULL},
        {NULL, KEEP, NULL}};
    static const int statuses[] = {200, 200, 500, 200};
    struct world world;

    (void)state;
    open_world(&world, script);
    world.target.response_most = 24;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        expect_status(post(&world), statuses[i]);
        expect_response(&world.reply,
                        statuses[i] == 200 && i == 3 ? "ok" : "0123456789abcde\n01234567");
    }
    assert_int_equal(server_connections(&world.server), 4); /* one that was cut is not used again */
    world.target.response_most = 0;
    expect_status(post(&world), 200);
    expect_response(&world.reply, "");
    close_world(&world);
}

/* Bodies, and what is kept of them in 16 bytes. */
static const struct {
    const char *body;
    size_t length;
    const char *kept;
} bodies[] = {
    {"plain\ttext\n", 11, "plain\ttext\n"},
    {"a\r\nb\rc\n", 7, "a\nbc\n"},
    {"a\0b\x01\x1b[31mc\x7f", 11, "ab[31mc"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82"},
    {"a\xc2\x85z\xc2\x9f\xc2\xa0", 8, "az\xc2\xa0"},
    {"\xff\xfe", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"a\xc3", 2, "a\xef\xbf\xbd"},
    {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"0123456789abcdef", 16, "0123456789abcdef"},
    {"0123456789abcdefg", 17, "0123456789abcdef"},
    {"0123456789abcd\xe2\x82\xac", 17, "0123456789abcd"},
    {"0123456789abcde\xc3\xa9", 17, "0123456789abcde"},
    {"0123456789abc\xf0\x9f\x99\x82", 17, "0123456789abc"},
    {"0123456789abc\xe2\x82\xac", 16, "0123456789abc\xe2\x82\xac"},
    {"\xff\xff\xff\xff\xff\xff\xff\xff", 8,
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
};

static void keeps_readable_text(void **state) {
    struct response response = {0};
    struct buffer text = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (size_t step = 1; step <= bodies[i].length; step++) { /* however it comes */
            response_begin(&response, 16);
            for (size_t at = 0; at < bodies[i].length; at += step) {
                size_t rest = bodies[i].length - at;

                assert_true(
                    response_take(&response, bodies[i].body + at, rest < step ? rest : step));
            }
            response_text(&response, &text);
            if (text.length != strlen(bodies[i].kept) ||
                memcmp(text.data, bodies[i].kept, text.length) != 0) {
                fail_msg("%zu: '%.*s'", i, (int)text.length, text.data);
            }
        }
    }
    response_free(&response);
    buffer_free(&text);
}

/* ---- Failures ---- */

static void times_out(void **state) {
    static const struct answer script[] = {
        {"", HANG, NULL},
        {"", DRIP, OK OK OK OK OK},
        {CHUNKED("200"), DRIP, "50\r\n0123456789abcdef0123456789"},
        {"HTTP/1.1 200 OK\r\n", ENDLESS, "x: y\r\n"},
        {OK, KEEP, NULL},
        {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    open_world(&world, script);
    world.target.timeout = 200;
    for (int i = 0; i < 3; i++) {
        expect_failure(post(&world), FAILURE_TIMEOUT, "timeout: no whole answer in time");
        assert_true(world.reply.duration >= 190);
    }
    world.target.timeout = 5000;
    assert_true(post(&world)->failure != FAILURE_NONE); /* a head without an end: some bound */
    expect_status(post(&world), 200);
    close_world(&world);
}

static void says_what_is_not_http(void **state) {
    static const struct {
        struct answer answer;
        const char *text;
    } cases[] = {
        {{"no http at all\r\n\r\n", CLOSE, NULL}, "protocol: the answer is not HTTP"},
        {{"SSH-2.0-server\r\n", HANG, NULL}, "protocol: the answer is not HTTP"},
        {{"", CLOSE, NULL}, "protocol: closed without an answer"},
        {{"", RESET, NULL}, NULL},
        {{"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", CLOSE, NULL},
         "protocol: the answer broke off"},
        {{"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", RESET, NULL}, NULL},
        {{CHUNKED("200") "3\r\nabc\r\n", CLOSE, NULL}, "protocol: the answer broke off"},
        {{CHUNKED("200") "zzz\r\n", CLOSE, NULL}, NULL},
        {{"HTTP/1.1 2x0 OK\r\n\r\n", CLOSE, NULL}, NULL},
        {{"HTTP/1.1 200 OK\r\nx: y", CLOSE, NULL}, "protocol: the answer broke off"},
        {{"HTTP/1.1 200 OK\r\nx: y\r\n", CLOSE, NULL}, "protocol: the answer broke off"},
        {{"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\n", CLOSE, NULL},
         "protocol: the answer broke off"},
        {{"HTTP/1.1 200 OK\r\n\r", CLOSE, NULL}, "protocol: the answer broke off"},
        {{"HTTP/1.1 100 Go on\r\n\r\n", CLOSE, NULL}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct answer script[] = {cases[i].answer, {OK, KEEP, NULL}, {NULL, KEEP, NULL}};
        struct world world;

        open_world(&world, script);
        world.target.timeout = 2000;
        post(&world);
        if (cases[i].text != NULL) {
            expect_failure(&world.reply, FAILURE_PROTOCOL, cases[i].text);
        } else if (world.reply.failure != FAILURE_PROTOCOL) {
            fail_msg("%zu: %d %s", i, world.reply.status, world.reply.error);
        }
        expect_status(post(&world), 200); /* the handle is as good as new */
        close_world(&world);
    }
}

static void says_that_nobody_listens(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int reserved = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, and no one accepts */
    struct world world;

    (void)state;
    assert_int_equal(bind(reserved, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(reserved, (struct sockaddr *)&address, &length), 0);
    open_world(&world, script);
    set_url(&world, "http", "127.0.0.1", ntohs(address.sin_port));
    expect_failure(post(&world), FAILURE_CONNECT, "connect: no connection");
    set_url(&world, "http", "nowhere.test", world.server.port);
    expect_failure(post(&world), FAILURE_RESOLVE, "resolve: the name has no address");
    set_url(&world, "file", "", 1);
    assert_true(post(&world)->failure != FAILURE_NONE);
    close(reserved);
    close_world(&world);
}

/* A connection that the target closed meanwhile is no failure: libcurl makes a new one. */
static void survives_a_connection_gone_stale(void **state) {
    static const struct answer script[] = {{OK, CLOSE, NULL}, {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    open_world(&world, script);
    for (int i = 0; i < 5; i++) {
        expect_status(post(&world), 200);
    }
    assert_int_equal(server_requests(&world.server), 5);
    close_world(&world);
}

/* ---- The guard ---- */

#define NOT_ALLOWED "refused: target address is not allowed"
#define NOT_PLAIN "refused: plain http is allowed only to networks given by --allow"

static void refuses_what_the_guard_refuses(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    static const char *const hosts[] = {
        "127.0.0.1",      "127.1",   "2130706433", "0x7f.0.0.1",
        "0177.0.0.1",     "0.0.0.0", "0",          "localhost",
        "inside.test",    "[::1]",   "[::]",       "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]"};
    struct world world;

    (void)state;
    open_world(&world, script);
    world.guard->count = 0;
    world.options.allow_http = true; /* it is the address, not the scheme */
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        set_url(&world, i % 2 == 0 ? "http" : "https", hosts[i], world.server.port);
        expect_failure(post(&world), FAILURE_REFUSED, NOT_ALLOWED);
    }
    set_url(&world, "http", "private.test", world.server.port);
    expect_failure(post(&world), FAILURE_REFUSED, NOT_ALLOWED);
    assert_int_equal(server_connections(&world.server), 0);
    close_world(&world);
}

static void refuses_on_a_connection_that_is_used_again(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    open_world(&world, script);
    expect_status(post(&world), 200);
    expect_status(post(&world), 200);
    assert_int_equal(server_connections(&world.server), 1);
    world.guard->count = 0;
    expect_failure(post(&world), FAILURE_REFUSED, NOT_ALLOWED);
    assert_int_equal(server_connections(&world.server), 1);
    assert_int_equal(server_requests(&world.server), 2);
    world.guard->count = 1;
    expect_status(post(&world), 200);
    close_world(&world);
}

static void tries_the_address_that_is_allowed(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    open_world(&world, script);
    set_url(&world, "http", "mixed.test", world.server.port);
    expect_status(post(&world), 200);
    close_world(&world);
}

static void allows_plain_http_only_as_told(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    open_world(&world, script);
    set_url(&world, "http", "203.0.114.1", 9); /* public: refused before a socket is made */
    expect_failure(post(&world), FAILURE_REFUSED, NOT_PLAIN);
    set_url(&world, "HTTP", "203.0.114.1", 9);
    expect_failure(post(&world), FAILURE_REFUSED, NOT_PLAIN);
    set_url(&world, "http", "10.0.0.1", 9);
    expect_failure(post(&world), FAILURE_REFUSED, NOT_ALLOWED);
    set_url(&world, "http", "127.0.0.1", world.server.port); /* allowed, without allow_http */
    expect_status(post(&world), 200);
    close_world(&world);
}

/* ---- Proxies ---- */

static const char *const proxy_variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                                              "all_proxy", "ALL_PROXY"};

static void ignores_proxies_of_the_environment(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    for (size_t i = 0; i < sizeof proxy_variables / sizeof *proxy_variables; i++) {
        setenv(proxy_variables[i], "http://127.0.0.1:9", 1);
    }
    open_world(&world, script);
    expect_status(post(&world), 200);
    expect_start(world.server.requests[0], "POST / HTTP/1.1\r\n");
    close_world(&world);
    for (size_t i = 0; i < sizeof proxy_variables / sizeof *proxy_variables; i++) {
        unsetenv(proxy_variables[i]);
    }
}

static void sends_by_the_proxy_it_is_given(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    static const char *const inside[] = {"127.0.0.1", "127.1",          "2130706433",
                                         "10.0.0.1",  "[::1]",          "[::ffff:10.0.0.1]",
                                         "[fe80::1]", "169.254.169.254"};
    struct world world;
    char proxy[64];

    (void)state;
    setenv("no_proxy", "*", 1);
    open_world(&world, script);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", world.server.port);
    world.options.proxy = proxy;
    world.guard->count = 0; /* the proxy's own address is the operator's affair */
    set_url(&world, "http", "example.test", 8080);
    expect_failure(post(&world), FAILURE_REFUSED, NOT_PLAIN);
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        set_url(&world, i % 2 == 0 ? "http" : "https", inside[i], 8080);
        expect_failure(post(&world), FAILURE_REFUSED, NOT_ALLOWED);
        assert_int_equal(world.reply.duration, 0);
    }
    assert_int_equal(server_connections(&world.server), 0);
    http_free(world.http);
    world.options.allow_http = true;
    connect_world(&world);
    set_url(&world, "http", "example.test", 8080);
    expect_status(post(&world), 200);
    expect_start(world.server.requests[0], "POST http://example.test:8080/ HTTP/1.1\r\n");
    close_world(&world);
    unsetenv("no_proxy");
}

static void shows_a_proxy_no_header_of_a_tunnel(void **state) {
    static const struct answer script[] = {{EMPTY("403"), CLOSE, NULL}, {NULL, KEEP, NULL}};
    static const char *const headers[] = {"Authorization: Bearer abc", NULL};
    struct world world;
    char proxy[64];

    (void)state;
    open_world(&world, script);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", world.server.port);
    world.options.proxy = proxy;
    world.target.headers = headers;
    set_url(&world, "https", "example.test", 443);
    assert_true(post(&world)->failure != FAILURE_NONE);
    expect_start(world.server.requests[0], "CONNECT example.test:443 HTTP/1.1\r\n");
    assert_null(strstr(world.server.requests[0], "Bearer"));
    assert_null(strstr(world.server.requests[0], "webhook-"));
    close_world(&world);
}

/* ---- Many at once ---- */

static void sends_many_at_once(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;
    struct job jobs[16];
    bool seen[16] = {false};

    (void)state;
    open_world(&world, script);
    connect_world(&world);
    for (int round = 0; round < 4; round++) {
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < 16; i++) {
            jobs[i] = world.job;
            http_send(world.http, &jobs[i], NOW);
        }
        assert_int_equal(http_in_flight(world.http), 16);
        for (int i = 0; i < 16; i++) {
            struct job *job = wait_for(&world);

            expect_status(&world.reply, 200);
            assert_false(seen[job - jobs]);
            seen[job - jobs] = true;
        }
        assert_null(http_next(world.http, NOW, &world.reply));
        assert_int_equal(http_in_flight(world.http), 0);
    }
    assert_true(server_connections(&world.server) <= 16);
    close_world(&world);
}

/* A name server that hangs holds neither the others nor, at the timeout, the thread. */
static void waits_for_no_name_server(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;
    struct target slow;
    struct job job;
    char url[64];
    struct timespec start;
    struct timespec end;

    (void)state;
    open_world(&world, script);
    connect_world(&world);
    slow = world.target;
    job = world.job;
    job.target = &slow;
    snprintf(url, sizeof url, "http://slow.test:%d/", world.server.port);
    slow.url = url;
    slow.timeout = 150;
    clock_gettime(CLOCK_MONOTONIC, &start);
    http_send(world.http, &job, NOW);
    http_send(world.http, &world.job, NOW);
    assert_ptr_equal(wait_for(&world), &world.job);
    assert_ptr_equal(wait_for(&world), &job);
    expect_failure(&world.reply, FAILURE_TIMEOUT, "timeout: no whole answer in time");
    http_send(world.http, &job, NOW); /* and one that is dropped */
    http_work(world.http);
    http_free(world.http);
    world.http = NULL;
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(end.tv_sec - start.tv_sec < 3); /* the name server takes 5 */
    sem_post(&name_server);
    sem_post(&name_server);
    close_world(&world);
}

static void drops_what_is_in_flight(void **state) {
    static const struct answer script[] = {{"", HANG, NULL}, {NULL, KEEP, NULL}};
    struct world world;

    (void)state;
    open_world(&world, script);
    connect_world(&world);
    for (int i = 0; i < 3; i++) {
        http_send(world.http, &world.job, NOW);
    }
    for (int i = 0; i < 100 && server_requests(&world.server) < 3; i++) {
        http_work(world.http);
        http_wait(world.http, NULL, 0, 10);
    }
    assert_int_equal(server_requests(&world.server), 3);
    assert_int_equal(http_in_flight(world.http), 3);
    close_world(&world);
    http_free(NULL);
}

static void gives_back_what_is_in_flight(void **state) {
    static const struct answer script[] = {{"", HANG, NULL}, {OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct world world;
    struct job jobs[3];
    struct target none;
    unsigned given = 0;
    struct job *job;

    (void)state;
    open_world(&world, script);
    connect_world(&world);
    assert_null(http_abort(world.http));
    none = world.target;
    none.url = "//"; /* one that would fail, */
    for (int i = 0; i < 3; i++) {
        jobs[i] = world.job;
        jobs[i].target = i == 1 ? &none : &world.target;
    }
    http_send(world.http, &jobs[0], NOW); /* one that hangs, */
    for (int i = 0; i < 100 && server_requests(&world.server) < 1; i++) {
        http_work(world.http);
        http_wait(world.http, NULL, 0, 10);
    }
    http_send(world.http, &jobs[1], NOW);
    http_send(world.http, &jobs[2], NOW); /* and one that has not begun */
    for (int left = 2; (job = http_abort(world.http)) != NULL; left--) {
        assert_int_equal(http_in_flight(world.http), left);
        given |= 1U << (job - jobs);
    }
    assert_int_equal(given, 7);
    assert_int_equal(http_in_flight(world.http), 0);
    assert_null(http_next(world.http, NOW, &world.reply));
    expect_status(post(&world), 200);
    close_world(&world);
}

static void wakes_for_other_descriptors(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    struct curl_waitfd watched = {.events = CURL_WAIT_POLLIN};
    struct world world;
    int ends[2];
    time_t start = time(NULL);

    (void)state;
    open_world(&world, script);
    connect_world(&world);
    assert_int_equal(pipe(ends), 0);
    watched.fd = ends[0];
    http_wait(world.http, &watched, 1, 1);
    assert_int_equal(watched.revents, 0);
    http_wait(world.http, &watched, 1, -1);
    assert_int_equal(watched.revents, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    http_wait(world.http, &watched, 1, 10000);
    assert_int_equal(watched.revents, CURL_WAIT_POLLIN);
    assert_true(time(NULL) - start < 5);
    close(ends[0]);
    close(ends[1]);
    close_world(&world);
}

/* ---- TLS, with openssl's own server ---- */

static pid_t start(char *const arguments[], int input, int output) {
    pid_t child = fork();

    if (child == 0) {
        dup2(input, STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    return child;
}

static void make_certificate(const char *folder, char *certificate, char *key, size_t size) {
    char *arguments[] = {"openssl",
                         "req",
                         "-x509",
                         "-newkey",
                         "ec",
                         "-pkeyopt",
                         "ec_paramgen_curve:P-256",
                         "-nodes",
                         "-days",
                         "1",
                         "-subj",
                         "/CN=x",
                         "-addext",
                         "subjectAltName=IP:127.0.0.1",
                         "-keyout",
                         key,
                         "-out",
                         certificate,
                         NULL};
    int status = -1;
    int silent[2];
    pid_t child;

    snprintf(certificate, size, "%s/certificate", folder);
    snprintf(key, size, "%s/key", folder);
    assert_int_equal(pipe(silent), 0);
    child = start(arguments, silent[0], silent[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(silent[0]);
    close(silent[1]);
}

/* The port that it says it listens to. */
static int read_port(int output) {
    char text[1024];
    size_t length = 0;

    for (;;) {
        ssize_t came = read(output, text + length, sizeof text - 1 - length);
        const char *line;

        assert_true(came > 0);
        length += (size_t)came;
        text[length] = '\0';
        line = strstr(text, "ACCEPT ");
        if (line != NULL && strchr(line, '\n') != NULL) {
            return (int)strtol(strrchr(line, ':') + 1, NULL, 10);
        }
    }
}

/* openssl sends what it reads, to whoever is connected: it is told when it has shown the request.
 */
static void answer_as_openssl(struct world *world, int output, int input) {
    struct curl_waitfd shown = {.fd = output, .events = CURL_WAIT_POLLIN};
    char text[16384];
    size_t length = 0;
    time_t late = time(NULL) + 10;
    bool answered = false;

    for (http_work(world->http); http_next(world->http, NOW, &world->reply) == NULL;
         http_work(world->http)) {
        assert_true(time(NULL) < late);
        http_wait(world->http, &shown, 1, 1000);
        if (shown.revents != 0) {
            ssize_t came = read(output, text + length, sizeof text - 1 - length);

            assert_true(came > 0);
            length += (size_t)came;
            text[length] = '\0';
        }
        if (!answered && length > 0 && strstr(text, world->job.body) != NULL) {
            answered = write(input, OK, sizeof OK - 1) == sizeof OK - 1;
        }
    }
}

static void trusts_only_what_it_is_told(void **state) {
    static const struct answer script[] = {{OK, KEEP, NULL}, {NULL, KEEP, NULL}};
    char folder[] = "/tmp/resthook-test-XXXXXX";
    char certificate[64];
    char key[64];
    char *arguments[] = {"openssl",   "s_server", "-accept", "127.0.0.1:0", "-cert",
                         certificate, "-key",     key,       NULL};
    int input[2];
    int output[2];
    struct world world;
    pid_t child;

    (void)state;
    assert_non_null(mkdtemp(folder));
    make_certificate(folder, certificate, key, sizeof key);
    assert_int_equal(pipe(input), 0);
    assert_int_equal(pipe(output), 0);
    child = start(arguments, input[0], output[1]);
    open_world(&world, script);
    set_url(&world, "https", "127.0.0.1", read_port(output[0]));
    expect_failure(post(&world), FAILURE_TLS, "tls: the certificate is not trusted");
    http_free(world.http);

    world.options.ca_file = "/nonexistent";
    connect_world(&world);
    assert_int_equal(post(&world)->failure, FAILURE_TLS);
    http_free(world.http);

    world.options.ca_file = certificate;
    connect_world(&world);
    memcpy(strstr(world.url, "127.0.0.1"), "127.0.0.2", 9);
    assert_int_equal(post(&world)->failure, FAILURE_CONNECT); /* it listens to one address */
    memcpy(strstr(world.url, "127.0.0.2"), "127.0.0.1", 9);
    http_send(world.http, &world.job, NOW);
    answer_as_openssl(&world, output[0], input[1]);
    expect_status(&world.reply, 200);
    expect_response(&world.reply, "ok");

    close_world(&world);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (int i = 0; i < 2; i++) {
        close(input[i]);
        close(output[i]);
    }
    unlink(certificate);
    unlink(key);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_is_specified),
        cmocka_unit_test(sends_bodies_of_any_size),
        cmocka_unit_test(reads_statuses_on_one_connection),
        cmocka_unit_test(reads_answers_in_every_form),
        cmocka_unit_test(follows_no_redirect),
        cmocka_unit_test(reads_retry_after),
        cmocka_unit_test(bounds_what_is_read),
        cmocka_unit_test(keeps_readable_text),
        cmocka_unit_test(times_out),
        cmocka_unit_test(says_what_is_not_http),
        cmocka_unit_test(says_that_nobody_listens),
        cmocka_unit_test(survives_a_connection_gone_stale),
        cmocka_unit_test(refuses_what_the_guard_refuses),
        cmocka_unit_test(refuses_on_a_connection_that_is_used_again),
        cmocka_unit_test(tries_the_address_that_is_allowed),
        cmocka_unit_test(allows_plain_http_only_as_told),
        cmocka_unit_test(ignores_proxies_of_the_environment),
        cmocka_unit_test(sends_by_the_proxy_it_is_given),
        cmocka_unit_test(shows_a_proxy_no_header_of_a_tunnel),
        cmocka_unit_test(sends_many_at_once),
        cmocka_unit_test(waits_for_no_name_server),
        cmocka_unit_test(drops_what_is_in_flight),
        cmocka_unit_test(gives_back_what_is_in_flight),
        cmocka_unit_test(wakes_for_other_descriptors),
        cmocka_unit_test(trusts_only_what_it_is_told),
    };

    sem_init(&name_server, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
