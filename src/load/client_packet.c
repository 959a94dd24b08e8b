/* client_packet: reads the messages that arrive for a client.
 *
 * Nearly all of them are events, which are recognized by their first bytes and never read as JSON: only an id of this
 * run and the string at the end are looked for. Everything else goes through the codecs. */
#include <stdio.h>

#include "load/carrier.h"
#include "load/client.h"
#include "load/client_plain.h"
#include "load/link.h"
#include "load/publish.h"
#include "load/run.h"
#include "wire/engineio.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum { HELD_BYTES_MAX = 64 << 20, WHY_BYTES = 200 };

void client_message_take(struct client *client, struct span text)
{
    struct run *run = client->run;
    uint32_t publisher, message;
    if (scan_id(&run->scan, text, &publisher, &message) && message < run->messages.count &&
        messages_at(&run->messages, message)->publisher == publisher)
        run_delivered(run, client, message);
    else
        run->counters.foreign++;
}

void client_event_received(struct client *client, struct span array)
{
    client_message_take(client, array);
    if (client->pid.len == 0)
        return;
    struct span offset = scan_offset(array);
    if (offset.data == NULL)
        return;
    buf_clear(&client->offset);
    buf_append(&client->offset, offset);
}

bool client_bytes_are_whole(const struct client *client, struct span text, struct span bytes)
{
    struct run *run = client->run;
    struct buf published = {0};
    uint32_t publisher, message;
    if (!scan_id(&run->scan, text, &publisher, &message) || message >= run->messages.count)
        return false;
    publish_bytes_encode(run, &published, message);
    bool same = span_equal(buf_span(&published), bytes);
    buf_finish(&published);
    return same;
}

static void event_hold(struct client *client, struct span array)
{
    uint32_t len = (uint32_t)array.len;
    if (client->held.len + array.len > HELD_BYTES_MAX) {
        client_refused(client, "the server sends events and no CONNECT reply");
        return;
    }
    buf_append(&client->held, span_of(&len, sizeof len));
    buf_append(&client->held, array);
}

static void refused(struct client *client, const char *what, struct span payload)
{
    char why[WHY_BYTES];
    struct span shown = span_sub(payload, 0, WHY_BYTES / 2);
    snprintf(why, sizeof why, "%s " SPAN_FMT, what, SPAN_ARG(shown));
    client_refused(client, why);
}

/* `[{"error":"..."}]`: the server refused the request. */
static bool is_refusal(struct span payload)
{
    struct span first = payload.data != NULL ? json_array_at(payload, 0) : payload;
    return first.data != NULL && json_type(first) == JSON_OBJECT &&
           json_object_get(first, SPAN_LIT("error")).data != NULL;
}

void client_answered(struct client *client, uint64_t number, struct span refusal)
{
    struct run *run = client->run;
    if (number < LOAD_ROOMS_EACH_MAX) {
        if (refusal.data != NULL)
            refused(client, "the server refuses the join:", refusal);
        else
            client_join_confirmed(client, (uint32_t)number);
        return;
    }
    number -= LOAD_ROOMS_EACH_MAX;
    if (number >= run->messages.count || messages_at(&run->messages, (uint32_t)number)->publisher != client->index)
        return;
    if (refusal.data != NULL)
        publish_refused(run, client, (uint32_t)number);
    else
        publish_acknowledged(run, client, (uint32_t)number);
}

static void ack_received(struct client *client, struct span id, struct span payload)
{
    uint64_t number;
    if (span_to_u64(id, &number))
        client_answered(client, number, is_refusal(payload) ? payload : (struct span){NULL, 0});
}

static void connect_received(struct client *client, struct span payload)
{
    struct span sid = payload.data != NULL ? json_object_get(payload, SPAN_LIT("sid")) : payload;
    struct span pid = payload.data != NULL ? json_object_get(payload, SPAN_LIT("pid")) : payload;
    if (client->state != CLIENT_OPENING)
        return;
    if (sid.data == NULL)
        client_refused(client, "the server's CONNECT reply has no sid: is it older than Socket.IO 3?");
    else
        client_connected(client, sid, pid, pid.data != NULL && span_equal(pid, buf_span(&client->pid)));
}

