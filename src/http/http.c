/* http: the request's side of a connection: heads, bodies, what waits, and the ends. Answers are in http_answer.c. */
#include "http/http.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/http_parts.h"

/* The only place where the state changes; the legal moves are the picture in http.h. */
void http_set_state(struct http_exchange *exchange, enum http_state state)
{
    static const uint8_t legal[] = {
        [HTTP_IDLE] = 1 << HTTP_ASKED | 1 << HTTP_ANSWERING | 1 << HTTP_OVER,
        [HTTP_ASKED] = 1 << HTTP_IDLE | 1 << HTTP_ANSWERING | 1 << HTTP_OVER,
        [HTTP_ANSWERING] = 1 << HTTP_IDLE | 1 << HTTP_OVER,
        [HTTP_OVER] = 1 << HTTP_OVER,
    };
    assert(legal[exchange->state] & 1 << state);
    exchange->state = (uint8_t)state;
}

static bool is_asked(const struct http_exchange *exchange)
{
    return exchange->state == HTTP_ASKED || exchange->state == HTTP_ANSWERING;
}

bool http_is_asked(const struct http *http)
{
    return http->exchange != NULL && is_asked(http->exchange);
}

bool http_is_answering(const struct http *http)
{
    return conn_queued(&http->conn) > 0 || conn_sends_source(&http->conn) || http_is_asked(http);
}

size_t http_head_bytes(const struct http *http)
{
    return http->exchange != NULL ? http->exchange->head_seen : 0;
}

static bool is_paused(const struct http *http)
{
    const struct http_exchange *exchange = http->exchange;
    return exchange != NULL && (exchange->held || exchange->backlogged || exchange->full);
}

void http_update_pause(struct http *http)
{
    if (http->conn.read_paused != is_paused(http))
        conn_read_pause(&http->conn, is_paused(http));
}

void http_input_again(struct http *http)
{
    struct http_exchange *exchange = http->exchange;
    if (exchange != NULL && exchange->taking)
        return;
    if (exchange != NULL)
        exchange->full = false;
    conn_read_pause(&http->conn, is_paused(http));
}

void http_exchange_free(struct http *http)
{
    struct http_exchange *exchange = http->exchange;
    if (exchange == NULL)
        return;
    list_remove(&exchange->of_server);
    list_remove(&exchange->waiter);
    timer_stop(http->server->net->loop, &exchange->timer);
    buf_finish(&exchange->whole);
    buf_finish(&exchange->trailers);
    free(exchange);
    http->exchange = NULL;
}

/* Refuses the request under way, or the bytes that should have been one. */
static void refuse(struct http *http, enum http_fault fault, int status)
{
    static const struct {
        int status;
        const char *text;
    } faults[] = {
#define X(constant, status, text) {status, text},
        HTTP_FAULTS(X)
#undef X
    };
    const struct http_events *events = http->server->events;
    struct http_exchange *exchange = http->exchange;
    if (faults[fault].status != 0)
        status = faults[fault].status;
    if (exchange->state == HTTP_ANSWERING) { /* behind the head of an answer, only the end is left to say */
        if (events->refused != NULL)
            events->refused(http, fault, 0);
        conn_close(&http->conn, CLOSE_HTTP_INVALID);
        return;
    }
    http_last(http, CLOSE_REFUSED);
    if (events->refused != NULL)
        events->refused(http, fault, status);
    if (!conn_is_open(&http->conn) || http->exchange == NULL)
        return;
    assert(http->exchange->state != HTTP_ANSWERING);
    struct buf text = {0};
    buf_printf(&text, "%s: %s\n", http1_status_text(status), faults[fault].text);
    http_respond(http, status, SPAN_LIT("text/plain; charset=utf-8"), SPAN_LIT(""), buf_span(&text));
    buf_finish(&text);
}

/* A head is complete: the exchange begins. */
static void request_begin(struct http *http, const struct http1_head *head)
{
    struct http_exchange *exchange = http->exchange;
    exchange->is_head = span_equal(head->method, SPAN_LIT("HEAD"));
    exchange->coding = http_coding_choose(head);
    exchange->is_10 = head->minor == 0;
    /* A client of HTTP/1.0 waits for the end unless told otherwise: it gets one answer. */
    exchange->keep_alive = head->keep_alive && !exchange->is_10;
    exchange->expects = head->expect_continue && !exchange->is_10;
    exchange->use = HTTP_BODY_UNREAD;
    exchange->body_bytes = exchange->body_checked = 0;
    exchange->end_aborts = false;
    http1_body_start(&exchange->body, head);
    http_set_state(exchange, HTTP_ASKED);
    if (head->content_length > http->server->rules.body_bytes_max && head->body != HTTP1_BODY_NONE)
        refuse(http, HTTP_FAULT_BODY_TOO_LARGE, 0);
    else
        http->server->events->request(http, head);
}

