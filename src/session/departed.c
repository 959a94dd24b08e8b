/* departed: leases that are kept, come back, or are swept, and what each address may leave. See departed.h. */
#include "session/departed.h"

#include <stdlib.h>

#include "base/mem.h"

/* What clients of one address left: an IPv4 address, or a network of 64 bits of IPv6. */
struct origin {
    struct map_node node;
    uint8_t key[16];
    size_t bytes, count;
};

struct departed {
    struct map_node by_lease;
    struct list in_order; /* the first to depart in front */
    struct origin *origin;
    size_t bytes;
    uint64_t until_us;
    char name[];
};

void departed_init(struct sessions *sessions)
{
    map_init(&sessions->departed.by_lease, sessions->sockets.seed);
    map_init(&sessions->departed.origins, sessions->sockets.seed);
    list_init(&sessions->departed.in_order);
}

static void departed_remove(struct sessions *sessions, struct departed *departed)
{
    struct origin *origin = departed->origin;
    sessions->departed.bytes -= departed->bytes;
    origin->bytes -= departed->bytes;
    if (--origin->count == 0) {
        map_remove(&sessions->departed.origins, &origin->node);
        free(origin);
    }
    map_remove(&sessions->departed.by_lease, &departed->by_lease);
    list_remove(&departed->in_order);
    free(departed);
}

void departed_finish(struct sessions *sessions)
{
    list_each (node, &sessions->departed.in_order) {
        departed_remove(sessions, container_of(node, struct departed, in_order));
    }
    map_finish(&sessions->departed.by_lease);
    map_finish(&sessions->departed.origins);
}

static struct origin *origin_of(struct sessions *sessions, const struct addr_ip *peer)
{
    uint8_t key[16] = {0};
    addr_ip_network(peer, key);
    struct map_node *node = map_find(&sessions->departed.origins, span_of((const char *)key, sizeof key));
    if (node != NULL)
        return container_of(node, struct origin, node);
    struct origin *origin = mem_zero(1, sizeof *origin);
    memcpy(origin->key, key, sizeof key);
    map_add(&sessions->departed.origins, &origin->node, span_of((const char *)origin->key, sizeof origin->key));
    return origin;
}

bool departed_keep(struct sessions *sessions, struct span lease, const struct addr_ip *peer, size_t rooms_bytes,
                   uint64_t window_ms, bool must)
{
    departed_returned(sessions, lease);
    struct origin *origin = origin_of(sessions, peer);
    size_t bytes = LEASE_BYTES + rooms_bytes, max = sessions->limits.lease_bytes_max;
    size_t left = max > sessions->departed.bytes ? max - sessions->departed.bytes : 0;
    if (!must && origin->bytes + bytes > left) {
        if (origin->count == 0) {
            map_remove(&sessions->departed.origins, &origin->node);
            free(origin);
        }
        return false;
    }
    struct departed *departed = mem_zero(1, sizeof *departed + lease.len);
    departed->origin = origin;
    departed->bytes = bytes;
    departed->until_us = loop_now_us(sessions->loop) + LOOP_MS(window_ms);
    memcpy(departed->name, lease.data, lease.len);
    list_init(&departed->in_order);
    list_append(&sessions->departed.in_order, &departed->in_order);
    map_add(&sessions->departed.by_lease, &departed->by_lease, span_of(departed->name, lease.len));
    origin->bytes += bytes;
    origin->count++;
    sessions->departed.bytes += bytes;
    return true;
}

void departed_returned(struct sessions *sessions, struct span lease)
{
    struct map_node *node = map_find(&sessions->departed.by_lease, lease);
    if (node != NULL)
        departed_remove(sessions, container_of(node, struct departed, by_lease));
}

/* Windows of namespaces differ, so all are looked at. */
void departed_sweep(struct sessions *sessions)
{
    uint64_t now = loop_now_us(sessions->loop);
    list_each (node, &sessions->departed.in_order) {
        struct departed *departed = container_of(node, struct departed, in_order);
        if (now >= departed->until_us)
            departed_remove(sessions, departed);
    }
}
