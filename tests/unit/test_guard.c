/*
** test_guard.c: which addresses may be connected to.
** SPDX-License-Identifier: MIT
*/
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "guard.h"

/* The first and the last address of every network that is refused, and its neighbours. */
static const char *const refused[] = {
    /* IPv4 */
    "0.0.0.0", "0.0.0.1", "0.255.255.255", "10.0.0.0", "10.1.2.3", "10.255.255.255", "100.64.0.0",
    "100.100.100.200", "100.127.255.255", "127.0.0.0", "127.0.0.1", "127.255.255.255",
    "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255",
    "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.0.255", "192.0.2.0",
    "192.0.2.255", "192.31.196.0", "192.31.196.255", "192.52.193.0", "192.52.193.255",
    "192.88.99.0", "192.88.99.255", "192.168.0.0", "192.168.255.255", "192.175.48.0",
    "192.175.48.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255",
    "203.0.113.0", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254",
    "255.255.255.255",
    /* IPv6 outside of 2000::/3 */
    "::", "::1", "::2", "::7f00:1", "::8.8.8.8", "100::", "100::1", "100:0:0:1::1", "64:ff9b:1::1",
    "64:ff9b:1:ffff:ffff:ffff:8.8.8.8", "1fff:ffff::1", "4000::", "5f00::1", "fc00::", "fc00::1",
    "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "fe80::1", "febf::1",
    "fec0::1", "feff::1", "ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    /* and within */
    "2001::", "2001::1", "2001:0:4136:e378::1", "2001:2::1", "2001:10::1", "2001:20::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8::1",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2620:4f:8000::1",
    "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    /* IPv4 inside: mapped, NAT64, 6to4 */
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "::ffff:255.255.255.255", "::ffff:c0a8:101", "::ffff:168.63.129.16", "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::", "2002:7f00:1::", "2002:7f00:1::1",
    "2002:a00:1::1", "2002:c0a8:101:ffff:ffff:ffff:ffff:ffff", "2002:a9fe:a9fe::1", "2002::1",
    /* ISATAP, in a network that is public by itself */
    "2a00:1450::5efe:10.0.0.1", "2a00:1450::5efe:7f00:1", "2606:4700::200:5efe:169.254.169.254",
    "2002:808:808::5efe:10.0.0.1", "2a00:1450::5efe:0.0.0.0",
    /* near to a form that is unwrapped, but not it */
    "::fffe:8.8.8.8", "::1:ffff:8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9a::8.8.8.8",
    "64:ff9b::1:808:808"};

static const char *const public[] = {"1.0.0.0",
                                     "1.1.1.1",
                                     "8.8.8.8",
                                     "9.255.255.255",
                                     "11.0.0.0",
                                     "100.63.255.255",
                                     "100.128.0.0",
                                     "126.255.255.255",
                                     "128.0.0.0",
                                     "168.63.129.15",
                                     "168.63.129.17",
                                     "169.253.255.255",
                                     "169.255.0.0",
                                     "172.15.255.255",
                                     "172.32.0.0",
                                     "191.255.255.255",
                                     "192.0.1.0",
                                     "192.0.1.255",
                                     "192.0.3.0",
                                     "192.31.195.255",
                                     "192.31.197.0",
                                     "192.52.192.255",
                                     "192.52.194.0",
                                     "192.88.98.255",
                                     "192.88.100.0",
                                     "192.167.255.255",
                                     "192.169.0.0",
                                     "192.175.47.255",
                                     "192.175.49.0",
                                     "198.17.255.255",
                                     "198.20.0.0",
                                     "198.51.99.255",
                                     "198.51.101.0",
                                     "203.0.112.255",
                                     "203.0.114.0",
                                     "223.255.255.255",
                                     "2000::",
                                     "2000::1",
                                     "2001:200::",
                                     "2001:200::1",
                                     "2001:4860:4860::8888",
                                     "2001:db7:ffff::1",
                                     "2001:db9::",
                                     "2003::1",
                                     "2606:4700:4700::1111",
                                     "2620:4f:7fff::1",
                                     "2620:4f:8001::1",
                                     "2a00:1450::1",
                                     "3ffe:ffff::1",
                                     "3fff:1000::",
                                     "3fff:1000::1",
                                     "::ffff:8.8.8.8",
                                     "::ffff:0808:0808",
                                     "64:ff9b::8.8.8.8",
                                     "2002:808:808::",
                                     "2002:808:808::1",
                                     "2a00:1450::5efe:8.8.8.8",
                                     "2a00:1450::200:5efe:8.8.8.8",
                                     "2a00:1450::100:5efe:10.0.0.1",
                                     "2a00:1450::5eff:10.0.0.1"};

