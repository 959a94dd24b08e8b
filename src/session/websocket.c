/* websocket: frames in and out, the closing handshake, and messages of which only a part has come. */
#include "session/websocket.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn.h"
#include "session/call.h"
#include "session/moved.h"
#include "session/polling_parts.h"
#include "session/session.h"
#include "wire/ws.h"

/* A message of which a part has come. */
struct websocket_part {
    struct unfinished unfinished;
    struct websocket *websocket;
    struct ws_decoder decoder;
};

/* What an idle WebSocket of the usual kind has not. */
struct websocket_extra {
    struct sessions *sessions;           /* NULL: those of its session, which has begun with it */
    struct websocket_part *part;         /* NULL between messages */
    struct compression_context *context; /* of permessage-deflate; NULL: keeps none */
    struct polling *polling;             /* see websocket_polling_set */
    struct moved *moved;                 /* NULL: its session did not begin with polling, or moves between instances */
    bool waits;                          /* for the session; nothing is read meanwhile */
};

static struct websocket_extra *extra(struct websocket *websocket)
{
    if (websocket->extra == NULL)
        websocket->extra = mem_zero(1, sizeof *websocket->extra);
    return websocket->extra;
}

static struct sessions *sessions_of(const struct websocket *websocket)
{
    const struct websocket_extra *held = websocket->extra;
    return held != NULL && held->sessions != NULL ? held->sessions : websocket->transport.session->sessions;
}

static struct websocket_part *part_of(const struct websocket *websocket)
{
    return websocket->extra != NULL ? websocket->extra->part : NULL;
}

static struct compression_context *context_of(const struct websocket *websocket)
{
    return websocket->extra != NULL ? websocket->extra->context : NULL;
}

static struct polling *polling_of(const struct websocket *websocket)
{
    return websocket->extra != NULL ? websocket->extra->polling : NULL;
}

static bool waits(const struct websocket *websocket)
{
    return websocket->extra != NULL && websocket->extra->waits;
}

void websocket_polling_set(struct websocket *websocket, struct polling *polling)
{
    if (polling != polling_of(websocket))
        extra(websocket)->polling = polling;
}

/* An idle WebSocket keeps nothing that it does not need. */
static void extra_trim(struct websocket *websocket)
{
    const struct websocket_extra *held = websocket->extra;
    if (held == NULL || held->sessions != NULL || held->part != NULL || held->context != NULL ||
        held->polling != NULL || held->moved != NULL || held->waits)
        return;
    free(websocket->extra);
    websocket->extra = NULL;
}

void websocket_moved(struct websocket *websocket, struct moved *moved)
{
    websocket_polling_set(websocket, NULL);
    extra(websocket)->sessions = NULL;
    if (moved != NULL)
        extra(websocket)->moved = moved;
    extra_trim(websocket);
}

static struct websocket *websocket_of(struct transport *transport)
{
    return container_of(transport, struct websocket, transport);
}

static const struct conn *conn_of(const struct transport *transport)
{
    return container_of(transport, const struct websocket, transport)->conn;
}

static struct frame *encode(const struct transport *transport, const struct span *parts, size_t count)
{
    const struct websocket *websocket = container_of(transport, const struct websocket, transport);
    struct compression *compression = &sessions_of(websocket)->compression;
    struct buf all = {0};
    if (count > 1 && !compression_is_format(transport->format))
        return ws_frames_create(parts, count);
    if (count == 1)
        return compression_frame_create(compression, transport->format, true, parts[0]);
    for (size_t i = parts[0].data == NULL ? 1 : 0; i < count; i++) {
        struct frame *one = compression_frame_create(compression, transport->format, i == 0, parts[i]);
        buf_append(&all, span_of(one->data, one->len));
        frame_unref(one);
    }
    struct frame *frame = frame_copy(buf_span(&all));
    buf_finish(&all);
    return frame;
}

