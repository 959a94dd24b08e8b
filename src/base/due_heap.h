/* due_heap: what is due at a time, the first in front.
 *
 * A four-way heap whose slots carry the time beside the object, so that sifting touches the heap alone and objects need
 * not store it. An object is known by its *place*, a number that it embeds (counted from 1; 0: it is not in), so that
 * stopping and moving need no search. container_of comes back from there. It knows no clock. */
#ifndef SENNIT_BASE_DUE_HEAP_H
#define SENNIT_BASE_DUE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct due_slot {
    uint64_t due_us;
    uint32_t *place;
};

/* Zeroed: empty, no memory. */
struct due_heap {
    struct due_slot *slots;
    size_t count, cap;
};

/* Frees the memory; objects that are still in it stay as they are. Accepts NULL and zeroed. */
void due_heap_finish(struct due_heap *heap);

/* Puts an object in, or moves it when it is in. */
void due_heap_put(struct due_heap *heap, uint32_t *place, uint64_t due_us);
/* Takes it out; harmless when it is not in. */
void due_heap_remove(struct due_heap *heap, uint32_t *place);

/* Takes out the object due first, if it is due by `now_us`, or returns NULL. Those due at the same microsecond come in
 * no particular order. */
uint32_t *due_heap_take(struct due_heap *heap, uint64_t now_us);

/* When the first is due; UINT64_MAX: there is none. */
static inline uint64_t due_heap_next_us(const struct due_heap *heap)
{
    return heap->count != 0 ? heap->slots[0].due_us : UINT64_MAX;
}

#endif
