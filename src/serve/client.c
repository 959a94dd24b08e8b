/* client: reads requests from a connection, sends responses and refusals, upgrades, and ends connections. */
#include "serve/client.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "wire/ws.h"

enum {
    CLIENT_LINGER_MS = 1000,
    CLOSED_LOG_LINES = 20, /* for one reason, */
    CLOSED_LOG_MS = 10000, /* in so long */
};

#define RETRY_SOON SPAN_LIT("Retry-After: 1\r\n")

static void client_note(struct client *client, enum refusal refusal, struct span what);
static void client_answer(struct client *client, int status, struct span fields, enum refusal refusal);

static size_t request_received(struct client *client, char *bytes, size_t len)
{
    static struct http1_head head; /* large, and used by one call at a time: there is one thread */
    int status = 400;
    ptrdiff_t used = http1_request_decode(span_of(bytes, len), client->http->head_seen, &head, &status);
    if (used == 0) {
        client->http->head_seen = len;
        return 0;
    }
    client->http->head_seen = 0;
    timer_stop(client->server->loop, &client->http->head_deadline);
    crowd_asked(&client->server->crowd, &client->crowd);
    client->http->asked = true;
    if (used < 0) {
        client->http->is_head = false;
        client_refuse(client, status, REFUSAL_HTTP_INVALID, SPAN_LIT(""), SPAN_LIT(""));
        return len;
    }
    client->http->is_head = span_equal(head.method, SPAN_LIT("HEAD"));
    /* One of HTTP/1.0 waits for the end unless it is told not to: it gets one answer. */
    client->http->keep_alive = head.keep_alive && head.minor != 0 && !client->server->draining;
    /* No request here has a body that anybody wants: those that bring one are answered and closed. */
    if (head.body != HTTP1_BODY_NONE)
        client->http->keep_alive = false;
    route_request(client, &head);
    return head.body != HTTP1_BODY_NONE ? len : (size_t)used;
}

/* Takes requests from the front of the bytes, one after the other's answer. */
static size_t requests_received(struct client *client, char *bytes, size_t len)
{
    struct conn *conn = &client->conn;
    size_t used = 0;
    while (used < len) {
        if (client->websocket.transport.session != NULL) {
            return used + websocket_received(&client->websocket, bytes + used, len - used);
        }
        if (!conn_is_open(conn))
            return len;
        if (conn->read_paused) /* a request waits for its answer: the next one waits too */
            return used;
        if (conn_sends_source(conn) || conn_queued(conn) > CLIENT_BACKLOG_BYTES) {
            conn_read_pause(conn, true);
            conn_await_drained(conn);
            return used;
        }
        size_t step = request_received(client, bytes + used, len - used);
        if (step == 0)
            break;
        used += step;
    }
    return used;
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct client *client = container_of(conn, struct client, conn);
    size_t used = requests_received(client, bytes, len);
    if (client->websocket.transport.session != NULL || !conn_is_open(conn) ||
        crowd_keeps(&client->server->crowd, &client->crowd, len - used))
        return used;
    /* Too much waits here and elsewhere: what was asked before is answered, the rest is not. */
    if (client_is_answering(client)) {
        client_note(client, REFUSAL_REQUESTS_FULL, SPAN_LIT(""));
        client->http->keep_alive = false;
        if (list_empty(&client->http->waiter))
            conn_shutdown(conn, CLOSE_REFUSED, CLIENT_LINGER_MS);
    } else {
        client_refuse(client, 503, REFUSAL_REQUESTS_FULL, RETRY_SOON, SPAN_LIT(""));
    }
    crowd_keeps(&client->server->crowd, &client->crowd, 0);
    return len;
}

static void on_drained(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);
    if (client->websocket.transport.session != NULL)
        websocket_drained(&client->websocket);
    else if (list_empty(&client->http->waiter)) /* or a request still waits for its answer */
        conn_read_pause(conn, false);
}

/* One who has asked and says no more gets the answers. */
static void on_ended(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);
    if (client->websocket.transport.session != NULL || !client_is_answering(client)) {
        conn_close(conn, CLOSE_PEER_CLOSED);
        return;
    }
    client->http->keep_alive = false;
    if (list_empty(&client->http->waiter))
        conn_shutdown(conn, CLOSE_DONE, CLIENT_LINGER_MS);
}

bool client_is_answering(const struct client *client)
{
    return conn_queued(&client->conn) > 0 || conn_sends_source(&client->conn) ||
           (client->http != NULL && !list_empty(&client->http->waiter));
}

