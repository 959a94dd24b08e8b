/* subscriber_data: what the application keeps with a subscriber, and what it is told when one has gone. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/lease.h"
#include "session/subscriber_parts.h"

/* Longer ones are not from here. */
void subscriber_data_keep(struct subscriber *subscriber, struct span data)
{
    free(subscriber->data);
    subscriber->data = data.len > 0 && data.len <= SUBSCRIBER_DATA_BYTES_MAX ? mem_text(data) : NULL;
    subscriber->data_len = subscriber->data != NULL ? (uint32_t)data.len : 0;
}

void subscriber_data_set(struct subscriber *subscriber, struct span data)
{
    subscriber_data_keep(subscriber, data);
    if (subscriber_is_leased(subscriber) && subscriber->state == SUBSCRIBER_CONNECTED)
        subscriber_lease_refresh(subscriber);
}

struct leaver subscriber_leaver(const struct subscriber *subscriber)
{
    return (struct leaver){
        .nsp = subscriber->nsp,
        .sid = subscriber_sid(subscriber),
        .lease = subscriber->lease_name != NULL ? subscriber_lease_name(subscriber) : SPAN_LIT(""),
        .data = span_of(subscriber->data, subscriber->data_len),
        .part = subscriber->part,
        .generation = subscriber->generation,
    };
}

void subscriber_departed(struct sessions *sessions, const struct leaver *leaver, enum departure departure,
                         enum close_reason reason)
{
    if (sessions->app->departed != NULL && leaver->sid.len != 0)
        sessions->app->departed(sessions->app, leaver, departure, reason);
}

/* The lease of a client that comes back is given up: whom it was for has ended. */
void subscriber_lease_ended(struct subscriber *subscriber, const struct broker_lease *lease)
{
    struct span stale, subject;
    struct leaver leaver = {
        .nsp = subscriber->nsp, .sid = lease->sid, .lease = lease->pid, .generation = lease->generation};
    lease_data_decode(lease->data, &stale, &subject, &leaver.data);
    subscriber_departed(subscriber->sessions, &leaver, DEPARTURE_ENDED, CLOSE_HISTORY_LOST);
}
