/*
 * Which internet addresses are public.
 */
#include "core/worker/address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* The first `bits` bits of an address. */
struct block {
    uint8_t bytes[16];
    unsigned bits;
};

static const struct block closed_v4[] = {
    {{0}, 8},             /* this network */
    {{10}, 8},            /* private */
    {{100, 64}, 10},      /* shared by a provider's customers */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local: clouds keep their secrets there */
    {{172, 16}, 12},      /* private */
    {{192, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays */
    {{192, 168}, 16},     /* private */
    {{198, 18}, 15},      /* benchmarks */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},           /* multicast */
    {{240}, 4},           /* reserved, broadcast */
};

static const struct block closed_v6[] = {
    {{0}, 96},                                  /* unspecified, loopback, v4-compatible */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48}, /* local translation */
    {{0x01, 0x00}, 64},                         /* discard */
    {{0x20, 0x01}, 23},                         /* protocol assignments, Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},             /* documentation */
    {{0x3f, 0xff}, 20},                         /* documentation */
    {{0x5f, 0x00}, 16},                         /* segment routing */
    {{0xfc}, 7},                                /* unique local */
    {{0xfe, 0x80}, 10},                         /* link-local */
    {{0xfe, 0xc0}, 10},                         /* site-local */
    {{0xff}, 8},                                /* multicast */
};

/* Where an IPv4 address stands inside of an IPv6 one: what counts is that one. */
static const struct {
    struct block prefix;
    size_t offset;
} wrapped[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12}, /* mapped */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},                   /* translated */
    {{{0x20, 0x02}, 16}, 2},                                /* 6to4 */
};

static int is_in(const uint8_t *address, const struct block *block)
{
    unsigned whole = block->bits / 8, rest = block->bits % 8;
    if (memcmp(address, block->bytes, whole)) {
        return 0;
    }
    return rest == 0 || ((address[whole] ^ block->bytes[whole]) >> (8 - rest)) == 0;
}

static int is_public_v4(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof closed_v4 / sizeof *closed_v4; i++) {
        if (is_in(address, &closed_v4[i])) {
            return 0;
        }
    }
    return 1;
}

static int is_public_v6(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof wrapped / sizeof *wrapped; i++) {
        if (is_in(address, &wrapped[i].prefix)) {
            return is_public_v4(address + wrapped[i].offset);
        }
    }
    for (size_t i = 0; i < sizeof closed_v6 / sizeof *closed_v6; i++) {
        if (is_in(address, &closed_v6[i])) {
            return 0;
        }
    }
    return 1;
}

int cm_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return is_public_v4((const uint8_t *)&v4.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return is_public_v6((const uint8_t *)&v6.sin6_addr);
    }
    return 0;
}
