/* grpc_server: connections, streams, prefixes of messages, trailers. See grpc_server.h. */
#include "grpc_server.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instances.h"

#include "base/mem.h"

enum { PREFIX_BYTES = 5, WINDOW_BYTES = 16 << 20 };

struct grpc_peer {
    struct list of_server;
    struct grpc_server *server;
    struct conn conn;
    nghttp2_session *session;
    bool frozen;
    struct task pump; /* nghttp2 sends nothing from within its callbacks */
};

static const struct conn_limits limits = {.queue_bytes_max = 256 << 20, .input_bytes_max = 1 << 20};

struct grpc_server *grpc_stream_server(const struct grpc_stream *stream)
{
    return stream->peer->server;
}

static void pump_now(struct task *task)
{
    struct grpc_peer *peer = container_of(task, struct grpc_peer, pump);
    const uint8_t *bytes;
    ssize_t len;
    while (!peer->frozen && (len = nghttp2_session_mem_send(peer->session, &bytes)) > 0)
        conn_send(&peer->conn, span_of(bytes, (size_t)len));
}

static void pump(struct grpc_peer *peer)
{
    loop_at_flush(peer->server->listener.net->loop, &peer->pump);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc_peer *peer = arg;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct grpc_stream *stream = mem_zero(1, sizeof *stream);
    stream->peer = peer;
    stream->id = frame->hd.stream_id;
    stream->number = peer->server->calls++;
    list_init(&stream->of_all);
    list_append(&peer->server->streams, &stream->of_all);
    nghttp2_session_set_stream_user_data(session, stream->id, stream);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct grpc_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct span key = span_of(name, name_len), text = span_of(value, value_len);
    const struct span bearer = SPAN_LIT("Bearer ");
    if (stream != NULL && span_equal(key, SPAN_LIT(":path"))) {
        const char *slash = memrchr(value, '/', value_len);
        text = span_from(text, slash != NULL ? (size_t)(slash + 1 - text.data) : 0);
        snprintf(stream->method, sizeof stream->method, SPAN_FMT, SPAN_ARG(text));
    } else if (stream != NULL && span_equal(key, SPAN_LIT("authorization")) && span_starts_with(text, bearer)) {
        text = span_from(text, bearer.len);
        snprintf(stream->bearer, sizeof stream->bearer, SPAN_FMT, SPAN_ARG(text));
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *arg)
{
    struct grpc_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL)
        return 0;
    buf_append(&stream->in, span_of(bytes, len));
    while (stream->in.len >= PREFIX_BYTES) {
        const unsigned char *head = (const unsigned char *)buf_span(&stream->in).data;
        size_t size = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (stream->in.len < PREFIX_BYTES + size)
            break;
        stream->peer->server->events->message(stream, span_sub(buf_span(&stream->in), PREFIX_BYTES, size));
        buf_consume(&stream->in, PREFIX_BYTES + size);
    }
    return 0;
}

static void stream_free(struct grpc_stream *stream)
{
    if (stream->peer->server->events->closed != NULL)
        stream->peer->server->events->closed(stream);
    list_remove(&stream->of_all);
    buf_finish(&stream->in);
    buf_finish(&stream->out);
    free(stream);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct grpc_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    stream_free(stream);
    return 0;
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct grpc_peer *peer = container_of(conn, struct grpc_peer, conn);
    if (peer->frozen)
        return len;
    if (nghttp2_session_mem_recv(peer->session, (const uint8_t *)bytes, len) < 0)
        conn_close(conn, CLOSE_DONE);
    pump(peer);
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct grpc_peer *peer = container_of(conn, struct grpc_peer, conn);
    list_each (node, &peer->server->streams) {
        struct grpc_stream *stream = container_of(node, struct grpc_stream, of_all);
        if (stream->peer == peer)
            stream_free(stream);
    }
    task_cancel(&peer->pump);
    nghttp2_session_del(peer->session);
    list_remove(&peer->of_server);
    free(peer);
}

static const struct conn_events conn_events = {.received = on_received, .closed = on_closed};

