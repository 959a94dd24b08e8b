/* redis_publish: publishes gather while a call is under way and leave together in the next one. Calls are numbered, and
 * the script takes exactly the next one, so that repeating a call whose answer was lost is harmless. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

enum {
    BATCH_ENTRIES_MAX = 500,
    BATCH_BYTES_MAX = 1 << 20,
    ENTRY_BYTES_MAX = 17 << 20,
    RETRY_MS = 250,
    KEYS_BEFORE = 3, /* state, publisher, recent */
    ARGS_BEFORE = 4, /* epoch, number, rebase, slots */
    ARGS_SLOT = 5,
    ARGS_ENTRY = 4,
};

struct waiting_publish {
    struct list node;
    broker_done_fn *done;
    void *arg;
    struct broker_retention retention; /* entries_max 0: not logged */
    size_t room_len, audience_len, body_len, id_len;
    uint32_t slot; /* in the call under way, from 1 */
    char bytes[];  /* room, audience, body, id */
};

static struct span part(const struct waiting_publish *publish, size_t from, size_t len)
{
    return span_of(publish->bytes + from, len);
}

static struct span room_of(const struct waiting_publish *publish)
{
    return part(publish, 0, publish->room_len);
}

static struct span id_of(const struct waiting_publish *publish)
{
    return part(publish, publish->room_len + publish->audience_len + publish->body_len, publish->id_len);
}

static bool is_named(const struct waiting_publish *publish)
{
    return publish->id_len != 0 && publish->retention.entries_max != 0;
}

static size_t bytes_of(const struct waiting_publish *publish)
{
    return sizeof *publish + publish->room_len + publish->audience_len + publish->body_len + publish->id_len;
}

/* Rooms of the batch under one retention, each once; a batch is mostly one room, so looking from the last one is quick.
 */
struct slots {
    const struct waiting_publish *first[BATCH_ENTRIES_MAX];
    uint32_t count;
};

static bool same_slot(const struct waiting_publish *a, const struct waiting_publish *b)
{
    return a->retention.entries_max == b->retention.entries_max && a->retention.bytes_max == b->retention.bytes_max &&
           a->retention.age_ms_max == b->retention.age_ms_max && span_equal(room_of(a), room_of(b));
}

static uint32_t slot_of(struct slots *slots, const struct waiting_publish *publish)
{
    for (uint32_t i = slots->count; i > 0; i--)
        if (same_slot(slots->first[i - 1], publish))
            return i;
    slots->first[slots->count++] = publish;
    return slots->count;
}

static void add_slot(struct eval *eval, const struct redis_broker *redis, const struct waiting_publish *first)
{
    struct buf target = {0};
    struct span room = room_of(first);
    if (broker_room_is_owned(room)) {
        buf_printf(&target, "@%sowner:", redis->key_prefix);
        buf_append(&target, room);
    } else {
        redis_channel(&target, redis, room);
    }
    eval_add(eval, buf_span(&target));
    eval_add_u64(eval, first->retention.entries_max);
    eval_add_u64(eval, first->retention.bytes_max);
    eval_add_u64(eval, first->retention.age_ms_max);
    eval_add_u64(eval, first->retention.age_ms_max * 5 / 4 + META_MS);
    buf_finish(&target);
}

/* Where a client's name for a message is remembered: names are the room's. */
static void add_name(struct eval *eval, const struct redis_broker *redis, const struct waiting_publish *publish)
{
    struct buf name = {0};
    buf_append_u64(&name, publish->room_len);
    buf_append_char(&name, ':');
    buf_append(&name, room_of(publish));
    buf_append_char(&name, ':');
    buf_append(&name, id_of(publish));
    eval_add_key(eval, redis, "id", buf_span(&name));
    buf_finish(&name);
}

static void add_entry(struct eval *eval, const struct waiting_publish *publish, size_t *named_at)
{
    eval_add_u64(eval, publish->slot);
    eval_add_u64(eval, is_named(publish) ? ++*named_at : 0);
    eval_add(eval, part(publish, publish->room_len, publish->audience_len));
    eval_add(eval, part(publish, publish->room_len + publish->audience_len, publish->body_len));
}

static void answered(void *arg, const struct resp *reply);

static void call_send(struct redis_broker *redis)
{
    struct slots slots = {.count = 0};
    struct eval eval;
    size_t entries = 0, named = 0;
    list_each (node, &redis->flying) {
        struct waiting_publish *publish = container_of(node, struct waiting_publish, node);
        publish->slot = slot_of(&slots, publish);
        named += is_named(publish);
        entries++;
    }
    size_t named_at = KEYS_BEFORE + 2 * slots.count;
    eval_start(&eval, redis, SCRIPT_PUBLISH, named_at + named,
               ARGS_BEFORE + ARGS_SLOT * slots.count + ARGS_ENTRY * entries);
    eval_add(&eval, span_str(redis->state_key));
    eval_add(&eval, span_str(redis->publisher_key));
    eval_add(&eval, span_str(redis->recent_key));
    for (uint32_t i = 0; i < slots.count; i++) {
        eval_add_key(&eval, redis, "log", room_of(slots.first[i]));
        eval_add_key(&eval, redis, "room", room_of(slots.first[i]));
    }
    list_each (node, &redis->flying) {
        struct waiting_publish *publish = container_of(node, struct waiting_publish, node);
        if (is_named(publish))
            add_name(&eval, redis, publish);
    }
    eval_add(&eval, span_of(redis->epoch, redis->epoch_len));
    eval_add_u64(&eval, redis->call_number);
    eval_add_u64(&eval, redis->rebase);
    eval_add_u64(&eval, slots.count);
    for (uint32_t i = 0; i < slots.count; i++)
        add_slot(&eval, redis, slots.first[i]);
    list_each (node, &redis->flying) {
        add_entry(&eval, container_of(node, struct waiting_publish, node), &named_at);
    }
    redis->call_out = true;
    eval_send(&eval, redis, answered, redis);
}

