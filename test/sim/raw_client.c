/* raw_client: its connection, and its own actions. See raw_client.h. */
#include "raw_client.h"

#include <stdio.h>

enum {
    PATIENCE_US = 12000000, /* without a ping */
    EAGER_PER_MILLE = 300,  /* those that send with the first packet that they may send */
    CLOSE_RESTART = 1012,
};

static void dial(struct timer *timer);

static void note(const struct raw_client *client, const char *what, uint64_t number)
{
    if (client->world->traced == client->member.number)
        printf("%.6f %s: %s %llu\n", (double)sim_now_us(client->world->sim) / 1e6, client->member.name, what,
               (unsigned long long)number);
}

static void frame_send(struct raw_client *client, enum ws_opcode opcode, struct span payload)
{
    static const uint8_t mask[4] = {0x11, 0xa0, 0x00, 0x73};
    struct buf frame = {0};
    ws_masked_encode(&frame, opcode, payload, mask);
    sim_send(client->end, buf_span(&frame).data, frame.len);
    buf_finish(&frame);
}

static void message_send(struct raw_client *client)
{
    struct buf bytes = {0};
    bool binary = raw_check_sends(client->check, &client->member, &bytes);
    note(client, "sends", client->check->message_count - 1);
    frame_send(client, binary ? WS_BINARY : WS_TEXT, buf_span(&bytes));
    buf_finish(&bytes);
}

static void away(struct raw_client *client)
{
    struct sim *sim = client->world->sim;
    note(client, "is away, and was in room", (uint64_t)client->member.room);
    client->end = NULL;
    ws_stream_finish(&client->stream);
    raw_check_closed(client->check, &client->member);
    sim_timer_stop(sim, &client->silence);
    sim_timer_stop(sim, &client->deadline);
    if (sim_chance(sim, 200))
        client->member.room = (int)sim_below(sim, RAW_ROOMS);
    sim_timer_start(sim, &client->again, LOOP_MS(20 + sim_below(sim, 300)));
}

static void hang_up(struct raw_client *client, bool reset)
{
    sim_close(client->end, reset);
    away(client);
}

/* A rotation, or a drain, says 1012. Where links break, a message that the broker cannot take ends the session. */
static void closing(struct raw_client *client, uint16_t code)
{
    const struct client_world *world = client->world;
    uint64_t age = sim_now_us(world->sim) - client->dialled_us;
    bool is_old = world->timeout_us != 0 && age >= world->timeout_us - world->rotate_lead_us;
    note(client, "is told to close", code);
    if (world->stays && !world->links_break && !(code == CLOSE_RESTART && is_old))
        check_fail(world->check, "%s: is closed with %u after %.3f s", client->member.name, code, (double)age / 1e6);
    hang_up(client, false);
}

static bool on_message(void *owner, const struct ws_event *event)
{
    struct raw_client *client = owner;
    const struct sim_end *end = client->end;
    sim_timer_start(client->world->sim, &client->silence, PATIENCE_US);
    if (client->member.life == 0) /* the first bytes behind the handshake */
        raw_check_opened(client->check, &client->member, client->world->number_of(client->world->arg, client->port));
    if (event->opcode == WS_PING)
        frame_send(client, WS_PONG, event->payload);
    else if (event->opcode == WS_CLOSE)
        closing(client, event->close_code);
    else if (event->opcode == WS_TEXT || event->opcode == WS_BINARY)
        raw_check_heard(client->check, &client->member, event->opcode == WS_BINARY, event->payload);
    else
        check_fail(client->world->check, "%s: a frame of the kind %d", client->member.name, event->opcode);
    return client->end == end;
}

static void upgraded(struct raw_client *client)
{
    struct client_world *world = client->world;
    note(client, "is in room", (uint64_t)client->member.room);
    if (client->member.life == 0)
        raw_check_opened(client->check, &client->member, world->number_of(world->arg, client->port));
    for (uint64_t count = sim_chance(world->sim, EAGER_PER_MILLE) ? 3 : 0; count > 0; count--)
        message_send(client);
}

static void on_opened(struct sim_end *end, void *owner)
{
    const struct raw_client *client = owner;
    ws_stream_request_raw(end, (unsigned)client->member.room);
}

