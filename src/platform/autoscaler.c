/* autoscaler: the rules themselves: slots for queued requests, minScale and maxScale, the end of idle instances, and
 * the pause after a failed start. */
#include "platform/autoscaler.h"

#include <math.h>
#include <stddef.h>

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
    return policy->kpa != NULL || policy->is_manual || passed_us(since_us, now_us) >= policy->idle_us_max;
}

uint32_t autoscaler_window_s(const struct autoscaler_policy *policy)
{
    uint64_t idle_s = policy->idle_us_max / 1000000;
    if (policy->kpa != NULL)
        return policy->kpa->window_s;
    return idle_s == 0 ? 1 : idle_s < AUTOSCALER_WINDOW_S ? (uint32_t)idle_s : AUTOSCALER_WINDOW_S;
}

/* Instances for a mean, so that each is used up to the target. */
static uint32_t needed_for(double mean, double each, double target)
{
    double count = target > 0 ? ceil(mean / (each * target)) : 0;
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static uint32_t by_means(const struct autoscaler_policy *policy, const struct autoscaler_measure *measure)
{
    uint32_t requests = needed_for(measure->requests_mean, policy->concurrency, policy->concurrency_target);
    uint32_t cpu = needed_for(measure->cpu_mean, 1, policy->cpu_target);
    return requests > cpu ? requests : cpu;
}

/* Knative's decision. From zero, the first request starts an instance without waiting for a mean. */
static uint32_t by_kpa(struct autoscaler_state *state, const struct autoscaler_policy *policy,
                       const struct autoscaler_measure *measure, uint64_t now_us)
{
    struct kpa_measure seen = {.stable = measure->requests_mean, .panic = measure->panic_mean, .ready = measure->ready};
    uint32_t count = kpa_step(&state->kpa, policy->kpa, &seen, now_us);
    return clamp(count == 0 && measure->queued > 0 ? 1 : count, policy->instances_min, policy->instances_max);
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

/* As Cloud Run does, without regard to a pause. */
static uint32_t wanted(const struct autoscaler_policy *policy, const struct autoscaler_measure *measure,
                       uint64_t now_us)
{
    uint64_t have = (uint64_t)measure->ready + measure->starting, spare = 0, left;
    uint32_t means = by_means(policy, measure);
    uint64_t needed = ((uint64_t)measure->queued + policy->concurrency - 1) / policy->concurrency;
    if (needed > measure->starting)
        return clamp(measure->ready + needed > means ? measure->ready + needed : means, policy->instances_min,
                     policy->instances_max);
    for (uint32_t i = 0; measure->queued == 0 && i < measure->idle_count; i++)
        spare += autoscaler_idle_is_over(policy, measure->idle_since_us[i], now_us);
    left = have - (spare < have ? spare : have);
    return clamp(left > means ? left : means, policy->instances_min, policy->instances_max);
}

uint32_t autoscaler_step(struct autoscaler_state *state, const struct autoscaler_policy *policy,
                         const struct autoscaler_measure *measure, uint64_t now_us)
{
    uint64_t have = (uint64_t)measure->ready + measure->starting;
    if (now_us < state->failed_us) /* the clock went back: the pause must not last until it is there again */
        state->failed_us = now_us;
    if (measure->start_failed)
        start_failed(state, now_us);
    uint32_t count = policy->is_manual     ? policy->instances_manual
                     : policy->kpa != NULL ? by_kpa(state, policy, measure, now_us)
                                           : wanted(policy, measure, now_us);
    return count > have && autoscaler_pause_left_us(state, now_us) > 0 ? (uint32_t)have : count;
}
