/* client: connecting, reconnecting, cuts, and sending. client_packet.c handles what the server sends. */
#include "load/client.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "load/carrier.h"
#include "load/client_plain.h"
#include "load/publish.h"
#include "wire/json.h"
#include "wire/socketio.h"

enum { OPEN_MS_MAX = 20000, DELAYS_MAX = 5, ATTEMPTS_MAX = 16 };

/* The only place where the state changes; the legal moves are the picture in client.h. */
static void set_state(struct client *client, enum client_state state)
{
    static const uint8_t legal[] = {
        [CLIENT_IDLE] = 1 << CLIENT_CONNECTING | 1 << CLIENT_GONE,
        [CLIENT_CONNECTING] = 1 << CLIENT_OPENING | 1 << CLIENT_READY | 1 << CLIENT_AWAY | 1 << CLIENT_GONE,
        [CLIENT_OPENING] = 1 << CLIENT_JOINING | 1 << CLIENT_AWAY | 1 << CLIENT_GONE,
        [CLIENT_JOINING] = 1 << CLIENT_READY | 1 << CLIENT_AWAY | 1 << CLIENT_GONE,
        [CLIENT_READY] = 1 << CLIENT_AWAY | 1 << CLIENT_GONE,
        [CLIENT_AWAY] = 1 << CLIENT_CONNECTING | 1 << CLIENT_GONE,
        [CLIENT_GONE] = 0,
    };
    assert(legal[client->state] & 1 << state);
    if (client->state == CLIENT_READY)
        client->run->ready--;
    client->state = (uint8_t)state;
    if (client->state == CLIENT_READY)
        client->run->ready++;
}

static bool is_bare(const struct client *client)
{
    return client->run->options->protocol == LOAD_WEBSOCKET;
}

/* A packet in run->text, to be completed and sent. */
static void packet_begin(struct client *client, enum socketio_type type)
{
    struct run *run = client->run;
    buf_clear(&run->text);
    socketio_prefix_encode(&run->text, type, span_str(run->options->nsp), (struct span){NULL, 0});
}

uint32_t client_room(const struct client *client, uint32_t slot)
{
    return (uint32_t)(((uint64_t)client->index * client->run->options->rooms_each + slot) % client->run->room_count);
}

static void connect_begin(struct client *client)
{
    set_state(client, CLIENT_CONNECTING);
    carrier_open(client);
    timer_start(client->run->loop, &client->timer, LOOP_MS(OPEN_MS_MAX));
}

/* As backo2 does it: doubling, half of it more or less, five times the first at most. */
static uint64_t delay_us(struct client *client)
{
    uint64_t first = LOOP_MS(client->run->options->reconnect_ms), most = first * DELAYS_MAX;
    uint64_t mean = first << (client->attempts < ATTEMPTS_MAX ? client->attempts : ATTEMPTS_MAX);
    uint64_t delay = mean / 2 + loop_random_below(client->run->loop, mean + 1);
    return delay < most ? delay : most;
}

static void go_away(struct client *client)
{
    set_state(client, CLIENT_AWAY);
    client->link = NULL;
    client->polling = NULL;
    buf_finish(&client->held);
    buf_finish(&client->awaiting);
    timer_start(client->run->loop, &client->timer, delay_us(client));
    if (client->attempts < ATTEMPTS_MAX)
        client->attempts++;
}

static void on_timer(struct timer *timer)
{
    struct client *client = container_of(timer, struct client, timer);
    if (client->state == CLIENT_AWAY) {
        connect_begin(client);
        return;
    }
    const char *why = client->state == CLIENT_CONNECTING ? "the server takes too long to let a client in"
                                                         : "the server has stopped sending pings";
    carrier_drop(client);
    client_link_closed(client, why);
}

void client_init(struct client *client, struct run *run, uint32_t index)
{
    *client = (struct client){.run = run, .index = index, .state = CLIENT_IDLE};
    timer_init(&client->timer, on_timer);
    if (run->options->rooms != 0)
        client->joined = mem_zero(run->options->rooms_each, 1);
}

