/* redis_pulse: the heartbeat, and probes in between. The heartbeat's script also cleans up after ended instances
 * (pulse.lua). It runs every 0.8 s, so that a lost push that its digest shows is recovered within a second.
 *
 * A subscriber link can die silently: Redis killed it for its output buffer, or a middlebox forgot it. So when it has
 * been silent for a moment, it must carry a probe. The command link says when Redis took the probe; thus a slow Redis
 * is not mistaken for a dead link. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

enum { PULSE_MS = 800, LOOK_MS = 200, SILENCE_MS = 200, PROBE_MS_MAX = 500, GOOD_MS = 10000 };

struct probe {
    struct pending_call pending;
    broker_done_fn *done;
    void *arg;
};

/* Redis took the next probe (it answers in order): from now on the feed has PROBE_MS_MAX to bring it, unless it was
 * faster than this answer. */
static void probe_taken(struct redis_broker *redis)
{
    if (++redis->pulse.probe_taken > redis->pulse.probe_seen && redis->pulse.silent_since_us == 0)
        redis->pulse.silent_since_us = loop_now_us(redis->loop);
}

static void probe_sent(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis_is_error(redis, reply, "probing") || redis->state != REDIS_UP)
        return;
    if (reply->type == RESP_INTEGER)
        probe_taken(redis);
    else
        redis_invalid(redis, "the answer to a probe");
}

static void probe_send(struct redis_broker *redis, uint64_t number)
{
    struct buf message = {0};
    buf_printf(&message, "probe %llu\n", (unsigned long long)number);
    redis_link_send(&redis->commands,
                    (struct span[]){SPAN_LIT("PUBLISH"), span_str(redis->names.inbox), buf_span(&message)}, 3,
                    probe_sent, redis);
    buf_finish(&message);
}

static void pulsed(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL)
        return;
    if (redis_is_spoiled(redis, reply, "sending a heartbeat")) {
        redis_break(redis, CLOSE_BROKER_LOST); /* what is everybody's is spoiled: nothing can be accepted */
        return;
    }
    if (redis_is_error(redis, reply, "sending a heartbeat")) {
        redis->pulse.probe_taken++; /* nothing will come of it, but it has been answered */
        redis_sharded_failed(redis);
        return;
    }
    if (redis->state != REDIS_UP)
        return;
    struct answer answer = reply->type == RESP_INTEGER ? answer_of_one(reply) : answer_of(reply);
    uint64_t said = answer_number(&answer);
    while (!answer.bad && answer.at < answer.count)
        redis_spoiled(redis, "looking after the fleet (it was made anew)", answer_text(&answer));
    if (!answer_is_good(&answer) || said > 2) {
        redis_invalid(redis, "the answer to a heartbeat");
        return;
    }
    if (said == 0) {
        redis_life_ended(redis);
        return;
    }
    if (said == 2)
        redis->pulse.due_us = loop_now_us(redis->loop); /* there is more to do */
    probe_taken(redis);
}

static void pulse_send(struct redis_broker *redis)
{
    struct eval eval;
    eval_start(&eval, redis, SCRIPT_PULSE, 8, 7);
    eval_add(&eval, span_str(redis->names.state));
    eval_add(&eval, span_str(redis->names.lives));
    eval_add(&eval, span_str(redis->names.recent));
    eval_add(&eval, span_str(redis->names.away));
    eval_add(&eval, span_str(redis->names.of_life));
    eval_add(&eval, span_str(redis->names.rooms));
    eval_add(&eval, span_str(redis->names.sizes));
    eval_add(&eval, span_str(redis->names.heres));
    eval_add(&eval, span_str(redis->names.life));
    eval_add_u64(&eval, LIFE_MS);
    eval_add_u64(&eval, GONE_MS);
    eval_add(&eval, span_str(redis->names.inbox));
    eval_add_u64(&eval, pending_number_next(&redis->pulse.probes));
    eval_add(&eval, span_str(redis->names.prefix));
    eval_add(&eval, span_of(redis->greeting.epoch, redis->greeting.epoch_len));
    eval_send(&eval, redis, pulsed, redis);
}

