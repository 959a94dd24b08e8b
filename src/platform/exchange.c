/* exchange: see exchange.h. Here: the client's side. The instance's is in exchange_upstream.c. */
#include "platform/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/forward.h"
#include "wire/ws.h"

void exchange_set_state(struct exchange *exchange, enum exchange_state state)
{
    static const uint8_t legal[] = {
        [EXCHANGE_IDLE] = 1 << EXCHANGE_QUEUED | 1 << EXCHANGE_ENDED,
        [EXCHANGE_QUEUED] = 1 << EXCHANGE_CONNECTING | 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_CONNECTING] = 1 << EXCHANGE_WAITING | 1 << EXCHANGE_QUEUED | 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_WAITING] = 1 << EXCHANGE_BODY | 1 << EXCHANGE_TUNNEL | 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_BODY] = 1 << EXCHANGE_IDLE | 1 << EXCHANGE_ENDED,
        [EXCHANGE_TUNNEL] = 1 << EXCHANGE_ENDED,
        [EXCHANGE_ENDED] = 1 << EXCHANGE_ENDED,
    };
    assert(legal[exchange->state] & 1 << state);
    exchange->state = (uint8_t)state;
}

static void respond(struct exchange *exchange, int status, const char *reason, const char *body)
{
    struct buf text = {0}, fields = {0};
    if (reason != NULL)
        buf_printf(&fields, "X-Sennit-Reason: %s\r\n", reason);
    http1_response_encode(&text, status, SPAN_LIT("text/plain"), buf_span(&fields), span_str(body),
                          exchange->keep_alive);
    struct span bytes = buf_span(&text);
    if (strcmp(exchange->method, "HEAD") == 0)
        bytes.len -= strlen(body);
    conn_send(&exchange->conn, bytes);
    buf_finish(&text);
    buf_finish(&fields);
}

void exchange_refuse(struct exchange *exchange, int status, const char *reason, const char *body)
{
    /* What is left of a request's body would be read as the next request. */
    if (!exchange->request_body.done)
        exchange->keep_alive = false;
    respond(exchange, status, reason, body);
    exchange_end(exchange);
}

static void slot_release(struct exchange *exchange)
{
    struct instance *instance = exchange->instance;
    exchange->instance = NULL;
    if (instance != NULL)
        instance_release(instance);
}

void exchange_end(struct exchange *exchange)
{
    struct ingress *ingress = exchange->ingress;
    timer_stop(ingress->loop, &exchange->deadline);
    fleet_forget(ingress->fleet, &exchange->ask);
    exchange_drop_upstream(exchange);
    slot_release(exchange);
    buf_finish(&exchange->head);
    if (!conn_is_open(&exchange->conn)) {
        exchange_set_state(exchange, EXCHANGE_ENDED);
    } else if (exchange->keep_alive && exchange->request_body.done && !ingress->stopping) {
        exchange_set_state(exchange, EXCHANGE_IDLE);
        exchange->head_seen = 0;
        timer_start(ingress->loop, &exchange->deadline, LOOP_MS(INGRESS_HEAD_MS_MAX));
        conn_read_pause(&exchange->conn, false); /* a pipelined request may lie there */
    } else {
        exchange_set_state(exchange, EXCHANGE_ENDED);
        conn_read_pause(&exchange->conn, false);
        /* Who still sends would lose the answer if the connection ended under its hands. */
        conn_shutdown(&exchange->conn, CLOSE_DONE,
                      exchange->request_body.done ? INGRESS_LINGER_MS : INGRESS_LINGER_BODY_MS);
    }
}

static void granted(struct ask *ask, struct instance *instance)
{
    exchange_connect(container_of(ask, struct exchange, ask), instance);
}

