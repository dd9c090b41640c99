/*
** test_http_way.c: where the transport goes, and by which way: addresses, names, proxies, TLS.
**
** Names are resolved by the getaddrinfo of this file, so that a name server can lie, or hang; the time
** is of its time(), which can be ahead.
** SPDX-License-Identifier: MIT
*/
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netdb.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

#include "guard.c" /* to take back what was allowed, between two requests on one connection */
#include "http_world.h"

/* ---- The resolver ---- */

static sem_t name_server;     /* "slow.test" waits for it, */
static volatile bool gave_up; /* not longer than this */
static volatile int asked;    /* for another name, so far */
static time_t ahead;          /* s: to libcurl it is later than it is */

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **result);
__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *list);
__attribute__((visibility("default"))) time_t time(time_t *result);

time_t time(time_t *result) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL) {
        *result = now.tv_sec + ahead;
    }
    return now.tv_sec + ahead;
}

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
    asked += strcmp(node, "slow.test") != 0; /* threads that nobody awaits may still begin */
    if (strcmp(node, "slow.test") == 0) {
        struct timespec late;

        clock_gettime(CLOCK_REALTIME, &late);
        late.tv_sec += 20;
        if (sem_timedwait(&name_server, &late) != 0) {
            gave_up = true;
        }
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

/* ---- The guard ---- */

#define NOT_ALLOWED "refused: target address is not allowed"
#define NOWHERE "dns: the name has no address that is allowed"
#define NOT_PLAIN "refused: plain http is allowed only to networks given by --allow"

/* Nothing was measured that could tell what is there. */
static void expect_no_step(void) {
    const struct steps *steps = &world.reply.steps;

    assert_true(steps->dns == -1 && steps->connect == -1 && steps->tls == -1 &&
                steps->first_byte == -1);
}

static void refuses_what_the_guard_refuses(void **state) {
    static const char *const hosts[] = {
        "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1",         "0177.0.0.1",     "0.0.0.0",
        "0",         "[::1]", "[::]",       "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"};

    (void)state;
    world.guard->count = 0;
    world.options.allow_http = true; /* it is the address, not the scheme */
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        set_url(i % 2 == 0 ? "http" : "https", hosts[i], world.server.port);
        expect_failure(post(), FAILURE_REFUSED, NOT_ALLOWED);
        expect_no_step();
    }
    world.guard->count = 1;
    set_url("http", "127.0.0.9", world.server.port); /* it is forgotten with the next attempt */
    expect_failure(post(), FAILURE_CONNECT, "connect: no connection");
    assert_int_equal(server_connections(&world.server), 0);
}

/* Of a name that is known inside a subscriber learns no more than of one that nobody knows. */
static void says_of_no_name_that_it_is_inside(void **state) {
    static const char *const names[] = {"nowhere.test", "inside.test",  "private.test",
                                        "localhost",    "a.localhost.", "LOCALHOST"};

    (void)state;
    world.guard->count = 0;
    for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        world.options.allow_http = i % 2 == 0;
        set_url(i % 2 == 0 ? "http" : "https", names[i / 2], world.server.port);
        expect_failure(post(), FAILURE_DNS, NOWHERE);
        expect_no_step();
    }
    assert_int_equal(server_connections(&world.server), 0);
}

static void refuses_on_a_connection_that_is_used_again(void **state) {

    (void)state;
    expect_status(post(), 200);
    expect_status(post(), 200);
    assert_int_equal(server_connections(&world.server), 1);
    world.guard->count = 0;
    expect_failure(post(), FAILURE_REFUSED, NOT_ALLOWED);
    assert_int_equal(server_connections(&world.server), 1);
    assert_int_equal(server_requests(&world.server), 2);
    world.guard->count = 1;
    expect_status(post(), 200);
}

static void tries_the_address_that_is_allowed(void **state) {
    static const struct answer script[] = {SAYS(OK), {"", CLOSE, NULL}, END};

    (void)state;
    world.server.script = script;
    set_url("http", "mixed.test", world.server.port);
    expect_status(post(), 200);
    connect_world();
    expect_failure(post(), FAILURE_RECEIVE, "receive: closed without an answer"); /* its own */
}

