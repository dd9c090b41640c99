/*
** test_url.c: which targets are taken, and that libcurl, which will connect to them, reads the
** same host and port in every one.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "url.h"

#define LABEL63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"
#define HOST251                                                                                    \
    LABEL63 "." LABEL63 "." LABEL63 "."                                                            \
            "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvw"

_Static_assert(sizeof LABEL63 == 64, "LABEL63");
_Static_assert(sizeof HOST251 == 252, "HOST251");

static const struct {
    const char *url;
    const char *endpoint;
} taken[] = {
    {"http://a", "http://a:80"},
    {"https://a", "https://a:443"},
    {"https://example.com/", "https://example.com:443"},
    {"https://example.com/hooks/1?a=b&c=d", "https://example.com:443"},
    {"HTTPS://Example.COM/Path", "https://example.com:443"},
    {"hTTp://EXAMPLE.com:8080", "http://example.com:8080"},
    {"http://example.com?x=1", "http://example.com:80"},
    {"http://example.com:81?x=1", "http://example.com:81"},
    {"http://example.com./x", "http://example.com.:80"},
    {"http://localhost:1/", "http://localhost:1"},
    {"http://a:65535/", "http://a:65535"},
    {"https://a:80/", "https://a:80"},
    {"http://a:443/", "http://a:443"},
    {"http://a:080/", "http://a:80"},
    {"http://a:00001/", "http://a:1"},
    {"http://a-b.c--d.e9/", "http://a-b.c--d.e9:80"},
    {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example:80"},
    {"http://127.0.0.1/", "http://127.0.0.1:80"},
    {"http://10.0.0.1:3000/x", "http://10.0.0.1:3000"},
    {"http://999.999.999.999/", "http://999.999.999.999:80"},
    {"http://1.2.3.4.5/", "http://1.2.3.4.5:80"},
    {"http://[::1]/", "http://[::1]:80"},
    {"http://[::1]:8080/x", "http://[::1]:8080"},
    {"http://[::1]?x", "http://[::1]:80"},
    {"https://[2001:DB8::A]", "https://[2001:db8::a]:443"},
    {"http://[::]/", "http://[::]:80"},
    {"http://[::ffff:127.0.0.1]/", "http://[::ffff:127.0.0.1]:80"},
    {"http://[0000:0000:0000:0000:0000:0000:0000:0001]/",
     "http://[0000:0000:0000:0000:0000:0000:0000:0001]:80"},
    {"http://[1:2:3:4:5:6:7:8]/", "http://[1:2:3:4:5:6:7:8]:80"},
    /* An IPv4 address to a resolver, a name to this grammar: the guard's to judge. */
    {"http://2130706433/", "http://2130706433:80"},
    {"http://0x7f.1/", "http://0x7f.1:80"},
    {"http://0x7f000001/", "http://0x7f000001:80"},
    {"http://0177.0.0.1/", "http://0177.0.0.1:80"},
    {"http://127.1/", "http://127.1:80"},
    {"http://0/", "http://0:80"},
    /* Path and query */
    {"http://_a._b_.c_/", "http://_a._b_.c_:80"}, /* names on private networks have them */
    {"http://a/-._~!$&'()*+,;=:@/?", "http://a:80"},
    {"http://a/?-._~!$&'()*+,;=:@/?", "http://a:80"},
    {"http://a/user@host:1/", "http://a:80"},
    {"http://a?user@host:1/", "http://a:80"},
    {"http://a/%00%2f%2F%ff%Ab", "http://a:80"},
    {"http://a/?q=%20", "http://a:80"},
    {"http://a//b//", "http://a:80"},
    {"http://a/../b/./c", "http://a:80"},
    {"http://a/http://b/", "http://a:80"},
    {"http://a/?", "http://a:80"},
    {"http://a?", "http://a:80"},
    {"http://" LABEL63 ".com/", "http://" LABEL63 ".com:80"},
    {"http://" HOST251 ".z", "http://" HOST251 ".z:80"},
    {"http://" HOST251 ".z.", "http://" HOST251 ".z.:80"},
};

