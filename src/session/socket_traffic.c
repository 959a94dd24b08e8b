/* socket_traffic: builds the frames of events and acknowledgements, publishes the client's events, joins and leaves
 * rooms, and sends refusals. */
#include "session/socket_traffic.h"

#include <stdlib.h>

#include "base/mem.h"
#include "hub/audience.h"
#include "session/presence.h"

void socket_room_name(struct buf *to, const struct nsp *nsp, struct span room)
{
    /* A namespace's name ends at the first comma on the wire, so the comma cannot be part of it. */
    buf_append(to, nsp->name);
    if (room.len == 0)
        return;
    buf_append_char(to, ',');
    buf_append(to, room);
}

struct span socket_room_of(const struct nsp *nsp, struct span name)
{
    return name.len > nsp->name.len ? span_from(name, nsp->name.len + 1) : (struct span){NULL, 0};
}

void socket_own_room_name(struct buf *to, const struct nsp *nsp, struct span sid)
{
    buf_append_char(to, BROKER_OWNED);
    socket_room_name(to, nsp, sid);
}

bool socket_is_in(struct socket *socket, struct span room)
{
    struct buf name = {0};
    socket_room_name(&name, socket->nsp, room);
    bool in = member_find(&socket->member, buf_span(&name)) != NULL;
    buf_finish(&name);
    return in;
}

static void reply_send(struct socket *socket)
{
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_CONNECT, socket->nsp->name, (struct span){NULL, 0});
    buf_printf(&text, "{\"sid\":\"%.*s\"", ENGINEIO_SID_BYTES, socket->sid);
    if (socket->nsp->recoverable)
        buf_printf(&text, ",\"pid\":\"%.*s\"", ENGINEIO_SID_BYTES, socket->lease_name);
    buf_append_char(&text, '}');
    transport_send_packet(socket->session->transport, buf_span(&text));
    buf_finish(&text);
}

/* The event `sennit`: this instance's name, and the time until the platform cuts the stream. It carries the client's
 * old position, because no entry was sent yet. */
static void announcement_send(struct socket *socket, bool recovered)
{
    struct sessions *sessions = socket->sessions;
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_EVENT, socket->nsp->name, (struct span){NULL, 0});
    buf_append(&text, SPAN_LIT("[\"sennit\",{\"instance\":\""));
    buf_append_json(&text, span_str(sessions->instance));
    buf_append(&text, SPAN_LIT("\",\"deadline_ms\":"));
    if (sessions->request_timeout_ms != 0) {
        uint64_t age_ms = (loop_now_us(sessions->loop) - socket->session->opened_us) / 1000;
        buf_append_u64(&text, age_ms < sessions->request_timeout_ms ? sessions->request_timeout_ms - age_ms : 0);
    } else {
        buf_append(&text, SPAN_LIT("null"));
    }
    buf_printf(&text, ",\"recovered\":%s}", recovered ? "true" : "false");
    if (socket->nsp->recoverable) {
        buf_append(&text, SPAN_LIT(",\""));
        if (socket->offset != NULL) {
            buf_append(&text, span_str(socket->offset));
        } else {
            struct token token;
            hub_token(sessions->hub, 0, &token);
            token_encode(&text, &token);
        }
        buf_append_char(&text, '"');
    }
    buf_append_char(&text, ']');
    transport_send_packet(socket->session->transport, buf_span(&text));
    buf_finish(&text);
}

void socket_connected(struct socket *socket, bool recovered)
{
    struct sessions *sessions = socket->sessions;
    if (socket->nsp->recoverable && socket->listing != LISTED_AS_OWNER)
        socket_list(socket);
    if (recovered)
        sessions->counters.resumes++;
    else
        sessions->counters.connects++;
    reply_send(socket);
    if (socket->nsp->announce)
        announcement_send(socket, recovered);
    free(socket->offset);
    socket->offset = NULL;
    socket_begin(socket);
}

/* The joined rooms begin to deliver, and the others there are told. */
void socket_begin(struct socket *socket)
{
    if (!socket->nsp->recoverable)
        member_note(&socket->member); /* there is no lease to wait for */
    member_start(&socket->member);
    presence_enter(socket);
    if (member_is_settled(&socket->member))
        presence_settled(socket);
}

