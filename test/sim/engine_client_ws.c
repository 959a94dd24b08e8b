/* engine_client_ws: see engine_client.h. Here: its WebSocket, and how the session moves to it. */
#include <stdio.h>

#include "engine_client_parts.h"
#include "wire/payload.h"

static void on_opened(struct sim_end *end, void *owner)
{
    struct engine_client *engine = owner;
    if (engine->kind == ENGINE_PLAIN)
        ws_stream_request_plain(end);
    else
        ws_stream_request(end, span_str(engine->sid));
}

/* A WebSocket that was only tried is of no use. */
static void probe_lost(struct engine_client *engine)
{
    engine_python_proved(engine);
    engine->counts.failed++;
    engine_note(engine, "its WebSocket is of no use");
    ws_stream_finish(&engine->stream);
    if (engine->state == ENGINE_TRYING)
        engine_poll(engine);
    else if (engine->state == ENGINE_PAUSING)
        engine->state = ENGINE_MUTE;
}

static void ws_lost(struct engine_client *engine, uint16_t code)
{
    engine->ws = NULL;
    if (engine_client_is_moved(engine))
        engine_fail(engine, code);
    else
        probe_lost(engine);
}

static void ws_drop(struct engine_client *engine, bool reset, uint16_t code)
{
    struct sim_end *ws = engine->ws;
    engine->ws = NULL;
    sim_close(ws, reset);
    ws_lost(engine, code);
}

static void probe_message(struct engine_client *engine, const struct ws_event *event)
{
    if (event->opcode != WS_TEXT || !span_equal(event->payload, SPAN_LIT("3probe"))) {
        if (event->opcode != WS_CLOSE)
            engine->events->broken(engine->owner, "something other than 3probe");
        ws_drop(engine, false, 0);
        return;
    }
    engine_python_proved(engine);
    engine->state = ENGINE_PAUSING;
    engine->proved_us = sim_now_us(engine->sim);
    engine_note(engine, "its WebSocket has proved itself");
    if (engine->get == 0 && engine->post == 0)
        engine_move(engine);
}

static void pinged(struct engine_client *engine, struct span payload)
{
    engine_frame_send(engine, WS_PONG, payload);
    engine->events->pinged(engine->owner);
}

static bool on_message(void *owner, const struct ws_event *event)
{
    struct engine_client *engine = owner;
    uint64_t life = engine->life;
    const struct sim_end *ws = engine->ws;
    if (!engine_client_is_moved(engine))
        probe_message(engine, event);
    else if (event->opcode == WS_CLOSE)
        ws_drop(engine, sim_chance(engine->sim, 500), event->close_code);
    else if (event->opcode == WS_BINARY)
        engine->events->bytes(engine->owner, event->payload);
    else if (event->opcode == WS_TEXT && engine->kind == ENGINE_PLAIN)
        engine->events->packet(engine->owner, event->payload);
    else if (event->opcode == WS_PING && engine->kind == ENGINE_PLAIN)
        pinged(engine, event->payload);
    else if (event->opcode == WS_TEXT)
        engine_packet(engine, event->payload);
    else
        engine->events->broken(engine->owner, "an unexpected frame");
    return engine->life == life && engine->ws == ws;
}

static void on_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct engine_client *engine = owner;
    int status = 0;
    if (end == engine->old)
        return; /* nobody listens */
    bool was_upgraded = engine->stream.upgraded;
    enum ws_stream_result result = ws_stream_received(&engine->stream, bytes, len, on_message, engine, &status);
    if (result == WS_STREAM_NO_UPGRADE && !engine_kind_polls(engine->kind))
        engine->events->broken(engine->owner, "no upgrade");
    else if (result == WS_STREAM_NO_UPGRADE)
        ws_drop(engine, false, 0);
    else if (result == WS_STREAM_BAD_FRAMES)
        engine->events->broken(engine->owner, "invalid frames");
    else if (!was_upgraded && engine->ws == end && engine->stream.upgraded && engine_kind_polls(engine->kind))
        engine_frame_send(engine, WS_TEXT, SPAN_LIT("2probe"));
}

static void on_closed(struct sim_end *end, void *owner)
{
    struct engine_client *engine = owner;
    if (end == engine->old)
        engine->old = NULL;
    else
        ws_lost(engine, 0);
}

static const struct sim_peer peer = {on_opened, on_received, on_closed};

void engine_dial(struct engine_client *engine, uint16_t port)
{
    engine->ws_port = port;
    ws_stream_init(&engine->stream);
    engine->ws = sim_connect(engine->sim, port, &peer, engine);
}

void engine_probe(struct engine_client *engine)
{
    engine_dial(engine, engine->events->pick(engine->owner));
    engine_note(engine, "tries a WebSocket to %u", engine->ws_port);
    engine->events->probing(engine->owner);
    if (engine->python.strict)
        engine_python_probes(engine);
}

void engine_probe_end(struct engine_client *engine)
{
    if (engine->ws != NULL)
        ws_drop(engine, false, 0);
}

void engine_move(struct engine_client *engine)
{
    struct span rest = buf_span(&engine->out), packet;
    bool begun = false;
    engine->state = ENGINE_MOVED;
    engine->counts.moved++;
    engine_frame_send(engine, WS_TEXT, SPAN_LIT("5"));
    while (engine->out.len > 0 && payload_next(&rest, &begun, &packet)) {
        struct buf bytes = {0};
        if (!payload_is_binary(packet))
            engine_frame_send(engine, WS_TEXT, packet);
        else if (payload_binary_decode(&bytes, packet))
            engine_frame_send(engine, WS_BINARY, buf_span(&bytes));
        buf_finish(&bytes);
    }
    buf_finish(&engine->out);
    engine->events->moved(engine->owner);
}

void engine_frame_send(struct engine_client *engine, enum ws_opcode opcode, struct span payload)
{
    static const uint8_t mask[4] = {0x5a, 0x00, 0x91, 0x33};
    struct buf frame = {0};
    ws_masked_encode(&frame, opcode, payload, mask);
    sim_send(engine->ws, buf_span(&frame).data, frame.len);
    buf_finish(&frame);
}
