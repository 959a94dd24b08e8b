/* hostile: each of its tricks is a function that makes one request. See hostile.h. */
#include "hostile.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/engineio.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum { FLOOD = 150, DELUGE = 6000, ACT_MS = 60 };

static void dial(struct timer *timer);

static void send_bytes(struct hostile *hostile, struct span text, size_t kept_back)
{
    static const uint8_t mask[4] = {0x11, 0x22, 0x33, 0x44};
    struct buf frame = {0};
    if (hostile->spoiled)
        return;
    ws_masked_encode(&frame, WS_TEXT, text, mask);
    hostile->sent++;
    sim_send(hostile->end, buf_span(&frame).data, frame.len > kept_back ? frame.len - kept_back : 1);
    hostile->spoiled = kept_back > 0;
    buf_finish(&frame);
}

__attribute__((format(printf, 2, 3))) static void say(struct hostile *hostile, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (hostile->end != NULL && len >= 0)
        send_bytes(hostile, span_of(text, (size_t)len), 0);
    free(text);
}

/* Of some other client; empty: it has none. */
static const char *victim_pid(const struct hostile *hostile)
{
    const struct client_world *world = hostile->world;
    return world->clients[sim_below(world->sim, (uint64_t)world->count)].pid;
}

static const char *victim_sid(const struct hostile *hostile)
{
    const struct client_world *world = hostile->world;
    const struct stock_client *victim = &world->clients[sim_below(world->sim, (uint64_t)world->count)];
    return victim->witness.lease != NULL ? victim->witness.lease->sid : "aaaaaaaaaaaaaaaaaaaa";
}

static const char *epoch_name(const struct hostile *hostile)
{
    const struct truths *truths = &hostile->world->check->truths;
    return truths->epoch_count > 0 ? truths->epochs[truths->epoch].name : "e";
}

