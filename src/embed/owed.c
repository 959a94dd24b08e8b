/* owed: acknowledgements that clients wait for. A handler pays at once, where the socket is. One that is paid later, of
 * a client that polls, may find the session on another instance: so it is promised (asking_promise), and goes to the
 * socket wherever it is. */
#include "embed/embed_parts.h"

struct subscriber *owed_subscriber(const struct owed *owed)
{
    struct embed_socket *socket = owed->id.len > 0 ? handle_peek(owed->socket, HANDLE_SOCKET) : NULL;
    bool here = socket != NULL && socket->subscriber != NULL && subscriber_is_connected(socket->subscriber);
    return here ? socket->subscriber : NULL;
}

void owed_promise(struct owed *owed)
{
    struct subscriber *subscriber = owed_subscriber(owed);
    if (subscriber == NULL || owed->promise_len != 0)
        return;
    struct span id = asking_promise(subscriber, buf_span(&owed->id)), sid = subscriber_sid(subscriber);
    if (id.len == 0)
        return;
    owed->promise_len = (uint8_t)id.len;
    memcpy(owed->promise, id.data, id.len);
    memcpy(owed->sid, sid.data, sizeof owed->sid);
}

bool owed_pay(struct owed *owed, struct embed_nsp *nsp, const struct content *content)
{
    struct subscriber *subscriber = owed_subscriber(owed);
    struct span promise = span_of(owed->promise, owed->promise_len), sid = span_of(owed->sid, sizeof owed->sid);
    if (owed->id.len == 0)
        return false;
    if (subscriber != NULL && promise.len != 0)
        return asking_keep(subscriber, promise, content);
    if (subscriber != NULL)
        subscriber_answer(subscriber, buf_span(&owed->id), content);
    else if (promise.len != 0 && nsp->embed->is_open)
        return asking_keep_elsewhere(&nsp->embed->server.sessions, &nsp->config->nsp, sid, promise, content);
    return subscriber != NULL;
}

void owed_take(struct owed *owed, struct owed *from)
{
    *owed = *from;
    from->id = (struct buf){0};
    from->promise_len = 0;
}

void owed_drop(struct owed *owed)
{
    struct subscriber *subscriber = owed->promise_len != 0 ? owed_subscriber(owed) : NULL;
    if (subscriber != NULL)
        asking_keep(subscriber, span_of(owed->promise, owed->promise_len), NULL);
    buf_finish(&owed->id);
    owed->promise_len = 0;
}