static void send_frame(struct transport *transport, struct frame *frame, struct frame_tag tag)
{
    struct websocket *websocket = websocket_of(transport);
    struct compression_context *context = context_of(websocket);
    if (context == NULL || context->deflater == NULL || !conn_is_open(websocket->conn)) {
        conn_send_tagged(websocket->conn, frame, tag);
        return;
    }
    frame = compression_reframe(&sessions_of(websocket)->compression, context, frame, tag.whose);
    conn_send_tagged(websocket->conn, frame, tag);
    frame_unref(frame);
}

static size_t queued(const struct transport *transport)
{
    return conn_queued(conn_of(transport));
}

static bool is_writable(const struct transport *transport)
{
    return !conn_is_blocked(conn_of(transport));
}

static bool is_open(const struct transport *transport)
{
    return conn_is_open(conn_of(transport));
}

static void await_drained(struct transport *transport)
{
    conn_await_drained(websocket_of(transport)->conn);
}

static void filter(struct transport *transport, transport_keep_fn *keep, void *arg)
{
    struct websocket *websocket = websocket_of(transport);
    conn_queue_filter(websocket->conn, keep, arg);
    if (context_of(websocket) != NULL)
        compression_context_forget(context_of(websocket));
}

static void pause_reading(struct transport *transport, bool paused)
{
    conn_read_pause(websocket_of(transport)->conn, paused);
}

static void close_frame_send(struct websocket *websocket, uint16_t code, struct span reason)
{
    struct frame *frame = ws_close_create(code, reason);
    conn_send_frame(websocket->conn, frame);
    frame_unref(frame);
}

static void shut_down(struct websocket *websocket, enum close_reason reason)
{
    conn_shutdown(websocket->conn, reason, sessions_of(websocket)->limits.close_linger_ms);
}

static void close_with(struct websocket *websocket, enum close_reason reason)
{
    int code = close_reason_ws_code(reason);
    if (code == 0) {
        conn_close(websocket->conn, reason);
        return;
    }
    close_frame_send(websocket, (uint16_t)code, span_str(close_reason_text(reason)));
    shut_down(websocket, reason);
}

static void close_with_frame(struct transport *transport, enum close_reason reason)
{
    close_with(websocket_of(transport), reason);
}

static void abort_now(struct transport *transport, enum close_reason reason)
{
    conn_close(websocket_of(transport)->conn, reason);
}

static void ping(struct transport *transport, uint32_t number)
{
    struct frame *frame = ws_frame_create(WS_PING, span_of(&number, sizeof number));
    conn_send_frame(websocket_of(transport)->conn, frame);
    frame_unref(frame);
}

/* A pong may come unasked, too (RFC 6455 section 5.5.3), and then it does not have the number. */
static void pong_received(struct websocket *websocket, struct span payload)
{
    uint32_t number;
    if (websocket->transport.session == NULL || payload.len != sizeof number)
        return;
    memcpy(&number, payload.data, sizeof number);
    session_transport_ponged(websocket->transport.session, number);
}

static bool peer_left(const struct transport *transport)
{
    return conn_is_ending(conn_of(transport));
}

static const struct addr_ip *peer(const struct transport *transport)
{
    return &conn_of(transport)->peer;
}

/* A session that moved here goes on once its subscribers have. */
static void stirred(struct transport *transport)
{
    struct websocket *websocket = websocket_of(transport);
    if (waits(websocket) && transport->session != NULL && !session_is_moving(transport->session))
        websocket_wait(websocket, false);
}

static const struct transport_type websocket_type = {
    .encode = encode,
    .send = send_frame,
    .queued = queued,
    .is_writable = is_writable,
    .is_open = is_open,
    .await_drained = await_drained,
    .filter = filter,
    .pause = pause_reading,
    .close = close_with_frame,
    .abort = abort_now,
    .ping = ping,
    .stirred = stirred,
    .peer_left = peer_left,
    .peer = peer,
};

void websocket_open(struct websocket *websocket, struct sessions *sessions, const struct protocol *protocol,
                    struct conn *conn)
{
    *websocket = (struct websocket){.transport.type = &websocket_type, .conn = conn};
    session_create(sessions, &websocket->transport, protocol, NULL);
}