static void guess(struct hostile *hostile, char to[SID_TEXT])
{
    for (int i = 0; i < ENGINEIO_SID_BYTES; i++)
        to[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[sim_below(hostile->world->sim, 36)];
    to[ENGINEIO_SID_BYTES] = '\0';
}

/* Enters both namespaces, as somebody new or as somebody that it is not. */
static void enter(struct hostile *hostile)
{
    char guessed[SID_TEXT];
    const char *offset = "";
    bool pids = hostile->kinds >> HOSTILE_PIDS & 1;
    if (!hostile->inside)
        hostile->joined_us = sim_now_us(hostile->world->sim);
    hostile->inside = true;
    guess(hostile, guessed);
    /* The pid of the other namespace, or a guess, with a position of everybody's: it is nobody's here. */
    const char *here = sim_chance(hostile->world->sim, 500) ? hostile->pids[1] : guessed;
    const char *there = sim_chance(hostile->world->sim, 700) ? victim_pid(hostile) : hostile->pids[0];
    if (hostile->kinds >> HOSTILE_TOKENS & 1)
        offset = sim_chance(hostile->world->sim, 500) ? "0" : "zz";
    if (pids && here[0] != '\0')
        say(hostile, "40{\"pid\":\"%s\",\"offset\":\"1%s.%s\"}", here, epoch_name(hostile), offset);
    else
        say(hostile, "40{\"offset\":\"1%s.%s\"}", epoch_name(hostile), offset);
    if (pids && there[0] != '\0')
        say(hostile, "40/evil,{\"pid\":\"%s\",\"offset\":\"1%s.%s\"}", there, epoch_name(hostile), offset);
    else
        say(hostile, "40/evil,");
}

static void rooms_try(struct hostile *hostile)
{
    static const char *const shapes[] = {
        "\"evil\\u0000\"", "\"evil\\u0000,room1\"", "\"evil\\u001b[2J\"", "\"\"",  "null", "{}",       "[[]]",
        "[\"evil\",true]", "\"room1\\u0000evil\"",  "\"evil\\u202e\"",    "false", "[]",   "\",evil\""};
    struct sim *sim = hostile->world->sim;
    const char *shape = shapes[sim_below(sim, sizeof shapes / sizeof shapes[0])];
    const char *verb = sim_chance(sim, 600) ? "join" : sim_chance(sim, 500) ? "leave" : "past";
    if (sim_chance(sim, 300))
        say(hostile, "42%u[\"%s\",\"%s\"]", hostile->ack_next++, verb, victim_sid(hostile));
    else if (sim_chance(sim, 100))
        say(hostile, "42%u[\"%s\",\"evil%02000d\"]", hostile->ack_next++, verb, 0);
    else
        say(hostile, "42%u[\"%s\",%s]", hostile->ack_next++, verb, shape);
    say(hostile, "42[\"say\",%s,{\"id\":\"evil\"}]", shape);
    say(hostile, "42[\"hum\",\"%s\",{\"id\":\"evil\"}]", victim_sid(hostile));
    say(hostile, "42[\"say\",\"room%d\",{\"id\":\"evil\"}]", 1 + (int)sim_below(sim, ROOMS - 1));
    say(hostile, "42[\"say\",[\"evil1\",\"room%d\"],{\"id\":\"evil\"}]", 1 + (int)sim_below(sim, ROOMS - 1));
}

static void excepts_try(struct hostile *hostile)
{
    static const char *const shapes[] = {"{}", "[[]]", "[1,{}]", "[\"room1\",null]", "false", "true", "[\"\"]", "[{}]"};
    struct sim *sim = hostile->world->sim;
    const char *shape = shapes[sim_below(sim, sizeof shapes / sizeof shapes[0])];
    say(hostile, "42[\"%s\",{\"id\":\"evil\"},%s]", sim_chance(sim, 500) ? "all" : "wave", shape);
}

static void tokens_try(struct hostile *hostile)
{
    static const char *const tails[] = {"0", "1", "zzzzz", "zzzzzzzzzzzz", "1.1.1", "-1", "3w5e11264sgsf.1.0"};
    struct sim *sim = hostile->world->sim;
    const char *tail = tails[sim_below(sim, sizeof tails / sizeof tails[0])];
    int room = (int)sim_below(sim, ROOMS);
    char name[16];
    snprintf(name, sizeof name, room == 0 ? "null" : "\"room%d\"", room);
    say(hostile, "42%u[\"past\",%s,{\"%s\":\"1%s.%s\",\"limit\":1000}]", hostile->ack_next++, name,
        sim_chance(sim, 500) ? "after" : "before", epoch_name(hostile), tail);
}

static void publish_flood(struct hostile *hostile)
{
    struct sim *sim = hostile->world->sim;
    int count = sim_chance(sim, 150) ? DELUGE : FLOOD, bytes = count == FLOOD && sim_chance(sim, 100) ? 20000 : 10;
    for (int i = 0; i < count; i++) {
        say(hostile, "42%u[\"say\",\"evil1\",{\"id\":\"evil-%d-%llu\",\"pad\":\"%0*d\"}]", hostile->ack_next++,
            hostile->number, (unsigned long long)hostile->sent, bytes, 0);
        if (i < FLOOD)
            say(hostile, "42/evil,%u[\"all\",{\"id\":\"evil\"}]", hostile->ack_next++);
    }
}

static void ask_flood(struct hostile *hostile)
{
    for (int i = 0; i < FLOOD; i++) {
        say(hostile, "42/evil,%u[\"who\",null]", hostile->ack_next++);
        say(hostile, "42%u[\"past\",\"evil1\",{\"limit\":1000}]", hostile->ack_next++);
    }
}

static void join_flood(struct hostile *hostile)
{
    struct sim *sim = hostile->world->sim;
    for (int i = 0; i < FLOOD; i++)
        say(hostile, "42%u[\"%s\",\"evil%d\"]", hostile->ack_next++, sim_chance(sim, 500) ? "join" : "leave",
            1 + (int)sim_below(sim, 200));
}

static void cycle(struct hostile *hostile)
{
    for (int i = 0; i < 10; i++) {
        say(hostile, "42%u[\"say\",\"evil1\",{\"id\":\"evil-c-%d-%llu\"}]", hostile->ack_next++, hostile->number,
            (unsigned long long)hostile->sent);
        say(hostile, "41");
        say(hostile, "41/evil,");
        enter(hostile);
        say(hostile, "42%u[\"join\",\"evil1\"]", hostile->ack_next++);
    }
}

static void act(struct timer *timer)
{
    struct hostile *hostile = container_of(timer, struct hostile, act);
    struct sim *sim = hostile->world->sim;
    int kind = (int)sim_below(sim, HOSTILE_KINDS);
    while (!(hostile->kinds >> kind & 1))
        kind = (kind + 1) % HOSTILE_KINDS;
    sim_timer_start(sim, timer, LOOP_MS(ACT_MS + sim_below(sim, ACT_MS)));
    if (hostile->state != HOSTILE_OPEN || hostile->spoiled)
        return;
    switch (kind) {
    case HOSTILE_PIDS:
        enter(hostile);
        break;
    case HOSTILE_TOKENS:
        tokens_try(hostile);
        break;
    case HOSTILE_ROOMS:
        rooms_try(hostile);
        break;
    case HOSTILE_EXCEPTS:
        excepts_try(hostile);
        break;
    case HOSTILE_PUBLISH:
        publish_flood(hostile);
        break;
    case HOSTILE_ASK:
        ask_flood(hostile);
        break;
    case HOSTILE_JOIN:
        join_flood(hostile);
        break;
    case HOSTILE_CYCLES:
        cycle(hostile);
        break;
    case HOSTILE_HALF:
        if (sim_chance(sim, 100))
            send_bytes(hostile, SPAN_LIT("42[\"say\",\"evil1\",{\"id\":\"evil\"}]"), 1 + sim_below(sim, 30));
        break;
    default:
        if (sim_chance(sim, 200)) {
            hostile->deaf = !hostile->deaf;
            sim_hold(hostile->end, hostile->deaf);
        }
        break;
    }
}

static void wrong(const struct hostile *hostile, const char *why, struct span text)
{
    struct span begin = span_sub(text, 0, text.len < 200 ? text.len : 200);
    check_fail(hostile->world->check, "hostile client %d: %s: " SPAN_FMT, hostile->number, why, SPAN_ARG(begin));
}

static bool holds(struct span text, const char *what)
{
    return memmem(text.data, text.len, what, strlen(what)) != NULL;
}

/* A socket joins where its instance stands in the order of entries, which may lie behind what Redis has accepted. */
enum { LAG_US = 200000 };

/* A hostile client is in no room of others, so an event to their rooms, or to one of their sockets, must not reach
 * it. */
static void event_look(struct hostile *hostile, struct span args)
{
    struct span name = json_array_at(args, 0), first = json_array_at(args, 1);
    const struct truths *truths = &hostile->world->check->truths;
    uint64_t number;
    bool to_rooms = json_string_equal(name, SPAN_LIT("say")) || json_string_equal(name, SPAN_LIT("tell")) ||
                    json_string_equal(name, SPAN_LIT("hum")) || json_string_equal(name, SPAN_LIT("whisper"));
    bool to_one = json_string_equal(name, SPAN_LIT("dm")) || json_string_equal(name, SPAN_LIT("poke"));
    if (to_rooms && holds(first, "room") && !holds(first, "evil"))
        wrong(hostile, "is sent what was said in a room that it is not in", args);
    else if (to_one && !json_string_equal(first, span_str(hostile->sids[0])))
        wrong(hostile, "is sent what was for another socket", args);
    else if (!to_rooms && !to_one && json_type(first) == JSON_OBJECT &&
             span_to_u64(json_object_get(first, SPAN_LIT("id")), &number) && number < truths->message_count &&
             truths->messages[number].pushed_us != 0 &&
             truths->messages[number].pushed_us + LAG_US < hostile->joined_us)
        wrong(hostile, "is sent what was said before it came", args);
}

/* A page of history with events of others' rooms, or to others' sockets. */
static bool reads_others(struct span answer)
{
    char text[40];
    for (int room = 1; room < ROOMS; room++) {
        snprintf(text, sizeof text, "\"args\":[\"say\",\"room%d\"", room);
        if (holds(answer, text))
            return true;
    }
    return holds(answer, "\"args\":[\"tell\"") || holds(answer, "\"args\":[\"say\",[\"room") ||
           holds(answer, "\"args\":[\"dm\"");
}

static void packet(struct hostile *hostile, struct span text)
{
    struct socketio_packet packet;
    if (socketio_decode(text, &packet) < 0) {
        wrong(hostile, "gets an invalid packet", text);
        return;
    }
    bool evil = span_equal(packet.nsp, SPAN_LIT("/evil"));
    if (packet.type == SOCKETIO_CONNECT) {
        struct buf pid = {0}, sid = {0};
        json_string_decode(json_object_get(packet.payload, SPAN_LIT("pid")), &pid);
        json_string_decode(json_object_get(packet.payload, SPAN_LIT("sid")), &sid);
        snprintf(hostile->pids[evil], SID_TEXT, SPAN_FMT, SPAN_ARG(buf_span(&pid)));
        snprintf(hostile->sids[evil], SID_TEXT, SPAN_FMT, SPAN_ARG(buf_span(&sid)));
        for (int i = 0; i < hostile->world->count; i++)
            if (strcmp(hostile->world->clients[i].pid, hostile->pids[evil]) == 0 && pid.len > 0)
                wrong(hostile, "has taken over another client's socket", packet.payload);
        buf_finish(&pid);
        buf_finish(&sid);
        if (!evil)
            say(hostile, "42%u[\"join\",\"evil1\"]", hostile->ack_next++);
    } else if (packet.type == SOCKETIO_EVENT && !evil) {
        event_look(hostile, packet.payload);
    } else if (packet.type == SOCKETIO_ACK && reads_others(packet.payload)) {
        wrong(hostile, "reads in the history of a room that it is not in", packet.payload);
    }
}

static void message(struct hostile *hostile, const struct ws_event *event)
{
    struct engineio_packet engine;
    if (event->opcode != WS_TEXT || engineio_decode(event->payload, &engine) < 0)
        return;
    if (engine.type == ENGINEIO_OPEN) {
        hostile->state = HOSTILE_OPEN;
        enter(hostile);
    } else if (engine.type == ENGINEIO_PING) {
        say(hostile, "3");
    } else if (engine.type == ENGINEIO_MESSAGE) {
        packet(hostile, engine.data);
    }
}

static void away(struct hostile *hostile)
{
    hostile->end = NULL;
    hostile->state = HOSTILE_AWAY;
    hostile->deaf = hostile->inside = hostile->spoiled = false;
    ws_stream_finish(&hostile->stream);
    if (!hostile->over)
        sim_timer_start(hostile->world->sim, &hostile->again, LOOP_MS(50 + sim_below(hostile->world->sim, 300)));
}

static bool on_message(void *owner, const struct ws_event *event)
{
    struct hostile *hostile = owner;
    const struct sim_end *end = hostile->end;
    message(hostile, event);
    return hostile->end == end;
}

/* The stock clients report a bad response or bad frames; this one ignores both. */
static void on_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct hostile *hostile = owner;
    int status = 0;
    ws_stream_received(&hostile->stream, bytes, len, on_message, hostile, &status);
}

