/* engine_client: see engine_client.h. Here: polling, and the session's life. */
#include "engine_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine_client_parts.h"
#include "sim_parts.h"
#include "wire/payload.h"

enum { PYTHON_POST_US_MAX = 5000000, PER_MILLE = 1000 };

static bool is_python(const struct engine_client *engine)
{
    return engine->kind == ENGINE_PYTHON || engine->kind == ENGINE_PYTHON_POLLING;
}

void engine_note(struct engine_client *engine, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    engine->events->noted(engine->owner, text);
}

/* The session is over. Requests under way stay so, and their answers are not read. */
static void session_leave(struct engine_client *engine, bool gone)
{
    engine->state = ENGINE_CLOSED;
    engine->life++;
    if (engine->ws != NULL)
        sim_close(engine->ws, gone);
    engine->ws = NULL;
    ws_stream_finish(&engine->stream);
    engine->sid[0] = '\0';
    engine->get = engine->post = 0;
    engine->get_port = engine->post_port = 0;
    buf_finish(&engine->out);
    poll_line_hold(&engine->line, false);
    sim_timer_stop(engine->sim, &engine->post_late);
    engine_python_leave(engine);
}

/* A request with what waits; the fresh `t` is what engine.io-client has against caches. */
uint64_t engine_ask(struct engine_client *engine, uint16_t *port, const char *method, struct span body)
{
    struct buf text = {0};
    bool posts = method[0] == 'P';
    *port = engine->events->pick(engine->owner);
    buf_printf(&text, "%s /socket.io/?EIO=4&transport=polling", method);
    if (!posts || !is_python(engine))
        buf_printf(&text, "&t=%llx", (unsigned long long)sim_random(engine->sim));
    if (engine->sid[0] != '\0')
        buf_printf(&text, "&sid=%s", engine->sid);
    buf_append(&text, SPAN_LIT(" HTTP/1.1\r\nHost: sim\r\n"));
    if (engine->python.strict)
        buf_append(&text, SPAN_LIT("User-Agent: python-requests/2.28.1\r\n"));
    if (posts)
        buf_printf(&text, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n", body.len);
    if (!engine->line.keeps)
        buf_append(&text, SPAN_LIT("Connection: close\r\n"));
    buf_append(&text, SPAN_LIT("\r\n"));
    buf_append(&text, body);
    /* Where nobody lives, the ingress has an answer of its own; here it is none at all. */
    uint64_t tag = poll_line_ask(&engine->line, *port, buf_span(&text));
    engine_note(engine, "%s to %u", method, *port);
    if (engine->repeats > 0) {
        struct buf *kept = posts ? &engine->post_bytes : &engine->get_bytes;
        buf_clear(kept);
        buf_append(kept, buf_span(&text));
    }
    buf_finish(&text);
    return tag;
}

void engine_get(struct engine_client *engine)
{
    engine->counts.polls++;
    engine->get = engine_ask(engine, &engine->get_port, "GET", SPAN_LIT(""));
    if (engine->python.strict)
        engine_python_asked(engine);
}

/* As many packets as one body takes; one at least. */
static void out_take(struct engine_client *engine, struct buf *body)
{
    struct span rest = buf_span(&engine->out), packet;
    bool begun = false;
    size_t taken = 0;
    while (payload_next(&rest, &begun, &packet)) {
        size_t end = (size_t)(packet.data + packet.len - buf_span(&engine->out).data);
        if (taken > 0 && end > engine->payload_bytes_max)
            break;
        taken = end;
    }
    buf_append(body, span_sub(buf_span(&engine->out), 0, taken));
    buf_consume(&engine->out, taken < engine->out.len ? taken + 1 : taken);
}

static void post_begin(struct engine_client *engine)
{
    struct buf body = {0};
    if (engine->python.strict) {
        engine_python_post(engine);
        return;
    }
    if (engine->state != ENGINE_POLLS || engine->post != 0 || engine->out.len == 0)
        return;
    out_take(engine, &body);
    engine->post = engine_ask(engine, &engine->post_port, "POST", buf_span(&body));
    if (is_python(engine))
        sim_timer_start(engine->sim, &engine->post_late, PYTHON_POST_US_MAX);
    buf_finish(&body);
}

void engine_poll(struct engine_client *engine)
{
    engine->state = ENGINE_POLLS;
    post_begin(engine);
    engine_get(engine);
}

/* JavaScript says goodbye as soon as it believes that the session is over. */
static void goodbye(struct engine_client *engine)
{
    uint16_t port;
    if (engine->state == ENGINE_POLLS && !is_python(engine))
        engine_ask(engine, &port, "POST", SPAN_LIT("1"));
}

void engine_fail(struct engine_client *engine, uint16_t code)
{
    session_leave(engine, false);
    engine->events->closed(engine->owner, code);
}

static void requests_fail(struct engine_client *engine, const char *method, int status, struct span body)
{
    engine_note(engine, "%s is answered with %d " SPAN_FMT, method, status, SPAN_ARG(body));
    goodbye(engine);
    engine_fail(engine, 0);
}

static void opened(struct engine_client *engine, struct span data)
{
    struct engineio_handshake handshake;
    if (!engineio_handshake_decode(data, &handshake) || handshake.sid.len != ENGINEIO_SID_BYTES) {
        engine->events->broken(engine->owner, "an invalid handshake");
        return;
    }
    memcpy(engine->sid, handshake.sid.data, ENGINEIO_SID_BYTES);
    engine->sid[ENGINEIO_SID_BYTES] = '\0';
    engine->payload_bytes_max = handshake.payload_bytes_max;
    engine->python.patience_us =
        LOOP_MS(handshake.ping_interval_ms > handshake.ping_timeout_ms ? handshake.ping_interval_ms
                                                                       : handshake.ping_timeout_ms);
    engine->state = ENGINE_POLLS;
    if (handshake.upgrade_websocket && (engine->kind == ENGINE_DEFAULT || engine->kind == ENGINE_PYTHON)) {
        engine_probe(engine);
        if (engine->kind == ENGINE_PYTHON)
            engine->state = ENGINE_TRYING;
    }
}

void engine_packet(struct engine_client *engine, struct span text)
{
    struct engineio_packet packet;
    if (engineio_decode(text, &packet) < 0) {
        engine->events->broken(engine->owner, "an invalid packet");
        return;
    }
    if (packet.type == ENGINEIO_OPEN && engine->state == ENGINE_OPENING && engine_kind_polls(engine->kind))
        opened(engine, packet.data);
    if (packet.type == ENGINEIO_CLOSE) {
        engine_fail(engine, 0);
    } else if (packet.type != ENGINEIO_NOOP) {
        engine->events->packet(engine->owner, text);
    }
}

/* Both have ended: the WebSocket takes over. */
static void pause_step(struct engine_client *engine)
{
    if (engine->state == ENGINE_PAUSING && engine->get == 0 && engine->post == 0)
        engine_move(engine);
}

void engine_payload(struct engine_client *engine, struct span payload)
{
    uint64_t life = engine->life;
    struct span packet;
    bool begun = false;
    while (engine->life == life && payload_next(&payload, &begun, &packet)) {
        struct buf bytes = {0};
        if (!payload_is_binary(packet))
            engine_packet(engine, packet);
        else if (payload_binary_decode(&bytes, packet))
            engine->events->bytes(engine->owner, buf_span(&bytes));
        else
            engine->events->broken(engine->owner, "bytes that are not base64");
        buf_finish(&bytes);
    }
}

/* A proxy between the client and the instances repeats a request whose connection has ended without an answer; its tag.
 * 0: not this time. */
static uint64_t ask_again(struct engine_client *engine, uint16_t *port, struct span request)
{
    if (engine->repeats == 0 || !(sim_random_next(engine->dice) % PER_MILLE < engine->repeats))
        return 0;
    engine->counts.repeated++;
    *port = engine->events->pick(engine->owner);
    engine_note(engine, "%s is repeated to %u", request.data[0] == 'G' ? "GET" : "POST", *port);
    return poll_line_ask(&engine->line, *port, request);
}

static void got(struct engine_client *engine, int status, struct span body)
{
    uint64_t life = engine->life;
    bool opens = engine->state == ENGINE_OPENING;
    engine->get = 0;
    engine->get_port = 0;
    sim_timer_stop(engine->sim, &engine->python.get_late);
    if (engine->python.strict && !opens) {
        engine_python_got(engine, status, body);
        return;
    }
    if (status == 0 && (engine->get = ask_again(engine, &engine->get_port, buf_span(&engine->get_bytes))) != 0)
        return;
    if (status != 200 || body.len == 0) {
        requests_fail(engine, "GET", status, body);
        return;
    }
    engine_payload(engine, body);
    if (engine->life != life)
        return;
    if (opens && engine->state == ENGINE_OPENING)
        engine->events->broken(engine->owner, "an answer without a handshake");
    else if (engine->state == ENGINE_POLLS)
        opens ? engine_poll(engine) : engine_get(engine);
    pause_step(engine);
}

static void posted(struct engine_client *engine, int status, struct span body)
{
    engine->post = 0;
    engine->post_port = 0;
    sim_timer_stop(engine->sim, &engine->post_late);
    if (engine->python.strict) {
        engine_python_posted(engine, status);
        return;
    }
    /* Python's POSTs have nothing to tell a repeated one from another with the same packets. */
    if (status == 0 && !is_python(engine) &&
        (engine->post = ask_again(engine, &engine->post_port, buf_span(&engine->post_bytes))) != 0)
        return;
    if (status != 200) {
        requests_fail(engine, "POST", status, body);
        return;
    }
    post_begin(engine);
    pause_step(engine);
}

static void on_done(void *owner, uint64_t tag, int status, struct span body)
{
    struct engine_client *engine = owner;
    bool is_lost = engine->losses > 0 && status == 200 && (tag == engine->get || tag == engine->post) &&
                   sim_chance(engine->sim, engine->losses);
    engine->counts.lost += is_lost;
    if (is_lost) {
        status = 0;
        body = SPAN_LIT("is lost");
    }
    if (tag == engine->get)
        got(engine, status, body);
    else if (tag == engine->post)
        posted(engine, status, body);
}

static void post_late(struct timer *timer)
{
    struct engine_client *engine = container_of(timer, struct engine_client, post_late);
    uint64_t tag = engine->post;
    posted(engine, 0, SPAN_LIT("too late"));
    poll_line_drop(&engine->line, tag, true);
}

void engine_client_init(struct engine_client *engine, struct sim *sim, const struct engine_events *events, void *owner)
{
    *engine = (struct engine_client){.sim = sim, .events = events, .owner = owner};
    poll_line_init(&engine->line, sim, on_done, engine);
    timer_init(&engine->post_late, post_late);
    engine_python_init(engine);
}

void engine_client_repeat(struct engine_client *engine, uint64_t per_mille, uint64_t seed)
{
    engine->repeats = per_mille;
    engine->dice[0] = seed * 0x9e3779b97f4a7c15u + 1;
    engine->dice[1] = seed + 1;
    for (int i = 0; i < 8; i++)
        sim_random_next(engine->dice);
}

void engine_client_finish(struct engine_client *engine)
{
    session_leave(engine, true);
    if (engine->old != NULL)
        sim_close(engine->old, true);
    poll_line_finish(&engine->line);
    buf_finish(&engine->get_bytes);
    buf_finish(&engine->post_bytes);
}

void engine_client_open(struct engine_client *engine, uint16_t port)
{
    engine->state = ENGINE_OPENING;
    engine->life++;
    if (!engine_kind_polls(engine->kind))
        engine_dial(engine, port);
    else
        engine_get(engine);
}

void engine_client_send(struct engine_client *engine, bool binary, struct span bytes)
{
    if (engine_client_is_moved(engine)) {
        engine_frame_send(engine, binary ? WS_BINARY : WS_TEXT, bytes);
        return;
    }
    if (engine->out.len > 0)
        buf_append_char(&engine->out, PAYLOAD_SEPARATOR);
    if (binary)
        payload_binary_encode(&engine->out, bytes);
    else
        buf_append(&engine->out, bytes);
    post_begin(engine);
}

/* Python's disconnect(): what the writing loop is just sending is the last that it sends. */
static void disconnect(struct engine_client *engine)
{
    uint16_t port;
    if (engine->state == ENGINE_POLLS && engine->post == 0 && !engine->python.writes_over)
        engine_ask(engine, &port, "POST", SPAN_LIT("1"));
}

void engine_client_close(struct engine_client *engine, bool gone)
{
    if (!gone && engine->python.strict)
        disconnect(engine);
    else if (!gone)
        goodbye(engine);
    session_leave(engine, gone);
    if (gone)
        poll_line_finish(&engine->line);
}

void engine_client_step_over(struct engine_client *engine)
{
    if (engine->old != NULL)
        sim_close(engine->old, true);
    engine->old = engine->ws;
    engine->ws = NULL;
    session_leave(engine, false);
}

void engine_client_hold(struct engine_client *engine, bool held)
{
    if (engine->ws != NULL)
        sim_hold(engine->ws, held);
    poll_line_hold(&engine->line, held);
}

uint16_t engine_client_port(const struct engine_client *engine)
{
    return engine_client_is_moved(engine) ? engine->ws_port : engine->get_port;
}
