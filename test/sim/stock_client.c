/* stock_client: see stock_client.h. */
#include "stock_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/engineio.h"
#include "wire/http1.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum {
    WAITING_MAX = 64,
    OPEN_US_MAX = 3000000, /* from dialling to connected */
    MESSAGE_BYTES_MAX = 1 << 20,
    LEASE_US_MAX = 1000000, /* from an instance's link being up again to its leases being written */
};

static void client_dial(struct timer *timer);

/* For whoever looks into a failed seed: what one client sees. */
static void trace(const struct stock_client *client, const char *what, struct span text)
{
    if (client->world->traced != client->number)
        return;
    printf("%.6f %s: %s ", (double)sim_now_us(client->world->sim) / 1e6, client->witness.name, what);
    fwrite(text.data, 1, text.len, stdout);
    putchar('\n');
}

static void send_text(struct stock_client *client, const char *text)
{
    static const uint8_t mask[4] = {0x5a, 0x00, 0x91, 0x33};
    struct buf frame = {0};
    trace(client, "sends", span_str(text));
    ws_masked_encode(&frame, WS_TEXT, span_str(text), mask);
    sim_send(client->end, buf_span(&frame).data, frame.len);
    buf_finish(&frame);
}

/* The connection is no more; what the client keeps is its pid, its offset and what waits. */
static void client_away(struct stock_client *client)
{
    struct client_world *world = client->world;
    trace(client, "is away", SPAN_LIT(""));
    client->end = NULL;
    client->state = CLIENT_AWAY;
    ws_decoder_finish(&client->decoder);
    buf_finish(&client->head);
    sim_timer_stop(world->sim, &client->silence);
    for (size_t i = 0; i < client->waiting_count; i++)
        client->waiting[i].ack = 0;
    memset(client->room_acks, 0, sizeof client->room_acks);
    timer_init(&client->again, client_dial);
    sim_timer_start(world->sim, &client->again, LOOP_MS(20 + sim_below(world->sim, 300)));
}

static void client_hang_up(struct stock_client *client)
{
    if (client->end != NULL)
        sim_close(client->end, sim_chance(client->world->sim, 500));
    client_away(client);
}

static void silence_over(struct timer *timer)
{
    client_hang_up(container_of(timer, struct stock_client, silence));
}

static void patience(struct stock_client *client, uint64_t us)
{
    sim_timer_start(client->world->sim, &client->silence, us);
}

static void publish_send(struct stock_client *client, size_t index)
{
    char text[160];
    const struct message *message = &client->world->check->messages[client->waiting[index].message];
    client->waiting[index].ack = client->ack_next++;
    if (message->room == 0)
        snprintf(text, sizeof text, "42%u[\"%s\",{\"id\":%u}]", client->waiting[index].ack,
                 client->waiting[index].others ? "others" : "all", client->waiting[index].message);
    else
        snprintf(text, sizeof text, "42%u[\"%s\",\"room%u\",{\"id\":%u}]", client->waiting[index].ack,
                 client->waiting[index].others ? "tell" : "say", message->room, client->waiting[index].message);
    send_text(client, text);
}

static void room_send(struct stock_client *client, int room)
{
    char text[80];
    client->room_acks[room] = client->ack_next++;
    snprintf(text, sizeof text, "42%u[\"%s\",\"room%d\"]", client->room_acks[room],
             client->wishes[room] == WISH_JOINING ? "join" : "leave", room);
    send_text(client, text);
}

static void publish(struct stock_client *client)
{
    struct sim *sim = client->world->sim;
    int room = 0;
    if (client->waiting_count == WAITING_MAX)
        return;
    if (!sim_chance(sim, 120)) {
        room = 1 + (int)sim_below(sim, CHECK_ROOMS - 1);
        if (client->wishes[room] != WISH_IN)
            return;
    }
    if (client->waiting_count == client->waiting_cap) {
        client->waiting_cap = client->waiting_cap != 0 ? client->waiting_cap * 2 : 8;
        client->waiting = mem_resize(client->waiting, client->waiting_cap * sizeof *client->waiting);
    }
    size_t index = client->waiting_count++;
    client->waiting[index].message = check_message_create(client->world->check, room);
    client->waiting[index].others = sim_chance(sim, 500);
    client->waiting[index].ack = 0;
    if (client->state == CLIENT_CONNECTED)
        publish_send(client, index);
}

