/* timer_heap: the timers of a loop, the next one due in front (base/due_heap). For any loop that has timers. */
#ifndef SENNIT_LOOP_TIMER_HEAP_H
#define SENNIT_LOOP_TIMER_HEAP_H

#include "base/due_heap.h"
#include "loop/loop.h"

/* Zeroed: empty, no memory. */
struct timer_heap {
    struct due_heap heap;
};

/* Frees the memory; timers that are still in it do not fire. Accepts zeroed memory. */
static inline void timer_heap_finish(struct timer_heap *timers)
{
    due_heap_finish(&timers->heap);
}

/* Puts the timer in, or moves it when it is in. */
static inline void timer_heap_put(struct timer_heap *timers, struct timer *timer, uint64_t due_us)
{
    due_heap_put(&timers->heap, &timer->place, due_us);
}

/* Takes the timer out; harmless when it is not in. */
static inline void timer_heap_remove(struct timer_heap *timers, struct timer *timer)
{
    due_heap_remove(&timers->heap, &timer->place);
}

/* Takes out the timer due first, if it is due by `now_us`, or returns NULL. */
static inline struct timer *timer_heap_take(struct timer_heap *timers, uint64_t now_us)
{
    uint32_t *place = due_heap_take(&timers->heap, now_us);
    return place != NULL ? container_of(place, struct timer, place) : NULL;
}

/* When the first is due; UINT64_MAX: there is none. */
static inline uint64_t timer_heap_next_us(const struct timer_heap *timers)
{
    return due_heap_next_us(&timers->heap);
}

#endif
