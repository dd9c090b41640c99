/*
** test_http.c: the transport, by real libcurl against a server on 127.0.0.1: what it sends, what it
** makes of an answer, and many attempts at once, all of it in either lane. Where it may go:
** test_http_way.c.
** SPDX-License-Identifier: MIT
*/
#include "http_world.h"

/* ---- The request ---- */

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
    static const char *const headers[] = {
        "Authorization: Bearer abc", "x-empty:",       "X-Empty-Too:  ",
        "accept: text/plain",        "x-colon: a:b;c", NULL};
    static const char *const extra[] = {"ce-id: 7", "ce-source: /a%20b", NULL};
    char host[64];
    const char *request;

    (void)state;
    world.target.headers = headers;
    world.job.extra = extra;
    world.job.content_type = "application/cloudevents+json";
    world.job.sequence = 9007199254740993;
    snprintf(world.url, sizeof world.url, "http://127.0.0.1:%d/a/../b%%20c?d=e&f=%%2F",
             world.server.port);
    snprintf(host, sizeof host, "Host: 127.0.0.1:%d", world.server.port);
    for (int i = 0; i < 3; i++) { /* on a new handle, and on used ones */
        expect_status(post(), 200);
        assert_int_equal(server_requests(&world.server), i + 1);
        request = world.server.requests[i];
        expect_start(request, "POST /a/../b%20c?d=e&f=%2F HTTP/1.1\r\n");
        expect_line(request, host);
        expect_line(request, "User-Agent: resthookd/test");
        expect_line(request, "content-type: application/cloudevents+json");
        expect_line(request, "x-event-type: enrollment.create");
        expect_line(request, "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek");
        expect_line(request, "webhook-sequence: 9007199254740993");
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
        assert_int_equal(lines_of(request), 17); /* and nothing else */
        assert_string_equal(strstr(request, "\r\n\r\n") + 4, "{\"test\": 2432232314}");
    }
    /* the next one has less */
    world.target.headers = NULL;
    world.job.extra = NULL;
    world.job.content_type = "application/json";
    expect_status(post(), 200);
    request = world.server.requests[3];
    expect_line(request, "content-type: application/json");
    assert_int_equal(lines_of(request), 10);
}

/* One of the event's own stands instead of the subscription's of the same name, whatever its case. */
static void lets_an_event_have_headers_of_its_own(void **state) {
    static const char *const headers[] = {"Authorization: Bearer abc", "X-Team: a", "x-team-2: b",
                                          "x-empty;", NULL};
    static const char *const own[] = {"x-TEAM: c", "traceparent: 00-1-2-01", "X-Empty: no",
                                      "authorization;", NULL};

    (void)state;
    world.target.headers = headers;
    world.job.headers = own;
    expect_status(post(), 200);
    expect_line(world.server.requests[0], "x-TEAM: c");
    expect_line(world.server.requests[0], "x-team-2: b");
    expect_line(world.server.requests[0], "traceparent: 00-1-2-01");
    expect_line(world.server.requests[0], "X-Empty: no");
    expect_line(world.server.requests[0], "authorization:");
    assert_int_equal(lines_of(world.server.requests[0]), 10 + 5);
}

#define BODY_MOST ((size_t)1500000)

static void sends_bodies_of_any_size(void **state) {
    static const size_t sizes[] = {0, 1, 16384, BODY_MOST}; /* libcurl expects from 1 MiB on */
    char *body = malloc(BODY_MOST);

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < BODY_MOST; i++) {
        body[i] = (char)(' ' + i * 7 % 95);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *came;

        world.job.body = sizes[i] > 0 ? body : NULL;
        world.job.body_length = sizes[i];
        expect_status(post(), 200);
        came = strstr(world.server.requests[i], "\r\n\r\n") + 4;
        assert_int_equal(strlen(came), sizes[i]);
        assert_memory_equal(came, body, sizes[i]);
        assert_null(strcasestr(world.server.requests[i], "\r\nExpect"));
    }
    free(body);
}

/* ---- Answers ---- */