/* Enters or leaves a room. What waits for a room is sent before leaving it is asked for, for only members may send. */
static void wander(struct stock_client *client)
{
    int room = 1 + (int)sim_below(client->world->sim, CHECK_ROOMS - 1);
    for (size_t i = 0; i < client->waiting_count; i++)
        if (client->world->check->messages[client->waiting[i].message].room == room)
            return;
    if (client->wishes[room] == WISH_OUT) {
        client->wishes[room] = WISH_JOINING;
        check_joining(client->world->check, &client->witness, room, client->world->replay_all);
        room_send(client, room);
    } else if (client->wishes[room] == WISH_IN) {
        client->wishes[room] = WISH_LEAVING;
        room_send(client, room);
    }
}

static void act(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, act);
    struct sim *sim = client->world->sim;
    if (client->quiet)
        return;
    uint64_t dice = sim_below(sim, 1000);
    if (dice < 60 && client->state == CLIENT_CONNECTED) {
        wander(client);
    } else if (dice < 63 && client->state == CLIENT_CONNECTED) {
        /* Says goodbye and, being what it is, comes back under the pid it still has: whether that is recovered depends
         * on what was faster, but it is honest in either case. */
        send_text(client, "41");
        client->left_once = true;
        client_hang_up(client);
    } else if (client->world->quiet && dice < 960) {
        ; /* nothing this time */
    } else if (dice < 100 && client->state == CLIENT_CONNECTED) {
        send_text(client, "42[\"cursor\",{\"x\":1}]");
    } else {
        publish(client);
    }
    sim_timer_start(sim, timer, LOOP_MS(100 + sim_below(sim, 2500)));
}

/* An event of another epoch: the instance's link to the broker is up again. */
static void epoch_seen(struct stock_client *client, struct span epoch)
{
    if (span_equal(epoch, span_str(client->epoch)) || epoch.len >= sizeof client->epoch)
        return;
    snprintf(client->epoch, sizeof client->epoch, SPAN_FMT, SPAN_ARG(epoch));
    client->sure_us = sim_now_us(client->world->sim) + LEASE_US_MAX;
}

/* Recovered: where it was asked to leave, or where the broker may know better no more, it asks again. */
static void rooms_doubt(struct stock_client *client)
{
    if (client->world->leases_follow && client->sure_us != 0 && sim_now_us(client->world->sim) >= client->sure_us)
        client->doubtful = false;
    for (int room = 1; room < CHECK_ROOMS; room++) {
        if (client->wishes[room] != WISH_LEAVING && !client->doubtful)
            continue;
        if (client->wishes[room] == WISH_IN)
            client->wishes[room] = WISH_JOINING;
        else if (client->wishes[room] == WISH_OUT)
            client->wishes[room] = WISH_LEAVING;
        check_doubt(&client->witness, room, client->doubtful);
    }
}

void stock_client_broker_lost(struct stock_client *client, uint64_t snapshot_us)
{
    client->sure_us = 0;
    client->doubtful |= client->rooms_us >= snapshot_us;
    for (int room = 1; room < CHECK_ROOMS; room++)
        client->doubtful |= client->wishes[room] == WISH_JOINING || client->wishes[room] == WISH_LEAVING;
}

static void connected(struct stock_client *client, struct span payload)
{
    struct client_world *world = client->world;
    struct buf sid = {0}, pid = {0};
    json_string_decode(json_object_get(payload, SPAN_LIT("sid")), &sid);
    json_string_decode(json_object_get(payload, SPAN_LIT("pid")), &pid);
    bool came_back = client->pid[0] != '\0';
    bool recovered = came_back && span_equal(buf_span(&pid), span_str(client->pid));
    client->state = CLIENT_CONNECTED;
    client->connected_at_us = sim_now_us(world->sim);
    patience(client, client->patience_us);
    if (recovered) {
        world->check->counts.resumed++;
        if (!span_equal(buf_span(&sid), span_str(client->witness.sid)))
            check_fail(world->check, "%s: recovered under another sid", client->witness.name);
        rooms_doubt(client);
    } else {
        if (came_back && !client->left_once) {
            world->check->counts.refused_resumes++;
            if (!world->resumes_may_fail)
                check_fail(world->check, "%s: was not recovered without need", client->witness.name);
        }
        check_fresh(world->check, &client->witness, buf_span(&sid), world->replay_all);
        for (int room = 1; room < CHECK_ROOMS; room++) {
            if (client->wishes[room] == WISH_LEAVING)
                client->wishes[room] = WISH_OUT;
            if (client->wishes[room] == WISH_OUT)
                continue;
            client->wishes[room] = WISH_JOINING;
            check_joining(world->check, &client->witness, room, world->replay_all);
        }
    }
    client->left_once = client->doubtful = false;
    snprintf(client->pid, sizeof client->pid, SPAN_FMT, SPAN_ARG(buf_span(&pid)));
    for (int room = 1; room < CHECK_ROOMS; room++)
        if (client->wishes[room] == WISH_JOINING || client->wishes[room] == WISH_LEAVING)
            room_send(client, room);
    for (size_t i = 0; i < client->waiting_count; i++)
        publish_send(client, i);
    buf_finish(&sid);
    buf_finish(&pid);
}

