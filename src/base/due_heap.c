/* due_heap: sifting up and down in a four-way heap. */
#include "base/due_heap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { HEAP_WAYS = 4, HEAP_CAP_MIN = 16 };

void due_heap_finish(struct due_heap *heap)
{
    if (heap == NULL)
        return;
    free(heap->slots);
    *heap = (struct due_heap){0};
}

static void heap_set(struct due_heap *heap, size_t at, struct due_slot slot)
{
    heap->slots[at] = slot;
    *slot.place = (uint32_t)at + 1;
}

static void heap_rise(struct due_heap *heap, size_t at, struct due_slot slot)
{
    while (at > 0) {
        size_t parent = (at - 1) / HEAP_WAYS;
        if (heap->slots[parent].due_us <= slot.due_us)
            break;
        heap_set(heap, at, heap->slots[parent]);
        at = parent;
    }
    heap_set(heap, at, slot);
}

static void heap_sink(struct due_heap *heap, size_t at, struct due_slot slot)
{
    for (;;) {
        size_t first = at * HEAP_WAYS + 1;
        size_t end = first + HEAP_WAYS < heap->count ? first + HEAP_WAYS : heap->count;
        size_t least = first;
        if (first >= heap->count)
            break;
        for (size_t i = first + 1; i < end; i++)
            if (heap->slots[i].due_us < heap->slots[least].due_us)
                least = i;
        if (slot.due_us <= heap->slots[least].due_us)
            break;
        heap_set(heap, at, heap->slots[least]);
        at = least;
    }
    heap_set(heap, at, slot);
}

/* Fills slot `at`, whose content is gone, so that the order holds in both directions. */
static void heap_settle(struct due_heap *heap, size_t at, struct due_slot slot)
{
    if (at > 0 && slot.due_us < heap->slots[(at - 1) / HEAP_WAYS].due_us)
        heap_rise(heap, at, slot);
    else
        heap_sink(heap, at, slot);
}

static void heap_resize(struct due_heap *heap, size_t cap)
{
    heap->slots = mem_resize(heap->slots, cap * sizeof *heap->slots);
    heap->cap = cap;
}

void due_heap_put(struct due_heap *heap, uint32_t *place, uint64_t due_us)
{
    struct due_slot slot = {due_us, place};
    if (*place != 0) {
        assert(*place <= heap->count && heap->slots[*place - 1].place == place);
        heap_settle(heap, *place - 1, slot);
        return;
    }
    if (heap->count == heap->cap)
        heap_resize(heap, heap->cap != 0 ? heap->cap * 2 : HEAP_CAP_MIN);
    heap->count++;
    assert(heap->count < UINT32_MAX); /* memory for so many cannot be had */
    heap_rise(heap, heap->count - 1, slot);
}

void due_heap_remove(struct due_heap *heap, uint32_t *place)
{
    if (*place == 0)
        return;
    size_t at = *place - 1;
    assert(at < heap->count && heap->slots[at].place == place);
    *place = 0;
    heap->count--;
    if (at != heap->count)
        heap_settle(heap, at, heap->slots[heap->count]);
    if (heap->cap > HEAP_CAP_MIN && heap->count < heap->cap / 4)
        heap_resize(heap, heap->cap / 2);
}

uint32_t *due_heap_take(struct due_heap *heap, uint64_t now_us)
{
    if (heap->count == 0 || heap->slots[0].due_us > now_us)
        return NULL;
    uint32_t *first = heap->slots[0].place;
    due_heap_remove(heap, first);
    return first;
}