void client_head_timed_out(struct client *client, enum close_reason reason)
{
    if (!conn_is_open(&client->conn))
        return;
    /* Between requests the end needs no words, which might be taken for the answer to a request on its way. */
    if (client->http->asked && client->http->head_seen == 0) {
        conn_close(&client->conn, reason == CLOSE_HEAD_TIMEOUT ? CLOSE_DONE : reason);
        return;
    }
    client->http->is_head = client->http->keep_alive = false;
    client_note(client, REFUSAL_HEAD_LATE, SPAN_LIT(""));
    client_answer(client, 408, SPAN_LIT(""), REFUSAL_HEAD_LATE);
    conn_shutdown(&client->conn, reason, CLIENT_LINGER_MS);
}

void client_give_way(struct client *client)
{
    if (conn_is_open(&client->conn) && !client_is_answering(client)) {
        client->http->is_head = client->http->keep_alive = false;
        client_note(client, client->crowd.refusal, SPAN_LIT(""));
        client_answer(client, 503, RETRY_SOON, client->crowd.refusal);
    }
    conn_close(&client->conn, CLOSE_CROWDED_OUT);
}

static uint64_t head_timeout_us(const struct client *client)
{
    const struct serve_limits *limits = &client->server->config.bounds;
    return LOOP_MS(client->crowd.place == CROWD_SPARE ? limits->crowded_head_timeout : limits->head_timeout);
}

static void head_timed_out(struct timer *timer)
{
    struct client_http *http = container_of(timer, struct client_http, head_deadline);
    if (client_is_answering(http->client)) /* it still reads the last response */
        timer_start(http->client->server->loop, timer, head_timeout_us(http->client));
    else
        client_head_timed_out(http->client, CLOSE_HEAD_TIMEOUT);
}

static void http_begin(struct client *client)
{
    struct client_http *http = client->http = mem_zero(1, sizeof *http);
    http->client = client;
    list_init(&http->waiter);
    timer_init(&http->head_deadline, head_timed_out);
    timer_start(client->server->loop, &http->head_deadline, head_timeout_us(client));
}

static void http_end(struct client *client)
{
    if (client->http == NULL)
        return;
    list_remove(&client->http->waiter);
    timer_stop(client->server->loop, &client->http->head_deadline);
    free(client->http);
    client->http = NULL;
}

/* Anybody may make connections end: that fills no log. */
static void log_closed(struct client *client, enum close_reason reason)
{
    struct client_log *log = &client->server->closed_log[reason];
    enum log_level level = (enum log_level)close_reason_log_level(reason);
    uint64_t now = loop_now_us(client->server->loop);
    char ip[ADDR_TEXT_MAX];
    if (!log_enabled(level) || (client->websocket.transport.session == NULL && level < LOG_INFO))
        return;
    if (now - log->since_us >= LOOP_MS(CLOSED_LOG_MS)) {
        log->since_us = now;
        log->lines = 0;
    }
    if (log->lines == CLOSED_LOG_LINES) {
        log->silent++;
        return;
    }
    log->lines++;
    addr_ip_print(&client->conn.peer, ip);
    if (log->silent > 0)
        log_event(level, "connection closed", LOG_C("reason", close_reason_name(reason)), LOG_C("peer", ip),
                  LOG_N("others_before", log->silent));
    else
        log_event(level, "connection closed", LOG_C("reason", close_reason_name(reason)), LOG_C("peer", ip));
    log->silent = 0;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct client *client = container_of(conn, struct client, conn);
    struct server *server = client->server;
    log_closed(client, reason);
    websocket_closed(&client->websocket, reason);
    http_end(client);
    crowd_leave(&server->crowd, &client->crowd);
    list_remove(&client->of_server);
    server->client_count--;
    free(client);
}

