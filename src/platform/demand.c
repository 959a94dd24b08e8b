/* demand: sums up the second that is under way, and averages those that are complete. */
#include "platform/demand.h"

enum { SECOND_US = 1000000 };

static void second_complete(struct demand *demand, double mean)
{
    demand->means[demand->second_s % DEMAND_SECONDS] = (float)mean;
    demand->second_s++;
    demand->sum = 0;
}

void demand_note(struct demand *demand, uint32_t count, uint64_t now_us)
{
    uint64_t now_s = now_us / SECOND_US;
    if (!demand->begun) {
        *demand = (struct demand){.begun = true, .first_s = now_s, .second_s = now_s, .noted_us = now_us};
    } else if (now_us > demand->noted_us) {
        /* A long gap overwrites every bucket once. */
        if (now_s - demand->second_s > DEMAND_SECONDS) {
            demand->second_s = now_s - DEMAND_SECONDS;
            demand->noted_us = demand->second_s * SECOND_US;
            demand->sum = 0;
        }
        while (demand->second_s < now_s) {
            uint64_t end_us = (demand->second_s + 1) * SECOND_US;
            demand->sum += (double)demand->count * (double)(end_us - demand->noted_us);
            demand->noted_us = end_us;
            second_complete(demand, demand->sum / SECOND_US);
        }
        demand->sum += (double)demand->count * (double)(now_us - demand->noted_us);
        demand->noted_us = now_us;
    }
    demand->count = count;
}

/* The sum of the means of these seconds, at most as many as are complete. */
static double sum_over(struct demand *demand, uint32_t *window_s, uint64_t now_us)
{
    double sum = 0;
    demand_note(demand, demand->begun ? demand->count : 0, now_us);
    uint64_t complete = demand->second_s - demand->first_s;
    if (complete < *window_s)
        *window_s = (uint32_t)complete;
    for (uint64_t s = demand->second_s - *window_s; s < demand->second_s; s++)
        sum += demand->means[s % DEMAND_SECONDS];
    return sum;
}

double demand_mean(struct demand *demand, uint32_t window_s, uint64_t now_us)
{
    double sum = sum_over(demand, &window_s, now_us);
    return window_s > 0 ? sum / window_s : 0;
}

double demand_mean_whole(struct demand *demand, uint32_t window_s, uint64_t now_us)
{
    uint32_t complete_s = window_s;
    return sum_over(demand, &complete_s, now_us) / window_s;
}
