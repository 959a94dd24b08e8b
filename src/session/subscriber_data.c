/* subscriber_data: what the application keeps with a subscriber, and what it is told when one has gone. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/broker.h"
#include "session/lease.h"
#include "session/subscriber_parts.h"

struct subscriber_extra *subscriber_extra(struct subscriber *subscriber)
{
    if (subscriber->extra == NULL) {
        subscriber->extra = mem_zero(1, sizeof *subscriber->extra);
        list_init(&subscriber->extra->calls);
    }
    return subscriber->extra;
}

void subscriber_extra_free(struct subscriber *subscriber)
{
    struct subscriber_extra extra = subscriber_has(subscriber);
    if (extra.auth != NULL)
        explicit_bzero(extra.auth, strlen(extra.auth));
    free(extra.auth);
    free(extra.presence_data);
    free(extra.data);
    free(subscriber->extra);
}

void subscriber_shown_keep(struct subscriber *subscriber, struct span presence_data,
                           const struct subscriber_start *start)
{
    struct span auth = start->is_moved ? start->kept_auth : start->auth;
    if (presence_data.len > BROKER_DATA_BYTES_MAX)
        subscriber_refuse(subscriber, REFUSAL_PRESENCE_DATA, subscriber->nsp->name, (struct span){NULL, 0});
    else if (presence_data.len != 0)
        subscriber_extra(subscriber)->presence_data = mem_text(presence_data);
    if (!subscriber_sessions(subscriber)->keeps_auth || auth.len == 0)
        return;
    if (auth.len > SUBSCRIBER_AUTH_BYTES_MAX)
        subscriber_refuse(subscriber, REFUSAL_HANDSHAKE_UNKEPT, subscriber->nsp->name, (struct span){NULL, 0});
    else
        subscriber_extra(subscriber)->auth = mem_text(auth);
}

/* Longer ones are not from here. */
void subscriber_data_keep(struct subscriber *subscriber, struct span data)
{
    bool is_kept = data.len > 0 && data.len <= SUBSCRIBER_DATA_BYTES_MAX;
    if (!is_kept && subscriber->extra == NULL)
        return;
    struct subscriber_extra *extra = subscriber_extra(subscriber);
    free(extra->data);
    extra->data = is_kept ? mem_text(data) : NULL;
    extra->data_len = is_kept ? (uint32_t)data.len : 0;
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
        .lease = subscriber->lease != NULL && subscriber->lease->name != NULL ? subscriber_lease_name(subscriber)
                                                                              : SPAN_LIT(""),
        .data = span_of(subscriber_has(subscriber).data, subscriber_has(subscriber).data_len),
        .part = subscriber_has(subscriber).part,
        .generation = subscriber_generation(subscriber),
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
    subscriber_departed(subscriber_sessions(subscriber), &leaver, DEPARTURE_ENDED, CLOSE_HISTORY_LOST);
}