static void allows_plain_http_only_as_told(void **state) {

    (void)state;
    set_url("http", "203.0.114.1", 9); /* public: refused before a socket is made */
    expect_failure(post(), FAILURE_REFUSED, NOT_PLAIN);
    set_url("HTTP", "203.0.114.1", 9);
    expect_failure(post(), FAILURE_REFUSED, NOT_PLAIN);
    set_url("http", "10.0.0.1", 9);
    expect_failure(post(), FAILURE_REFUSED, NOT_ALLOWED);
    set_url("http", "127.0.0.1", world.server.port); /* allowed, without allow_http */
    expect_status(post(), 200);
}

/* ---- Proxies ---- */

static void takes_nothing_from_the_environment(void **state) {
    static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                          "ALL_PROXY"};
    char home[] = "/tmp/resthook-test-XXXXXX";
    char netrc[64];
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(home));
    snprintf(netrc, sizeof netrc, "%s/.netrc", home);
    file = fopen(netrc, "w");
    assert_non_null(file);
    fputs("machine 127.0.0.1 login a password b\n", file);
    fclose(file);
    setenv("HOME", home, 1);
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
        setenv(proxies[i], "http://127.0.0.1:9", 1);
    }
    expect_status(post(), 200);
    expect_start(world.server.requests[0], "POST / HTTP/1.1\r\n");
    assert_null(strcasestr(world.server.requests[0], "authorization"));
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
        unsetenv(proxies[i]);
    }
    unlink(netrc);
    rmdir(home);
}

static void sends_by_the_proxy_it_is_given(void **state) {
    static const char *const inside[] = {
        "127.0.0.1",         "127.1",     "2130706433",      "10.0.0.1",   "[::1]",
        "[::ffff:10.0.0.1]", "[fe80::1]", "169.254.169.254", "127.0.0.1.", "a b"};
    /* names to libcurl, and perhaps addresses to a proxy */
    static const char *const spelled[] = {"localhost",   "LOCALHOST.", "foo.localhost",
                                          "2130706433.", "0x7f.1.",    "4294967297",
                                          "1.2.3.4.5",   "09.0.0.1",   "a.0x7F"};
    static const char *const names[] = {
        "example.test", "a.localhost.test", "notlocalhost", "1.example.test.", "x0x7f", "1.test"};
    char proxy[64];

    (void)state;
    setenv("no_proxy", "*", 1);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", world.server.port);
    world.options.proxy = proxy;
    world.guard->count = 0; /* the proxy's own address is the operator's affair */
    set_url("http", "example.test", 8080);
    expect_failure(post(), FAILURE_REFUSED, NOT_PLAIN);
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        set_url(i % 2 == 0 ? "http" : "https", inside[i], 8080);
        expect_failure(post(), FAILURE_REFUSED, NOT_ALLOWED);
        assert_int_equal(world.reply.duration, 0);
    }
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++) {
        set_url("https", spelled[i], 8080);
        expect_failure(post(), FAILURE_DNS, NOWHERE);
    }
    assert_int_equal(server_connections(&world.server), 0);
    world.options.allow_http = true;
    connect_world();
    set_url("http", "example.test", 8080);
    expect_status(post(), 200);
    expect_start(world.server.requests[0], "POST http://example.test:8080/ HTTP/1.1\r\n");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        set_url("http", names[i], 8080);
        expect_status(post(), 200);
    }
    world.guard->count = 1; /* 127.0.0.0/8 */
    set_url("http", "localhost", 8080);
    expect_status(post(), 200);
    unsetenv("no_proxy");
}

static void shows_a_proxy_no_header_of_a_tunnel(void **state) {
    static const struct answer script[] = {{EMPTY("403"), CLOSE, NULL}, END};
    static const char *const headers[] = {"Authorization: Bearer abc", NULL};
    char proxy[64];

    (void)state;
    world.server.script = script;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", world.server.port);
    world.options.proxy = proxy;
    world.target.headers = headers;
    set_url("https", "example.test", 443);
    expect_failure(post(), FAILURE_CONNECT, "connect: not through the proxy");
    expect_response(&world.reply, "");
    assert_int_equal(world.reply.headers_length, 0); /* the proxy's are of the inside */
    expect_start(world.server.requests[0], "CONNECT example.test:443 HTTP/1.1\r\n");
    assert_null(strstr(world.server.requests[0], "Bearer"));
    assert_null(strstr(world.server.requests[0], "webhook-"));
}

