/* ask_client: its connection, its questions and its answers. See ask_client.h. */
#include "ask_client.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/json.h"
#include "wire/socketio.h"

enum { OPEN_US_MAX = 3000000, REPLY_MS_MAX = 4000, STRICT_US = 30000000 };

static void dial(struct timer *timer);

__attribute__((format(printf, 2, 3))) static void say(struct ask_client *client, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    if (client->world->traced == client->member.number)
        printf("%.6f %s: says " SPAN_FMT "\n", (double)sim_now_us(client->world->sim) / 1e6, client->member.name,
               SPAN_ARG(buf_span(&text)));
    engine_client_send(&client->engine, false, buf_span(&text));
    buf_finish(&text);
}

static void patience(struct ask_client *client, uint64_t us)
{
    /* Python's has none of its own: its requests have. */
    if (client->engine.python.strict && client->state == CLIENT_CONNECTED && !engine_client_is_moved(&client->engine))
        us += STRICT_US;
    sim_timer_start(client->world->sim, &client->silence, us);
}

static void member_set(struct ask_client *client, bool connected)
{
    client->member.connected = connected;
    client->member.changed_us = sim_now_us(client->world->sim);
}

static void away(struct ask_client *client)
{
    struct sim *sim = client->world->sim;
    client->state = CLIENT_AWAY;
    member_set(client, false);
    buf_finish(&client->text);
    for (int i = 0; i < ASKS_WAITING_MAX; i++) {
        if (client->waiting[i].number != 0)
            ask_check_given_up(client->check, client->waiting[i].number);
        client->waiting[i].number = 0;
    }
    sim_timer_stop(sim, &client->silence);
    sim_timer_start(sim, &client->again, LOOP_MS(20 + sim_below(sim, client->quiet ? 300 : 1500)));
}

static void hang_up(struct ask_client *client)
{
    engine_client_close(&client->engine, sim_chance(client->world->sim, 500));
    away(client);
}

static void silence_over(struct timer *timer)
{
    hang_up(container_of(timer, struct ask_client, silence));
}

static void opened(struct ask_client *client, struct span data)
{
    struct engineio_handshake handshake;
    if (!engineio_handshake_decode(data, &handshake)) {
        check_fail(client->check->check, "%s: an invalid handshake", client->member.name);
        return;
    }
    client->patience_us = LOOP_MS(handshake.ping_interval_ms + handshake.ping_timeout_ms);
    client->state = CLIENT_CONNECTING;
    patience(client, OPEN_US_MAX);
    if (client->pid[0] == '\0')
        say(client, "40/asks,{}");
    else
        say(client, "40/asks,{\"pid\":\"%s\"}", client->pid);
}

