/* redis_publish: batches publishes: those that arrive while a call is under way go together into the next one. Calls
 * are numbered, and the script takes exactly the next number, so a call whose answer was lost can be repeated. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

enum {
    BATCH_ENTRIES_MAX = 500,
    BATCH_BYTES_MAX = 1 << 20,
    RETRY_MS = 250,
    KEYS_BEFORE = 5, /* state, publisher, recent, rooms, sizes */
    KEYS_SLOT = 3,   /* log, meta, names */
    ARGS_BEFORE = 7, /* epoch, number, rebase, slots, rooms_max, store_bytes_max, pressure */
    ARGS_SLOT = 5,
    ARGS_ENTRY = 4,
};

/* Rooms of the batch under one retention, each once; a batch is mostly one room, so looking from the last one is quick.
 */
struct slots {
    const struct waiting_publish *first[BATCH_ENTRIES_MAX];
    uint32_t count;
};

static bool same_slot(const struct waiting_publish *a, const struct waiting_publish *b)
{
    return waiting_is_kept_alike(a, b) && span_equal(waiting_room(a), waiting_room(b));
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
    struct span room = waiting_room(first);
    if (broker_room_is_owned(room)) {
        buf_printf(&target, "@%sowner:", redis->names.prefix);
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

/* The name behind three hexadecimal digits that the body's digest makes. */
static void name_add(struct eval *eval, const struct waiting_publish *publish)
{
    struct buf tagged = {0};
    if (waiting_name(publish).len != 0) {
        buf_printf(&tagged, "%03x", (unsigned)(broker_digest(waiting_body(publish)) & 0xfff));
        buf_append(&tagged, waiting_name(publish));
    }
    eval_add(eval, buf_span(&tagged));
    buf_finish(&tagged);
}

static void add_entry(struct eval *eval, const struct waiting_publish *publish)
{
    eval_add_u64(eval, publish->slot);
    name_add(eval, publish);
    eval_add(eval, waiting_audience(publish));
    eval_add(eval, waiting_body(publish));
}

static void answered(void *arg, const struct resp *reply);

static void call_send(struct redis_broker *redis)
{
    struct slots slots = {.count = 0};
    struct eval eval;
    size_t entries = 0;
    list_each (node, &redis->publishing.flying) {
        struct waiting_publish *publish = waiting_of(node);
        publish->slot = slot_of(&slots, publish);
        publish->result = BROKER_OK;
        entries++;
    }
    eval_start(&eval, redis, SCRIPT_PUBLISH, KEYS_BEFORE + KEYS_SLOT * slots.count,
               ARGS_BEFORE + ARGS_SLOT * slots.count + ARGS_ENTRY * entries);
    const char *const keys[] = {redis->names.state, redis->names.publisher, redis->names.recent, redis->names.rooms,
                                redis->names.sizes};
    for (size_t i = 0; i < KEYS_BEFORE; i++)
        eval_add(&eval, span_str(keys[i]));
    for (uint32_t i = 0; i < slots.count; i++) {
        eval_add_key(&eval, redis, "log", waiting_room(slots.first[i]));
        eval_add_key(&eval, redis, "room", waiting_room(slots.first[i]));
        eval_add_key(&eval, redis, "names", waiting_room(slots.first[i]));
    }
    eval_add(&eval, span_of(redis->greeting.epoch, redis->greeting.epoch_len));
    eval_add_u64(&eval, redis->publishing.call_number);
    eval_add_u64(&eval, redis->publishing.rebase);
    eval_add_u64(&eval, slots.count);
    eval_add_u64(&eval, redis->bounds.rooms_max);
    eval_add_u64(&eval, redis->memory.store_bytes_max);
    eval_add_u64(&eval, (uint64_t)redis->memory.pressure);
    for (uint32_t i = 0; i < slots.count; i++)
        add_slot(&eval, redis, slots.first[i]);
    list_each (node, &redis->publishing.flying) {
        add_entry(&eval, waiting_of(node));
    }
    redis->publishing.call_out = true;
    eval_send(&eval, redis, answered, redis);
}

static void wait_tell(struct redis_broker *redis);

/* While Redis has no memory, what is to be logged stays here, so that it holds up nothing else. True: it does. */
static bool hold_back(struct redis_broker *redis, struct waiting_publish *publish)
{
    if (redis->memory.pressure < 2 || publish->retention.entries_max == 0)
        return false;
    list_append(&redis->publishing.held_back, &publish->node);
    wait_tell(redis);
    return true;
}

/* There is memory again: they go first, in their order. */
static void held_back_release(struct redis_broker *redis)
{
    while (!list_empty(&redis->publishing.held_back)) {
        struct list *last = redis->publishing.held_back.prev;
        list_remove(last);
        list_prepend(&redis->publishing.waiting, last);
    }
}

/* Takes what waits into the next call, as much as fits. */
static void call_begin(struct redis_broker *redis)
{
    size_t entries = 0, bytes = 0;
    struct list *node;
    if (redis->memory.pressure < 2)
        held_back_release(redis);
    while (entries < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX &&
           (node = list_take(&redis->publishing.waiting)) != NULL) {
        struct waiting_publish *publish = waiting_of(node);
        if (hold_back(redis, publish))
            continue;
        bytes += waiting_bytes(publish);
        list_append(&redis->publishing.flying, node);
        entries++;
    }
    if (!list_empty(&redis->publishing.held_back)) {
        redis_memory_look_soon(redis);
        timer_start(redis->loop, &redis->publishing.retry, LOOP_MS(RETRY_MS));
    }
    if (entries == 0)
        return;
    redis->publishing.call_number++;
    redis->publishing.rebase = false;
    call_send(redis);
}

static void publish_flush(struct task *task)
{
    struct redis_broker *redis = container_of(task, struct redis_broker, publishing.flush);
    if (redis->state == REDIS_UP && !redis->publishing.call_out && list_empty(&redis->publishing.flying))
        call_begin(redis);
}

/* Puts publishes that wait for memory back in front of the later ones, in their order. Of one room all wait, or none.
 */
static void waiting_put_back(struct redis_broker *redis)
{
    bool any = false;
    for (struct list *node = redis->publishing.flying.prev, *before; node != &redis->publishing.flying; node = before) {
        struct waiting_publish *publish = waiting_of(node);
        before = node->prev;
        if (!publish->waits)
            continue;
        publish->waits = false;
        list_remove(node);
        list_prepend(&redis->publishing.waiting, node);
        any = true;
    }
    if (any)
        timer_start(redis->loop, &redis->publishing.retry, LOOP_MS(RETRY_MS));
}

static void call_accepted(struct redis_broker *redis)
{
    struct list *node;
    waiting_put_back(redis);
    while ((node = list_take(&redis->publishing.flying)) != NULL) {
        struct waiting_publish *publish = waiting_of(node);
        redis->publishing.backlog_bytes -= waiting_bytes(publish);
        waiting_answer(publish, publish->result);
    }
    loop_at_flush(redis->loop, &redis->publishing.flush);
}

static void retry(struct timer *timer)
{
    struct redis_broker *redis = container_of(timer, struct redis_broker, publishing.retry);
    if (redis->state != REDIS_UP || redis->publishing.call_out)
        return;
    if (list_empty(&redis->publishing.flying))
        call_begin(redis);
    else
        call_send(redis);
}

/* Whether a log line is due: except for spoiled keys, one in SPOILED_TELL_MS at most. */
static bool may_tell(struct redis_broker *redis)
{
    uint64_t now = loop_now_us(redis->loop);
    redis->publishing.full_count++;
    if (redis->publishing.full_told_us != 0 && now - redis->publishing.full_told_us < LOOP_MS(SPOILED_TELL_MS))
        return false;
    redis->publishing.full_told_us = now;
    return true;
}

static void wait_tell(struct redis_broker *redis)
{
    redis_memory_look_soon(redis);
    if (!may_tell(redis))
        return;
    log_event(LOG_WARNING, "Redis' memory is used up: what is to be logged waits",
              LOG_N("times", redis->publishing.full_count),
              LOG_C("cure", "raise its maxmemory, or keep less: `log:` of the namespaces, `limits: log_bytes`"));
    redis->publishing.full_count = 0;
}

static void refusal_tell(struct redis_broker *redis, const struct waiting_publish *publish, struct span key)
{
    if (publish->result == BROKER_TAKEN)
        return; /* its sender's affair */
    if (publish->result == BROKER_SPOILED) {
        redis_spoiled(redis, "publishing", key);
        return;
    }
    if (!may_tell(redis))
        return;
    log_event(LOG_WARNING, "publishes are refused: the service's storage is full",
              LOG_C("why", broker_refusal_text(publish->result)), LOG_N("refused", redis->publishing.full_count),
              LOG_S("room", span_sub(waiting_room(publish), 0, 64)),
              LOG_N("store_bytes_max", redis->memory.store_bytes_max), LOG_N("rooms_max", redis->bounds.rooms_max),
              LOG_C("cure", "raise the limits and Redis' maxmemory, or keep less: `log:` of the namespaces"));
    redis->publishing.full_count = 0;
}

/* Each refused entry: its place in the call from 1, why, and the key that is spoiled. Places rise. */
static bool refusals_take(struct redis_broker *redis, struct answer *answer)
{
    static const struct {
        const char *why;
        enum broker_result result;
    } table[] = {
        {"bytes", BROKER_FULL}, {"rooms", BROKER_FULL_ROOMS}, {"taken", BROKER_TAKEN}, {"spoiled", BROKER_SPOILED}};
    struct list *node = &redis->publishing.flying;
    uint64_t at = 0;
    while (answer->at < answer->count && !answer->bad) {
        uint64_t place = answer_number(answer);
        struct span why = answer_text(answer), key = answer_text(answer);
        enum broker_result result = BROKER_OK;
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
            if (span_equal(why, span_str(table[i].why)))
                result = table[i].result;
        bool waits = span_equal(why, SPAN_LIT("wait"));
        if (place <= at || (result == BROKER_OK && !waits))
            return false;
        while (at < place && (node = node->next) != &redis->publishing.flying)
            at++;
        if (at != place)
            return false;
        struct waiting_publish *publish = waiting_of(node);
        publish->result = result;
        publish->waits = waits;
        if (waits)
            wait_tell(redis);
        else
            refusal_tell(redis, publish, key);
    }
    return answer_is_good(answer);
}

/* The number is written when all is done: only an answer was lost. */
static void call_repeated(struct redis_broker *redis, struct answer *answer)
{
    if (refusals_take(redis, answer))
        call_accepted(redis);
    else
        redis_invalid(redis, "the answer to publishing again");
}

static void answered(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    redis->publishing.call_out = false;
    if (reply == NULL)
        return; /* the link broke: what flies is repeated once it is up again */
    if (redis_is_spoiled(redis, reply, "publishing")) {
        redis_break(redis, CLOSE_BROKER_LOST); /* what is everybody's, or this instance's own, is spoiled */
        return;
    }
    if (redis_is_error(redis, reply, "publishing")) {
        redis_memory_look_soon(redis); /* it may be out of memory: then it is time to refuse */
        timer_start(redis->loop, &redis->publishing.retry, LOOP_MS(RETRY_MS));
        return;
    }
    struct answer answer = answer_of(reply);
    bool accepted = answer_flag(&answer);
    uint64_t last = answer_number(&answer);
    if (!answer.bad && accepted && last == redis->publishing.call_number && refusals_take(redis, &answer)) {
        redis_complaint_over(redis);
        call_accepted(redis);
    } else if (accepted || answer.bad || last > redis->publishing.call_number) {
        redis_invalid(redis, "the answer to publishing");
    } else if (last == redis->publishing.call_number) {
        call_repeated(redis, &answer);
    } else if (!redis->publishing.rebase) {
        /* The server has forgotten our last call: it lost data, or this instance was silent for long. */
        redis->publishing.rebase = true;
        call_send(redis);
    } else {
        redis_invalid(redis, "the answer to publishing"); /* to be asked again for ever */
    }
}

bool redis_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct waiting_publish *waiting = waiting_create(publish, done, arg, &redis->publishing.backlog_bytes);
    if (waiting == NULL)
        return false;
    list_append(&redis->publishing.waiting, &waiting->node);
    loop_at_flush(redis->loop, &redis->publishing.flush);
    return true;
}

void redis_publish_init(struct redis_broker *redis)
{
    list_init(&redis->publishing.waiting);
    list_init(&redis->publishing.flying);
    list_init(&redis->publishing.held_back);
    task_init(&redis->publishing.flush, publish_flush);
    timer_init(&redis->publishing.retry, retry);
}

void redis_publish_resume(struct redis_broker *redis, uint64_t last, struct answer *refused)
{
    if (list_empty(&redis->publishing.flying)) {
        loop_at_flush(redis->loop, &redis->publishing.flush);
    } else if (last == redis->publishing.call_number) {
        call_repeated(redis, refused);
    } else if (last > redis->publishing.call_number) {
        redis_invalid(redis, "the number of our last call");
    } else {
        redis->publishing.rebase = last != redis->publishing.call_number - 1;
        call_send(redis);
    }
}

void redis_publish_finish(struct redis_broker *redis)
{
    task_cancel(&redis->publishing.flush);
    timer_stop(redis->loop, &redis->publishing.retry);
    waiting_lose_all(&redis->publishing.flying);
    waiting_lose_all(&redis->publishing.held_back);
    waiting_lose_all(&redis->publishing.waiting);
}