static void acked(struct stock_client *client, uint64_t ack)
{
    struct check *check = client->world->check;
    for (size_t i = 0; i < client->waiting_count; i++) {
        if (client->waiting[i].ack != ack)
            continue;
        check_acked(check, &client->witness, client->waiting[i].message);
        client->waiting[i] = client->waiting[--client->waiting_count];
        return;
    }
    for (int room = 1; room < CHECK_ROOMS; room++) {
        if (client->room_acks[room] != ack)
            continue;
        client->room_acks[room] = 0;
        client->rooms_us = sim_now_us(client->world->sim);
        if (client->wishes[room] == WISH_JOINING) {
            client->wishes[room] = WISH_IN;
            check_joined(check, &client->witness, room);
        } else {
            client->wishes[room] = WISH_OUT;
            check_left(check, &client->witness, room);
        }
        return;
    }
}

static int room_of(struct span args, size_t *id_at)
{
    struct span name = json_array_at(args, 0), first = json_array_at(args, 1);
    *id_at = 1;
    if (json_string_equal(name, SPAN_LIT("all")) || json_string_equal(name, SPAN_LIT("others")))
        return 0;
    if (json_type(first) != JSON_STRING || first.len != 7)
        return -1;
    *id_at = 2;
    return first.data[5] - '0';
}

/* The handlers of the page: the event is shown. */
static void event_shown(struct stock_client *client, struct span args)
{
    size_t id_at, count = 0;
    struct span rest = args, value, last = {NULL, 0};
    while (json_array_next(&rest, &value)) {
        last = value;
        count++;
    }
    /* What the stock client takes for its offset. */
    if (count > 1 && json_type(last) == JSON_STRING) {
        buf_clear(&client->offset);
        json_string_decode(last, &client->offset);
    } else {
        check_fail(client->world->check, "%s: an event without a token", client->witness.name);
    }
    struct span name = json_array_at(args, 0);
    if (json_string_equal(name, SPAN_LIT("cursor")) || json_string_equal(name, SPAN_LIT("sennit")))
        return;
    int room = room_of(args, &id_at);
    uint64_t message;
    if (room < 0 || room >= CHECK_ROOMS ||
        !span_to_u64(json_object_get(json_array_at(args, id_at), SPAN_LIT("id")), &message)) {
        check_fail(client->world->check, "%s: an event that nobody sent", client->witness.name);
        return;
    }
    /* `<version><epoch>.<seq>...` */
    struct span token = buf_span(&client->offset), epoch;
    span_next(&token, '.', &epoch);
    epoch_seen(client, span_from(epoch, 1));
    check_shown(client->world->check, &client->witness, room, (uint32_t)message, span_from(epoch, 1));
}

static void packet_received(struct stock_client *client, struct span text)
{
    struct socketio_packet packet;
    uint64_t ack;
    if (socketio_decode(text, &packet) < 0) {
        check_fail(client->world->check, "%s: an invalid Socket.IO packet", client->witness.name);
        return;
    }
    switch (packet.type) {
    case SOCKETIO_CONNECT:
        connected(client, packet.payload);
        break;
    case SOCKETIO_EVENT:
        if (client->state != CLIENT_CONNECTED)
            check_fail(client->world->check, "%s: an event before CONNECT: the stock client would double it",
                       client->witness.name);
        event_shown(client, packet.payload);
        break;
    case SOCKETIO_ACK:
        if (span_to_u64(packet.ack_id, &ack) && ack != 0)
            acked(client, ack);
        break;
    default:
        check_fail(client->world->check, "%s: a packet of type %d", client->witness.name, packet.type);
        break;
    }
}

static void opened(struct stock_client *client, struct span data)
{
    struct engineio_handshake handshake;
    struct buf text = {0};
    if (!engineio_handshake_decode(data, &handshake)) {
        check_fail(client->world->check, "%s: an invalid handshake", client->witness.name);
        return;
    }
    client->patience_us = LOOP_MS(handshake.ping_interval_ms + handshake.ping_timeout_ms);
    client->state = CLIENT_CONNECTING;
    patience(client, OPEN_US_MAX);
    if (client->pid[0] == '\0')
        buf_printf(&text, "40");
    else if (client->offset.len == 0)
        buf_printf(&text, "40{\"pid\":\"%s\"}", client->pid);
    else
        buf_printf(&text, "40{\"pid\":\"%s\",\"offset\":\"" SPAN_FMT "\"}", client->pid,
                   SPAN_ARG(buf_span(&client->offset)));
    buf_append_char(&text, '\0');
    send_text(client, buf_span(&text).data);
    buf_finish(&text);
}