static void reads_statuses_on_one_connection(void **state) {
    static const struct answer script[] = {
        SAYS(OK),           SAYS("HTTP/1.1 204 No Content\r\n\r\n"),
        SAYS(EMPTY("500")), SAYS(EMPTY("410")),
        SAYS(EMPTY("404")), SAYS(EMPTY("299")),
        SAYS(EMPTY("999")), SAYS("HTTP/1.1 304 Not Modified\r\n\r\n"),
        SAYS(OK),           END};
    static const int statuses[] = {200, 204, 500, 410, 404, 299, 999, 304, 200};

    (void)state;
    world.server.script = script;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        expect_status(post(), statuses[i]);
        expect_response(&world.reply, statuses[i] == 200 ? "ok" : "");
        assert_int_equal(world.reply.retry_after, -1);
    }
    assert_int_equal(server_connections(&world.server), 1);
}

static void reads_answers_in_every_form(void **state) {
    static const struct answer script[] = {
        SAYS("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" OK),
        SAYS("HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
        SAYS(CHUNKED("200") "2\r\nok\r\n0\r\nx-trailer: HTTP/\r\n\r\n"),
        SAYS(CHUNKED("200") "1;x=y\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
        {"HTTP/1.1 200 OK\r\n\r\nok", CLOSE, NULL},
        {"HTTP/1.0 200 OK\r\n\r\nok", CLOSE, NULL},
        SAYS("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
        SAYS("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok"),
        SAYS("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"),
        END};

    (void)state;
    world.server.script = script;
    for (size_t i = 0; i < sizeof script / sizeof *script - 1; i++) {
        expect_status(post(), 200);
        expect_response(&world.reply, "ok");
    }
}

static void follows_no_redirect(void **state) {
    static const int statuses[] = {301, 302, 303, 307, 308};
    static struct answer script[] = {END, SAYS(OK), END};
    static char head[256];

    (void)state;
    script[0].head = head;
    for (int i = 0; i < 5; i++) {
        world.server.script = script;
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d Moved\r\nlocation: http://127.0.0.1:%d/elsewhere\r\n"
                 "content-length: 0\r\n\r\n",
                 statuses[i], world.server.port);
        expect_status(post(), statuses[i]);
        assert_int_equal(server_requests(&world.server), i + 1);
    }
}

static void reads_retry_after(void **state) {
    static const struct answer script[] = {
        SAYS("HTTP/1.1 429 Slow\r\nRETRY-AFTER:  120 \r\ncontent-length: 0\r\n\r\n"),
        SAYS("HTTP/1.1 503 No\r\nretry-after: Thu, 25 Feb 2021 15:03:10 GMT\r\n"
             "content-length: 0\r\n\r\n"),
        SAYS("HTTP/1.1 503 No\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n"),
        SAYS("HTTP/1.1 503 No\r\nretry-after:\r\ncontent-length: 0\r\n\r\n"),
        SAYS(EMPTY("503")),
        SAYS("HTTP/1.1 103 Hints\r\nretry-after: 5\r\n\r\n" EMPTY("503")),
        SAYS(CHUNKED("503") "0\r\nretry-after: 5\r\n\r\n"),
        END};
    static const int64_t asked[] = {120000, 60000, -1, -1, -1, -1, -1};

    (void)state;
    world.server.script = script;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        expect_status(post(), i == 0 ? 429 : 503);
        assert_int_equal(world.reply.retry_after, asked[i]);
    }
}

/* Asked for or not, sent or not; in an answer's head, and nowhere else. */
static void asks_for_a_secret_back(void **state) {
    static const struct answer script[] = {
        SAYS("HTTP/1.1 200 OK\r\nX-HOOK-SECRET:  hunter2 \r\ncontent-length: 0\r\n\r\n"),
        SAYS("HTTP/1.1 500 No\r\nx-hook-secret: hunter2\r\ncontent-length: 0\r\n\r\n"),
        SAYS("HTTP/1.1 103 Hints\r\nx-hook-secret: hunter2\r\n\r\n" EMPTY("200")),
        SAYS(CHUNKED("200") "0\r\nx-hook-secret: hunter2\r\n\r\n"),
        SAYS(EMPTY("200")),
        SAYS("HTTP/1.1 200 OK\r\nx-hook-secret: hunter2\r\ncontent-length: 0\r\n\r\n"),
        END};
    static const char *const given_back[] = {"hunter2", "hunter2", NULL, NULL, NULL};

    (void)state;
    world.server.script = script;
    world.job.challenge = "hunter2";
    for (size_t i = 0; i < 5; i++) {
        expect_status(post(), i == 1 ? 500 : 200);
        if (given_back[i] != NULL) {
            assert_string_equal(world.reply.given_back, given_back[i]);
        } else {
            assert_null(world.reply.given_back);
        }
        assert_non_null(strstr(world.server.requests[i], "\r\nx-hook-secret: hunter2\r\n"));
    }
    world.job.challenge = NULL;
    expect_status(post(), 200);
    assert_null(world.reply.given_back);
    assert_null(strstr(world.server.requests[5], "x-hook-secret"));
}

static void bounds_what_is_read(void **state) {
    static const struct answer script[] = {
        {"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n", ENDLESS, "0123456789abcde\n"},
        {CHUNKED("200"), ENDLESS, "10\r\n0123456789abcde\n\r\n"},
        {"HTTP/1.1 500 No\r\n\r\n", ENDLESS, "0123456789abcde\n"},
        {"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", CLOSE, NULL},
        SAYS(OK),
        END};
    static const int statuses[] = {200, 200, 500};

    (void)state;
    world.server.script = script;
    world.target.response_most = 24;
    for (int i = 0; i < 3; i++) {
        expect_status(post(), statuses[i]);
        expect_response(&world.reply, "0123456789abcde\n01234567");
        assert_int_equal(server_connections(&world.server),
                         i + 1); /* a cut one is not used again */
    }
    expect_failure(post(), FAILURE_RECEIVE, "receive: the answer broke off"); /* not by us */
    expect_status(post(), 200);
    expect_response(&world.reply, "ok");
    world.target.response_most = 0;
    expect_status(post(), 200);
    expect_response(&world.reply, "");
}

/* ---- Failures ---- */

#define LIBCURL_TEXT_MOST 8000000 /* CURL_MAX_INPUT_LENGTH: no option takes a longer text */

static void times_out(void **state) {
    static const struct {
        struct answer answer;
        int64_t timeout;
        const char *text; /* NULL: one or another */
    } cases[] = {
        {{"", HANG, NULL}, 200, "timeout: no answer in time"},
        {{"HTTP/1.1 200 OK\r\nx: ", DRIP, "y"}, 200, "timeout: no whole answer in time"},
        {{CHUNKED("200") "ffff\r\n", DRIP, "0123456789"}, 200, "timeout: no whole answer in time"},
        {{"", HANG, NULL}, 0, NULL}, /* to libcurl that is for ever */
    };
    static struct answer script[] = {END, END};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        script[0] = cases[i].answer;
        world.server.script = script;
        world.target.timeout = cases[i].timeout;
        post();
        expect_failure(&world.reply, FAILURE_TIMEOUT,
                       cases[i].text != NULL ? cases[i].text : world.reply.error);
        assert_true(world.reply.duration > 0 || cases[i].timeout == 0); /* it was measured */
        close_world(state); /* with the server, which may not yet have seen the request */
        open_world(state);
    }
}