static struct frame *event_encode(const struct socket *socket, struct span args, const struct token *token)
{
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_EVENT, socket->nsp->name, (struct span){NULL, 0});
    buf_append(&text, span_sub(args, 0, args.len - 1));
    if (socket->nsp->recoverable) {
        buf_append(&text, SPAN_LIT(",\""));
        token_encode(&text, token);
        buf_append_char(&text, '"');
    }
    buf_append_char(&text, ']');
    struct frame *frame = socket->session->transport->type->encode(buf_span(&text));
    buf_finish(&text);
    return frame;
}

/* A token that names stretches says more than a position. Such an event is no point to catch up from. */
static struct frame_tag tag_of(const struct socket *socket, const struct token *token)
{
    if (!socket->nsp->recoverable)
        return (struct frame_tag){0};
    return (struct frame_tag){.whose = socket->number, .at = token->late_count == 0 ? token->seq : 0};
}

void socket_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared)
{
    struct socket *socket = container_of(member, struct socket, member);
    struct session *session = socket->session;
    if (socket->nsp->recoverable && transport_queued(session->transport) > socket->sessions->limits.slow_queue_bytes &&
        session_slow(session, socket))
        return; /* it comes again */
    session->moves++;
    struct frame **kept = shared ? entry_frame(entry, &socket->nsp->formats[session->transport->type->format]) : NULL;
    struct frame *frame = kept != NULL && *kept != NULL ? *kept : event_encode(socket, entry_body(entry), token);
    session->transport->type->send(session->transport, frame, tag_of(socket, token));
    if (kept == NULL)
        frame_unref(frame);
    else
        *kept = frame;
}

bool socket_has_room(struct member *member)
{
    struct socket *socket = container_of(member, struct socket, member);
    struct session *session = socket->session;
    if (!transport_is_open(session->transport))
        return false; /* it is ending: no further try */
    if (transport_queued(session->transport) < socket->sessions->limits.replay_queue_bytes)
        return true;
    transport_await_drained(session->transport);
    return false;
}

void socket_ack_with(struct socket *socket, struct span ack_id, struct span args)
{
    if (ack_id.len == 0)
        return;
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_ACK, socket->nsp->name, ack_id);
    buf_append(&text, args);
    transport_send_packet(socket->session->transport, buf_span(&text));
    buf_finish(&text);
}

void socket_ack(struct socket *socket, struct span ack_id)
{
    socket_ack_with(socket, ack_id, SPAN_LIT("[]"));
}

/* {"error":"<what is wrong and what to change>","reason":"<name>"} */
void socket_refuse(struct socket *socket, enum refusal refusal, struct span what, struct span ack_id)
{
    refusals_note(&socket->sessions->refusals, refusal, socket_sid(socket), what);
    if (ack_id.len == 0)
        return;
    struct buf args = {0};
    buf_printf(&args, "[{\"error\":\"%s\",\"reason\":\"%s\"}]", refusal_text(refusal), refusal_name(refusal));
    socket_ack_with(socket, ack_id, buf_span(&args));
    buf_finish(&args);
}

/* What the broker refuses is not acknowledged: a client that takes any acknowledgement for an acceptance, as the stock
 * client's `retries` do, would forget a message that is in no log. It keeps it, and may send it again. Where sockets
 * are told of their instance, they are told of this, too. */
static void refuse_for_now(struct socket *socket, enum refusal refusal, struct span what)
{
    struct buf body = {0};
    socket_refuse(socket, refusal, what, (struct span){NULL, 0});
    if (!socket->nsp->announce || !socket_is_connected(socket))
        return;
    buf_printf(&body, "[\"sennit\",{\"refused\":\"%s\",\"error\":\"%s\"}]", refusal_name(refusal),
               refusal_text(refusal));
    struct entry *entry = hub_entry_create(socket->sessions->hub, socket->nsp->name, buf_span(&body));
    member_tell(&socket->member, entry);
    entry_unref(entry);
    buf_finish(&body);
}

static enum refusal refusal_of(enum broker_result result)
{
    return result == BROKER_TAKEN        ? REFUSAL_ID_TAKEN
           : result == BROKER_FULL       ? REFUSAL_BROKER_FULL
           : result == BROKER_FULL_ROOMS ? REFUSAL_BROKER_ROOMS_FULL
                                         : REFUSAL_BROKER_SPOILED;
}

