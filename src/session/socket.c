/* socket: Socket.IO packets in and out: CONNECT and its reply, events, acknowledgements, DISCONNECT. */
#include "session/socket.h"

#include <assert.h>

#include "session/asking.h"
#include "session/assembly.h"
#include "session/engine.h"
#include "session/socket_packet.h"
#include "session/subscriber.h"
#include "session/survey.h"
#include "wire/json.h"
#include "wire/socketio.h"

static const struct span none = {NULL, 0};

static void reply_send(struct subscriber *subscriber)
{
    struct buf json = {0};
    buf_printf(&json, "{\"sid\":\"" SPAN_FMT "\"", SPAN_ARG(subscriber_sid(subscriber)));
    if (subscriber->nsp->recoverable)
        buf_printf(&json, ",\"pid\":\"%.*s\"", ENGINEIO_SID_BYTES, subscriber->lease->name);
    buf_append_char(&json, '}');
    struct content content = content_of(buf_span(&json));
    socket_packet_send(subscriber->session, SOCKETIO_CONNECT, subscriber->nsp->name, none, &content);
    buf_finish(&json);
}

/* The event `sennit`: this instance's name, and the time until the platform cuts the stream. It carries the client's
 * old position, because no entry was sent yet. */
static void announcement_send(struct subscriber *subscriber, bool recovered)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    struct buf json = {0};
    buf_append(&json, SPAN_LIT("[\"sennit\",{\"instance\":\""));
    buf_append_json(&json, span_str(sessions->instance));
    buf_append(&json, SPAN_LIT("\",\"deadline_ms\":"));
    if (sessions->request_timeout_ms != 0) {
        uint64_t age_ms = (loop_now_us(sessions->loop) - subscriber->session->opened_us) / 1000;
        buf_append_u64(&json, age_ms < sessions->request_timeout_ms ? sessions->request_timeout_ms - age_ms : 0);
    } else {
        buf_append(&json, SPAN_LIT("null"));
    }
    buf_printf(&json, ",\"recovered\":%s}", recovered ? "true" : "false");
    if (subscriber->nsp->recoverable) {
        buf_append(&json, SPAN_LIT(",\""));
        if (subscriber->lease->offset != NULL) {
            buf_append(&json, span_str(subscriber->lease->offset));
        } else {
            struct token token;
            hub_token(sessions->hub, 0, &token);
            token_encode(&json, &token);
        }
        buf_append_char(&json, '"');
    }
    buf_append_char(&json, ']');
    struct content content = content_of(buf_span(&json));
    socket_packet_send(subscriber->session, SOCKETIO_EVENT, subscriber->nsp->name, none, &content);
    buf_finish(&json);
}

static void connected(struct subscriber *subscriber, bool recovered)
{
    reply_send(subscriber);
    if (subscriber->nsp->announce)
        announcement_send(subscriber, recovered);
}

static struct frame *event_encode(const struct subscriber *subscriber, const struct content *content,
                                  const struct token *token)
{
    struct buf text = {0};
    struct content sent = *content;
    buf_append(&text, span_sub(content->args, 0, content->args.len - 1));
    if (subscriber->nsp->recoverable) {
        buf_append(&text, SPAN_LIT(",\""));
        token_encode(&text, token);
        buf_append_char(&text, '"');
    }
    buf_append_char(&text, ']');
    sent.args = buf_span(&text);
    struct frame *frame = socket_packet_encode(subscriber->session, SOCKETIO_EVENT, subscriber->nsp->name, none, &sent);
    buf_finish(&text);
    return frame;
}

static_assert((int)CALL_ID_BYTES_MAX >= (int)SOCKETIO_ACK_DIGITS_MAX, "the id of every acknowledgement fits");

static void answer(struct subscriber *subscriber, struct span ack_id, const struct content *content)
{
    struct buf rounded = {0};
    if (ack_id.len > SOCKETIO_ACK_DIGITS_EXACT) {
        socketio_ack_id_print(&rounded, ack_id);
        ack_id = buf_span(&rounded);
    }
    socket_packet_send(subscriber->session, SOCKETIO_ACK, subscriber->nsp->name, ack_id, content);
    buf_finish(&rounded);
}

