/* slow: relieves the queue of a client that reads too slowly. In recoverable namespaces all events of each socket but
 * the first waiting one are dropped. The socket then catches up from the log behind that event's position, as if it had
 * been cut and had come back. Acknowledgements and pings stay in the queue, and so do events in front of the first one
 * whose tag has a position. */
#include "session/socket_traffic.h"

enum { SOCKETS_MAX = 16 };

struct slow {
    struct session *session;
    struct {
        struct socket *socket;
        uint64_t at; /* position of the event that stays */
        size_t dropped;
    } sockets[SOCKETS_MAX];
    size_t count;
};

static struct socket *socket_by_number(struct session *session, uint32_t number)
{
    list_each (node, &session->sockets) {
        struct socket *socket = container_of(node, struct socket, of_session);
        if (socket->number == number)
            return socket->state == SOCKET_CONNECTED ? socket : NULL;
    }
    return NULL; /* it has left the namespace */
}

static bool keep(void *arg, const struct frame_tag *tag)
{
    struct slow *slow = arg;
    struct socket *socket = tag->whose != 0 ? socket_by_number(slow->session, tag->whose) : NULL;
    if (socket == NULL)
        return true;
    for (size_t i = 0; i < slow->count; i++) {
        if (slow->sockets[i].socket == socket) {
            slow->sockets[i].dropped++;
            return false;
        }
    }
    if (tag->at == 0 || slow->count == SOCKETS_MAX)
        return true;
    slow->sockets[slow->count].socket = socket;
    slow->sockets[slow->count].at = tag->at;
    slow->sockets[slow->count++].dropped = 0;
    return true;
}

bool session_slow(struct session *session, struct socket *socket)
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
        member_rewind(&slow.sockets[i].socket->member, &token);
        is_among |= slow.sockets[i].socket == socket;
    }
    transport_await_drained(session->transport); /* then they go on */
    return is_among;
}