static size_t head_received(struct http *http, char *bytes, size_t len)
{
    struct http1_head *head = &http->server->head;
    struct http_exchange *exchange = http->exchange;
    int status = 400;
    if (conn_sends_source(&http->conn) || conn_queued(&http->conn) > HTTP_BACKLOG_BYTES) {
        exchange->backlogged = true;
        http_update_pause(http);
        conn_await_drained(&http->conn);
        return 0;
    }
    ptrdiff_t used = http1_request_decode(span_of(bytes, len), exchange->head_seen, head, &status);
    size_t most = http->server->rules.head_bytes_max;
    if (most != 0 && used >= 0 && (used > 0 ? (size_t)used : len) > most) {
        used = -1;
        status = 431;
    }
    if (used == 0) {
        exchange->head_seen = len;
        return 0;
    }
    exchange->head_seen = 0;
    exchange->asked = true;
    timer_stop(http->server->net->loop, &exchange->timer);
    if (used > 0) {
        request_begin(http, head);
        return (size_t)used;
    }
    exchange->is_head = false;
    refuse(http, HTTP_FAULT_INVALID, status);
    return len;
}

static void body_hand_out(struct http *http, struct span data)
{
    struct http_exchange *exchange = http->exchange;
    bool last = exchange->body.done;
    if (last)
        timer_stop(http->server->net->loop, &exchange->timer);
    if (exchange->use == HTTP_BODY_WHOLE && (!last || exchange->whole.len > 0)) {
        buf_append(&exchange->whole, data);
        data = buf_span(&exchange->whole);
    }
    if (!last && (exchange->use == HTTP_BODY_WHOLE || data.len == 0))
        return;
    struct buf whole = exchange->whole; /* the answer may end the exchange */
    exchange->whole = (struct buf){0};
    http->server->events->body(http, data, last);
    buf_finish(&whole);
}

/* Takes some of the body, if the handler wants it now. */
static size_t body_received(struct http *http, struct span bytes)
{
    struct http_exchange *exchange = http->exchange;
    struct span data = {NULL, 0};
    if (exchange->use == HTTP_BODY_UNREAD || exchange->body.done || exchange->held)
        return 0;
    ptrdiff_t step = http1_body_decode(&exchange->body, bytes, &data);
    exchange->body_bytes += data.len;
    if (step < 0) {
        http->server->head.rule = "a chunk is its size in hex, CR LF, its bytes, CR LF";
        http->server->head.culprit = bytes;
        refuse(http, HTTP_FAULT_INVALID, 400);
    } else if (exchange->body_bytes > exchange->body_bytes_max)
        refuse(http, HTTP_FAULT_BODY_TOO_LARGE, 0);
    else if (step > 0)
        body_hand_out(http, data);
    return step < 0 ? bytes.len : (size_t)step;
}

/* Takes what can be taken from the front of the bytes: one request after the other's answer. */
static size_t take(struct http *http, char *bytes, size_t len)
{
    size_t used = 0, step = 1;
    while (used < len && step > 0 && http->exchange != NULL) {
        const struct http_exchange *exchange = http->exchange;
        if (!conn_is_open(&http->conn) || exchange->deaf) /* whoever still sends is not listened to any more */
            return len;
        step = is_asked(exchange) ? body_received(http, span_of(bytes + used, len - used))
                                  : head_received(http, bytes + used, len - used);
        used += step;
    }
    return used;
}

/* Too much waits here and elsewhere: what was asked before is answered, the rest is not. */
static void keeps_too_much(struct http *http)
{
    struct http_exchange *exchange = http->exchange;
    const struct http_events *events = http->server->events;
    if (!http_is_answering(http) || (exchange->state == HTTP_ASKED && exchange->use == HTTP_BODY_WHOLE)) {
        refuse(http, HTTP_FAULT_REQUESTS_FULL, 0);
    } else {
        if (events->refused != NULL)
            events->refused(http, HTTP_FAULT_REQUESTS_FULL, 0);
        http_last(http, CLOSE_REFUSED);
        exchange->deaf = true;
        if (!is_asked(exchange))
            http_answered(http);
    }
    events->keeps(http, 0);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct http *http = container_of(conn, struct http, conn);
    http->exchange->taking = true;
    size_t used = take(http, bytes, len);
    struct http_exchange *exchange = http->exchange;
    if (exchange == NULL) /* handed over: the others begin with what is left */
        return used < len && conn_is_open(conn) ? used + conn->events->received(conn, bytes + used, len - used) : len;
    exchange->taking = false;
    if (!conn_is_open(conn))
        return used;
    if (http->server->events->keeps != NULL && !http->server->events->keeps(http, len - used + exchange->whole.len)) {
        keeps_too_much(http);
        return len;
    }
    exchange->full = is_asked(exchange) && len - used > HTTP_KEPT_BYTES;
    http_update_pause(http);
    if (exchange->peer_ended && !http_is_answering(http)) /* half a request, and no more to come */
        conn_close(conn, CLOSE_PEER_CLOSED);
    return used;
}

