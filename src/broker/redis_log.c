/* redis_log: reading a room's stream. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

enum { PAGE_BYTES_MAX = 4 << 20 };

struct read_call {
    struct redis_broker *redis;
    broker_read_fn *done;
    void *arg;
    uint64_t after;
    size_t room_len;
    char room[];
};

/* `<seq>-<ms>` and its fields p, e, b. */
static bool entry_decode(const struct resp *item, struct broker_entry *entry)
{
    uint64_t ms;
    if (item->type != RESP_ARRAY || item->item_count != 2 || item->items[1].type != RESP_ARRAY ||
        item->items[1].item_count != 6)
        return false;
    struct span id = item->items[0].text, seq;
    const struct resp *fields = item->items[1].items;
    if (!span_next(&id, '-', &seq) || !span_to_u64(seq, &entry->seq) || !span_to_u64(id, &ms) ||
        !span_to_u64(fields[1].text, &entry->prev))
        return false;
    entry->time_ms = (int64_t)ms;
    entry->except = fields[3].text;
    entry->body = fields[5].text;
    return true;
}

static bool page_decode(const struct read_call *call, const struct resp *reply, struct broker_page *page,
                        struct broker_entry *entries)
{
    if (reply->type != RESP_ARRAY || reply->item_count == 0 || !span_to_u64(reply->items[0].text, &page->last))
        return false;
    for (size_t i = 1; i < reply->item_count; i++) {
        entries[page->count].room = span_of(call->room, call->room_len);
        if (!entry_decode(&reply->items[i], &entries[page->count++]))
            return false;
    }
    page->entries = entries;
    uint64_t top = page->count > 0 ? entries[page->count - 1].seq : call->after;
    page->complete = top >= page->last;
    page->gap = page->count > 0 ? entries[0].prev > call->after : page->last > call->after;
    return true;
}

static void answered(void *arg, const struct resp *reply)
{
    struct read_call *call = arg;
    struct broker_page page = {0};
    struct broker_entry *entries = NULL;
    enum broker_result result = BROKER_LOST;
    if (reply != NULL && redis_is_error(call->redis, reply, "reading a room")) {
        redis_break(call->redis, CLOSE_BROKER_LOST); /* asked again at once, it would say the same: after a backoff */
    } else if (reply != NULL) {
        entries = mem_zero(reply->item_count, sizeof *entries);
        if (page_decode(call, reply, &page, entries))
            result = BROKER_OK;
        else
            redis_break(call->redis, CLOSE_BROKER_INVALID);
    }
    call->done(call->arg, result, &page);
    free(entries);
    free(call);
}

static void read_send(struct redis_broker *redis, struct span room, uint64_t after, uint32_t limit, bool newest,
                      broker_read_fn *done, void *arg)
{
    struct read_call *call = mem_zero(1, sizeof *call + room.len);
    struct eval eval;
    call->redis = redis;
    call->done = done;
    call->arg = arg;
    call->after = after;
    call->room_len = room.len;
    memcpy(call->room, room.data, room.len);
    if (!redis->broker.is_up) {
        redis_refuse(redis, answered, call);
        return;
    }
    eval_start(&eval, redis, SCRIPT_READ, 2, 4);
    eval_add_key(&eval, redis, "log", room);
    eval_add_key(&eval, redis, "room", room);
    eval_add_u64(&eval, after);
    eval_add_u64(&eval, limit);
    eval_add_u64(&eval, newest);
    eval_add_u64(&eval, PAGE_BYTES_MAX);
    eval_send(&eval, redis, answered, call);
}

void redis_read(struct broker *broker, struct span room, uint64_t after, uint32_t limit, broker_read_fn *done,
                void *arg)
{
    read_send(redis_of(broker), room, after, limit, false, done, arg);
}

void redis_read_newest(struct broker *broker, struct span room, uint32_t limit, broker_read_fn *done, void *arg)
{
    read_send(redis_of(broker), room, 0, limit, true, done, arg);
}
