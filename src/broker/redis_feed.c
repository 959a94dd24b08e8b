/* redis_feed: the subscriber link: pushes, confirmations, and messages to this instance's inbox.
 *
 * On a room's channel: `<epoch> <ms>\n` and entries, each `<seq> <prev> <bytes of audience> <bytes of body>\n<audience>
 * <body>`; `^<epoch> <last>`, the digest; `!<epoch> <floor>`, the room's keys were lost; `+<count> <bytes of
 * sid>\n<sid><data>` and `-...`, a socket entered or left. On the inbox: a word, numbers, and a newline, see
 * inbox_received. */
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
    struct buf text = {0};
    resp_command_encode(&text, (struct span[]){command, channel}, 2);
    redis_window_send(&redis->pushes.window, buf_span(&text), NULL, NULL);
    buf_finish(&text);
}

static void fence_sent(void *arg, const struct resp *reply)
{
    /* Without the fence the rooms would wait for ever: reconnecting tries it again. */
    if (reply != NULL && redis_is_error(arg, reply, "fencing a subscription"))
        redis_break(arg, CLOSE_BROKER_LOST);
}

/* The rooms' positions among the pushes come back through the inbox. */
static void fences_send(struct redis_broker *redis)
{
    struct list *node;
    struct eval eval;
    size_t count = redis->pushes.fence_count < FENCE_ROOMS_MAX ? redis->pushes.fence_count : FENCE_ROOMS_MAX;
    eval_start(&eval, redis, SCRIPT_FENCE, 1 + count, 3 + count);
    eval_add(&eval, span_str(redis->names.state));
    struct list *at = redis->pushes.fences.next;
    for (size_t i = 0; i < count; i++, at = at->next) {
        struct fence *fence = container_of(at, struct fence, node);
        eval_add_key(&eval, redis, "room", span_of(fence->room, fence->room_len));
    }
    eval_add(&eval, span_str(redis->names.inbox));
    eval_add_u64(&eval, redis->pushes.number);
    eval_add(&eval, span_of(redis->greeting.epoch, redis->greeting.epoch_len));
    for (size_t i = 0; i < count && (node = list_take(&redis->pushes.fences)) != NULL; i++) {
        struct fence *fence = container_of(node, struct fence, node);
        eval_add(&eval, span_of(fence->room, fence->room_len));
        free(fence);
    }
    redis->pushes.fence_count -= count;
    eval_send(&eval, redis, fence_sent, redis);
}

static void fence_flush(struct task *task)
{
    struct redis_broker *redis = container_of(task, struct redis_broker, pushes.fence_flush);
    while (redis->pushes.fence_count > 0 && redis->broker.is_up)
        fences_send(redis);
}

static void fence_add(struct redis_broker *redis, struct span room)
{
    struct fence *fence = mem_alloc(sizeof *fence + room.len);
    fence->room_len = room.len;
    memcpy(fence->room, room.data, room.len);
    list_init(&fence->node);
    list_append(&redis->pushes.fences, &fence->node);
    redis->pushes.fence_count++;
    loop_at_flush(redis->loop, &redis->pushes.fence_flush);
}

void redis_feed_begin(struct redis_broker *redis)
{
    redis->pushes.number++;
}

void redis_feed_init(struct redis_broker *redis)
{
    /* Answers for an earlier process of this name may still arrive, so numbers begin at random. */
    redis->pushes.number = loop_random_below(redis->loop, ANSWER_NUMBER_MAX / 2);
    redis_window_init(&redis->pushes.window, &redis->feed);
    list_init(&redis->pushes.fences);
    task_init(&redis->pushes.fence_flush, fence_flush);
}

void redis_feed_down(struct redis_broker *redis)
{
    struct list *node;
    while ((node = list_take(&redis->pushes.fences)) != NULL)
        free(container_of(node, struct fence, node));
    redis_window_drop(&redis->pushes.window);
    redis->pushes.fence_count = 0;
    redis->pushes.top = 0;
    task_cancel(&redis->pushes.fence_flush);
}

