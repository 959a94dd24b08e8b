/* door: bounds open connections, in all and from one address. The ingress and the crowd of an instance each have one.
 *
 * An IPv6 address counts by its first 64 bits, because one customer gets that many. Exempt addresses count in all, but
 * have no bound of their own, because a proxy serves many clients. The table holds addresses with open connections, so
 * the number of connections bounds it. */
#ifndef SENNIT_NET_DOOR_H
#define SENNIT_NET_DOOR_H

#include "base/map.h"
#include "loop/io.h"

/* Connections from one address. */
struct door_address {
    struct map_node node;
    uint8_t key[ADDR_NETWORK_BYTES];
    uint32_t count;
};

/* Addresses without a bound of their own: none, this machine's, or all that are not of the public internet. Unix
 * sockets have none in any case. */
enum door_exempt { DOOR_EXEMPTS_NONE, DOOR_EXEMPTS_LOOPBACK, DOOR_EXEMPTS_PRIVATE };

struct door {
    struct map addresses;
    struct door_address exempted; /* counts connections that no address bounds */
    uint32_t count, count_max;
    uint32_t address_max; /* 0: no bound */
    enum door_exempt exempts;
};

enum door_answer { DOOR_ENTERED, DOOR_FULL, DOOR_ADDRESS_FULL };

void door_init(struct door *door, const uint64_t seed[2], uint32_t count_max, uint32_t address_max,
               enum door_exempt exempts);
void door_finish(struct door *door); /* accepts zeroed memory */
/* One more connection from `ip`. With DOOR_ENTERED, the caller gives `*address` to door_leave, once. */
enum door_answer door_enter(struct door *door, const struct addr_ip *ip, struct door_address **address);
/* A connection that has entered turns out to be from `ip`: counts it there, and no more where it was. False: that
 * address has the most allowed, and nothing has changed. */
bool door_move(struct door *door, const struct addr_ip *ip, struct door_address **address);
/* NULL is harmless. */
void door_leave(struct door *door, struct door_address *address);
/* Whether more than `percent` of the connections are taken. */
bool door_is_above(const struct door *door, uint32_t percent);
/* Whether `percent` of them are taken, or more. */
bool door_is_at(const struct door *door, uint32_t percent);

/* True for addresses of the public internet; others belong to proxies, the local network, or this machine. */
bool door_is_public(const struct addr_ip *ip);

#endif