static void waits_for_no_name_server(void **state) {
    struct target slow = world.target;
    struct job job = world.job;
    char url[64];

    (void)state;
    connect_world();
    snprintf(url, sizeof url, "http://slow.test:%d/", world.server.port);
    slow.url = url;
    job.target = &slow;
    http_send(world.http, &job, NOW);
    http_send(world.http, &world.job, NOW);
    assert_ptr_equal(wait_for(), &world.job);
    assert_ptr_equal(http_abort(world.http), &job);
    slow.connect_timeout = 50;
    http_send(world.http, &job, NOW);
    assert_ptr_equal(wait_for(), &job);
    expect_failure(&world.reply, FAILURE_TIMEOUT, "timeout: the name was not resolved in time");
    http_send(world.http, &job, NOW); /* and one that is dropped */
    http_work(world.http);
    http_free(world.http);
    world.http = NULL;
    assert_false(gave_up);
    for (int i = 0; i < 3; i++) {
        sem_post(&name_server);
    }
}

/* An attempt at this time, by another connection than the last one's. Returns how often the name server
** had to be asked. */
static int look_ups(int64_t now) {
    int before = asked;
    time_t late = time(NULL) + 10;

    http_send(world.http, &world.job, now);
    while (http_next(world.http, now, &world.reply) == NULL) {
        assert_true(time(NULL) < late);
        http_wait(world.http, NULL, 0, 1000);
        http_work(world.http);
    }
    return asked - before;
}

/* … and a second, since only one transfer a second looks for what is older. */
static void keeps_addresses_for_a_minute(void **state) {
    static const struct answer script[] = {
        {"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", CLOSE, NULL}, END};
    struct target good = world.target, bad = world.target;

    (void)state;
    world.server.script = script;
    connect_world();
    set_url("http", "inside.test", world.server.port);
    bad.url = "http://nowhere.test/";
    assert_int_equal(look_ups(NOW), 1);
    assert_int_equal(look_ups(NOW), 0);
    expect_status(&world.reply, 200);
    ahead = 61;
    assert_int_equal(look_ups(NOW + 999), 0);
    assert_int_equal(look_ups(NOW + 1000), 1);
    assert_int_equal(look_ups(NOW + 1500), 0);
    ahead += 24 * 3600; /* nothing was sent for a day */
    assert_int_equal(look_ups(NOW + 24 * 3600 * 1000), 1);
    ahead += 61; /* the clock was set back */
    assert_int_equal(look_ups(NOW), 1);
    ahead += 61; /* one that comes to no connection looks for nothing */
    world.job.target = &bad;
    assert_int_equal(look_ups(NOW + 1000), 1);
    assert_int_equal(world.reply.failure, FAILURE_DNS);
    world.job.target = &good;
    assert_int_equal(look_ups(NOW + 1000), 1);
    ahead = 0;
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
static void answer_as_openssl(int output, int input) {
    struct curl_waitfd shown = {.fd = output, .events = CURL_WAIT_POLLIN};
    char text[16384];
    size_t length = 0;
    time_t late = time(NULL) + 10;
    bool answered = false;

    for (http_work(world.http); http_next(world.http, NOW, &world.reply) == NULL;
         http_work(world.http)) {
        assert_true(time(NULL) < late);
        http_wait(world.http, &shown, 1, 1000);
        if (shown.revents != 0) {
            ssize_t came = read(output, text + length, sizeof text - 1 - length);

            assert_true(came > 0);
            length += (size_t)came;
            text[length] = '\0';
        }
        if (!answered && length > 0 && strstr(text, world.job.body) != NULL) {
            answered = write(input, OK, sizeof OK - 1) == sizeof OK - 1;
        }
    }
}

static void trusts_only_what_it_is_told(void **state) {
    char folder[] = "/tmp/resthook-test-XXXXXX";
    char elsewhere[] = "/tmp/resthook-test-XXXXXX";
    char certificate[64];
    char key[64];
    char stranger[64]; /* what another one trusts: the system may have no certificates at all */
    char stranger_key[64];
    char *arguments[] = {"openssl",   "s_server", "-accept", "127.0.0.1:0", "-cert",
                         certificate, "-key",     key,       NULL};
    int input[2];
    int output[2];
    int port;
    pid_t child;

    (void)state;
    assert_non_null(mkdtemp(folder));
    make_certificate(folder, certificate, key, sizeof key);
    assert_non_null(mkdtemp(elsewhere));
    make_certificate(elsewhere, stranger, stranger_key, sizeof stranger_key);
    assert_int_equal(pipe(input), 0);
    assert_int_equal(pipe(output), 0);
    child = start(arguments, input[0], output[1]);
    port = read_port(output[0]);
    world.options.ca_file = stranger;
    connect_world();
    set_url("https", "127.0.0.1", port);
    expect_failure(post(), FAILURE_TLS, "tls: the certificate is not trusted");

    world.options.ca_file = "/nonexistent";
    connect_world();
    expect_failure(post(), FAILURE_TLS, "tls: the trusted certificates can't be read");

    world.options.ca_file = certificate;
    connect_world();
    set_url("https", "inside.test", port); /* the same server, by a name that it doesn't prove */
    expect_failure(post(), FAILURE_TLS, "tls: the certificate is not trusted");
    set_url("https", "127.0.0.1", port);
    http_send(world.http, &world.job, NOW);
    answer_as_openssl(output[0], input[1]);
    expect_status(&world.reply, 200);
    expect_response(&world.reply, "ok");

    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (int i = 0; i < 2; i++) {
        close(input[i]);
        close(output[i]);
    }
    unlink(certificate);
    unlink(key);
    rmdir(folder);
    unlink(stranger);
    unlink(stranger_key);
    rmdir(elsewhere);
}

/* ---- HTTP/2, with nginx ---- */

#define NGINX "/usr/sbin/nginx"
static const char configuration[] =
    "daemon off; master_process off; pid %s/pid; error_log /dev/null;\n"
    "events { worker_connections 64; }\n"
    "http { access_log off; client_body_temp_path %s/body;\n"
    "proxy_temp_path %s/a; fastcgi_temp_path %s/b; uwsgi_temp_path %s/c; scgi_temp_path %s/d;\n"
    "server { listen 127.0.0.1:%d ssl http2; ssl_certificate %s; ssl_certificate_key %s;\n"
    "location / { add_header x-protocol $server_protocol always; return 404; } } }\n";

/* A port that nobody has: nginx can't choose one by itself. */
static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &length), 0);
    close(taken);
    return ntohs(address.sin_port);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}