static const char *const not_an_address[] = {"",
                                             " ",
                                             "127.0.0.1 ",
                                             " 127.0.0.1",
                                             "127.1",
                                             "2130706433",
                                             "0x7f.0.0.1",
                                             "0177.0.0.1",
                                             "8.8.8",
                                             "8.8.8.8.8",
                                             "256.1.1.1",
                                             "8.8.8.8/32",
                                             "example.com",
                                             "[::1]",
                                             "fe80::1%lo",
                                             ":",
                                             ":::",
                                             "1::2::3",
                                             "2001:4860:4860::8888x"};

/* Judges as text and as a socket address; they agree. */
static enum guard_answer judge(const struct guard *guard, const char *text) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = 0xffff};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = 0xffff};
    enum guard_answer answer = guard_judge_text(guard, text);

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        assert_int_equal(guard_judge(guard, (const struct sockaddr *)&v4), answer);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        assert_int_equal(guard_judge(guard, (const struct sockaddr *)&v6), answer);
    }
    return answer;
}

static void expect(const struct guard *guard, const char *text, enum guard_answer answer) {
    if (judge(guard, text) != answer) {
        fail_msg("%s: %d instead of %d", text, judge(guard, text), answer);
    }
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void refuses_what_is_not_public(void **state) {
    struct guard *guard = guard_new();

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        expect(guard, refused[i], GUARD_REFUSED);
    }
    for (size_t i = 0; i < COUNT(public); i++) {
        expect(guard, public[i], GUARD_PUBLIC);
    }
    guard_free(guard);
    guard_free(NULL);
}

static void refuses_what_is_not_an_address(void **state) {
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/tmp/socket"};
    struct guard *guard = guard_new();

    (void)state;
    assert_true(guard_allow(guard, "0.0.0.0/0"));
    assert_true(guard_allow(guard, "::/0"));
    assert_int_equal(guard_judge(guard, (const struct sockaddr *)&local), GUARD_REFUSED);
    for (size_t i = 0; i < COUNT(not_an_address); i++) {
        assert_int_equal(guard_judge_text(guard, not_an_address[i]), GUARD_REFUSED);
    }
    guard_free(guard);
}

static void allows_everything_when_told(void **state) {
    struct guard *guard = guard_new();

    (void)state;
    assert_true(guard_allow(guard, "0.0.0.0/0"));
    assert_true(guard_allow(guard, "::/0"));
    for (size_t i = 0; i < COUNT(refused); i++) {
        expect(guard, refused[i], GUARD_ALLOWED);
    }
    for (size_t i = 0; i < COUNT(public); i++) {
        expect(guard, public[i], GUARD_ALLOWED);
    }
    guard_free(guard);
}