void redis_subscribe(struct broker *broker, struct span room)
{
    struct redis_broker *redis = redis_of(broker);
    struct buf channel = {0};
    if (!broker->is_up)
        return;
    if (broker_room_is_owned(room)) {
        if (!giving_fences(redis->giving, room))
            fence_add(redis, room);
        return;
    }
    redis_channel(&channel, redis, room);
    feed_command(redis, SPAN_LIT("SUBSCRIBE"), buf_span(&channel));
    if (redis->sharded.listens)
        feed_command(redis, SPAN_LIT("SSUBSCRIBE"), buf_span(&channel));
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
    if (redis->sharded.listens)
        feed_command(redis, SPAN_LIT("SUNSUBSCRIBE"), buf_span(&channel));
    buf_finish(&channel);
}

/* The room of a channel's name, or a span with NULL data. */
static struct span room_of(const struct redis_broker *redis, struct span channel)
{
    struct span prefix = span_str(redis->names.prefix);
    if (!span_starts_with(channel, prefix) || !span_starts_with(span_from(channel, prefix.len), SPAN_LIT("push:")))
        return (struct span){NULL, 0};
    return span_from(channel, prefix.len + 5);
}

/* Another epoch: the state was lost while the link was up (FLUSHALL). The greeting finds out. */
bool redis_epoch_is_ours(const struct redis_broker *redis, struct span epoch)
{
    return span_equal(epoch, span_of(redis->greeting.epoch, redis->greeting.epoch_len));
}

/* What the feed says of the counter can only rise; it says nothing of what was lost. */
bool redis_feed_rises_to(struct redis_broker *redis, uint64_t position)
{
    bool ok = position >= redis->pushes.top;
    if (ok)
        redis->pushes.top = position;
    return ok;
}

/* A newest entry, which may have been shown before. */
static void shown(struct redis_broker *redis, uint64_t seq)
{
    if (seq > redis->pushes.top)
        redis->pushes.top = seq;
}

/* The first of these entries. */
static bool entry_next(struct redis_broker *redis, struct words *words, struct broker_entry *entry)
{
    entry->seq = words_number(words, ' ');
    entry->prev = words_number(words, ' ');
    uint64_t audience = words_number(words, ' '), body = words_number(words, '\n');
    entry->audience = words_bytes(words, audience);
    entry->body = words_bytes(words, body);
    if (!words_are_good(words) || (entry->seq != 0 && entry->prev >= entry->seq))
        return false;
    if (entry->seq == 0)
        return true;
    bool ok = entry->seq > redis->pushes.top;
    shown(redis, entry->seq);
    return ok;
}

static bool entries_received(struct redis_broker *redis, struct span room, struct words *words)
{
    struct broker_entry entry = {.room = room};
    struct span epoch = words_text(words, ' ');
    uint64_t ms = words_number(words, '\n');
    if (!words_are_good(words) || !redis_epoch_is_ours(redis, epoch))
        return false;
    /* A receiver of an entry may break the link; then the rest is dropped. */
    while (words->rest.len > 0 && redis->state == REDIS_UP) {
        if (!entry_next(redis, words, &entry))
            return false;
        entry.time_ms = entry.seq != 0 ? (int64_t)ms : 0;
        redis->broker.events->pushed(redis->broker.hub, &entry);
    }
    return true;
}

static bool presence_received(struct redis_broker *redis, struct span room, bool entered, struct words *words)
{
    struct words numbers = {.rest = words_text(words, '\n')};
    uint64_t count = words_number(&numbers, ' '), kept = 0;
    bool is_kept = numbers.rest.data != NULL && span_find(numbers.rest, ' ') >= 0;
    uint64_t sid_bytes = words_number(&numbers, is_kept ? ' ' : '\0');
    if (is_kept)
        kept = words_number(&numbers, '\0');
    struct broker_present who = {.sid = words_bytes(words, sid_bytes)};
    who.data = words_text(words, '\0');
    if (!words_are_good(&numbers) || !words_are_good(words) || !text_is_sid(who.sid) ||
        who.data.len > BROKER_DATA_BYTES_MAX)
        return false;
    if (kept > 0)
        redis->broker.events->kept(redis->broker.hub, kept);
    redis->broker.events->presence(redis->broker.hub, room, &who, entered, count);
    return true;
}