static void ask(struct subscriber *subscriber, struct span id, const struct content *content)
{
    socket_packet_send(subscriber->session, SOCKETIO_EVENT, subscriber->nsp->name, id, content);
}

static void disconnected(struct subscriber *subscriber)
{
    const struct content nothing = {.count = 0};
    socket_packet_send(subscriber->session, SOCKETIO_DISCONNECT, subscriber->nsp->name, none, &nothing);
}

/* `{"pid":"...","offset":"..."}` of a client that comes back, and its presence data. */
static enum refusal connect_to(struct session *session, const struct nsp *nsp, const struct socketio_packet *packet)
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
        start.auth = payload;
    }
    enum refusal refusal = subscriber_begin(session, nsp, &start);
    if (refusal == REFUSAL_COUNT)
        session_joined(session);
    buf_finish(&pid);
    buf_finish(&offset);
    return refusal;
}

/* `data` names the refusal and the cure, but where upstream has that refusal, too: then the answer is upstream's to the
 * byte, and the cure is in the log. */
static void connect_error_print(struct buf *to, struct session *session, enum refusal refusal)
{
    bool is_full = refusal == REFUSAL_NAMESPACES_FULL || refusal == REFUSAL_INSTANCE_NAMESPACES_FULL;
    const char *message = is_full                       ? "Too many namespaces"
                          : refusal == REFUSAL_TOO_DEEP ? "Invalid payload"
                                                        : "Not authorized";
    if (refusal == REFUSAL_BY_APPLICATION && session->sessions->denial != NULL)
        buf_append(to, span_str(session->sessions->denial));
    else if (refusal == REFUSAL_NAMESPACE_UNKNOWN)
        buf_append(to, SPAN_LIT("{\"message\":\"Invalid namespace\"}"));
    else
        buf_printf(to, "{\"message\":\"%s\",\"data\":{\"error\":\"%s\",\"reason\":\"%s\"}}", message,
                   refusal_text(refusal), refusal_name(refusal));
}

static void connect_refuse(struct session *session, const struct socketio_packet *packet, enum refusal refusal)
{
    struct buf text = {0};
    refusals_note(&session->sessions->refusals, refusal, none, packet->nsp);
    connect_error_print(&text, session, refusal);
    struct content content = content_of(buf_span(&text));
    socket_packet_send(session, SOCKETIO_CONNECT_ERROR, packet->nsp, none, &content);
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
    struct subscriber *subscriber = subscriber_find(session, packet->nsp);
    enum refusal refusal = REFUSAL_COUNT;
    const struct nsp *nsp;
    if (subscriber != NULL) {
        connect_repeated(subscriber);
        return;
    }
    nsp = sessions->app->nsp_find(sessions->app, packet->nsp, &refusal);
    if (nsp != NULL && packet->depth > sessions->limits.nesting_max)
        refusal = REFUSAL_TOO_DEEP;
    else if (nsp != NULL && session->socket_count >= sessions->limits.sockets_max)
        refusal = REFUSAL_NAMESPACES_FULL;
    if (refusal != REFUSAL_COUNT) {
        connect_refuse(session, packet, refusal);
    } else {
        refusal = connect_to(session, nsp, packet);
        if (refusal != REFUSAL_COUNT)
            connect_refuse(session, packet, refusal);
    }
    nsp_unref(sessions->app, nsp);
}

/* An event with this content; its arguments are the packet's. */
static void event_received(struct subscriber *subscriber, const struct socketio_packet *packet,
                           const struct content *content)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    struct client_event event = {.name = packet->event, .content = *content, .id = packet->ack_id};
    sessions->counters.events_in++;
    if (packet->depth > sessions->limits.nesting_max) {
        subscriber_refuse(subscriber, REFUSAL_TOO_DEEP, packet->event, packet->ack_id);
    } else if (packet->event.data != NULL) {
        event.content.args = packet->payload;
        sessions->app->event(sessions->app, subscriber, &event);
    }
}

