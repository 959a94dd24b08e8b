/* visitor: its connection and its turns. */
#include "visitor.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/json.h"

enum { OPEN_US_MAX = 3000000, STRICT_US = 30000000 };

static void trace(const struct visitor *visitor, const char *what, struct span text)
{
    if (visitor->world->traced == visitor->number)
        printf("%.6f %s: %s " SPAN_FMT "\n", (double)sim_now_us(visitor->world->sim) / 1e6, visitor->name, what,
               SPAN_ARG(text));
}

void visitor_say(struct visitor *visitor, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    trace(visitor, "says", buf_span(&text));
    engine_client_send(&visitor->engine, false, buf_span(&text));
    buf_finish(&text);
}

static void patience(struct visitor *visitor, uint64_t us)
{
    /* Python's has none of its own: its requests have. */
    if (visitor->engine.python.strict && visitor->state == CLIENT_CONNECTED &&
        !engine_client_is_moved(&visitor->engine))
        us += STRICT_US;
    sim_timer_start(visitor->world->sim, &visitor->silence, us);
}

static void away(struct visitor *visitor)
{
    struct sim *sim = visitor->world->sim;
    visitor->state = CLIENT_AWAY;
    sim_timer_stop(sim, &visitor->silence);
    sim_timer_start(sim, &visitor->again, visitor->events->away(visitor));
}

void visitor_hang_up(struct visitor *visitor)
{
    engine_client_close(&visitor->engine, sim_chance(visitor->world->sim, 500));
    away(visitor);
}

static void silence_over(struct timer *timer)
{
    visitor_hang_up(container_of(timer, struct visitor, silence));
}

static void opened(struct visitor *visitor, struct span data)
{
    struct engineio_handshake handshake;
    if (!engineio_handshake_decode(data, &handshake)) {
        check_fail(visitor->check, "%s: an invalid handshake", visitor->name);
        return;
    }
    visitor->patience_us = LOOP_MS(handshake.ping_interval_ms + handshake.ping_timeout_ms);
    visitor->state = CLIENT_CONNECTING;
    patience(visitor, OPEN_US_MAX);
    visitor->events->opened(visitor);
}

void visitor_connected(struct visitor *visitor)
{
    visitor->state = CLIENT_CONNECTED;
    patience(visitor, visitor->patience_us);
}

void visitor_text_get(struct span object, const char *name, char *to, size_t size)
{
    struct buf text = json_text_get(object, name);
    snprintf(to, size, SPAN_FMT, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
}

static void packet_heard(struct visitor *visitor, struct span text)
{
    struct socketio_packet packet;
    uint64_t ack = 0;
    if (socketio_decode(text, &packet) < 0 || !span_equal(packet.nsp, span_str(visitor->nsp))) {
        check_fail(visitor->check, "%s: a packet of another namespace: " SPAN_FMT, visitor->name, SPAN_ARG(text));
        return;
    }
    bool has_id = packet.ack_id.len != 0 && span_to_u64(packet.ack_id, &ack);
    visitor->events->heard(visitor, &packet, has_id, ack);
}

static void on_packet(void *owner, struct span text)
{
    struct visitor *visitor = owner;
    struct engineio_packet packet;
    trace(visitor, "gets", text);
    if (engineio_decode(text, &packet) < 0)
        return; /* the engine has told */
    if (packet.type == ENGINEIO_OPEN && visitor->state == CLIENT_OPENING) {
        opened(visitor, packet.data);
    } else if (packet.type == ENGINEIO_MESSAGE) {
        packet_heard(visitor, packet.data);
    } else if (packet.type == ENGINEIO_PING) {
        patience(visitor, visitor->patience_us);
        visitor_say(visitor, "3");
    }
}

static void on_pinged(void *owner)
{
    struct visitor *visitor = owner;
    patience(visitor, visitor->patience_us);
}

static void on_bytes(void *owner, struct span bytes)
{
    struct visitor *visitor = owner;
    visitor->events->bytes(visitor, bytes);
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
    struct visitor *visitor = owner;
    check_fail(visitor->check, "%s: %s", visitor->name, what);
}

static void on_noted(void *owner, const char *what)
{
    trace(owner, "notes", span_str(what));
}

static uint16_t on_pick(void *owner)
{
    const struct visitor *visitor = owner;
    return visitor->world->instance_pick(visitor->world->arg);
}

static const struct engine_events engine_events = {on_packet, on_pinged, on_bytes, on_nothing, on_nothing,
                                                   on_closed, on_broken, on_noted, on_pick};

static void dial(struct timer *timer)
{
    struct visitor *visitor = container_of(timer, struct visitor, again);
    uint16_t port = on_pick(visitor);
    if (port == 0) {
        sim_timer_start(visitor->world->sim, timer, LOOP_MS(100));
        return;
    }
    visitor->state = CLIENT_OPENING;
    visitor->events->dials(visitor);
    engine_client_open(&visitor->engine, port);
    patience(visitor, OPEN_US_MAX);
}

static void act(struct timer *timer)
{
    struct visitor *visitor = container_of(timer, struct visitor, act);
    struct sim *sim = visitor->world->sim;
    uint64_t dice = sim_below(sim, 100);
    if (visitor->quiet)
        return;
    sim_timer_start(sim, timer, LOOP_MS(30 + sim_below(sim, 800)));
    if (visitor->state != CLIENT_CONNECTED)
        return;
    if (dice < VISITOR_STAYS) {
        visitor->events->act(visitor, dice);
        return;
    }
    if (dice < VISITOR_STAYS + 2)
        visitor_say(visitor, "41%s,", visitor->nsp);
    visitor_hang_up(visitor);
}

static void reply_due(struct timer *timer)
{
    struct visitor *visitor = container_of(timer, struct visitor, reply);
    visitor->events->reply(visitor);
}

void visitor_init(struct visitor *visitor, struct client_world *world, struct check *check,
                  const struct visitor_events *events, enum engine_kind kind)
{
    struct sim *sim = world->sim;
    visitor->world = world;
    visitor->check = check;
    visitor->events = events;
    engine_client_init(&visitor->engine, sim, &engine_events, visitor);
    visitor->engine.kind = (uint8_t)kind;
    visitor->engine.losses = world->losses;
    visitor->engine.line.keeps = engine_kind_polls(kind) && sim_chance(sim, 500);
    timer_init(&visitor->again, dial);
    timer_init(&visitor->silence, silence_over);
    timer_init(&visitor->act, act);
    timer_init(&visitor->reply, reply_due);
    sim_timer_start(sim, &visitor->again, LOOP_MS(sim_below(sim, 1000)));
    sim_timer_start(sim, &visitor->act, LOOP_MS(1000 + sim_below(sim, 1000)));
}

void visitor_quiet(struct visitor *visitor)
{
    visitor->quiet = true;
    visitor->engine.losses = visitor->engine.repeats = 0;
    sim_timer_stop(visitor->world->sim, &visitor->act);
    if (visitor->state == CLIENT_AWAY)
        sim_timer_start(visitor->world->sim, &visitor->again, 0);
}

void visitor_finish(struct visitor *visitor)
{
    struct timer *const timers[] = {&visitor->again, &visitor->silence, &visitor->act, &visitor->reply};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        sim_timer_stop(visitor->world->sim, timers[i]);
    engine_client_finish(&visitor->engine);
}
