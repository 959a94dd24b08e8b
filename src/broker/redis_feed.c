/* redis_feed: the subscriber link: pushes, confirmations and what comes to this instance's own inbox.
 *
 * On a room's channel: `<epoch> <ms>\n` and entries, each `<seq> <prev> <bytes of audience> <bytes of body>\n<audience>
 * <body>`; `^<epoch> <last>`, the digest; `+<count> <bytes of sid>\n<sid><tells>` and `-...`, somebody came or left. On
 * the inbox: a word, numbers, and a newline, see inbox_received. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

/* A room whose subscription was confirmed. */
struct fence {
    struct list node;
    size_t room_len;
    char room[];
};

static void feed_command(struct redis_broker *redis, struct span command, struct span channel)
{
    redis_link_send(&redis->feed, (struct span[]){command, channel}, 2, NULL, NULL);
}

static void fence_sent(void *arg, const struct resp *reply)
{
    /* Without the fence the rooms would wait for ever: begin again from the start, which tries it again. */
    if (reply != NULL && redis_is_error(arg, reply, "fencing a subscription"))
        redis_break(arg, CLOSE_BROKER_LOST);
}

/* Where the rooms stand among the pushes comes back through the inbox. */
static void fences_send(struct redis_broker *redis)
{
    struct list *node;
    struct eval eval;
    size_t count = redis->fence_count < FENCE_ROOMS_MAX ? redis->fence_count : FENCE_ROOMS_MAX;
    eval_start(&eval, redis, SCRIPT_FENCE, 1 + count, 2 + count);
    eval_add(&eval, span_str(redis->state_key));
    struct list *at = redis->fences.next;
    for (size_t i = 0; i < count; i++, at = at->next) {
        struct fence *fence = container_of(at, struct fence, node);
        eval_add_key(&eval, redis, "room", span_of(fence->room, fence->room_len));
    }
    eval_add(&eval, span_str(redis->inbox));
    eval_add_u64(&eval, redis->feed_number);
    for (size_t i = 0; i < count && (node = list_take(&redis->fences)) != NULL; i++) {
        struct fence *fence = container_of(node, struct fence, node);
        eval_add(&eval, span_of(fence->room, fence->room_len));
        free(fence);
    }
    redis->fence_count -= count;
    eval_send(&eval, redis, fence_sent, redis);
}

static void fence_flush(struct task *task)
{
    struct redis_broker *redis = container_of(task, struct redis_broker, fence_flush);
    while (redis->fence_count > 0 && redis->broker.is_up)
        fences_send(redis);
}

static void fence_add(struct redis_broker *redis, struct span room)
{
    struct fence *fence = mem_alloc(sizeof *fence + room.len);
    fence->room_len = room.len;
    memcpy(fence->room, room.data, room.len);
    list_init(&fence->node);
    list_append(&redis->fences, &fence->node);
    redis->fence_count++;
    loop_at_flush(redis->loop, &redis->fence_flush);
}

void redis_feed_init(struct redis_broker *redis)
{
    list_init(&redis->fences);
    task_init(&redis->fence_flush, fence_flush);
}

void redis_feed_down(struct redis_broker *redis)
{
    struct list *node;
    while ((node = list_take(&redis->fences)) != NULL)
        free(container_of(node, struct fence, node));
    redis->fence_count = 0;
    task_cancel(&redis->fence_flush);
}

void redis_subscribe(struct broker *broker, struct span room)
{
    struct redis_broker *redis = redis_of(broker);
    struct buf channel = {0};
    if (!broker->is_up)
        return;
    if (broker_room_is_owned(room)) {
        fence_add(redis, room);
        return;
    }
    redis_channel(&channel, redis, room);
    feed_command(redis, SPAN_LIT("SUBSCRIBE"), buf_span(&channel));
    buf_finish(&channel);
}

void redis_unsubscribe(struct broker *broker, struct span room)
{
    struct redis_broker *redis = redis_of(broker);
    struct buf channel = {0};
    if (!broker->is_up || broker_room_is_owned(room))
        return;
    redis_channel(&channel, redis, room);
    feed_command(redis, SPAN_LIT("UNSUBSCRIBE"), buf_span(&channel));
    buf_finish(&channel);
}

/* The room of a channel's name, or a span with NULL data. */
static struct span room_of(const struct redis_broker *redis, struct span channel)
{
    struct span prefix = span_str(redis->key_prefix);
    if (!span_starts_with(channel, prefix) || !span_starts_with(span_from(channel, prefix.len), SPAN_LIT("push:")))
        return (struct span){NULL, 0};
    return span_from(channel, prefix.len + 5);
}

static bool take_u64(struct span *rest, char end, uint64_t *number)
{
    struct span part;
    return span_next(rest, end, &part) && span_to_u64(part, number);
}

/* The first of these entries; `rest` is what follows it then. */
static bool entry_next(struct span *rest, struct broker_entry *entry)
{
    struct span head;
    uint64_t audience, body;
    if (!span_next(rest, '\n', &head) || !take_u64(&head, ' ', &entry->seq) || !take_u64(&head, ' ', &entry->prev) ||
        !take_u64(&head, ' ', &audience) || !span_to_u64(head, &body) || audience > rest->len ||
        body > rest->len - audience)
        return false;
    entry->audience = span_sub(*rest, 0, audience);
    entry->body = span_sub(*rest, audience, body);
    *rest = span_from(*rest, audience + body);
    return true;
}