static void on_drained(struct conn *conn)
{
    struct http *http = container_of(conn, struct http, conn);
    struct http_exchange *exchange = http->exchange;
    if (exchange->backlogged) {
        exchange->backlogged = false;
        http_update_pause(http);
    }
    if (exchange->state == HTTP_ANSWERING && http->server->events->drained != NULL)
        http->server->events->drained(http);
}

/* Tells the handler of a request, at once: before another connection's request is read. */
static void request_abort(struct http *http)
{
    if (!is_asked(http->exchange))
        return;
    http_set_state(http->exchange, HTTP_OVER);
    if (http->server->events->aborted != NULL)
        http->server->events->aborted(http);
}

static void on_broken(struct conn *conn)
{
    request_abort(container_of(conn, struct http, conn));
}

/* Whether what has come of the request's body and is not read yet lacks its end, so that the request will never be
 * whole. Of chunks only those are looked at that have been read from the kernel. */
static bool lacks_its_end(const struct http *http, bool all_is_read)
{
    struct http1_body body = http->exchange->body;
    struct span rest = conn_kept_bytes(&http->conn), data;
    ptrdiff_t step = 1;
    if (!all_is_read)
        return conn_tls(&http->conn) == NULL && body.kind == HTTP1_BODY_LENGTH && conn_unread(&http->conn) < body.left;
    body.trailers = NULL;
    while (!body.done && step > 0) {
        step = http1_body_decode(&body, rest, &data);
        rest = step > 0 ? span_from(rest, (size_t)step) : rest;
    }
    return !body.done;
}

/* The client is gone, or says no more: to a handler that does not wait for such, or before the request is whole. Told
 * now, though it is not read. */
static void on_ending(struct conn *conn, bool broken)
{
    struct http *http = container_of(conn, struct http, conn);
    if (!broken && !(is_asked(http->exchange) && (http->exchange->end_aborts || lacks_its_end(http, false))))
        return;
    request_abort(http);
    conn_close(conn, broken ? CLOSE_PEER_RESET : CLOSE_PEER_CLOSED);
}

/* A client that has asked and says no more gets the answers, unless the handler does not wait for such. */
static void on_ended(struct conn *conn)
{
    struct http *http = container_of(conn, struct http, conn);
    struct http_exchange *exchange = http->exchange;
    bool is_gone = is_asked(exchange) && (exchange->end_aborts || lacks_its_end(http, true));
    exchange->peer_ended = true;
    if (is_gone)
        request_abort(http);
    if (is_gone || !http_is_answering(http))
        conn_close(conn, CLOSE_PEER_CLOSED);
    else if (!is_asked(exchange))
        http_answered(http); /* all is answered, and goes out */
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct http *http = container_of(conn, struct http, conn);
    request_abort(http);
    http_exchange_free(http);
    http_forget(http);
    http->server->events->closed(http, reason);
}

static const struct conn_events conn_events = {
    .received = on_received,
    .ended = on_ended,
    .ending = on_ending,
    .broken = on_broken,
    .drained = on_drained,
    .closed = on_closed,
};

void http_time_out(struct http *http, enum close_reason reason)
{
    struct http_exchange *exchange = http->exchange;
    if (!conn_is_open(&http->conn) || exchange == NULL)
        return;
    if (exchange->asked && exchange->head_seen == 0) {
        conn_close(&http->conn, reason == CLOSE_HEAD_TIMEOUT ? CLOSE_DONE : reason);
        return;
    }
    exchange->is_head = false;
    http_last(http, reason);
    refuse(http, HTTP_FAULT_HEAD_LATE, 0);
}

/* A look at the body's progress. While the handler does not take what came, the client cannot send. */
static void body_checked(struct http *http)
{
    struct http_exchange *exchange = http->exchange;
    if (exchange->body_bytes - exchange->body_checked < HTTP_BODY_BYTES && !http->conn.read_paused) {
        refuse(http, HTTP_FAULT_BODY_LATE, 0);
        return;
    }
    exchange->body_checked = exchange->body_bytes;
    timer_start(http->server->net->loop, &exchange->timer, LOOP_MS(http->server->rules.body_ms));
}