/* Who waits for libcurl alone is woken when a timeout is over, and seldom before. */
static void is_woken_for_a_timeout(void **state) {
    static const struct answer script[] = {{"", HANG, NULL}, END};
    int waits = 0;

    (void)state;
    world.server.script = script;
    world.target.timeout = 300;
    connect_world();
    http_send(world.http, &world.job, NOW);
    for (http_work(world.http); http_next(world.http, NOW, &world.reply) == NULL; waits++) {
        assert_in_range(waits, 0, 50);
        http_wait(world.http, NULL, 0, 9000);
        http_work(world.http);
    }
    expect_failure(&world.reply, FAILURE_TIMEOUT, "timeout: no answer in time");
    assert_in_range(world.reply.duration, 300 - 1, 8000); /* it begins within a ms of libcurl's */
}

static void waits_for_ever_but_not_for_a_head_without_end(void **state) {
    static const struct answer script[] = {
        {"HTTP/1.1 200 OK\r\n", ENDLESS, "x: y\r\n"}, SAYS(OK), END};

    (void)state;
    world.server.script = script;
    world.target.timeout = INT64_MAX;
    world.target.connect_timeout = INT64_MAX;
    expect_failure(post(), FAILURE_TOO_LARGE, "too_large: the headers have no end");
    expect_status(post(), 200);
}