/* Codes and texts as Cloud Run gives them; the reason tells which limit it was, which it does not. */
static void refused(struct ask *ask, enum fleet_refusal refusal)
{
    static const struct {
        int status;
        const char *reason, *body;
    } answers[] = {
        [FLEET_QUEUE_FULL] = {429, "queue-full", "Rate exceeded."},
        [FLEET_MAX_INSTANCES] = {429, "max-instances", "Rate exceeded."},
        [FLEET_COLD_START] = {500, "cold-start-timeout",
                              "The request was aborted because there was no available instance."},
        [FLEET_START_FAILED] = {500, "instance-start-failed",
                                "The request failed because the instance could not start successfully."},
        [FLEET_STOPPING] = {503, "stopping", "Service Unavailable"},
    };
    exchange_refuse(container_of(ask, struct exchange, ask), answers[refusal].status, answers[refusal].reason,
                    answers[refusal].body);
}

static void hex_random(struct loop *loop, char *to, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < digits; i++)
        to[i] = hex[loop_random_below(loop, 16)];
    to[digits] = '\0';
}

static void request_begin(struct exchange *exchange, const struct http1_head *head)
{
    struct ingress *ingress = exchange->ingress;
    struct forward_context context;
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&exchange->conn.peer, ip);
    context.client_ip = ip;
    hex_random(ingress->loop, context.trace, TRACE_BYTES);
    hex_random(ingress->loop, context.span, SPAN_BYTES);
    buf_clear(&exchange->head);
    forward_request(&exchange->head, head, &context);
    snprintf(exchange->method, sizeof exchange->method, SPAN_FMT, SPAN_ARG(head->method));
    exchange->client_is_10 = head->minor == 0;
    /* One of HTTP/1.0 waits for the end unless it is told not to: it gets one answer. */
    exchange->keep_alive = head->keep_alive && !exchange->client_is_10 && !ingress->stopping;
    exchange->upgrade = head->upgrade_websocket;
    exchange->request_chunked = head->body == HTTP1_BODY_CHUNKED;
    exchange->tries = 0;
    exchange->body_bytes = 0;
    http1_body_start(&exchange->request_body, head);
    ingress->counters.exchanges++;
    exchange_set_state(exchange, EXCHANGE_QUEUED);
    timer_start(ingress->loop, &exchange->deadline, LOOP_S(ingress->fleet->spec->timeout_s));
    exchange->ask.granted = granted;
    exchange->ask.refused = refused;
    fleet_ask(ingress->fleet, &exchange->ask);
}