void websocket_open_probe(struct websocket *websocket, struct sessions *sessions, struct conn *conn)
{
    *websocket = (struct websocket){.transport.type = &websocket_type, .conn = conn};
    extra(websocket)->sessions = sessions;
}

void websocket_wait(struct websocket *websocket, bool is_waiting)
{
    if (is_waiting != waits(websocket))
        extra(websocket)->waits = is_waiting;
    extra_trim(websocket);
    if (conn_is_open(websocket->conn))
        conn_read_pause(websocket->conn, is_waiting);
}

void websocket_compress(struct websocket *websocket, const struct deflate_terms *terms)
{
    websocket->transport.format = compression_format(terms);
    struct compression_context *context = compression_context_create(&sessions_of(websocket)->compression, terms);
    if (context != NULL)
        extra(websocket)->context = context;
}

void websocket_refuse(struct websocket *websocket, enum close_reason reason)
{
    websocket_polling_set(websocket, NULL);
    if (conn_is_open(websocket->conn))
        close_with(websocket, reason);
}

static void close_received(struct websocket *websocket, uint16_t code)
{
    struct session *session = websocket->transport.session;
    if (session != NULL ? session_is_ending(session) : !conn_is_open(websocket->conn)) { /* the answer to ours */
        conn_close(websocket->conn, CLOSE_NORMAL);
        return;
    }
    if (session != NULL)
        session_ending(session);
    close_frame_send(websocket, code, (struct span){NULL, 0});
    shut_down(websocket, CLOSE_NORMAL);
}

/* Without a session: it is to take one over, or has been refused. */
static void message_received(struct websocket *websocket, const struct ws_event *event)
{
    struct session *session = websocket->transport.session;
    if (session != NULL && event->opcode == WS_TEXT)
        session_received(session, event->payload);
    else if (session != NULL)
        session_received_binary(session, event->payload);
    else if (polling_of(websocket) != NULL)
        polling_probe_received(polling_of(websocket), event->opcode == WS_TEXT ? event->payload : SPAN_LIT(""));
}

static void end_at_once(struct websocket *websocket, enum close_reason reason)
{
    if (websocket->transport.session != NULL)
        session_close(websocket->transport.session, reason);
    conn_close(websocket->conn, reason);
}

/* The message is handed on as if it had come so. */
static void compressed_received(struct websocket *websocket, const struct ws_event *event)
{
    struct buf message = {0};
    enum close_reason reason =
        compression_inflate(&sessions_of(websocket)->compression, context_of(websocket), event->payload,
                            event->opcode == WS_TEXT, sessions_of(websocket)->limits.payload_bytes_max, &message);
    if (reason == CLOSE_NONE && websocket->transport.session != NULL)
        session_change(websocket->transport.session, compression_changes(event->payload.len, message.len));
    if (reason == CLOSE_NONE)
        message_received(websocket, &(struct ws_event){.opcode = event->opcode, .payload = buf_span(&message)});
    else
        end_at_once(websocket, reason);
    buf_finish(&message);
}

static void event_received(struct websocket *websocket, const struct ws_event *event)
{
    struct frame *frame;
    switch (event->opcode) {
    case WS_TEXT:
    case WS_BINARY:
        if (event->compressed)
            compressed_received(websocket, event);
        else
            message_received(websocket, event);
        break;
    case WS_PING:
        if (websocket->transport.session != NULL)
            session_message(websocket->transport.session);
        frame = ws_frame_create(WS_PONG, event->payload);
        conn_send_frame(websocket->conn, frame);
        frame_unref(frame);
        break;
    case WS_CLOSE:
        close_received(websocket, event->close_code);
        break;
    case WS_PONG:
        pong_received(websocket, event->payload);
        break;
    case WS_CONTINUATION:
        break;
    }
}

static enum close_reason reason_of_code(uint16_t code)
{
    return code == 1007   ? CLOSE_WS_NOT_UTF8
           : code == 1008 ? CLOSE_WS_FRAMES
           : code == 1009 ? CLOSE_WS_TOO_BIG
                          : CLOSE_WS_INVALID;
}