static void says_that_a_header_is_too_long(void **state) {
    static const struct answer script[] = {
        {"HTTP/1.1 200 OK\r\nx: ", ENDLESS, "0123456789"},
        {CHUNKED("200") "1\r\nx\r\n0\r\nx-trailer: ", ENDLESS, "0123456789"},
        SAYS(OK),
        END};

    (void)state;
    world.server.script = script;
    expect_failure(post(), FAILURE_TOO_LARGE, "too_large: a header is too long");
    post();
    assert_int_equal(world.reply.failure, FAILURE_RECEIVE);
    expect_status(post(), 200);
}

/* ---- What is remembered of an attempt ---- */

static void keeps_the_headers_of_what_is_no_success(void **state) {
    static const struct answer script[] = {
        SAYS("HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 503 No\r\nRetry-After: 5\r\n"
             "Set-Cookie: a=secret\r\ncontent-length: 0\r\n\r\n"),
        SAYS("HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n"),
        {"HTTP/1.1 500 No\r\nx: y\r\ncontent-length: 5\r\n\r\nab", CLOSE, NULL},
        SAYS("HTTP/1.1 500 No\r\na: 0123456789\r\ncontent-length: 0\r\n\r\n"),
        END};
    static const char *const kept[] = {
        "Retry-After: 5\nSet-Cookie: (left out)\ncontent-length: 0\n", "",
        "x: y\ncontent-length: 5\n", "a: 01"};

    (void)state;
    world.server.script = script;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        world.target.headers_most = i < 3 ? 256 : 5;
        post();
        assert_string_equal(world.reply.headers, kept[i]);
        assert_int_equal(world.reply.headers_length, strlen(kept[i]));
    }
}

/* In the order in which they happened; what did not is -1. */
static void measures_the_steps(void **state) {
    static const struct answer script[] = {
        SAYS(OK), SAYS(OK), {"", CLOSE, NULL}, {"", HANG, NULL}, END};
    const struct steps *steps = &world.reply.steps;
    char body[100000] = {0};

    (void)state;
    world.server.script = script;
    expect_status(post(), 200);
    assert_true(steps->dns > 0 && steps->connect >= steps->dns);
    assert_int_equal(steps->tls, -1);
    assert_true(steps->first_byte >= steps->connect);
    expect_status(post(), 200); /* used again */
    assert_true(steps->dns == -1 && steps->connect == -1 && steps->tls == -1);
    assert_true(steps->first_byte > 0);
    connect_world();
    post(); /* closed, and nothing came; on a used one it would be tried on a new one */
    assert_int_equal(world.reply.failure, FAILURE_RECEIVE);
    assert_int_equal(steps->first_byte, -1);
    world.job.body = body; /* that one is large says nothing of the answer */
    world.job.body_length = sizeof body;
    world.target.timeout = 200;
    expect_failure(post(), FAILURE_TIMEOUT, "timeout: no answer in time");
    assert_int_equal(steps->first_byte, -1);
    set_url("http", "127.0.0.1", 1); /* nobody listens */
    post();
    assert_int_equal(world.reply.failure, FAILURE_CONNECT);
    assert_true(steps->dns > 0 && steps->connect == -1 && steps->first_byte == -1);
}

static void says_what_is_not_http(void **state) {
    static const struct {
        struct answer answer;
        const char *text;
    } cases[] = {
        {{"no http at all\r\n\r\n", CLOSE, NULL}, "protocol: the answer is not HTTP"},
        {{"SSH-2.0-server\r\n", HANG, NULL}, "protocol: the answer is not HTTP"},
        {{"", CLOSE, NULL}, "receive: closed without an answer"},
        {{"", RESET, NULL}, NULL},
        {{"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", CLOSE, NULL},
         "receive: the answer broke off"},
        {{"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", RESET, NULL}, NULL},
        {{CHUNKED("200") "3\r\nabc\r\n", CLOSE, NULL}, "receive: the answer broke off"},
        {{CHUNKED("200") "zzz\r\n", CLOSE, NULL}, NULL},
        {{"HTTP/1.1 2x0 OK\r\n\r\n", CLOSE, NULL}, NULL},
        {{"HTTP/1.1 200 OK\r\nx: y", CLOSE, NULL}, "receive: the answer broke off"},
        {{"HTTP/1.1 200 OK\r\nx: y\r\n", CLOSE, NULL}, "receive: the answer broke off"},
        {{"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\n", CLOSE, NULL},
         "receive: the answer broke off"},
        {{"HTTP/1.1 200 OK\r\n\r", CLOSE, NULL}, "receive: the answer broke off"},
        {{"HTTP/1.1 100 Go on\r\n\r\n", CLOSE, NULL}, NULL},
    };
    static struct answer script[] = {
        END, {"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", CLOSE, NULL}, END};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        script[0] = cases[i].answer;
        world.server.script = script;
        post();
        if (cases[i].text != NULL) {
            assert_string_equal(world.reply.error, cases[i].text);
        }
        if (world.reply.failure != FAILURE_PROTOCOL && world.reply.failure != FAILURE_RECEIVE) {
            fail_msg("%zu: %d %s", i, world.reply.status, world.reply.error);
        }
        expect_status(post(), 200); /* the handle is as good as new */
    }
}

