/* subscribers: those of one session, in the order in which they began. */
#include "session/subscriber_parts.h"

void subscriber_link(struct subscriber *subscriber)
{
    struct session *session = subscriber->session;
    struct subscriber **end = &session->sockets;
    while (*end != NULL)
        end = &(*end)->next;
    *end = subscriber;
    session->socket_count++;
    if (subscriber->lease == NULL)
        unleased_begin(session->sessions);
}

void subscriber_unlink(struct subscriber *subscriber)
{
    struct session *session = subscriber->session;
    struct subscriber **at = &session->sockets;
    while (*at != subscriber)
        at = &(*at)->next;
    *at = subscriber->next;
    session->socket_count--;
    if (subscriber->lease == NULL)
        unleased_end(session->sessions);
}

struct subscriber *subscriber_find(struct session *session, struct span nsp)
{
    subscribers_each(subscriber, session)
    {
        if (span_equal(subscriber->nsp->name, nsp))
            return subscriber;
    }
    return NULL;
}
