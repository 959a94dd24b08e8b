/* plain: three clients of sennit.v1 against the relay and the sessions, on transports of this file. A line of the input
 * is a step; its first byte says for which client:
 *
 *     0{"type":"join"}    the client sends this message; $ in it stands for its newest position, % for its secret
 *     0-                  it is cut off
 *     0+                  it comes back, with its secret and position, by a new connection; the old one may be open
 *     0=                  it opens a new connection, and connects by a message, if at all
 *     0~                  it stops reading, or reads again
 *     p                   somebody publishes the next number to all
 *     w, W                50 ms, or 20 s pass
 *
 * Everything that a client hears must be a message of the protocol. A client gets every number once and in order, also
 * across cuts, unless it is told that recovery failed. At the end all clients are back, and have them all. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/relay.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/memory.h"
#include "session/plain.h"
#include "sim/sim.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CLIENTS = 4, PUBLISHER = 3, STEPS_MAX = 300, STEP_MS = 5, TRIES = 20, NUMBER_BYTES = 200 };

static const char config[] = "/:\n"
                             "  log: {entries: 10000}\n"
                             "  presence: {data: user}\n"
                             "  rooms: {\"n*\": {replay: all}}\n"
                             "  events:\n"
                             "    join: {join: 0}\n"
                             "    leave: {leave: 0}\n"
                             "    all: {to: everyone, log: true, id: 0.id}\n"
                             "    others: {to: others}\n"
                             "    say: {to: room, room: 1, log: true}\n"
                             "    past: {history: 0}\n"
                             "    who: {who: 0}\n"
                             "/bare:\n"
                             "  events: {all: {to: everyone}}\n";

struct sent {
    struct list node;
    struct frame *frame;
    struct frame_tag tag;
};

struct client;

/* One connection of a client. */
struct line {
    struct transport transport;
    struct client *client; /* NULL: the client does not listen to it any more */
    struct list queue, node;
    size_t bytes;
    enum close_reason reason; /* CLOSE_NONE: open */
    bool awaited;
};

struct client {
    struct line *line; /* NULL: cut off */
    struct buf resume, at;
    bool held, in_root;
    bool by_message; /* it may come back with any position, and then gets what is behind it */
    /* Numbers: accepted when it last asked for a connection; when it asked for the one that began anew, and when that
     * was there; the last one that it has since, 0: none. */
    uint64_t asked, after, before, last;
};

static struct {
    struct sim *sim;
    struct loop *loop;
    struct hub *hub;
    struct relay relay;
    struct sessions sessions;
    struct client clients[CLIENTS];
    struct list lines;
    uint64_t published, answered, mark;
} stage;

static void silence(struct span line)
{
}

static struct line *line_of(const struct transport *transport)
{
    return container_of((struct transport *)transport, struct line, transport);
}

static struct frame *encode(const struct transport *transport, const struct span *parts, size_t count)
{
    assert(count == 1);
    return frame_copy(parts[0]);
}

static void send_frame(struct transport *transport, struct frame *frame, struct frame_tag tag)
{
    struct line *line = line_of(transport);
    if (line->reason != CLOSE_NONE)
        return;
    struct sent *sent = mem_alloc(sizeof *sent);
    *sent = (struct sent){.frame = frame_ref(frame), .tag = tag};
    list_init(&sent->node);
    list_append(&line->queue, &sent->node);
    line->bytes += frame->len;
}

static size_t queued(const struct transport *transport)
{
    return line_of(transport)->bytes;
}

static bool is_writable(const struct transport *transport)
{
    return queued(transport) == 0;
}

static bool is_open(const struct transport *transport)
{
    return line_of(transport)->reason == CLOSE_NONE;
}

static void await_drained(struct transport *transport)
{
    line_of(transport)->awaited = true;
}

static void sent_drop(struct line *line, struct sent *sent)
{
    line->bytes -= sent->frame->len;
    list_remove(&sent->node);
    frame_unref(sent->frame);
    free(sent);
}

static void filter(struct transport *transport, transport_keep_fn *keep, void *arg)
{
    list_each (node, &line_of(transport)->queue) {
        struct sent *sent = container_of(node, struct sent, node);
        if (!keep(arg, &sent->tag))
            sent_drop(line_of(transport), sent);
    }
}

static void pause_reading(struct transport *transport, bool paused)
{
    /* Bytes that arrive meanwhile are not given to the session: see say. */
}

static void close_now(struct transport *transport, enum close_reason reason)
{
    if (line_of(transport)->reason == CLOSE_NONE)
        line_of(transport)->reason = reason;
}

static void ping(struct transport *transport, uint32_t number)
{
    struct line *line = line_of(transport);
    if (line->reason == CLOSE_NONE && line->client != NULL && !line->client->held)
        session_transport_ponged(transport->session, number);
}

static const struct addr_ip *peer(const struct transport *transport)
{
    static const struct addr_ip somewhere;
    return &somewhere;
}

