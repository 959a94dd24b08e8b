/* redis_stats: Redis' memory figures and the number of instances, for /metrics. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

struct stats_call {
    struct redis_broker *redis;
    broker_stats_fn *done;
    void *arg;
    struct broker_stats stats;
};

static void finish(struct stats_call *call, enum broker_result result)
{
    call->done(call->arg, result, &call->stats);
    free(call);
}

static void counted(void *arg, const struct resp *reply)
{
    struct stats_call *call = arg;
    if (reply == NULL || redis_is_error(call->redis, reply, "counting instances")) {
        finish(call, BROKER_LOST);
        return;
    }
    if (reply->type != RESP_INTEGER || reply->integer < 0) {
        redis_invalid(call->redis, "the number of instances");
        finish(call, BROKER_LOST);
        return;
    }
    call->stats.instances = (uint64_t)reply->integer;
    finish(call, BROKER_OK);
}

static uint64_t number_get(struct span info, struct span name)
{
    uint64_t number = 0;
    span_to_u64(redis_info_get(info, name), &number);
    return number;
}

static void told(void *arg, const struct resp *reply)
{
    struct stats_call *call = arg;
    struct redis_broker *redis = call->redis;
    if (reply == NULL || redis_is_error(redis, reply, "asking for statistics") || redis->state != REDIS_UP) {
        finish(call, BROKER_LOST);
        return;
    }
    if (reply->type != RESP_STRING) {
        redis_invalid(redis, "the answer to INFO");
        finish(call, BROKER_LOST);
        return;
    }
    redis_memory_seen(redis, reply->text);
    call->stats.memory_bytes = number_get(reply->text, SPAN_LIT("used_memory:"));
    call->stats.memory_bytes_max = number_get(reply->text, SPAN_LIT("maxmemory:"));
    redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("ZCARD"), span_str(redis->names.lives)}, 2, counted,
                    call);
}

void redis_stats(struct broker *broker, broker_stats_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct stats_call *call = mem_zero(1, sizeof *call);
    *call = (struct stats_call){.redis = redis, .done = done, .arg = arg};
    if (!broker->is_up)
        redis_refuse(redis, told, call);
    else
        redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("INFO"), SPAN_LIT("memory")}, 2, told, call);
}
