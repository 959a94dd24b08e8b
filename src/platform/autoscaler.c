/* autoscaler: the rule itself: slots for queued requests, the floor of minScale, the end of idle instances. */
#include "platform/autoscaler.h"

static uint32_t clamp(uint64_t value, uint32_t min, uint32_t max)
{
    return value < min ? min : value > max ? max : (uint32_t)value;
}

uint32_t autoscaler_wanted(const struct autoscaler_policy *policy, const struct autoscaler_measure *measure)
{
    uint64_t have = (uint64_t)measure->ready + measure->starting;
    uint64_t needed = ((uint64_t)measure->queued + policy->concurrency - 1) / policy->concurrency;
    if (needed > measure->starting)
        return clamp(measure->ready + needed, policy->instances_min, policy->instances_max);
    uint64_t spare = measure->queued > 0 ? 0 : measure->idle_expired;
    return clamp(have - (spare < have ? spare : have), policy->instances_min, policy->instances_max);
}
