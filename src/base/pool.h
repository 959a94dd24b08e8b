/* pool: memory for objects of one size that a process has by the thousand, each for as long as a client stays.
 *
 * Objects lie side by side in slabs: none has malloc's header, and what comes and goes beside them leaves no holes
 * between them. A slab is found from its object by its alignment. Objects that are given back are used again first; a
 * slab without objects is freed, but for one. Where the address sanitizer watches, each object is malloc's, so that it
 * finds uses of freed ones. */
#ifndef SENNIT_BASE_POOL_H
#define SENNIT_BASE_POOL_H

#include "base/list.h"

struct pool {
    size_t object_bytes;
    size_t count;      /* of objects that are taken */
    size_t slab_count; /* of slabs in memory */
    struct list open;  /* slabs with room */
};

/* `object_bytes`: POOL_OBJECT_BYTES_MAX at most. */
enum { POOL_OBJECT_BYTES_MAX = 1024 };
void pool_init(struct pool *pool, size_t object_bytes);
/* Frees its memory. Every object has been given back. Accepts zeroed memory. */
void pool_finish(struct pool *pool);

/* One object, zeroed and aligned to 8 bytes. */
void *pool_take(struct pool *pool);
/* Accepts NULL. */
void pool_give(struct pool *pool, void *object);

#endif
