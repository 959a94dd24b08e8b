/* demand: how many requests a revision had at once, averaged over the last seconds up to an hour. The fleet notes each
 * change, the autoscaler reads averages. Pure: the clock is the caller's.
 *
 * Each second has a bucket: the time-weighted mean of that second. Knative's queue-proxy reports the same once a
 * second, and both platforms average such reports over their windows. */
#ifndef SENNIT_PLATFORM_DEMAND_H
#define SENNIT_PLATFORM_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

enum { DEMAND_SECONDS = 3600 };

struct demand {
    float means[DEMAND_SECONDS]; /* by second, as a ring */
    uint64_t first_s;            /* the second of the first note */
    uint64_t second_s;           /* the second that is being summed up */
    uint64_t noted_us;           /* the time of the last note */
    double sum;                  /* of count times microseconds, in that second */
    uint32_t count;              /* now */
    bool begun;
};

/* From now on there are `count` requests. A clock that goes back counts as one that stands. */
void demand_note(struct demand *demand, uint32_t count, uint64_t now_us);
/* The mean over the last `window_s` complete seconds (1 to DEMAND_SECONDS - 1); before so many have passed, over those
 * that have. 0 before the first second is complete. Notes the present count first. */
double demand_mean(struct demand *demand, uint32_t window_s, uint64_t now_us);
/* Likewise, but nothing at all counts for the seconds before the first note. */
double demand_mean_whole(struct demand *demand, uint32_t window_s, uint64_t now_us);

#endif