void client_finish(struct client *client)
{
    timer_stop(client->run->loop, &client->timer);
    buf_finish(&client->sid);
    buf_finish(&client->pid);
    buf_finish(&client->offset);
    buf_finish(&client->held);
    buf_finish(&client->awaiting);
    outbox_finish(&client->outbox);
    free(client->joined);
}

void client_start(struct client *client)
{
    connect_begin(client);
}

void client_cut(struct client *client, enum cut_kind kind)
{
    carrier_cut(client, kind);
    client->run->counters.cuts[kind]++;
    go_away(client);
}

static void go_for_good(struct client *client)
{
    carrier_drop(client);
    timer_stop(client->run->loop, &client->timer);
    set_state(client, CLIENT_GONE);
}

void client_leave(struct client *client)
{
    if (client->state == CLIENT_GONE)
        return;
    if (client->state == CLIENT_READY && client->run->options->protocol == LOAD_SOCKETIO) {
        packet_begin(client, SOCKETIO_DISCONNECT);
        carrier_send(client, buf_span(&client->run->text));
    }
    go_for_good(client);
}

void client_refused(struct client *client, const char *why)
{
    bool was_in = client->state != CLIENT_CONNECTING;
    go_for_good(client);
    run_client_lost(client->run, client, was_in, why);
}

void client_link_closed(struct client *client, const char *why)
{
    bool was_in = client->state != CLIENT_CONNECTING;
    go_away(client);
    run_client_lost(client->run, client, was_in, why);
}

void client_publish(struct client *client, uint32_t message)
{
    struct run *run = client->run;
    if (client->state != CLIENT_READY)
        return;
    buf_clear(&run->text);
    publish_encode(run, &run->text, message);
    carrier_send(client, buf_span(&run->text));
    if (run->options->binary == 0 || run->options->protocol == LOAD_PLAIN)
        return;
    buf_clear(&run->text);
    publish_bytes_encode(run, &run->text, message);
    carrier_send_binary(client, buf_span(&run->text));
}

static void outbox_resend(struct client *client)
{
    struct run *run = client->run;
    outbox_trim(&client->outbox, &run->messages);
    for (uint32_t i = 0; i < client->outbox.count && client->state == CLIENT_READY; i++) {
        uint32_t message = outbox_at(&client->outbox, i);
        struct message *at = messages_at(&run->messages, message);
        if (at->acknowledged || at->refused)
            continue;
        at->resent = true;
        client_publish(client, message);
        run->counters.resent++;
    }
}

static void become_ready(struct client *client)
{
    struct run *run = client->run;
    set_state(client, CLIENT_READY);
    client->attempts = 0;
    client->ready_at = run->messages.count;
    outbox_resend(client);
    run_client_ready(run, client);
    client->was_ready = client->was_back = true;
}

/* The client is in its rooms again, or begins anew. */
static void came_back(struct client *client, bool recovered)
{
    struct run *run = client->run;
    run->counters.recovered += recovered;
    run->counters.not_recovered += !recovered;
    if (run->check != NULL)
        check_resumed(run->check, client->index, recovered);
    if (!recovered && client->joined != NULL)
        memset(client->joined, 0, run->options->rooms_each);
}

/* Without rooms: the namespace, or the server, is the room. */
static void only_room_join(struct client *client)
{
    if (client->run->check == NULL)
        return;
    check_enter(client->run->check, client->index, 0);
    check_join(client->run->check, client->index, 0);
}

void client_link_opened(struct client *client)
{
    if (!is_bare(client))
        return;
    timer_stop(client->run->loop, &client->timer);
    if (client->was_ready)
        came_back(client, false);
    only_room_join(client);
    become_ready(client);
}

/* `40{"pid":...,"offset":...,<auth>}`, as much of it as there is. */
static void connect_packet_encode(struct client *client, struct buf *text)
{
    const struct load_options *options = client->run->options;
    struct span auth = options->auth != NULL ? json_trim(span_str(options->auth)) : SPAN_LIT("{}");
    auth = json_trim(span_sub(auth, 1, auth.len - 2));
    packet_begin(client, SOCKETIO_CONNECT);
    if (client->pid.len != 0 || auth.len != 0) {
        buf_append_char(text, '{');
        if (client->pid.len != 0)
            buf_printf(text, "\"pid\":" SPAN_FMT, SPAN_ARG(buf_span(&client->pid)));
        if (client->pid.len != 0 && client->offset.len != 0)
            buf_printf(text, ",\"offset\":" SPAN_FMT, SPAN_ARG(buf_span(&client->offset)));
        if (client->pid.len != 0 && auth.len != 0)
            buf_append_char(text, ',');
        buf_append(text, auth);
        buf_append_char(text, '}');
    }
}