/* The client's acknowledgement of an event. As upstream has it, one without an id, or without a payload, counts as
 * none.
 */
static void ack_received(struct subscriber *subscriber, const struct socketio_packet *packet,
                         const struct content *content)
{
    struct content answer = *content;
    if (packet->ack_id.len == 0)
        return;
    answer.args = packet->payload;
    struct session_app *app = subscriber_sessions(subscriber)->app;
    if (app->answered != NULL && packet->payload.data != NULL &&
        packet->depth <= subscriber_sessions(subscriber)->limits.nesting_max &&
        content->count <= CONTENT_ATTACHMENTS_MAX && app->answered(app, subscriber, packet->ack_id, &answer))
        return;
    const struct outward *outward = subscriber_sessions(subscriber)->outward;
    if (outward != NULL && packet->payload.data != NULL &&
        packet->depth <= subscriber_sessions(subscriber)->limits.nesting_max &&
        content->count <= CONTENT_ATTACHMENTS_MAX &&
        outward->answered(outward->arg, subscriber, packet->ack_id, &answer))
        return;
    if (packet->depth > subscriber_sessions(subscriber)->limits.nesting_max)
        asking_answer_refused(subscriber, packet->ack_id, REFUSAL_TOO_DEEP);
    else if (packet->payload.data != NULL && !asking_answered(subscriber, packet->ack_id, &answer))
        survey_answered(subscriber, packet->ack_id, &answer);
}

/* Finds the subscriber of a packet other than CONNECT. The packets allowed for a namespace depend on whether the client
 * is in it. (As upstream's table of odd input has it; any other packet closes the connection, except that a client may
 * have sent one before it knew that we had taken it out of the namespace.) */
static struct subscriber *connected_find(struct session *session, const struct socketio_packet *packet)
{
    struct subscriber *subscriber = subscriber_find(session, packet->nsp);
    if (subscriber != NULL && subscriber_is_connected(subscriber))
        return subscriber;
    if (session->expelled) /* it was sent before the client knew */
        refusals_note(&session->sessions->refusals, REFUSAL_NAMESPACE_LEFT, none, packet->nsp);
    else
        session_close(session, CLOSE_SOCKETIO_INVALID);
    return NULL;
}

static void packet_received(struct session *session, const struct socketio_packet *packet,
                            const struct content *content)
{
    struct subscriber *subscriber;
    if (packet->type == SOCKETIO_CONNECT) {
        connect_received(session, packet);
        return;
    }
    subscriber = connected_find(session, packet);
    if (subscriber == NULL)
        return;
    if (packet->type == SOCKETIO_DISCONNECT)
        subscriber_disconnect(subscriber);
    else if (packet->type == SOCKETIO_EVENT)
        event_received(subscriber, packet, content);
    else
        ack_received(subscriber, packet, content);
}

/* A text that comes where an attachment is awaited breaks the protocol, whatever it says. */
static void received(struct session *session, struct span text)
{
    static const struct content nothing;
    struct socketio_packet packet;
    if (session_has(session).assembly != NULL || socketio_decode(text, &packet) < 0 ||
        packet.type == SOCKETIO_CONNECT_ERROR)
        session_close(session, CLOSE_SOCKETIO_INVALID);
    else if (packet.attachments != 0)
        assembly_begin(session, text, packet.attachments);
    else
        packet_received(session, &packet, &nothing);
}

/* Refuses an event, or an answer, that exceeds a bound. */
static bool is_refused(struct subscriber *subscriber, const struct socketio_packet *packet, bool too_many,
                       bool too_large)
{
    enum refusal refusal = too_many ? REFUSAL_ATTACHMENTS : REFUSAL_EVENT_TOO_LARGE;
    bool is_answer = packet->type == SOCKETIO_ACK || packet->type == SOCKETIO_BINARY_ACK;
    if (!too_many && !too_large)
        return false;
    if (is_answer)
        asking_answer_refused(subscriber, packet->ack_id, refusal);
    else
        subscriber_refuse(subscriber, refusal, packet->event, packet->ack_id);
    return true;
}