static const struct transport_type line_type = {
    .encode = encode,
    .send = send_frame,
    .queued = queued,
    .is_writable = is_writable,
    .is_open = is_open,
    .await_drained = await_drained,
    .filter = filter,
    .pause = pause_reading,
    .close = close_now,
    .abort = close_now,
    .ping = ping,
    .peer = peer,
};

static void line_end(struct line *line)
{
    struct session *session = line->transport.session;
    line->transport.session = NULL;
    session_closed(session, line->reason != CLOSE_NONE ? line->reason : CLOSE_PEER_CLOSED);
    list_each (node, &line->queue)
        sent_drop(line, container_of(node, struct sent, node));
    if (line->client != NULL)
        line->client->line = NULL;
    list_remove(&line->node);
    free(line);
}

/* Of a number: [number, the mark that no input can have guessed]. */
static void number_heard(struct client *client, struct span args)
{
    uint64_t number, mark;
    if (!span_to_u64(json_array_at(args, 1), &mark) || mark != stage.mark)
        return;
    bool ok = span_to_u64(json_array_at(args, 0), &number);
    assert(ok);
    if (client->last == 0)
        assert(number > client->after && number <= client->before + 1);
    else
        assert(number == client->last + 1);
    client->last = number;
}

static void connected(struct client *client, struct span message)
{
    bool recovered = json_type(json_object_get(message, SPAN_LIT("recovered"))) == JSON_TRUE;
    struct span resume = json_object_get(message, SPAN_LIT("resume"));
    client->in_root = json_string_equal(json_object_get(message, SPAN_LIT("ns")), SPAN_LIT("/"));
    buf_clear(&client->resume);
    if (json_type(resume) == JSON_STRING)
        json_string_decode(resume, &client->resume);
    assert(!client->in_root || client->resume.len == ENGINEIO_SID_BYTES);
    if (recovered && !client->by_message)
        return;
    client->last = 0;
    client->after = recovered ? 0 : client->asked;
    client->before = stage.published;
}

static void heard(struct client *client, struct span message)
{
    static const char *const types[] = {"welcome", "connected", "event", "answer", "error", "closing"};
    if (getenv("SENNIT_PLAIN_TRACE") != NULL)
        fprintf(stderr, "client %d hears " SPAN_FMT "\n", (int)(client - stage.clients), SPAN_ARG(message));
    assert(json_is_valid(message) && json_type(message) == JSON_OBJECT);
    struct span type = json_object_get(message, SPAN_LIT("type")), at = json_object_get(message, SPAN_LIT("at"));
    size_t which = 0;
    while (!json_string_equal(type, span_str(types[which])))
        assert(++which < sizeof types / sizeof types[0]);
    if (which == 1)
        connected(client, message);
    if (which == 2 && json_string_equal(json_object_get(message, SPAN_LIT("event")), SPAN_LIT("all")))
        number_heard(client, json_object_get(message, SPAN_LIT("args")));
    if (which == 3 && client == &stage.clients[PUBLISHER])
        stage.answered = stage.published;
    if (which == 4)
        assert(json_type(json_object_get(message, SPAN_LIT("reason"))) == JSON_STRING);
    if (at.data == NULL)
        return;
    buf_clear(&client->at);
    if (json_type(at) == JSON_STRING)
        json_string_decode(at, &client->at);
}

static void line_read(struct line *line)
{
    struct list *node;
    if (line->client != NULL && line->client->held)
        return;
    while ((node = line->queue.next) != &line->queue) {
        struct sent *sent = container_of(node, struct sent, node);
        if (line->client != NULL)
            heard(line->client, span_of(sent->frame->data, sent->frame->len));
        sent_drop(line, sent);
    }
    if (line->awaited && line->reason == CLOSE_NONE) {
        line->awaited = false;
        session_drained(line->transport.session);
    }
}

static void on_tick(struct timer *timer)
{
}

/* The clients act outside the loop. So a timer makes it take its turns, at first one in each millisecond. */
static void pass(uint64_t ms)
{
    struct timer tick;
    timer_init(&tick, on_tick);
    for (uint64_t i = 1; i < ms && i < STEP_MS; i++) {
        timer_start(stage.loop, &tick, LOOP_MS(1));
        sim_run(stage.sim, sim_now_us(stage.sim) + LOOP_MS(1), NULL, NULL);
    }
    timer_stop(stage.loop, &tick);
    sim_run(stage.sim, sim_now_us(stage.sim) + LOOP_MS(ms > STEP_MS ? ms - STEP_MS + 1 : 1), NULL, NULL);
    list_each (node, &stage.lines) {
        struct line *line = container_of(node, struct line, node);
        line_read(line);
        if (line->reason != CLOSE_NONE)
            line_end(line);
    }
}

/* From now on the client listens to the new connection alone. */
static void line_open(struct client *client, bool by_message)
{
    struct line *line = mem_zero(1, sizeof *line);
    if (client->line != NULL)
        client->line->client = NULL;
    line->transport.type = &line_type;
    line->client = client;
    list_init(&line->queue);
    list_init(&line->node);
    list_append(&stage.lines, &line->node);
    client->line = line;
    client->held = false;
    client->by_message = by_message;
    client->in_root = false;
    client->asked = stage.answered;
    session_create(&stage.sessions, &line->transport, &plain_protocol, NULL);
}

