/* stock_client: see stock_client.h. Here: its connection, and the state that it keeps when the connection ends. */
#include "stock_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "stock_client_parts.h"
#include "wire/engineio.h"

enum {
    OPEN_US_MAX = 3000000, /* from dialling to connected */
    DAWDLES_PER_MILLE = 400,
    CLOSE_RESTART = 1012, /* of a Close: come back, elsewhere */
};

static void client_dial(struct timer *timer);

void client_trace(const struct stock_client *client, const char *what, struct span text)
{
    if (client->world->traced != client->number)
        return;
    printf("%.6f %s: %s ", (double)sim_now_us(client->world->sim) / 1e6, client->witness.name, what);
    fwrite(text.data, 1, text.len < 1000 ? text.len : 1000, stdout);
    putchar('\n');
}

static void frame_send(struct stock_client *client, enum ws_opcode opcode, struct span payload)
{
    static const uint8_t mask[4] = {0x5a, 0x00, 0x91, 0x33};
    struct buf frame = {0};
    client_trace(client, "sends", payload);
    ws_masked_encode(&frame, opcode, payload, mask);
    sim_send(client->end, buf_span(&frame).data, frame.len);
    buf_finish(&frame);
}

void client_send(struct stock_client *client, struct span text)
{
    frame_send(client, WS_TEXT, text);
}

void client_send_bytes(struct stock_client *client, struct span bytes)
{
    frame_send(client, WS_BINARY, bytes);
}

struct check_ask client_ask(const struct stock_client *client)
{
    const struct client_world *world = client->world;
    return (struct check_ask){.us = sim_now_us(world->sim), .position = world->position_of(world->arg, client->port)};
}

static void rooms_changed(struct stock_client *client)
{
    for (int room = 0; room < ROOMS && client->world->rosters != NULL; room++)
        if (room == 0 || client->wishes[room] != WISH_OUT)
            roster_changed(client->world->rosters, room);
}

/* The connection has ended. The client keeps its pid, its offset and its unacknowledged messages. */
static void client_away(struct stock_client *client)
{
    struct client_world *world = client->world;
    uint64_t now = sim_now_us(world->sim), delay = LOOP_MS(20 + sim_below(world->sim, 300));
    client_trace(client, "is away", SPAN_LIT(""));
    if (world->stays && client->state == CLIENT_CONNECTED && !client->left_once &&
        (world->timeout_us == 0 || now - client->dialled_us < world->timeout_us - world->rotate_lead_us))
        check_fail(world->check, "%s: its connection ended without need", client->witness.name);
    if (client->state == CLIENT_CONNECTED) {
        check_away(world->check, &client->witness);
        rooms_changed(client);
        if (world->rosters != NULL)
            roster_forget(world->rosters, &client->witness, -1);
    }
    client->end = NULL;
    client->state = CLIENT_AWAY;
    client->stalled = false;
    ws_stream_finish(&client->stream);
    sim_timer_stop(world->sim, &client->silence);
    sim_timer_stop(world->sim, &client->stall);
    sim_timer_stop(world->sim, &client->deadline);
    for (size_t i = 0; i < client->waiting_count; i++)
        client->waiting[i].ack = 0;
    memset(client->room_acks, 0, sizeof client->room_acks);
    client->page.ack = client->who_ack = 0;
    if (world->dawdles && !client->quiet && sim_chance(world->sim, DAWDLES_PER_MILLE))
        delay = LOOP_MS(300 + sim_below(world->sim, 4000));
    if (client->away_until_us > now + delay)
        delay = client->away_until_us - now;
    timer_init(&client->again, client_dial);
    sim_timer_start(world->sim, &client->again, delay);
}

void client_hang_up(struct stock_client *client)
{
    if (client->end != NULL)
        sim_close(client->end, sim_chance(client->world->sim, 500));
    client_away(client);
}

static void silence_over(struct timer *timer)
{
    client_hang_up(container_of(timer, struct stock_client, silence));
}

void client_patience(struct stock_client *client, uint64_t us)
{
    sim_timer_start(client->world->sim, &client->silence, us);
}

/* The ingress ends a connection that is older than a request may be. */
static void deadline_passed(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, deadline);
    client->world->counts.timed_out += client->state == CLIENT_CONNECTED;
    if (client->end != NULL)
        sim_cut(client->end);
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
    client->connect_ask = client_ask(client);
    client_patience(client, OPEN_US_MAX);
    buf_printf(&text, "40{\"me\":%d", client->number);
    if (client->pid[0] != '\0')
        buf_printf(&text, ",\"pid\":\"%s\"", client->pid);
    if (client->pid[0] != '\0' && client->offset.len != 0)
        buf_printf(&text, ",\"offset\":\"" SPAN_FMT "\"", SPAN_ARG(buf_span(&client->offset)));
    buf_append_char(&text, '}');
    client_send(client, buf_span(&text));
    buf_finish(&text);
}