static void accepted(struct listener *listener, struct io *io, const struct addr *addr)
{
    struct grpc_peer *peer = mem_zero(1, sizeof *peer);
    nghttp2_session_callbacks *callbacks;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES}};
    peer->server = container_of(listener, struct grpc_server, listener);
    task_init(&peer->pump, pump_now);
    list_init(&peer->of_server);
    list_append(&peer->server->peers, &peer->of_server);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    assert_int_equal(nghttp2_session_server_new(&peer->session, callbacks, peer), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, settings, 1);
    nghttp2_session_set_local_window_size(peer->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
    conn_init(&peer->conn, listener->net, &conn_events, &limits);
    conn_adopt(&peer->conn, io, addr);
    pump(peer);
}

void grpc_server_start(struct grpc_server *server, struct net *of, const struct grpc_server_events *events, void *arg)
{
    struct err err;
    struct addr addr;
    *server = (struct grpc_server){.events = events, .arg = arg};
    list_init(&server->peers);
    list_init(&server->streams);
    addr_loopback(&addr, 0);
    assert_true(listener_open(&server->listener, of, &addr, accepted, &err));
}

uint16_t grpc_server_port(const struct grpc_server *server)
{
    return listener_port(&server->listener);
}

void grpc_server_cut(struct grpc_server *server)
{
    list_each (node, &server->peers) {
        conn_close(&container_of(node, struct grpc_peer, of_server)->conn, CLOSE_DONE);
    }
}

void grpc_server_freeze(struct grpc_server *server)
{
    list_each (node, &server->peers) {
        container_of(node, struct grpc_peer, of_server)->frozen = true;
    }
}

void grpc_server_finish(struct grpc_server *server)
{
    struct net *its = server->listener.net;
    grpc_server_cut(server);
    net_reap(its);
    listener_close(&server->listener);
}

void grpc_server_leave(struct grpc_server *server)
{
    list_each (node, &server->peers) {
        struct grpc_peer *peer = container_of(node, struct grpc_peer, of_server);
        nghttp2_submit_goaway(peer->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(peer->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
        pump(peer);
    }
}

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

/* The status, behind the messages or in the place of any. */
static size_t status_fill(const struct grpc_stream *stream, nghttp2_nv *to, char *digits, size_t size)
{
    snprintf(digits, size, "%d", stream->status);
    to[0] = pair("grpc-status", digits);
    to[1] = pair("grpc-message", stream->text);
    return 2;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
                        nghttp2_data_source *source, void *arg)
{
    struct grpc_stream *stream = source->ptr;
    size_t len = stream->out.len < size ? stream->out.len : size;
    if (len > 0)
        memcpy(to, buf_span(&stream->out).data, len);
    buf_consume(&stream->out, len);
    if (stream->out.len == 0 && stream->ending) {
        nghttp2_nv trailers[2];
        char digits[8];
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, trailers, status_fill(stream, trailers, digits, sizeof digits));
    } else if (len == 0) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)len;
}

static void wake(struct grpc_stream *stream)
{
    if (stream->deferred)
        nghttp2_session_resume_data(stream->peer->session, stream->id);
    stream->deferred = false;
    pump(stream->peer);
}

static void begin(struct grpc_stream *stream)
{
    const nghttp2_nv headers[] = {pair(":status", "200"), pair("content-type", "application/grpc")};
    const nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = read_out};
    stream->begun = true;
    nghttp2_submit_response(stream->peer->session, stream->id, headers, 2, &provider);
}

void grpc_stream_send(struct grpc_stream *stream, struct span message)
{
    const char head[PREFIX_BYTES] = {0, (char)(message.len >> 24), (char)(message.len >> 16), (char)(message.len >> 8),
                                     (char)message.len};
    assert_false(stream->ending);
    buf_append(&stream->out, span_of(head, sizeof head));
    buf_append(&stream->out, message);
    if (!stream->begun)
        begin(stream);
    wake(stream);
}

void grpc_stream_end(struct grpc_stream *stream, enum grpc_status status, const char *text)
{
    assert_false(stream->ending);
    stream->ending = true;
    stream->status = status;
    snprintf(stream->text, sizeof stream->text, "%s", text);
    if (!stream->begun) {
        nghttp2_nv headers[4] = {pair(":status", "200"), pair("content-type", "application/grpc")};
        char digits[8];
        size_t count = 2 + status_fill(stream, headers + 2, digits, sizeof digits);
        nghttp2_submit_response(stream->peer->session, stream->id, headers, count, NULL);
    }
    wake(stream);
}

void grpc_stream_reset(struct grpc_stream *stream)
{
    struct grpc_peer *peer = stream->peer;
    nghttp2_submit_rst_stream(peer->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
    pump(peer);
}
