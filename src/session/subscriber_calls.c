/* subscriber_calls: the calls that wait for a subscriber: the one by which it connects, until it is connected, and
 * joins and leaves, until its lease records them. */
#include <stdlib.h>

#include "session/subscriber_parts.h"

enum { CONNECT_BYTES = 2048 /* what a subscriber that connects makes this instance and the broker hold */ };

/* Frees the extra part when nothing of it is left, as with most once they are connected. */
static void extra_trim(struct subscriber *subscriber)
{
    const struct subscriber_extra *extra = subscriber->extra;
    if (extra == NULL || subscriber_is_awaited(subscriber) || extra->presence_data != NULL || extra->identity != NULL ||
        extra->asking != NULL || extra->auth != NULL || extra->data != NULL || extra->part != NULL)
        return;
    free(subscriber->extra);
    subscriber->extra = NULL;
}

bool subscriber_is_awaited(const struct subscriber *subscriber)
{
    const struct subscriber_extra *extra = subscriber->extra;
    return extra != NULL && (extra->connecting != NULL || !list_empty(&extra->calls));
}

static void end(struct call *call)
{
    call_end(call);
    free(call);
}

void subscriber_connecting_begin(struct subscriber *subscriber)
{
    subscriber_extra(subscriber)->connecting =
        call_create(subscriber->session, NULL, (struct span){NULL, 0}, CONNECT_BYTES);
}

void subscriber_connecting_end(struct subscriber *subscriber)
{
    if (subscriber->extra == NULL || subscriber->extra->connecting == NULL)
        return;
    end(subscriber->extra->connecting);
    subscriber->extra->connecting = NULL;
    extra_trim(subscriber);
}

struct call *subscriber_call_await(struct subscriber *subscriber, struct span ack_id)
{
    struct call *call = call_create(subscriber->session, subscriber, ack_id, 0);
    list_append(&subscriber_extra(subscriber)->calls, &call->node);
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
    if (subscriber->extra == NULL)
        return;
    list_each (node, &subscriber->extra->calls) {
        struct call *call = container_of(node, struct call, node);
        bool waits = (together && !call->more) || awaits_start(subscriber, call);
        if (call->lease == 0 && !waits)
            call->lease = subscriber->lease != NULL ? subscriber->lease->writes : 1;
        together = call->more && (together || call->lease == 0);
    }
}

void subscriber_calls_answer(struct subscriber *subscriber)
{
    if (subscriber->extra == NULL)
        return;
    list_each (node, &subscriber->extra->calls) {
        struct call *call = container_of(node, struct call, node);
        if (call->lease == 0)
            continue;
        list_remove(node);
        subscriber_ack(subscriber, call_id(call));
        end(call);
    }
    extra_trim(subscriber);
}

void subscriber_calls_drop(struct subscriber *subscriber)
{
    struct list *node;
    if (subscriber->extra == NULL)
        return;
    while ((node = list_take(&subscriber->extra->calls)) != NULL)
        end(container_of(node, struct call, node));
    extra_trim(subscriber);
}