static const struct conn_events client_events = {
    .received = on_received,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

void client_accept(struct server *server, struct io *io, const struct addr *peer)
{
    struct client *client = mem_zero(1, sizeof *client);
    client->server = server;
    list_init(&client->of_server);
    list_append(&server->clients, &client->of_server);
    server->client_count++;
    conn_init(&client->conn, &server->net, &client_events, &server->limits);
    crowd_enter(&server->crowd, &client->crowd, peer);
    http_begin(client);
    conn_adopt(&client->conn, io, peer);
}

/* What goes out behind a whole response: the next request's time begins, or the end does. */
static void responded(struct client *client)
{
    if (client->http->keep_alive)
        timer_start(client->server->loop, &client->http->head_deadline, head_timeout_us(client));
    else
        conn_shutdown(&client->conn, CLOSE_DONE, CLIENT_LINGER_MS);
}

/* The head, or the whole response when there is a body at hand. */
static void send_response(struct client *client, int status, struct span type, struct span fields, struct span body,
                          uint64_t content_length)
{
    struct buf text = {0}, all_fields = {0};
    buf_append(&all_fields, fields);
    buf_append(&all_fields, span_str(client->server->config.headers));
    http1_response_head_encode(&text, status, type, buf_span(&all_fields), content_length, client->http->keep_alive);
    if (!client->http->is_head)
        buf_append(&text, body);
    conn_send(&client->conn, buf_span(&text));
    buf_finish(&all_fields);
    buf_finish(&text);
}

void client_respond(struct client *client, int status, struct span type, struct span fields, struct span body)
{
    send_response(client, status, type, fields, body, body.len);
    responded(client);
}

void client_respond_file(struct client *client, int status, struct span type, struct span fields, struct stored *stored,
                         uint64_t from, uint64_t end)
{
    send_response(client, status, type, fields, SPAN_LIT(""), end - from);
    if (client->http->is_head)
        stored_unref(stored);
    else
        conn_send_source(&client->conn, &stored->source, from, end);
    responded(client);
}

static void client_note(struct client *client, enum refusal refusal, struct span what)
{
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&client->conn.peer, ip);
    refusals_note(&client->server->sessions.refusals, refusal, span_str(ip), what);
}

/* A refusal in words. */
static void client_answer(struct client *client, int status, struct span fields, enum refusal refusal)
{
    struct buf body = {0};
    buf_printf(&body, "%s: %s\n", http1_status_text(status), refusal_text(refusal));
    send_response(client, status, SPAN_LIT("text/plain; charset=utf-8"), fields, buf_span(&body), body.len);
    buf_finish(&body);
}

void client_refuse(struct client *client, int status, enum refusal refusal, struct span fields, struct span what)
{
    client_note(client, refusal, what);
    client->http->keep_alive = false;
    client_answer(client, status, fields, refusal);
    conn_shutdown(&client->conn, CLOSE_REFUSED, CLIENT_LINGER_MS);
}

void client_answer_unkept(struct server *server, struct io *io, const struct addr *peer)
{
    struct buf text = {0}, body = {0};
    char ip[ADDR_TEXT_MAX];
    ssize_t got = io_read(io, server->net.piece, NET_PIECE_BYTES);
    struct span asked = span_of(server->net.piece, got > 0 ? (size_t)got : 0);
    bool health = span_starts_with(asked, SPAN_LIT("GET /health "));
    if (health) {
        buf_append(&body, SPAN_LIT("alive\n"));
    } else {
        addr_ip_text(peer, ip);
        refusals_note(&server->sessions.refusals, REFUSAL_DESCRIPTORS_GONE, span_str(ip), SPAN_LIT(""));
        buf_printf(&body, "%s\n", refusal_text(REFUSAL_DESCRIPTORS_GONE));
    }
    http1_response_encode(&text, health ? 200 : 503, SPAN_LIT("text/plain; charset=utf-8"),
                          health ? SPAN_LIT("") : RETRY_SOON, buf_span(&body), false);
    struct iovec part = {text.data + text.off, text.len};
    io_writev(io, &part, 1);
    io_shutdown(io);
    buf_finish(&body);
    buf_finish(&text);
}

void client_upgrade(struct client *client, const struct http1_head *head)
{
    char accept[WS_ACCEPT_BYTES];
    struct buf text = {0};
    ws_accept_compute(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key")), accept);
    buf_printf(&text,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: %.*s\r\n",
               WS_ACCEPT_BYTES, accept);
    struct span offered = http1_field_get(head, SPAN_LIT("Sec-WebSocket-Protocol")), first;
    if (offered.data != NULL && span_next(&offered, ',', &first) && http1_name_is_valid(span_trim(first)))
        buf_printf(&text, "Sec-WebSocket-Protocol: " SPAN_FMT "\r\n", SPAN_ARG(span_trim(first)));
    buf_append(&text, SPAN_LIT("\r\n"));
    conn_send(&client->conn, buf_span(&text));
    buf_finish(&text);
    http_end(client);
    crowd_upgraded(&client->server->crowd, &client->crowd);
    websocket_open(&client->websocket, &client->server->sessions, &client->conn);
}
