/* stock_client: see stock_client.h. Here: its connection, and the state that it keeps when the connection ends. */
#include "stock_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "stock_client_parts.h"
#include "wire/engineio.h"

enum {
    OPEN_US_MAX = 3000000, /* from dialling to connected */
    STRICT_US = 30000000,
    MOVE_US_MAX = 1000000, /* from `3probe` to `5`, where nothing is wrong */
    DAWDLES_PER_MILLE = 400,
    CLOSE_NORMAL = 1000,  /* likewise: do not */
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

void client_send(struct stock_client *client, struct span text)
{
    if (client->engine.kind == ENGINE_PLAIN) {
        client_plain_send(client, text);
        return;
    }
    client_trace(client, "sends", text);
    engine_client_send(&client->engine, false, text);
}

void client_send_bytes(struct stock_client *client, struct span bytes)
{
    if (client->engine.kind == ENGINE_PLAIN) {
        client_plain_send_bytes(client, bytes);
        return;
    }
    client_trace(client, "sends", bytes);
    engine_client_send(&client->engine, true, bytes);
}

/* A POST may reach any instance, and perhaps goes out later. */
struct check_ask client_ask(const struct stock_client *client)
{
    const struct client_world *world = client->world;
    uint16_t port = engine_client_is_moved(&client->engine) ? engine_client_port(&client->engine) : 0;
    return (struct check_ask){.us = sim_now_us(world->sim), .position = world->position_of(world->arg, port)};
}

void client_rooms_changed(struct stock_client *client)
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
    bool is_old = world->timeout_us != 0 && !client->witness.polls &&
                  now - client->dialled_us >= world->timeout_us - world->rotate_lead_us;
    client_trace(client, "is away", SPAN_LIT(""));
    if (world->stays && client->state == CLIENT_CONNECTED && !client->left_once && !client->moves_ahead && !is_old)
        check_fail(world->check, "%s: its connection ended without need", client->witness.name);
    if (client->state == CLIENT_CONNECTED) {
        check_away(world->check, &client->witness);
        client_rooms_changed(client);
        if (world->rosters != NULL)
            roster_forget(world->rosters, &client->witness, -1);
    }
    client->state = CLIENT_AWAY;
    client->stalled = false;
    sim_timer_stop(world->sim, &client->silence);
    sim_timer_stop(world->sim, &client->stall);
    sim_timer_stop(world->sim, &client->deadline);
    sim_timer_stop(world->sim, &client->move);
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
    bool gone = sim_chance(client->world->sim, 500);
    engine_client_close(&client->engine, gone);
    client_away(client);
}

static void silence_over(struct timer *timer)
{
    client_hang_up(container_of(timer, struct stock_client, silence));
}

void client_patience(struct stock_client *client, uint64_t us)
{
    /* Python's has none of its own: its requests have. */
    if (client->engine.python.strict && client->state == CLIENT_CONNECTED && !engine_client_is_moved(&client->engine))
        us += STRICT_US;
    sim_timer_start(client->world->sim, &client->silence, us);
}

/* The ingress ends a connection that is older than a request may be. */
static void deadline_passed(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, deadline);
    client->world->counts.timed_out += client->state == CLIENT_CONNECTED && engine_client_is_moved(&client->engine);
    if (client->engine.ws != NULL)
        sim_cut(client->engine.ws);
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
static void on_closed(void *owner, uint16_t code)
{
    struct stock_client *client = owner;
    struct client_world *world = client->world;
    uint64_t age = sim_now_us(world->sim) - client->dialled_us;
    bool is_dismissed = check_is_dismissed(world->check, client->witness.lease);
    if (code == CLOSE_NORMAL && client->engine.kind == ENGINE_PLAIN && !is_dismissed)
        check_fail(world->check, "%s: was told to go, and no directive says so", client->witness.name);
    /* Between two polls of a session nobody is there to be told: it has ended when the next request comes. */
    if (is_dismissed && (code == CLOSE_NORMAL || client->witness.polls)) {
        world->counts.dismissed++;
        client->left_once = true;
    }
    if (code == CLOSE_RESTART && world->timeout_us != 0 && age >= world->timeout_us - world->rotate_lead_us)
        world->counts.rotated++;
    else if (code == CLOSE_RESTART && !world->check->rules.loses && !world->check->rules.trims &&
             !world->is_leaving(world->arg, client->engine.ws_port))
        check_fail(world->check, "%s: was closed after %.3f s, ahead of its time", client->witness.name,
                   (double)age / 1e6);
    client_away(client);
}

static void on_bytes(void *owner, struct span bytes)
{
    struct stock_client *client = owner;
    client_trace(client, "gets", bytes);
    client_attachment(client, bytes);
}

void client_hears(struct stock_client *client, struct span text)
{
    struct engineio_packet packet;
    if (engineio_decode(text, &packet) < 0)
        return; /* the engine has told */
    if (packet.type == ENGINEIO_OPEN && client->state == CLIENT_OPENING) {
        opened(client, packet.data);
    } else if (packet.type == ENGINEIO_MESSAGE) {
        client_packet(client, packet.data);
    } else if (packet.type == ENGINEIO_PING) {
        client_patience(client, client->patience_us);
        client_send(client, SPAN_LIT("3"));
    }
}

static void on_packet(void *owner, struct span text)
{
    struct stock_client *client = owner;
    client_trace(client, "gets", text);
    if (client->engine.kind == ENGINE_PLAIN)
        client_plain_hears(client, text);
    else
        client_hears(client, text);
}

