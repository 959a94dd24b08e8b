/* ask_client: its connection, its questions and its answers. See ask_client.h. */
#include "ask_client.h"

#include <stdio.h>

#include "wire/json.h"

enum { REPLY_MS_MAX = 4000 };

static struct ask_client *client_of(struct visitor *visitor)
{
    return container_of(visitor, struct ask_client, visitor);
}

static void member_set(struct ask_client *client, bool connected)
{
    client->member.connected = connected;
    client->member.changed_us = sim_now_us(client->visitor.world->sim);
}

static uint64_t away(struct visitor *visitor)
{
    struct ask_client *client = client_of(visitor);
    member_set(client, false);
    buf_finish(&client->text);
    for (int i = 0; i < ASKS_WAITING_MAX; i++) {
        if (client->waiting[i].number != 0)
            ask_check_given_up(client->check, client->waiting[i].number);
        client->waiting[i].number = 0;
    }
    return LOOP_MS(20 + sim_below(visitor->world->sim, visitor->quiet ? 300 : 1500));
}

static void opened(struct visitor *visitor)
{
    if (visitor->pid[0] == '\0')
        visitor_say(visitor, "40/asks,{}");
    else
        visitor_say(visitor, "40/asks,{\"pid\":\"%s\"}", visitor->pid);
}

static void connected(struct ask_client *client, struct span payload)
{
    char sid[SID_TEXT];
    visitor_text_get(payload, "sid", sid, sizeof sid);
    visitor_text_get(payload, "pid", client->visitor.pid, sizeof client->visitor.pid);
    if (strcmp(sid, client->member.sid) != 0)
        memcpy(client->before, client->member.sid, SID_TEXT);
    memcpy(client->member.sid, sid, SID_TEXT);
    visitor_connected(&client->visitor);
    member_set(client, true);
}

/* Some answers come with bytes: the number in digits. */
static void reply(struct ask_client *client, uint64_t ack, uint32_t number)
{
    struct buf digits = {0};
    ask_check_replied(client->check, number);
    if (number % 7 != 0) {
        visitor_say(&client->visitor, "43/asks,%llu[%u]", (unsigned long long)ack, number);
        return;
    }
    buf_printf(&digits, "%u", number);
    visitor_say(&client->visitor, "461-/asks,%llu[%u,{\"_placeholder\":true,\"num\":0}]", (unsigned long long)ack,
                number);
    engine_client_send(&client->visitor.engine, true, buf_span(&digits));
    buf_finish(&digits);
}

/* Perhaps on another connection than the question: then nobody waits for it any more. */
static void reply_late(struct visitor *visitor)
{
    struct ask_client *client = client_of(visitor);
    if (visitor->state == CLIENT_CONNECTED && client->late_number != 0)
        reply(client, client->late_ack, client->late_number);
    client->late_number = 0;
}

