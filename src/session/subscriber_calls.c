/* subscriber_calls: the calls that wait for a subscriber: the one by which it connects, until it is connected, and
 * joins and leaves, until its lease records them. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/subscriber_parts.h"

enum { CONNECT_BYTES = 2048 /* what a subscriber that connects makes this instance and the broker hold */ };

/* Its calls that wait, made if there are none. */
static struct subscriber_pending *pending(struct subscriber *subscriber)
{
    if (subscriber->pending == NULL) {
        subscriber->pending = mem_zero(1, sizeof *subscriber->pending);
        list_init(&subscriber->pending->calls);
    }
    return subscriber->pending;
}

/* Frees the memory when nothing waits any more. */
static void pending_trim(struct subscriber *subscriber)
{
    struct subscriber_pending *waits = subscriber->pending;
    if (waits == NULL || waits->connecting != NULL || !list_empty(&waits->calls))
        return;
    free(waits);
    subscriber->pending = NULL;
}

static void end(struct call *call)
{
    call_end(call);
    free(call);
}

void subscriber_connecting_begin(struct subscriber *subscriber)
{
    pending(subscriber)->connecting = call_create(subscriber->session, NULL, (struct span){NULL, 0}, CONNECT_BYTES);
}

void subscriber_connecting_end(struct subscriber *subscriber)
{
    if (subscriber->pending == NULL || subscriber->pending->connecting == NULL)
        return;
    end(subscriber->pending->connecting);
    subscriber->pending->connecting = NULL;
    pending_trim(subscriber);
}

struct call *subscriber_call_await(struct subscriber *subscriber, struct span ack_id)
{
    struct call *call = call_create(subscriber->session, subscriber, ack_id, 0);
    list_append(&pending(subscriber)->calls, &call->node);
    return call;
}

/* The write that begins now records it, unless it waits for the start of its room. */
static bool awaits_start(struct subscriber *subscriber, const struct call *call)
{
    for (struct membership *at = member_next(&subscriber->member, NULL); call->room != 0 && at != NULL;
         at = member_next(&subscriber->member, at)) {
        if (membership_room_number(at) == call->room && membership_is_open(at) && !membership_is_noted(at))
            return true;
    }
    return false;
}

void subscriber_calls_note(struct subscriber *subscriber)
{
    bool together = false; /* a call before this one, of the same request, still waits */
    if (subscriber->pending == NULL)
        return;
    list_each (node, &subscriber->pending->calls) {
        struct call *call = container_of(node, struct call, node);
        bool waits = (together && !call->more) || awaits_start(subscriber, call);
        if (call->lease == 0 && !waits)
            call->lease = subscriber->lease != NULL ? subscriber->lease->writes : 1;
        together = call->more && (together || call->lease == 0);
    }
}

void subscriber_calls_answer(struct subscriber *subscriber)
{
    if (subscriber->pending == NULL)
        return;
    list_each (node, &subscriber->pending->calls) {
        struct call *call = container_of(node, struct call, node);
        if (call->lease == 0)
            continue;
        list_remove(node);
        subscriber_ack(subscriber, call_id(call));
        end(call);
    }
    pending_trim(subscriber);
}

void subscriber_calls_drop(struct subscriber *subscriber)
{
    struct list *node;
    if (subscriber->pending == NULL)
        return;
    while ((node = list_take(&subscriber->pending->calls)) != NULL)
        end(container_of(node, struct call, node));
    pending_trim(subscriber);
}
