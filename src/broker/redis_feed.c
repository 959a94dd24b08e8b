/* redis_feed: the subscriber link: pushes, confirmations and what comes to this instance's own inbox. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

enum { PULSE_MS = 1000, PULSE_MS_MAX = 3000 };

struct probe {
    struct list node;
    uint64_t number;
    broker_done_fn *done;
    void *arg;
};

static void feed_command(struct redis_broker *redis, struct span command, struct span channel)
{
    redis_link_send(&redis->feed, (struct span[]){command, channel}, 2, NULL, NULL);
}

void redis_subscribe(struct broker *broker, struct span room)
{
    struct redis_broker *redis = redis_of(broker);
    struct buf channel = {0};
    if (!broker->is_up)
        return;
    redis_channel(&channel, redis, room);
    feed_command(redis, SPAN_LIT("SUBSCRIBE"), buf_span(&channel));
    buf_finish(&channel);
}

void redis_unsubscribe(struct broker *broker, struct span room)
{
    struct redis_broker *redis = redis_of(broker);
    struct buf channel = {0};
    if (!broker->is_up)
        return;
    redis_channel(&channel, redis, room);
    feed_command(redis, SPAN_LIT("UNSUBSCRIBE"), buf_span(&channel));
    buf_finish(&channel);
}

/* The room of a channel's name, or a span with NULL data. */
static struct span room_of(const struct redis_broker *redis, struct span channel)
{
    struct buf prefix = {0};
    redis_channel(&prefix, redis, SPAN_LIT(""));
    struct span room = {NULL, 0};
    if (span_starts_with(channel, buf_span(&prefix)))
        room = span_from(channel, prefix.len);
    buf_finish(&prefix);
    return room;
}

static void fence_sent(void *arg, const struct resp *reply)
{
    /* Without the fence the room would wait for ever: begin again from the start, which tries it again. */
    if (reply != NULL && redis_is_error(arg, reply, "fencing a subscription"))
        redis_break(arg, CLOSE_BROKER_LOST);
}

/* SUBSCRIBE is confirmed on this link; where it stands among the pushes comes back through the inbox. */
static void confirmed(struct redis_broker *redis, struct span channel)
{
    struct span room = room_of(redis, channel);
    struct eval eval;
    if (room.data == NULL || !redis->broker.is_up)
        return;
    struct buf which = {0};
    buf_append_u64(&which, redis->feed_number);
    buf_append_char(&which, ' ');
    buf_append(&which, room);
    eval_start(&eval, redis, SCRIPT_FENCE, 2, 2);
    eval_add(&eval, span_str(redis->state_key));
    eval_add_key(&eval, redis, "room", room);
    eval_add(&eval, span_str(redis->inbox));
    eval_add(&eval, buf_span(&which));
    buf_finish(&which);
    eval_send(&eval, redis, fence_sent, redis);
}

/* `<epoch> <seq> <prev> <ms> <bytes of except>\n<except><body>` */
static bool push_decode(struct span message, struct span *epoch, struct broker_entry *entry)
{
    struct span head, part;
    uint64_t ms, except;
    if (!span_next(&message, '\n', &head) || message.data == NULL || !span_next(&head, ' ', epoch))
        return false;
    if (!span_next(&head, ' ', &part) || !span_to_u64(part, &entry->seq) || !span_next(&head, ' ', &part) ||
        !span_to_u64(part, &entry->prev) || !span_next(&head, ' ', &part) || !span_to_u64(part, &ms) ||
        !span_to_u64(head, &except) || except > message.len)
        return false;
    entry->time_ms = (int64_t)ms;
    entry->except = span_sub(message, 0, except);
    entry->body = span_from(message, except);
    return true;
}

static void push_received(struct redis_broker *redis, struct span channel, struct span message)
{
    struct broker_entry entry = {.room = room_of(redis, channel)};
    struct span epoch;
    if (entry.room.data == NULL)
        return;
    if (!push_decode(message, &epoch, &entry) || !span_equal(epoch, span_of(redis->epoch, redis->epoch_len))) {
        /* Another epoch: the state was lost under us (FLUSHALL). The greeting finds out. */
        redis_break(redis, CLOSE_BROKER_INVALID);
        return;
    }
    redis->broker.events->pushed(redis->broker.hub, &entry);
}

/* `<last> <seq>`, `<feed> <room>`. A fence that an earlier link asked for, and that was run only now, says nothing of
 * this link's subscriptions. */
