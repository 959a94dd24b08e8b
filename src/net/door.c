/* door: counts connections in all and by address, with one table entry for each bounded address that has some. */
#include "net/door.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

bool door_is_public(const struct addr_ip *ip)
{
    const uint8_t *b = ip->bytes;
    if (ip->is_unix)
        return false;
    if (addr_ip_is_v4(ip)) {
        const uint8_t *v4 = b + 12;
        return !(v4[0] == 127 || v4[0] == 10 || (v4[0] == 172 && v4[1] >> 4 == 1) || (v4[0] == 192 && v4[1] == 168) ||
                 (v4[0] == 169 && v4[1] == 254) || (v4[0] == 100 && v4[1] >> 6 == 1));
    }
    static const uint8_t loopback[16] = {[15] = 1};
    return memcmp(b, loopback, sizeof loopback) != 0 && (b[0] & 0xfe) != 0xfc && !(b[0] == 0xfe && b[1] >> 6 == 2);
}

static bool is_loopback(const struct addr_ip *ip)
{
    static const uint8_t v6[16] = {[15] = 1};
    return (addr_ip_is_v4(ip) && ip->bytes[12] == 127) || memcmp(ip->bytes, v6, sizeof v6) == 0;
}

static bool is_exempt(const struct door *door, const struct addr_ip *ip)
{
    if (ip->is_unix || door->address_max == 0)
        return true;
    if (door->exempts == DOOR_EXEMPTS_PRIVATE)
        return !door_is_public(ip);
    return door->exempts == DOOR_EXEMPTS_LOOPBACK && is_loopback(ip);
}

void door_init(struct door *door, const uint64_t seed[2], uint32_t count_max, uint32_t address_max,
               enum door_exempt exempts)
{
    *door = (struct door){.count_max = count_max, .address_max = address_max, .exempts = exempts};
    map_init(&door->addresses, seed);
}

void door_finish(struct door *door)
{
    struct map_node *node = map_next(&door->addresses, NULL), *next;
    for (; node != NULL; node = next) {
        next = map_next(&door->addresses, node);
        map_remove(&door->addresses, node);
        free(container_of(node, struct door_address, node));
    }
    map_finish(&door->addresses);
}

/* The entry of this address, a new one if it has none; NULL: it has the most connections allowed. */
static struct door_address *address_of(struct door *door, const struct addr_ip *ip)
{
    uint8_t key[ADDR_NETWORK_BYTES];
    if (is_exempt(door, ip))
        return &door->exempted;
    addr_ip_network(ip, key);
    struct map_node *node = map_find(&door->addresses, span_of(key, sizeof key));
    struct door_address *address = node != NULL ? container_of(node, struct door_address, node) : NULL;
    if (address != NULL)
        return address->count < door->address_max ? address : NULL;
    address = mem_zero(1, sizeof *address);
    memcpy(address->key, key, sizeof key);
    map_add(&door->addresses, &address->node, span_of(address->key, sizeof address->key));
    return address;
}

static void address_leave(struct door *door, struct door_address *address)
{
    assert(address->count > 0);
    if (--address->count > 0 || address == &door->exempted)
        return;
    map_remove(&door->addresses, &address->node);
    free(address);
}

enum door_answer door_enter(struct door *door, const struct addr_ip *ip, struct door_address **to)
{
    *to = NULL;
    if (door->count >= door->count_max)
        return DOOR_FULL;
    struct door_address *address = address_of(door, ip);
    if (address == NULL)
        return DOOR_ADDRESS_FULL;
    address->count++;
    door->count++;
    *to = address;
    return DOOR_ENTERED;
}

bool door_move(struct door *door, const struct addr_ip *ip, struct door_address **address)
{
    struct door_address *to = address_of(door, ip);
    if (to == NULL)
        return false;
    to->count++;
    address_leave(door, *address);
    *address = to;
    return true;
}

void door_leave(struct door *door, struct door_address *address)
{
    if (address == NULL)
        return;
    assert(door->count > 0);
    door->count--;
    address_leave(door, address);
}

bool door_is_above(const struct door *door, uint32_t percent)
{
    return (uint64_t)door->count * 100 > (uint64_t)door->count_max * percent;
}

bool door_is_at(const struct door *door, uint32_t percent)
{
    return (uint64_t)door->count * 100 >= (uint64_t)door->count_max * percent;
}
