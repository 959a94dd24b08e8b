/* fleet: eight instances, two hundred clients, one Redis, and what befalls them, from a seed. */
#ifndef SENNIT_SIM_FLEET_H
#define SENNIT_SIM_FLEET_H

#include "check.h"

struct fleet_plan {
    uint64_t seed;
    int instances, clients;
    uint64_t faults_us; /* how long faults go on */
    /* Which faults: how often in a thousand, of those that come every 20 to 400 ms. */
    int cuts, silences, kills, pauses, drains, link_cuts, redis_kills, redis_pauses, failovers, script_flushes,
        refusals, clock_jumps;
    bool replay_all, small_log;
    bool verbose; /* says on stdout what befalls it */
    int traced;   /* a client whose traffic is shown too; -1: none */
    bool quiet;   /* clients say little, and enter and leave rooms as before */
};

/* Fills in a plan from its seed: each seed has its own mixture. */
void fleet_plan_from_seed(struct fleet_plan *plan, uint64_t seed);

/* What came of it. */
struct fleet_result {
    char *failure;   /* NULL: all is well; the caller frees it */
    uint64_t digest; /* of everything that was accepted and shown, and when: a seed's own */
    uint64_t accepted, lost_by_broker, shown, shown_late, resumed, fresh, refused_resumes, faults;
};

void fleet_run(const struct fleet_plan *plan, struct fleet_result *result);

#endif
