/* link: the handshake, frames in both directions, and the kinds of cuts. */
#include "load/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "load/client.h"
#include "load/client_plain.h"
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
    return container_of(conn, struct link, dial.conn);
}

/* The client is called once, and then has no link. */
static void client_tell(struct link *link, const char *why)
{
    struct client *client = link->client;
    link->client = NULL;
    if (client != NULL)
        link->events->closed(client, link->why[0] != '\0' ? link->why : why);
}

static void link_free(struct link *link)
{
    dial_finish(&link->dial);
    ws_decoder_finish(&link->decoder);
    packed_finish(&link->packed);
    free(link->target);
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
    loop_random(link->dial.run->loop, random, sizeof random);
    for (size_t i = 0; i < sizeof random - 1; i++)
        link->key[i] = any[random[i] % 64];
    link->key[sizeof random - 1] = padded[random[sizeof random - 1] % 4];
    memcpy(link->key + sizeof random, "==", 2);
}

static bool is_subprotocol(const struct link *link)
{
    return link->dial.run->options->protocol == LOAD_PLAIN;
}

static void request_send(struct link *link)
{
    struct buf head = {0};
    key_make(link);
    buf_printf(&head,
               "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n%s%s\r\n",
               link->target, link->dial.run->url.authority, WS_KEY_BYTES, link->key,
               link->dial.run->options->deflate ? DEFLATE_OFFER_LINE : "",
               is_subprotocol(link) ? "Sec-WebSocket-Protocol: " CLIENT_PLAIN_SUBPROTOCOL "\r\n" : "");
    conn_send(&link->dial.conn, buf_span(&head));
    buf_finish(&head);
    free(link->target);
    link->target = NULL;
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
    if (is_subprotocol(link) &&
        !span_equal(http1_field_get(head, SPAN_LIT("sec-websocket-protocol")), SPAN_LIT(CLIENT_PLAIN_SUBPROTOCOL))) {
        snprintf(link->why, sizeof link->why,
                 "the server does not speak " CLIENT_PLAIN_SUBPROTOCOL " here (see --path)");
        return false;
    }
    if (link->dial.run->options->deflate && !packed_begin(&link->packed, head)) {
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
        conn_close(&link->dial.conn, CLOSE_HTTP_INVALID);
        return 0;
    }
    link->open = true;
    link->events->opened(link->client);
    return (size_t)used;
}

static void frame_send(struct link *link, enum ws_opcode opcode, struct span payload)
{
    struct buf *scratch = &link->dial.run->scratch;
    uint8_t mask[4];
    loop_random(link->dial.run->loop, mask, sizeof mask);
    buf_clear(scratch);
    ws_masked_encode(scratch, opcode, payload, mask);
    conn_send(&link->dial.conn, buf_span(scratch));
}

static void close_received(struct link *link, const struct ws_event *event)
{
    char code[2] = {(char)(event->close_code >> 8), (char)event->close_code};
    snprintf(link->why, sizeof link->why, "the server closed the connection with code %u", event->close_code);
    frame_send(link, WS_CLOSE, event->close_code != 1005 ? span_of(code, sizeof code) : (struct span){NULL, 0});
    conn_shutdown(&link->dial.conn, CLOSE_NORMAL, DIAL_LINGER_MS);
    client_tell(link, link->why);
}

static void payload_received(struct link *link, enum ws_opcode opcode, struct span payload)
{
    if (opcode == WS_BINARY)
        link->events->received_binary(link->client, payload);
    else
        link->events->received(link->client, payload);
}

static void message_received(struct link *link, const struct ws_event *event)
{
    struct buf message = {0};
    if (!event->compressed) {
        payload_received(link, event->opcode, event->payload);
    } else if (packed_decode(&link->packed, &link->dial.run->packer, event, MESSAGE_BYTES_MAX, &message)) {
        payload_received(link, event->opcode, buf_span(&message));
    } else {
        snprintf(link->why, sizeof link->why, "the server's compressed message breaks RFC 7692");
        conn_close(&link->dial.conn, CLOSE_WS_DEFLATE_INVALID);
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
        if (link->events->pinged != NULL)
            link->events->pinged(link->client);
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

static void on_dial_opened(struct dial *dial)
{
    request_send(container_of(dial, struct link, dial));
}

static void on_dial_failed(struct dial *dial, const char *why)
{
    struct link *link = container_of(dial, struct link, dial);
    snprintf(link->why, sizeof link->why, "cannot connect%s%s", why != NULL ? ": " : "", why != NULL ? why : "");
    client_tell(link, link->why);
    link_free(link);
}

static const struct dial_events dial_events = {.opened = on_dial_opened, .failed = on_dial_failed};

struct link *link_open(struct run *run, struct client *client, const struct link_events *link_events,
                       struct span target)
{
    struct link *link = mem_zero(1, sizeof *link);
    link->client = client;
    link->events = link_events;
    link->target = mem_text(target);
    ws_decoder_init(&link->decoder, false, MESSAGE_BYTES_MAX);
    dial_start(&link->dial, run, &dial_events, &events, &limits);
    return link;
}

static void send_now(struct link *link, enum ws_opcode opcode, struct span payload)
{
    if (!link->open)
        return;
    if (opcode != WS_TEXT) {
        frame_send(link, opcode, payload);
    } else {
        struct buf *scratch = &link->dial.run->scratch;
        uint8_t mask[4];
        loop_random(link->dial.run->loop, mask, sizeof mask);
        buf_clear(scratch);
        packed_encode(&link->packed, &link->dial.run->packer, payload, mask, scratch);
        conn_send(&link->dial.conn, buf_span(scratch));
    }
    /* Now and not at the end of the turn, because the time in between would count as the server's. */
    conn_flush(&link->dial.conn);
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
    link->client = NULL;
    if (kind != CUT_CLOSE) {
        dial_cut(&link->dial, kind);
        return;
    }
    frame_send(link, WS_CLOSE, (struct span){NULL, 0});
    conn_shutdown(&link->dial.conn, CLOSE_DONE, DIAL_LINGER_MS);
}

void link_drop(struct link *link)
{
    link->client = NULL;
    if (link->open)
        frame_send(link, WS_CLOSE, (struct span){NULL, 0});
    dial_drop(&link->dial);
}