static void on_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct raw_client *client = owner;
    int status = 0;
    bool was_upgraded = client->stream.upgraded;
    enum ws_stream_result result = ws_stream_received(&client->stream, bytes, len, on_message, client, &status);
    if (client->end != end)
        return;
    if (result == WS_STREAM_BAD_FRAMES || (result == WS_STREAM_NO_UPGRADE && client->world->stays))
        check_fail(client->world->check, "%s: invalid frames, or no upgrade (%d)", client->member.name, status);
    if (result != WS_STREAM_FINE)
        hang_up(client, true);
    else if (!was_upgraded && client->stream.upgraded)
        upgraded(client);
}

static void on_closed(struct sim_end *end, void *owner)
{
    struct raw_client *client = owner;
    if (client->world->stays && !client->world->links_break && client->world->timeout_us == 0)
        check_fail(client->world->check, "%s: its connection ended without need", client->member.name);
    away(client);
}

static const struct sim_peer peer = {on_opened, on_received, on_closed};

static void dial(struct timer *timer)
{
    struct raw_client *client = container_of(timer, struct raw_client, again);
    struct client_world *world = client->world;
    client->port = world->instance_pick(world->arg);
    if (client->port == 0) {
        sim_timer_start(world->sim, timer, LOOP_MS(100));
        return;
    }
    client->dialled_us = sim_now_us(world->sim);
    ws_stream_init(&client->stream);
    client->end = sim_connect(world->sim, client->port, &peer, client);
    sim_timer_start(world->sim, &client->silence, PATIENCE_US);
    if (world->timeout_us != 0)
        sim_timer_start(world->sim, &client->deadline, world->timeout_us);
}

static void silence_over(struct timer *timer)
{
    hang_up(container_of(timer, struct raw_client, silence), true);
}

/* The ingress ends a request that is too old. */
static void deadline_passed(struct timer *timer)
{
    sim_cut(container_of(timer, struct raw_client, deadline)->end);
}

static void act(struct timer *timer)
{
    struct raw_client *client = container_of(timer, struct raw_client, act);
    struct sim *sim = client->world->sim;
    uint64_t dice = sim_below(sim, 100);
    sim_timer_start(sim, timer, LOOP_MS(30 + sim_below(sim, 900)));
    if (client->member.life == 0)
        return;
    if (dice < 94 || client->quiet) {
        for (uint64_t count = dice < 10 ? 4 : 1; count > 0; count--)
            message_send(client);
    } else if (dice < 97) {
        frame_send(client, WS_CLOSE, SPAN_LIT("\x03\xe8"));
        hang_up(client, false);
    } else {
        hang_up(client, true);
    }
}

void raw_client_init(struct raw_client *client, struct client_world *world, struct raw_check *check, int number)
{
    struct sim *sim = world->sim;
    *client = (struct raw_client){.world = world, .check = check};
    raw_check_add(check, &client->member, number);
    client->member.room = (int)sim_below(sim, RAW_ROOMS);
    timer_init(&client->again, dial);
    timer_init(&client->act, act);
    timer_init(&client->silence, silence_over);
    timer_init(&client->deadline, deadline_passed);
    sim_timer_start(sim, &client->again, LOOP_MS(sim_below(sim, 1000)));
    sim_timer_start(sim, &client->act, LOOP_MS(1000 + sim_below(sim, 1000)));
}

void raw_client_quiet(struct raw_client *client)
{
    client->quiet = true;
}

bool raw_client_is_settled(const struct raw_client *client)
{
    return client->member.life != 0 && sim_now_us(client->world->sim) > client->member.open_us + LOOP_S(1);
}

void raw_client_finish(struct raw_client *client)
{
    struct sim *sim = client->world->sim;
    struct timer *const timers[] = {&client->again, &client->act, &client->silence, &client->deadline};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        sim_timer_stop(sim, timers[i]);
    if (client->end != NULL)
        sim_close(client->end, false);
    client->end = NULL;
    raw_check_closed(client->check, &client->member);
    ws_stream_finish(&client->stream);
    raw_member_finish(&client->member);
}
