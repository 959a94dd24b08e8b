/* program_client: its connection, what it hears, and its own actions. See program_client.h. */
#include "program_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "program.h"
#include "wire/json.h"

enum { REFUSED_PER_MILLE = 60, EDGE_MS = 30 };

static struct program_client *client_of(struct visitor *visitor)
{
    return container_of(visitor, struct program_client, visitor);
}

static struct check *check_of(const struct program_client *client)
{
    return client->check->check;
}

/* For a moment; or about until its socket's time is over; or for longer. */
static uint64_t away_us(const struct program_client *client)
{
    struct sim *sim = client->visitor.world->sim;
    uint64_t dice = sim_below(sim, 100);
    if (client->visitor.quiet || dice < 60)
        return LOOP_MS(20 + sim_below(sim, 300));
    if (dice < 80)
        return LOOP_MS(PROGRAM_WINDOW_MS - EDGE_MS) + sim_below(sim, LOOP_MS(EDGE_MS * 2));
    return LOOP_MS(300 + sim_below(sim, 3 * PROGRAM_WINDOW_MS));
}

static uint64_t away(struct visitor *visitor)
{
    struct program_client *client = client_of(visitor);
    client->late_ack = 0;
    memset(client->waiting, 0, sizeof client->waiting);
    sim_timer_stop(visitor->world->sim, &visitor->reply);
    return away_us(client);
}

static void opened(struct visitor *visitor)
{
    struct program_client *client = client_of(visitor);
    client->is_refused = visitor->pid[0] == '\0' && sim_chance(visitor->world->sim, REFUSED_PER_MILLE);
    if (client->is_refused)
        visitor_say(visitor, "40/program,{\"refuse\":%d}", visitor->number + 1);
    else if (visitor->pid[0] == '\0')
        visitor_say(visitor, "40/program,{}");
    else if (client->offset.len == 0)
        visitor_say(visitor, "40/program,{\"pid\":\"%s\"}", visitor->pid);
    else
        visitor_say(visitor, "40/program,{\"pid\":\"%s\",\"offset\":\"" SPAN_FMT "\"}", visitor->pid,
                    SPAN_ARG(buf_span(&client->offset)));
    if (visitor->pid[0] != '\0')
        program_check_returns(client->check, client->sid);
}

static void connected(struct program_client *client, struct span payload)
{
    struct visitor *visitor = &client->visitor;
    char pid[sizeof visitor->pid];
    visitor_text_get(payload, "sid", client->sid, sizeof client->sid);
    visitor_text_get(payload, "pid", pid, sizeof pid);
    if (strcmp(pid, visitor->pid) != 0)
        buf_clear(&client->offset);
    memcpy(visitor->pid, pid, sizeof pid);
    visitor_connected(visitor);
    if (client->is_refused)
        check_fail(check_of(client), "%s: is let in, and the program refuses it", client->name);
    program_check_seen(client->check, span_str(client->sid), engine_kind_polls(client->visitor.engine.kind));
}

/* `{"message":"not today","data":{"code":number}}` */
static void refused(struct program_client *client, struct span payload)
{
    uint64_t code = 0;
    struct span data = json_object_get(payload, SPAN_LIT("data"));
    bool good = json_string_equal(json_object_get(payload, SPAN_LIT("message")), SPAN_LIT("not today")) &&
                span_to_u64(json_object_get(data, SPAN_LIT("code")), &code);
    if (!client->is_refused || !good || code != (uint64_t)client->visitor.number + 1)
        check_fail(check_of(client), "%s: is refused: " SPAN_FMT, client->name, SPAN_ARG(payload));
    client->visitor.pid[0] = '\0';
    visitor_hang_up(&client->visitor);
}

static void reply(struct program_client *client, uint64_t ack, uint32_t number)
{
    program_check_replied(client->check, number);
    visitor_say(&client->visitor, "43/program,%llu[%u]", (unsigned long long)ack, number);
}

static void reply_late(struct visitor *visitor)
{
    struct program_client *client = client_of(visitor);
    if (visitor->state == CLIENT_CONNECTED && client->late_ack != 0)
        reply(client, client->late_ack, client->late_number);
    client->late_ack = 0;
}

