/* histogram: maps values to buckets, and reads percentiles. */
#include "load/histogram.h"

/* The largest value that is counted in this bucket. */
static uint64_t bucket_top(uint32_t bucket)
{
    if (bucket >> HISTOGRAM_STEPS_LOG2 == 0)
        return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_STEPS_LOG2) - 1;
    return ((uint64_t)(bucket - (shift << HISTOGRAM_STEPS_LOG2)) + 1) * (UINT64_C(1) << shift) - 1;
}

uint64_t histogram_permille(const struct histogram *histogram, uint32_t permille)
{
    uint64_t rank = (histogram->total * permille + 999) / 1000, below = 0;
    if (histogram->total == 0)
        return 0;
    if (rank == 0)
        rank = 1;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += histogram->counts[i];
        if (below >= rank)
            return bucket_top(i) < histogram->max ? bucket_top(i) : histogram->max;
    }
    return histogram->max;
}

uint64_t histogram_between(const struct histogram *histogram, uint64_t from, uint64_t below)
{
    uint64_t sum = 0;
    uint32_t end = below != 0 ? histogram_bucket(below - 1) + 1 : 0;
    for (uint32_t i = histogram_bucket(from); i < end; i++)
        sum += histogram->counts[i];
    return sum;
}