/* Another epoch: the state was lost under us (FLUSHALL). The greeting finds out. */
static bool epoch_is_ours(const struct redis_broker *redis, struct span epoch)
{
    return span_equal(epoch, span_of(redis->epoch, redis->epoch_len));
}

static bool entries_received(struct redis_broker *redis, struct span room, struct span message)
{
    struct broker_entry entry = {.room = room};
    struct span head, epoch;
    uint64_t ms;
    if (!span_next(&message, '\n', &head) || !span_next(&head, ' ', &epoch) || !span_to_u64(head, &ms) ||
        !epoch_is_ours(redis, epoch))
        return false;
    /* Whoever is told of one may find that the link broke: then no more is told. */
    while (message.len > 0 && redis->state == REDIS_UP) {
        if (!entry_next(&message, &entry))
            return false;
        entry.time_ms = entry.seq != 0 ? (int64_t)ms : 0;
        redis->broker.events->pushed(redis->broker.hub, &entry);
    }
    return true;
}

static bool presence_received(struct redis_broker *redis, struct span room, bool entered, struct span message)
{
    uint64_t count, sid_bytes;
    if (!take_u64(&message, ' ', &count) || !take_u64(&message, '\n', &sid_bytes) || sid_bytes > message.len)
        return false;
    struct broker_present who = {.sid = span_sub(message, 0, sid_bytes), .tells = span_from(message, sid_bytes)};
    redis->broker.events->presence(redis->broker.hub, room, &who, entered, count);
    return true;
}

static bool top_received(struct redis_broker *redis, struct span room, struct span message)
{
    struct span epoch;
    uint64_t last;
    if (!span_next(&message, ' ', &epoch) || !span_to_u64(message, &last) || !epoch_is_ours(redis, epoch))
        return false;
    redis->broker.events->top(redis->broker.hub, room, last);
    return true;
}

static void push_received(struct redis_broker *redis, struct span channel, struct span message)
{
    struct span room = room_of(redis, channel), rest = span_from(message, 1);
    bool ok = false;
    if (room.data == NULL || message.len == 0)
        return;
    switch (message.data[0]) {
    case '+':
    case '-':
        ok = presence_received(redis, room, message.data[0] == '+', rest);
        break;
    case '^':
        ok = top_received(redis, room, rest);
        break;
    default:
        ok = entries_received(redis, room, message);
        break;
    }
    if (!ok)
        redis_break(redis, CLOSE_BROKER_INVALID);
}

static bool fence_received(struct redis_broker *redis, struct span numbers, struct span room)
{
    uint64_t feed, last, position;
    if (!take_u64(&numbers, ' ', &feed) || !take_u64(&numbers, ' ', &last) || !span_to_u64(numbers, &position) ||
        room.len == 0)
        return false;
    /* One that an earlier link asked for, and that was run only now, says nothing of this link's subscriptions. */
    if (feed == redis->feed_number)
        redis->broker.events->subscribed(redis->broker.hub, room, last, position);
    return true;
}

static bool probe_received(struct redis_broker *redis, struct span numbers)
{
    uint64_t number, position;
    if (!take_u64(&numbers, ' ', &number))
        return false;
    if (numbers.data != NULL && span_to_u64(numbers, &position))
        redis->broker.events->reached(redis->broker.hub, position);
    redis_probe_received(redis, number);
    return true;
}

/* `fence <feed> <last> <seq>\n<room>`, `entry <bytes of room>\n<room><as on a channel>`, `top <last>\n<room>`,
 * `claimed <generation>\n<pid>`, `present <request> ...\n<members>`, `probe <number>[ <seq>]\n`. */
static void inbox_received(struct redis_broker *redis, struct span message)
{
    struct span head, word;
    uint64_t number = 0;
    bool ok = true;
    span_next(&message, '\n', &head);
    span_next(&head, ' ', &word);
    if (span_equal(word, SPAN_LIT("fence")))
        ok = fence_received(redis, head, message);
    else if (span_equal(word, SPAN_LIT("entry")))
        ok = span_to_u64(head, &number) && number <= message.len &&
             entries_received(redis, span_sub(message, 0, number), span_from(message, number));
    else if (span_equal(word, SPAN_LIT("top")) && (ok = span_to_u64(head, &number)))
        redis->broker.events->top(redis->broker.hub, message, number);
    else if (span_equal(word, SPAN_LIT("claimed")) && (ok = span_to_u64(head, &number)))
        redis->broker.events->superseded(redis->broker.hub, message, number);
    else if (span_equal(word, SPAN_LIT("present")))
        redis_present_received(redis, head, message);
    else if (span_equal(word, SPAN_LIT("probe")))
        ok = probe_received(redis, head);
    if (!ok)
        redis_break(redis, CLOSE_BROKER_INVALID);
}

void redis_feed_received(struct redis_broker *redis, const struct resp *reply)
{
    if (reply->type != RESP_ARRAY || reply->item_count != 3) {
        redis_break(redis, CLOSE_BROKER_INVALID);
        return;
    }
    redis->feed_seen_us = loop_now_us(redis->loop);
    redis->silent_since_us = 0;
    struct span kind = reply->items[0].text, channel = reply->items[1].text, message = reply->items[2].text;
    if (span_equal(kind, SPAN_LIT("subscribe"))) {
        struct span room = room_of(redis, channel);
        if (room.data != NULL)
            fence_add(redis, room);
    } else if (!span_equal(kind, SPAN_LIT("message"))) {
        return;
    } else if (span_equal(channel, span_str(redis->inbox))) {
        inbox_received(redis, message);
    } else {
        push_received(redis, channel, message);
    }
}