static bool top_received(struct redis_broker *redis, struct span room, struct words *words)
{
    struct span epoch = words_text(words, ' ');
    uint64_t last = words_number(words, '\0');
    if (!words_are_good(words) || !redis_epoch_is_ours(redis, epoch))
        return false;
    shown(redis, last);
    redis->broker.events->top(redis->broker.hub, room, last);
    return true;
}

/* The room's record on the broker begins anew: `floor` stands for the entries that are lost. */
static bool lost_received(struct redis_broker *redis, struct span room, uint64_t floor)
{
    shown(redis, floor);
    redis->broker.events->forgotten(redis->broker.hub, room, floor);
    return true;
}

static bool room_lost_received(struct redis_broker *redis, struct span room, struct words *words)
{
    struct span epoch = words_text(words, ' ');
    uint64_t floor = words_number(words, '\0');
    return words_are_good(words) && redis_epoch_is_ours(redis, epoch) && lost_received(redis, room, floor);
}

static bool push_received(struct redis_broker *redis, struct span room, struct span message)
{
    struct words words = {.rest = span_from(message, 1)};
    if (message.len == 0)
        return true; /* says nothing */
    if (!text_is_room(room))
        return false;
    switch (message.data[0]) {
    case '+':
    case '-':
        return presence_received(redis, room, message.data[0] == '+', &words);
    case '^':
        return top_received(redis, room, &words);
    case '!':
        return room_lost_received(redis, room, &words);
    default:
        words.rest = message;
        return entries_received(redis, room, &words);
    }
}

static bool fence_received(struct redis_broker *redis, struct words *words)
{
    struct words numbers = {.rest = words_text(words, '\n')};
    uint64_t feed = words_number(&numbers, ' '), last = words_number(&numbers, ' '), kept = 0;
    bool has_kept = numbers.rest.data != NULL && span_find(numbers.rest, ' ') >= 0;
    uint64_t position = words_number(&numbers, has_kept ? ' ' : '\0');
    if (has_kept)
        kept = words_number(&numbers, '\0');
    struct span room = words_text(words, '\0');
    if (!words_are_good(&numbers))
        return false;
    if (!words_are_good(words) || !text_is_room(room))
        return false;
    /* A fence that an earlier link requested says nothing about this link's subscriptions. */
    if (feed != redis->pushes.number)
        return true;
    if (last > position || !redis_feed_rises_to(redis, position))
        return false;
    redis->broker.events->kept(redis->broker.hub, kept);
    redis->broker.events->subscribed(redis->broker.hub, room, last, position);
    return true;
}

static bool own_lost_received(struct redis_broker *redis, struct words *words)
{
    uint64_t floor = words_number(words, '\n');
    struct span room = words_text(words, '\0');
    return words_are_good(words) && text_is_room(room) && lost_received(redis, room, floor);
}

static bool entry_received(struct redis_broker *redis, struct words *words)
{
    uint64_t room_bytes = words_number(words, '\n');
    struct span room = words_bytes(words, room_bytes);
    return words_are_good(words) && text_is_room(room) && entries_received(redis, room, words);
}

static bool own_top_received(struct redis_broker *redis, struct words *words)
{
    uint64_t last = words_number(words, '\n');
    struct span room = words_text(words, '\0');
    if (!words_are_good(words) || !text_is_room(room))
        return false;
    shown(redis, last);
    redis->broker.events->top(redis->broker.hub, room, last);
    return true;
}

static bool claimed_received(struct redis_broker *redis, struct words *words)
{
    uint64_t generation = words_number(words, '\n');
    struct span pid = words_text(words, '\0');
    if (!words_are_good(words) || !text_is_sid(pid))
        return false;
    redis->broker.events->superseded(redis->broker.hub, pid, generation);
    return true;
}