/* A ping of the WebSocket protocol: the server is there. */
static void on_pinged(void *owner)
{
    struct stock_client *client = owner;
    client_patience(client, client->patience_us);
}

/* A WebSocket is a request that begins now. */
static void websocket_begins(struct stock_client *client)
{
    client->dialled_us = sim_now_us(client->world->sim);
    if (client->world->timeout_us != 0)
        sim_timer_start(client->world->sim, &client->deadline, client->world->timeout_us);
}

static void on_probing(void *owner)
{
    websocket_begins(owner);
}

/* What it was told of its rooms may have gaps: presence is not logged. The lists come again. */
static void on_moved(void *owner)
{
    struct stock_client *client = owner;
    struct client_world *world = client->world;
    client_trace(client, "moves to its WebSocket", SPAN_LIT(""));
    if (world->stays && !world->stalls && !world->links_break &&
        sim_now_us(world->sim) - client->engine.proved_us > MOVE_US_MAX)
        check_fail(world->check, "%s: its poll was not answered while its WebSocket waited", client->witness.name);
    world->counts.upgraded++;
    client->witness.polls = false;
    client->moved_us = sim_now_us(world->sim);
    client->witness.instance = world->number_of(world->arg, engine_client_port(&client->engine));
    if (world->rosters != NULL)
        roster_forget(world->rosters, &client->witness, -1);
}

static void on_broken(void *owner, const char *what)
{
    struct stock_client *client = owner;
    check_fail(client->world->check, "%s: %s", client->witness.name, what);
}

static void on_noted(void *owner, const char *what)
{
    client_trace(owner, "notes", span_str(what));
}

static uint16_t on_pick(void *owner)
{
    struct stock_client *client = owner;
    return client->world->instance_pick(client->world->arg);
}

static const struct engine_events engine_events = {on_packet, on_pinged, on_bytes, on_probing, on_moved,
                                                   on_closed, on_broken, on_noted, on_pick};

static void client_dial(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, again);
    struct client_world *world = client->world;
    uint16_t port = world->instance_pick(world->arg);
    if (port == 0) {
        sim_timer_start(world->sim, timer, LOOP_MS(100));
        return;
    }
    client->state = CLIENT_OPENING;
    client_trace(client, "dials", SPAN_LIT(""));
    client->ack_next = 1;
    client->witness.polls = client->witness.polled = engine_kind_polls(client->engine.kind);
    attached_clear(&client->attached);
    engine_client_open(&client->engine, port);
    client_patience(client, OPEN_US_MAX);
    if (!engine_kind_polls(client->engine.kind))
        websocket_begins(client);
}

/* The old connection stays, unheard, until the server ends it. */
static void move_on(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, move);
    client->world->counts.moved_ahead++;
    client->world->counts.rotated += client->world->timeout_us != 0;
    client->moves_ahead = true;
    engine_client_step_over(&client->engine);
    client_away(client);
    client->moves_ahead = false;
    sim_timer_start(client->world->sim, &client->again, 0);
}

void client_moves_soon(struct stock_client *client, uint64_t us)
{
    sim_timer_start(client->world->sim, &client->move, us);
}

void stock_client_init(struct stock_client *client, struct client_world *world, int number, enum engine_kind kind)
{
    *client = (struct stock_client){.world = world, .number = number};
    engine_client_init(&client->engine, world->sim, &engine_events, client);
    client->engine.kind = (uint8_t)kind;
    client->engine.line.timeout_us = world->timeout_us;
    engine_client_repeat(&client->engine, world->repeats, world->seed + (uint64_t)number);
    client->engine.losses = world->losses;
    if (world->strict)
        engine_client_strict(&client->engine);
    client->engine.line.keeps = engine_kind_polls(kind) && sim_chance(world->sim, 500);
    world->counts.polling += engine_kind_polls(kind);
    world->counts.plain += kind == ENGINE_PLAIN;
    snprintf(client->witness.name, sizeof client->witness.name, "client %d", number);
    client->witness.number = number;
    timer_init(&client->again, client_dial);
    timer_init(&client->silence, silence_over);
    timer_init(&client->act, client_act);
    timer_init(&client->stall, client_stall_over);
    timer_init(&client->deadline, deadline_passed);
    timer_init(&client->move, move_on);
    for (int room = 1; room < client_rooms(world); room++)
        if (sim_chance(world->sim, 300))
            client->wishes[room] = WISH_JOINING;
    sim_timer_start(world->sim, &client->again, LOOP_MS(sim_below(world->sim, 1000)));
    sim_timer_start(world->sim, &client->act, LOOP_MS(1000 + sim_below(world->sim, 2000)));
}

void stock_client_quiet(struct stock_client *client)
{
    client->quiet = true;
    client->engine.losses = client->engine.repeats = 0;
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
    sim_timer_stop(client->world->sim, &client->move);
    client->world->counts.polls += client->engine.counts.polls;
    client->world->counts.repeated += client->engine.counts.repeated;
    client->world->counts.lost_answers += client->engine.counts.lost;
    engine_client_finish(&client->engine);
    attached_clear(&client->attached);
    buf_finish(&client->offset);
    buf_finish(&client->plain_text);
    free(client->waiting);
    free(client->who_there);
    witness_finish(&client->witness);
}
