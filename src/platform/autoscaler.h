/* autoscaler: how many instances there should be: a pure function of measurements, policy and time. */
#ifndef SENNIT_PLATFORM_AUTOSCALER_H
#define SENNIT_PLATFORM_AUTOSCALER_H

#include <stdint.h>

struct autoscaler_policy {
    uint32_t instances_min, instances_max, concurrency;
    uint64_t idle_us; /* an instance without a request may go after so long */
};

struct autoscaler_measure {
    uint32_t ready, starting; /* draining ones count no more */
    uint32_t queued;          /* requests that wait for a slot */
    uint32_t requests;        /* open on ready instances */
    uint32_t idle_expired;    /* ready instances that were idle for idle_us */
};

/* The wanted number of instances, ready and starting, within [min, max]. A queued request starts an instance when the
 * slots of those that are starting do not suffice; an idle one goes after its time. */
uint32_t autoscaler_wanted(const struct autoscaler_policy *policy, const struct autoscaler_measure *measure);

#endif
