/* stage_client: the stage's clients: they send the steps' messages, answer pings, and check everything that they are
 * sent. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/stage_parts.h"
#include "hub/hub_parts.h"
#include "session/subscriber.h"
#include "wire/json.h"
#include "wire/socketio.h"
#include "wire/ws.h"

enum { MESSAGE_BYTES_MAX = 64 << 20 };

/* To follow an input that failed: SENNIT_STAGE_TRACE=1. */
static void trace(const struct stage_client *client, const char *verb, struct span text)
{
    if (getenv("SENNIT_STAGE_TRACE") != NULL)
        fprintf(stderr, "client %d %s " SPAN_FMT "\n", (int)(client - client->stage->clients), verb, SPAN_ARG(text));
}

unsigned stage_nsp(struct span name)
{
    static const char *const names[] = {"/", "/x", "/plain"};
    for (unsigned i = 0; i < 3; i++)
        if (span_equal(name, span_str(names[i])))
            return 1u << i;
    return 0;
}

static void connected(struct stage_client *client, const struct socketio_packet *packet)
{
    struct span sid = json_object_get(packet->payload, SPAN_LIT("sid")),
                pid = json_object_get(packet->payload, SPAN_LIT("pid"));
    assert(sid.len == ENGINEIO_SID_BYTES + 2);
    if (!span_equal(packet->nsp, SPAN_LIT("/")))
        return;
    memcpy(client->sid, sid.data + 1, ENGINEIO_SID_BYTES);
    if (pid.len == ENGINEIO_SID_BYTES + 2)
        memcpy(client->pid, pid.data + 1, ENGINEIO_SID_BYTES);
}

/* An event's last argument, if it is a token. */
static void token_note(struct stage_client *client, struct span args)
{
    struct token token;
    size_t at = args.len;
    if (args.len < 4 || args.data[args.len - 2] != '"')
        return;
    for (at = args.len - 2; at > 0 && args.data[at - 1] != '"'; at--)
        ;
    struct span text = span_sub(args, at, args.len - 2 - at);
    if (text.len > STAGE_TOKEN_BYTES || !token_decode(text, &token))
        return;
    memcpy(client->token, text.data, text.len);
    client->token_len = text.len;
}

static void packet_check(struct stage_client *client, struct span text)
{
    struct engineio_packet engine;
    struct socketio_packet packet;
    trace(client, "hears", text);
    ptrdiff_t taken = engineio_decode(text, &engine);
    assert(taken >= 0);
    if (engine.type == ENGINEIO_PING)
        stage_client_text(client, SPAN_LIT("3"));
    if (engine.type != ENGINEIO_MESSAGE)
        return;
    assert(client->awaited == 0); /* nothing comes between a packet and its attachments */
    taken = socketio_decode(engine.data, &packet);
    /* Bytes that another program put into a log pass through unchanged. */
    if (taken < 0 && client->stage->redis != NULL && span_starts_with(text, SPAN_LIT("42")))
        return;
    assert(taken >= 0);
    client->awaited = packet.attachments;
    if (packet.type == SOCKETIO_CONNECT_ERROR)
        return;
    /* Nothing comes of a namespace that it did not ask for here. */
    assert((client->asked & stage_nsp(packet.nsp)) != 0);
    if (packet.type == SOCKETIO_CONNECT)
        connected(client, &packet);
    if ((packet.type == SOCKETIO_EVENT || packet.type == SOCKETIO_BINARY_EVENT) &&
        span_equal(packet.nsp, SPAN_LIT("/")))
        token_note(client, packet.payload);
}

static void frames_check(struct stage_client *client, char *bytes, size_t len)
{
    bool got = true;
    while (len > 0 || got) {
        struct ws_event event;
        got = false;
        ptrdiff_t used = ws_decode(&client->decoder, bytes, len, &event, &got);
        assert(used >= 0);
        if (got && event.opcode == WS_TEXT)
            packet_check(client, event.payload);
        if (got && event.opcode == WS_BINARY) {
            assert(client->awaited > 0);
            client->awaited--;
        }
        if (!got && used == 0)
            return;
        bytes += used;
        len -= (size_t)used;
    }
}

