/* rate: the arithmetic of buckets, and the table of those of addresses. */
#include "net/rate.h"

#include <stdlib.h>

#include "base/mem.h"

enum { NS_PER_S = 1000000000, FORGOTTEN_AT_ONCE = 2 }; /* more than come: so the table shrinks again */

struct rates_address {
    struct map_node node;
    uint8_t key[ADDR_NETWORK_BYTES];
    struct list in_order;
    struct bucket buckets[RATES_KINDS];
};

static uint64_t cost_ns(const struct rate *rate)
{
    return NS_PER_S / rate->per_second;
}

/* What it lacks for one more event. */
static uint64_t lack_ns(const struct bucket *bucket, const struct rate *rate, uint64_t now_us)
{
    uint64_t now_ns = now_us * 1000, size_ns = cost_ns(rate) * rate->at_once;
    uint64_t after_ns = (bucket->full_ns > now_ns ? bucket->full_ns - now_ns : 0) + cost_ns(rate);
    return after_ns > size_ns ? after_ns - size_ns : 0;
}

bool bucket_has(const struct bucket *bucket, const struct rate *rate, uint64_t now_us)
{
    return bucket_wait_us(bucket, rate, now_us) == 0;
}

uint64_t bucket_wait_us(const struct bucket *bucket, const struct rate *rate, uint64_t now_us)
{
    return rate->per_second == 0 ? 0 : (lack_ns(bucket, rate, now_us) + 999) / 1000;
}

void bucket_take(struct bucket *bucket, const struct rate *rate, uint64_t now_us)
{
    uint64_t now_ns = now_us * 1000;
    if (rate->per_second == 0)
        return;
    bucket->full_ns = (bucket->full_ns > now_ns ? bucket->full_ns : now_ns) + cost_ns(rate);
}

void rates_init(struct rates *rates, const uint64_t seed[2])
{
    *rates = (struct rates){0};
    map_init(&rates->addresses, seed);
    list_init(&rates->in_order);
}

static void forget(struct rates *rates, struct list *node)
{
    struct rates_address *address = container_of(node, struct rates_address, in_order);
    map_remove(&rates->addresses, &address->node);
    list_remove(&address->in_order);
    free(address);
}

void rates_finish(struct rates *rates)
{
    if (rates->in_order.next == NULL)
        return;
    list_each (node, &rates->in_order)
        forget(rates, node);
    map_finish(&rates->addresses);
}

static bool is_full(const struct rates_address *address, uint64_t now_us)
{
    for (int kind = 0; kind < RATES_KINDS; kind++)
        if (address->buckets[kind].full_ns > now_us * 1000)
            return false;
    return true;
}

/* Makes room: those whose buckets are full lose nothing. */
static void sweep(struct rates *rates, uint64_t now_us)
{
    int count = 0;
    list_each (node, &rates->in_order) {
        const struct rates_address *address = container_of(node, const struct rates_address, in_order);
        if (count++ == FORGOTTEN_AT_ONCE || (!is_full(address, now_us) && rates->addresses.count < RATES_ADDRESSES_MAX))
            return;
        forget(rates, node);
    }
}

static struct rates_address *find(const struct rates *rates, const uint8_t key[ADDR_NETWORK_BYTES])
{
    struct map_node *node = map_find(&rates->addresses, span_of(key, ADDR_NETWORK_BYTES));
    return node != NULL ? container_of(node, struct rates_address, node) : NULL;
}

static struct rates_address *find_or_add(struct rates *rates, const struct addr_ip *ip, uint64_t now_us)
{
    uint8_t key[ADDR_NETWORK_BYTES];
    addr_ip_network(ip, key);
    struct rates_address *address = find(rates, key);
    if (address == NULL) {
        sweep(rates, now_us);
        address = mem_zero(1, sizeof *address);
        memcpy(address->key, key, sizeof key);
        list_init(&address->in_order);
        map_add(&rates->addresses, &address->node, span_of(address->key, sizeof address->key));
    }
    list_remove(&address->in_order);
    list_append(&rates->in_order, &address->in_order);
    return address;
}

void rates_take(struct rates *rates, enum rates_kind kind, const struct addr_ip *ip, uint64_t now_us)
{
    if (rates->rates[kind].per_second != 0 && !ip->is_unix)
        bucket_take(&find_or_add(rates, ip, now_us)->buckets[kind], &rates->rates[kind], now_us);
}

uint64_t rates_wait_us(const struct rates *rates, enum rates_kind kind, const struct addr_ip *ip, uint64_t now_us)
{
    uint8_t key[ADDR_NETWORK_BYTES];
    if (rates->rates[kind].per_second == 0 || ip->is_unix)
        return 0;
    addr_ip_network(ip, key);
    const struct rates_address *address = find(rates, key);
    return address != NULL ? bucket_wait_us(&address->buckets[kind], &rates->rates[kind], now_us) : 0;
}
