/* socket: what a program asks of one socket: its id, rooms and data, and its end. */
#include "embed/embed_parts.h"
#include "session/backend.h"

struct embed_socket *embed_socket_find(sennit_socket *handle, const char *call)
{
    struct embed_socket *socket = handle_object(handle, HANDLE_SOCKET, call);
    if (socket == NULL)
        return NULL;
    if (socket->nsp->embed->is_open && socket->subscriber != NULL && subscriber_is_connected(socket->subscriber))
        return socket;
    handle_misused(call, "the socket has ended, or is elsewhere");
    return NULL;
}

const char *sennit_socket_id(sennit_socket *handle)
{
    struct embed_socket *socket = handle_object(handle, HANDLE_SOCKET, "sennit_socket_id");
    return socket != NULL ? socket->sid : NULL;
}

sennit_nsp *sennit_socket_nsp(sennit_socket *handle)
{
    struct embed_socket *socket = handle_object(handle, HANDLE_SOCKET, "sennit_socket_nsp");
    return socket != NULL ? socket->nsp->handle : NULL;
}

bool sennit_socket_is_here(sennit_socket *handle)
{
    struct embed_socket *socket = handle_peek(handle, HANDLE_SOCKET);
    return socket != NULL && socket->subscriber != NULL && subscriber_is_connected(socket->subscriber);
}

/* False, with a line in the log. */
static bool room_is_good(const struct embed_socket *socket, struct span room, const char *call)
{
    bool good = room.len > 0 && socket->nsp->config->nsp.name.len + 1 + room.len <= BROKER_ROOM_BYTES_MAX;
    if (!good)
        handle_misused(call, "a room's name has 1 to about 1000 bytes");
    return good;
}

bool sennit_join(sennit_socket *handle, const char *name)
{
    struct embed_socket *socket = embed_socket_find(handle, "sennit_join");
    struct span room = span_str(name);
    if (socket == NULL || !room_is_good(socket, room, "sennit_join"))
        return false;
    subscriber_join(socket->subscriber, &room, 1, SPAN_LIT(""));
    return subscriber_is_in(socket->subscriber, room);
}

bool sennit_leave(sennit_socket *handle, const char *name)
{
    struct embed_socket *socket = embed_socket_find(handle, "sennit_leave");
    struct span room = span_str(name);
    if (socket == NULL || !room_is_good(socket, room, "sennit_leave"))
        return false;
    if (subscriber_is_in(socket->subscriber, room))
        subscriber_leave(socket->subscriber, &room, 1, SPAN_LIT(""));
    return true;
}

bool sennit_is_in(sennit_socket *handle, const char *name)
{
    struct embed_socket *socket = embed_socket_find(handle, "sennit_is_in");
    struct span room = span_str(name);
    return socket != NULL && room.len > 0 && subscriber_is_in(socket->subscriber, room);
}

bool sennit_disconnect(sennit_socket *handle)
{
    struct embed_socket *socket = embed_socket_find(handle, "sennit_disconnect");
    if (socket == NULL)
        return false;
    const struct subscriber_emit to = {.to_sid = subscriber_sid(socket->subscriber)};
    backend_direct_here(&socket->nsp->embed->server.sessions, &socket->nsp->config->nsp, &to,
                        &(struct directive){.op = DIRECTIVE_DISCONNECT});
    return true;
}

bool sennit_data_set(sennit_socket *handle, const void *data, size_t bytes)
{
    struct embed_socket *socket = embed_socket_find(handle, "sennit_data_set");
    if (socket == NULL)
        return false;
    if (bytes > SENNIT_DATA_MAX || (data == NULL && bytes > 0)) {
        handle_misused("sennit_data_set", "a socket keeps 1024 bytes at most");
        return false;
    }
    subscriber_data_set(socket->subscriber, span_of(data, bytes));
    return true;
}

const char *sennit_data(sennit_socket *handle, size_t *bytes)
{
    struct embed_socket *socket = handle_object(handle, HANDLE_SOCKET, "sennit_data");
    size_t unasked;
    bytes = bytes != NULL ? bytes : &unasked;
    *bytes = 0;
    if (socket == NULL)
        return NULL;
    *bytes = socket->subscriber != NULL ? subscriber_has(socket->subscriber).data_len : socket->data_len;
    return socket->subscriber != NULL ? subscriber_has(socket->subscriber).data : socket->data;
}
