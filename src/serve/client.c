/* client: see client.h. */
#include "serve/client.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "wire/ws.h"

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
    if (used < 0) {
        client->http->keep_alive = client->http->is_head = false;
        client_respond(client, status, SPAN_LIT("text/plain"), SPAN_LIT(""), span_str(http1_status_text(status)));
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

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct client *client = container_of(conn, struct client, conn);
    size_t used = 0;
    while (used < len) {
        if (client->session != NULL) {
            return used + session_received(client->session, bytes + used, len - used);
        }
        if (!conn_is_open(conn))
            return len;
        if (conn->read_paused) /* a request waits for its answer: the next one waits too */
            return used;
        if (conn_queued(conn) > CLIENT_BACKLOG_BYTES) {
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

static void on_drained(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);
    if (client->session != NULL)
        session_drained(client->session);
    else if (list_empty(&client->http->waiter)) /* or a request still waits for its answer */
        conn_read_pause(conn, false);
}

static void head_timed_out(struct timer *timer)
{
    struct client_http *http = container_of(timer, struct client_http, head_deadline);
    if (conn_queued(&http->client->conn) > 0) /* it still reads the last response */
        timer_start(http->client->server->loop, timer, LOOP_MS(CLIENT_HEAD_TIMEOUT_MS));
    else
        conn_close(&http->client->conn, CLOSE_HEAD_TIMEOUT);
}

static void http_begin(struct client *client)
{
    struct client_http *http = client->http = mem_zero(1, sizeof *http);
    http->client = client;
    list_init(&http->waiter);
    timer_init(&http->head_deadline, head_timed_out);
    timer_start(client->server->loop, &http->head_deadline, LOOP_MS(CLIENT_HEAD_TIMEOUT_MS));
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

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct client *client = container_of(conn, struct client, conn);
    struct server *server = client->server;
    if (client->session != NULL) {
        char ip[ADDR_TEXT_MAX];
        addr_ip_print(&conn->peer, ip);
        log_event(close_reason_log_level(reason), "connection closed", LOG_C("reason", close_reason_name(reason)),
                  LOG_C("peer", ip));
        session_closed(client->session);
    }
    http_end(client);
    list_remove(&client->of_server);
    server->client_count--;
    free(client);
}

static const struct conn_events client_events = {
    .received = on_received,
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
    http_begin(client);
    conn_init(&client->conn, &server->net, &client_events, &server->limits);
    conn_adopt(&client->conn, io, peer);
}

void client_respond(struct client *client, int status, struct span type, struct span fields, struct span body)
{
    struct buf text = {0};
    http1_response_encode(&text, status, type, fields, body, client->http->keep_alive);
    struct span bytes = buf_span(&text);
    if (client->http->is_head)
        bytes.len -= body.len;
    conn_send(&client->conn, bytes);
    buf_finish(&text);
    if (client->http->keep_alive)
        timer_start(client->server->loop, &client->http->head_deadline, LOOP_MS(CLIENT_HEAD_TIMEOUT_MS));
    else
        conn_shutdown(&client->conn, CLOSE_DONE, 1000);
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
    client->session = session_create(&client->server->sessions, &client->conn);
}