static bool is_paused(const struct websocket *websocket)
{
    return waits(websocket) ||
           (websocket->transport.session != NULL && session_is_unread(websocket->transport.session));
}

/* Processes input until the peer's Close, even after ours was sent, so that earlier messages are not lost. Input after
 * a breach of the protocol is dropped. */
static size_t decode(struct websocket *websocket, struct ws_decoder *decoder, char *bytes, size_t len)
{
    const char *begin = bytes;
    bool got = true; /* also with nothing left: that call frees the last message */
    while ((len > 0 || got) && websocket->conn->state != CONN_CLOSING && !is_paused(websocket)) {
        struct ws_event event;
        got = false;
        ptrdiff_t used = ws_decode(decoder, bytes, len, &event, &got);
        if (used < 0) {
            end_at_once(websocket, reason_of_code(decoder->bad_code));
            break;
        }
        bytes += used;
        len -= (size_t)used;
        if (got)
            event_received(websocket, &event);
        else if (used == 0)
            break;
    }
    return (size_t)(bytes - begin);
}

static void part_destroy(struct websocket *websocket)
{
    struct websocket_part *part = part_of(websocket);
    if (part == NULL)
        return;
    unfinished_end(&sessions_of(websocket)->unfinished, &part->unfinished);
    ws_decoder_finish(&part->decoder);
    free(part);
    websocket->extra->part = NULL;
    extra_trim(websocket);
}

static void part_drop(struct unfinished *unfinished)
{
    end_at_once(container_of(unfinished, struct websocket_part, unfinished)->websocket, CLOSE_UNFINISHED);
}

/* Keeps the received part of a message. */
static void part_keep(struct websocket *websocket, const struct ws_decoder *fresh)
{
    struct sessions *sessions = sessions_of(websocket);
    struct websocket_part *part = part_of(websocket);
    if (part == NULL) {
        part = extra(websocket)->part = mem_zero(1, sizeof *part);
        part->websocket = websocket;
        part->decoder = *fresh;
        unfinished_begin(&sessions->unfinished, &part->unfinished, part_drop);
    }
    unfinished_resize(&sessions->unfinished, &part->unfinished, sizeof *part + part->decoder.message.cap,
                      sessions->limits.unfinished_bytes_max);
}

size_t websocket_received(struct websocket *websocket, char *bytes, size_t len)
{
    const struct session_limits *limits = &sessions_of(websocket)->limits;
    struct ws_decoder fresh, *decoder = part_of(websocket) != NULL ? &part_of(websocket)->decoder : NULL;
    if (decoder == NULL) {
        ws_decoder_init(&fresh, true, limits->payload_bytes_max);
        fresh.frames_max = limits->frames_max;
        fresh.takes_compressed = context_of(websocket) != NULL || compression_is_format(websocket->transport.format);
        decoder = &fresh;
    }
    size_t used = decode(websocket, decoder, bytes, len);
    if (!ws_decoder_is_idle(decoder))
        part_keep(websocket, &fresh);
    else if (part_of(websocket) != NULL)
        part_destroy(websocket);
    else
        ws_decoder_finish(decoder);
    return used;
}

void websocket_drained(struct websocket *websocket)
{
    if (websocket->transport.session != NULL)
        session_drained(websocket->transport.session);
}

void websocket_closed(struct websocket *websocket, enum close_reason reason)
{
    struct session *session = websocket->transport.session;
    struct sessions *sessions = NULL;
    if (websocket->extra != NULL)
        sessions = sessions_of(websocket);
    part_destroy(websocket);
    if (context_of(websocket) != NULL) {
        compression_context_destroy(&sessions->compression, websocket->extra->context);
        websocket->extra->context = NULL;
    }
    websocket->transport.session = NULL;
    if (session != NULL)
        session_closed(session, reason);
    if (polling_of(websocket) != NULL)
        polling_websocket_closed(websocket->extra->polling);
    if (websocket->extra != NULL)
        moved_end(sessions, websocket->extra->moved);
    free(websocket->extra);
    websocket->extra = NULL;
}
