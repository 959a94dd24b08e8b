/* door: how many connections may be in at once, in all and from one address. Pure.
 *
 * An IPv6 address counts by its first 64 bits, which is what one customer gets. Loopback counts in all, but has no
 * bound of its own: it is this machine, or a proxy on it that stands for many. The table holds addresses that are in,
 * so it is bounded by the connections. */
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
void door_finish(struct door *door); /* accepts zeroed */
/* One more from there: with DOOR_ENTERED, `*address` is to be given back once. */
enum door_answer door_enter(struct door *door, const struct addr_ip *ip, struct door_address **address);
/* NULL is harmless. */
void door_leave(struct door *door, struct door_address *address);
/* Connections are scarce: four fifths of them are taken. */
bool door_is_crowded(const struct door *door);

#endif