static void look(struct timer *timer)
{
    struct redis_broker *redis = container_of(timer, struct redis_broker, pulse.timer);
    uint64_t now = loop_now_us(redis->loop);
    /* This process itself stood still. Waiting input is read before the link is judged. */
    if (redis->pulse.silent_since_us != 0 && now - redis->pulse.looked_us >= LOOP_MS(2 * LOOK_MS))
        redis->pulse.silent_since_us = now;
    redis->pulse.looked_us = now;
    if (redis->pulse.silent_since_us != 0 && now - redis->pulse.silent_since_us >= LOOP_MS(PROBE_MS_MAX)) {
        log_event(LOG_WARNING, "the broker does not push any more: reconnecting");
        redis_break(redis, CLOSE_BROKER_LOST);
        return;
    }
    if (now - redis->pulse.up_since_us >= LOOP_MS(GOOD_MS))
        redis_is_good(redis);
    redis_memory_look(redis);
    if (now >= redis->pulse.due_us) {
        redis->pulse.due_us = now + LOOP_MS(PULSE_MS);
        redis_sharded_pulse(redis);
        pulse_send(redis);
    } else if (redis->pulse.silent_since_us == 0 && now - redis->pulse.feed_seen_us >= LOOP_MS(SILENCE_MS)) {
        probe_send(redis, pending_number_next(&redis->pulse.probes));
    }
    timer_start(redis->loop, timer, LOOP_MS(LOOK_MS));
}

void redis_pulse_init(struct redis_broker *redis)
{
    pending_init(&redis->pulse.probes, 0);
    timer_init(&redis->pulse.timer, look);
}

void redis_pulse_start(struct redis_broker *redis)
{
    redis->pulse.feed_seen_us = redis->pulse.looked_us = redis->pulse.up_since_us = loop_now_us(redis->loop);
    redis->pulse.silent_since_us = 0;
    redis->pulse.probe_taken = redis->pulse.probe_seen = redis->pulse.probes.number;
    /* Spreads the pulses of instances that came up together. */
    redis->pulse.due_us = redis->pulse.feed_seen_us + LOOP_MS(loop_random_below(redis->loop, PULSE_MS));
    timer_start(redis->loop, &redis->pulse.timer, LOOP_MS(LOOK_MS));
}

void redis_pulse_feed_seen(struct redis_broker *redis)
{
    redis->pulse.feed_seen_us = loop_now_us(redis->loop);
    redis->pulse.silent_since_us = 0;
}

void redis_probe_received(struct redis_broker *redis, uint64_t number)
{
    redis->pulse.probe_seen = number;
    struct pending_call *taken;
    while ((taken = pending_take(&redis->pulse.probes, number)) != NULL) {
        struct probe *probe = container_of(taken, struct probe, pending);
        probe->done(probe->arg, BROKER_OK);
        free(probe);
    }
}

static void probe_refused(void *arg, const struct resp *reply)
{
    struct probe *probe = arg;
    probe->done(probe->arg, BROKER_LOST);
    free(probe);
}

void redis_probe(struct broker *broker, broker_done_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct probe *probe = mem_zero(1, sizeof *probe);
    probe->done = done;
    probe->arg = arg;
    /* The probe decides whether clients are sent here, so trouble fails it, too. */
    if (!broker->is_up || broker->trouble != NULL) {
        redis_refuse(redis, probe_refused, probe);
        return;
    }
    probe_send(redis, pending_add(&redis->pulse.probes, &probe->pending));
}

void redis_pulse_down(struct redis_broker *redis)
{
    struct pending_call *taken;
    timer_stop(redis->loop, &redis->pulse.timer);
    while ((taken = pending_take(&redis->pulse.probes, UINT64_MAX)) != NULL)
        probe_refused(container_of(taken, struct probe, pending), NULL);
}
