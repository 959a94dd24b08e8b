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

static enum broker_result written_decode(struct redis_broker *redis, const struct resp *reply)
{
    if (reply->type == RESP_INTEGER && (reply->integer == 0 || reply->integer == 1))
        return reply->integer == 1 ? BROKER_OK : BROKER_SUPERSEDED;
    redis_invalid(redis, "the answer to writing a lease");
    return BROKER_LOST;
}

static void written(void *arg, const struct resp *reply)
{
    struct lease_call *call = arg;
    enum broker_result result = BROKER_LOST;
    if (reply != NULL && redis_is_spoiled(call->redis, reply, "writing a lease"))
        result = BROKER_SPOILED;
    else if (reply != NULL && !redis_is_error(call->redis, reply, "writing a lease"))
        result = written_decode(call->redis, reply);
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
    eval_start(&eval, redis, SCRIPT_LEASE_WRITE, owns ? 4 : 3, 12);
    eval_add_key(&eval, redis, "lease", lease->pid);
    eval_add(&eval, span_str(redis->names.of_life));
    eval_add(&eval, span_str(redis->names.lives));
    if (owns)
        eval_add_key(&eval, redis, "owner", lease->own);
    eval_add_u64(&eval, lease->generation);
    eval_add(&eval, lease->sid);
    eval_add(&eval, lease->rooms);
    eval_add(&eval, lease->data);
    eval_add(&eval, span_str(redis->names.inbox));
    eval_add(&eval, span_str(redis->names.life));
    eval_add(&eval, lease->own);
    eval_add_u64(&eval, lease->window_ms);
    eval_add(&eval, lease->pid);
    eval_add(&eval, lease->keep);
    eval_add_u64(&eval, lease->keep_ms);
    eval_add(&eval, lease->watch);
    eval_send(&eval, redis, written, call);
}

/* A lapsed lease has its name behind. */
static bool claim_decode(const struct resp *reply, struct broker_lease *lease, bool *position_ok)
{
    struct answer answer = answer_of(reply);
    lease->generation = answer_number(&answer);
    lease->sid = answer_text(&answer);
    lease->own = answer_text(&answer);
    lease->rooms = answer_text(&answer);
    lease->data = answer_text(&answer);
    lease->window_ms = answer_number(&answer);
    *position_ok = answer_flag(&answer);
    if (lease->pid.len == 0)
        lease->pid = answer_text(&answer);
    return answer_is_good(&answer);
}

bool redis_lease_is_ours(const struct broker_lease *lease)
{
    return text_is_sid(lease->pid) && text_is_sid(lease->sid) && lease->generation > 0 &&
           (lease->own.len == 0 || (text_is_room(lease->own) && broker_room_is_owned(lease->own)));
}

/* An empty answer: there is no such lease. A number: somebody else has claimed it. */
static void claimed(void *arg, const struct resp *reply)
{
    struct lease_call *call = arg;
    struct redis_broker *redis = call->redis;
    struct broker_lease lease = {.pid = span_of(call->pid, call->pid_len)};
    enum broker_result result = BROKER_OK;
    bool position_ok = false;
    if (reply == NULL) {
        result = BROKER_LOST;
    } else if (redis_is_spoiled(redis, reply, "claiming a lease") ||
               (reply->type == RESP_ARRAY && reply->item_count == 0)) {
        result = BROKER_NONE;
    } else if (reply->type == RESP_INTEGER) {
        result = BROKER_SUPERSEDED;
    } else if (redis_is_error(redis, reply, "claiming a lease")) {
        result = BROKER_LOST;
    } else if (!claim_decode(reply, &lease, &position_ok)) {
        result = BROKER_LOST;
        redis_invalid(redis, "a lease");
    } else if (!redis_lease_is_ours(&lease)) {
        result = BROKER_NONE;
        redis_spoiled(redis, "claiming a lease", SPAN_LIT("(a lease)"));
    }
    call->claimed(call->arg, result, result == BROKER_OK ? &lease : NULL, position_ok);
    free(call);
}

/* Of this name; or, if it is empty, one that has lapsed, of those that are watched under the name. `expected`: the
 * generation that it must have; 0: any. */
struct claim {
    struct span pid, watch, epoch;
    uint64_t seq, expected;
};

static void claim(struct redis_broker *redis, const struct claim *what, broker_claim_fn *done, void *arg)
{
    struct lease_call *call = call_create(redis, what->pid, arg);
    struct eval eval;
    call->claimed = done;
    if (!redis->broker.is_up) {
        redis_refuse(redis, claimed, call);
        return;
    }
    eval_start(&eval, redis, SCRIPT_LEASE_CLAIM, 4, 7);
    if (what->pid.len != 0)
        eval_add_key(&eval, redis, "lease", what->pid);
    else
        eval_add_key(&eval, redis, "ends", what->watch);
    eval_add(&eval, span_str(redis->names.state));
    eval_add(&eval, span_str(redis->names.of_life));
    eval_add(&eval, span_str(redis->names.lives));
    eval_add(&eval, span_str(redis->names.inbox));
    eval_add(&eval, span_str(redis->names.life));
    eval_add(&eval, what->epoch);
    eval_add_u64(&eval, what->seq);
    eval_add(&eval, what->pid);
    eval_add(&eval, span_str(redis->names.prefix));
    eval_add_u64(&eval, what->expected);
    eval_send(&eval, redis, claimed, call);
}

void redis_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                       void *arg)
{
    claim(redis_of(broker), &(struct claim){.pid = pid, .epoch = epoch, .seq = seq}, done, arg);
}

void redis_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg)
{
    claim(redis_of(broker), &(struct claim){.pid = pid, .expected = generation}, done, arg);
}

void redis_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg)
{
    claim(redis_of(broker), &(struct claim){.watch = watch}, done, arg);
}

static void release(struct redis_broker *redis, const struct broker_lease *lease, bool for_good,
                    struct lease_call *call)
{
    struct eval eval;
    bool owns = lease->own.len != 0;
    eval_start(&eval, redis, SCRIPT_LEASE_RELEASE, owns ? 3 : 2, 3);
    eval_add_key(&eval, redis, "lease", lease->pid);
    eval_add(&eval, span_str(redis->names.of_life));
    if (owns)
        eval_add_key(&eval, redis, "owner", lease->own);
    eval_add_u64(&eval, lease->generation);
    eval_add(&eval, lease->pid);
    eval_add(&eval, for_good ? SPAN_LIT("1") : SPAN_LIT("0"));
    eval_send(&eval, redis, written, call);
}

void redis_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good)
{
    struct redis_broker *redis = redis_of(broker);
    if (broker->is_up) /* else it runs out by itself */
        release(redis, lease, for_good, call_create(redis, lease->pid, NULL));
}

void redis_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct lease_call *call = call_create(redis, lease->pid, arg);
    call->done = done;
    if (broker->is_up)
        release(redis, lease, true, call);
    else
        redis_refuse(redis, written, call);
}
