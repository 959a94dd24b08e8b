/* redis_log: reading a room's stream. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

static const uint64_t SEQ_MAX = 1ull << 53; /* Lua counts in doubles */

struct read_call {
    struct redis_broker *redis;
    broker_read_fn *done;
    void *arg;
    size_t room_len;
    char room[];
};

/* `<seq>-<ms>` and its fields p (`<prev> <sum>`), a, b. */
static bool entry_decode(const struct resp *item, struct broker_entry *entry)
{
    uint64_t ms;
    if (item->type != RESP_ARRAY || item->item_count != 2 || item->items[1].type != RESP_ARRAY ||
        item->items[1].item_count != 6)
        return false;
    struct span id = item->items[0].text, seq, prev, sum;
    const struct resp *fields = item->items[1].items;
    sum = fields[1].text;
    if (!span_next(&id, '-', &seq) || !span_to_u64(seq, &entry->seq) || !span_to_u64(id, &ms) ||
        !span_next(&sum, ' ', &prev) || !span_to_u64(prev, &entry->prev))
        return false;
    entry->time_ms = (int64_t)ms;
    entry->audience = fields[3].text;
    entry->body = fields[5].text;
    return true;
}

static bool page_decode(const struct read_call *call, const struct resp *reply, struct broker_page *page,
                        struct broker_entry *entries)
{
    if (reply->type != RESP_ARRAY || reply->item_count < 3 || !span_to_u64(reply->items[0].text, &page->last))
        return false;
    page->clipped = reply->items[1].integer == 1;
    page->more = reply->items[2].integer == 1;
    for (size_t i = 3; i < reply->item_count; i++) {
        entries[page->count].room = span_of(call->room, call->room_len);
        if (!entry_decode(&reply->items[i], &entries[page->count++]))
            return false;
    }
    page->entries = entries;
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

void redis_read(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct read_call *call = mem_zero(1, sizeof *call + room.len);
    struct eval eval;
    call->redis = redis;
    call->done = done;
    call->arg = arg;
    call->room_len = room.len;
    memcpy(call->room, room.data, room.len);
    if (!broker->is_up) {
        redis_refuse(redis, answered, call);
        return;
    }
    eval_start(&eval, redis, SCRIPT_READ, 3, 5);
    eval_add_key(&eval, redis, "log", room);
    eval_add_key(&eval, redis, "room", room);
    eval_add(&eval, span_str(redis->state_key));
    eval_add(&eval, range->back ? SPAN_LIT("before") : SPAN_LIT("after"));
    eval_add_u64(&eval, range->seq < SEQ_MAX ? range->seq : SEQ_MAX);
    eval_add(&eval, range->epoch);
    eval_add_u64(&eval, range->limit);
    eval_add_u64(&eval, broker_range_bytes(range));
    eval_send(&eval, redis, answered, call);
}