static void fence_received(struct redis_broker *redis, struct span numbers, struct span room)
{
    struct span part;
    uint64_t last, position, feed;
    bool read = span_next(&numbers, ' ', &part) && span_to_u64(part, &last) && span_to_u64(numbers, &position) &&
                span_next(&room, ' ', &part) && span_to_u64(part, &feed) && room.len > 0;
    if (!read)
        redis_break(redis, CLOSE_BROKER_INVALID);
    else if (feed == redis->feed_number)
        redis->broker.events->subscribed(redis->broker.hub, room, last, position);
}

static void probe_received(struct redis_broker *redis, uint64_t number)
{
    redis->pulse_seen_us = loop_now_us(redis->loop);
    list_each (node, &redis->probes) {
        struct probe *probe = container_of(node, struct probe, node);
        if (probe->number > number)
            break;
        list_remove(&probe->node);
        probe->done(probe->arg, BROKER_OK);
        free(probe);
    }
}

/* `fence <last> <seq>\n<feed> <room>`, `claimed <generation>\n<pid>`, `probe <number>\n` */
static void inbox_received(struct redis_broker *redis, struct span message)
{
    struct span head, word;
    uint64_t number;
    span_next(&message, '\n', &head);
    span_next(&head, ' ', &word);
    if (span_equal(word, SPAN_LIT("fence")))
        fence_received(redis, head, message);
    else if (span_equal(word, SPAN_LIT("claimed")) && span_to_u64(head, &number))
        redis->broker.events->superseded(redis->broker.hub, message, number);
    else if (span_equal(word, SPAN_LIT("probe")) && span_to_u64(head, &number))
        probe_received(redis, number);
}

void redis_feed_received(struct redis_broker *redis, const struct resp *reply)
{
    if (reply->type != RESP_ARRAY || reply->item_count != 3) {
        redis_break(redis, CLOSE_BROKER_INVALID);
        return;
    }
    struct span kind = reply->items[0].text, channel = reply->items[1].text, message = reply->items[2].text;
    if (span_equal(kind, SPAN_LIT("subscribe")))
        confirmed(redis, channel);
    else if (!span_equal(kind, SPAN_LIT("message")))
        return;
    else if (span_equal(channel, span_str(redis->inbox)))
        inbox_received(redis, message);
    else
        push_received(redis, channel, message);
}

static void probe_sent(void *arg, const struct resp *reply)
{
    if (reply != NULL)
        redis_is_error(arg, reply, "probing");
}

static uint64_t probe_send(struct redis_broker *redis)
{
    struct buf message = {0};
    uint64_t number = ++redis->probe_number;
    buf_printf(&message, "probe %llu\n", (unsigned long long)number);
    redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("PUBLISH"), span_str(redis->inbox), buf_span(&message)},
                    3, probe_sent, redis);
    buf_finish(&message);
    return number;
}

static void probe_refused(void *arg, const struct resp *reply)
{
    struct probe *probe = arg;
    probe->done(probe->arg, BROKER_LOST);
    free(probe);
}

void redis_probe(struct broker *broker, broker_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct probe *probe = mem_zero(1, sizeof *probe);
    probe->done = done;
    probe->arg = arg;
    list_init(&probe->node);
    if (!broker->is_up) {
        redis_refuse(redis, probe_refused, probe);
        return;
    }
    probe->number = probe_send(redis);
    list_append(&redis->probes, &probe->node);
}

void redis_probes_lost(struct redis_broker *redis)
{
    struct list *node;
    while ((node = list_take(&redis->probes)) != NULL)
        probe_refused(container_of(node, struct probe, node), NULL);
}

/* A subscriber link can die without a word (its output buffer was killed, a middlebox forgot it): once a second it must
 * carry something of ours. */
static void pulse(struct timer *timer)
{
    struct redis_broker *redis = container_of(timer, struct redis_broker, pulse);
    if (redis->state != REDIS_UP)
        return;
    if (loop_now_us(redis->loop) - redis->pulse_seen_us > LOOP_MS(PULSE_MS_MAX)) {
        log_event(LOG_WARNING, "the broker does not push any more: reconnecting");
        redis_break(redis, CLOSE_BROKER_LOST);
        return;
    }
    probe_send(redis);
    timer_start(redis->loop, timer, LOOP_MS(PULSE_MS));
}

void redis_pulse_start(struct redis_broker *redis)
{
    timer_init(&redis->pulse, pulse);
    redis->pulse_seen_us = loop_now_us(redis->loop);
    timer_start(redis->loop, &redis->pulse, LOOP_MS(PULSE_MS));
}
