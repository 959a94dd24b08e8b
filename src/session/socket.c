/* socket: Socket.IO packets in and out: CONNECT and its reply, events, acknowledgements, DISCONNECT. */
#include "session/socket.h"

#include <assert.h>

#include "session/session.h"
#include "session/subscriber.h"
#include "wire/json.h"
#include "wire/socketio.h"

static void reply_send(struct subscriber *subscriber)
{
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_CONNECT, subscriber->nsp->name, (struct span){NULL, 0});
    buf_printf(&text, "{\"sid\":\"%.*s\"", ENGINEIO_SID_BYTES, subscriber->sid);
    if (subscriber->nsp->recoverable)
        buf_printf(&text, ",\"pid\":\"%.*s\"", ENGINEIO_SID_BYTES, subscriber->lease_name);
    buf_append_char(&text, '}');
    transport_send_packet(subscriber->session->transport, buf_span(&text));
    buf_finish(&text);
}

/* The event `sennit`: this instance's name, and the time until the platform cuts the stream. It carries the client's
 * old position, because no entry was sent yet. */
static void announcement_send(struct subscriber *subscriber, bool recovered)
{
    struct sessions *sessions = subscriber->sessions;
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_EVENT, subscriber->nsp->name, (struct span){NULL, 0});
    buf_append(&text, SPAN_LIT("[\"sennit\",{\"instance\":\""));
    buf_append_json(&text, span_str(sessions->instance));
    buf_append(&text, SPAN_LIT("\",\"deadline_ms\":"));
    if (sessions->request_timeout_ms != 0) {
        uint64_t age_ms = (loop_now_us(sessions->loop) - subscriber->session->opened_us) / 1000;
        buf_append_u64(&text, age_ms < sessions->request_timeout_ms ? sessions->request_timeout_ms - age_ms : 0);
    } else {
        buf_append(&text, SPAN_LIT("null"));
    }
    buf_printf(&text, ",\"recovered\":%s}", recovered ? "true" : "false");
    if (subscriber->nsp->recoverable) {
        buf_append(&text, SPAN_LIT(",\""));
        if (subscriber->offset != NULL) {
            buf_append(&text, span_str(subscriber->offset));
        } else {
            struct token token;
            hub_token(sessions->hub, 0, &token);
            token_encode(&text, &token);
        }
        buf_append_char(&text, '"');
    }
    buf_append_char(&text, ']');
    transport_send_packet(subscriber->session->transport, buf_span(&text));
    buf_finish(&text);
}

static void connected(struct subscriber *subscriber, bool recovered)
{
    reply_send(subscriber);
    if (subscriber->nsp->announce)
        announcement_send(subscriber, recovered);
}

static struct frame *event_encode(const struct subscriber *subscriber, struct span args, const struct token *token)
{
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_EVENT, subscriber->nsp->name, (struct span){NULL, 0});
    buf_append(&text, span_sub(args, 0, args.len - 1));
    if (subscriber->nsp->recoverable) {
        buf_append(&text, SPAN_LIT(",\""));
        token_encode(&text, token);
        buf_append_char(&text, '"');
    }
    buf_append_char(&text, ']');
    const struct transport *transport = subscriber->session->transport;
    struct span packet = buf_span(&text);
    struct frame *frame = transport->type->encode(transport, &packet, 1);
    buf_finish(&text);
    return frame;
}

static_assert((int)CALL_ID_BYTES_MAX >= (int)SOCKETIO_ACK_DIGITS_MAX, "the id of every acknowledgement fits");

static void answer(struct subscriber *subscriber, struct span ack_id, struct span args)
{
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_ACK, subscriber->nsp->name, ack_id);
    buf_append(&text, args);
    transport_send_packet(subscriber->session->transport, buf_span(&text));
    buf_finish(&text);
}

/* `{"pid":"...","offset":"..."}` of a client that comes back, and its presence data. */
static void connect_to(struct session *session, const struct nsp *nsp, const struct socketio_packet *packet)
{
    struct buf pid = {0}, offset = {0};
    struct subscriber_start start = {.pid = {NULL, 0}};
    struct span payload = packet->payload;
    if (payload.data != NULL) {
        struct span pid_json = json_object_get(payload, SPAN_LIT("pid"));
        struct span offset_json = json_object_get(payload, SPAN_LIT("offset"));
        if (pid_json.data != NULL && json_string_decode(pid_json, &pid) && engineio_sid_is_valid(buf_span(&pid)))
            start.pid = buf_span(&pid);
        if (offset_json.data != NULL && offset_json.len <= TOKEN_BYTES_MAX && json_string_decode(offset_json, &offset))
            start.offset = buf_span(&offset);
        if (nsp->presence_key != NULL)
            start.presence_data = json_object_get(payload, span_str(nsp->presence_key));
    }
    subscriber_begin(session, nsp, &start);
    buf_finish(&pid);
    buf_finish(&offset);
}

