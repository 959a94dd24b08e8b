/* program_client: its connection, what it hears, and its own actions. See program_client.h. */
#include "program_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "program.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum { OPEN_US_MAX = 3000000, REFUSED_PER_MILLE = 60, EDGE_MS = 30 };

static void dial(struct timer *timer);

__attribute__((format(printf, 2, 3))) static void say(struct program_client *client, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    engine_client_send(&client->engine, false, buf_span(&text));
    buf_finish(&text);
}

static void patience(struct program_client *client, uint64_t us)
{
    sim_timer_start(client->world->sim, &client->silence, us);
}

/* For a moment; or about until its socket's time is over; or for longer. */
static uint64_t away_us(const struct program_client *client)
{
    struct sim *sim = client->world->sim;
    uint64_t dice = sim_below(sim, 100);
    if (client->quiet || dice < 60)
        return LOOP_MS(20 + sim_below(sim, 300));
    if (dice < 80)
        return LOOP_MS(PROGRAM_WINDOW_MS - EDGE_MS) + sim_below(sim, LOOP_MS(EDGE_MS * 2));
    return LOOP_MS(300 + sim_below(sim, 3 * PROGRAM_WINDOW_MS));
}

static void away(struct program_client *client)
{
    struct sim *sim = client->world->sim;
    client->state = CLIENT_AWAY;
    client->late_ack = 0;
    memset(client->waiting, 0, sizeof client->waiting);
    sim_timer_stop(sim, &client->silence);
    sim_timer_stop(sim, &client->reply);
    sim_timer_start(sim, &client->again, away_us(client));
}

static void hang_up(struct program_client *client)
{
    engine_client_close(&client->engine, sim_chance(client->world->sim, 500));
    away(client);
}

static void silence_over(struct timer *timer)
{
    hang_up(container_of(timer, struct program_client, silence));
}

static void opened(struct program_client *client, struct span data)
{
    struct engineio_handshake handshake;
    if (!engineio_handshake_decode(data, &handshake)) {
        check_fail(client->check->check, "%s: an invalid handshake", client->name);
        return;
    }
    client->patience_us = LOOP_MS(handshake.ping_interval_ms + handshake.ping_timeout_ms);
    client->state = CLIENT_CONNECTING;
    client->is_refused = client->pid[0] == '\0' && sim_chance(client->world->sim, REFUSED_PER_MILLE);
    patience(client, OPEN_US_MAX);
    if (client->is_refused)
        say(client, "40/program,{\"refuse\":%d}", client->number + 1);
    else if (client->pid[0] == '\0')
        say(client, "40/program,{}");
    else if (client->offset.len == 0)
        say(client, "40/program,{\"pid\":\"%s\"}", client->pid);
    else
        say(client, "40/program,{\"pid\":\"%s\",\"offset\":\"" SPAN_FMT "\"}", client->pid,
            SPAN_ARG(buf_span(&client->offset)));
    if (client->pid[0] != '\0')
        program_check_returns(client->check, client->sid);
}