static void come(struct client *client)
{
    line_open(client, false);
    struct plain_connect connect = {
        .nsp = SPAN_LIT("/"), .resume = buf_span(&client->resume), .at = buf_span(&client->at)};
    plain_connect(client->line->transport.session, &connect);
}

static void say(struct client *client, struct span text)
{
    struct buf filled = {0};
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '$' || text.data[i] == '%')
            buf_append(&filled, buf_span(text.data[i] == '$' ? &client->at : &client->resume));
        else
            buf_append_char(&filled, text.data[i]);
    }
    if (client->line != NULL && client->line->reason == CLOSE_NONE &&
        !session_is_unread(client->line->transport.session))
        session_received(client->line->transport.session, buf_span(&filled));
    buf_finish(&filled);
}

/* Under a name, so that it may be said until it is answered. */
static void publish(void)
{
    struct client *client = &stage.clients[PUBLISHER];
    char text[NUMBER_BYTES];
    stage.published++;
    for (int i = 0; stage.answered < stage.published; i++) {
        assert(i < TRIES);
        if (client->line == NULL)
            come(client);
        pass(STEP_MS);
        snprintf(
            text, sizeof text,
            "{\"type\":\"publish\",\"event\":\"all\",\"args\":[%llu,%llu],\"id\":\"number %llu of %llu\",\"ref\":1}",
            (unsigned long long)stage.published, (unsigned long long)stage.mark, (unsigned long long)stage.published,
            (unsigned long long)stage.mark);
        say(client, span_str(text));
        pass(STEP_MS);
    }
}

static void client_step(struct client *client, struct span rest)
{
    if (span_equal(rest, SPAN_LIT("-")) && client->line != NULL)
        line_end(client->line);
    else if (span_equal(rest, SPAN_LIT("+")))
        come(client);
    else if (span_equal(rest, SPAN_LIT("=")))
        line_open(client, true);
    else if (span_equal(rest, SPAN_LIT("~")))
        client->held = !client->held;
    else
        say(client, rest);
}

static void step(struct span line)
{
    if (line.len == 0)
        return;
    char first = line.data[0];
    if (first >= '0' && first < '0' + PUBLISHER)
        client_step(&stage.clients[first - '0'], span_from(line, 1));
    else if (first == 'p')
        publish();
    else if (first == 'w')
        pass(50);
    else if (first == 'W')
        pass(20000);
    pass(STEP_MS);
}

static void begin(struct span input)
{
    struct err err;
    struct session_limits limits = session_limits_default;
    limits.slow_queue_bytes = 3000;
    limits.replay_queue_bytes = 1000;
    limits.rotate_lead_ms = 10000;
    limits.changes_burst = 20;
    log_init(LOG_JSON, LOG_DEBUG, NULL, silence);
    memset(&stage, 0, sizeof stage);
    list_init(&stage.lines);
    stage.mark = 1000003;
    for (size_t i = 0; i < input.len; i++)
        stage.mark = (stage.mark ^ (uint8_t)input.data[i]) * 1099511628211u;
    stage.sim = sim_create(1);
    stage.loop = sim_host_create(stage.sim);
    stage.hub = hub_create(stage.loop, broker_memory_create(stage.loop, NULL));
    struct yaml_node *root = yaml_parse("config", span_str(config), &err);
    bool ok = root != NULL && relay_init(&stage.relay, stage.loop, root, &err);
    assert(ok);
    yaml_destroy(root);
    sessions_init(&stage.sessions, stage.hub, &stage.relay.app, &limits);
    stage.sessions.request_timeout_ms = 60000;
    pass(STEP_MS);
    for (int i = 0; i < CLIENTS; i++)
        come(&stage.clients[i]);
    pass(STEP_MS);
}

/* Everybody comes back, and has every number. */
static void settle(void)
{
    for (int i = 0; i < CLIENTS; i++)
        stage.clients[i].held = false;
    pass(1000);
    for (int i = 0; i < CLIENTS; i++)
        if (stage.clients[i].line == NULL || !stage.clients[i].in_root)
            come(&stage.clients[i]);
    pass(2000);
    publish();
    pass(5000); /* a line that was held carries what waited first */
    for (int i = 0; i < CLIENTS; i++)
        assert(stage.clients[i].in_root && stage.clients[i].last == stage.published);
}

static void end(void)
{
    struct broker *broker = hub_broker(stage.hub);
    list_each (node, &stage.lines)
        line_end(container_of(node, struct line, node));
    broker_destroy(broker);
    sessions_finish(&stage.sessions);
    hub_destroy(stage.hub);
    relay_finish(&stage.relay);
    for (int i = 0; i < CLIENTS; i++) {
        buf_finish(&stage.clients[i].resume);
        buf_finish(&stage.clients[i].at);
    }
    sim_host_destroy(stage.loop);
    sim_destroy(stage.sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len), line;
    begin(rest);
    for (int i = 0; i < STEPS_MAX && span_next(&rest, '\n', &line); i++)
        step(line);
    settle();
    end();
    return 0;
}
