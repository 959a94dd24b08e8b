/* kpa: Knative's pod autoscaler for concurrency, formula by formula, with its panic mode and its way to zero. Pure.
 * https://knative.dev/docs/serving/autoscaling/ ; knative/serving, pkg/autoscaler/scaling/autoscaler.go and
 * pkg/reconciler/autoscaling/kpa/scaler.go. */
#ifndef SENNIT_PLATFORM_KPA_H
#define SENNIT_PLATFORM_KPA_H

#include <stdbool.h>
#include <stdint.h>

/* Annotations and their defaults. */
struct kpa_policy {
    double target;       /* autoscaling.knative.dev/target: requests of an instance; 0: containerConcurrency, or 100 */
    double utilization;  /* target-utilization-percentage / 100: 0.7 */
    uint32_t window_s;   /* window: 60 */
    double panic_window; /* panic-window-percentage / 100: 0.1 */
    double panic_threshold;                /* panic-threshold-percentage / 100: 2.0 */
    uint32_t activation;                   /* activation-scale: 1 */
    uint64_t down_delay_us;                /* scale-down-delay: 0 */
    uint64_t retention_us;                 /* scale-to-zero-pod-retention-period: 0 */
    uint32_t concurrency;                  /* containerConcurrency; 0: without bound */
    uint32_t instances_min, instances_max; /* max 0: without bound */
};
extern const struct kpa_policy kpa_policy_default;

enum { KPA_DELAY_SLOTS = 64 };

/* What it remembers. Zeroed memory is the beginning. */
struct kpa_state {
    uint64_t panic_us; /* the last time over the threshold while panicking; 0: calm */
    uint32_t panic_most;
    uint64_t active_us, idle_us; /* since when it has been wanted, and since when no longer; 0: is not */
    struct {
        uint64_t until_us;
        uint32_t wanted;
    } delayed[KPA_DELAY_SLOTS]; /* the most that was wanted, by part of the delay */
};

/* Requests at once, waiting ones included: means over the stable and the panic window; and ready instances. */
struct kpa_measure {
    double stable, panic;
    uint32_t ready;
};

/* Seconds of the panic window, at least 1. */
uint32_t kpa_panic_window_s(const struct kpa_policy *policy);
/* Requests that an instance is to have. */
double kpa_target(const struct kpa_policy *policy);
/* The number of instances to have. `now_us` > 0. */
uint32_t kpa_step(struct kpa_state *state, const struct kpa_policy *policy, const struct kpa_measure *measure,
                  uint64_t now_us);
#endif
