/* http_answer: the answer's side of a connection: whole answers, sources, streams, the end, and the hand-over. */
#include <assert.h>
#include <stdlib.h>

#include "http/http_parts.h"
#include "wire/ws.h"

/* Whether an answer can still go out on it. */
static bool takes_answer(const struct http *http)
{
    return http->exchange != NULL && conn_is_open(&http->conn) && http->exchange->state != HTTP_OVER;
}

bool http_stays(const struct http *http)
{
    const struct http_exchange *exchange = http->exchange;
    bool may_stay = exchange->keep_alive && exchange->reason == CLOSE_NONE && !http->server->stopping;
    /* The rest of a body would be read as the next request. */
    return may_stay && exchange->body.done && exchange->state != HTTP_IDLE;
}

void http_last(struct http *http, enum close_reason reason)
{
    struct http_exchange *exchange = http->exchange;
    exchange->keep_alive = false;
    if (exchange->reason == CLOSE_NONE)
        exchange->reason = (uint8_t)reason;
}

bool http_is_head(const struct http *http)
{
    return http->exchange->is_head;
}

bool http_is_10(const struct http *http)
{
    return http->exchange->is_10;
}

void http_idle_begin(struct http *http)
{
    const struct http_server *server = http->server;
    uint32_t ms = server->rules.idle_ms != 0 ? server->rules.idle_ms : http->exchange->head_ms;
    timer_start(server->net->loop, &http->exchange->timer, LOOP_MS(ms));
}

void http_answered(struct http *http)
{
    struct http_exchange *exchange = http->exchange;
    struct loop *loop = http->server->net->loop;
    bool more = !exchange->peer_ended || conn_unread(&http->conn) > 0; /* may come */
    list_remove(&exchange->waiter);
    buf_finish(&exchange->whole);
    buf_finish(&exchange->trailers);
    timer_stop(loop, &exchange->timer);
    exchange->held = exchange->full = false;
    if (http_stays(http) && more) {
        http_set_state(exchange, HTTP_IDLE);
        http_idle_begin(http);
        http_input_again(http);
        return;
    }
    bool all_read = exchange->body.done;
    http_set_state(exchange, HTTP_OVER);
    exchange->backlogged = false;
    http_update_pause(http);
    /* A client that still sends would lose the answer if the connection ended under its hands. */
    conn_shutdown(&http->conn, exchange->reason != CLOSE_NONE ? (enum close_reason)exchange->reason : CLOSE_DONE,
                  all_read ? http->server->rules.linger_ms : http->server->rules.linger_body_ms);
}

/* The head, or the whole response when there is a body at hand. */
static void send_response(struct http *http, int status, struct span type, struct span fields, struct span body,
                          uint64_t content_length)
{
    struct buf text = {0}, all_fields = {0};
    http->exchange->keep_alive = http_stays(http); /* as it is said, so it stays */
    buf_append(&all_fields, fields);
    buf_append(&all_fields, http->server->fields);
    http1_response_head_encode(&text, status, type, buf_span(&all_fields), content_length, http->exchange->keep_alive);
    if (!http->exchange->is_head)
        buf_append(&text, body);
    conn_send(&http->conn, buf_span(&text));
    buf_finish(&all_fields);
    buf_finish(&text);
}

void http_respond(struct http *http, int status, struct span type, struct span fields, struct span body)
{
    if (!takes_answer(http))
        return;
    assert(http->exchange->state != HTTP_ANSWERING);
    send_response(http, status, type, fields, body, body.len);
    http_answered(http);
}

void http_respond_source(struct http *http, int status, struct span type, struct span fields,
                         struct conn_source *source, uint64_t from, uint64_t end)
{
    if (!takes_answer(http)) {
        source->released(source);
        return;
    }
    assert(http->exchange->state != HTTP_ANSWERING);
    send_response(http, status, type, fields, SPAN_LIT(""), end - from);
    if (http->exchange->is_head)
        source->released(source);
    else
        conn_send_source(&http->conn, source, from, end);
    http_answered(http);
}

