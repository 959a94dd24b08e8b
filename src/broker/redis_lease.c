/* redis_lease: leases on Redis: a hash each, written, claimed and released by scripts that compare generations. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

struct lease_call {
    struct redis_broker *redis;
    broker_done_fn *done;
    broker_claim_fn *claimed;
    void *arg;
    size_t pid_len;
    char pid[];
};

static struct lease_call *call_create(struct redis_broker *redis, struct span pid, void *arg)
{
    struct lease_call *call = mem_zero(1, sizeof *call + pid.len);
    call->redis = redis;
    call->arg = arg;
    call->pid_len = pid.len;
    if (pid.len != 0)
        memcpy(call->pid, pid.data, pid.len);
    return call;
}

static void written(void *arg, const struct resp *reply)
{
    struct lease_call *call = arg;
    enum broker_result result = BROKER_LOST;
    if (reply != NULL && !redis_is_error(call->redis, reply, "writing a lease"))
        result = reply->integer == 1 ? BROKER_OK : BROKER_SUPERSEDED;
    if (call->done != NULL)
        call->done(call->arg, result);
    free(call);
}

void redis_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct lease_call *call = call_create(redis, lease->pid, arg);
    struct eval eval;
    call->done = done;
    if (!broker->is_up) {
        redis_refuse(redis, written, call);
        return;
    }
    bool owns = lease->own.len != 0;
    eval_start(&eval, redis, SCRIPT_LEASE_WRITE, owns ? 4 : 3, 9);
    eval_add_key(&eval, redis, "lease", lease->pid);
    eval_add(&eval, span_str(redis->of_key));
    eval_add(&eval, span_str(redis->lives_key));
    if (owns)
        eval_add_key(&eval, redis, "owner", lease->own);
    eval_add_u64(&eval, lease->generation);
    eval_add(&eval, lease->sid);
    eval_add(&eval, lease->rooms);
    eval_add(&eval, lease->data);
    eval_add(&eval, span_str(redis->inbox));
    eval_add(&eval, span_str(redis->life));
    eval_add(&eval, lease->own);
    eval_add_u64(&eval, lease->window_ms);
    eval_add(&eval, lease->pid);
    eval_send(&eval, redis, written, call);
}

static bool claim_decode(const struct resp *reply, struct broker_lease *lease)
{
    if (reply->type != RESP_ARRAY || reply->item_count != 7 || !span_to_u64(reply->items[0].text, &lease->generation) ||
        !span_to_u64(reply->items[5].text, &lease->window_ms))
        return false;
    lease->sid = reply->items[1].text;
    lease->own = reply->items[2].text;
    lease->rooms = reply->items[3].text;
    lease->data = reply->items[4].text;
    return true;
}

static void claimed(void *arg, const struct resp *reply)
{
    struct lease_call *call = arg;
    struct broker_lease lease = {.pid = span_of(call->pid, call->pid_len)};
    if (reply == NULL || redis_is_error(call->redis, reply, "claiming a lease"))
        call->claimed(call->arg, BROKER_LOST, NULL, false);
    else if (!claim_decode(reply, &lease))
        call->claimed(call->arg, BROKER_NONE, NULL, false);
    else
        call->claimed(call->arg, BROKER_OK, &lease, reply->items[6].integer == 1);
    free(call);
}

void redis_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                       void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct lease_call *call = call_create(redis, pid, arg);
    struct eval eval;
    call->claimed = done;
    if (!broker->is_up) {
        redis_refuse(redis, claimed, call);
        return;
    }
    eval_start(&eval, redis, SCRIPT_LEASE_CLAIM, 4, 6);
    eval_add_key(&eval, redis, "lease", pid);
    eval_add(&eval, span_str(redis->state_key));
    eval_add(&eval, span_str(redis->of_key));
    eval_add(&eval, span_str(redis->lives_key));
    eval_add(&eval, span_str(redis->inbox));
    eval_add(&eval, span_str(redis->life));
    eval_add(&eval, epoch);
    eval_add_u64(&eval, seq);
    eval_add(&eval, pid);
    eval_add(&eval, span_str(redis->key_prefix));
    eval_send(&eval, redis, claimed, call);
}

void redis_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good)
{
    struct redis_broker *redis = redis_of(broker);
    struct eval eval;
    if (!broker->is_up)
        return; /* it runs out by itself */
    bool owns = lease->own.len != 0;
    eval_start(&eval, redis, SCRIPT_LEASE_RELEASE, owns ? 3 : 2, 3);
    eval_add_key(&eval, redis, "lease", lease->pid);
    eval_add(&eval, span_str(redis->of_key));
    if (owns)
        eval_add_key(&eval, redis, "owner", lease->own);
    eval_add_u64(&eval, lease->generation);
    eval_add(&eval, lease->pid);
    eval_add(&eval, for_good ? SPAN_LIT("1") : SPAN_LIT("0"));
    eval_send(&eval, redis, written, call_create(redis, lease->pid, NULL));
}
