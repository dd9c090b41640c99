/*
** test_proxy.c: what can be a proxy, and what of it is shown.
** SPDX-License-Identifier: MIT
*/
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy.h"

static void takes_what_libcurl_connects_to(void **state) {
    static const char *const good[] = {
        "127.0.0.1:9",
        "proxy",
        "proxy.example.com:3128",
        "[::1]:3128",
        "u:p@proxy:80",
        "http://proxy",
        "HTTP://proxy:1",
        "https://proxy:65535/",
        "http://u@proxy",
        "http://u:p%40:%2f@proxy:3128/path",
        "http://:p@proxy",
        "socks4://proxy",
        "socks4a://proxy",
        "socks5://[::1]:1080",
        "socks5h://u:p@127.0.0.1",
        "socks5h://localhost/run/tor.sock",
        "http://proxy:",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!proxy_check(good[i])) {
            fail_msg("refused: %s", good[i]);
        }
    }
}

static void refuses_what_it_can_not_connect_to(void **state) {
    static const char *const bad[] = {
        "",
        " ",
        ":80",
        "://a",
        "http://",
        "http:///x",
        "http://:80",
        "http://u:p@",
        "http://u:p@:80",
        "http://?a",
        "http://h ost",
        "http://h%20ost",
        " http://host",
        "http://host\x1b[31m",
        "http://host:0",
        "host:00",
        "http://host:-1",
        "http://host:65536",
        "http://localhost:99999",
        "http://host:80x",
        "host:80:90",
        "http://[::1",
        "http://u:p@[::1",
        "http://[no]",
        "http://u:%00@host",
        "http://%0a:p@host",
        "sock5://host",
        "ftp://host",
        "ftp.example.com:3128", /* to libcurl an FTP server */
        "file:///etc/passwd",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (proxy_check(bad[i])) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void shows_no_password(void **state) {
    static const struct {
        const char *url, *shown;
    } urls[] = {
        {"http://u:pw@host:80", "http://…@host:80"},
        {"http://u:p@w@host", "http://…@host"},
        {"http://u:pw@", "http://…@"},
        {"u:pw@host", "…@host"},
        {"http://u:pw", "http://u:…"}, /* the host was forgotten */
        {"u:pw", "u:…"},
        {"http://u:pw%40host", "http://u:…"},
        {"http://u:123456", "http://u:…"},
        {"http://localhost:99999", "http://localhost:99999"},
        {"http://host:0/x", "http://host:0/x"},
        {"http://[::1", "http://[::1"},
        {"http://", "http://"},
        {"://a", "://a"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char *shown = proxy_shown(urls[i].url);

        assert_string_equal(shown, urls[i].shown);
        free(shown);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_libcurl_connects_to),
        cmocka_unit_test(refuses_what_it_can_not_connect_to),
        cmocka_unit_test(shows_no_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
