/* autoscaler: the rules themselves: slots for queued requests, minScale and maxScale, the end of idle instances, and
 * the pause after a failed start. */
#include "platform/autoscaler.h"

static uint32_t clamp(uint64_t value, uint32_t min, uint32_t max)
{
    return value < min ? min : value > max ? max : (uint32_t)value;
}

static uint64_t passed_us(uint64_t since_us, uint64_t now_us)
{
    return now_us > since_us ? now_us - since_us : 0;
}

bool autoscaler_idle_is_over(const struct autoscaler_policy *policy, uint64_t since_us, uint64_t now_us)
{
    return passed_us(since_us, now_us) >= policy->idle_us_max;
}

uint64_t autoscaler_pause_left_us(const struct autoscaler_state *state, uint64_t now_us)
{
    uint64_t passed = passed_us(state->failed_us, now_us);
    return passed < state->pause_us ? state->pause_us - passed : 0;
}

static void start_failed(struct autoscaler_state *state, uint64_t now_us)
{
    if (state->pause_us == 0 || passed_us(state->failed_us, now_us) >= AUTOSCALER_CALM_US)
        state->pause_us = AUTOSCALER_PAUSE_US_MIN;
    else if (state->pause_us > AUTOSCALER_PAUSE_US_MAX / 2)
        state->pause_us = AUTOSCALER_PAUSE_US_MAX;
    else
        state->pause_us *= 2;
    state->failed_us = now_us;
}

/* By the requests alone, without regard to a pause. */
static uint32_t wanted(const struct autoscaler_policy *policy, const struct autoscaler_measure *measure,
                       uint64_t now_us)
{
    uint64_t have = (uint64_t)measure->ready + measure->starting, spare = 0;
    uint64_t needed = ((uint64_t)measure->queued + policy->concurrency - 1) / policy->concurrency;
    if (needed > measure->starting)
        return clamp(measure->ready + needed, policy->instances_min, policy->instances_max);
    for (uint32_t i = 0; measure->queued == 0 && i < measure->idle_count; i++)
        spare += autoscaler_idle_is_over(policy, measure->idle_since_us[i], now_us);
    return clamp(have - (spare < have ? spare : have), policy->instances_min, policy->instances_max);
}

uint32_t autoscaler_step(struct autoscaler_state *state, const struct autoscaler_policy *policy,
                         const struct autoscaler_measure *measure, uint64_t now_us)
{
    uint64_t have = (uint64_t)measure->ready + measure->starting;
    if (now_us < state->failed_us) /* the clock went back: the pause must not last until it is there again */
        state->failed_us = now_us;
    if (measure->start_failed)
        start_failed(state, now_us);
    uint32_t count = wanted(policy, measure, now_us);
    return count > have && autoscaler_pause_left_us(state, now_us) > 0 ? (uint32_t)have : count;
}