/* As of HTTP/1.1: the guard sees each request on a connection that is used again. */
static void refuses_on_a_connection_of_http2_too(void **state) {
    char folder[] = "/tmp/resthook-test-XXXXXX";
    char certificate[64];
    char key[64];
    char path[64];
    char *arguments[] = {NGINX, "-p", folder, "-c", path, NULL};
    time_t late = time(NULL) + 10;
    int port = free_port();
    int silent[2];
    FILE *file;
    pid_t child;

    (void)state;
    if (access(NGINX, X_OK) != 0) {
        print_message("# there is no " NGINX " (sh .ci/deps lint)\n");
        skip();
    }
    assert_non_null(mkdtemp(folder));
    make_certificate(folder, certificate, key, sizeof key);
    snprintf(path, sizeof path, "%s/nginx.conf", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, configuration, folder, folder, folder, folder, folder, folder, port, certificate,
            key);
    fclose(file);
    assert_int_equal(pipe(silent), 0);
    child = start(arguments, silent[0], silent[1]);
    world.options.ca_file = certificate;
    connect_world();
    set_url("https", "127.0.0.1", port);
    while (post()->failure == FAILURE_CONNECT) { /* it is not there yet */
        assert_true(time(NULL) < late);
        poll(NULL, 0, 10);
    }
    expect_status(&world.reply, 404);
    assert_non_null(strstr(world.reply.headers, "x-protocol: HTTP/2.0\n"));
    expect_status(post(), 404);
    assert_int_equal(world.reply.steps.dns, -1); /* the same connection */
    world.guard->count = 0;
    expect_failure(post(), FAILURE_REFUSED, NOT_ALLOWED);
    world.guard->count = 1;
    expect_status(post(), 404);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(silent[0]);
    close(silent[1]);
    assert_int_equal(nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(refuses_what_the_guard_refuses),
        TEST(says_of_no_name_that_it_is_inside),
        TEST(refuses_on_a_connection_that_is_used_again),
        TEST(tries_the_address_that_is_allowed),
        TEST(allows_plain_http_only_as_told),
        TEST(takes_nothing_from_the_environment),
        TEST(sends_by_the_proxy_it_is_given),
        TEST(shows_a_proxy_no_header_of_a_tunnel),
        TEST(waits_for_no_name_server),
        TEST(keeps_addresses_for_a_minute),
        TEST(trusts_only_what_it_is_told),
        TEST(refuses_on_a_connection_of_http2_too),
    };

    sem_init(&name_server, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
