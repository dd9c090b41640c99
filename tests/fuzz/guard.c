/*
** guard.c: an address is refused if it is in a table of its own here, of IANA's special-purpose
** registries and multicast, or carries such an IPv4 address; with a network allowed, if it is not in
** that either. A text is judged as the address that inet_pton() reads in it.
** SPDX-License-Identifier: MIT
*/
#include <arpa/inet.h>
#include <netinet/in.h>

#include "fuzz.h"
#include "guard.h"

/* As the registries print them; of IPv6 also what is not given out at all. */
static const char *const special[] = {
    "0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10",     "127.0.0.0/8",      "169.254.0.0/16",
    "172.16.0.0/12",  "192.0.0.0/24",   "192.0.2.0/24",      "192.31.196.0/24",  "192.52.193.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",   "198.18.0.0/15",    "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",       "168.63.129.16/32", "::/3",
    "2001::/23",      "2001:db8::/32",  "2620:4f:8000::/48", "3fff::/20",        "4000::/2",
    "8000::/1",
};
/* Where an IPv4 address stands in an IPv6 one. */
static const struct {
    const char *network;
    int offset;
} carriers[] = {{"::ffff:0:0/96", 12}, {"64:ff9b::/96", 12}, {"2002::/16", 2}};

struct address {
    int family; /* 0: none */
    uint8_t bytes[16];
};

struct network {
    struct address address;
    int bits;
    bool valid; /* it has no bits of a host */
};

static struct address read_address(const char *text) {
    struct address address = {.family = AF_INET};

    if (inet_pton(AF_INET, text, address.bytes) != 1) {
        address.family = inet_pton(AF_INET6, text, address.bytes) == 1 ? AF_INET6 : 0;
    }
    return address;
}

static bool bit(const struct address *address, int i) {
    return (address->bytes[i / 8] >> (7 - i % 8) & 1) != 0;
}

static struct network read_network(const char *cidr) {
    char text[INET6_ADDRSTRLEN + 1];
    struct network network = {.valid = true};
    size_t length = strcspn(cidr, "/");
    int most;

    snprintf(text, sizeof text, "%.*s", (int)length, cidr);
    network.address = read_address(text);
    most = network.address.family == AF_INET ? 32 : 128;
    network.bits = cidr[length] == '/' ? (int)strtol(cidr + length + 1, NULL, 10) : most;
    network.valid = network.address.family != 0 && network.bits >= 0 && network.bits <= most;
    for (int i = network.bits; network.valid && i < most; i++) {
        network.valid = !bit(&network.address, i);
    }
    return network;
}

static bool is_in(const struct network *network, const struct address *address) {
    bool in = network->valid && network->address.family == address->family;

    for (int i = 0; in && i < network->bits; i++) {
        in = bit(&network->address, i) == bit(address, i);
    }
    return in;
}

static struct address carried(const struct address *address) {
    static struct network networks[sizeof carriers / sizeof *carriers];

    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++) {
        if (!networks[i].valid) {
            networks[i] = read_network(carriers[i].network);
        }
        if (is_in(&networks[i], address)) {
            struct address inner = {.family = AF_INET};

            memcpy(inner.bytes, address->bytes + carriers[i].offset, 4);
            return inner;
        }
    }
    return *address;
}

/* ISATAP (RFC 5214 6.1): in whatever network, the last eight bytes are 0000:5efe or 0200:5efe and an IPv4 address. */
static bool tunnels(const struct address *address, struct address *inner) {
    *inner = (struct address){.family = AF_INET};
    memcpy(inner->bytes, address->bytes + 12, 4);
    return address->family == AF_INET6 && (address->bytes[8] == 0 || address->bytes[8] == 2) &&
           address->bytes[9] == 0 && address->bytes[10] == 0x5e && address->bytes[11] == 0xfe;
}

static bool is_special(const struct address *address) {
    static struct network networks[sizeof special / sizeof *special];

    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (!networks[i].valid) {
            networks[i] = read_network(special[i]);
        }
        if (is_in(&networks[i], address)) {
            return true;
        }
    }
    return false;
}

static enum guard_answer expected(const struct address *address, const struct network *allowed) {
    struct address inner = carried(address), end;

    if (allowed != NULL && (is_in(allowed, address) || is_in(allowed, &inner))) {
        return GUARD_ALLOWED;
    }
    if (is_special(&inner) || (tunnels(address, &end) && is_special(&end) &&
                               (allowed == NULL || !is_in(allowed, &end)))) {
        return GUARD_REFUSED;
    }
    return address->family != 0 ? GUARD_PUBLIC : GUARD_REFUSED;
}

static enum guard_answer judge(const struct guard *guard, const struct address *address) {
    struct sockaddr_storage storage = {.ss_family = (sa_family_t)address->family};

    if (address->family == AF_INET) {
        memcpy(&((struct sockaddr_in *)(void *)&storage)->sin_addr, address->bytes, 4);
    } else {
        memcpy(&((struct sockaddr_in6 *)(void *)&storage)->sin6_addr, address->bytes, 16);
    }
    return guard_judge(guard, (struct sockaddr *)&storage);
}

static void check(const struct guard *guard, const struct address *address,
                  const struct network *allowed) {
    char text[INET6_ADDRSTRLEN] = "nothing";

    if (address->family != 0) {
        inet_ntop(address->family, address->bytes, text, sizeof text);
        MUST(guard_judge_text(guard, text) == expected(address, allowed), "%s", text);
    }
    MUST(judge(guard, address) == expected(address, allowed), "%s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct guard *guard = guard_new();
    struct address v4 = {.family = AF_INET}, v6 = {.family = AF_INET6};
    size_t text_length, length;
    char *text = take_line(&input, &text_length), *network = take_line(&input, &length);
    struct address named = read_address(text);
    struct network network_read;
    const struct network *allowed = NULL;

    for (int i = 0; i < 16; i++) {
        v6.bytes[i] = take_byte(&input);
    }
    memcpy(v4.bytes, v6.bytes, 4);
    for (int pass = 0; pass < 2; pass++) {
        MUST(guard_judge_text(guard, text) == expected(&named, allowed), "%s", text);
        check(guard, &named, allowed);
        check(guard, &v4, allowed);
        check(guard, &v6, allowed);
        if (guard_allow(guard, network)) {
            network_read = read_network(network);
            MUST(network_read.valid, "%s", network);
            allowed = &network_read;
        }
    }
    guard_free(guard);
    free(text);
    free(network);
    return 0;
}
