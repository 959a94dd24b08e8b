/* grpc_link: calls as streams of nghttp2: headers, messages behind their five bytes of prefix, and the status. */
#include "broker/grpc_link.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    PREFIX_BYTES = 5,
    WINDOW_BYTES = 8 << 20,
    GRACE_MS = 1000, /* that the server has beyond its deadline to say that it is over */
    HEADERS_MAX = 10,
};

struct grpc_call {
    struct list node;
    struct grpc_link *link;
    const struct grpc_call_events *events;
    void *arg;
    int32_t stream;
    struct buf out, in;
    struct timer deadline;
    bool last, deferred;
    bool answered; /* its status is known */
    enum grpc_status status;
    char text[GRPC_TEXT_BYTES_MAX];
    size_t text_len;
};

static const struct conn_limits limits = {
    .queue_bytes_max = GRPC_QUEUE_BYTES_MAX,
    .input_bytes_max = 1 << 20,
    .write_stall_ms_max = 10000,
};

static void call_free(struct grpc_call *call)
{
    list_remove(&call->node);
    timer_stop(call->link->conn.net->loop, &call->deadline);
    buf_finish(&call->out);
    buf_finish(&call->in);
    free(call);
}

static void call_end(struct grpc_call *call, enum grpc_status status, struct span text)
{
    const struct grpc_call_events *events = call->events;
    void *arg = call->arg;
    char kept[GRPC_TEXT_BYTES_MAX];
    struct span said = span_sub(text, 0, sizeof kept);
    if (said.len > 0)
        memcpy(kept, said.data, said.len);
    if (call->link->session != NULL)
        nghttp2_session_set_stream_user_data(call->link->session, call->stream, NULL);
    call_free(call);
    events->ended(arg, status, span_of(kept, said.len));
}

static void pump_soon(struct grpc_link *link)
{
    loop_at_flush(link->conn.net->loop, &link->pump);
}

static void stream_reset(struct grpc_call *call)
{
    if (call->link->session == NULL)
        return;
    nghttp2_submit_rst_stream(call->link->session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_CANCEL);
    pump_soon(call->link);
}

static void deadline_passed(struct timer *timer)
{
    struct grpc_call *call = container_of(timer, struct grpc_call, deadline);
    stream_reset(call);
    call_end(call, GRPC_DEADLINE_EXCEEDED, SPAN_LIT("no answer in time"));
}

static void pump(struct task *task)
{
    struct grpc_link *link = container_of(task, struct grpc_link, pump);
    const uint8_t *bytes;
    ssize_t len;
    if (link->session == NULL)
        return;
    while ((len = nghttp2_session_mem_send(link->session, &bytes)) > 0)
        conn_send(&link->conn, span_of(bytes, (size_t)len));
    if (len < 0)
        conn_close(&link->conn, CLOSE_BROKER_INVALID);
}

/* What a percent sign and two digits stand for; -1: they are none. */
static int hex_pair(struct span digits)
{
    int value = 0;
    for (size_t i = 0; i < 2; i++) {
        int digit = hex_digit(i < digits.len ? digits.data[i] : ' ');
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void text_take(struct grpc_call *call, struct span value)
{
    call->text_len = 0;
    while (value.len > 0 && call->text_len < sizeof call->text) {
        int byte = value.data[0] == '%' ? hex_pair(span_from(value, 1)) : -1;
        call->text[call->text_len++] = byte >= 0 ? (char)byte : value.data[0];
        value = span_from(value, byte >= 0 ? 3 : 1);
    }
}

/* The status of gRPC that an answer without one stands for. */
static enum grpc_status http_status(struct span value)
{
    return span_equal(value, SPAN_LIT("401"))   ? GRPC_UNAUTHENTICATED
           : span_equal(value, SPAN_LIT("403")) ? GRPC_PERMISSION_DENIED
           : span_equal(value, SPAN_LIT("404")) ? GRPC_UNIMPLEMENTED
                                                : GRPC_UNAVAILABLE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct span key = span_of(name, name_len), text = span_of(value, value_len);
    uint64_t number;
    if (call == NULL)
        return 0;
    if (span_equal(key, SPAN_LIT(":status")) && !span_equal(text, SPAN_LIT("200"))) {
        call->status = http_status(text);
        text_take(call, text);
    } else if (span_equal(key, SPAN_LIT("grpc-status")) && span_to_u64(text, &number) && number <= 16) {
        call->answered = true;
        call->status = (enum grpc_status)number;
    } else if (span_equal(key, SPAN_LIT("grpc-message"))) {
        text_take(call, text);
    }
    return 0;
}

/* The messages that are whole. False: the call has ended. */
static bool messages_take(nghttp2_session *session, int32_t stream)
{
    struct grpc_call *call;
    /* An event may cancel the call. */
    while ((call = nghttp2_session_get_stream_user_data(session, stream)) != NULL) {
        struct span in = buf_span(&call->in);
        if (in.len < PREFIX_BYTES)
            return true;
        const unsigned char *head = (const unsigned char *)in.data;
        size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (head[0] != 0 || len > GRPC_MESSAGE_BYTES_MAX) {
            stream_reset(call);
            call_end(call, GRPC_INTERNAL, SPAN_LIT("a message that is compressed or too long"));
            return false;
        }
        if (in.len < PREFIX_BYTES + len)
            return true;
        struct buf taken = call->in; /* the event may end the call, which frees its own */
        call->in = (struct buf){0};
        bool good = call->events->message(call->arg, span_sub(in, PREFIX_BYTES, len));
        call = nghttp2_session_get_stream_user_data(session, stream);
        if (call == NULL) {
            buf_finish(&taken);
            return false;
        }
        call->in = taken;
        buf_consume(&call->in, PREFIX_BYTES + len);
        if (good)
            continue;
        stream_reset(call);
        call_end(call, GRPC_INTERNAL, SPAN_LIT("a message that makes no sense"));
    }
    return false;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t len, void *arg)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL)
        return 0;
    buf_append(&call->in, span_of(bytes, len));
    messages_take(session, stream);
    return 0;
}