static void published(void *arg, enum broker_result result)
{
    struct call *call = arg;
    struct socket *socket = call->socket;
    if (socket->session != NULL && result == BROKER_OK)
        socket_ack(socket, call_id(call));
    else if (socket->session != NULL && broker_refusal_text(result) != NULL)
        refuse_for_now(socket, refusal_of(result), (struct span){NULL, 0});
    call_end(call);
    free(call);
}

static void audience_make(struct buf *to, const struct socket *socket, const struct socket_emit *emit)
{
    struct buf name = {0};
    for (size_t i = 0; i < emit->room_count && emit->room_count > 1; i++) {
        buf_clear(&name);
        socket_room_name(&name, socket->nsp, emit->rooms[i]);
        audience_add(to, AUDIENCE_TO, buf_span(&name));
    }
    for (size_t i = 0; i < emit->except_count; i++) {
        buf_clear(&name);
        socket_room_name(&name, socket->nsp, emit->excepts[i]);
        audience_add(to, AUDIENCE_EXCEPT, buf_span(&name));
        /* A socket's id counts as a room: its own. */
        if (engineio_sid_is_valid(emit->excepts[i]))
            audience_add(to, AUDIENCE_EXCEPT_SID, emit->excepts[i]);
    }
    if (emit->except_self)
        audience_add(to, AUDIENCE_SENDER, socket_sid(socket));
    buf_finish(&name);
}

void socket_publish(struct socket *socket, const struct socket_emit *emit)
{
    struct buf name = {0}, audience = {0};
    if (emit->to_sid.len != 0)
        socket_own_room_name(&name, socket->nsp, emit->to_sid);
    else /* an event for several rooms goes into the namespace's log, so that no member gets it twice */
        socket_room_name(&name, socket->nsp, emit->room_count == 1 ? emit->rooms[0] : (struct span){NULL, 0});
    audience_make(&audience, socket, emit);
    struct broker_publish publish = {
        .room = buf_span(&name),
        .audience = buf_span(&audience),
        .body = emit->args,
        .id = emit->id,
        .retention = emit->retention,
    };
    size_t bytes = name.len + audience.len + emit->args.len + emit->id.len;
    struct call *call = call_create(socket->session, socket, emit->ack_id, bytes);
    if (!broker_publish(hub_broker(socket->sessions->hub), &publish, published, call)) {
        call_end(call);
        free(call);
        /* Without an acknowledgement, closing is the only way to tell the client. */
        if (emit->ack_id.len != 0)
            refuse_for_now(socket, REFUSAL_BROKER_BACKLOG, buf_span(&name));
        else
            session_close(socket->session, CLOSE_BROKER_BACKLOG);
    }
    buf_finish(&name);
    buf_finish(&audience);
}

static bool is_active(const struct membership *membership)
{
    return membership != NULL && membership_has_begun(membership);
}

/* The write that begins now records these calls, except for a room whose start is not known yet. */
void socket_calls_note(struct socket *socket)
{
    list_each (node, &socket->acks) {
        struct call *call = container_of(node, struct call, node);
        bool waits = false;
        for (struct membership *at = member_next(&socket->member, NULL); at != NULL;
             at = member_next(&socket->member, at)) {
            waits |= call->room != 0 && membership_room_number(at) == call->room && membership_is_open(at) &&
                     !membership_is_noted(at);
        }
        if (call->lease == 0 && !waits)
            call->lease = socket->lease_writes;
    }
}

void socket_calls_answer(struct socket *socket)
{
    list_each (node, &socket->acks) {
        struct call *call = container_of(node, struct call, node);
        if (call->lease == 0)
            continue;
        list_remove(node);
        socket_ack(socket, call_id(call));
        call_end(call);
        free(call);
    }
}

void socket_joins_done(struct socket *socket)
{
    socket_begin(socket);
    if (!socket->nsp->recoverable) { /* there is no lease to wait for, but maybe the start of a room */
        socket->lease_writes++;
        socket_calls_note(socket);
    }
    socket_calls_answer(socket);
}