static void on_timer(struct timer *timer)
{
    struct http_exchange *exchange = container_of(timer, struct http_exchange, timer);
    struct http *http = exchange->http;
    if (is_asked(exchange))
        body_checked(http);
    else if (http_is_answering(http)) /* it still reads the last answer, for which there is a bound */
        http_idle_begin(http);
    else
        http_time_out(http, CLOSE_HEAD_TIMEOUT);
}

void http_server_init(struct http_server *server, struct net *net, const struct http_events *events,
                      const struct conn_limits *limits, const struct http_rules *rules)
{
    *server = (struct http_server){.net = net, .events = events, .limits = limits, .rules = *rules};
    list_init(&server->exchanges);
}

void http_server_stop(struct http_server *server)
{
    server->stopping = true;
    list_each (node, &server->exchanges) {
        struct http_exchange *exchange = container_of(node, struct http_exchange, of_server);
        struct http *http = exchange->http;
        if (exchange->state != HTTP_IDLE)
            continue;
        if (http_is_answering(http))
            http_answered(http);
        else
            conn_close(&http->conn, CLOSE_DRAINED);
    }
}

void http_server_cut(struct http_server *server, enum close_reason reason)
{
    list_each (node, &server->exchanges) {
        conn_close(&container_of(node, struct http_exchange, of_server)->http->conn, reason);
    }
}

void http_accept(struct http_server *server, struct http *http, struct io *io, const struct addr *peer,
                 uint32_t head_ms)
{
    struct http_exchange *exchange = http->exchange = mem_zero(1, sizeof *exchange);
    http->server = server;
    exchange->http = http;
    exchange->head_ms = head_ms;
    exchange->body.done = true;
    list_init(&exchange->waiter);
    timer_init(&exchange->timer, on_timer);
    timer_start(server->net->loop, &exchange->timer, LOOP_MS(head_ms));
    list_init(&exchange->of_server);
    list_append(&server->exchanges, &exchange->of_server);
    server->count++;
    conn_init(&http->conn, server->net, &conn_events, server->limits);
    if (server->tls != NULL)
        conn_adopt_tls(&http->conn, io, peer, server->tls);
    else
        conn_adopt(&http->conn, io, peer);
}

void http_forget(struct http *http)
{
    http->server->count--;
}

bool http_read_body(struct http *http, uint64_t bytes_max, enum http_body_use use)
{
    struct http_exchange *exchange = http->exchange;
    const struct http_rules *rules = &http->server->rules;
    assert(is_asked(exchange) && exchange->use == HTTP_BODY_UNREAD && use != HTTP_BODY_UNREAD);
    exchange->body_bytes_max = bytes_max < rules->body_bytes_max ? bytes_max : rules->body_bytes_max;
    exchange->use = (uint8_t)use;
    if (exchange->body.done) {
        http->server->events->body(http, SPAN_LIT(""), true);
        return true;
    }
    if (exchange->body.kind == HTTP1_BODY_LENGTH && exchange->body.left > exchange->body_bytes_max) {
        refuse(http, HTTP_FAULT_BODY_TOO_LARGE, 0);
        return false;
    }
    if (use == HTTP_BODY_RELAYED)
        exchange->body.trailers = &exchange->trailers;
    if (exchange->expects && use != HTTP_BODY_RELAYED)
        http_interim(http, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    timer_start(http->server->net->loop, &exchange->timer, LOOP_MS(rules->body_ms));
    http_input_again(http);
    return true;
}

void http_body_pause(struct http *http, bool paused)
{
    struct http_exchange *exchange = http->exchange;
    if (exchange == NULL || !is_asked(exchange) || exchange->held == paused)
        return;
    exchange->held = paused;
    exchange->full = false;
    http_update_pause(http);
}

bool http_body_is_done(const struct http *http)
{
    return http->exchange == NULL || http->exchange->body.done;
}

void http_end_aborts(struct http *http)
{
    http->exchange->end_aborts = true;
    if (http->exchange->peer_ended)
        conn_close(&http->conn, CLOSE_PEER_CLOSED);
}

struct span http_trailers(const struct http *http)
{
    return buf_span(&http->exchange->trailers);
}

struct list *http_waiter(struct http *http)
{
    return &http->exchange->waiter;
}

struct http *http_of_waiter(struct list *waiter)
{
    return container_of(waiter, struct http_exchange, waiter)->http;
}