static void received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct stage_client *client = owner;
    buf_append(&client->in, span_of(bytes, len));
    if (!client->upgraded) {
        const char *head = client->in.data + client->in.off, *over = memmem(head, client->in.len, "\r\n\r\n", 4);
        if (over == NULL)
            return;
        /* The HTTP response to a wrong head is not checked. */
        client->upgraded = span_starts_with(buf_span(&client->in), SPAN_LIT("HTTP/1.1 101"));
        buf_consume(&client->in, client->upgraded ? (size_t)(over + 4 - head) : client->in.len);
    }
    if (!client->upgraded)
        return;
    struct buf in = client->in; /* handling it may send, but not receive */
    client->in = (struct buf){0};
    frames_check(client, in.data + in.off, in.len);
    buf_finish(&in);
}

static void client_reset(struct stage_client *client)
{
    client->end = NULL;
    client->upgraded = client->held = false;
    client->asked = 0;
    client->awaited = 0;
    buf_finish(&client->in);
    ws_decoder_finish(&client->decoder);
    client->decoder = (struct ws_decoder){0};
}

static void closed(struct sim_end *end, void *owner)
{
    client_reset(owner);
}

void stage_client_open(struct stage_client *client)
{
    static const struct sim_peer peer = {NULL, received, closed};
    static const char head[] =
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    ws_decoder_init(&client->decoder, false, MESSAGE_BYTES_MAX);
    client->end = sim_connect(client->stage->sim, STAGE_PORT, &peer, client);
    stage_client_send(client, span_str(head));
}

void stage_client_close(struct stage_client *client, bool reset)
{
    if (client->end != NULL)
        sim_close(client->end, reset);
    client_reset(client);
}

void stage_client_hold(struct stage_client *client, bool held)
{
    if (client->end == NULL)
        return;
    client->held = held;
    sim_hold(client->end, held);
}

void stage_client_send(struct stage_client *client, struct span bytes)
{
    if (client->end != NULL)
        sim_send(client->end, bytes.data, bytes.len);
}

void stage_client_text(struct stage_client *client, struct span text)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    struct buf frame = {0};
    struct socketio_packet packet;
    if (text.len > 1 && text.data[0] == '4' && text.data[1] == '0' && socketio_decode(span_from(text, 1), &packet) >= 0)
        client->asked |= stage_nsp(packet.nsp);
    trace(client, "says", text);
    ws_masked_encode(&frame, WS_TEXT, text, mask);
    stage_client_send(client, buf_span(&frame));
    buf_finish(&frame);
}

void stage_client_binary(struct stage_client *client, struct span bytes)
{
    static const uint8_t mask[4] = {4, 3, 2, 1};
    struct buf frame = {0};
    trace(client, "says in binary", bytes);
    ws_masked_encode(&frame, WS_BINARY, bytes, mask);
    stage_client_send(client, buf_span(&frame));
    buf_finish(&frame);
}

void stage_fill(struct buf *to, const struct stage_client *client, struct span text)
{
    const struct stage *stage = client->stage;
    const struct stage_client *other = client + 1 < stage->clients + STAGE_CLIENTS ? client + 1 : stage->clients;
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case 1:
            buf_append(to, span_of(client->sid, ENGINEIO_SID_BYTES));
            break;
        case 2:
            buf_append(to, span_of(other->sid, ENGINEIO_SID_BYTES));
            break;
        case 3:
            buf_append(to, span_of(other->pid, ENGINEIO_SID_BYTES));
            break;
        case 4:
            buf_append(to, span_of(client->token, client->token_len));
            break;
        case 5:
            buf_append(to, span_of(stage->server.hub->epoch, stage->server.hub->epoch_len));
            break;
        case 6:
            buf_append(to, span_of(client->pid, ENGINEIO_SID_BYTES));
            break;
        default:
            buf_append_char(to, text.data[i]);
        }
    }
}