static const char *const refused[] = {
    "",
    /* Schemes */
    "a",
    "example.com",
    "example.com/x",
    "//example.com/",
    "/path",
    "://a",
    "http",
    "http:",
    "http:a",
    "http:/a",
    "http:///a",
    "http://///a",
    "http;//a",
    "https//a",
    "httpss://a",
    "xhttp://a",
    "ftp://a/",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "gopher://a",
    "ws://a",
    "data:,x",
    "javascript:alert(1)",
    "unix:/run/x",
    " http://a",
    "http ://a",
    "http%3a//a",
    /* No host */
    "http://",
    "https://",
    "http:///",
    "http://?x",
    "http://:80",
    "http://:80/x",
    "http://:",
    /* User names */
    "http://user@a/",
    "http://user:pw@a/",
    "http://@a/",
    "http://:@a/",
    "http://a:80@b/",
    "http://a@b@c/",
    "http://[::1]@b/",
    "http://a%40b/",
    "http://user%40x@a/",
    /* Fragments */
    "http://a#",
    "http://a/#x",
    "http://a/x?y#z",
    "http://a#@b/",
    /* Backslashes, blanks, controls, other alphabets */
    "http:\\\\a\\",
    "http://a\\b",
    "http://a\\@b/",
    "http://a/b\\c",
    "http://a/b c",
    "http://a b/",
    "http://a/ ",
    "http://a/\n",
    "http://a\r\nHost: b/",
    "http://a/\t",
    "http://a/\x01",
    "http://a/\x7f",
    "http://a/\xc3\xa9",
    "http://m\xc3\xbcnchen.example/",
    "http://a\xe3\x80\x82org/",
    "http://\xef\xbc\x91.1.1.1/",
    "http://a/\x80",
    "http://a/\xff",
    /* Ports */
    "http://a:0/",
    "http://a:00000/",
    "http://a:65536/",
    "http://a:99999/",
    "http://a:100000/",
    "http://a:4294967376/",
    "http://a:000080/",
    "http://a:/",
    "http://a:",
    "http://a:?x",
    "http://a:-1/",
    "http://a:+80/",
    "http://a:8o/",
    "http://a:80:81/",
    "http://a:0x50/",
    "http://a:80%30/",
    "http://[::1]:/",
    "http://[::1]:0/",
    "http://[::1]80/",
    "http://[::1]x/",
    "http://[::1].b/",
    /* Hosts */
    "http://./",
    "http://../",
    "http://.a/",
    "http://a../",
    "http://a..b/",
    "http://-a/",
    "http://a-/",
    "http://a.-b/",
    "http://a-.b/",
    "http://-/",
    "http://a*b/",
    "http://*.a/",
    "http://a,b/",
    "http://a;b/",
    "http://a!b/",
    "http://a$b/",
    "http://a&b/",
    "http://a%62/",
    "http://a%00b/",
    "http://%31%32%37.0.0.1/",
    "http://a|b/",
    "http://a<b/",
    "http://\"a\"/",
    "http://{a,b}/",
    "http://a[0-9]/",
    "http://::1/",
    "http://[/",
    "http://[]/",
    "http://[]:80/",
    "http://[::1/",
    "http://[::1",
    "http://::1]/",
    "http://[::1]]/",
    "http://[[::1]]/",
    "http://[:::1]/",
    "http://[1::2::3]/",
    "http://[::g]/",
    "http://[12345::]/",
    "http://[1:2:3:4:5:6:7]/",
    "http://[1:2:3:4:5:6:7:8:9]/",
    "http://[127.0.0.1]/",
    "http://[a]/",
    "http://[::1%25eth0]/",
    "http://[::1%eth0]/",
    "http://[fe80::1%251]/",
    "http://[::ffff:0x7f.0.0.1]/",
    "http://[::ffff:127.1]/",
    "http://[v1.x]/",
    "http://[0000:0000:0000:0000:0000:0000:255.255.255.2555]/", /* as long as INET6_ADDRSTRLEN */
    "http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]/",
    /* Path and query */
    "http://a/%",
    "http://a/%2",
    "http://a/%2g",
    "http://a/%g2",
    "http://a/%%20",
    "http://a/?%",
    "http://a/?x=%zz",
    "http://a/<b>",
    "http://a/\"",
    "http://a/`",
    "http://a/{id}",
    "http://a/^",
    "http://a/x|y",
    "http://a/?a[0]=1",
    "http://a/[b]",
};