/* The server has said all that it has to say. */
static void answer_ended(nghttp2_session *session, int32_t stream)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL)
        return;
    if (!call->answered && call->status == GRPC_OK)
        call_end(call, GRPC_UNAVAILABLE, SPAN_LIT("the server has ended the stream without a status"));
    else
        call_end(call, call->status, span_of(call->text, call->text_len));
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
    answer_ended(session, stream);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc_link *link = arg;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        link->is_going = true;
        conn_close(&link->conn, CLOSE_PEER_CLOSED);
    } else if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
               (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
        /* A listener's half of its stream is open still: without this the stream would stay, and never be closed. */
        struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call != NULL && !call->last)
            stream_reset(call);
        answer_ended(session, frame->hd.stream_id);
    }
    return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t stream, uint8_t *to, size_t size, uint32_t *flags,
                        nghttp2_data_source *source, void *arg)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    struct span out = span_sub(buf_span(&call->out), 0, size);
    if (out.len > 0)
        memcpy(to, out.data, out.len);
    buf_consume(&call->out, out.len);
    if (call->out.len == 0 && call->last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        buf_finish(&call->out);
    } else if (out.len == 0) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)out.len;
}

static void session_create(struct grpc_link *link)
{
    nghttp2_session_callbacks *callbacks;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES}};
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort(); /* no memory, as in base/mem.h */
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    if (nghttp2_session_client_new(&link->session, callbacks, link) != 0)
        abort();
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(link->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]);
    nghttp2_session_set_local_window_size(link->session, NGHTTP2_FLAG_NONE, 0, 2 * WINDOW_BYTES);
}

static void on_opened(struct conn *conn)
{
    struct grpc_link *link = container_of(conn, struct grpc_link, conn);
    session_create(link);
    pump_soon(link);
    link->events->opened(link);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct grpc_link *link = container_of(conn, struct grpc_link, conn);
    timer_stop(conn->net->loop, &link->sign);
    if (nghttp2_session_mem_recv(link->session, (const uint8_t *)bytes, len) < 0)
        conn_close(conn, CLOSE_BROKER_INVALID);
    pump_soon(link);
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct grpc_link *link = container_of(conn, struct grpc_link, conn);
    const struct tls_problem *problem = conn_tls_problem(conn);
    char why[sizeof problem->text];
    snprintf(why, sizeof why, "%s", problem->fault != TLS_FAULT_NONE ? problem->text : close_reason_text(reason));
    nghttp2_session_del(link->session);
    link->session = NULL;
    timer_stop(conn->net->loop, &link->sign);
    while (!list_empty(&link->calls))
        call_end(container_of(link->calls.next, struct grpc_call, node), GRPC_UNAVAILABLE, span_str(why));
    link->busy = false;
    link->events->closed(link, why);
}

static void sign_missed(struct timer *timer)
{
    conn_close(&container_of(timer, struct grpc_link, sign)->conn, CLOSE_BROKER_LOST);
}

void grpc_link_probe(struct grpc_link *link, uint32_t ms)
{
    if (!grpc_link_is_open(link) || timer_running(&link->sign))
        return;
    nghttp2_submit_ping(link->session, NGHTTP2_FLAG_NONE, NULL);
    timer_start(link->conn.net->loop, &link->sign, LOOP_MS(ms));
    pump_soon(link);
}

