/* map: SipHash, and a table of chained buckets that doubles when it has as many nodes as buckets. */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { BUCKETS_MIN = 16 };

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein, 2012): one round a word, three at the end. */
uint64_t map_hash(const uint64_t seed[2], struct span key)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                     seed[1] ^ 0x7465646279746573u};
    size_t words = key.len / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, key.data + i * 8, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.len << 56;
    for (size_t i = words * 8; i < key.len; i++)
        last |= (uint64_t)(unsigned char)key.data[i] << (i % 8 * 8);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *map, const uint64_t seed[2])
{
    *map = (struct map){.seed = {seed[0], seed[1]}};
}

void map_finish(struct map *map)
{
    if (map == NULL)
        return;
    free(map->buckets);
    map->buckets = NULL;
    map->count = map->bucket_count = 0;
}

static struct map_node **bucket_of(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

static void grow(struct map *map)
{
    struct map_node **old = map->buckets;
    size_t old_count = map->bucket_count;
    map->bucket_count = old_count != 0 ? old_count * 2 : BUCKETS_MIN;
    map->buckets = mem_zero(map->bucket_count, sizeof *map->buckets);
    for (size_t i = 0; i < old_count; i++) {
        for (struct map_node *node = old[i], *next; node != NULL; node = next) {
            next = node->next;
            struct map_node **bucket = bucket_of(map, node->hash);
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(old);
}

void map_add(struct map *map, struct map_node *node, struct span key)
{
    assert(map_find(map, key) == NULL);
    if (map->count >= map->bucket_count)
        grow(map);
    node->key = key;
    node->hash = map_hash(map->seed, key);
    struct map_node **bucket = bucket_of(map, node->hash);
    node->next = *bucket;
    *bucket = node;
    map->count++;
}

struct map_node *map_find(const struct map *map, struct span key)
{
    if (map->count == 0)
        return NULL;
    uint64_t hash = map_hash(map->seed, key);
    for (struct map_node *node = *bucket_of(map, hash); node != NULL; node = node->next)
        if (node->hash == hash && span_equal(node->key, key))
            return node;
    return NULL;
}

void map_remove(struct map *map, struct map_node *node)
{
    assert(map->count > 0);
    struct map_node **at = bucket_of(map, node->hash);
    while (*at != node) {
        assert(*at != NULL); /* the caller says it is in this map */
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    map->count--;
}

struct map_node *map_next(const struct map *map, const struct map_node *node)
{
    if (map->count == 0)
        return NULL;
    if (node != NULL && node->next != NULL)
        return node->next;
    size_t i = node != NULL ? (node->hash & (map->bucket_count - 1)) + 1 : 0;
    for (; i < map->bucket_count; i++)
        if (map->buckets[i] != NULL)
            return map->buckets[i];
    return NULL;
}
