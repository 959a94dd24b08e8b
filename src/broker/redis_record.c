/* redis_record: records of polling sessions on Redis: a hash each, asked for, passed and ended by scripts. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

enum { RECORD_HOLD_MS_MAX = 3600000 };

struct record_call {
    struct redis_broker *redis;
    record_done_fn *done;
    record_asked_fn *asked;
    void *arg;
};

static struct record_call *call_create(struct redis_broker *redis, void *arg)
{
    struct record_call *call = mem_zero(1, sizeof *call);
    call->redis = redis;
    call->arg = arg;
    return call;
}

/* False: `*result` says why there is no answer. */
static bool is_answered(struct redis_broker *redis, const struct resp *reply, enum record_result *result)
{
    *result = RECORD_LOST;
    if (reply == NULL)
        return false;
    if (redis_is_spoiled(redis, reply, "moving a polling session")) {
        *result = RECORD_NONE;
        return false;
    }
    return !redis_is_error(redis, reply, "moving a polling session");
}

static void done(void *arg, const struct resp *reply)
{
    struct record_call *call = arg;
    enum record_result result;
    if (is_answered(call->redis, reply, &result)) {
        struct answer answer = answer_of_one(reply);
        bool ok = answer_flag(&answer);
        result = ok ? RECORD_OK : RECORD_NONE;
        if (!answer_is_good(&answer)) {
            result = RECORD_LOST;
            redis_invalid(call->redis, "the answer about a polling session");
        }
    }
    if (call->done != NULL)
        call->done(call->arg, result);
    free(call);
}

static void asked(void *arg, const struct resp *reply)
{
    static const enum record_result results[] = {RECORD_NONE, RECORD_OK, RECORD_WAITING, RECORD_MOVED, RECORD_OVERLAP};
    struct record_call *call = arg;
    struct record_grant grant = {.probing = false};
    enum record_result result;
    if (is_answered(call->redis, reply, &result)) {
        struct answer answer = answer_of(reply);
        uint64_t number = answer_number(&answer);
        if (number == 1) {
            grant.record = answer_text(&answer);
            grant.away_ms = answer_number(&answer);
            grant.probing = answer_flag(&answer);
        }
        bool good = answer_is_good(&answer) && number < sizeof results / sizeof results[0];
        result = good ? results[number] : RECORD_LOST;
        if (!good)
            redis_invalid(call->redis, "a polling session");
    }
    call->asked(call->arg, result, result == RECORD_OK ? &grant : NULL);
    free(call);
}

static void pass(struct broker *broker, struct span sid, uint64_t ticket, struct span record, uint64_t life_ms,
                 record_done_fn *fn, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct record_call *call = call_create(redis, arg);
    struct eval eval;
    call->done = fn;
    if (!broker->is_up) {
        redis_refuse(redis, done, call);
        return;
    }
    eval_start(&eval, redis, SCRIPT_RECORD_PASS, 2, 6);
    eval_add_key(&eval, redis, "session", sid);
    eval_add(&eval, span_str(redis->lives_key));
    eval_add_u64(&eval, ticket);
    eval_add(&eval, span_str(redis->life));
    eval_add(&eval, record);
    eval_add_u64(&eval, life_ms);
    eval_add_u64(&eval, RECORD_HOLD_MS_MAX);
    eval_add(&eval, sid);
    eval_send(&eval, redis, done, call);
}

static void open_record(struct broker *broker, struct span sid, struct span record, uint64_t life_ms,
                        record_done_fn *fn, void *arg)
{
    pass(broker, sid, 0, record, life_ms, fn, arg);
}

static void ask(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_asked_fn *fn, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct record_call *call = call_create(redis, arg);
    char kind = (char)want;
    struct eval eval;
    call->asked = fn;
    if (!broker->is_up) {
        redis_refuse(redis, asked, call);
        return;
    }
    eval_start(&eval, redis, SCRIPT_RECORD_ASK, 2, 6);
    eval_add_key(&eval, redis, "session", sid);
    eval_add(&eval, span_str(redis->lives_key));
    eval_add_u64(&eval, ticket);
    eval_add(&eval, span_str(redis->inbox));
    eval_add(&eval, span_str(redis->life));
    eval_add(&eval, span_of(&kind, 1));
    eval_add_u64(&eval, hold_ms);
    eval_add(&eval, sid);
    eval_send(&eval, redis, asked, call);
}

static void end_call(struct redis_broker *redis, struct span sid, struct span what, uint64_t ticket, uint64_t ms,
                     struct record_call *call)
{
    struct eval eval;
    if (!redis->broker.is_up) {
        redis_refuse(redis, done, call);
        return;
    }
    eval_start(&eval, redis, SCRIPT_RECORD_END, 1, 5);
    eval_add_key(&eval, redis, "session", sid);
    eval_add(&eval, what);
    eval_add_u64(&eval, ticket);
    eval_add(&eval, span_str(redis->life));
    eval_add_u64(&eval, ms);
    eval_add(&eval, sid);
    eval_send(&eval, redis, done, call);
}

static void end(struct broker *broker, struct span sid, uint64_t ticket, uint64_t moved_ms)
{
    struct redis_broker *redis = redis_of(broker);
    end_call(redis, sid, moved_ms > 0 ? SPAN_LIT("moved") : SPAN_LIT("end"), ticket, moved_ms,
             call_create(redis, NULL));
}

static void probe(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *fn,
                  void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct record_call *call = call_create(redis, arg);
    call->done = fn;
    end_call(redis, sid, SPAN_LIT("probe"), ticket, until_ms, call);
}

const struct record_ops redis_record_ops = {open_record, ask, pass, end, probe};

static struct span sid_take(struct words *words)
{
    return words_bytes(words, RECORD_SID_BYTES);
}

bool redis_record_received(struct redis_broker *redis, struct words *words)
{
    const struct record_events *events = redis->broker.record_events;
    struct span what = words_text(words, ' '), sid;
    void *arg = redis->broker.record_arg;
    bool granted = span_equal(what, SPAN_LIT("granted")), probed = span_equal(what, SPAN_LIT("probed"));
    bool wanted = span_equal(what, SPAN_LIT("wanted"));
    uint64_t ticket = words_number(words, granted || probed || wanted ? ' ' : '\n');
    struct span flag = granted || probed || wanted ? words_text(words, '\n') : SPAN_LIT("");
    sid = sid_take(words);
    if (!words_are_good(words) || sid.len != RECORD_SID_BYTES)
        return false;
    if (events == NULL)
        return true;
    if (granted) {
        struct record_grant grant = {.record = words->rest, .probing = span_equal(flag, SPAN_LIT("1"))};
        events->granted(arg, sid, ticket, &grant);
    } else if (wanted) {
        events->wanted(arg, sid, ticket, (enum record_want)(flag.len == 1 ? flag.data[0] : 'g'));
    } else if (probed) {
        events->probed(arg, sid, ticket, span_equal(flag, SPAN_LIT("1")));
    } else if (span_equal(what, SPAN_LIT("gone"))) {
        events->gone(arg, sid, ticket);
    }
    return true;
}