static void message_received(struct stock_client *client, const struct ws_event *event)
{
    struct engineio_packet packet;
    trace(client, "gets", event->payload);
    if (event->opcode == WS_CLOSE) {
        client_hang_up(client);
        return;
    }
    if (event->opcode != WS_TEXT || engineio_decode(event->payload, &packet) < 0) {
        check_fail(client->world->check, "%s: an invalid message", client->witness.name);
        return;
    }
    if (packet.type == ENGINEIO_OPEN && client->state == CLIENT_OPENING)
        opened(client, packet.data);
    else if (packet.type == ENGINEIO_MESSAGE)
        packet_received(client, packet.data);
    else if (packet.type == ENGINEIO_PING) {
        patience(client, client->patience_us);
        send_text(client, "3");
    }
}

static size_t upgraded(struct stock_client *client, const char *bytes, size_t len)
{
    static struct http1_head head;
    buf_append(&client->head, span_of(bytes, len));
    ptrdiff_t used = http1_response_decode(buf_span(&client->head), 0, SPAN_LIT("GET"), &head);
    if (used == 0)
        return len;
    if (used < 0 || head.status != 101) {
        check_fail(client->world->check, "%s: no upgrade: status %d", client->witness.name, used < 0 ? 0 : head.status);
        return len;
    }
    client->state = CLIENT_OPENING;
    return len - (client->head.len - (size_t)used);
}

static void on_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct stock_client *client = owner;
    size_t at = 0;
    if (client->state == CLIENT_UPGRADING) {
        at = upgraded(client, bytes, len);
        if (client->state != CLIENT_OPENING)
            return;
    }
    char *copy = mem_alloc(len - at + 1);
    memcpy(copy, bytes + at, len - at);
    char *rest = copy;
    size_t left = len - at;
    bool got = true;
    while ((left > 0 || got) && client->end == end) {
        struct ws_event event;
        got = false;
        ptrdiff_t used = ws_decode(&client->decoder, rest, left, &event, &got);
        if (used < 0) {
            check_fail(client->world->check, "%s: invalid frames", client->witness.name);
            break;
        }
        if (got)
            message_received(client, &event);
        else if (used == 0)
            break;
        rest += used;
        left -= (size_t)used;
    }
    free(copy);
}

static void on_opened(struct sim_end *end, void *owner)
{
    static const char request[] =
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct stock_client *client = owner;
    client->state = CLIENT_UPGRADING;
    sim_send(end, request, sizeof request - 1);
}

static void on_closed(struct sim_end *end, void *owner)
{
    client_away(owner);
}

static const struct sim_peer peer = {on_opened, on_received, on_closed};

static void client_dial(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, again);
    struct client_world *world = client->world;
    uint16_t port = world->instance_pick(world->arg);
    if (port == 0) {
        sim_timer_start(world->sim, timer, LOOP_MS(100));
        return;
    }
    client->state = CLIENT_DIALLING;
    trace(client, "dials", SPAN_LIT(""));
    client->ack_next = 1;
    ws_decoder_init(&client->decoder, false, MESSAGE_BYTES_MAX);
    client->end = sim_connect(world->sim, port, &peer, client);
    patience(client, OPEN_US_MAX);
}

void stock_client_init(struct stock_client *client, struct client_world *world, int number)
{
    *client = (struct stock_client){.world = world, .number = number};
    snprintf(client->witness.name, sizeof client->witness.name, "client %d", number);
    timer_init(&client->again, client_dial);
    timer_init(&client->silence, silence_over);
    timer_init(&client->act, act);
    for (int room = 1; room < CHECK_ROOMS; room++)
        if (sim_chance(world->sim, 300))
            client->wishes[room] = WISH_JOINING;
    sim_timer_start(world->sim, &client->again, LOOP_MS(sim_below(world->sim, 1000)));
    sim_timer_start(world->sim, &client->act, LOOP_MS(1000 + sim_below(world->sim, 2000)));
}

void stock_client_quiet(struct stock_client *client)
{
    client->quiet = true;
    sim_timer_stop(client->world->sim, &client->act);
}

void stock_client_finish(struct stock_client *client)
{
    sim_timer_stop(client->world->sim, &client->again);
    sim_timer_stop(client->world->sim, &client->silence);
    sim_timer_stop(client->world->sim, &client->act);
    if (client->end != NULL)
        sim_close(client->end, true);
    ws_decoder_finish(&client->decoder);
    buf_finish(&client->head);
    buf_finish(&client->offset);
    free(client->waiting);
}
