/* client: connecting, cutting, resuming, and counting what comes. See client.h. */
#include "client.h"

#include "flags.h"
#include "load/scan.h"
#include "wire/http1.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum { MESSAGE_BYTES_MAX = 1 << 20 };

static const struct conn_limits limits = {
    .queue_bytes_max = 64 << 20,
    .input_bytes_max = HTTP1_HEAD_BYTES_MAX + NET_RECEIVE_BYTES,
    .write_stall_ms_max = 30000,
};

static struct client *client_of(struct conn *conn)
{
    return container_of(conn, struct client, conn);
}

void client_send(struct client *client, struct span text)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    struct buf frame = {0};
    ws_masked_encode(&frame, WS_TEXT, text, mask);
    conn_send(&client->conn, buf_span(&frame));
    buf_finish(&frame);
}

static void on_opened(struct conn *conn)
{
    conn_send(conn, SPAN_LIT("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\n"
                             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
}

static void nsp_join(struct client *client)
{
    struct buf packet = {0};
    buf_append(&packet, SPAN_LIT("40"));
    if (client->pid.len != 0) {
        buf_printf(&packet, "{\"pid\":" SPAN_FMT, SPAN_ARG(buf_span(&client->pid)));
        if (client->offset.len != 0)
            buf_printf(&packet, ",\"offset\":" SPAN_FMT, SPAN_ARG(buf_span(&client->offset)));
        buf_append_char(&packet, '}');
    }
    client_send(client, buf_span(&packet));
    buf_finish(&packet);
}

static void joined(struct client *client, struct span payload)
{
    struct span pid = json_object_get(payload, SPAN_LIT("pid"));
    bool recovered = pid.data != NULL && span_equal(pid, buf_span(&client->pid));
    buf_clear(&client->pid);
    buf_append(&client->pid, pid);
    client->events->connected(client, recovered);
}

static void text_received(struct client *client, struct span text)
{
    if (span_starts_with(text, SPAN_LIT("42[")))
        client->events->received(client, span_from(text, 2));
    else if (span_starts_with(text, SPAN_LIT("43")))
        client->events->acknowledged(client);
    else if (span_starts_with(text, SPAN_LIT("0{")))
        nsp_join(client);
    else if (span_starts_with(text, SPAN_LIT("40{")))
        joined(client, span_from(text, 2));
    else if (span_equal(text, SPAN_LIT("2")))
        client_send(client, SPAN_LIT("3"));
    else
        bench_fail("the server sent " SPAN_FMT, SPAN_ARG(span_sub(text, 0, 100)));
}

/* Bytes of the answer's head, 0 while it is incomplete. */
static size_t answer_received(struct client *client, struct span bytes)
{
    struct http1_head head;
    ptrdiff_t used = http1_response_decode(bytes, 0, SPAN_LIT("GET"), &head);
    if (used < 0 || (used > 0 && head.status != 101))
        bench_fail("the server answered " SPAN_FMT, SPAN_ARG(span_sub(bytes, 0, 100)));
    client->upgraded = used > 0;
    return (size_t)used;
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct client *client = client_of(conn);
    size_t at = client->upgraded ? 0 : answer_received(client, span_of(bytes, len));
    bool got = client->upgraded;
    while (client->upgraded && (at < len || got) && !client->cut) {
        struct ws_event event;
        ptrdiff_t used = ws_decode(&client->decoder, bytes + at, len - at, &event, &got);
        if (used < 0)
            bench_fail("the server's bytes break RFC 6455");
        at += (size_t)used;
        if (got && event.opcode == WS_TEXT)
            text_received(client, event.payload);
    }
    return client->upgraded ? len : at;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct client *client = client_of(conn);
    ws_decoder_finish(&client->decoder);
    if (!client->cut)
        client->events->closed(client, close_reason_text(reason));
}

static const struct conn_events conn_events = {.opened = on_opened, .received = on_received, .closed = on_closed};

void client_init(struct client *client, struct net *net, const struct client_events *events, void *owner)
{
    *client = (struct client){.events = events, .owner = owner};
    conn_init(&client->conn, net, &conn_events, &limits);
}

void client_connect(struct client *client, const struct addr *addr)
{
    client->cut = client->upgraded = false;
    ws_decoder_init(&client->decoder, false, MESSAGE_BYTES_MAX);
    conn_init(&client->conn, client->conn.net, &conn_events, &limits);
    conn_connect(&client->conn, addr);
}

void client_cut(struct client *client)
{
    client->cut = true;
    conn_close(&client->conn, CLOSE_DONE);
}

void client_offset_take(struct client *client, struct span array)
{
    struct span offset = scan_offset(array);
    if (offset.data == NULL)
        bench_fail("an event came without a token: " SPAN_FMT, SPAN_ARG(span_sub(array, 0, 100)));
    buf_clear(&client->offset);
    buf_append(&client->offset, offset);
}
