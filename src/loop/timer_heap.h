/* timer_heap: the timers of a loop, the next one due in front.
 *
 * A four-way heap whose slots carry the due time beside the timer, so that sifting touches the heap alone and timers
 * need not store it. Each timer knows its slot (`place`), so stopping and moving need no search. Any loop may use it;
 * it knows no clock. */
#ifndef SENNIT_LOOP_TIMER_HEAP_H
#define SENNIT_LOOP_TIMER_HEAP_H

#include "loop/loop.h"

struct timer_slot {
    uint64_t due_us;
    struct timer *timer;
};

/* Zeroed: empty, no memory. */
struct timer_heap {
    struct timer_slot *slots;
    size_t count, cap;
};

/* Frees the memory; timers that are still in it do not fire. Accepts NULL and zeroed. */
void timer_heap_finish(struct timer_heap *heap);

/* Puts the timer in, or moves it when it is in. */
void timer_heap_put(struct timer_heap *heap, struct timer *timer, uint64_t due_us);
/* Takes the timer out; harmless when it is not in. */
void timer_heap_remove(struct timer_heap *heap, struct timer *timer);

/* Takes out the timer due first, if it is due by `now_us`, or returns NULL. Those due at the same microsecond come in
 * no particular order. */
struct timer *timer_heap_take(struct timer_heap *heap, uint64_t now_us);

/* When the first is due; UINT64_MAX: there is none. */
static inline uint64_t timer_heap_next_us(const struct timer_heap *heap)
{
    return heap->count != 0 ? heap->slots[0].due_us : UINT64_MAX;
}

#endif
