/* engine_client_python: polling as the source of python-engineio 4 has it (client.py), for clients that are `strict`.
 *
 * Two loops share a session, and each ends in its own way. The reading loop sends one GET after the other. When one
 * fails, it puts `None` into the queue and asks no more; but the writing loop drops a `None` that it finds behind
 * packets, so it may go on with POSTs until nothing has come into its queue for long. The writing loop puts all that
 * waits into one POST, whatever the handshake says of its size. When one fails, it sends no more; but the GET that is
 * under way is still read to its end, and only then the session is over. Nobody says goodbye to the server. An answer
 * of more than 16 packets ends the session, so the server sends none (it knows the client by its User-Agent).
 *
 * The WebSocket is tried before the first GET, for five seconds at most. */
#include "engine_client_parts.h"
#include "wire/payload.h"

enum { PACKETS_MAX = 16, GRACE_US = 5000000, PROBE_US_MAX = 5000000, POST_US_MAX = 5000000 };

static void get_late(struct timer *timer)
{
    struct engine_client *engine = container_of(timer, struct engine_client, python.get_late);
    uint64_t tag = engine->get;
    engine->get = 0;
    engine->get_port = 0;
    engine_python_got(engine, 0, SPAN_LIT("too late"));
    poll_line_drop(&engine->line, tag, true);
}

/* The session is over once both loops have ended. */
static void writes_end(struct engine_client *engine)
{
    engine->python.writes_over = true;
    buf_finish(&engine->out);
    if (engine->python.deaf)
        engine_fail(engine, 0);
}

/* Nothing came into the queue: the writing loop takes that for the end. */
static void queue_late(struct timer *timer)
{
    struct engine_client *engine = container_of(timer, struct engine_client, python.queue_late);
    engine_note(engine, "the queue is empty for long");
    writes_end(engine);
}

static void probe_late(struct timer *timer)
{
    engine_probe_end(container_of(timer, struct engine_client, python.probe_late));
}

void engine_python_init(struct engine_client *engine)
{
    timer_init(&engine->python.get_late, get_late);
    timer_init(&engine->python.queue_late, queue_late);
    timer_init(&engine->python.probe_late, probe_late);
}

void engine_client_strict(struct engine_client *engine)
{
    engine->python.strict = true;
}

void engine_python_leave(struct engine_client *engine)
{
    struct engine_python *python = &engine->python;
    sim_timer_stop(engine->sim, &python->get_late);
    sim_timer_stop(engine->sim, &python->queue_late);
    sim_timer_stop(engine->sim, &python->probe_late);
    python->deaf = python->writes_over = python->none = false;
}

void engine_python_asked(struct engine_client *engine)
{
    uint64_t us = engine->state == ENGINE_OPENING ? 0 : engine->python.patience_us;
    sim_timer_start(engine->sim, &engine->python.get_late, us + GRACE_US);
}

static size_t packets_of(struct span payload)
{
    struct span packet;
    bool begun = false;
    size_t count = 0;
    while (payload_next(&payload, &begun, &packet))
        count++;
    return count;
}

void engine_python_got(struct engine_client *engine, int status, struct span body)
{
    struct engine_python *python = &engine->python;
    uint64_t life = engine->life;
    if (status != 200) {
        engine_note(engine, "GET is answered with %d " SPAN_FMT, status, SPAN_ARG(body));
        python->deaf = true;
        /* `None` alone ends the loop that waits for the queue. */
        python->none = engine->post != 0;
        python->none_at = engine->out.len;
        if (!python->none)
            engine_fail(engine, 0);
        return;
    }
    if (packets_of(body) > PACKETS_MAX)
        engine->events->broken(engine->owner, "an answer of more packets than Python takes");
    engine_payload(engine, body);
    if (engine->life == life && python->writes_over)
        engine_fail(engine, 0);
    else if (engine->life == life)
        engine_get(engine);
}

void engine_python_posted(struct engine_client *engine, int status)
{
    if (status != 200) {
        engine_note(engine, "POST is answered with %d", status);
        writes_end(engine);
    } else {
        engine_python_post(engine);
    }
}

void engine_python_post(struct engine_client *engine)
{
    struct engine_python *python = &engine->python;
    struct buf *out = &engine->out;
    if (engine->state != ENGINE_POLLS || engine->post != 0)
        return;
    if (python->writes_over) {
        buf_finish(out); /* nobody takes it from the queue */
        return;
    }
    size_t taken = python->none ? python->none_at : out->len;
    if (python->none && taken == 0) {
        engine_fail(engine, 0);
        return;
    }
    if (taken == 0) {
        sim_timer_start(engine->sim, &python->queue_late, python->patience_us + GRACE_US);
        return;
    }
    struct buf body = {0};
    python->none = false;
    buf_append(&body, span_sub(buf_span(out), 0, taken));
    buf_consume(out, taken < out->len ? taken + 1 : taken);
    sim_timer_stop(engine->sim, &python->queue_late);
    engine->post = engine_ask(engine, &engine->post_port, "POST", buf_span(&body));
    sim_timer_start(engine->sim, &engine->post_late, POST_US_MAX);
    buf_finish(&body);
}

void engine_python_probes(struct engine_client *engine)
{
    sim_timer_start(engine->sim, &engine->python.probe_late, PROBE_US_MAX);
}

void engine_python_proved(struct engine_client *engine)
{
    sim_timer_stop(engine->sim, &engine->python.probe_late);
}
