/* redis_memory: checks Redis' memory every few seconds: how full it is, and whether it may evict keys. An operator may
 * switch eviction on at any time. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

enum { INFO_MS = 4000, GIB = 1 << 30 };

static uint64_t number_get(struct span info, struct span name)
{
    uint64_t number = 0;
    span_to_u64(redis_info_get(info, name), &number);
    return number;
}

char *redis_eviction_text(struct span info)
{
    struct span policy = redis_info_get(info, SPAN_LIT("maxmemory_policy:"));
    struct span max = redis_info_get(info, SPAN_LIT("maxmemory:"));
    if (policy.len == 0 || span_equal(policy, SPAN_LIT("noeviction")) || span_equal(max, SPAN_LIT("0")))
        return NULL;
    policy = span_sub(policy, 0, 32);
    return mem_printf("Redis drops keys when its memory is full (maxmemory-policy " SPAN_FMT
                      "), and accepted events with them: CONFIG SET maxmemory-policy noeviction",
                      SPAN_ARG(policy));
}

void redis_memory_seen(struct redis_broker *redis, struct span info)
{
    uint64_t used = number_get(info, SPAN_LIT("used_memory:")), max = number_get(info, SPAN_LIT("maxmemory:"));
    redis->memory.pressure = max == 0 || used <= max / 4 * 3 ? 0 : used <= max / 10 * 9 ? 1 : 2;
    /* A maxmemory below the used memory says how full Redis is, not how much it should hold. */
    if (redis->bounds.store_bytes_max != 0)
        redis->memory.store_bytes_max = redis->bounds.store_bytes_max;
    else if (max == 0 || redis->memory.store_bytes_max == 0 || max > used)
        redis->memory.store_bytes_max = max != 0 ? max / 4 * 3 : GIB;
    if (redis->memory.store_bytes_max > ANSWER_NUMBER_MAX)
        redis->memory.store_bytes_max = ANSWER_NUMBER_MAX;
    char *why = redis_eviction_text(info);
    if (why != NULL) {
        redis->memory.evicts = true;
        redis_trouble_set(redis, why);
    } else if (redis->memory.evicts) {
        redis->memory.evicts = false;
        redis_trouble_set(redis, NULL);
    }
    free(why);
}

static void told(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis_is_error(redis, reply, "asking for its memory") || redis->state != REDIS_UP)
        return;
    if (reply->type == RESP_STRING)
        redis_memory_seen(redis, reply->text);
    else
        redis_invalid(redis, "the answer to INFO");
}

void redis_memory_look(struct redis_broker *redis)
{
    uint64_t now = loop_now_us(redis->loop);
    if (now < redis->memory.info_due_us)
        return;
    redis->memory.info_due_us = now + LOOP_MS(INFO_MS);
    redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("INFO"), SPAN_LIT("memory")}, 2, told, redis);
}

void redis_memory_look_soon(struct redis_broker *redis)
{
    redis->memory.info_due_us = 0;
}
