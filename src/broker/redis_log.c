/* redis_log: reads a room's stream. Only a few reads are under way at a time, and others wait here. Their answers are
 * large, and other commands of the link (publishes, heartbeats, leases) must not wait behind all of them. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

static const uint64_t SEQ_MAX = 1ull << 53; /* Lua counts in doubles */

struct read_call {
    struct list node;
    struct redis_broker *redis;
    broker_read_fn *done;
    void *arg;
    bool out;
    struct broker_range range; /* its epoch points into `bytes` */
    size_t room_len;
    char bytes[]; /* room, epoch */
};

static struct span room_of(const struct read_call *call)
{
    return span_of(call->bytes, call->room_len);
}

/* `<seq>-<ms>` and its fields p (`<prev> <sum>`), a, b. */
static bool entry_decode(struct answer *answer, struct broker_entry *entry)
{
    struct answer item = answer_array(answer);
    struct words id = {.rest = answer_text(&item)};
    struct answer fields = answer_array(&item);
    struct span p = answer_text(&fields);
    struct words before = {.rest = answer_text(&fields)};
    struct span a = answer_text(&fields);
    entry->audience = answer_text(&fields);
    struct span b = answer_text(&fields);
    entry->body = answer_text(&fields);
    entry->seq = words_number(&id, '-');
    entry->time_ms = (int64_t)words_number(&id, '\0');
    entry->prev = words_number(&before, ' ');
    words_number(&before, '\0');
    return answer_is_good(&item) && answer_is_good(&fields) && words_are_good(&id) && words_are_good(&before) &&
           span_equal(p, SPAN_LIT("p")) && span_equal(a, SPAN_LIT("a")) && span_equal(b, SPAN_LIT("b"));
}

/* Checks that the entry advances the page; otherwise the same page would be read for ever. */
static bool entry_fits(const struct read_call *call, const struct broker_page *page, const struct broker_entry *entry)
{
    const struct broker_range *range = &call->range;
    uint64_t above = page->count > 0 ? page->entries[page->count - 1].seq : 0;
    if (!range->back && !page->clipped && range->seq > above)
        above = range->seq;
    return entry->seq > above && entry->prev < entry->seq && entry->seq <= page->last &&
           (!range->back || entry->seq < range->seq);
}

static bool page_decode(const struct read_call *call, const struct resp *reply, struct broker_page *page,
                        struct broker_entry *entries)
{
    struct answer answer = answer_of(reply);
    struct words tops = {.rest = answer_text(&answer)};
    bool counted = span_find(tops.rest, ' ') >= 0;
    page->last = words_number(&tops, counted ? ' ' : '\0');
    page->position = counted ? words_number(&tops, '\0') : page->last;
    page->clipped = answer_flag(&answer);
    page->more = answer_flag(&answer);
    page->entries = entries;
    if (answer.bad || !words_are_good(&tops) || page->last > page->position ||
        answer.count - answer.at > call->range.limit)
        return false;
    while (answer.at < answer.count) {
        struct broker_entry *entry = &entries[page->count];
        entry->room = room_of(call);
        if (!entry_decode(&answer, entry) || !entry_fits(call, page, entry))
            return false;
        page->count++;
    }
    return answer_is_good(&answer) && (page->count > 0 || !page->more);
}

static void call_end(struct read_call *call, enum broker_result result, const struct broker_page *page)
{
    struct redis_broker *redis = call->redis;
    if (call->out) {
        redis->reading.out--;
        redis->reading.bytes_out -= broker_range_bytes(&call->range);
        loop_at_flush(redis->loop, &redis->reading.flush);
    }
    call->done(call->arg, result, page);
    free(call);
}

static void answered(void *arg, const struct resp *reply)
{
    struct read_call *call = arg;
    struct redis_broker *redis = call->redis;
    struct broker_page page = {0};
    struct broker_entry *entries = NULL;
    enum broker_result result = BROKER_LOST;
    if (reply != NULL && redis_is_spoiled(redis, reply, "reading a room")) {
        result = BROKER_SPOILED;
    } else if (reply != NULL && redis_is_error(redis, reply, "reading a room")) {
        redis_break(redis, CLOSE_BROKER_LOST); /* asked again at once, it would say the same: after a backoff */
    } else if (reply != NULL) {
        entries = mem_zero(reply->item_count + 1, sizeof *entries);
        if (page_decode(call, reply, &page, entries)) {
            result = BROKER_OK;
        } else {
            page = (struct broker_page){0};
            redis_invalid(redis, "a page of a room's log");
        }
    }
    /* A damaged log: no entry up to the feed's position can be read. */
    if (result == BROKER_SPOILED) {
        page.position = redis->pushes.top;
        result = BROKER_OK;
    }
    call_end(call, result, &page);
    free(entries);
}

static void call_send(struct read_call *call)
{
    struct redis_broker *redis = call->redis;
    const struct broker_range *range = &call->range;
    struct eval eval;
    call->out = true;
    redis->reading.out++;
    redis->reading.bytes_out += broker_range_bytes(range);
    eval_start(&eval, redis, SCRIPT_READ, 3, 6);
    eval_add(&eval, span_str(redis->names.state));
    eval_add_key(&eval, redis, "log", room_of(call));
    eval_add_key(&eval, redis, "room", room_of(call));
    eval_add(&eval, span_of(redis->greeting.epoch, redis->greeting.epoch_len));
    eval_add(&eval, range->back ? SPAN_LIT("before") : SPAN_LIT("after"));
    eval_add_u64(&eval, range->seq < SEQ_MAX ? range->seq : SEQ_MAX);
    eval_add(&eval, range->epoch);
    eval_add_u64(&eval, range->limit);
    eval_add_u64(&eval, broker_range_bytes(range));
    eval_send(&eval, redis, answered, call);
}

static void read_flush(struct task *task)
{
    struct redis_broker *redis = container_of(task, struct redis_broker, reading.flush);
    while (redis->broker.is_up && redis->reading.out < READS_MAX && !list_empty(&redis->reading.waiting)) {
        struct read_call *call = container_of(redis->reading.waiting.next, struct read_call, node);
        size_t bytes = broker_range_bytes(&call->range);
        if (redis->reading.out > 0 && redis->reading.bytes_out + bytes > READS_BYTES_MAX)
            break;
        list_remove(&call->node);
        call_send(call);
    }
}

void redis_read(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct read_call *call = mem_zero(1, sizeof *call + room.len + range->epoch.len);
    *call = (struct read_call){.redis = redis, .done = done, .arg = arg, .range = *range, .room_len = room.len};
    list_init(&call->node);
    memcpy(call->bytes, room.data, room.len);
    if (range->epoch.len != 0)
        memcpy(call->bytes + room.len, range->epoch.data, range->epoch.len);
    call->range.epoch.data = call->bytes + room.len;
    if (!broker->is_up) {
        redis_refuse(redis, answered, call);
        return;
    }
    list_append(&redis->reading.waiting, &call->node);
    loop_at_flush(redis->loop, &redis->reading.flush);
}

void redis_log_init(struct redis_broker *redis)
{
    list_init(&redis->reading.waiting);
    task_init(&redis->reading.flush, read_flush);
}

void redis_log_down(struct redis_broker *redis)
{
    struct list lost, *node;
    list_init(&lost);
    while ((node = list_take(&redis->reading.waiting)) != NULL)
        list_append(&lost, node);
    while ((node = list_take(&lost)) != NULL)
        call_end(container_of(node, struct read_call, node), BROKER_LOST, &(struct broker_page){0});
}