/* The packet and its attachments have come. */
static void assembled(struct session *session, const struct assembly *assembly)
{
    struct socketio_packet packet;
    struct content content;
    ptrdiff_t taken = socketio_decode(buf_span(&assembly->text), &packet);
    assert(taken > 0); /* it was decoded when it came */
    struct subscriber *subscriber = connected_find(session, &packet);
    if (subscriber == NULL || is_refused(subscriber, &packet, assembly->too_many, assembly->too_large))
        return;
    assembly_content(assembly, &content);
    if (packet.type == SOCKETIO_BINARY_EVENT)
        event_received(subscriber, &packet, &content);
    else
        ack_received(subscriber, &packet, &content);
}

static void received_binary(struct session *session, struct span bytes)
{
    struct assembly *assembly = session_has(session).assembly;
    if (assembly == NULL) {
        session_close(session, CLOSE_SOCKETIO_INVALID);
        return;
    }
    if (!assembly_add(assembly, bytes))
        return;
    assembly_take(session);
    assembled(session, assembly);
    assembly_destroy(assembly);
}

/* A placeholder that the client wrote itself must not point beyond the attachments: other parsers close on it. */
static bool msgpack_is_good(const struct socketio_packet *packet, const struct content *content)
{
    return packet->type != SOCKETIO_CONNECT_ERROR &&
           (content->count == 0 || socketio_placeholders_valid(packet->payload, content->count));
}

/* A packet in MessagePack, in the text form; its attachments are in the content. */
static void msgpack_packet_received(struct session *session, struct span text, struct content *content)
{
    const struct session_limits *limits = &session->sessions->limits;
    struct socketio_packet packet;
    if (socketio_decode(text, &packet) < 0 || !msgpack_is_good(&packet, content)) {
        session_close(session, CLOSE_SOCKETIO_INVALID);
        return;
    }
    if (packet.type == SOCKETIO_EVENT || packet.type == SOCKETIO_ACK) {
        struct subscriber *subscriber = connected_find(session, &packet);
        bool too_many = content->count > limits->attachments_max;
        content->count = too_many ? 0 : content->count;
        content->args = packet.payload;
        if (subscriber == NULL ||
            is_refused(subscriber, &packet, too_many, content_bytes(content) > limits->payload_bytes_max))
            return;
    }
    packet_received(session, &packet, content);
}

static void msgpack_received(struct session *session, struct span bytes)
{
    struct buf text = {0};
    struct content content = {.count = 0};
    if (socket_packet_read(bytes, &text, &content))
        msgpack_packet_received(session, buf_span(&text), &content);
    else
        session_close(session, CLOSE_SOCKETIO_INVALID);
    buf_finish(&text);
}

/* This parser sends no text. */
static void msgpack_text_received(struct session *session, struct span text)
{
    (void)text;
    session_close(session, CLOSE_PARSER);
}

static void packet_text_received(struct session *session, struct span packet)
{
    struct span message;
    if (engine_received(session, packet, &message))
        received(session, message);
}

static void msgpack_packet_text_received(struct session *session, struct span packet)
{
    struct span message;
    if (engine_received(session, packet, &message))
        msgpack_text_received(session, message);
}

const struct protocol socket_protocol = {
    .kind = PROTOCOL_SOCKETIO,
    .opened = engine_opened,
    .ping = engine_ping,
    .received = packet_text_received,
    .received_binary = received_binary,
    .connected = connected,
    .disconnected = disconnected,
    .event_encode = event_encode,
    .ask = ask,
    .answer = answer,
};

const struct protocol socket_msgpack_protocol = {
    .kind = PROTOCOL_SOCKETIO_MSGPACK,
    .opened = engine_opened,
    .ping = engine_ping,
    .received = msgpack_packet_text_received,
    .received_binary = msgpack_received,
    .connected = connected,
    .disconnected = disconnected,
    .event_encode = event_encode,
    .ask = ask,
    .answer = answer,
};