/* With the counter in it it is a heartbeat's. */
static bool probe_received(struct redis_broker *redis, struct words *words)
{
    struct words numbers = {.rest = words_text(words, '\n')};
    bool counted = span_find(numbers.rest, ' ') >= 0;
    uint64_t number = words_number(&numbers, counted ? ' ' : '\0'), position = 0;
    if (counted)
        position = words_number(&numbers, '\0');
    if (!words_are_good(words) || !words_are_good(&numbers))
        return false;
    if (!pending_knows(&redis->pulse.probes, number))
        return true; /* of an earlier process under this name */
    if (counted && !redis_feed_rises_to(redis, position))
        return false;
    if (counted)
        redis->broker.events->reached(redis->broker.hub, position);
    redis_probe_received(redis, number);
    return true;
}

/* `fence <feed> <last> <seq>[ <kept>]\n<room>`, `lost <floor>\n<room>`, `entry <bytes of room>\n<room><as on a
 * channel>`, `top <last>\n<room>`, `claimed <generation>\n<pid>`, `present <request> ...\n<members>`, `probe <number>[
 * <seq>]\n`. A word that is not known is for a later version. `record ...`: redis_record.c; `mail ...`: redis_mail.c.
 */
static bool inbox_received(struct redis_broker *redis, struct span message)
{
    struct words words = {.rest = message};
    struct span word = message.len > 0 ? words_text(&words, ' ') : message;
    if (!words_are_good(&words))
        return false;
    if (span_equal(word, SPAN_LIT("fence")))
        return fence_received(redis, &words);
    if (span_equal(word, SPAN_LIT("lost")))
        return own_lost_received(redis, &words);
    if (span_equal(word, SPAN_LIT("entry")))
        return entry_received(redis, &words);
    if (span_equal(word, SPAN_LIT("top")))
        return own_top_received(redis, &words);
    if (span_equal(word, SPAN_LIT("claimed")))
        return claimed_received(redis, &words);
    if (span_equal(word, SPAN_LIT("present")))
        return redis_present_received(redis, &words);
    if (span_equal(word, SPAN_LIT("record")))
        return redis_record_received(redis, &words);
    if (span_equal(word, SPAN_LIT("mail")))
        return redis_mail_received(redis, &words);
    if (span_equal(word, SPAN_LIT("probe")))
        return probe_received(redis, &words);
    return true;
}

/* An answer to a subscription, or what looks like one. */
static void confirmed(struct redis_broker *redis, struct span kind, struct span channel, struct span room)
{
    bool own = span_equal(channel, span_str(redis->names.inbox));
    redis_window_answered(&redis->pushes.window);
    /* Of two subscriptions the second one counts. */
    if (span_equal(kind, redis->sharded.listens ? SPAN_LIT("ssubscribe") : SPAN_LIT("subscribe")) && text_is_room(room))
        fence_add(redis, room);
    else if (own && span_equal(kind, SPAN_LIT("sunsubscribe"))) /* nobody asked for it: the slot has left this node */
        redis_break(redis, CLOSE_BROKER_LOST);
}

void redis_feed_received(struct redis_broker *redis, const struct resp *reply)
{
    if (reply->type == RESP_ERROR && redis_cluster_sends_away(redis, reply->text))
        return;
    struct answer answer = answer_of(reply);
    struct span kind = answer_text(&answer), channel = answer_text(&answer), room = room_of(redis, channel);
    if (span_equal(kind, SPAN_LIT("message")) || span_equal(kind, SPAN_LIT("smessage"))) {
        struct span message = answer_text(&answer);
        redis_pulse_feed_seen(redis);
        bool own = span_equal(channel, span_str(redis->names.inbox));
        if (!answer_is_good(&answer) || !(own                 ? inbox_received(redis, message)
                                          : room.data != NULL ? push_received(redis, room, message)
                                                              : true))
            redis_invalid(redis, own ? "a message to this instance" : "a message to a room");
        return;
    }
    answer_number(&answer);
    if (!answer_is_good(&answer)) {
        redis_invalid(redis, "what came on the subscriber link");
        return;
    }
    redis_pulse_feed_seen(redis);
    confirmed(redis, kind, channel, room);
}
