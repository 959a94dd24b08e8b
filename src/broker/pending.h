/* pending: calls that are not answered on the way they were sent, but through the feed of pushes, by number. A broker
 * owns one `struct pending` for each kind of such calls; a call embeds `struct pending_call`, and its memory is the
 * broker's. Numbers only rise, and the feed keeps their order, so an answer says that all earlier calls are over. */
#ifndef SENNIT_BROKER_PENDING_H
#define SENNIT_BROKER_PENDING_H

#include <stdint.h>

#include "base/list.h"

struct pending_call {
    struct list node;
    uint64_t number;
};

struct pending {
    struct list calls;
    uint64_t number; /* the last one given */
};

/* `number`: calls are numbered from the next one on. */
static inline void pending_init(struct pending *pending, uint64_t number)
{
    pending->number = number;
    list_init(&pending->calls);
}

/* Gives the next number to something that nobody waits for. */
static inline uint64_t pending_number_next(struct pending *pending)
{
    return ++pending->number;
}

/* Gives the call the next number, which is returned, and keeps it until it is taken. */
static inline uint64_t pending_add(struct pending *pending, struct pending_call *call)
{
    call->number = pending_number_next(pending);
    list_init(&call->node);
    list_append(&pending->calls, &call->node);
    return call->number;
}

/* False for a number that was never given: an answer for somebody else. */
static inline bool pending_knows(const struct pending *pending, uint64_t number)
{
    return number <= pending->number;
}

/* Takes the oldest call that is not newer than `number` (UINT64_MAX: the oldest one); NULL: there is none. */
static inline struct pending_call *pending_take(struct pending *pending, uint64_t number)
{
    if (list_empty(&pending->calls))
        return NULL;
    struct pending_call *oldest = container_of(pending->calls.next, struct pending_call, node);
    if (oldest->number > number)
        return NULL;
    list_remove(&oldest->node);
    return oldest;
}

#endif