static void says_that_nobody_listens(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int reserved = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, and no one accepts */

    (void)state;
    assert_int_equal(bind(reserved, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(reserved, (struct sockaddr *)&address, &length), 0);
    set_url("http", "127.0.0.1", ntohs(address.sin_port));
    expect_failure(post(), FAILURE_CONNECT, "connect: no connection");
    close(reserved);
}

static void says_what_can_not_be_sent(void **state) {
    static const struct {
        const char *url; /* with a port after it */
        enum failure failure;
        const char *text;
    } cases[] = {
        {"//:", FAILURE_INTERNAL, "internal: the target is not a URL"},
        {"http://a b:", FAILURE_INTERNAL, "internal: the target is not a URL"},
        {"ftp://127.0.0.1:", FAILURE_PROTOCOL, "protocol: the answer is not HTTP"},
        {"gopher://127.0.0.1:", FAILURE_PROTOCOL, "protocol: the answer is not HTTP"},
        {"file:///dev/null?", FAILURE_PROTOCOL, "protocol: the answer is not HTTP"},
        {"http://user:word@127.0.0.1:", FAILURE_INTERNAL, "internal: it can't be sent"},
    };
    char *endless = malloc(LIBCURL_TEXT_MOST + 2);
    time_t start = time(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(world.url, sizeof world.url, "%s%d", cases[i].url, world.server.port);
        expect_failure(post(), cases[i].failure, cases[i].text);
    }
    assert_int_equal(server_connections(&world.server), 0);
    assert_non_null(endless);
    memset(endless, 'a', LIBCURL_TEXT_MOST + 1);
    endless[LIBCURL_TEXT_MOST + 1] = '\0';
    world.target.url = endless;
    for (int i = 0; i < 2; i++) {
        http_send(world.http, &world.job, NOW);
    }
    http_wait(world.http, NULL, 0, 10000); /* there is something to be had */
    assert_true(time(NULL) - start < 5);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_in_flight(world.http), 2 - i);
        assert_ptr_equal(http_next(world.http, NOW, &world.reply), &world.job);
        expect_failure(&world.reply, FAILURE_INTERNAL, "internal: it can't be sent");
        assert_int_equal(world.reply.duration, 0);
    }
    world.options.user_agent = endless;
    assert_null(http_new(&world.options));
    free(endless);
}

/* A connection that the target closed meanwhile is no failure: libcurl makes a new one. */
static void survives_a_connection_gone_stale(void **state) {
    static const struct answer script[] = {{OK, CLOSE, NULL}, {NULL, KEEP, NULL}};

    (void)state;
    world.server.script = script;
    for (int i = 0; i < 5; i++) {
        expect_status(post(), 200);
    }
    assert_int_equal(server_requests(&world.server), 5);
}

/* ---- Many at once ---- */

static void sends_many_at_once(void **state) {
    struct job jobs[16];
    bool seen[16] = {false};

    (void)state;
    connect_world();
    for (int round = 0; round < 4; round++) {
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < 16; i++) {
            jobs[i] = world.job;
            http_send(world.http, &jobs[i], NOW);
        }
        assert_int_equal(http_in_flight(world.http), 16);
        for (int i = 0; i < 16; i++) {
            struct job *job = wait_for();

            expect_status(&world.reply, 200);
            assert_false(seen[job - jobs]);
            seen[job - jobs] = true;
        }
        assert_null(http_next(world.http, NOW, &world.reply));
        assert_int_equal(http_in_flight(world.http), 0);
    }
    assert_true(server_connections(&world.server) <= 16);
}

