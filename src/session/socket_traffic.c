/* socket_traffic: see socket_traffic.h. */
#include "session/socket_traffic.h"

#include <stdlib.h>

#include "base/mem.h"
#include "hub/audience.h"
#include "session/presence.h"

enum { FORMAT_SOCKETIO = 0 };

/* An acknowledgement that waits: for a publish to be accepted, or for the lease to know a room. */
struct ack {
    struct list of_socket; /* the latter */
    struct socket *socket;
    uint32_t room; /* number of the room that was joined; 0: left */
    size_t id_len;
    char id[];
};

static void send_text(struct session *session, struct span text)
{
    struct frame *frame = ws_frame_create(WS_TEXT, text);
    conn_send_frame(session->conn, frame);
    frame_unref(frame);
}

void socket_room_name(struct buf *to, const struct namespace *nsp, struct span room)
{
    /* A namespace's name ends at the first comma on the wire, so the comma cannot be part of it. */
    buf_append(to, nsp->name);
    if (room.len == 0)
        return;
    buf_append_char(to, ',');
    buf_append(to, room);
}

struct span socket_room_of(const struct namespace *nsp, struct span name)
{
    return name.len > nsp->name.len ? span_from(name, nsp->name.len + 1) : (struct span){NULL, 0};
}

void socket_own_room_name(struct buf *to, const struct namespace *nsp, struct span sid)
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
        buf_printf(&text, ",\"pid\":\"%.*s\"", ENGINEIO_SID_BYTES, socket->pid);
    buf_append_char(&text, '}');
    send_text(socket->session, buf_span(&text));
    buf_finish(&text);
}

/* The event `sennit`: which instance this is, and when the platform will cut the stream. It carries the position that
 * the client had already: nothing was sent yet. */
static void announcement_send(struct socket *socket)
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
    buf_printf(&text, ",\"recovered\":%s}", socket->recovered ? "true" : "false");
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
    send_text(socket->session, buf_span(&text));
    buf_finish(&text);
}

void socket_connected(struct socket *socket)
{
    struct sessions *sessions = socket->sessions;
    if (socket->nsp->recoverable && !socket->listed)
        socket_list(socket);
    if (socket->recovered)
        sessions->counters.resumes++;
    else
        sessions->counters.connects++;
    reply_send(socket);
    if (socket->nsp->announce)
        announcement_send(socket);
    free(socket->offset);
    socket->offset = NULL;
    socket_begin(socket);
}

/* What was joined begins, and is told to the others. */
void socket_begin(struct socket *socket)
{
    if (!socket->nsp->recoverable)
        member_note(&socket->member); /* there is no lease to wait for */
    member_start(&socket->member);
    presence_enter(socket);
    if (socket->member.state == MEMBER_SETTLED)
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
    struct frame *frame = ws_frame_create(WS_TEXT, buf_span(&text));
    buf_finish(&text);
    return frame;
}

void socket_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared)
{
    struct socket *socket = container_of(member, struct socket, member);
    struct session *session = socket->session;
    if (socket->nsp->recoverable && conn_queued(session->conn) > socket->sessions->limits.slow_queue_bytes &&
        session_slow(session, socket))
        return; /* it comes again */
    session->moves++;
    if (!shared) {
        struct frame *frame = event_encode(socket, entry_body(entry), token);
        conn_send_frame(session->conn, frame);
        frame_unref(frame);
        return;
    }
    if (entry->frames[FORMAT_SOCKETIO] == NULL)
        entry->frames[FORMAT_SOCKETIO] = event_encode(socket, entry_body(entry), token);
    conn_send_frame(session->conn, entry->frames[FORMAT_SOCKETIO]);
}

bool socket_has_room(struct member *member)
{
    struct socket *socket = container_of(member, struct socket, member);
    struct session *session = socket->session;
    if (!conn_is_open(session->conn))
        return false; /* it is ending, and nobody is to ask again */
    if (conn_queued(session->conn) < socket->sessions->limits.replay_queue_bytes)
        return true;
    conn_await_drained(session->conn);
    return false;
}

static struct ack *ack_create(struct socket *socket, struct span id)
{
    struct ack *ack = mem_alloc(sizeof *ack + id.len);
    list_init(&ack->of_socket);
    ack->socket = socket;
    ack->room = 0;
    ack->id_len = id.len;
    if (id.len != 0)
        memcpy(ack->id, id.data, id.len);
    return ack;
}

void socket_ack_with(struct socket *socket, struct span ack_id, struct span args)
{
    if (ack_id.len == 0)
        return;
    struct buf text = {0};
    socketio_prefix_encode(&text, SOCKETIO_ACK, socket->nsp->name, ack_id);
    buf_append(&text, args);
    send_text(socket->session, buf_span(&text));
    buf_finish(&text);
}

