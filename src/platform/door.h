/* door: bounds the ingress' open connections, in all and from one address. Pure; called by ingress.
 *
 * An IPv6 address counts by its first 64 bits, because one customer gets that many. Loopback addresses count in all,
 * but have no bound of their own, because a proxy on this machine serves many clients. The table holds addresses with
 * open connections, so the number of connections bounds it. */
#ifndef SENNIT_PLATFORM_DOOR_H
#define SENNIT_PLATFORM_DOOR_H

#include "base/map.h"
#include "loop/io.h"

struct door_address;

struct door {
    struct map addresses;
    uint32_t count, count_max;
    uint32_t address_max;
};

enum door_answer { DOOR_ENTERED, DOOR_FULL, DOOR_ADDRESS_FULL };

void door_init(struct door *door, const uint64_t seed[2], uint32_t count_max, uint32_t address_max);
void door_finish(struct door *door); /* accepts zeroed memory */
/* One more connection from `ip`. With DOOR_ENTERED, the caller gives `*address` to door_leave, once. */
enum door_answer door_enter(struct door *door, const struct addr_ip *ip, struct door_address **address);
/* NULL is harmless. */
void door_leave(struct door *door, struct door_address *address);
/* Whether connections are scarce: four fifths of them are taken. */
bool door_is_crowded(const struct door *door);

#endif
