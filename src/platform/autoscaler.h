/* autoscaler: computes the wanted number of instances from measurements and policy. Pure; called by fleet. */
#ifndef SENNIT_PLATFORM_AUTOSCALER_H
#define SENNIT_PLATFORM_AUTOSCALER_H

#include <stdint.h>

struct autoscaler_policy {
    uint32_t instances_min, instances_max, concurrency;
    uint64_t idle_us; /* an instance without a request may stop after this time */
};

struct autoscaler_measure {
    uint32_t ready, starting; /* instances; draining ones do not count */
    uint32_t queued;          /* requests that wait for a slot */
    uint32_t requests;        /* open requests on ready instances */
    uint32_t idle_expired;    /* ready instances that have been idle for idle_us */
};

/* The wanted number of ready and starting instances, within [min, max]. A queued request starts an instance if the
 * slots of starting ones do not suffice. An idle instance stops after its time. */
uint32_t autoscaler_wanted(const struct autoscaler_policy *policy, const struct autoscaler_measure *measure);

#endif