/* Why the server said goodbye is not for the client to know; that it did so too early is seen here. */
static void closed_by_server(struct stock_client *client, uint16_t code)
{
    struct client_world *world = client->world;
    uint64_t age = sim_now_us(world->sim) - client->dialled_us;
    if (code == CLOSE_RESTART && world->timeout_us != 0 && age >= world->timeout_us - world->rotate_lead_us)
        world->counts.rotated++;
    else if (code == CLOSE_RESTART && !world->check->rules.loses && !world->check->rules.trims &&
             !world->is_leaving(world->arg, client->port))
        check_fail(world->check, "%s: was closed after %.3f s, ahead of its time", client->witness.name,
                   (double)age / 1e6);
    client_hang_up(client);
}

static void message_received(struct stock_client *client, const struct ws_event *event)
{
    struct engineio_packet packet;
    client_trace(client, "gets", event->payload);
    if (event->opcode == WS_CLOSE) {
        closed_by_server(client, event->close_code);
        return;
    }
    if (event->opcode == WS_BINARY) {
        client_attachment(client, event->payload);
        return;
    }
    if (event->opcode != WS_TEXT || engineio_decode(event->payload, &packet) < 0) {
        check_fail(client->world->check, "%s: an invalid message", client->witness.name);
        return;
    }
    if (packet.type == ENGINEIO_OPEN && client->state == CLIENT_OPENING) {
        opened(client, packet.data);
    } else if (packet.type == ENGINEIO_MESSAGE) {
        client_packet(client, packet.data);
    } else if (packet.type == ENGINEIO_PING) {
        client_patience(client, client->patience_us);
        client_send(client, SPAN_LIT("3"));
    }
}

static bool on_message(void *owner, const struct ws_event *event)
{
    struct stock_client *client = owner;
    const struct sim_end *end = client->end;
    /* The response and the first message may have come together. */
    if (client->state == CLIENT_UPGRADING)
        client->state = CLIENT_OPENING;
    message_received(client, event);
    return client->end == end;
}

static void on_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct stock_client *client = owner;
    int status = 0;
    enum ws_stream_result result = ws_stream_received(&client->stream, bytes, len, on_message, client, &status);
    if (result == WS_STREAM_NO_UPGRADE)
        check_fail(client->world->check, "%s: no upgrade: status %d", client->witness.name, status);
    else if (result == WS_STREAM_BAD_FRAMES)
        check_fail(client->world->check, "%s: invalid frames", client->witness.name);
}

static void on_opened(struct sim_end *end, void *owner)
{
    struct stock_client *client = owner;
    client->state = CLIENT_UPGRADING;
    ws_stream_request(end);
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
    client->port = world->instance_pick(world->arg);
    if (client->port == 0) {
        sim_timer_start(world->sim, timer, LOOP_MS(100));
        return;
    }
    client->state = CLIENT_DIALLING;
    client_trace(client, "dials", SPAN_LIT(""));
    client->ack_next = 1;
    client->dialled_us = sim_now_us(world->sim);
    ws_stream_init(&client->stream);
    attached_clear(&client->attached);
    client->end = sim_connect(world->sim, client->port, &peer, client);
    client_patience(client, OPEN_US_MAX);
    if (world->timeout_us != 0)
        sim_timer_start(world->sim, &client->deadline, world->timeout_us);
}

void stock_client_init(struct stock_client *client, struct client_world *world, int number)
{
    *client = (struct stock_client){.world = world, .number = number};
    snprintf(client->witness.name, sizeof client->witness.name, "client %d", number);
    client->witness.number = number;
    timer_init(&client->again, client_dial);
    timer_init(&client->silence, silence_over);
    timer_init(&client->act, client_act);
    timer_init(&client->stall, client_stall_over);
    timer_init(&client->deadline, deadline_passed);
    for (int room = 1; room < ROOMS; room++)
        if (sim_chance(world->sim, 300))
            client->wishes[room] = WISH_JOINING;
    sim_timer_start(world->sim, &client->again, LOOP_MS(sim_below(world->sim, 1000)));
    sim_timer_start(world->sim, &client->act, LOOP_MS(1000 + sim_below(world->sim, 2000)));
}

void stock_client_quiet(struct stock_client *client)
{
    client->quiet = true;
    sim_timer_stop(client->world->sim, &client->act);
    if (client->stalled)
        client_stall_over(&client->stall);
    if (client->away_until_us > sim_now_us(client->world->sim) && client->state == CLIENT_AWAY)
        sim_timer_start(client->world->sim, &client->again, 0);
    client->away_until_us = 0;
}

void stock_client_stay_away(struct stock_client *client, uint64_t until_us)
{
    client->away_until_us = until_us;
}

void stock_client_finish(struct stock_client *client)
{
    sim_timer_stop(client->world->sim, &client->again);
    sim_timer_stop(client->world->sim, &client->silence);
    sim_timer_stop(client->world->sim, &client->act);
    sim_timer_stop(client->world->sim, &client->stall);
    sim_timer_stop(client->world->sim, &client->deadline);
    if (client->end != NULL)
        sim_close(client->end, true);
    ws_stream_finish(&client->stream);
    attached_clear(&client->attached);
    buf_finish(&client->offset);
    free(client->waiting);
    free(client->who_there);
    witness_finish(&client->witness);
}
