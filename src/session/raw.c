/* raw: messages in and out. */
#include "session/raw.h"

#include "session/subscriber.h"
#include "wire/utf8.h"

enum { TEXT = 't', BINARY = 'b' };

enum refusal raw_check(const struct sessions *sessions, const struct nsp *nsp, struct span room)
{
    struct hub *hub = sessions->hub;
    struct buf name = {0};
    enum refusal refusal = REFUSAL_COUNT;
    subscriber_room_name(&name, nsp, room);
    if (room.len == 0 || name.len > BROKER_ROOM_BYTES_MAX)
        refusal = REFUSAL_ROOM_INVALID;
    else if (engineio_sid_is_valid(room))
        refusal = REFUSAL_ROOM_IS_SOCKET;
    else if (!hub_has_room(hub, buf_span(&name)) && hub_room_count(hub) >= sessions->limits.hub_rooms_max)
        refusal = REFUSAL_INSTANCE_ROOMS_FULL;
    buf_finish(&name);
    return refusal;
}

void raw_enter(struct session *session, const struct nsp *nsp, struct span room)
{
    session_hold(session, true);
    if (subscriber_begin(session, nsp, &(struct subscriber_start){.room = room}) != REFUSAL_COUNT)
        session_close(session, CLOSE_EXPELLED);
}

static void opened(struct session *session, const char *sid)
{
    /* A page that knows no protocol expects no greeting. */
}

static void connected(struct subscriber *subscriber, bool recovered)
{
    session_joined(subscriber->session);
    session_hold(subscriber->session, false);
}

/* The room of the URL: a subscriber of this kind is in no other but the namespace's own. */
static struct span room_of(const struct subscriber *subscriber)
{
    struct span room = {NULL, 0};
    for (struct membership *at = member_next(&subscriber->member, NULL); at != NULL && room.len == 0;
         at = member_next(&subscriber->member, at))
        room = subscriber_room_of(subscriber->nsp, membership_room(at));
    return room;
}

/* Without an acknowledgement, a message that the broker cannot take ends the session (subscriber_publish). */
static void publish(struct session *session, char kind, struct span message)
{
    struct subscriber *subscriber = session->sockets;
    if (subscriber == NULL)
        return;
    struct span room = room_of(subscriber);
    struct buf body = {0};
    buf_append_char(&body, kind);
    buf_append(&body, message);
    struct content content = content_of(buf_span(&body));
    session->sessions->counters.events_in++;
    if (room.len != 0)
        subscriber_publish(subscriber, &(struct subscriber_emit){
                                           .rooms = &room, .room_count = 1, .except_self = true, .content = &content});
    buf_finish(&body);
}

static void received(struct session *session, struct span text)
{
    session->moved = true;
    publish(session, TEXT, text);
}

static void received_binary(struct session *session, struct span bytes)
{
    publish(session, BINARY, bytes);
}

static struct frame *event_encode(const struct subscriber *subscriber, const struct content *content,
                                  const struct token *token)
{
    const struct transport *transport = subscriber->session->transport;
    const struct span parts[] = {{NULL, 0}, span_from(content->args, 1)};
    bool is_text = content->args.len == 0 || (content->args.data[0] != BINARY && utf8_is_valid(content->args));
    return transport->type->encode(transport, is_text ? &parts[1] : parts, is_text ? 1 : 2);
}

static void answer(struct subscriber *subscriber, struct span id, const struct content *content)
{
    /* Its requests have no ids. */
}

const struct protocol raw_protocol = {
    .kind = PROTOCOL_RAW,
    .opened = opened,
    .ping = session_transport_ping,
    .received = received,
    .received_binary = received_binary,
    .connected = connected,
    .event_encode = event_encode,
    .answer = answer,
};