static void questioned(struct program_client *client, struct span args, uint64_t ack)
{
    struct sim *sim = client->visitor.world->sim;
    uint64_t number = 0, dice = sim_below(sim, 100);
    if (!span_to_u64(json_array_at(args, 1), &number)) {
        check_fail(check_of(client), "%s: a question without a number", client->name);
        return;
    }
    if (dice < 75) {
        reply(client, ack, (uint32_t)number);
        if (dice < 8)
            reply(client, ack, (uint32_t)number);
    } else if (dice < 95 && client->late_ack == 0) {
        client->late_ack = ack;
        client->late_number = (uint32_t)number;
        sim_timer_start(sim, &client->visitor.reply, LOOP_MS(sim_below(sim, 3000)));
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
            check_fail(check_of(client), "%s: %u is acknowledged with " SPAN_FMT, client->name, waiting->number,
                       SPAN_ARG(args));
        waiting->ack = 0;
        return;
    }
    check_fail(check_of(client), "%s: %llu is acknowledged, and was before", client->name, (unsigned long long)ack);
}

static void heard(struct visitor *visitor, const struct socketio_packet *packet, bool has_id, uint64_t ack)
{
    struct program_client *client = client_of(visitor);
    bool is_connected = visitor->state == CLIENT_CONNECTED;
    if (packet->type == SOCKETIO_CONNECT && visitor->state == CLIENT_CONNECTING)
        connected(client, packet->payload);
    else if (packet->type == SOCKETIO_CONNECT_ERROR && visitor->state == CLIENT_CONNECTING)
        refused(client, packet->payload);
    else if (packet->type == SOCKETIO_EVENT && is_connected && has_id)
        questioned(client, packet->payload, ack);
    else if (packet->type == SOCKETIO_EVENT && is_connected)
        event_shown(client, packet->payload);
    else if (packet->type == SOCKETIO_ACK && has_id && is_connected)
        acked(client, ack, packet->payload);
    else if (packet->type == SOCKETIO_DISCONNECT && is_connected)
        visitor_hang_up(visitor); /* the program has ended it; its pid is of no use, and it begins anew */
    else
        check_fail(check_of(client), "%s: a packet of type %d", client->name, packet->type);
}

static void bytes_heard(struct visitor *visitor, struct span bytes)
{
    check_fail(visitor->check, "%s: is sent bytes", visitor->name);
}

static void dials(struct visitor *visitor)
{
    client_of(visitor)->ack_next = 1;
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
        visitor_say(&client->visitor, "42/program,%u[\"%s\",%u]", waiting->ack, event, waiting->number);
        return;
    }
}

static void act(struct visitor *visitor, uint64_t dice)
{
    struct program_client *client = client_of(visitor);
    if (dice < 55)
        send_event(client, "count", true);
    else if (dice < 65)
        send_event(client, "later", false);
    else if (dice < 80)
        send_event(client, "say", true);
    else
        send_event(client, "ask-me", true);
}

static const struct visitor_events events = {dials, opened, heard, bytes_heard, away, act, reply_late};

void program_client_init(struct program_client *client, struct client_world *world, struct program_check *check,
                         int number, enum engine_kind kind)
{
    *client = (struct program_client){.check = check};
    snprintf(client->name, sizeof client->name, "program client %d", number);
    client->visitor = (struct visitor){.nsp = "/program", .name = client->name, .number = number};
    visitor_init(&client->visitor, world, check->check, &events, kind);
}

bool program_client_is_settled(const struct program_client *client)
{
    bool settled = client->visitor.state == CLIENT_CONNECTED;
    for (int i = 0; i < PROGRAM_WAITING_MAX; i++)
        settled = settled && (client->waiting[i].ack == 0 || !client->waiting[i].at_once);
    return settled;
}

void program_client_check(struct program_client *client)
{
    if (client->visitor.state != CLIENT_CONNECTED)
        check_fail(check_of(client), "%s: is not back (state %d)", client->name, client->visitor.state);
    for (int i = 0; i < PROGRAM_WAITING_MAX; i++)
        if (client->waiting[i].ack != 0 && client->waiting[i].at_once)
            check_fail(check_of(client), "%s: %u was never acknowledged", client->name, client->waiting[i].number);
}

void program_client_finish(struct program_client *client)
{
    visitor_finish(&client->visitor);
    buf_finish(&client->offset);
}
