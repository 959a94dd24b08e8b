/* exchange_upstream: the instance's side of an exchange: request out, response back, or a tunnel. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/exchange.h"
#include "platform/forward.h"
#include "wire/ws.h"

static void fail(struct exchange *exchange, enum denial denial)
{
    exchange->ingress->counters.failures++;
    exchange->keep_alive = false;
    exchange_refuse(exchange, denial, 0);
}

/* Behind the response's head there is nothing left to say but the end. */
static void break_off(struct exchange *exchange, enum close_reason reason)
{
    conn_close(&exchange->conn, reason);
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

static void body_refuse(struct exchange *exchange, enum denial denial)
{
    exchange->keep_alive = false;
    if (exchange->state == EXCHANGE_WAITING) {
        exchange_refuse(exchange, denial, 400);
    } else {
        exchange_note(exchange, denial);
        break_off(exchange, CLOSE_HTTP_INVALID);
    }
}

size_t exchange_forward_body(struct exchange *exchange, struct span bytes)
{
    struct http1_body *body = &exchange->request_body;
    struct conn *up = exchange->upstream != NULL ? &exchange->upstream->conn : NULL;
    size_t used = 0;
    while (!body->done && used < bytes.len) {
        struct span data = {NULL, 0};
        ptrdiff_t step = http1_body_decode(body, span_from(bytes, used), &data);
        exchange->body_bytes += data.len;
        if (step < 0 || exchange->body_bytes > INGRESS_BODY_BYTES_MAX) {
            body_refuse(exchange, step < 0 ? DENIAL_MALFORMED_REQUEST : DENIAL_REQUEST_TOO_LARGE);
            return bytes.len;
        }
        if (step == 0)
            break;
        used += (size_t)step;
        if (up == NULL || data.len == 0)
            continue;
        if (exchange->request_chunked)
            chunk_send(up, data);
        else
            conn_send(up, data);
    }
    if (body->done && exchange->request_chunked && up != NULL) {
        exchange->request_chunked = false;
        conn_send(up, SPAN_LIT("0\r\n\r\n"));
    }
    if (up != NULL)
        exchange_hold_back(&exchange->conn, up);
    return used;
}

static void tunnel_begin(struct exchange *exchange)
{
    exchange->ingress->counters.tunnels++;
    exchange->keep_alive = false;
    buf_finish(&exchange->head);
    exchange_set_state(exchange, EXCHANGE_TUNNEL);
    conn_read_pause(&exchange->conn, false); /* what came behind the handshake goes now */
}

static bool accepts_upgrade(const struct exchange *exchange, const struct http1_head *head)
{
    return exchange->upgrade && head->upgrade_websocket &&
           span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Accept")),
                      span_of(exchange->accept, sizeof exchange->accept));
}

static void response_begin(struct exchange *exchange, const struct http1_head *head)
{
    struct buf text = {0};
    bool interim = head->status < 200 && head->status != 101;
    if (interim && exchange->client_is_10)
        return; /* it would take it for the response */
    http1_body_start(&exchange->response_body, head);
    if (!interim && head->status != 101) {
        bool unframed = head->body == HTTP1_BODY_UNTIL_CLOSE || head->body == HTTP1_BODY_CHUNKED;
        exchange->response_chunked = unframed && !exchange->client_is_10;
        if (unframed && exchange->client_is_10)
            exchange->keep_alive = false;
        if (exchange->upgrade)
            exchange->keep_alive = false; /* what follows the handshake would be read as a request, */
        if (!exchange->request_body.done)
            exchange->keep_alive = false; /* and so would the rest of a body that nobody reads */
    }
    forward_response(&text, head, !interim && exchange->response_chunked, exchange->keep_alive, exchange->instance->id);
    conn_send(&exchange->conn, buf_span(&text));
    buf_finish(&text);
}