void client_opened(struct client *client, uint32_t ping_interval_ms, uint32_t ping_timeout_ms)
{
    set_state(client, CLIENT_OPENING);
    client->ping_us_max = LOOP_MS((uint64_t)ping_interval_ms + ping_timeout_ms);
    timer_start(client->run->loop, &client->timer, client->ping_us_max);
    buf_clear(&client->run->text);
    if (client->run->options->protocol == LOAD_PLAIN)
        client_plain_connect_encode(client, &client->run->text);
    else
        connect_packet_encode(client, &client->run->text);
    carrier_send(client, buf_span(&client->run->text));
}

void client_pinged(struct client *client)
{
    timer_start(client->run->loop, &client->timer, client->ping_us_max);
}

static void join_packet_encode(const struct client *client, struct buf *text, uint32_t slot)
{
    const struct run *run = client->run;
    buf_append(text, buf_span(&run->event_prefix));
    buf_append_u64(text, slot);
    buf_append(text, SPAN_LIT("[\""));
    buf_append_json(text, span_str(run->options->join_event));
    buf_append(text, SPAN_LIT("\",\""));
    publish_room_name(text, client_room(client, slot));
    buf_append(text, SPAN_LIT("\"]"));
}

static void join_send(struct client *client, uint32_t slot)
{
    struct run *run = client->run;
    if (run->check != NULL)
        check_enter(run->check, client->index, client_room(client, slot));
    buf_clear(&run->text);
    if (run->options->protocol == LOAD_PLAIN)
        client_plain_join_encode(client, &run->text, slot);
    else
        join_packet_encode(client, &run->text, slot);
    client->joins_waiting++;
    carrier_send(client, buf_span(&run->text));
}

/* Hands out, in order, the events that came before the CONNECT reply. If the connection ends first, the stock client
 * keeps such events for its next connection and shows them twice; this one drops them. */
static void held_release(struct client *client)
{
    struct buf held = client->held;
    client->held = (struct buf){0};
    struct span rest = buf_span(&held);
    uint32_t len;
    while (rest.len >= sizeof len) {
        memcpy(&len, rest.data, sizeof len);
        client_event_received(client, span_sub(rest, sizeof len, len));
        rest = span_from(rest, sizeof len + len);
    }
    buf_finish(&held);
}

/* The stock client of Socket.IO keeps its offset when it is not recovered. The protocol sennit.v1 says that it is over.
 */
static void identity_renew(struct client *client, struct span pid)
{
    buf_clear(&client->pid);
    buf_append(&client->pid, pid);
    if (client->run->options->protocol == LOAD_PLAIN)
        buf_clear(&client->offset);
}

void client_connected(struct client *client, struct span sid, struct span pid, bool recovered)
{
    bool before = client->sid.len != 0;
    buf_clear(&client->sid);
    buf_append(&client->sid, sid);
    if (!recovered)
        identity_renew(client, pid);
    if (before)
        came_back(client, recovered);
    set_state(client, CLIENT_JOINING);
    client->joins_waiting = 0;
    if (client->joined == NULL)
        only_room_join(client);
    held_release(client);
    for (uint32_t slot = 0; client->joined != NULL && slot < client->run->options->rooms_each; slot++)
        if (!client->joined[slot])
            join_send(client, slot);
    if (client->joins_waiting == 0)
        become_ready(client);
}

void client_join_confirmed(struct client *client, uint32_t slot)
{
    if (client->state != CLIENT_JOINING || client->joined == NULL || slot >= client->run->options->rooms_each ||
        client->joined[slot])
        return;
    client->joined[slot] = 1;
    client->joins_waiting--;
    if (client->run->check != NULL)
        check_join(client->run->check, client->index, client_room(client, slot));
    if (client->joins_waiting == 0)
        become_ready(client);
}
