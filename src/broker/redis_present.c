/* redis_present: presence: a hash per room, changed by present.lua, which notifies the room. The sockets of an instance
 * are recorded under its life's name, so that another instance can clean up after it (redis_pulse.c). */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

struct present_call {
    struct pending_call pending;
    broker_presence_fn *done;
    void *arg;
};

void redis_present_init(struct redis_broker *redis)
{
    redis_window_init(&redis->presence.window, &redis->commands);
    pending_init(&redis->presence.calls, redis->pushes.number);
}

static void changed(void *arg, const struct resp *reply)
{
    /* After an error the links break: sockets that were refused enter again, and those that could not leave end with
     * this life. */
    struct redis_broker *redis = arg;
    if (reply == NULL || redis_is_spoiled(redis, reply, "changing who is present"))
        return;
    if (redis_is_error(redis, reply, "changing who is present"))
        redis_break(redis, CLOSE_BROKER_LOST);
    else if (reply->type != RESP_INTEGER)
        redis_invalid(redis, "the answer to changing who is present");
}

static void change(struct redis_broker *redis, struct span what, struct span room, const struct broker_present *who)
{
    struct eval eval;
    struct buf channel = {0};
    if (!redis->broker.is_up)
        return;
    redis_channel(&channel, redis, room);
    eval_start(&eval, redis, SCRIPT_PRESENT, 5, 9);
    eval_add_key(&eval, redis, "here", room);
    eval_add(&eval, span_str(redis->names.away));
    eval_add(&eval, span_str(redis->names.of_life));
    eval_add(&eval, span_str(redis->names.lives));
    eval_add(&eval, span_str(redis->names.heres));
    eval_add(&eval, what);
    eval_add(&eval, room);
    eval_add(&eval, who->sid);
    eval_add(&eval, who->data);
    eval_add(&eval, span_str(redis->names.life));
    eval_add(&eval, buf_span(&channel));
    eval_add(&eval, span_str(redis->names.prefix));
    eval_add_u64(&eval, AWAY_MS);
    eval_add_u64(&eval, who->generation);
    eval_send_within(&eval, &redis->presence.window, changed, redis);
    buf_finish(&channel);
}

void redis_present_enter(struct broker *broker, struct span room, const struct broker_present *who)
{
    change(redis_of(broker), SPAN_LIT("+"), room, who);
}

void redis_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return)
{
    struct broker_present who = {.sid = sid};
    change(redis_of(broker), may_return ? SPAN_LIT("?") : SPAN_LIT("-"), room, &who);
}

static void lost(void *arg, const struct resp *reply)
{
    struct present_call *call = arg;
    call->done(call->arg, BROKER_LOST, NULL);
    free(call);
}

static void listed(void *arg, const struct resp *reply)
{
    /* The answer comes through the inbox; after an error the callers would wait for ever. */
    if (reply != NULL && !redis_is_spoiled(arg, reply, "listing who is present") &&
        redis_is_error(arg, reply, "listing who is present"))
        redis_break(arg, CLOSE_BROKER_LOST);
}

void redis_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                        broker_presence_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct present_call *call = mem_zero(1, sizeof *call);
    struct eval eval;
    call->done = done;
    call->arg = arg;
    if (!broker->is_up) {
        redis_refuse(redis, lost, call);
        return;
    }
    uint64_t number = pending_add(&redis->presence.calls, &call->pending);
    eval_start(&eval, redis, SCRIPT_PRESENT_LIST, 1, 4);
    eval_add_key(&eval, redis, "here", room);
    eval_add(&eval, span_str(redis->names.inbox));
    eval_add_u64(&eval, number);
    eval_add_u64(&eval, cursor);
    eval_add_u64(&eval, limit);
    eval_send_within(&eval, &redis->presence.window, listed, redis);
}

/* `<bytes of sid> <bytes of data>\n<sid><data>`, one behind the other. */
static bool member_decode(struct words *words, struct broker_present *member)
{
    uint64_t sid = words_number(words, ' '), data = words_number(words, '\n');
    member->sid = words_bytes(words, sid);
    member->data = words_bytes(words, data);
    return words_are_good(words) && text_is_sid(member->sid) && data <= BROKER_DATA_BYTES_MAX;
}

static bool members_decode(struct words *words, struct broker_presence *presence)
{
    struct broker_present *list = NULL, one = {0};
    size_t cap = 0;
    bool ok = true;
    while (words->rest.len > 0 && (ok = member_decode(words, &one))) {
        if (presence->member_count == cap) {
            cap = cap != 0 ? cap * 2 : 16;
            list = mem_resize(list, cap * sizeof *list);
        }
        list[presence->member_count++] = one;
    }
    presence->members = list;
    return ok;
}

/* A cursor is one of Redis: any 64 bits. */
static bool cursor_decode(struct words *words, uint64_t *cursor)
{
    return span_to_u64(words_text(words, ' '), cursor) && words_are_good(words);
}

bool redis_present_received(struct redis_broker *redis, struct words *words)
{
    struct broker_presence presence = {0};
    uint64_t number = words_number(words, ' ');
    bool ok = cursor_decode(words, &presence.cursor);
    presence.count = words_number(words, '\n');
    ok = ok && words_are_good(words) && members_decode(words, &presence);
    struct pending_call *taken;
    /* An answer to a call from before the link broke is dropped. */
    while (ok && pending_knows(&redis->presence.calls, number) &&
           (taken = pending_take(&redis->presence.calls, number)) != NULL) {
        struct present_call *call = container_of(taken, struct present_call, pending);
        if (taken->number < number) {
            lost(call, NULL);
            continue;
        }
        call->done(call->arg, BROKER_OK, &presence);
        free(call);
    }
    free((void *)(uintptr_t)presence.members);
    return ok;
}

void redis_present_down(struct redis_broker *redis)
{
    struct pending_call *taken;
    redis_window_drop(&redis->presence.window);
    while ((taken = pending_take(&redis->presence.calls, UINT64_MAX)) != NULL)
        lost(container_of(taken, struct present_call, pending), NULL);
}
