/* slow: relieves the queue of a client that reads too slowly, as its namespace says. In recoverable namespaces all
 * events of each subscriber but the first waiting one are dropped. The subscriber then catches up from the log behind
 * that event's position, as if it had been cut and had come back. Acknowledgements and pings stay in the queue, and so
 * do events in front of the first one whose tag has a position. */
#include "session/subscriber_parts.h"

enum { SOCKETS_MAX = 16 };

struct slow {
    struct session *session;
    struct {
        struct subscriber *subscriber;
        uint64_t at; /* position of the event that stays */
        size_t dropped;
    } sockets[SOCKETS_MAX];
    size_t count;
};

static struct subscriber *subscriber_by_number(struct session *session, uint32_t number)
{
    subscribers_each(subscriber, session)
    {
        if (subscriber->number == number)
            return subscriber->state == SUBSCRIBER_CONNECTED ? subscriber : NULL;
    }
    return NULL; /* it has left the namespace */
}

static bool keep(void *arg, const struct frame_tag *tag)
{
    struct slow *slow = arg;
    struct subscriber *subscriber = tag->whose != 0 ? subscriber_by_number(slow->session, tag->whose) : NULL;
    if (subscriber == NULL)
        return true;
    for (size_t i = 0; i < slow->count; i++) {
        if (slow->sockets[i].subscriber == subscriber) {
            slow->sockets[i].dropped++;
            return false;
        }
    }
    if (tag->at == 0 || slow->count == SOCKETS_MAX)
        return true;
    slow->sockets[slow->count].subscriber = subscriber;
    slow->sockets[slow->count].at = tag->at;
    slow->sockets[slow->count++].dropped = 0;
    return true;
}

static bool catches_up(struct session *session, const struct subscriber *subscriber)
{
    struct slow slow = {.session = session};
    bool is_among = false;
    session->sessions->counters.slowed++;
    session->transport->type->filter(session->transport, keep, &slow);
    for (size_t i = 0; i < slow.count; i++) {
        struct token token;
        if (slow.sockets[i].dropped == 0)
            continue;
        hub_token(session->sessions->hub, slow.sockets[i].at, &token);
        member_rewind(&slow.sockets[i].subscriber->member, &token);
        is_among |= slow.sockets[i].subscriber == subscriber;
    }
    transport_await_drained(session->transport); /* then they go on */
    return is_among;
}

bool subscriber_slow(struct subscriber *subscriber, bool is_logged)
{
    const struct nsp *nsp = subscriber->nsp;
    if (nsp->slow == SLOW_CLOSE) {
        session_close(subscriber->session, CLOSE_SLOW_CONSUMER);
        return true;
    }
    if (nsp->slow == SLOW_DROP && !is_logged) {
        refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_SLOW_DROPPED, subscriber_sid(subscriber),
                      nsp->name);
        return true;
    }
    return nsp->recoverable && catches_up(subscriber->session, subscriber);
}
