/* exchange_upstream: the instance's side of an exchange: request out, response back. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/exchange.h"
#include "platform/fleet.h"
#include "platform/forward.h"
#include "wire/ws.h"

static void fail(struct exchange *exchange, enum denial denial)
{
    exchange->ingress->counters.failures++;
    http_last(&exchange->http, CLOSE_DONE);
    exchange_refuse(exchange, denial, 0);
}

/* Behind the response's head there is nothing left to say but the end. */
static void break_off(struct exchange *exchange, enum close_reason reason)
{
    request_record_ends(&exchange->record, REQUEST_BROKEN_OFF);
    conn_close(&exchange->http.conn, reason);
    exchange_drop_upstream(exchange);
}

static void chunk_send(struct conn *conn, struct span data)
{
    struct buf text = {0};
    buf_printf(&text, "%zx\r\n", data.len);
    buf_append(&text, data);
    buf_append(&text, SPAN_LIT("\r\n"));
    conn_send(conn, buf_span(&text));
    buf_finish(&text);
}

/* The end of the request's body, with the trailers that may pass. */
static void last_chunk_send(struct exchange *exchange, struct conn *up)
{
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("0\r\n"));
    exchange_trailers_pass(exchange, &text, http_trailers(&exchange->http));
    buf_append(&text, SPAN_LIT("\r\n"));
    conn_send(up, buf_span(&text));
    buf_finish(&text);
}

void exchange_forward_body(struct exchange *exchange, struct span bytes, bool last)
{
    struct conn *up = exchange->upstream != NULL ? &exchange->upstream->conn : NULL;
    if (up == NULL)
        return;
    exchange->record.bytes_in += bytes.len;
    if (exchange->request_chunked && bytes.len > 0)
        chunk_send(up, bytes);
    else
        conn_send(up, bytes);
    if (exchange->request_chunked && last)
        last_chunk_send(exchange, up);
    if (conn_queued(up) > INGRESS_PAUSE_BYTES) {
        http_body_pause(&exchange->http, true);
        conn_await_drained(up); /* the kernel may take all of it at once */
    }
}

static bool accepts_upgrade(const struct exchange *exchange, const struct http1_head *head)
{
    return exchange->upgrade && head->upgrade_websocket &&
           span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Accept")),
                      span_of(exchange->accept, sizeof exchange->accept));
}

/* What Cloud Run would not let through: it allows visible ASCII in a field. */
static void parity_note(struct exchange *exchange, const struct http1_head *head)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct span name = head->fields[i].name, value = head->fields[i].value;
        if (http1_value_is_valid(value))
            continue;
        struct span line = span_of(name.data, (size_t)(value.data + value.len - name.data));
        request_record_note(&exchange->record, "Cloud Run answers 503 where a field has bytes above 127", line);
    }
}

/* Its client does not have the cookie of this instance. */
static bool wants_cookie(const struct exchange *exchange)
{
    const struct instance *instance = exchange->instance;
    return instance->fleet->spec->affinity && strcmp(exchange->ask.affinity, instance->affinity) != 0;
}

static void response_begin(struct exchange *exchange, const struct http1_head *head)
{
    struct http *http = &exchange->http;
    struct buf text = {0};
    bool interim = head->status < 200 && head->status != 101;
    bool unframed = head->body == HTTP1_BODY_UNTIL_CLOSE || head->body == HTTP1_BODY_CHUNKED;
    bool chunked = !interim && head->status != 101 && unframed && !http_is_10(http);
    exchange->record.status = (uint16_t)head->status;
    http1_body_start(&exchange->response_body, head);
    exchange->response_body.trailers = &exchange->trailers;
    /* The end of the connection ends a body for HTTP/1.0; what follows a handshake would be read as a request. */
    if (!interim && head->status != 101 && ((unframed && http_is_10(http)) || exchange->upgrade))
        http_last(http, CLOSE_DONE);
    parity_note(exchange, head);
    struct forward_reply reply = {
        .instance = exchange->instance->id,
        .affinity = wants_cookie(exchange) ? exchange->instance->affinity : NULL,
        .chunked = chunked,
        .keep_alive = http_stays(http),
    };
    forward_response(&text, head, &reply);
    if (interim)
        http_interim(http, buf_span(&text));
    else if (head->status == 101)
        conn_send(&http->conn, buf_span(&text));
    else
        http_stream_begin_head(http, buf_span(&text), chunked);
    buf_finish(&text);
}

/* Returns how many bytes the head took, 0 for none or when the exchange ended. */
static size_t head_received(struct exchange *exchange, char *bytes, size_t len)
{
    struct http1_head *head = &exchange->ingress->answer;
    ptrdiff_t used =
        http1_response_decode(span_of(bytes, len), exchange->response_seen, span_str(exchange->record.method), head);
    if (used == 0) {
        exchange->response_seen = len;
        return 0;
    }
    exchange->response_seen = 0;
    if (used > 0 && head->status == 101 && !accepts_upgrade(exchange, head)) {
        head->rule = "101 answers a WebSocket handshake, with the right Sec-WebSocket-Accept";
        head->culprit = http1_field_get(head, SPAN_LIT("Sec-WebSocket-Accept"));
        used = -1;
    }
    if (used < 0) {
        request_record_note(&exchange->record, head->rule, head->culprit);
        fail(exchange, DENIAL_MALFORMED_RESPONSE);
        return 0;
    }
    if (head->body == HTTP1_BODY_LENGTH && head->content_length > INGRESS_RESPONSE_BYTES_MAX) {
        fail(exchange, DENIAL_RESPONSE_TOO_LARGE);
        return 0;
    }
    response_begin(exchange, head);
    if (head->status == 101)
        exchange_become_tunnel(exchange);
    else if (head->status >= 200)
        exchange_set_state(exchange, EXCHANGE_BODY);
    return (size_t)used;
}

