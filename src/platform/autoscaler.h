/* autoscaler: how many instances a revision should have. The fleet measures, asks, and starts or stops instances.
 *
 * It is a pure function: it reads no clock and no fleet, so a test replays an hour in a moment. As on Cloud Run
 * (https://cloud.google.com/run/docs/about-instance-autoscaling):
 *
 * - Requests that wait for a slot start instances: as many as these requests need, less those that start already.
 * - So do means over a minute: of requests, above a share of all slots, and of CPU, above a share of what the instances
 *   may use; 60 % each, unless the service says otherwise.
 * - A ready instance that has had no request for `idle_us_max` stops, unless requests wait, or the means need it.
 * - The number stays within minScale and maxScale. With manual scaling it is fixed.
 *
 * With Knative's autoscaler (kpa.h), its formulas decide instead, and an idle instance above their number stops at
 * once.
 *
 * In either case:
 * - After a start that failed, nothing starts for a pause. Otherwise a service that cannot run would keep the machine
 *   busy. Each failure doubles the pause; some time without a failure makes it short again. */
#ifndef SENNIT_PLATFORM_AUTOSCALER_H
#define SENNIT_PLATFORM_AUTOSCALER_H

#include "platform/kpa.h"

enum {
    AUTOSCALER_WINDOW_S = 60, /* of the means */
    AUTOSCALER_PAUSE_US_MIN = 200 * 1000,
    AUTOSCALER_PAUSE_US_MAX = 10 * 1000 * 1000,
    AUTOSCALER_CALM_US = 2 * AUTOSCALER_PAUSE_US_MAX, /* without a failure; then the next pause is the shortest again */
};

/* What the operator asked for. */
struct autoscaler_policy {
    uint32_t instances_min, instances_max; /* minScale, maxScale: min <= max */
    uint32_t concurrency;                  /* requests that an instance serves at once; at least 1 */
    uint64_t idle_us_max;                  /* time that a ready instance is kept without a request */
    double concurrency_target, cpu_target; /* shares: 0.6; 0: this mean does not count */
    bool is_manual;                        /* always `instances_manual` */
    uint32_t instances_manual;
    const struct kpa_policy *kpa; /* NULL: as Cloud Run does */
};

/* What the fleet sees now. Instances that drain count nowhere. */
struct autoscaler_measure {
    uint32_t ready, starting;       /* instances */
    uint32_t queued;                /* requests that wait for a slot */
    uint32_t idle_count;            /* ready instances without a request, and */
    const uint64_t *idle_since_us;  /* since when each of them; borrowed for the call; NULL if there are none */
    bool start_failed;              /* an instance failed to start since the last step */
    double requests_mean, cpu_mean; /* over the window: requests at once, waiting ones included; CPUs that are busy */
    double panic_mean;              /* of requests, over Knative's panic window */
};

/* What the autoscaler remembers between two steps. Zeroed memory is the beginning. */
struct autoscaler_state {
    uint64_t failed_us; /* time of the last start that failed */
    uint64_t pause_us;  /* from then on; 0: none failed yet */
    struct kpa_state kpa;
};

/* The number of ready and starting instances to have. If it is above ready + starting, the caller starts the missing
 * ones, and steps again at once with `start_failed` if one fails. If it is below, the caller stops that many of the
 * instances whose idle time is over. `now_us` and `idle_since_us` come from one clock; a clock that goes back delays
 * what depends on time, and does no other harm. */
uint32_t autoscaler_step(struct autoscaler_state *state, const struct autoscaler_policy *policy,
                         const struct autoscaler_measure *measure, uint64_t now_us);
/* Seconds of the window for the means. It is no longer than an idle instance is kept. */
uint32_t autoscaler_window_s(const struct autoscaler_policy *policy);
/* True if an instance that has had no request since `since_us` may stop. */
bool autoscaler_idle_is_over(const struct autoscaler_policy *policy, uint64_t since_us, uint64_t now_us);
/* Time left of the pause after a failed start, 0 if there is none: the caller steps again after it. */
uint64_t autoscaler_pause_left_us(const struct autoscaler_state *state, uint64_t now_us);

#endif