/* Returns how many bytes the head took, 0 for none or when the exchange ended. */
static size_t head_received(struct exchange *exchange, char *bytes, size_t len)
{
    static struct http1_head head; /* as on the client's side */
    ptrdiff_t used =
        http1_response_decode(span_of(bytes, len), exchange->response_seen, span_str(exchange->method), &head);
    if (used == 0) {
        exchange->response_seen = len;
        return 0;
    }
    exchange->response_seen = 0;
    if (used < 0 || (head.status == 101 && !accepts_upgrade(exchange, &head))) {
        fail(exchange, DENIAL_MALFORMED_RESPONSE);
        return 0;
    }
    response_begin(exchange, &head);
    if (head.status == 101)
        tunnel_begin(exchange);
    else if (head.status >= 200)
        exchange_set_state(exchange, EXCHANGE_BODY);
    return (size_t)used;
}

static void body_ended(struct exchange *exchange)
{
    if (exchange->response_chunked)
        conn_send(&exchange->conn, SPAN_LIT("0\r\n\r\n"));
    exchange_end(exchange);
}

static size_t body_received(struct exchange *exchange, struct span bytes)
{
    struct span data = {NULL, 0};
    ptrdiff_t used = http1_body_decode(&exchange->response_body, bytes, &data);
    if (used < 0) {
        break_off(exchange, CLOSE_UPSTREAM_FAILED);
        return 0;
    }
    if (data.len > 0 && exchange->response_chunked)
        chunk_send(&exchange->conn, data);
    else if (data.len > 0)
        conn_send(&exchange->conn, data);
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
    conn_read_pause(&exchange->conn, false); /* the body, if there is one, goes now */
    if (!exchange->request_body.done)
        timer_start(exchange->ingress->loop, &exchange->body_check, LOOP_MS(INGRESS_BODY_CHECK_MS));
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    size_t used = 0, step = 1;
    while (step > 0 && upstream->exchange != NULL) {
        struct exchange *exchange = upstream->exchange;
        if (exchange->state == EXCHANGE_BODY && exchange->response_body.done) {
            body_ended(exchange);
            break;
        }
        if (used == len)
            break;
        if (exchange->state == EXCHANGE_WAITING) {
            step = head_received(exchange, bytes + used, len - used);
        } else if (exchange->state == EXCHANGE_BODY) {
            step = body_received(exchange, span_of(bytes + used, len - used));
        } else {
            step = len - used;
            conn_send(&exchange->conn, span_of(bytes + used, step));
        }
        used += step;
    }
    struct exchange *exchange = upstream->exchange;
    if (exchange == NULL)
        return len;
    exchange_hold_back(conn, &exchange->conn);
    return used;
}

static void on_drained(struct conn *conn)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    if (upstream->exchange != NULL)
        conn_read_pause(&upstream->exchange->conn, false);
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
        exchange->instance = NULL;
        exchange_set_state(exchange, EXCHANGE_QUEUED);
        instance_release(instance);
        fleet_ask(exchange->ask.fleet, &exchange->ask);
    } else if (exchange->state == EXCHANGE_CONNECTING || exchange->state == EXCHANGE_WAITING) {
        fail(exchange, DENIAL_INSTANCE_FAILED);
    } else if (exchange->state == EXCHANGE_BODY && exchange->response_body.kind == HTTP1_BODY_UNTIL_CLOSE &&
               reason == CLOSE_PEER_CLOSED) {
        body_ended(exchange);
    } else if (exchange->state == EXCHANGE_TUNNEL && reason == CLOSE_PEER_CLOSED) {
        /* What the instance said last, its Close frame perhaps, is flushed first. */
        conn_shutdown(&exchange->conn, CLOSE_PEER_CLOSED, INGRESS_LINGER_MS);
        exchange_end(exchange);
    } else {
        conn_close(&exchange->conn, CLOSE_UPSTREAM_FAILED);
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
    struct addr addr;
    exchange->instance = instance;
    exchange->upstream = upstream;
    exchange->response_seen = 0;
    exchange->response_chunked = false;
    exchange->tries++;
    upstream->exchange = exchange;
    exchange_set_state(exchange, EXCHANGE_CONNECTING);
    addr_loopback(&addr, instance->port);
    conn_init(&upstream->conn, ingress->net, &upstream_events, &ingress->limits);
    conn_connect(&upstream->conn, &addr);
}

void exchange_drop_upstream(struct exchange *exchange)
{
    struct upstream *upstream = exchange->upstream;
    if (upstream == NULL)
        return;
    exchange->upstream = NULL;
    upstream->exchange = NULL;
    conn_close(&upstream->conn, CLOSE_DONE);
}