static void text_get(struct span object, struct span name, char *to, size_t size)
{
    struct buf text = {0};
    json_string_decode(json_object_get(object, name), &text);
    snprintf(to, size, SPAN_FMT, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
}

static void connected(struct ask_client *client, struct span payload)
{
    char sid[SID_TEXT];
    text_get(payload, SPAN_LIT("sid"), sid, sizeof sid);
    text_get(payload, SPAN_LIT("pid"), client->pid, sizeof client->pid);
    if (strcmp(sid, client->member.sid) != 0)
        memcpy(client->before, client->member.sid, SID_TEXT);
    memcpy(client->member.sid, sid, SID_TEXT);
    client->state = CLIENT_CONNECTED;
    member_set(client, true);
    patience(client, client->patience_us);
}

/* Some answers come with bytes: the number in digits. */
static void reply(struct ask_client *client, uint64_t ack, uint32_t number)
{
    struct buf digits = {0};
    ask_check_replied(client->check, number);
    if (number % 7 != 0) {
        say(client, "43/asks,%llu[%u]", (unsigned long long)ack, number);
        return;
    }
    buf_printf(&digits, "%u", number);
    say(client, "461-/asks,%llu[%u,{\"_placeholder\":true,\"num\":0}]", (unsigned long long)ack, number);
    engine_client_send(&client->engine, true, buf_span(&digits));
    buf_finish(&digits);
}

/* Perhaps on another connection than the question: then nobody waits for it any more. */
static void reply_late(struct timer *timer)
{
    struct ask_client *client = container_of(timer, struct ask_client, reply);
    if (client->state == CLIENT_CONNECTED && client->late_number != 0)
        reply(client, client->late_ack, client->late_number);
    client->late_number = 0;
}

static void questioned(struct ask_client *client, struct span args, uint64_t ack)
{
    struct sim *sim = client->world->sim;
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
        sim_timer_start(sim, &client->reply, LOOP_MS(sim_below(sim, REPLY_MS_MAX)));
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

static void packet_heard(struct ask_client *client, struct span text)
{
    struct socketio_packet packet;
    uint64_t ack = 0;
    if (socketio_decode(text, &packet) < 0 || !span_equal(packet.nsp, SPAN_LIT("/asks")) || client->text.len > 0) {
        check_fail(client->check->check, "%s: a packet of another namespace, or between a packet and its bytes",
                   client->member.name);
        return;
    }
    bool has_id = packet.ack_id.len != 0 && span_to_u64(packet.ack_id, &ack);
    if (packet.type == SOCKETIO_CONNECT && client->state == CLIENT_CONNECTING)
        connected(client, packet.payload);
    else if (packet.type == SOCKETIO_EVENT && client->state == CLIENT_CONNECTED && has_id)
        questioned(client, packet.payload, ack);
    else if (packet.type == SOCKETIO_ACK && has_id && client->state == CLIENT_CONNECTED)
        acked(client, ack, packet.payload);
    else if (packet.type == SOCKETIO_BINARY_ACK && has_id && client->state == CLIENT_CONNECTED)
        buf_append(&client->text, text);
    else
        check_fail(client->check->check, "%s: a packet of type %d", client->member.name, packet.type);
}

static void on_packet(void *owner, struct span text)
{
    struct ask_client *client = owner;
    struct engineio_packet packet;
    if (client->world->traced == client->member.number)
        printf("%.6f %s: gets " SPAN_FMT "\n", (double)sim_now_us(client->world->sim) / 1e6, client->member.name,
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

static void on_bytes(void *owner, struct span bytes)
{
    struct ask_client *client = owner;
    struct socketio_packet packet;
    uint64_t ack = 0;
    struct buf text = client->text;
    client->text = (struct buf){0};
    if (text.len == 0 || socketio_decode(buf_span(&text), &packet) < 0 ||
        !span_equal(bytes, json_array_at(packet.payload, 0)))
        check_fail(client->check->check, "%s: bytes without a packet, or of another one", client->member.name);
    else if (span_to_u64(packet.ack_id, &ack))
        acked(client, ack, packet.payload);
    buf_finish(&text);
}

static void on_pinged(void *owner)
{
    struct ask_client *client = owner;
    patience(client, client->patience_us);
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
    struct ask_client *client = owner;
    check_fail(client->check->check, "%s: %s", client->member.name, what);
}

static void on_noted(void *owner, const char *what)
{
    const struct ask_client *client = owner;
    if (client->world->traced == client->member.number)
        printf("%.6f %s: notes %s\n", (double)sim_now_us(client->world->sim) / 1e6, client->member.name, what);
}

static uint16_t on_pick(void *owner)
{
    const struct ask_client *client = owner;
    return client->world->instance_pick(client->world->arg);
}

static const struct engine_events engine_events = {on_packet, on_pinged, on_bytes, on_nothing, on_nothing,
                                                   on_closed, on_broken, on_noted, on_pick};

static void dial(struct timer *timer)
{
    struct ask_client *client = container_of(timer, struct ask_client, again);
    struct client_world *world = client->world;
    uint16_t port = world->instance_pick(world->arg);
    if (port == 0) {
        sim_timer_start(world->sim, timer, LOOP_MS(100));
        return;
    }
    client->state = CLIENT_OPENING;
    if (client->restarts || client->ack_next == 0)
        client->ack_next = 1;
    engine_client_open(&client->engine, port);
    patience(client, OPEN_US_MAX);
}

/* A socket that is there, or was, or was never. */
static const char *sid_pick(struct ask_client *client)
{
    struct sim *sim = client->world->sim;
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
        say(client, "42/asks,%u[\"ask\",\"%s\",%u]", client->waiting[i].ack, sid, client->waiting[i].number);
        return;
    }
}

static void act(struct timer *timer)
{
    struct ask_client *client = container_of(timer, struct ask_client, act);
    struct sim *sim = client->world->sim;
    uint64_t dice = sim_below(sim, 100);
    if (client->quiet)
        return;
    sim_timer_start(sim, timer, LOOP_MS(30 + sim_below(sim, 800)));
    if (client->state != CLIENT_CONNECTED)
        return;
    if (dice < 94) {
        ask(client);
    } else if (dice < 96) {
        say(client, "41/asks,");
        hang_up(client);
    } else {
        hang_up(client);
    }
}

void ask_client_init(struct ask_client *client, struct client_world *world, struct ask_check *check,
                     struct ask_client *all, int count, int number, enum engine_kind kind)
{
    struct sim *sim = world->sim;
    *client = (struct ask_client){.world = world, .check = check, .others = all, .count = count};
    client->restarts = number % 2 != 0;
    ask_check_add(check, &client->member, number);
    engine_client_init(&client->engine, sim, &engine_events, client);
    client->engine.kind = (uint8_t)kind;
    client->engine.losses = world->losses;
    client->engine.line.timeout_us = world->timeout_us;
    client->engine.line.keeps = engine_kind_polls(kind) && sim_chance(sim, 500);
    engine_client_repeat(&client->engine, world->repeats, world->seed + 1000 + (uint64_t)number);
    if (kind == ENGINE_PYTHON || kind == ENGINE_PYTHON_POLLING)
        engine_client_strict(&client->engine);
    timer_init(&client->again, dial);
    timer_init(&client->silence, silence_over);
    timer_init(&client->act, act);
    timer_init(&client->reply, reply_late);
    sim_timer_start(sim, &client->again, LOOP_MS(sim_below(sim, 1000)));
    sim_timer_start(sim, &client->act, LOOP_MS(1000 + sim_below(sim, 1000)));
}

void ask_client_quiet(struct ask_client *client)
{
    client->quiet = true;
    client->engine.losses = client->engine.repeats = 0;
    sim_timer_stop(client->world->sim, &client->act);
    if (client->state == CLIENT_AWAY)
        sim_timer_start(client->world->sim, &client->again, 0);
}

bool ask_client_is_settled(const struct ask_client *client)
{
    bool settled = client->state == CLIENT_CONNECTED;
    for (int i = 0; i < ASKS_WAITING_MAX; i++)
        settled = settled && client->waiting[i].number == 0;
    return settled;
}

void ask_client_check(struct ask_client *client)
{
    if (client->state != CLIENT_CONNECTED)
        check_fail(client->check->check, "%s: is not back (state %d)", client->member.name, client->state);
    for (int i = 0; i < ASKS_WAITING_MAX; i++)
        if (client->waiting[i].number != 0)
            check_fail(client->check->check, "%s: question %u never ended", client->member.name,
                       client->waiting[i].number);
}

void ask_client_finish(struct ask_client *client)
{
    struct sim *sim = client->world->sim;
    struct timer *const timers[] = {&client->again, &client->silence, &client->act, &client->reply};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        sim_timer_stop(sim, timers[i]);
    engine_client_finish(&client->engine);
    buf_finish(&client->text);
}