static void socketio_received(struct client *client, struct span text)
{
    struct socketio_packet packet;
    if (socketio_decode(text, &packet) < 0) {
        refused(client, "no Socket.IO packet:", text);
        return;
    }
    if (!span_equal(packet.nsp, span_str(client->run->options->nsp)))
        return;
    switch (packet.type) {
    case SOCKETIO_CONNECT:
        connect_received(client, packet.payload);
        break;
    case SOCKETIO_CONNECT_ERROR:
        refused(client, "the server refuses the client:", packet.payload);
        break;
    case SOCKETIO_DISCONNECT:
        client_refused(client, "the server disconnected the client");
        break;
    case SOCKETIO_ACK:
        ack_received(client, packet.ack_id, packet.payload);
        break;
    case SOCKETIO_EVENT: /* one that asks for an acknowledgement: it has no offset */
        if (packet.payload.data != NULL && client->state >= CLIENT_JOINING)
            client_message_take(client, packet.payload);
        break;
    case SOCKETIO_BINARY_EVENT:
    case SOCKETIO_BINARY_ACK:
        client->run->counters.foreign++;
        break;
    }
}

static void packet_received(struct client *client, struct span text)
{
    struct engineio_packet packet;
    struct engineio_handshake handshake;
    if (engineio_decode(text, &packet) < 0) {
        refused(client, "no Engine.IO packet:", text);
        return;
    }
    switch (packet.type) {
    case ENGINEIO_OPEN:
        if (client->state != CLIENT_CONNECTING)
            return;
        if (engineio_handshake_decode(packet.data, &handshake))
            client_opened(client, handshake.ping_interval_ms, handshake.ping_timeout_ms);
        else
            refused(client, "no Engine.IO handshake:", text);
        break;
    case ENGINEIO_PING:
        if (client->state == CLIENT_CONNECTING)
            return;
        carrier_send(client, SPAN_LIT("3"));
        client_pinged(client);
        break;
    case ENGINEIO_MESSAGE:
        if (client->state != CLIENT_CONNECTING)
            socketio_received(client, packet.data);
        break;
    case ENGINEIO_CLOSE:
    case ENGINEIO_PONG:
    case ENGINEIO_UPGRADE:
    case ENGINEIO_NOOP:
        break;
    }
}

static void event_arrived(struct client *client, struct span array)
{
    if (client->state >= CLIENT_JOINING)
        client_event_received(client, array);
    else
        event_hold(client, array);
}

void client_link_received(struct client *client, struct span text)
{
    const struct run *run = client->run;
    struct span prefix = buf_span(&run->message_prefix);
    if (run->options->protocol == LOAD_WEBSOCKET) {
        client_message_take(client, text);
        return;
    }
    if (run->options->protocol == LOAD_PLAIN) {
        client_plain_received(client, text);
        return;
    }
    if (text.len <= prefix.len || memcmp(text.data, prefix.data, prefix.len) != 0 || text.data[prefix.len] != '[') {
        packet_received(client, text);
        return;
    }
    buf_clear(&client->awaiting);
    if (run->options->binary != 0)
        buf_append(&client->awaiting, span_from(text, prefix.len));
    else
        event_arrived(client, span_from(text, prefix.len));
}

void client_link_received_binary(struct client *client, struct span bytes)
{
    struct buf array = client->awaiting;
    if (array.len == 0) /* of an event that is none of ours */
        return;
    client->awaiting = (struct buf){0};
    if (client_bytes_are_whole(client, buf_span(&array), bytes))
        event_arrived(client, buf_span(&array));
    else
        client->run->counters.foreign++;
    buf_finish(&array);
}

/* The link has answered a ping of WebSocket. */
static void link_pinged(struct client *client)
{
    if (client->run->options->protocol == LOAD_PLAIN && client->state >= CLIENT_OPENING)
        client_pinged(client);
}

const struct link_events client_link_events = {
    .opened = client_link_opened,
    .received = client_link_received,
    .received_binary = client_link_received_binary,
    .pinged = link_pinged,
    .closed = client_link_closed,
};