static void takes_and_names_the_endpoint(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        struct url_endpoint endpoint;
        const char *wrong = url_check(taken[i].url, strlen(taken[i].url), &endpoint);

        if (wrong != NULL) {
            fail_msg("%s %s", taken[i].url, wrong);
        }
        assert_string_equal(endpoint.text, taken[i].endpoint);
        assert_null(url_check(taken[i].url, strlen(taken[i].url), NULL));
    }
}

static void refuses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct url_endpoint endpoint = {"untouched"};

        if (url_check(refused[i], strlen(refused[i]), &endpoint) == NULL) {
            fail_msg("%s was taken as %s", refused[i], endpoint.text);
        }
        assert_string_equal(endpoint.text, "untouched");
    }
    assert_string_equal(url_check(NULL, 0, NULL), "is empty");
    assert_non_null(url_check("http://a/\0", 10, NULL));
    assert_non_null(url_check("http://a\0.b/", 12, NULL));
    assert_non_null(url_check("http://[::1\0]/", 14, NULL));
    assert_non_null(url_check("http://", 7, NULL));
    assert_null(url_check("http://ab@", 8, NULL)); /* length rules, not a NUL */
}

/* Of all bytes in each place only those that RFC 3986 has there. */
static void judges_every_byte(void **state) {
    static const char alphanumeric[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char marks[] = "-._~!$&'()*+,;=:@/?";

    (void)state;
    for (int c = 0; c < 256; c++) {
        char host[] = "http://a_b/";
        char path[] = "http://a/_";
        char query[] = "http://a/?_b";
        bool letter = memchr(alphanumeric, c, 62) != NULL;
        bool in_path = letter || memchr(marks, c, sizeof marks - 1) != NULL;

        host[8] = (char)c;
        path[9] = (char)c;
        query[10] = (char)c;
        assert_int_equal(url_check(host, 11, NULL) == NULL,
                         letter || (c != 0 && strchr("-_./?", c) != NULL));
        assert_int_equal(url_check(path, 10, NULL) == NULL, in_path);
        assert_int_equal(url_check(query, 12, NULL) == NULL, in_path);
    }
}

static void bounds_the_length(void **state) {
    char *url = malloc(URL_MAX + 1);
    struct url_endpoint endpoint;

    (void)state;
    assert_non_null(url);
    memset(url, 'x', URL_MAX + 1);
    memcpy(url, "http://a/", 9);
    assert_null(url_check(url, URL_MAX, &endpoint));
    assert_string_equal(endpoint.text, "http://a:80");
    assert_string_equal(url_check(url, URL_MAX + 1, &endpoint), "is longer than 2048 bytes");
    free(url);
}

static void bounds_hosts(void **state) {
    static const struct {
        const char *url;
        const char *wrong;
    } hosts[] = {
        {"http://" LABEL63 "x.com",
         "has a host with a part between dots that is empty or longer than 63 bytes"},
        {"http://" HOST251 ".zz", "has a host of more than 253 bytes"},
        {"http://" HOST251 ".zz.", "has a host of more than 253 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        assert_string_equal(url_check(hosts[i].url, strlen(hosts[i].url), NULL), hosts[i].wrong);
    }
}

/* The texts are constants, so no part of a URL, which may hold a token, can be in one: a look. */
static void never_repeats_the_url(void **state) {
    (void)state;
    assert_null(strstr(url_check("http://SECRET@a/", 16, NULL), "SECRET"));
    assert_null(strstr(url_check("http://a/SECRET ", 16, NULL), "SECRET"));
}

/* Hosts as addresses when they are, so that different spellings of one compare equal. */
static bool same_host(const char *a, const char *b) {
    unsigned char ours[16] = {0};
    unsigned char theirs[16] = {0};
    struct in_addr x;
    struct in_addr y;
    char text[256];

    if (a[0] == '[' && b[0] == '[') {
        snprintf(text, sizeof text, "%.*s", (int)strlen(a) - 2, a + 1);
        assert_int_equal(inet_pton(AF_INET6, text, ours), 1);
        snprintf(text, sizeof text, "%.*s", (int)strlen(b) - 2, b + 1);
        return inet_pton(AF_INET6, text, theirs) == 1 && memcmp(ours, theirs, 16) == 0;
    }
    if (strcasecmp(a, b) == 0) {
        return true;
    }
    return inet_aton(a, &x) != 0 && inet_aton(b, &y) != 0 && x.s_addr == y.s_addr; /* 0x7f.1 */
}

/* What we take, libcurl takes, and it reads the same scheme, host and port in it. */
static void compare_with_curl(const char *url, const char *endpoint) {
    CURLU *handle = curl_url();
    char *scheme = NULL;
    char *host = NULL;
    char *port = NULL;
    char ours[URL_MAX];
    const char *colon = strrchr(endpoint, ':');
    const char *start = strstr(endpoint, "://") + 3;
    CURLUcode rc;

    assert_non_null(handle);
    rc = curl_url_set(handle, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (rc != CURLUE_OK) {
        fail_msg("%s: libcurl %s: %s", url, curl_version(), curl_url_strerror(rc));
    }
    assert_int_equal(curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0), CURLUE_OK);
    assert_int_equal(curl_url_get(handle, CURLUPART_HOST, &host, 0), CURLUE_OK);
    assert_int_equal(curl_url_get(handle, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT), CURLUE_OK);
    snprintf(ours, sizeof ours, "%.*s", (int)(colon - start), start);
    if (strncmp(scheme, endpoint, strlen(scheme)) != 0 ||
        strlen(scheme) + 3 != (size_t)(start - endpoint) || !same_host(ours, host) ||
        strcmp(port, colon + 1) != 0) {
        fail_msg("%s: %s, to libcurl %s %s %s", url, endpoint, scheme, host, port);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(handle);
}

static void agrees_with_curl(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        compare_with_curl(taken[i].url, taken[i].endpoint);
    }
}

/* Random sequences of the pieces that parsers disagree about. */
static void agrees_with_curl_on_random_urls(void **state) {
    static const char *const pieces[] = {
        "a",         "B",   "example.com",
        "127.0.0.1", "1",   "0",
        "[::1]",     "[",   "]",
        ":",         ":80", ":0",
        ":65536",    "@",   ".",
        "..",        "-",   "/",
        "//",        "\\",  "?",
        "#",         "%",   "%2e",
        "%40",       "x=1", "&",
        ";",         ",",   "0x7f",
        "xn--",      "::1", "[::ffff:1.2.3.4]",
        "%25",       "\t",  " ",
        "\xc3\xa9",  "999", "localhost",
        "/..",       "~",   "*",
    };
    unsigned seed = 42;
    int accepted = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        char url[256];
        struct url_endpoint endpoint;
        size_t length;
        unsigned count;

        seed = seed * 1664525 + 1013904223;
        count = (seed >> 16) % 6 + 1;
        length =
            (size_t)snprintf(url, sizeof url, "%s", (seed >> 30) != 0 ? "http://" : "HTTPS://");
        for (unsigned j = 0; j < count; j++) {
            seed = seed * 1664525 + 1013904223;
            length += (size_t)snprintf(url + length, sizeof url - length, "%s",
                                       pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        if (url_check(url, length, &endpoint) == NULL) {
            compare_with_curl(url, endpoint.text);
            accepted++;
        }
    }
    assert_true(accepted > 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_and_names_the_endpoint),
        cmocka_unit_test(refuses),
        cmocka_unit_test(judges_every_byte),
        cmocka_unit_test(bounds_the_length),
        cmocka_unit_test(bounds_hosts),
        cmocka_unit_test(never_repeats_the_url),
        cmocka_unit_test(agrees_with_curl),
        cmocka_unit_test(agrees_with_curl_on_random_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