void socket_calls_drop(struct socket *socket)
{
    struct list *node;
    while ((node = list_take(&socket->acks)) != NULL) {
        struct call *call = container_of(node, struct call, node);
        call_end(call);
        free(call);
    }
}

/* Number of its rooms, without the namespace's and its own. */
static size_t rooms_count(const struct socket *socket)
{
    size_t count = member_room_count(&socket->member), always = socket->nsp->direct ? 2 : 1;
    return count > always ? count - always : 0; /* a lease may be from before sockets had a room of their own */
}

bool socket_room_is_of(const struct nsp *nsp, struct span name, struct span sid)
{
    struct buf own = {0};
    if (broker_room_is_owned(name)) {
        socket_own_room_name(&own, nsp, sid);
        bool is_own = span_equal(name, buf_span(&own));
        buf_finish(&own);
        return is_own;
    }
    return span_equal(name, nsp->name) ||
           (name.len > nsp->name.len + 1 && span_starts_with(name, nsp->name) && name.data[nsp->name.len] == ',');
}

/* Whether the room's members are told about joins and leaves. */
static bool is_watched(const struct socket *socket, struct span room)
{
    struct session_app *app = socket->sessions->app;
    return app->room_policy(app, socket->nsp, room)->presence;
}

static void join(struct socket *socket, struct span room, struct span name, struct span ack_id)
{
    struct sessions *sessions = socket->sessions;
    const struct room_policy *policy = sessions->app->room_policy(sessions->app, socket->nsp, room);
    if (policy->presence || !hub_has_room(sessions->hub, name))
        session_change(socket->session, 1);
    struct call *call = call_create(socket->session, socket, ack_id, 0);
    list_append(&socket->acks, &call->node);
    call->room = membership_room_number(member_join(&socket->member, name, policy->replay, policy->replay_entries));
    member_joined(&socket->member);
}

void socket_join(struct socket *socket, struct span room, struct span ack_id)
{
    struct sessions *sessions = socket->sessions;
    struct buf name = {0};
    socket_room_name(&name, socket->nsp, room);
    if (room.len == 0 || name.len > BROKER_ROOM_BYTES_MAX)
        socket_refuse(socket, REFUSAL_ROOM_INVALID, room, ack_id);
    else if (span_equal(room, socket_sid(socket)) || is_active(member_find(&socket->member, buf_span(&name))))
        socket_ack(socket, ack_id); /* it is in the room of its own id all the while */
    else if (engineio_sid_is_valid(room))
        socket_refuse(socket, REFUSAL_ROOM_IS_SOCKET, room, ack_id);
    else if (rooms_count(socket) >= sessions->limits.rooms_max)
        socket_refuse(socket, REFUSAL_ROOMS_FULL, room, ack_id);
    else if (hub_room_count(sessions->hub) >= sessions->limits.hub_rooms_max &&
             !hub_has_room(sessions->hub, buf_span(&name)))
        socket_refuse(socket, REFUSAL_INSTANCE_ROOMS_FULL, room, ack_id);
    else
        join(socket, room, buf_span(&name), ack_id);
    buf_finish(&name);
}

/* Nothing changes, but the lease may not record an earlier leave yet. */
static void leave_nothing(struct socket *socket, struct span ack_id)
{
    if (socket->lease_state == LEASE_IDLE) {
        socket_ack(socket, ack_id);
        return;
    }
    struct call *call = call_create(socket->session, socket, ack_id, 0);
    call->lease = socket->lease_state == LEASE_WRITING ? socket->lease_writes : 0;
    list_append(&socket->acks, &call->node);
}

void socket_leave(struct socket *socket, struct span room, struct span ack_id)
{
    struct buf name = {0};
    socket_room_name(&name, socket->nsp, room);
    struct membership *membership = room.len != 0 ? member_find(&socket->member, buf_span(&name)) : NULL;
    if (membership == NULL) {
        leave_nothing(socket, ack_id);
    } else {
        if (is_watched(socket, room))
            session_change(socket->session, 1);
        presence_leave(socket, membership);
        member_leave(&socket->member, buf_span(&name));
        list_append(&socket->acks, &call_create(socket->session, socket, ack_id, 0)->node);
        if (socket->nsp->recoverable)
            socket_lease_refresh(socket);
        else
            socket_joins_done(socket);
    }
    buf_finish(&name);
}
