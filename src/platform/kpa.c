/* kpa: the formulas, in the order in which Knative applies them. */
#include "platform/kpa.h"

#include <math.h>

enum {
    SECOND_US = 1000000,
    RATE_UP = 1000,  /* max-scale-up-rate */
    RATE_DOWN = 2,   /* max-scale-down-rate */
    GRACE_S = 30,    /* scale-to-zero-grace-period */
    UNBOUNDED = 100, /* the target of an instance without containerConcurrency */
};

const struct kpa_policy kpa_policy_default = {
    .utilization = 0.7, .window_s = 60, .panic_window = 0.1, .panic_threshold = 2.0, .activation = 1};

uint32_t kpa_panic_window_s(const struct kpa_policy *policy)
{
    double seconds = policy->window_s * policy->panic_window;
    return seconds < 1 ? 1 : (uint32_t)seconds;
}

/* Requests of an instance, before the share that is to stay free. */
static double total(const struct kpa_policy *policy)
{
    double bound = policy->concurrency > 0 ? policy->concurrency : UNBOUNDED;
    if (policy->target <= 0)
        return bound;
    return policy->concurrency > 0 && policy->target > bound ? bound : policy->target;
}

double kpa_target(const struct kpa_policy *policy)
{
    double target = total(policy) * policy->utilization;
    return target < 0.01 ? 0.01 : target;
}

static double clamp(double value, double min, double max)
{
    return value < min ? min : value > max ? max : value;
}

static void panic_update(struct kpa_state *state, const struct kpa_policy *policy, bool over, uint64_t now_us)
{
    if (over) {
        state->panic_us = now_us; /* it begins, or lasts longer */
    } else if (state->panic_us != 0 && state->panic_us + (uint64_t)policy->window_s * SECOND_US < now_us) {
        state->panic_us = 0;
        state->panic_most = 0;
    }
}

/* scale-down-delay: what was wanted counts for that long. */
static double delay(struct kpa_state *state, const struct kpa_policy *policy, double wanted, uint64_t now_us)
{
    uint64_t part = policy->down_delay_us / KPA_DELAY_SLOTS + 1;
    unsigned slot = (unsigned)(now_us / part % KPA_DELAY_SLOTS);
    if (policy->down_delay_us == 0)
        return wanted;
    if (state->delayed[slot].until_us < now_us || state->delayed[slot].wanted < wanted)
        state->delayed[slot].wanted = (uint32_t)wanted;
    state->delayed[slot].until_us = now_us + policy->down_delay_us;
    for (int i = 0; i < KPA_DELAY_SLOTS; i++)
        if (state->delayed[i].until_us >= now_us && state->delayed[i].wanted > wanted)
            wanted = state->delayed[i].wanted;
    return wanted;
}

/* The last instance stays until it has been wanted for a window, and then for a grace. */
static double leave_for_zero(struct kpa_state *state, const struct kpa_policy *policy, double wanted, uint32_t ready,
                             uint64_t now_us)
{
    uint64_t grace = (uint64_t)GRACE_S * SECOND_US;
    uint64_t kept = policy->retention_us > grace ? policy->retention_us : grace;
    if (wanted > 0) {
        if (state->active_us == 0)
            state->active_us = now_us;
        state->idle_us = 0;
        return wanted;
    }
    if (state->active_us == 0) /* it is at zero, or never was wanted */
        return ready > 0 && state->idle_us != 0 && now_us - state->idle_us < kept ? 1 : 0;
    if (now_us - state->active_us < (uint64_t)policy->window_s * SECOND_US)
        return 1;
    if (state->idle_us == 0)
        state->idle_us = now_us;
    if (now_us - state->idle_us < kept)
        return 1;
    state->active_us = state->idle_us = 0;
    return 0;
}

uint32_t kpa_step(struct kpa_state *state, const struct kpa_policy *policy, const struct kpa_measure *measure,
                  uint64_t now_us)
{
    double ready = measure->ready > 1 ? measure->ready : 1, target = kpa_target(policy);
    double by_stable = ceil(measure->stable / target), by_panic = ceil(measure->panic / target);
    double most = ceil(RATE_UP * ready), least = floor(ready / RATE_DOWN);
    double stable = clamp(by_stable, least, most), panic = clamp(by_panic, least, most);
    if (policy->activation > 1 && by_stable > 0 && stable < policy->activation)
        stable = policy->activation;
    if (policy->activation > 1 && by_panic > 0 && panic < policy->activation)
        panic = policy->activation;
    panic_update(state, policy, by_panic / ready >= policy->panic_threshold, now_us);
    double wanted = stable;
    if (state->panic_us != 0) { /* it may grow, and never shrinks */
        wanted = panic > stable ? panic : stable;
        if (wanted < state->panic_most)
            wanted = state->panic_most;
        state->panic_most = (uint32_t)wanted;
    }
    wanted = delay(state, policy, wanted, now_us);
    if (wanted < policy->instances_min)
        wanted = policy->instances_min;
    if (policy->instances_max > 0 && wanted > policy->instances_max)
        wanted = policy->instances_max;
    return (uint32_t)leave_for_zero(state, policy, wanted, measure->ready, now_us);
}
