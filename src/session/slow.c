/* slow: relieves the queue of a client that reads too slowly. In recoverable namespaces all events of each socket but
 * the first waiting one are dropped. The socket then catches up from the log behind that event's token, as if it had
 * been cut and had come back. Acknowledgements and pings stay in the queue. */
#include "session/socket_traffic.h"

enum { SOCKETS_MAX = 16 };

struct slow {
    struct session *session;
    struct {
        struct socket *socket;
        struct token token; /* of the event that stays */
        size_t dropped;
    } sockets[SOCKETS_MAX];
    size_t count;
};

/* The text of one of our own frames. */
static struct span frame_text(struct span frame)
{
    size_t len = frame.len > 1 ? (uint8_t)frame.data[1] & 0x7f : 0;
    bool is_text = frame.len > 0 && ((uint8_t)frame.data[0] & 0x0f) == WS_TEXT;
    return is_text ? span_from(frame, len < 126 ? 2 : len == 126 ? 4 : 10) : (struct span){NULL, 0};
}

/* The socket whose event this is, with a token at its end, or NULL. */
static struct socket *event_of(struct session *session, struct span text, struct token *token)
{
    struct span nsp = SPAN_LIT("/"), rest = span_from(text, 2), last;
    if (!span_starts_with(text, SPAN_LIT("42")) || text.len < 6 || text.data[text.len - 2] != '"')
        return NULL;
    if (rest.data[0] == '/')
        span_next(&rest, ',', &nsp);
    struct socket *socket = socket_find(session, nsp);
    if (socket == NULL || !socket->nsp->recoverable || socket->state != SOCKET_CONNECTED)
        return NULL;
    size_t at = text.len - 3;
    while (at > 0 && text.data[at] != '"')
        at--;
    last = span_sub(text, at + 1, text.len - 3 - at);
    return token_decode(last, token) ? socket : NULL;
}

static bool keep(void *arg, struct span frame)
{
    struct slow *slow = arg;
    struct token token;
    struct socket *socket = event_of(slow->session, frame_text(frame), &token);
    if (socket == NULL)
        return true;
    for (size_t i = 0; i < slow->count; i++) {
        if (slow->sockets[i].socket == socket) {
            slow->sockets[i].dropped++;
            return false;
        }
    }
    if (slow->count == SOCKETS_MAX)
        return true;
    slow->sockets[slow->count].socket = socket;
    slow->sockets[slow->count].token = token;
    slow->sockets[slow->count++].dropped = 0;
    return true;
}

bool session_slow(struct session *session, struct socket *socket)
{
    static struct slow slow; /* large; used by one call at a time, there is one thread */
    bool is_among = false;
    slow.session = session;
    slow.count = 0;
    session->sessions->counters.slowed++;
    conn_queue_filter(session->conn, keep, &slow);
    for (size_t i = 0; i < slow.count; i++) {
        if (slow.sockets[i].dropped == 0)
            continue;
        member_rewind(&slow.sockets[i].socket->member, &slow.sockets[i].token);
        is_among |= slow.sockets[i].socket == socket;
    }
    conn_await_drained(session->conn); /* then they go on */
    return is_among;
}