static void keeps_so_many_connections(void **state) {
    static const struct answer script[] = {{OK, GATHER, NULL}, END};
    struct job jobs[GATHERED];

    (void)state;
    world.server.script = script;
    world.options.connections = 2;
    connect_world();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < GATHERED; i++) {
            jobs[i] = world.job;
            http_send(world.http, &jobs[i], NOW);
        }
        for (int i = 0; i < GATHERED; i++) {
            wait_for();
            expect_status(&world.reply, 200);
        }
        assert_int_equal(server_connections(&world.server),
                         round == 0 ? GATHERED : 2 * GATHERED - 2);
    }
}

/* Until the server has so many requests, of which none will be answered; fails after 10 seconds. */
static void work_until_it_has(int requests) {
    time_t late = time(NULL) + 10;

    while (server_requests(&world.server) < requests) {
        assert_true(time(NULL) < late);
        http_work(world.http);
        http_wait(world.http, NULL, 0, 10);
    }
}

static void drops_what_is_in_flight(void **state) {
    static const struct answer script[] = {{"", HANG, NULL}, END};

    (void)state;
    world.server.script = script;
    connect_world();
    for (int i = 0; i < 3; i++) {
        http_send(world.http, &world.job, NOW);
    }
    work_until_it_has(3);
    assert_int_equal(http_in_flight(world.http), 3); /* http_free drops them: the sanitizers look */
    http_free(NULL);
}

static void gives_back_what_is_in_flight(void **state) {
    static const struct answer script[] = {{"", HANG, NULL}, SAYS(OK), END};
    struct job jobs[3];
    struct target none;
    unsigned given = 0;
    struct job *job;

    (void)state;
    world.server.script = script;
    connect_world();
    assert_null(http_abort(world.http));
    none = world.target;
    none.url = "//"; /* one that would fail, */
    for (int i = 0; i < 3; i++) {
        jobs[i] = world.job;
        jobs[i].target = i == 1 ? &none : &world.target;
    }
    http_send(world.http, &jobs[0], NOW); /* one that hangs, */
    work_until_it_has(1);
    http_send(world.http, &jobs[1], NOW);
    http_send(world.http, &jobs[2], NOW); /* and one that has not begun */
    for (int left = 2; (job = http_abort(world.http)) != NULL; left--) {
        assert_int_equal(http_in_flight(world.http), left);
        given |= 1U << (job - jobs);
    }
    assert_int_equal(given, 7);
    assert_int_equal(http_in_flight(world.http), 0);
    assert_null(http_next(world.http, NOW, &world.reply));
    expect_status(post(), 200);
}

static void wakes_for_other_descriptors(void **state) {
    struct curl_waitfd watched = {.events = CURL_WAIT_POLLIN};
    int ends[2];
    time_t start = time(NULL);

    (void)state;
    connect_world();
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
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sends_what_is_specified),
        TEST(lets_an_event_have_headers_of_its_own),
        TEST(sends_bodies_of_any_size),
        TEST(reads_statuses_on_one_connection),
        TEST(reads_answers_in_every_form),
        TEST(follows_no_redirect),
        TEST(reads_retry_after),
        TEST(asks_for_a_secret_back),
        TEST(bounds_what_is_read),
        TEST(times_out),
        TEST(is_woken_for_a_timeout),
        TEST(waits_for_ever_but_not_for_a_head_without_end),
        TEST(says_that_a_header_is_too_long),
        TEST(keeps_the_headers_of_what_is_no_success),
        TEST(measures_the_steps),
        TEST(says_what_is_not_http),
        TEST(says_that_nobody_listens),
        TEST(says_what_can_not_be_sent),
        TEST(survives_a_connection_gone_stale),
        TEST(sends_many_at_once),
        TEST(keeps_so_many_connections),
        TEST(drops_what_is_in_flight),
        TEST(gives_back_what_is_in_flight),
        TEST(wakes_for_other_descriptors),
    };

    int failed = cmocka_run_group_tests_name("swift", tests, NULL, NULL);

    may_hang = true;
    return failed + cmocka_run_group_tests_name("slow", tests, NULL, NULL);
}
