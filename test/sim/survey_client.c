/* survey_client: its connection, its room, and its answers. See survey_client.h. */
#include "survey_client.h"

#include <stdio.h>

#include "survey_program.h"
#include "wire/json.h"

enum { REPLY_MS_MAX = 4000, ENTER_ACK = 1 };

static struct survey_client *client_of(struct visitor *visitor)
{
    return container_of(visitor, struct survey_client, visitor);
}

static struct check *check_of(const struct survey_client *client)
{
    return client->check->check;
}

static uint64_t away(struct visitor *visitor)
{
    struct survey_client *client = client_of(visitor);
    survey_check_changed(client->check, &client->member, false, SPAN_LIT(""));
    client->enter_ack = 0;
    return LOOP_MS(20 + sim_below(visitor->world->sim, visitor->quiet ? 300 : 1500));
}

static void opened(struct visitor *visitor)
{
    if (visitor->pid[0] == '\0')
        visitor_say(visitor, "40/survey,{}");
    else
        visitor_say(visitor, "40/survey,{\"pid\":\"%s\"}", visitor->pid);
}

static void instance_set(struct survey_client *client)
{
    const struct client_world *world = client->visitor.world;
    const struct engine_client *engine = &client->visitor.engine;
    bool polls = !engine_client_is_moved(engine) || engine->ws_port == 0;
    client->member.instance = polls ? SURVEY_NOWHERE : world->number_of(world->arg, engine->ws_port);
}

static void connected(struct survey_client *client, struct span payload)
{
    struct visitor *visitor = &client->visitor;
    char sid[SID_TEXT];
    visitor_text_get(payload, "sid", sid, sizeof sid);
    visitor_text_get(payload, "pid", visitor->pid, sizeof visitor->pid);
    visitor_connected(visitor);
    instance_set(client);
    survey_check_changed(client->check, &client->member, true, span_str(sid));
    client->was_moved = engine_client_is_moved(&visitor->engine);
    if (client->member.entered_us != 0)
        return;
    client->enter_ack = ENTER_ACK;
    visitor_say(visitor, "42/survey,%u[\"enter\",\"%s\"]", client->enter_ack, survey_room(client->member.room));
}

/* The number, and the socket's id; some with bytes: the number in digits. */
static void reply(struct survey_client *client, uint64_t ack, uint32_t number)
{
    const char *sid = client->member.sid;
    struct buf digits = {0};
    survey_check_replied(client->check, &client->member, number);
    if (!survey_has_bytes(number, client->member.number)) {
        visitor_say(&client->visitor, "43/survey,%llu[%u,\"%s\"]", (unsigned long long)ack, number, sid);
        return;
    }
    buf_printf(&digits, "%u", number);
    visitor_say(&client->visitor, "461-/survey,%llu[%u,\"%s\",{\"_placeholder\":true,\"num\":0}]",
                (unsigned long long)ack, number, sid);
    engine_client_send(&client->visitor.engine, true, buf_span(&digits));
    buf_finish(&digits);
}

/* Perhaps on another connection than the question, and then perhaps under another id: such an answer counts nowhere. */
static void reply_late(struct visitor *visitor)
{
    struct survey_client *client = client_of(visitor);
    if (visitor->state == CLIENT_CONNECTED && client->late_number != 0)
        reply(client, client->late_ack, client->late_number);
    client->late_number = 0;
}

static void questioned(struct survey_client *client, struct span args, uint64_t ack)
{
    struct sim *sim = client->visitor.world->sim;
    uint64_t number = 0, dice = sim_below(sim, 100);
    span_to_u64(json_array_at(args, 1), &number);
    survey_check_heard(client->check, &client->member, number);
    if (check_of(client)->failure != NULL)
        return;
    if (dice < 76) {
        reply(client, ack, (uint32_t)number);
        if (dice < 8)
            reply(client, ack, (uint32_t)number);
    } else if (dice < 94 && client->late_number == 0) {
        client->late_ack = ack;
        client->late_number = (uint32_t)number;
        sim_timer_start(sim, &client->visitor.reply, LOOP_MS(sim_below(sim, REPLY_MS_MAX)));
    }
}

static void acked(struct survey_client *client, uint64_t ack)
{
    if (ack == 0 || ack != client->enter_ack)
        return; /* of what it asked the program for */
    client->enter_ack = 0;
    client->member.entered_us = sim_now_us(client->visitor.world->sim);
}

static void heard(struct visitor *visitor, const struct socketio_packet *packet, bool has_id, uint64_t ack)
{
    struct survey_client *client = client_of(visitor);
    bool is_connected = visitor->state == CLIENT_CONNECTED;
    if (packet->type == SOCKETIO_CONNECT && visitor->state == CLIENT_CONNECTING)
        connected(client, packet->payload);
    else if (packet->type == SOCKETIO_EVENT && is_connected && has_id)
        questioned(client, packet->payload, ack);
    else if (packet->type == SOCKETIO_ACK && has_id && is_connected)
        acked(client, ack);
    else
        check_fail(visitor->check, "%s: a packet of type %d", visitor->name, packet->type);
}

static void bytes_heard(struct visitor *visitor, struct span bytes)
{
    check_fail(visitor->check, "%s: is sent bytes", visitor->name);
}

static void dials(struct visitor *visitor)
{
}

static void act(struct visitor *visitor, uint64_t dice)
{
    if (dice < 10)
        visitor_say(visitor, "42/survey,[\"survey\"]");
}

static const struct visitor_events events = {dials, opened, heard, bytes_heard, away, act, reply_late};

void survey_client_init(struct survey_client *client, struct client_world *world, struct survey_check *check,
                        int number, enum engine_kind kind)
{
    *client = (struct survey_client){.check = check};
    survey_check_add(check, &client->member, number);
    struct visitor *visitor = &client->visitor;
    *visitor = (struct visitor){.nsp = "/survey", .name = client->member.name, .number = number};
    visitor_init(visitor, world, check->check, &events, kind);
    visitor->engine.line.timeout_us = world->timeout_us;
    engine_client_repeat(&visitor->engine, world->repeats, world->seed + 2000 + (uint64_t)number);
    if (kind == ENGINE_PYTHON || kind == ENGINE_PYTHON_POLLING)
        engine_client_strict(&visitor->engine);
}

void survey_client_look(struct survey_client *client)
{
    const struct engine_client *engine = &client->visitor.engine;
    bool is_moved = engine_client_is_moved(engine);
    instance_set(client);
    /* Its session is over, and it does not know. */
    bool is_lost = engine->state == ENGINE_MUTE || engine->python.deaf || engine->python.writes_over;
    if (client->member.connected && (is_moved != client->was_moved || is_lost))
        survey_check_changed(client->check, &client->member, !is_lost, SPAN_LIT(""));
    client->was_moved = is_moved;
}

bool survey_client_is_settled(const struct survey_client *client)
{
    return client->visitor.state == CLIENT_CONNECTED && client->member.entered_us != 0;
}

void survey_client_check(struct survey_client *client)
{
    if (!survey_client_is_settled(client))
        check_fail(check_of(client), "%s: is not back (state %d), or not in its room", client->member.name,
                   client->visitor.state);
}

void survey_client_finish(struct survey_client *client)
{
    visitor_finish(&client->visitor);
}