static const struct conn_events conn_events = {.opened = on_opened, .received = on_received, .closed = on_closed};

void grpc_link_init(struct grpc_link *link, struct net *net, const struct grpc_link_events *events)
{
    *link = (struct grpc_link){.events = events};
    list_init(&link->calls);
    task_init(&link->pump, pump);
    timer_init(&link->sign, sign_missed);
    conn_init(&link->conn, net, &conn_events, &limits);
}

void grpc_link_finish(struct grpc_link *link)
{
    task_cancel(&link->pump);
    if (link->busy) {
        conn_close(&link->conn, CLOSE_NORMAL);
        net_reap(link->conn.net);
    }
    assert(!link->busy && list_empty(&link->calls));
    free(link->authority);
    link->authority = NULL;
}

void grpc_link_open(struct grpc_link *link, const struct addr *addr, const char *authority,
                    const struct tls_client *tls)
{
    assert(!link->busy);
    char *copy = mem_text(span_str(authority));
    free(link->authority);
    link->authority = copy;
    link->secure = tls != NULL;
    link->busy = true;
    link->is_going = false;
    conn_init(&link->conn, link->conn.net, &conn_events, &limits);
    if (tls != NULL)
        conn_connect_tls(&link->conn, addr, tls);
    else
        conn_connect(&link->conn, addr);
}

void grpc_link_close(struct grpc_link *link, enum close_reason reason)
{
    if (link->busy)
        conn_close(&link->conn, reason);
}

struct headers {
    nghttp2_nv all[HEADERS_MAX];
    size_t count;
};

/* nghttp2 copies them. */
static void header_add(struct headers *headers, const char *name, struct span value)
{
    assert(headers->count < HEADERS_MAX);
    headers->all[headers->count++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                                                  .value = (uint8_t *)(uintptr_t)value.data,
                                                  .namelen = strlen(name),
                                                  .valuelen = value.len};
}

struct grpc_call *grpc_call_begin(struct grpc_link *link, const struct grpc_method *method,
                                  const struct grpc_call_events *events, void *arg)
{
    assert(grpc_link_is_open(link));
    struct grpc_call *call = mem_zero(1, sizeof *call);
    struct headers headers = {.count = 0};
    struct buf bearer = {0};
    char timeout[16];
    *call = (struct grpc_call){.link = link, .events = events, .arg = arg};
    list_init(&call->node);
    list_append(&link->calls, &call->node);
    timer_init(&call->deadline, deadline_passed);
    header_add(&headers, ":method", SPAN_LIT("POST"));
    header_add(&headers, ":scheme", link->secure ? SPAN_LIT("https") : SPAN_LIT("http"));
    header_add(&headers, ":path", span_str(method->path));
    header_add(&headers, ":authority", span_str(link->authority));
    header_add(&headers, "te", SPAN_LIT("trailers"));
    header_add(&headers, "content-type", SPAN_LIT("application/grpc"));
    if (method->deadline_ms != 0) {
        snprintf(timeout, sizeof timeout, "%um", method->deadline_ms);
        header_add(&headers, "grpc-timeout", span_str(timeout));
        timer_start(link->conn.net->loop, &call->deadline, LOOP_MS((uint64_t)method->deadline_ms + GRACE_MS));
    }
    buf_printf(&bearer, "Bearer " SPAN_FMT, SPAN_ARG(method->token));
    if (method->token.len > 0)
        header_add(&headers, "authorization", buf_span(&bearer));
    if (method->resource.len > 0)
        header_add(&headers, "google-cloud-resource-prefix", method->resource);
    const nghttp2_data_provider provider = {.read_callback = read_out};
    call->stream = nghttp2_submit_request(link->session, NULL, headers.all, headers.count, &provider, call);
    buf_finish(&bearer);
    if (call->stream < 0) { /* no number is left for a stream on this connection; the call ends with it */
        call->stream = 0;
        conn_close(&link->conn, CLOSE_PEER_CLOSED);
    }
    pump_soon(link);
    return call;
}

void grpc_call_send(struct grpc_call *call, struct span message, bool last)
{
    const char head[PREFIX_BYTES] = {0, (char)(message.len >> 24), (char)(message.len >> 16), (char)(message.len >> 8),
                                     (char)message.len};
    assert(!call->last);
    buf_append(&call->out, span_of(head, sizeof head));
    buf_append(&call->out, message);
    call->last = last;
    if (call->deferred)
        nghttp2_session_resume_data(call->link->session, call->stream);
    call->deferred = false;
    pump_soon(call->link);
}