/* A handshake that no WebSocket server may accept is answered here; none may be tunnelled. */
static bool upgrade_is_valid(struct exchange *exchange, const struct http1_head *head)
{
    struct span key = http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key"));
    if (!ws_key_is_valid(key) || !span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Version")), SPAN_LIT("13")))
        return false;
    ws_accept_compute(key, exchange->accept);
    return true;
}

static size_t head_received(struct exchange *exchange, char *bytes, size_t len)
{
    static struct http1_head head; /* large; used by one call at a time, there is one thread */
    int status = 400;
    ptrdiff_t used = http1_request_decode(span_of(bytes, len), exchange->head_seen, &head, &status);
    if (used == 0) {
        exchange->head_seen = len;
        return 0;
    }
    exchange->head_seen = 0;
    exchange->method[0] = '\0';
    exchange->request_body = (struct http1_body){.done = true};
    if (used < 0) {
        exchange->keep_alive = false;
        respond(exchange, status, "malformed-request", http1_status_text(status));
        exchange_end(exchange);
        return len;
    }
    if (head.content_length > INGRESS_BODY_BYTES_MAX) {
        exchange->keep_alive = exchange->request_body.done = false;
        respond(exchange, 413, "request-too-large", "Request Entity Too Large");
        exchange_end(exchange);
        return len;
    }
    if (head.upgrade_websocket && !upgrade_is_valid(exchange, &head)) {
        exchange->keep_alive = false;
        respond(exchange, 400, "malformed-handshake", "Bad Request");
        exchange_end(exchange);
        return len;
    }
    request_begin(exchange, &head);
    return (size_t)used;
}

void exchange_hold_back(struct conn *from, struct conn *to)
{
    if (conn_queued(to) <= INGRESS_PAUSE_BYTES)
        return;
    conn_read_pause(from, true);
    conn_await_drained(to); /* the kernel may take all of it at once */
}

static size_t tunnel_received(struct exchange *exchange, char *bytes, size_t len)
{
    struct conn *up = &exchange->upstream->conn;
    conn_send(up, span_of(bytes, len));
    exchange_hold_back(&exchange->conn, up);
    return len;
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct exchange *exchange = container_of(conn, struct exchange, conn);
    size_t used = 0, step = 1;
    while (used < len && step > 0) {
        struct span rest = span_of(bytes + used, len - used);
        switch (exchange->state) {
        case EXCHANGE_IDLE:
            step = head_received(exchange, bytes + used, len - used);
            break;
        case EXCHANGE_WAITING:
        case EXCHANGE_BODY:
            step = exchange->upgrade ? 0 : exchange_forward_body(exchange, rest);
            break;
        case EXCHANGE_TUNNEL:
            step = tunnel_received(exchange, bytes + used, len - used);
            break;
        case EXCHANGE_ENDED:
            step = rest.len;
            break;
        default: /* a body, or what follows a handshake, waits until the instance is there */
            step = 0;
        }
        used += step;
    }
    /* What was left waits in the connection's bounded input. */
    if (used < len && exchange->state != EXCHANGE_IDLE && len - used > INGRESS_PAUSE_BYTES)
        conn_read_pause(conn, true);
    return used;
}

static void on_drained(struct conn *conn)
{
    struct exchange *exchange = container_of(conn, struct exchange, conn);
    if (exchange->upstream != NULL)
        conn_read_pause(&exchange->upstream->conn, false);
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct exchange *exchange = container_of(conn, struct exchange, conn);
    struct ingress *ingress = exchange->ingress;
    if (exchange->state != EXCHANGE_ENDED)
        exchange_end(exchange);
    timer_stop(ingress->loop, &exchange->deadline);
    list_remove(&exchange->of_ingress);
    ingress->client_count--;
    free(exchange);
}

static const struct conn_events client_events = {.received = on_received, .drained = on_drained, .closed = on_closed};

static void deadline_passed(struct timer *timer)
{
    struct exchange *exchange = container_of(timer, struct exchange, deadline);
    if (exchange->state == EXCHANGE_IDLE) {
        if (conn_queued(&exchange->conn) > 0) /* it still reads the last response */
            timer_start(exchange->ingress->loop, timer, LOOP_MS(INGRESS_HEAD_MS_MAX));
        else
            conn_close(&exchange->conn, CLOSE_HEAD_TIMEOUT);
        return;
    }
    exchange->ingress->counters.timeouts++;
    log_event(LOG_DEBUG, "The request has been terminated because it has reached the maximum request timeout.");
    if (exchange->state == EXCHANGE_TUNNEL || exchange->state == EXCHANGE_BODY) {
        conn_close(&exchange->conn, CLOSE_REQUEST_TIMEOUT);
        exchange_drop_upstream(exchange);
    } else {
        exchange->keep_alive = false;
        exchange_refuse(exchange, 504, "request-timeout", "upstream request timeout");
    }
}

void exchange_accept(struct ingress *ingress, struct io *io, const struct addr *peer)
{
    struct exchange *exchange = mem_zero(1, sizeof *exchange);
    exchange->ingress = ingress;
    exchange->request_body.done = true;
    list_init(&exchange->of_ingress);
    list_init(&exchange->ask.queued);
    list_append(&ingress->clients, &exchange->of_ingress);
    ingress->client_count++;
    timer_init(&exchange->deadline, deadline_passed);
    timer_start(ingress->loop, &exchange->deadline, LOOP_MS(INGRESS_HEAD_MS_MAX));
    conn_init(&exchange->conn, ingress->net, &client_events, &ingress->limits);
    conn_adopt(&exchange->conn, io, peer);
}
