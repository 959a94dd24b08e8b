/* map: a hash table from bytes to the objects that embed its nodes.
 *
 * The node carries its key as a borrowed span, which the containing object keeps alive and unchanged while it is in the
 * map. Keys that peers choose are hashed with a seed they do not know (SipHash-1-3), so that nobody can aim for
 * collisions. */
#ifndef SENNIT_BASE_MAP_H
#define SENNIT_BASE_MAP_H

#include "base/span.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct span key;
};

struct map {
    struct map_node **buckets;
    size_t count, bucket_count;
    uint64_t seed[2];
};

/* An empty map that holds no memory yet; `seed` is secret and random where peers choose the keys. */
void map_init(struct map *map, const uint64_t seed[2]);

/* Frees the table, not the objects in it. Accepts NULL and zeroed. */
void map_finish(struct map *map);

/* Adds `node`, whose key is set and not in the map yet. */
void map_add(struct map *map, struct map_node *node, struct span key);

/* The node with this key, or NULL. */
struct map_node *map_find(const struct map *map, struct span key);

/* Takes `node`, which is in the map, out of it. */
void map_remove(struct map *map, struct map_node *node);

/* Walks all nodes, in no particular order: start with NULL; NULL ends it. The map must not change during the walk,
 * except that the node just returned may be removed after its successor was fetched. */
struct map_node *map_next(const struct map *map, const struct map_node *node);

uint64_t map_hash(const uint64_t seed[2], struct span key);

#endif
