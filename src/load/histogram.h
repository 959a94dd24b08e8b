/* histogram: microseconds counted in buckets that grow with the value, so that every percentile is as exact as any
 * other.
 *
 * Below 128 each value has a bucket of its own. Above, each power of two is cut into 128 buckets, so a bucket is 1/128
 * of its values wide. A percentile is the upper end of its bucket, or the largest value counted if that is less: never
 * too low, and too high by less than 0.8 %. */
#ifndef SENNIT_LOAD_HISTOGRAM_H
#define SENNIT_LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEPS_LOG2 = 7,
    HISTOGRAM_VALUE_LOG2_MAX = 36, /* 19 hours; a larger value is counted as the largest */
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_LOG2_MAX - HISTOGRAM_STEPS_LOG2 + 1) << HISTOGRAM_STEPS_LOG2,
};

/* Zeroed: empty. */
struct histogram {
    uint64_t total, max;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
    if (value >> HISTOGRAM_VALUE_LOG2_MAX != 0)
        return HISTOGRAM_BUCKETS - 1;
    if (value >> HISTOGRAM_STEPS_LOG2 == 0)
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_STEPS_LOG2;
    return (shift << HISTOGRAM_STEPS_LOG2) + (uint32_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
    histogram->total++;
    if (value > histogram->max)
        histogram->max = value;
}

/* The smallest value that at least `permille` of a thousand values do not exceed (1000: the largest); 0 when empty. */
uint64_t histogram_permille(const struct histogram *histogram, uint32_t permille);
/* How many values lie in [from, below). Each bound is 0, a power of two, or 1.5 times a power of two above 128. */
uint64_t histogram_between(const struct histogram *histogram, uint64_t from, uint64_t below);

#endif
