/* door: counts connections in all and by address, with one table entry for each address that has some. */
#include "platform/door.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { KEY_V6_BYTES = 8, KEY_BYTES = 16 };

struct door_address {
    struct map_node node;
    uint8_t key[KEY_BYTES];
    uint32_t count;
};

void door_init(struct door *door, const uint64_t seed[2], uint32_t count_max, uint32_t address_max)
{
    *door = (struct door){.count_max = count_max, .address_max = address_max};
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

static bool is_loopback(const struct addr_ip *ip)
{
    static const uint8_t v6[16] = {[15] = 1};
    return ip->is_unix || (addr_ip_is_v4(ip) && ip->bytes[12] == 127) || memcmp(ip->bytes, v6, sizeof v6) == 0;
}

static struct span key_of(const struct addr_ip *ip)
{
    return span_of(ip->bytes, addr_ip_is_v4(ip) || is_loopback(ip) ? KEY_BYTES : KEY_V6_BYTES);
}

enum door_answer door_enter(struct door *door, const struct addr_ip *ip, struct door_address **to)
{
    struct span key = key_of(ip);
    struct map_node *node = map_find(&door->addresses, key);
    struct door_address *address = node != NULL ? container_of(node, struct door_address, node) : NULL;
    *to = NULL;
    if (door->count >= door->count_max)
        return DOOR_FULL;
    if (address != NULL && address->count >= door->address_max && !is_loopback(ip))
        return DOOR_ADDRESS_FULL;
    if (address == NULL) {
        address = mem_zero(1, sizeof *address);
        memcpy(address->key, key.data, key.len);
        map_add(&door->addresses, &address->node, span_of(address->key, key.len));
    }
    address->count++;
    door->count++;
    *to = address;
    return DOOR_ENTERED;
}

void door_leave(struct door *door, struct door_address *address)
{
    if (address == NULL)
        return;
    assert(address->count > 0 && door->count > 0);
    door->count--;
    if (--address->count > 0)
        return;
    map_remove(&door->addresses, &address->node);
    free(address);
}

bool door_is_crowded(const struct door *door)
{
    return (uint64_t)door->count * 5 >= (uint64_t)door->count_max * 4;
}
