/* link: the handshake, frames in both directions, and the kinds of cuts. */
#include "load/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "load/client.h"
#include "load/run.h"
#include "wire/http1.h"

enum { MESSAGE_BYTES_MAX = 64 << 20 };

static const struct conn_limits limits = {
    .queue_bytes_max = 64 << 20,
    .input_bytes_max = HTTP1_HEAD_BYTES_MAX + NET_RECEIVE_BYTES,
    .write_stall_ms_max = 30000,
};

static struct link *link_of(struct conn *conn)
{
    return container_of(conn, struct link, conn);
}

/* The client is called once, and then has no link. */
static void client_tell(struct link *link, const char *why)
{
    struct client *client = link->client;
    link->client = NULL;
    if (client != NULL)
        client_link_closed(client, link->why[0] != '\0' ? link->why : why);
}

static void link_free(struct link *link)
{
    timer_stop(link->run->loop, &link->drop);
    ws_decoder_finish(&link->decoder);
    packed_finish(&link->packed);
    list_remove(&link->of_run);
    free(link);
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct link *link = link_of(conn);
    client_tell(link, close_reason_text(reason));
    link_free(link);
}

/* 24 characters that decode to 16 bytes: 21 of any value, one whose lower bits are padding. */
static void key_make(struct link *link)
{
    static const char any[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char padded[] = "AQgw";
    uint8_t random[WS_KEY_BYTES - 2];
    loop_random(link->run->loop, random, sizeof random);
    for (size_t i = 0; i < sizeof random - 1; i++)
        link->key[i] = any[random[i] % 64];
    link->key[sizeof random - 1] = padded[random[sizeof random - 1] % 4];
    memcpy(link->key + sizeof random, "==", 2);
}

static void request_send(struct link *link)
{
    struct buf head = {0};
    key_make(link);
    buf_printf(&head,
               "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n%s\r\n",
               link->run->target, link->run->url.authority, WS_KEY_BYTES, link->key,
               link->run->options->deflate ? DEFLATE_OFFER_LINE : "");
    conn_send(&link->conn, buf_span(&head));
    buf_finish(&head);
}

static bool answer_check(struct link *link, const struct http1_head *head)
{
    char accept[WS_ACCEPT_BYTES];
    if (head->status != 101) {
        struct span reason = span_sub(head->reason, 0, 64);
        snprintf(link->why, sizeof link->why, "the server answered %d " SPAN_FMT, head->status, SPAN_ARG(reason));
        return false;
    }
    ws_accept_compute(span_of(link->key, sizeof link->key), accept);
    if (!head->upgrade_websocket ||
        !span_equal(http1_field_get(head, SPAN_LIT("sec-websocket-accept")), span_of(accept, sizeof accept))) {
        snprintf(link->why, sizeof link->why, "the server's answer is no WebSocket handshake");
        return false;
    }
    if (link->run->options->deflate && !packed_begin(&link->packed, head)) {
        snprintf(link->why, sizeof link->why, "the server does not agree on permessage-deflate (--deflate)");
        return false;
    }
    link->decoder.takes_compressed = link->packed.agreed;
    return true;
}

/* Returns the bytes of the answer's head, 0 while it is incomplete or when it was refused. */
static size_t answer_received(struct link *link, struct span bytes)
{
    struct http1_head head;
    ptrdiff_t used = http1_response_decode(bytes, link->head_seen, SPAN_LIT("GET"), &head);
    link->head_seen = bytes.len;
    if (used == 0)
        return 0;
    if (used < 0)
        snprintf(link->why, sizeof link->why, "the server's answer is not HTTP/1.1");
    if (used < 0 || !answer_check(link, &head)) {
        conn_close(&link->conn, CLOSE_HTTP_INVALID);
        return 0;
    }
    link->open = true;
    client_link_opened(link->client);
    return (size_t)used;
}

static void frame_send(struct link *link, enum ws_opcode opcode, struct span payload)
{
    struct buf *scratch = &link->run->scratch;
    uint8_t mask[4];
    loop_random(link->run->loop, mask, sizeof mask);
    buf_clear(scratch);
    ws_masked_encode(scratch, opcode, payload, mask);
    conn_send(&link->conn, buf_span(scratch));
}

static void close_received(struct link *link, const struct ws_event *event)
{
    char code[2] = {(char)(event->close_code >> 8), (char)event->close_code};
    snprintf(link->why, sizeof link->why, "the server closed the connection with code %u", event->close_code);
    frame_send(link, WS_CLOSE, event->close_code != 1005 ? span_of(code, sizeof code) : (struct span){NULL, 0});
    conn_shutdown(&link->conn, CLOSE_NORMAL, LINK_LINGER_MS);
    client_tell(link, link->why);
}

static void payload_received(struct link *link, enum ws_opcode opcode, struct span payload)
{
    if (opcode == WS_BINARY)
        client_link_received_binary(link->client, payload);
    else
        client_link_received(link->client, payload);
}

static void message_received(struct link *link, const struct ws_event *event)
{
    struct buf message = {0};
    if (!event->compressed) {
        payload_received(link, event->opcode, event->payload);
    } else if (packed_decode(&link->packed, &link->run->packer, event, MESSAGE_BYTES_MAX, &message)) {
        payload_received(link, event->opcode, buf_span(&message));
    } else {
        snprintf(link->why, sizeof link->why, "the server's compressed message breaks RFC 7692");
        conn_close(&link->conn, CLOSE_WS_DEFLATE_INVALID);
    }
    buf_finish(&message);
}

static void event_received(struct link *link, const struct ws_event *event)
{
    switch (event->opcode) {
    case WS_TEXT:
    case WS_BINARY:
        message_received(link, event);
        break;
    case WS_PING:
        frame_send(link, WS_PONG, event->payload);
        break;
    case WS_CLOSE:
        close_received(link, event);
        break;
    case WS_PONG:
    case WS_CONTINUATION:
        break;
    }
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct link *link = link_of(conn);
    size_t at = 0;
    if (link->client == NULL)
        return len;
    if (!link->open)
        at = answer_received(link, span_of(bytes, len));
    if (!link->open)
        return at;
    bool got = true; /* decode once more with nothing left: that call frees the last message */
    while ((at < len || got) && link->client != NULL) {
        struct ws_event event;
        ptrdiff_t used = ws_decode(&link->decoder, bytes + at, len - at, &event, &got);
        if (used < 0) {
            snprintf(link->why, sizeof link->why, "the server's bytes break RFC 6455");
            conn_close(conn, CLOSE_WS_INVALID);
            return len;
        }
        at += (size_t)used;
        if (got)
            event_received(link, &event);
    }
    return len;
}

static const struct conn_events events = {.received = on_received, .closed = on_closed};

static void on_connect_ready(struct io *io, unsigned ready)
{
    struct link *link = container_of(io, struct link, connecting);
    int error = io_connected(io);
    if (error != 0) {
        io_close(io, false);
        snprintf(link->why, sizeof link->why, "cannot connect: %s", strerror(error));
        timer_start(link->run->loop, &link->drop, 0);
        return;
    }
    conn_adopt(&link->conn, io, run_address(link->run));
    request_send(link);
}

/* A connect that failed, a half-open link whose time is over, or a link that was never upgraded. */
static void on_drop(struct timer *timer)
{
    struct link *link = container_of(timer, struct link, drop);
    if (link->conn.state != CONN_CLOSED) {
        conn_close(&link->conn, CLOSE_DONE);
        return;
    }
    io_close(&link->connecting, false);
    client_tell(link, "cannot connect");
    link_free(link);
}

struct link *link_open(struct run *run, struct client *client)
{
    struct link *link = mem_zero(1, sizeof *link);
    struct addr source;
    link->run = run;
    link->client = client;
    list_init(&link->of_run);
    list_append(&run->links, &link->of_run);
    timer_init(&link->drop, on_drop);
    io_init(&link->connecting, run->loop, on_connect_ready);
    conn_init(&link->conn, &run->net, &events, &limits);
    ws_decoder_init(&link->decoder, false, MESSAGE_BYTES_MAX);
    if (io_connect_from(&link->connecting, run_address(run), run_source(run, &source) ? &source : NULL)) {
        io_want(&link->connecting, IO_WRITE);
    } else {
        snprintf(link->why, sizeof link->why,
                 "cannot connect: no port is left (one address of this machine has about 28,000 "
                 "to one server), or no route leads there");
        timer_start(run->loop, &link->drop, 0);
    }
    return link;
}

static void send_now(struct link *link, enum ws_opcode opcode, struct span payload)
{
    if (!link->open)
        return;
    if (opcode != WS_TEXT) {
        frame_send(link, opcode, payload);
    } else {
        struct buf *scratch = &link->run->scratch;
        uint8_t mask[4];
        loop_random(link->run->loop, mask, sizeof mask);
        buf_clear(scratch);
        packed_encode(&link->packed, &link->run->packer, payload, mask, scratch);
        conn_send(&link->conn, buf_span(scratch));
    }
    /* Now and not at the end of the turn, because the time in between would count as the server's. */
    conn_flush(&link->conn);
}

void link_send(struct link *link, struct span text)
{
    send_now(link, WS_TEXT, text);
}

void link_send_binary(struct link *link, struct span bytes)
{
    send_now(link, WS_BINARY, bytes);
}

void link_cut(struct link *link, enum cut_kind kind)
{
    struct loop *loop = link->run->loop;
    link->client = NULL;
    switch (kind) {
    case CUT_FIN:
        conn_shutdown(&link->conn, CLOSE_DONE, LINK_LINGER_MS);
        break;
    case CUT_RST:
        /* Before the connection closes, which would end it in order. */
        io_close(&link->conn.io, true);
        conn_close(&link->conn, CLOSE_DONE);
        break;
    case CUT_HALFOPEN:
        conn_read_pause(&link->conn, true);
        timer_start(loop, &link->drop, LOOP_MS(LINK_HALF_OPEN_MS));
        break;
    case CUT_CLOSE:
    case CUT_KINDS:
        frame_send(link, WS_CLOSE, (struct span){NULL, 0});
        conn_shutdown(&link->conn, CLOSE_DONE, LINK_LINGER_MS);
        break;
    }
}

void link_drop(struct link *link)
{
    link->client = NULL;
    if (link->conn.state == CONN_CLOSED) {
        timer_start(link->run->loop, &link->drop, 0);
        return;
    }
    if (link->open)
        frame_send(link, WS_CLOSE, (struct span){NULL, 0});
    conn_close(&link->conn, CLOSE_DONE);
}