/* The message is upstream's where upstream has one; `data` names the refusal and the cure. */
static void connect_refuse(struct session *session, const struct socketio_packet *packet, enum refusal refusal)
{
    const char *message = refusal == REFUSAL_NAMESPACE_UNKNOWN ? "Invalid namespace"
                          : refusal == REFUSAL_NAMESPACES_FULL ? "Too many namespaces"
                                                               : "Invalid payload";
    struct buf text = {0};
    refusals_note(&session->sessions->refusals, refusal, (struct span){NULL, 0}, packet->nsp);
    socketio_prefix_encode(&text, SOCKETIO_CONNECT_ERROR, packet->nsp, (struct span){NULL, 0});
    buf_printf(&text, "{\"message\":\"%s\",\"data\":{\"error\":\"%s\",\"reason\":\"%s\"}}", message,
               refusal_text(refusal), refusal_name(refusal));
    transport_send_packet(session->transport, buf_span(&text));
    buf_finish(&text);
}

/* A client that connects, disconnects and connects again in one turn, as React's StrictMode makes it, sends CONNECT
 * twice before it has an answer. It gets one answer. Our reply may be on its way already when the second CONNECT comes,
 * and nothing tells the two cases apart; the session's other namespaces must not suffer for it. If there are none, a
 * CONNECT behind the reply ends the session, as upstream has it. */
static void connect_repeated(struct subscriber *subscriber)
{
    struct session *session = subscriber->session;
    if (subscriber_is_connected(subscriber) && session->socket_count == 1 && transport_queued(session->transport) == 0)
        session_close(session, CLOSE_SOCKETIO_INVALID);
    else
        refusals_note(&session->sessions->refusals, REFUSAL_CONNECT_REPEATED, subscriber_sid(subscriber),
                      subscriber->nsp->name);
}

static void connect_received(struct session *session, const struct socketio_packet *packet)
{
    struct sessions *sessions = session->sessions;
    const struct nsp *nsp = sessions->app->nsp_find(sessions->app, packet->nsp);
    struct subscriber *subscriber = subscriber_find(session, packet->nsp);
    if (subscriber != NULL) {
        connect_repeated(subscriber);
    } else if (nsp == NULL) {
        connect_refuse(session, packet, REFUSAL_NAMESPACE_UNKNOWN);
    } else if (packet->depth > sessions->limits.nesting_max) {
        connect_refuse(session, packet, REFUSAL_TOO_DEEP);
    } else if (session->socket_count >= sessions->limits.sockets_max) {
        connect_refuse(session, packet, REFUSAL_NAMESPACES_FULL);
    } else {
        session_joined(session);
        connect_to(session, nsp, packet);
    }
}

static void event_received(struct subscriber *subscriber, const struct socketio_packet *packet)
{
    struct sessions *sessions = subscriber->sessions;
    sessions->counters.events_in++;
    if (packet->depth > sessions->limits.nesting_max) {
        subscriber_refuse(subscriber, REFUSAL_TOO_DEEP, packet->event, packet->ack_id);
    } else if (packet->event.data != NULL) {
        struct client_event event = {packet->event, packet->payload, packet->ack_id};
        sessions->app->event(sessions->app, subscriber, &event);
    }
}

/* The packets allowed for a namespace depend on whether the client is in it. (As upstream's table of odd input has it;
 * any other packet closes the connection.) */
static void received(struct session *session, struct span text)
{
    struct socketio_packet packet;
    if (socketio_decode(text, &packet) < 0 || packet.type == SOCKETIO_CONNECT_ERROR || packet.attachments != 0) {
        session_close(session, CLOSE_SOCKETIO_INVALID);
        return;
    }
    if (packet.type == SOCKETIO_CONNECT) {
        connect_received(session, &packet);
        return;
    }
    struct subscriber *subscriber = subscriber_find(session, packet.nsp);
    if (subscriber == NULL || !subscriber_is_connected(subscriber)) {
        session_close(session, CLOSE_SOCKETIO_INVALID);
        return;
    }
    switch (packet.type) {
    case SOCKETIO_DISCONNECT:
        subscriber_disconnect(subscriber);
        break;
    case SOCKETIO_EVENT:
        event_received(subscriber, &packet);
        break;
    default: /* an ACK for nothing we asked */
        break;
    }
}

const struct protocol socket_protocol = {
    .kind = PROTOCOL_SOCKETIO,
    .received = received,
    .connected = connected,
    .event_encode = event_encode,
    .answer = answer,
};
