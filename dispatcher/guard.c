/*
** guard.c: which addresses may be connected to. A subscriber chooses the name that is connected to,
** and a name resolves to whatever its owner likes: only the address decides, at the moment it is
** used.
**
** IPv4 is open but for the networks below; of IPv6 only 2000::/3 is (all that IANA has given out),
** less the networks below. Whatever carries an IPv4 address inside is judged as that address: there
** is a translator or a tunnel that unwraps it. What the operator allowed wins, whether he wrote the
** outer form or the inner one.
**
** The lists are IANA's special-purpose address registries (RFC 6890 and its updates), and addresses
** of cloud platforms. A guard owns its networks. Judging allocates nothing and can not fail.
** SPDX-License-Identifier: MIT
*/
#include "guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define V4_BYTES 4
#define V6_BYTES 16
#define CIDR_TEXT_MAX (INET6_ADDRSTRLEN + 4) /* "/128" */

struct address {
    unsigned length; /* V4_BYTES or V6_BYTES; 0: not an address */
    uint8_t bytes[V6_BYTES];
};

struct network {
    struct address address;
    unsigned bits; /* of the address that count; the others are 0 */
};

struct guard {
    struct network *allowed;
    size_t count;
};

#define V4(a, b, c, d, bits)                                                                       \
    { {V4_BYTES, {a, b, c, d}}, bits }
#define V6(bits, ...)                                                                              \
    { {V6_BYTES, {__VA_ARGS__}}, bits }

static const struct network refused[] = {
    V4(0, 0, 0, 0, 8),        /* this network, RFC 791; Linux takes 0.0.0.0 for loopback */
    V4(10, 0, 0, 0, 8),       /* private, RFC 1918 */
    V4(100, 64, 0, 0, 10),    /* carriers' NAT, RFC 6598; metadata at 100.100.100.200 */
    V4(127, 0, 0, 0, 8),      /* loopback, RFC 1122 */
    V4(168, 63, 129, 16, 32), /* a cloud's wire server; looks public */
    V4(169, 254, 0, 0, 16),   /* link-local, RFC 3927; metadata at 169.254.169.254 */
    V4(172, 16, 0, 0, 12),    /* private, RFC 1918 */
    V4(192, 0, 0, 0, 24),     /* protocol assignments, RFC 6890; metadata at 192.0.0.192 */
    V4(192, 0, 2, 0, 24),     /* documentation, RFC 5737 */
    V4(192, 31, 196, 0, 24),  /* AS112, RFC 7535 */
    V4(192, 52, 193, 0, 24),  /* AMT, RFC 7450 */
    V4(192, 88, 99, 0, 24),   /* 6to4 relays, RFC 7526 */
    V4(192, 168, 0, 0, 16),   /* private, RFC 1918 */
    V4(192, 175, 48, 0, 24),  /* AS112, RFC 7534 */
    V4(198, 18, 0, 0, 15),    /* benchmarking, RFC 2544 */
    V4(198, 51, 100, 0, 24),  /* documentation, RFC 5737 */
    V4(203, 0, 113, 0, 24),   /* documentation, RFC 5737 */
    V4(224, 0, 0, 0, 4),      /* multicast, RFC 5771 */
    V4(240, 0, 0, 0, 4),      /* reserved, RFC 1112; and broadcast */

    V6(23, 0x20, 0x01),                         /* protocol assignments: Teredo, ORCHID … */
    V6(32, 0x20, 0x01, 0x0d, 0xb8),             /* documentation, RFC 3849 */
    V6(48, 0x26, 0x20, 0x00, 0x4f, 0x80, 0x00), /* AS112, RFC 7534 */
    V6(20, 0x3f, 0xff),                         /* documentation, RFC 9637 */
};

/* All of IPv6 that can be public, RFC 4291 2.4. */
static const struct network global_v6 = V6(3, 0x20);

