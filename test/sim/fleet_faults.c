/* fleet_faults: the faults of a fleet, by its plan. */
#include "fleet_parts.h"

static void stream_fault(struct fleet *fleet, bool to_redis, bool silent)
{
    uint16_t port =
        to_redis ? REDIS_PORT : (uint16_t)(INSTANCE_PORT + sim_below(fleet->sim, (uint64_t)fleet->plan->instances));
    struct sim_end *end = sim_pick(fleet->sim, port);
    if (end == NULL)
        return;
    fleet_say(fleet, "a stream to %s %s", to_redis ? "Redis" : "an instance", silent ? "goes silent" : "is cut");
    if (to_redis || silent)
        fleet_trouble(fleet);
    if (to_redis)
        program_link_trouble(fleet, end, silent);
    if (silent)
        sim_silence(end, sim_chance(fleet->sim, 300));
    else
        sim_cut(end);
}

static void refuse(struct fleet *fleet)
{
    static const char *const errors[] = {
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "LOADING Redis is loading the dataset in memory",
        "NOSCRIPT No matching script. Please use EVAL.",
    };
    const char *error = errors[sim_below(fleet->sim, 4)];
    int count = 1 + (int)sim_below(fleet->sim, 20);
    fleet->rosters.absent_us = sim_now_us(fleet->sim);
    fleet_say(fleet, "Redis refuses %d commands: %s", count, error);
    fleet_trouble(fleet);
    fake_redis_fail_next(fleet->redis, error, count);
}

static void scripts_forget(struct fleet *fleet)
{
    fleet_trouble(fleet);
    fake_redis_scripts_forget(fleet->redis);
    if (fleet->plan->tape != NULL)
        tape_scripts_forgotten(fleet->plan->tape);
}

static bool turn_of(uint64_t *dice, int share)
{
    if (*dice < (uint64_t)share)
        return true;
    *dice -= (uint64_t)share;
    return false;
}

static void clock_fault(struct fleet *fleet, struct instance *instance, bool runs)
{
    fleet_trouble(fleet);
    /* Redis' clock strays less than leases live. */
    if (sim_chance(fleet->sim, 300)) {
        redis_clock_jump(fleet, (int64_t)sim_below(fleet->sim, 600000) - 300000);
    } else if (runs) {
        int64_t offset_ms = (int64_t)sim_below(fleet->sim, 7200000) - 3600000;
        fleet_say(fleet, "the clock of instance %u is off by %lld ms", instance->port, (long long)offset_ms);
        sim_host_clock(instance->loop, offset_ms);
    }
}

static void fault_choose(struct fleet *fleet)
{
    const struct fleet_plan *plan = fleet->plan;
    struct sim *sim = fleet->sim;
    struct instance *instance = &fleet->instances[sim_below(sim, (uint64_t)plan->instances)];
    bool runs = instance->loop != NULL && !instance->paused && !instance->draining;
    bool redis_runs = !fleet->redis_down && !fleet->redis_paused;
    uint64_t dice = sim_below(sim, 1000);
    if (turn_of(&dice, plan->cuts))
        stream_fault(fleet, false, false);
    else if (turn_of(&dice, plan->silences))
        stream_fault(fleet, sim_chance(sim, 200), true);
    else if (turn_of(&dice, plan->link_cuts))
        stream_fault(fleet, true, false);
    else if (turn_of(&dice, plan->kills) && runs)
        instance_kill(instance);
    else if (turn_of(&dice, plan->pauses) && runs)
        instance_pause(instance);
    else if (turn_of(&dice, plan->drains) && runs)
        instance_drain(instance);
    else if (turn_of(&dice, plan->redis_kills) && redis_runs)
        redis_kill(fleet, false);
    else if (turn_of(&dice, plan->failovers) && redis_runs)
        redis_kill(fleet, true);
    else if (turn_of(&dice, plan->redis_pauses) && redis_runs)
        redis_pause(fleet);
    else if (turn_of(&dice, plan->script_flushes))
        scripts_forget(fleet);
    else if (turn_of(&dice, plan->refusals))
        refuse(fleet);
    else if (turn_of(&dice, plan->clock_jumps))
        clock_fault(fleet, instance, runs);
    else if (turn_of(&dice, plan->swallows))
        fleet->swallow_left++;
    else if (turn_of(&dice, plan->vanishings))
        vanish_one(fleet);
}

static void fault(struct timer *timer)
{
    struct fleet *fleet = container_of(timer, struct fleet, fault);
    fleet->faults++;
    fault_choose(fleet);
    if (fleet->plan->failovers > 0 && sim_chance(fleet->sim, 150))
        redis_snapshot(fleet);
    sim_timer_start(fleet->sim, timer, LOOP_MS(5 + sim_below(fleet->sim, 200)));
}

static void vanish_due(struct timer *timer)
{
    vanish_all(container_of(timer, struct fleet, vanish));
}

void faults_start(struct fleet *fleet)
{
    timer_init(&fleet->vanish, vanish_due);
    if (fleet->plan->vanish_us != 0)
        sim_timer_start(fleet->sim, &fleet->vanish, fleet->plan->vanish_us);
    timer_init(&fleet->fault, fault);
    sim_timer_start(fleet->sim, &fleet->fault, LOOP_MS(1500));
}

void faults_heal(struct fleet *fleet)
{
    fleet->healed = true;
    fleet_say(fleet, "nothing more goes wrong");
    fleet_trouble(fleet);
    sim_timer_stop(fleet->sim, &fleet->fault);
    redis_heal(fleet);
    for (int i = 0; i < fleet->plan->instances; i++)
        if (fleet->instances[i].loop == NULL || fleet->instances[i].paused)
            sim_timer_start(fleet->sim, &fleet->instances[i].change, 0);
}