/* What one --allow does to one address. */
static const struct {
    const char *network;
    const char *address;
    enum guard_answer answer;
} allowed[] = {
    {"127.0.0.0/8", "127.0.0.1", GUARD_ALLOWED},
    {"127.0.0.0/8", "127.255.255.255", GUARD_ALLOWED},
    {"127.0.0.0/8", "126.255.255.255", GUARD_PUBLIC},
    {"127.0.0.0/8", "10.0.0.1", GUARD_REFUSED},
    {"127.0.0.1", "127.0.0.1", GUARD_ALLOWED},
    {"127.0.0.1", "127.0.0.2", GUARD_REFUSED},
    {"127.0.0.1/32", "127.0.0.1", GUARD_ALLOWED},
    {"10.0.0.0/9", "10.127.255.255", GUARD_ALLOWED},
    {"10.0.0.0/9", "10.128.0.0", GUARD_REFUSED},
    {"10.128.0.0/9", "10.128.0.0", GUARD_ALLOWED},
    {"10.128.0.0/9", "10.127.255.255", GUARD_REFUSED},
    {"192.168.4.0/22", "192.168.7.255", GUARD_ALLOWED},
    {"192.168.4.0/22", "192.168.8.0", GUARD_REFUSED},
    {"10.0.0.2/31", "10.0.0.3", GUARD_ALLOWED},
    {"10.0.0.2/31", "10.0.0.4", GUARD_REFUSED},
    {"0.0.0.0/0", "10.0.0.1", GUARD_ALLOWED},
    {"128.0.0.0/1", "192.168.1.1", GUARD_ALLOWED},
    {"128.0.0.0/1", "127.0.0.1", GUARD_REFUSED},
    {"8.8.8.0/24", "8.8.8.8", GUARD_ALLOWED}, /* a public one: the operator vouches for it */
    {"8.8.8.0/24", "8.8.9.8", GUARD_PUBLIC},
    {"::1", "::1", GUARD_ALLOWED},
    {"::1", "::2", GUARD_REFUSED},
    {"::1/128", "::1", GUARD_ALLOWED},
    {"fd00::/8", "fdff:1::1", GUARD_ALLOWED},
    {"fd00::/8", "fc00::1", GUARD_REFUSED},
    {"fd12:3456:7800::/41", "fd12:3456:787f::1", GUARD_ALLOWED},
    {"fd12:3456:7800::/41", "fd12:3456:7880::1", GUARD_REFUSED},
    {"fe80::/10", "febf::1", GUARD_ALLOWED},
    {"2001:db8::/32", "2001:db8:1::1", GUARD_ALLOWED},
    /* what an IPv4 address travels in */
    {"10.0.0.0/8", "::ffff:10.1.1.1", GUARD_ALLOWED},
    {"10.0.0.0/8", "64:ff9b::10.1.1.1", GUARD_ALLOWED},
    {"10.0.0.0/8", "2002:a01:101::1", GUARD_ALLOWED},
    {"10.0.0.0/8", "::ffff:127.0.0.1", GUARD_REFUSED},
    {"10.0.0.0/8", "2a00:1450::5efe:10.1.1.1", GUARD_PUBLIC}, /* his network is not known */
    {"10.0.0.0/8", "2a00:1450::5efe:127.0.0.1", GUARD_REFUSED},
    {"2a00:1450::/32", "2a00:1450::5efe:10.1.1.1", GUARD_ALLOWED},
    {"::ffff:0:0/96", "::ffff:127.0.0.1", GUARD_ALLOWED},
    {"64:ff9b::/96", "64:ff9b::10.0.0.1", GUARD_ALLOWED},
    {"2002::/16", "2002:a00:1::1", GUARD_ALLOWED},
    /* one family says nothing of the other */
    {"::/0", "10.0.0.1", GUARD_REFUSED},
    {"::/0", "::ffff:10.0.0.1", GUARD_ALLOWED},
    {"0.0.0.0/0", "fd00::1", GUARD_REFUSED},
    {"0.0.0.0/0", "::ffff:10.0.0.1", GUARD_ALLOWED},
    {"::ffff:0:0/96", "10.0.0.1", GUARD_REFUSED},
};

static void allows_networks(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(allowed); i++) {
        struct guard *guard = guard_new();

        if (!guard_allow(guard, allowed[i].network)) {
            fail_msg("%s", allowed[i].network);
        }
        expect(guard, allowed[i].address, allowed[i].answer);
        guard_free(guard);
    }
}

static void allows_several_networks(void **state) {
    struct guard *guard = guard_new();
    char text[32];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "10.0.%d.0/24", i);
        assert_true(guard_allow(guard, text));
        assert_true(guard_allow(guard, text)); /* twice is no mistake */
    }
    expect(guard, "10.0.0.1", GUARD_ALLOWED);
    expect(guard, "10.0.99.1", GUARD_ALLOWED);
    expect(guard, "10.0.100.1", GUARD_REFUSED);
    guard_free(guard);
}

static void refuses_what_is_not_a_network(void **state) {
    static const char *const wrong[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/128",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/ 8",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0 /8",
        "10.0.0.0/8/8",
        "10.0.0.0/8x",
        "10.0.0.0/0x8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/4294967304",
        "10/8",
        "10.0.0/8",
        "10.0.0.0.0/8",
        "010.0.0.0/8",
        "256.0.0.0/8",
        "a.b.c.d/8",
        "localhost",
        "*",
        "10.0.0.1/8",
        "10.0.0.1/31",
        "10.128.0.0/8",
        "128.0.0.0/0",
        "0.0.0.1/0",
        "::1/0",
        "::1/127",
        "fd00::1/8",
        "fd00::/7",
        "::/129",
        "::/",
        "fe80::1%lo",
        "fe80::%lo/10",
        "[::]/0",
        ":::/8",
        "::ffff:10.0.0.1/104",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/1280000000",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/0"};
    struct guard *guard = guard_new();

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        if (guard_allow(guard, wrong[i])) {
            fail_msg("'%s'", wrong[i]);
        }
    }
    for (size_t i = 0; i < COUNT(refused); i++) {
        expect(guard, refused[i], GUARD_REFUSED);
    }
    guard_free(guard);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_public),
        cmocka_unit_test(refuses_what_is_not_an_address),
        cmocka_unit_test(allows_everything_when_told),
        cmocka_unit_test(allows_networks),
        cmocka_unit_test(allows_several_networks),
        cmocka_unit_test(refuses_what_is_not_a_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