/* IPv6 networks whose addresses have an IPv4 address inside, and where. */
static const struct {
    struct network network;
    size_t offset;
} wrappings[] = {
    {V6(96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 12}, /* v4-mapped, RFC 4291 2.5.5.2 */
    {V6(96, 0x00, 0x64, 0xff, 0x9b), 12},                   /* NAT64, RFC 6052 2.1 */
    {V6(16, 0x20, 0x02), 2},                                /* 6to4, RFC 3056 2 */
};

static bool contains(const struct network *network, const struct address *address) {
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;

    if (network->address.length != address->length ||
        memcmp(network->address.bytes, address->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (network->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

/* The IPv4 address inside, if there is one, else the address itself. */
static struct address unwrap(const struct address *address) {
    for (size_t i = 0; i < sizeof wrappings / sizeof *wrappings; i++) {
        if (contains(&wrappings[i].network, address)) {
            struct address inner = {V4_BYTES, {0}};

            memcpy(inner.bytes, address->bytes + wrappings[i].offset, V4_BYTES);
            return inner;
        }
    }
    return *address;
}

static bool is_public(const struct address *address) {
    if (address->length == V6_BYTES && !contains(&global_v6, address)) {
        return false;
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (contains(&refused[i], address)) {
            return false;
        }
    }
    return true;
}

static bool is_allowed(const struct guard *guard, const struct address *address) {
    for (size_t i = 0; i < guard->count; i++) {
        if (contains(&guard->allowed[i], address)) {
            return true;
        }
    }
    return false;
}

/*
** ISATAP, RFC 5214 6.1: in any network, an address that ends like this has an IPv4 address inside,
** which a host that is in such a tunnel sends to. Only he knows which networks are tunnels, so both
** count: the address as it is, and that it hides none of the inside.
*/
static bool hides_private(const struct guard *guard, const struct address *address) {
    static const uint8_t mark[] = {0x00, 0x00, 0x5e, 0xfe};
    struct address inner = {V4_BYTES, {0}};

    if (address->length != V6_BYTES || (address->bytes[8] & ~0x02) != mark[0] ||
        memcmp(address->bytes + 9, mark + 1, sizeof mark - 1) != 0) {
        return false;
    }
    memcpy(inner.bytes, address->bytes + V6_BYTES - V4_BYTES, V4_BYTES);
    return !is_allowed(guard, &inner) && !is_public(&inner);
}

static enum guard_answer judge(const struct guard *guard, const struct address *outer) {
    struct address inner = unwrap(outer);

    if (outer->length == 0) {
        return GUARD_REFUSED;
    }
    if (is_allowed(guard, outer) || is_allowed(guard, &inner)) {
        return GUARD_ALLOWED;
    }
    return is_public(&inner) && !hides_private(guard, outer) ? GUARD_PUBLIC : GUARD_REFUSED;
}

static struct address read_address(const char *text) {
    struct address address = {0};

    if (inet_pton(AF_INET, text, address.bytes) == 1) {
        address.length = V4_BYTES;
    } else if (inet_pton(AF_INET6, text, address.bytes) == 1) {
        address.length = V6_BYTES;
    }
    return address;
}

enum guard_answer guard_judge(const struct guard *guard, const struct sockaddr *address) {
    struct address read = {0};

    /* By memcpy: the caller's storage need not be aligned, or typed, as one of these. */
    if (address->sa_family == AF_INET) {
        read.length = V4_BYTES;
        memcpy(read.bytes, (const char *)address + offsetof(struct sockaddr_in, sin_addr),
               V4_BYTES);
    } else if (address->sa_family == AF_INET6) {
        read.length = V6_BYTES;
        memcpy(read.bytes, (const char *)address + offsetof(struct sockaddr_in6, sin6_addr),
               V6_BYTES);
    }
    return judge(guard, &read);
}

enum guard_answer guard_judge_text(const struct guard *guard, const char *address) {
    struct address read = read_address(address);

    return judge(guard, &read);
}

/* "0" to "128" without leading zeros; false: not that. */
static bool read_bits(const char *text, unsigned most, unsigned *bits) {
    unsigned number = 0;
    size_t i = 0;

    for (; i < 3 && text[i] >= '0' && text[i] <= '9'; i++) {
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    if (i == 0 || text[i] != '\0' || (i > 1 && text[0] == '0') || number > most) {
        return false;
    }
    *bits = number;
    return true;
}

static bool has_host_bits(const struct network *network) {
    for (unsigned bit = network->bits; bit < network->address.length * 8; bit++) {
        if ((network->address.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return true;
        }
    }
    return false;
}

bool guard_allow(struct guard *guard, const char *cidr) {
    char text[CIDR_TEXT_MAX];
    struct network network;
    char *slash;

    if (strlen(cidr) >= sizeof text) {
        return false;
    }
    strcpy(text, cidr);
    slash = strchr(text, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    network.address = read_address(text);
    network.bits = network.address.length * 8;
    if (network.address.length == 0 ||
        (slash != NULL && !read_bits(slash + 1, network.bits, &network.bits)) ||
        has_host_bits(&network)) {
        return false;
    }
    guard->allowed = xrealloc(guard->allowed, (guard->count + 1) * sizeof *guard->allowed);
    guard->allowed[guard->count++] = network;
    return true;
}

struct guard *guard_new(void) {
    return xcalloc(1, sizeof(struct guard));
}

void guard_free(struct guard *guard) {
    if (guard != NULL) {
        free(guard->allowed);
        free(guard);
    }
}
