/* timer_heap: sifting up and down in a four-way heap. */
#include "loop/timer_heap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { HEAP_WAYS = 4, HEAP_CAP_MIN = 16 };

void timer_heap_finish(struct timer_heap *heap)
{
    if (heap == NULL)
        return;
    free(heap->slots);
    *heap = (struct timer_heap){0};
}

static void heap_set(struct timer_heap *heap, size_t at, struct timer_slot slot)
{
    heap->slots[at] = slot;
    slot.timer->place = (uint32_t)at + 1;
}

static void heap_rise(struct timer_heap *heap, size_t at, struct timer_slot slot)
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

static void heap_sink(struct timer_heap *heap, size_t at, struct timer_slot slot)
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
static void heap_settle(struct timer_heap *heap, size_t at, struct timer_slot slot)
{
    if (at > 0 && slot.due_us < heap->slots[(at - 1) / HEAP_WAYS].due_us)
        heap_rise(heap, at, slot);
    else
        heap_sink(heap, at, slot);
}

static void heap_resize(struct timer_heap *heap, size_t cap)
{
    heap->slots = mem_resize(heap->slots, cap * sizeof *heap->slots);
    heap->cap = cap;
}

void timer_heap_put(struct timer_heap *heap, struct timer *timer, uint64_t due_us)
{
    struct timer_slot slot = {due_us, timer};
    if (timer->place != 0) {
        assert(timer->place <= heap->count && heap->slots[timer->place - 1].timer == timer);
        heap_settle(heap, timer->place - 1, slot);
        return;
    }
    if (heap->count == heap->cap)
        heap_resize(heap, heap->cap != 0 ? heap->cap * 2 : HEAP_CAP_MIN);
    heap->count++;
    assert(heap->count < UINT32_MAX); /* memory for so many cannot be had */
    heap_rise(heap, heap->count - 1, slot);
}

void timer_heap_remove(struct timer_heap *heap, struct timer *timer)
{
    if (timer->place == 0)
        return;
    size_t at = timer->place - 1;
    assert(at < heap->count && heap->slots[at].timer == timer);
    timer->place = 0;
    heap->count--;
    if (at != heap->count)
        heap_settle(heap, at, heap->slots[heap->count]);
    if (heap->cap > HEAP_CAP_MIN && heap->count < heap->cap / 4)
        heap_resize(heap, heap->cap / 2);
}

struct timer *timer_heap_take(struct timer_heap *heap, uint64_t now_us)
{
    if (heap->count == 0 || heap->slots[0].due_us > now_us)
        return NULL;
    struct timer *first = heap->slots[0].timer;
    timer_heap_remove(heap, first);
    return first;
}