static void text_get(struct span object, struct span name, char *to, size_t size)
{
    struct buf text = {0};
    json_string_decode(json_object_get(object, name), &text);
    snprintf(to, size, SPAN_FMT, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
}

static void connected(struct program_client *client, struct span payload)
{
    char pid[sizeof client->pid];
    text_get(payload, SPAN_LIT("sid"), client->sid, sizeof client->sid);
    text_get(payload, SPAN_LIT("pid"), pid, sizeof pid);
    if (strcmp(pid, client->pid) != 0)
        buf_clear(&client->offset);
    memcpy(client->pid, pid, sizeof pid);
    client->state = CLIENT_CONNECTED;
    patience(client, client->patience_us);
    if (client->is_refused)
        check_fail(client->check->check, "%s: is let in, and the program refuses it", client->name);
    program_check_seen(client->check, span_str(client->sid), engine_kind_polls(client->engine.kind));
}

/* `{"message":"not today","data":{"code":number}}` */
static void refused(struct program_client *client, struct span payload)
{
    uint64_t code = 0;
    struct span data = json_object_get(payload, SPAN_LIT("data"));
    bool good = json_string_equal(json_object_get(payload, SPAN_LIT("message")), SPAN_LIT("not today")) &&
                span_to_u64(json_object_get(data, SPAN_LIT("code")), &code);
    if (!client->is_refused || !good || code != (uint64_t)client->number + 1)
        check_fail(client->check->check, "%s: is refused: " SPAN_FMT, client->name, SPAN_ARG(payload));
    client->pid[0] = '\0';
    hang_up(client);
}

static void reply(struct program_client *client, uint64_t ack, uint32_t number)
{
    program_check_replied(client->check, number);
    say(client, "43/program,%llu[%u]", (unsigned long long)ack, number);
}

static void reply_late(struct timer *timer)
{
    struct program_client *client = container_of(timer, struct program_client, reply);
    if (client->state == CLIENT_CONNECTED && client->late_ack != 0)
        reply(client, client->late_ack, client->late_number);
    client->late_ack = 0;
}

static void questioned(struct program_client *client, struct span args, uint64_t ack)
{
    struct sim *sim = client->world->sim;
    uint64_t number = 0, dice = sim_below(sim, 100);
    if (!span_to_u64(json_array_at(args, 1), &number)) {
        check_fail(client->check->check, "%s: a question without a number", client->name);
        return;
    }
    if (dice < 75) {
        reply(client, ack, (uint32_t)number);
        if (dice < 8)
            reply(client, ack, (uint32_t)number);
    } else if (dice < 95 && client->late_ack == 0) {
        client->late_ack = ack;
        client->late_number = (uint32_t)number;
        sim_timer_start(sim, &client->reply, LOOP_MS(sim_below(sim, 3000)));
    }
}

/* The stock client's offset is the string at the end of an event without an id. */
static void event_shown(struct program_client *client, struct span args)
{
    struct span value, last = {NULL, 0};
    while (json_array_next(&args, &value))
        last = value;
    if (json_type(last) != JSON_STRING)
        return;
    buf_clear(&client->offset);
    json_string_decode(last, &client->offset);
}

static void acked(struct program_client *client, uint64_t ack, struct span args)
{
    uint64_t number = 0;
    span_to_u64(json_array_at(args, 0), &number);
    for (int i = 0; i < PROGRAM_WAITING_MAX; i++) {
        struct program_waiting *waiting = &client->waiting[i];
        if (waiting->ack != ack)
            continue;
        if (number != waiting->number && json_array_at(args, 0).len != 0)
            check_fail(client->check->check, "%s: %u is acknowledged with " SPAN_FMT, client->name, waiting->number,
                       SPAN_ARG(args));
        waiting->ack = 0;
        return;
    }
    check_fail(client->check->check, "%s: %llu is acknowledged, and was before", client->name, (unsigned long long)ack);
}

static void packet_heard(struct program_client *client, struct span text)
{
    struct socketio_packet packet;
    uint64_t ack = 0;
    if (socketio_decode(text, &packet) < 0 || !span_equal(packet.nsp, SPAN_LIT("/program"))) {
        check_fail(client->check->check, "%s: a packet of another namespace: " SPAN_FMT, client->name, SPAN_ARG(text));
        return;
    }
    bool has_id = packet.ack_id.len != 0 && span_to_u64(packet.ack_id, &ack);
    if (packet.type == SOCKETIO_CONNECT && client->state == CLIENT_CONNECTING)
        connected(client, packet.payload);
    else if (packet.type == SOCKETIO_CONNECT_ERROR && client->state == CLIENT_CONNECTING)
        refused(client, packet.payload);
    else if (packet.type == SOCKETIO_EVENT && client->state == CLIENT_CONNECTED && has_id)
        questioned(client, packet.payload, ack);
    else if (packet.type == SOCKETIO_EVENT && client->state == CLIENT_CONNECTED)
        event_shown(client, packet.payload);
    else if (packet.type == SOCKETIO_ACK && has_id && client->state == CLIENT_CONNECTED)
        acked(client, ack, packet.payload);
    else if (packet.type == SOCKETIO_DISCONNECT && client->state == CLIENT_CONNECTED)
        hang_up(client); /* the program has ended it; its pid is of no use, and it begins anew */
    else
        check_fail(client->check->check, "%s: a packet of type %d", client->name, packet.type);
}

static void on_packet(void *owner, struct span text)
{
    struct program_client *client = owner;
    struct engineio_packet packet;
    if (client->world->traced == client->number)
        printf("%.6f %s: gets " SPAN_FMT "\n", (double)sim_now_us(client->world->sim) / 1e6, client->name,
               SPAN_ARG(text));
    if (engineio_decode(text, &packet) < 0)
        return; /* the engine has told */
    if (packet.type == ENGINEIO_OPEN && client->state == CLIENT_OPENING) {
        opened(client, packet.data);
    } else if (packet.type == ENGINEIO_MESSAGE) {
        packet_heard(client, packet.data);
    } else if (packet.type == ENGINEIO_PING) {
        patience(client, client->patience_us);
        say(client, "3");
    }
}

static void on_pinged(void *owner)
{
    struct program_client *client = owner;
    patience(client, client->patience_us);
}

static void on_bytes(void *owner, struct span bytes)
{
    struct program_client *client = owner;
    check_fail(client->check->check, "%s: is sent bytes", client->name);
}

static void on_nothing(void *owner)
{
}

static void on_closed(void *owner, uint16_t code)
{
    away(owner);
}

static void on_broken(void *owner, const char *what)
{
    struct program_client *client = owner;
    check_fail(client->check->check, "%s: %s", client->name, what);
}

static void on_noted(void *owner, const char *what)
{
}

static uint16_t on_pick(void *owner)
{
    struct program_client *client = owner;
    return client->world->instance_pick(client->world->arg);
}

static const struct engine_events engine_events = {on_packet, on_pinged, on_bytes, on_nothing, on_nothing,
                                                   on_closed, on_broken, on_noted, on_pick};

static void dial(struct timer *timer)
{
    struct program_client *client = container_of(timer, struct program_client, again);
    struct client_world *world = client->world;
    uint16_t port = world->instance_pick(world->arg);
    if (port == 0) {
        sim_timer_start(world->sim, timer, LOOP_MS(100));
        return;
    }
    client->state = CLIENT_OPENING;
    client->ack_next = 1;
    engine_client_open(&client->engine, port);
    patience(client, OPEN_US_MAX);
}

/* An event that asks for an acknowledgement with its number. */
static void send_event(struct program_client *client, const char *event, bool at_once)
{
    for (int i = 0; i < PROGRAM_WAITING_MAX; i++) {
        struct program_waiting *waiting = &client->waiting[i];
        if (waiting->ack != 0)
            continue;
        *waiting =
            (struct program_waiting){.ack = client->ack_next++, .number = ++client->number_next, .at_once = at_once};
        say(client, "42/program,%u[\"%s\",%u]", waiting->ack, event, waiting->number);
        return;
    }
}

static void act(struct timer *timer)
{
    struct program_client *client = container_of(timer, struct program_client, act);
    struct sim *sim = client->world->sim;
    uint64_t dice = sim_below(sim, 100);
    if (client->quiet)
        return;
    sim_timer_start(sim, timer, LOOP_MS(30 + sim_below(sim, 800)));
    if (client->state != CLIENT_CONNECTED)
        return;
    if (dice < 55) {
        send_event(client, "count", true);
    } else if (dice < 65) {
        send_event(client, "later", false);
    } else if (dice < 80) {
        send_event(client, "say", true);
    } else if (dice < 94) {
        send_event(client, "ask-me", true);
    } else if (dice < 96) {
        say(client, "41/program,");
        hang_up(client);
    } else {
        hang_up(client);
    }
}

void program_client_init(struct program_client *client, struct client_world *world, struct program_check *check,
                         int number, enum engine_kind kind)
{
    struct sim *sim = world->sim;
    *client = (struct program_client){.world = world, .check = check, .number = number};
    snprintf(client->name, sizeof client->name, "program client %d", number);
    engine_client_init(&client->engine, sim, &engine_events, client);
    client->engine.kind = (uint8_t)kind;
    client->engine.losses = world->losses;
    client->engine.line.keeps = engine_kind_polls(kind) && sim_chance(sim, 500);
    timer_init(&client->again, dial);
    timer_init(&client->silence, silence_over);
    timer_init(&client->act, act);
    timer_init(&client->reply, reply_late);
    sim_timer_start(sim, &client->again, LOOP_MS(sim_below(sim, 1000)));
    sim_timer_start(sim, &client->act, LOOP_MS(1000 + sim_below(sim, 1000)));
}

void program_client_quiet(struct program_client *client)
{
    client->quiet = true;
    client->engine.losses = 0;
    sim_timer_stop(client->world->sim, &client->act);
    if (client->state == CLIENT_AWAY)
        sim_timer_start(client->world->sim, &client->again, 0);
}

bool program_client_is_settled(const struct program_client *client)
{
    bool settled = client->state == CLIENT_CONNECTED;
    for (int i = 0; i < PROGRAM_WAITING_MAX; i++)
        settled = settled && (client->waiting[i].ack == 0 || !client->waiting[i].at_once);
    return settled;
}

void program_client_check(struct program_client *client)
{
    if (client->state != CLIENT_CONNECTED)
        check_fail(client->check->check, "%s: is not back (state %d)", client->name, client->state);
    for (int i = 0; i < PROGRAM_WAITING_MAX; i++)
        if (client->waiting[i].ack != 0 && client->waiting[i].at_once)
            check_fail(client->check->check, "%s: %u was never acknowledged", client->name, client->waiting[i].number);
}

void program_client_finish(struct program_client *client)
{
    struct sim *sim = client->world->sim;
    struct timer *const timers[] = {&client->again, &client->silence, &client->act, &client->reply};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        sim_timer_stop(sim, timers[i]);
    engine_client_finish(&client->engine);
    buf_finish(&client->offset);
}