void socket_ack(struct socket *socket, struct span ack_id)
{
    socket_ack_with(socket, ack_id, SPAN_LIT("[]"));
}

static void published(void *arg, enum broker_result result)
{
    struct ack *ack = arg;
    struct socket *socket = ack->socket;
    if (socket->session != NULL) {
        if (result == BROKER_OK)
            socket_ack(socket, span_of(ack->id, ack->id_len));
        session_publish_done(socket->session);
    }
    socket_unref(socket);
    free(ack);
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
        /* A socket is a room, too: its own. */
        if (engineio_sid_is_valid(emit->excepts[i]))
            audience_add(to, AUDIENCE_EXCEPT_SID, emit->excepts[i]);
    }
    if (emit->except_self)
        audience_add(to, AUDIENCE_EXCEPT_SID, span_of(socket->sid, ENGINEIO_SID_BYTES));
    buf_finish(&name);
}

void socket_publish(struct socket *socket, const struct socket_emit *emit)
{
    struct buf name = {0}, audience = {0};
    if (emit->to_sid.len != 0)
        socket_own_room_name(&name, socket->nsp, emit->to_sid);
    else /* what is for several rooms lies in the log of them all, so that nobody gets it twice */
        socket_room_name(&name, socket->nsp, emit->room_count == 1 ? emit->rooms[0] : (struct span){NULL, 0});
    audience_make(&audience, socket, emit);
    struct broker_publish publish = {
        .room = buf_span(&name),
        .audience = buf_span(&audience),
        .body = emit->args,
        .id = emit->id,
        .retention = emit->retention,
    };
    struct ack *ack = ack_create(socket, emit->ack_id);
    if (broker_publish(socket->sessions->hub->broker, &publish, published, ack)) {
        socket->refs++;
        session_publish_begun(socket->session);
    } else {
        free(ack);
        session_close(socket->session, CLOSE_BROKER_BACKLOG);
    }
    buf_finish(&name);
    buf_finish(&audience);
}

static bool is_active(const struct membership *membership)
{
    return membership != NULL && (membership->active || membership->starting);
}

/* A room that was joined while this lease was on its way will be in the next one. */
static bool awaits_lease(const struct socket *socket, const struct ack *ack)
{
    memberships_each(membership, &socket->member)
    {
        if (membership->room->number == ack->room && membership->stretch.end == STRETCH_OPEN)
            return !is_active(membership);
    }
    return false;
}

void socket_joins_done(struct socket *socket)
{
    socket_begin(socket);
    list_each (node, &socket->acks) {
        struct ack *ack = container_of(node, struct ack, of_socket);
        if (awaits_lease(socket, ack))
            continue;
        list_remove(&ack->of_socket);
        socket_ack(socket, span_of(ack->id, ack->id_len));
        free(ack);
    }
}

void socket_acks_drop(struct socket *socket)
{
    struct list *node;
    while ((node = list_take(&socket->acks)) != NULL)
        free(container_of(node, struct ack, of_socket));
}

static size_t rooms_count(const struct socket *socket)
{
    size_t count = 0;
    for (const struct list *node = socket->member.memberships.next; node != &socket->member.memberships;
         node = node->next)
        count++;
    return count;
}

void socket_join(struct socket *socket, struct span room, struct span ack_id)
{
    struct buf name = {0};
    socket_room_name(&name, socket->nsp, room);
    if (room.len == 0 || name.len > BROKER_ROOM_BYTES_MAX ||
        rooms_count(socket) >= socket->sessions->limits.rooms_max) {
        session_close(socket->session, CLOSE_INPUT_LIMIT);
    } else if (is_active(member_find(&socket->member, buf_span(&name)))) {
        socket_ack(socket, ack_id);
    } else {
        const struct room_policy *policy = socket->sessions->app->room_policy(socket->sessions->app, socket->nsp, room);
        struct ack *ack = ack_create(socket, ack_id);
        list_append(&socket->acks, &ack->of_socket);
        ack->room = member_join(&socket->member, buf_span(&name), policy->replay, policy->replay_entries)->room->number;
        member_joined(&socket->member);
    }
    buf_finish(&name);
}

void socket_leave(struct socket *socket, struct span room, struct span ack_id)
{
    struct buf name = {0};
    socket_room_name(&name, socket->nsp, room);
    struct membership *membership = room.len != 0 ? member_find(&socket->member, buf_span(&name)) : NULL;
    if (membership != NULL) {
        presence_leave(socket, membership);
        member_leave(&socket->member, buf_span(&name));
    }
    list_append(&socket->acks, &ack_create(socket, ack_id)->of_socket);
    if (socket->nsp->recoverable)
        socket_lease_refresh(socket);
    else
        socket_joins_done(socket);
    buf_finish(&name);
}
