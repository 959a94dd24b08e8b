/* publish: encodes messages, and publishes them at their times. */
#include "load/publish.h"

#include <string.h>

#include "base/map.h"
#include "wire/payload.h"

enum {
    BURST_MAX = 1000, /* messages in one turn, so that a run which is behind schedule still reads */
    GUARD_BYTES = 10, /* 51 bits */
};

#define PLACEHOLDER "{\"_placeholder\":true,\"num\":0}"

void publish_room_name(struct buf *to, uint32_t room)
{
    buf_append(to, SPAN_LIT("room-"));
    buf_append_u64(to, room);
}

/* The part of a message's name that other clients cannot guess from earlier names. It is the same each time the message
 * is sent. */
static void guard_encode(const struct run *run, struct buf *to, uint32_t index)
{
    uint64_t hash = map_hash(run->secret, span_of(&index, sizeof index));
    char text[GUARD_BYTES];
    for (size_t i = 0; i < sizeof text; i++, hash /= 36)
        text[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[hash % 36];
    buf_append(to, span_of(text, sizeof text));
}

/* The name of a message: `<run>.<publisher>-<message>.<guard>`. */
static void name_encode(const struct run *run, struct buf *to, uint32_t index)
{
    buf_append(to, span_of(run->id, sizeof run->id));
    buf_append_char(to, '.');
    buf_append_u64(to, messages_at(&run->messages, index)->publisher);
    buf_append_char(to, '-');
    buf_append_u64(to, index);
    buf_append_char(to, '.');
    guard_encode(run, to, index);
}

/* The object, padded to the size that was asked for where it is shorter. */
static void object_encode(struct run *run, struct buf *to, uint32_t index)
{
    const struct message *message = messages_at(&run->messages, index);
    size_t start = to->len, size = run->options->size;
    buf_append(to, SPAN_LIT("{\"id\":\""));
    name_encode(run, to, index);
    buf_append(to, SPAN_LIT("\",\"t\":"));
    buf_append_u64(to, message->sent_us - run->began_us);
    if (run->options->rooms != 0) {
        buf_append(to, SPAN_LIT(",\"room\":\""));
        publish_room_name(to, message->room);
        buf_append_char(to, '"');
    }
    buf_append(to, SPAN_LIT(",\"pad\":\""));
    size_t len = to->len - start + strlen("\"}");
    if (len < size) {
        memset(buf_reserve(to, size - len), 'x', size - len);
        buf_added(to, size - len);
    }
    buf_append(to, SPAN_LIT("\"}"));
}

static void room_encode(struct buf *to, uint32_t room)
{
    buf_append_char(to, '"');
    publish_room_name(to, room);
    buf_append_char(to, '"');
}

/* The arguments, without what stands before and behind them. */
static void args_encode(struct run *run, struct buf *to, uint32_t index)
{
    const struct load_options *options = run->options;
    uint32_t room = messages_at(&run->messages, index)->room;
    if (options->room_event != NULL && !options->room_last) {
        room_encode(to, room);
        buf_append_char(to, ',');
    }
    object_encode(run, to, index);
    if (options->room_event != NULL && options->room_last) {
        buf_append_char(to, ',');
        room_encode(to, room);
    }
    if (options->binary != 0)
        buf_append(to, SPAN_LIT("," PLACEHOLDER));
}

static void packet_encode(struct run *run, struct buf *to, uint32_t index)
{
    buf_append(to, buf_span(&run->message_prefix));
    if (!run->options->no_ack)
        buf_append_u64(to, LOAD_ROOMS_EACH_MAX + (uint64_t)index);
    buf_append(to, buf_span(&run->event_head));
    args_encode(run, to, index);
    buf_append_char(to, ']');
}

static void attachment_encode(const struct run *run, struct buf *to, uint32_t index)
{
    struct buf bytes = {0};
    publish_bytes_encode(run, &bytes, index);
    buf_append(to, SPAN_LIT(",\"attachments\":[\""));
    payload_base64_encode(to, buf_span(&bytes));
    buf_append(to, SPAN_LIT("\"]"));
    buf_finish(&bytes);
}

static void plain_encode(struct run *run, struct buf *to, uint32_t index)
{
    const struct load_options *options = run->options;
    buf_append(to, SPAN_LIT("{\"type\":\"publish\""));
    if (!options->no_ack) {
        buf_printf(to, ",\"ref\":%llu,\"id\":\"", LOAD_ROOMS_EACH_MAX + (unsigned long long)index);
        name_encode(run, to, index);
        buf_append_char(to, '"');
    }
    if (options->rooms != 0) {
        buf_append(to, SPAN_LIT(",\"room\":"));
        room_encode(to, messages_at(&run->messages, index)->room);
    }
    buf_append(to, buf_span(&run->event_head));
    object_encode(run, to, index); /* the server puts the room where its rule has it */
    if (options->binary != 0)
        buf_append(to, SPAN_LIT("," PLACEHOLDER));
    buf_append_char(to, ']');
    if (options->binary != 0)
        attachment_encode(run, to, index);
    buf_append_char(to, '}');
}

void publish_encode(struct run *run, struct buf *to, uint32_t index)
{
    switch (run->options->protocol) {
    case LOAD_SOCKETIO:
        packet_encode(run, to, index);
        break;
    case LOAD_PLAIN:
        plain_encode(run, to, index);
        break;
    case LOAD_WEBSOCKET:
    case LOAD_PROTOCOLS:
        object_encode(run, to, index);
        break;
    }
}

void publish_bytes_encode(const struct run *run, struct buf *to, uint32_t message)
{
    size_t len = run->options->binary;
    char *at = buf_reserve(to, len);
    for (size_t i = 0; i < len; i++)
        at[i] = (char)(message * 167 + (message >> 8) + i * 31 + (i >> 8));
    buf_added(to, len);
}

/* The publisher whose turn it is; NULL when none can publish. With acknowledgements, a client publishes also while it
 * is away, and sends when it is back. */
static struct client *publisher_next(struct run *run)
{
    const struct load_options *options = run->options;
    bool acks = options_acknowledge(options);
    for (uint32_t i = 0; i < options->publishers; i++) {
        struct client *client = &run->clients[run->publisher_at++ % options->publishers];
        if (client->state == CLIENT_READY || (acks && client->state != CLIENT_GONE))
            return client;
    }
    return NULL;
}

static void publish_one(struct run *run)
{
    const struct load_options *options = run->options;
    struct client *client = publisher_next(run);
    if (client == NULL) {
        run->counters.skipped++;
        return;
    }
    uint32_t room = client_room(client, client->published++ % options->rooms_each);
    uint64_t now = loop_now_us(run->loop);
    uint32_t message = run->check != NULL ? check_publish(run->check, client->index, room, now)
                                          : messages_add(&run->messages, client->index, room, 0, now);
    run->expected += run->members[room] - !options->echo;
    run->counters.sent++;
    if (options_acknowledge(options))
        outbox_add(&client->outbox, message);
    client_publish(client, message);
}

/* When message number `count` is due, from the beginning of publishing. */
static uint64_t due_us(const struct run *run, uint64_t count)
{
    return (uint64_t)((double)count * 1e6 / run->options->rate);
}

static void on_publish_tick(struct timer *timer)
{
    struct run *run = container_of(timer, struct run, publish_tick);
    uint64_t elapsed_us = loop_now_us(run->loop) - run->phase_us, due = due_us(run, run->published_due);
    if (elapsed_us > due && elapsed_us - due > run->lag_us)
        run->lag_us = elapsed_us - due;
    if (run->lag_us > run->lag_us_max)
        run->lag_us_max = run->lag_us;
    for (int i = 0; i < BURST_MAX && due_us(run, run->published_due) <= elapsed_us; i++) {
        publish_one(run);
        run->published_due++;
    }
    due = due_us(run, run->published_due);
    timer_start(run->loop, timer, due > elapsed_us ? due - elapsed_us : 0);
}

void publish_start(struct run *run)
{
    timer_init(&run->publish_tick, on_publish_tick);
    timer_start(run->loop, &run->publish_tick, 0);
}

void publish_stop(struct run *run)
{
    timer_stop(run->loop, &run->publish_tick);
}

void publish_refused(struct run *run, struct client *client, uint32_t message)
{
    messages_at(&run->messages, message)->refused = true;
    run->counters.refused++;
    outbox_trim(&client->outbox, &run->messages);
}

void publish_acknowledged(struct run *run, struct client *client, uint32_t message)
{
    if (!messages_acknowledge(&run->messages, message))
        return;
    run->counters.acknowledged++;
    outbox_trim(&client->outbox, &run->messages);
}