static void questioned(struct ask_client *client, struct span args, uint64_t ack)
{
    struct sim *sim = client->visitor.world->sim;
    uint64_t number = 0, dice = sim_below(sim, 100);
    char sid[SID_TEXT] = "";
    struct buf text = {0};
    json_string_decode(json_array_at(args, 1), &text);
    snprintf(sid, sizeof sid, SPAN_FMT, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
    span_to_u64(json_array_at(args, 2), &number);
    ask_check_heard(client->check, &client->member, number, span_str(sid));
    if (client->check->check->failure != NULL)
        return;
    if (dice < 72) {
        reply(client, ack, (uint32_t)number);
        if (dice < 8)
            reply(client, ack, (uint32_t)number);
    } else if (dice < 92 && client->late_number == 0) {
        client->late_ack = ack;
        client->late_number = (uint32_t)number;
        sim_timer_start(sim, &client->visitor.reply, LOOP_MS(sim_below(sim, REPLY_MS_MAX)));
    }
}

static void acked(struct ask_client *client, uint64_t ack, struct span args)
{
    struct span first = json_array_at(args, 0);
    struct buf reason = {0};
    uint64_t value = 0;
    for (int i = 0; i < ASKS_WAITING_MAX; i++) {
        uint32_t number = client->waiting[i].number;
        if (number == 0 || client->waiting[i].ack != ack)
            continue;
        client->waiting[i].number = 0;
        if (json_type(first) == JSON_OBJECT) {
            json_string_decode(json_object_get(first, SPAN_LIT("reason")), &reason);
            ask_check_failed(client->check, number, buf_span(&reason));
        } else {
            span_to_u64(first, &value);
            ask_check_answered(client->check, number, value);
        }
        buf_finish(&reason);
        return;
    }
    check_fail(client->check->check, "%s: an answer to %llu, which it does not ask, or no longer: " SPAN_FMT,
               client->member.name, (unsigned long long)ack, SPAN_ARG(args));
}

/* An acknowledgement whose bytes are still to come. */
static void answer_keep(struct ask_client *client, const struct socketio_packet *packet, uint64_t ack)
{
    buf_append(&client->text, packet->payload);
    client->text_ack = ack;
}

static void heard(struct visitor *visitor, const struct socketio_packet *packet, bool has_id, uint64_t ack)
{
    struct ask_client *client = client_of(visitor);
    bool is_connected = visitor->state == CLIENT_CONNECTED;
    if (client->text.len > 0)
        check_fail(visitor->check, "%s: a packet between a packet and its bytes", visitor->name);
    else if (packet->type == SOCKETIO_CONNECT && visitor->state == CLIENT_CONNECTING)
        connected(client, packet->payload);
    else if (packet->type == SOCKETIO_EVENT && is_connected && has_id)
        questioned(client, packet->payload, ack);
    else if (packet->type == SOCKETIO_ACK && has_id && is_connected)
        acked(client, ack, packet->payload);
    else if (packet->type == SOCKETIO_BINARY_ACK && has_id && is_connected)
        answer_keep(client, packet, ack);
    else
        check_fail(visitor->check, "%s: a packet of type %d", visitor->name, packet->type);
}

static void bytes_heard(struct visitor *visitor, struct span bytes)
{
    struct ask_client *client = client_of(visitor);
    struct buf text = client->text;
    client->text = (struct buf){0};
    if (text.len == 0 || !span_equal(bytes, json_array_at(buf_span(&text), 0)))
        check_fail(visitor->check, "%s: bytes without a packet, or of another one", visitor->name);
    else
        acked(client, client->text_ack, buf_span(&text));
    buf_finish(&text);
}

static void dials(struct visitor *visitor)
{
    struct ask_client *client = client_of(visitor);
    if (client->restarts || client->ack_next == 0)
        client->ack_next = 1;
}

/* A socket that is there, or was, or was never. */
static const char *sid_pick(struct ask_client *client)
{
    struct sim *sim = client->visitor.world->sim;
    const struct ask_client *other = &client->others[sim_below(sim, (uint64_t)client->count)];
    uint64_t dice = sim_below(sim, 100);
    if (dice < 90 && other->member.sid[0] != '\0')
        return other->member.sid;
    return dice < 97 && other->before[0] != '\0' ? other->before : "nobody00000000000000";
}

static void ask(struct ask_client *client)
{
    for (int i = 0; i < ASKS_WAITING_MAX; i++) {
        if (client->waiting[i].number != 0)
            continue;
        const char *sid = sid_pick(client);
        client->waiting[i] = (struct ask_waiting){.ack = client->ack_next++,
                                                  .number = ask_check_asked(client->check, &client->member, sid)};
        visitor_say(&client->visitor, "42/asks,%u[\"ask\",\"%s\",%u]", client->waiting[i].ack, sid,
                    client->waiting[i].number);
        return;
    }
}

static void act(struct visitor *visitor, uint64_t dice)
{
    ask(client_of(visitor));
}

static const struct visitor_events events = {dials, opened, heard, bytes_heard, away, act, reply_late};

void ask_client_init(struct ask_client *client, struct client_world *world, struct ask_check *check,
                     struct ask_client *all, int count, int number, enum engine_kind kind)
{
    *client = (struct ask_client){.check = check, .others = all, .count = count};
    client->restarts = number % 2 != 0;
    ask_check_add(check, &client->member, number);
    struct visitor *visitor = &client->visitor;
    *visitor = (struct visitor){.nsp = "/asks", .name = client->member.name, .number = number};
    visitor_init(visitor, world, check->check, &events, kind);
    visitor->engine.line.timeout_us = world->timeout_us;
    engine_client_repeat(&visitor->engine, world->repeats, world->seed + 1000 + (uint64_t)number);
    if (kind == ENGINE_PYTHON || kind == ENGINE_PYTHON_POLLING)
        engine_client_strict(&visitor->engine);
}

bool ask_client_is_settled(const struct ask_client *client)
{
    bool settled = client->visitor.state == CLIENT_CONNECTED;
    for (int i = 0; i < ASKS_WAITING_MAX; i++)
        settled = settled && client->waiting[i].number == 0;
    return settled;
}

void ask_client_check(struct ask_client *client)
{
    if (client->visitor.state != CLIENT_CONNECTED)
        check_fail(client->check->check, "%s: is not back (state %d)", client->member.name, client->visitor.state);
    for (int i = 0; i < ASKS_WAITING_MAX; i++)
        if (client->waiting[i].number != 0)
            check_fail(client->check->check, "%s: question %u never ended", client->member.name,
                       client->waiting[i].number);
}

void ask_client_finish(struct ask_client *client)
{
    visitor_finish(&client->visitor);
    buf_finish(&client->text);
}