/* Takes what waits into the next call, as much as fits. */
static void call_begin(struct redis_broker *redis)
{
    size_t entries = 0, bytes = 0;
    struct list *node;
    while (entries < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX && (node = list_take(&redis->publishes)) != NULL) {
        bytes += bytes_of(container_of(node, struct waiting_publish, node));
        list_append(&redis->flying, node);
        entries++;
    }
    if (entries == 0)
        return;
    redis->call_number++;
    redis->rebase = false;
    call_send(redis);
}

static void publish_flush(struct task *task)
{
    struct redis_broker *redis = container_of(task, struct redis_broker, publish_flush);
    if (redis->state == REDIS_UP && !redis->call_out && list_empty(&redis->flying))
        call_begin(redis);
}

static void call_accepted(struct redis_broker *redis)
{
    struct list *node;
    while ((node = list_take(&redis->flying)) != NULL) {
        struct waiting_publish *publish = container_of(node, struct waiting_publish, node);
        redis->backlog_bytes -= bytes_of(publish);
        if (publish->done != NULL)
            publish->done(publish->arg, BROKER_OK);
        free(publish);
    }
    loop_at_flush(redis->loop, &redis->publish_flush);
}

static void retry(struct timer *timer)
{
    struct redis_broker *redis = container_of(timer, struct redis_broker, publish_retry);
    if (redis->state == REDIS_UP && !redis->call_out && !list_empty(&redis->flying))
        call_send(redis);
}

static void answered(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    redis->call_out = false;
    if (reply == NULL)
        return; /* the link broke: what flies is repeated once it is up again */
    if (redis_is_error(redis, reply, "publishing")) {
        timer_start(redis->loop, &redis->publish_retry, LOOP_MS(RETRY_MS));
    } else if (reply->type != RESP_ARRAY || reply->item_count != 2) {
        redis_break(redis, CLOSE_BROKER_INVALID);
    } else if (reply->items[0].integer == 1 || reply->items[1].integer >= (int64_t)redis->call_number) {
        redis->complained = false;
        call_accepted(redis);
    } else {
        /* The server has forgotten our last call: it lost data, or we were silent for long. */
        redis->rebase = true;
        call_send(redis);
    }
}

bool redis_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    size_t bytes = publish->room.len + publish->audience.len + publish->body.len + publish->id.len;
    if (bytes > ENTRY_BYTES_MAX || redis->backlog_bytes + bytes > BROKER_BACKLOG_BYTES_MAX)
        return false;
    struct waiting_publish *waiting = mem_zero(1, sizeof *waiting + bytes);
    waiting->done = done;
    waiting->arg = arg;
    if (publish->retention != NULL)
        waiting->retention = *publish->retention;
    const struct span parts[] = {publish->room, publish->audience, publish->body, publish->id};
    char *at = waiting->bytes;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len != 0)
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    waiting->room_len = publish->room.len;
    waiting->audience_len = publish->audience.len;
    waiting->body_len = publish->body.len;
    waiting->id_len = publish->id.len;
    list_init(&waiting->node);
    list_append(&redis->publishes, &waiting->node);
    redis->backlog_bytes += bytes_of(waiting);
    loop_at_flush(redis->loop, &redis->publish_flush);
    return true;
}

void redis_publish_init(struct redis_broker *redis)
{
    list_init(&redis->publishes);
    list_init(&redis->flying);
    task_init(&redis->publish_flush, publish_flush);
    timer_init(&redis->publish_retry, retry);
}

void redis_publish_resume(struct redis_broker *redis, uint64_t last)
{
    if (list_empty(&redis->flying)) {
        loop_at_flush(redis->loop, &redis->publish_flush);
    } else if (last >= redis->call_number) {
        call_accepted(redis); /* only its answer was lost */
    } else {
        redis->rebase = last != redis->call_number - 1;
        call_send(redis);
    }
}

static void drop_all(struct list *publishes)
{
    struct list *node;
    while ((node = list_take(publishes)) != NULL) {
        struct waiting_publish *publish = container_of(node, struct waiting_publish, node);
        if (publish->done != NULL)
            publish->done(publish->arg, BROKER_LOST);
        free(publish);
    }
}

void redis_publish_finish(struct redis_broker *redis)
{
    task_cancel(&redis->publish_flush);
    timer_stop(redis->loop, &redis->publish_retry);
    drop_all(&redis->flying);
    drop_all(&redis->publishes);
}
