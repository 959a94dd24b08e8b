/* exchange: the client's side of an exchange: request head and body, waiting for a slot, refusals, the end. The
 * instance's side is in exchange_upstream.c. */
#include "platform/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/forward.h"
#include "wire/ws.h"

static void idle_begin(struct exchange *exchange)
{
    exchange->idle_since_us = loop_now_us(exchange->ingress->loop);
    list_append(&exchange->ingress->idle, &exchange->idle);
}

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
    list_remove(&exchange->idle);
    if (state == EXCHANGE_IDLE)
        idle_begin(exchange);
}

void exchange_note(struct exchange *exchange, enum denial denial)
{
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&exchange->conn.peer, ip);
    denials_note(&exchange->ingress->denials, denial, ip, exchange->instance != NULL ? exchange->instance->id : "");
}

void exchange_refuse(struct exchange *exchange, enum denial denial, int status)
{
    struct buf text = {0};
    /* What is left of a request's body would be read as the next request. */
    if (!exchange->request_body.done)
        exchange->keep_alive = false;
    exchange_note(exchange, denial);
    denial_encode(&text, denial, status, exchange->keep_alive, strcmp(exchange->method, "HEAD") != 0);
    conn_send(&exchange->conn, buf_span(&text));
    buf_finish(&text);
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
    timer_stop(ingress->loop, &exchange->body_check);
    fleet_forget(&exchange->ask);
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

static void refused(struct ask *ask, enum fleet_refusal refusal)
{
    static const enum denial denials[] = {
        [FLEET_QUEUE_FULL] = DENIAL_QUEUE_FULL, [FLEET_MAX_INSTANCES] = DENIAL_MAX_INSTANCES,
        [FLEET_COLD_START] = DENIAL_COLD_START, [FLEET_START_FAILED] = DENIAL_START_FAILED,
        [FLEET_STOPPING] = DENIAL_STOPPING,
    };
    exchange_refuse(container_of(ask, struct exchange, ask), denials[refusal], 0);
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
    struct revision *revision =
        route_revision(ingress->route, head->host, (uint32_t)loop_random_below(ingress->loop, SERVICE_PERCENT));
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
    exchange->body_bytes = exchange->body_checked = 0;
    http1_body_start(&exchange->request_body, head);
    ingress->counters.exchanges++;
    exchange_set_state(exchange, EXCHANGE_QUEUED);
    timer_start(ingress->loop, &exchange->deadline, LOOP_S(revision->spec.timeout_s));
    exchange->ask.granted = granted;
    exchange->ask.refused = refused;
    fleet_ask(&revision->fleet, &exchange->ask);
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
    exchange->keep_alive = false;
    if (used < 0) {
        exchange_refuse(exchange, DENIAL_MALFORMED_REQUEST, status);
        return len;
    }
    if (head.content_length > INGRESS_BODY_BYTES_MAX) {
        exchange->request_body.done = false;
        exchange_refuse(exchange, DENIAL_REQUEST_TOO_LARGE, 0);
        return len;
    }
    if (head.upgrade_websocket && !upgrade_is_valid(exchange, &head)) {
        exchange_refuse(exchange, DENIAL_MALFORMED_HANDSHAKE, 0);
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
    ingress->turned_away -= exchange->turned_away;
    door_leave(&ingress->door, exchange->address);
    free(exchange);
}

static const struct conn_events client_events = {.received = on_received, .drained = on_drained, .closed = on_closed};

/* It said nothing, or not all of a request's head. */
static void silence_end(struct exchange *exchange)
{
    exchange->keep_alive = false;
    exchange->method[0] = '\0';
    if (exchange->head_seen > 0)
        exchange_refuse(exchange, DENIAL_SLOW_HEAD, 0);
    else
        conn_close(&exchange->conn, CLOSE_HEAD_TIMEOUT);
}

void exchange_evict(struct exchange *exchange)
{
    if (conn_queued(&exchange->conn) > 0) { /* it still reads the last response, for which there is a bound */
        list_remove(&exchange->idle);
        idle_begin(exchange);
        return;
    }
    list_remove(&exchange->idle);
    door_leave(&exchange->ingress->door, exchange->address);
    exchange->address = NULL;
    if (exchange->head_seen == 0)
        exchange_note(exchange, DENIAL_SLOW_HEAD);
    silence_end(exchange);
}

static void deadline_passed(struct timer *timer)
{
    struct exchange *exchange = container_of(timer, struct exchange, deadline);
    if (exchange->state == EXCHANGE_IDLE) {
        if (conn_queued(&exchange->conn) > 0) /* it still reads the last response */
            timer_start(exchange->ingress->loop, timer, LOOP_MS(INGRESS_HEAD_MS_MAX));
        else
            silence_end(exchange);
        return;
    }
    exchange->ingress->counters.timeouts++;
    if (exchange->state == EXCHANGE_TUNNEL || exchange->state == EXCHANGE_BODY) {
        log_event(LOG_DEBUG, "The request has been terminated because it has reached the maximum request timeout.");
        conn_close(&exchange->conn, CLOSE_REQUEST_TIMEOUT);
        exchange_drop_upstream(exchange);
    } else {
        exchange->keep_alive = false;
        exchange_refuse(exchange, DENIAL_REQUEST_TIMEOUT, 0);
    }
}

static void body_checked(struct timer *timer)
{
    struct exchange *exchange = container_of(timer, struct exchange, body_check);
    bool awaited = exchange->state == EXCHANGE_WAITING || exchange->state == EXCHANGE_BODY;
    if (!awaited || exchange->request_body.done)
        return;
    /* While the instance does not take what came, the client cannot send. */
    if (exchange->body_bytes - exchange->body_checked >= INGRESS_BODY_CHECK_BYTES || exchange->conn.read_paused) {
        exchange->body_checked = exchange->body_bytes;
        timer_start(exchange->ingress->loop, timer, LOOP_MS(INGRESS_BODY_CHECK_MS));
    } else if (exchange->state == EXCHANGE_WAITING) {
        exchange_refuse(exchange, DENIAL_SLOW_BODY, 0);
    } else {
        exchange_note(exchange, DENIAL_SLOW_BODY);
        conn_close(&exchange->conn, CLOSE_HTTP_INVALID);
        exchange_drop_upstream(exchange);
    }
}

static struct exchange *exchange_create(struct ingress *ingress, struct io *io, const struct addr *peer)
{
    struct exchange *exchange = mem_zero(1, sizeof *exchange);
    exchange->ingress = ingress;
    exchange->request_body.done = true;
    list_init(&exchange->of_ingress);
    list_init(&exchange->idle);
    list_init(&exchange->ask.queued);
    list_append(&ingress->clients, &exchange->of_ingress);
    ingress->client_count++;
    timer_init(&exchange->deadline, deadline_passed);
    timer_init(&exchange->body_check, body_checked);
    conn_init(&exchange->conn, ingress->net, &client_events, &ingress->limits);
    conn_adopt(&exchange->conn, io, peer);
    return exchange;
}

void exchange_accept(struct ingress *ingress, struct io *io, const struct addr *peer, struct door_address *address)
{
    struct exchange *exchange = exchange_create(ingress, io, peer);
    exchange->address = address;
    idle_begin(exchange);
    timer_start(ingress->loop, &exchange->deadline, LOOP_MS(INGRESS_HEAD_MS_MAX));
}

void exchange_turn_away(struct ingress *ingress, struct io *io, const struct addr *peer, enum denial denial)
{
    struct exchange *exchange = exchange_create(ingress, io, peer);
    exchange->turned_away = true;
    ingress->turned_away++;
    exchange_refuse(exchange, denial, 0);
}