static void on_opened(struct sim_end *end, void *owner)
{
    ws_stream_request(end, SPAN_LIT(""));
}

static void on_closed(struct sim_end *end, void *owner)
{
    away(owner);
}

static const struct sim_peer peer = {on_opened, on_received, on_closed};

static void dial(struct timer *timer)
{
    struct hostile *hostile = container_of(timer, struct hostile, again);
    struct client_world *world = hostile->world;
    hostile->port = world->instance_pick(world->arg);
    if (hostile->port == 0) {
        sim_timer_start(world->sim, timer, LOOP_MS(100));
        return;
    }
    hostile->state = HOSTILE_DIALLING;
    hostile->ack_next = 1;
    ws_stream_init(&hostile->stream);
    hostile->end = sim_connect(world->sim, hostile->port, &peer, hostile);
}

void hostile_init(struct hostile *hostile, struct client_world *world, int number, uint32_t kinds)
{
    *hostile = (struct hostile){.world = world, .number = number, .kinds = kinds};
    timer_init(&hostile->again, dial);
    timer_init(&hostile->act, act);
    sim_timer_start(world->sim, &hostile->again, LOOP_MS(sim_below(world->sim, 1000)));
    sim_timer_start(world->sim, &hostile->act, LOOP_MS(1000 + sim_below(world->sim, 1000)));
}

void hostile_finish(struct hostile *hostile)
{
    if (hostile->over)
        return;
    hostile->over = true;
    sim_timer_stop(hostile->world->sim, &hostile->again);
    sim_timer_stop(hostile->world->sim, &hostile->act);
    if (hostile->end != NULL)
        sim_close(hostile->end, true);
    hostile->end = NULL;
    ws_stream_finish(&hostile->stream);
}