static size_t body_received(struct exchange *exchange, struct span bytes)
{
    struct span data = {NULL, 0};
    ptrdiff_t used = http1_body_decode(&exchange->response_body, bytes, &data);
    if (used < 0) {
        break_off(exchange, CLOSE_UPSTREAM_FAILED);
        return 0;
    }
    exchange->record.bytes_out += data.len;
    http_stream_send(&exchange->http, data);
    return (size_t)used;
}

static void on_opened(struct conn *conn)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    struct exchange *exchange = upstream->exchange;
    if (exchange == NULL)
        return;
    exchange_set_state(exchange, EXCHANGE_WAITING);
    conn_send(conn, buf_span(&exchange->head));
    buf_finish(&exchange->head); /* it has been accepted: there is no other try */
    if (!http_body_is_done(&exchange->http))
        http_read_body(&exchange->http, INGRESS_BODY_BYTES_MAX, HTTP_BODY_RELAYED);
}

static const struct conn_events upstream_events;

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    size_t used = 0, step = 1;
    while (step > 0 && upstream->exchange != NULL) {
        struct exchange *exchange = upstream->exchange;
        if (exchange->state == EXCHANGE_BODY && exchange->response_body.done) {
            exchange_end(exchange);
            break;
        }
        if (used == len)
            break;
        step = exchange->state == EXCHANGE_WAITING ? head_received(exchange, bytes + used, len - used)
                                                   : body_received(exchange, span_of(bytes + used, len - used));
        used += step;
        if (conn->events != &upstream_events) /* a tunnel has taken it: the rest of the bytes goes there */
            return used < len && conn_is_open(conn) ? used + conn->events->received(conn, bytes + used, len - used)
                                                    : used;
    }
    struct exchange *exchange = upstream->exchange;
    if (exchange == NULL)
        return len;
    if (conn_queued(&exchange->http.conn) > INGRESS_PAUSE_BYTES) {
        conn_read_pause(conn, true);
        conn_await_drained(&exchange->http.conn); /* the kernel may take all of it at once */
    }
    return used;
}

static void on_drained(struct conn *conn)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    if (upstream->exchange != NULL)
        http_body_pause(&upstream->exchange->http, false);
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    struct exchange *exchange = upstream->exchange;
    free(upstream);
    if (exchange == NULL)
        return;
    exchange->upstream = NULL;
    if (exchange->state == EXCHANGE_CONNECTING && exchange->tries < INGRESS_CONNECT_TRIES &&
        exchange->instance != NULL) {
        /* It has just gone, and nothing was sent: another one may serve. */
        struct instance *instance = exchange->instance;
        instance->refused_us = loop_now_us(exchange->ingress->loop);
        exchange->instance = NULL;
        exchange_set_state(exchange, EXCHANGE_QUEUED);
        instance_release(instance);
        fleet_ask(exchange->ask.fleet, &exchange->ask);
    } else if (exchange->state == EXCHANGE_CONNECTING || exchange->state == EXCHANGE_WAITING) {
        bool memory = exchange->instance != NULL && instance_is_out_of_memory(exchange->instance);
        fail(exchange, memory ? DENIAL_MEMORY : DENIAL_INSTANCE_FAILED);
    } else if (exchange->state == EXCHANGE_BODY && exchange->response_body.kind == HTTP1_BODY_UNTIL_CLOSE &&
               reason == CLOSE_PEER_CLOSED) {
        exchange_end(exchange);
    } else {
        request_record_ends(&exchange->record,
                            reason == CLOSE_WRITE_TIMEOUT ? REQUEST_INSTANCE_STALLED : REQUEST_BROKEN_OFF);
        conn_close(&exchange->http.conn, CLOSE_UPSTREAM_FAILED);
    }
}

static const struct conn_events upstream_events = {
    .opened = on_opened,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

void exchange_connect(struct exchange *exchange, struct instance *instance)
{
    struct ingress *ingress = exchange->ingress;
    struct upstream *upstream = mem_zero(1, sizeof *upstream);
    exchange->instance = instance;
    exchange->upstream = upstream;
    exchange->response_seen = 0;
    exchange->tries++;
    upstream->exchange = exchange;
    exchange_set_state(exchange, EXCHANGE_CONNECTING);
    conn_init(&upstream->conn, ingress->net, &upstream_events, &ingress->limits);
    netspace_enter(&instance->network.space);
    conn_connect(&upstream->conn, &instance->program.addr);
    netspace_leave(&instance->network.space);
}

void exchange_drop_upstream(struct exchange *exchange)
{
    struct upstream *upstream = exchange->upstream;
    if (upstream == NULL)
        return;
    exchange->upstream = NULL;
    upstream->exchange = NULL;
    if (upstream->conn.state != CONN_DRAINING) /* else it ends by itself */
        conn_close(&upstream->conn, CLOSE_DONE);
}