void http_stream_begin(struct http *http, int status, struct span type, struct span fields)
{
    if (!takes_answer(http))
        return;
    bool chunked = !http->exchange->is_10;
    struct buf head = {0};
    buf_printf(&head, "HTTP/1.1 %d %s\r\n", status, http1_status_text(status));
    if (type.len > 0)
        buf_printf(&head, "Content-Type: " SPAN_FMT "\r\n", SPAN_ARG(type));
    buf_append(&head, fields);
    buf_append(&head, http->server->fields);
    if (chunked)
        buf_append(&head, SPAN_LIT("Transfer-Encoding: chunked\r\n"));
    if (!chunked)
        http_last(http, CLOSE_DONE);
    if (!http_stays(http))
        buf_append(&head, SPAN_LIT("Connection: close\r\n"));
    buf_append(&head, SPAN_LIT("\r\n"));
    http_stream_begin_head(http, buf_span(&head), chunked);
    buf_finish(&head);
}

void http_stream_begin_head(struct http *http, struct span head, bool chunked)
{
    if (!takes_answer(http))
        return;
    struct http_exchange *exchange = http->exchange;
    assert(exchange->state != HTTP_ANSWERING);
    exchange->keep_alive = http_stays(http);
    exchange->chunked = chunked && !exchange->is_head;
    http_set_state(exchange, HTTP_ANSWERING);
    conn_send(&http->conn, head);
}

bool http_stream_send(struct http *http, struct span bytes)
{
    if (!takes_answer(http) || http->exchange->is_head || bytes.len == 0)
        return true;
    assert(http->exchange->state == HTTP_ANSWERING);
    if (http->exchange->chunked) {
        struct buf text = {0};
        buf_printf(&text, "%zx\r\n", bytes.len);
        buf_append(&text, bytes);
        buf_append(&text, SPAN_LIT("\r\n"));
        conn_send(&http->conn, buf_span(&text));
        buf_finish(&text);
    } else {
        conn_send(&http->conn, bytes);
    }
    if (conn_queued(&http->conn) <= HTTP_STREAM_BYTES)
        return true;
    conn_await_drained(&http->conn); /* the kernel may take all of it at once */
    return false;
}

void http_stream_end(struct http *http)
{
    http_stream_end_with(http, SPAN_LIT(""));
}

void http_stream_end_with(struct http *http, struct span trailers)
{
    if (!takes_answer(http))
        return;
    assert(http->exchange->state == HTTP_ANSWERING);
    if (http->exchange->chunked) {
        struct buf text = {0};
        buf_append(&text, SPAN_LIT("0\r\n"));
        buf_append(&text, trailers);
        buf_append(&text, SPAN_LIT("\r\n"));
        conn_send(&http->conn, buf_span(&text));
        buf_finish(&text);
    }
    http_answered(http);
}

void http_interim(struct http *http, struct span head)
{
    if (!takes_answer(http) || http->exchange->is_10)
        return;
    http->exchange->expects = false;
    conn_send(&http->conn, head);
}

void http_hand_over(struct http *http, const struct conn_events *events)
{
    bool taking = http->exchange->taking;
    http_exchange_free(http);
    http->conn.events = events;
    if (!taking) /* otherwise the rest follows from there */
        http_input_again(http);
}

void http_hand_over_to(struct http *http, struct conn *conn, const struct conn_events *events)
{
    assert(!http->exchange->taking);
    http_exchange_free(http);
    http_forget(http);
    conn_move(conn, &http->conn, events);
    conn_read_pause(conn, false);
}

static struct span first_offered(const struct http1_head *head)
{
    struct span offered = http1_field_get(head, SPAN_LIT("Sec-WebSocket-Protocol")), first;
    if (offered.data == NULL || !span_next(&offered, ',', &first) || !http1_name_is_valid(span_trim(first)))
        return (struct span){NULL, 0};
    return span_trim(first);
}

void http_upgrade_websocket(struct http *http, const struct http1_head *head, struct span protocol, struct span fields,
                            const struct conn_events *events)
{
    char accept[WS_ACCEPT_BYTES];
    struct buf text = {0};
    ws_accept_compute(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key")), accept);
    buf_printf(&text,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: %.*s\r\n",
               WS_ACCEPT_BYTES, accept);
    if (protocol.data == NULL)
        protocol = first_offered(head);
    if (protocol.data != NULL)
        buf_printf(&text, "Sec-WebSocket-Protocol: " SPAN_FMT "\r\n", SPAN_ARG(protocol));
    buf_append(&text, fields);
    buf_append(&text, SPAN_LIT("\r\n"));
    conn_send(&http->conn, buf_span(&text));
    buf_finish(&text);
    http_hand_over(http, events);
}
