/* fleet_plan: each seed's own mixture of faults and of clients' actions. */
#include <stdio.h>

#include "fleet_parts.h"

/* Everything that a hostile client may try, without the attacks that are known to succeed still. */
enum { HOSTILE_SURE = (1 << HOSTILE_KINDS) - 1 };
enum {
    KINDS = 20,
    MANY = 100000,
    PROGRAM_SEEDS = 20000,
    PROGRAM_SEEDS_END = 30000,
    LINK_SEEDS = 30000,
    LINK_SEEDS_END = 31000,
    PYTHON_SEEDS = 31000,
    PYTHON_SEEDS_END = 32000,
    RAW_SEEDS = 32000,
    RAW_SEEDS_END = 33000,
    ASK_SEEDS = 33000,
    ASK_SEEDS_END = 34000,
    SURVEY_SEEDS = 34000,
    SURVEY_SEEDS_END = 35000,
    PUBLISH_SEEDS = 35000,
    PUBLISH_SEEDS_END = 36000,
    POLLING_SHARE = 200,
    EVERYBODY_POLLS = 1000,
    DECADES = 10,
    VARIED_SEEDS = 100,
    PLAIN_SHARE = 400
};

static uint64_t below(uint64_t state[2], uint64_t limit)
{
    return sim_random_next(state) % limit;
}

/* Anything may happen. */
static void mixed(struct fleet_plan *plan, uint64_t state[2])
{
    int *const shares[] = {&plan->silences,  &plan->kills,       &plan->pauses,       &plan->drains,
                           &plan->link_cuts, &plan->redis_kills, &plan->redis_pauses, &plan->script_flushes,
                           &plan->refusals,  &plan->clock_jumps};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        if (below(state, 3) == 0)
            *shares[i] = 10 + (int)below(state, 50);
    plan->cuts = 200 + (int)below(state, 300);
    plan->replay = below(state, 4) == 0 ? below(state, 2) == 0 ? -1 : 1 + (int)below(state, 30) : 0;
    if (plan->replay == 0 && below(state, 5) == 0)
        plan->log_entries = 20;
    if (below(state, 4) == 0)
        plan->failovers = 10 + (int)below(state, 20);
    if (below(state, 6) == 0)
        plan->swallows = 20;
    if (below(state, 6) == 0)
        plan->timeout_s = 4 + (int)below(state, 5);
    plan->presence = below(state, 3) != 0;
    plan->pages = below(state, 2) == 0;
}

/* Presence: few clients that come and go slowly, so that there are moments in which nothing changes. */
static void presence(struct fleet_plan *plan, uint64_t state[2], bool troubled)
{
    plan->clients = 12 + (int)below(state, 28);
    plan->faults_us = LOOP_S(30);
    plan->presence = plan->quiet = plan->stay_away = true;
    plan->cuts = 8 + (int)below(state, 30);
    plan->kills = 2 + (int)below(state, 8);
    plan->drains = (int)below(state, 4);
    if (!troubled)
        return;
    plan->link_cuts = 4 + (int)below(state, 8);
    plan->redis_kills = (int)below(state, 4);
    plan->silences = (int)below(state, 8);
    plan->pauses = (int)below(state, 6);
    plan->refusals = (int)below(state, 4);
}

/* Clients that read slowly: more is waiting for them than may. */
static void stalled(struct fleet_plan *plan, uint64_t state[2], bool troubled)
{
    plan->clients = 40;
    plan->instances = 3;
    plan->stalls = plan->large = plan->busy = plan->steady = true;
    plan->presence = below(state, 2) == 0;
    plan->link_cuts = below(state, 2) == 0 ? 10 : 0;
    if (!troubled)
        return;
    plan->pages = true;
    plan->cuts = 50 + (int)below(state, 100);
    plan->kills = (int)below(state, 10);
    plan->redis_kills = (int)below(state, 10);
}

/* Pushes that get lost. */
static void swallowed(struct fleet_plan *plan, uint64_t state[2])
{
    plan->swallows = 100;
    plan->steady = true;
    plan->quiet = below(state, 2) == 0;
    plan->cuts = below(state, 2) == 0 ? 100 : 0;
}

static void short_lived(struct fleet_plan *plan, uint64_t state[2])
{
    plan->cuts = 100 + (int)below(state, 200);
    plan->kills = (int)below(state, 20);
    plan->link_cuts = (int)below(state, 20);
    plan->silences = (int)below(state, 20);
    plan->replay = below(state, 3) == 0 ? -1 : 0;
    plan->pages = true;
    plan->log_bytes = 1024 + below(state, 4096);
    if (below(state, 2) == 0)
        plan->log_age_ms = 1000 + below(state, 4000);
}

/* Clients that mean harm, among others; in half of the fleets connections are cut as well. */
static void hostile(struct fleet_plan *plan, uint64_t state[2])
{
    plan->clients = 30;
    plan->instances = 3;
    plan->steady = true;
    plan->hostiles = 1 + (int)below(state, 3);
    plan->hostile_kinds = HOSTILE_SURE & (1u << below(state, HOSTILE_KINDS) | 1u << below(state, HOSTILE_KINDS));
    if (plan->hostile_kinds == 0 || below(state, 3) == 0)
        plan->hostile_kinds = HOSTILE_SURE;
    plan->cuts = below(state, 2) == 0 ? 200 : 0;
    plan->redis_pauses = below(state, 2) == 0 ? 40 : 0; /* then more is under way than may be */
    plan->pages = true;
}

/* Single keys vanish from Redis. */
static void vanishing(struct fleet_plan *plan, uint64_t state[2])
{
    plan->clients = 30;
    plan->instances = 4;
    plan->faults_us = LOOP_S(16);
    plan->vanishings = 200 + (int)below(state, 300);
    plan->vanish_kinds = VANISH_SURE;
    plan->cuts = 150 + (int)below(state, 200);
    plan->link_cuts = (int)below(state, 20);
    plan->kills = (int)below(state, 10);
    plan->redis_kills = (int)below(state, 5);
    plan->replay = below(state, 2) == 0 ? below(state, 2) == 0 ? -1 : 1 + (int)below(state, 30) : 0;
    plan->pages = below(state, 2) == 0;
    plan->busy = below(state, 2) == 0;
}

/* Instances that stand still whenever they have no request. Clients on WebSockets keep theirs awake, so they are few.
 */
static void frozen(struct fleet_plan *plan, uint64_t state[2])
{
    *plan = (struct fleet_plan){.seed = plan->seed,
                                .instances = 10,
                                .clients = 8 + (int)below(state, 12),
                                .faults_us = LOOP_S(12),
                                .log_entries = MANY,
                                .polling = EVERYBODY_POLLS,
                                .freezes = true,
                                .busy = true,
                                .pages = below(state, 2) == 0,
                                .large = below(state, 3) == 0,
                                .traced = -1};
    if (below(state, 2) == 0)
        return; /* nothing is wrong: no session ends */
    plan->cuts = 100 + (int)below(state, 200);
    plan->kills = (int)below(state, 20);
    plan->link_cuts = (int)below(state, 20);
    plan->redis_kills = (int)below(state, 5);
    plan->unheard = below(state, 2) == 0 ? 50 : 0;
    plan->losses = below(state, 2) == 0 ? 10 : 0;
}

/* Of every four hundreds of seeds, one has a backend and clients without Socket.IO besides. */
static bool is_varied(uint64_t seed)
{
    return seed / VARIED_SEEDS % 4 == 2;
}

/* In three decades of seeds of ten, clients poll: a fifth of them, or all, unless they are told much. Where single
 * pushes get lost, the check has to know which instance a client is on, so there nobody polls. */
static void polling(struct fleet_plan *plan, uint64_t state[2])
{
    uint64_t decade = plan->seed / DECADES % 10, last = plan->seed % DECADES;
    bool is_costly = plan->stalls || (plan->presence && !plan->quiet);
    if (is_varied(plan->seed) && last % 3 == 0)
        decade = 2;
    if (decade != 2 && decade != 7 && decade != 8)
        return;
    if (last >= 8)
        frozen(plan, state);
    else if (plan->swallows == 0)
        plan->polling = below(state, 3) == 0 && !is_costly ? EVERYBODY_POLLS : POLLING_SHARE;
    if (plan->cuts > 0 && plan->polling > 0 && below(state, 3) == 0)
        plan->unheard = 30;
    if (plan->cuts > 0 && plan->polling > 0 && below(state, 2) == 0)
        plan->losses = 10;
    plan->repeats = plan->losses > 0 ? REPEATS_SURE : 0;
}

/* Where the broker loses data, or the check has to know who was in which room, no directive is given. */
static void varied(struct fleet_plan *plan)
{
    if (!is_varied(plan->seed))
        return;
    plan->plain = PLAIN_SHARE;
    plan->directs = plan->failovers == 0 && plan->swallows == 0 && plan->vanish_kinds == 0 && plan->hostiles == 0 &&
                    !plan->presence;
}

/* A program on sennit.h runs on each instance, with clients of its own; instances are lost, or cut off from Redis. In a
 * third of the fleets instances stand still. */
static void program(struct fleet_plan *plan, uint64_t state[2])
{
    plan->instances = 4;
    plan->clients = 10;
    plan->programs = 12 + (int)below(state, 20);
    plan->faults_us = LOOP_S(16);
    plan->polling = POLLING_SHARE;
    plan->cuts = 100 + (int)below(state, 200);
    plan->kills = 10 + (int)below(state, 30);
    plan->drains = (int)below(state, 20);
    plan->freezes = plan->seed % 3 == 0;
    if (below(state, 2) == 0)
        return;
    plan->silences = (int)below(state, 20);
    plan->link_cuts = (int)below(state, 30);
    plan->pauses = plan->freezes ? 0 : (int)below(state, 10);
    plan->redis_kills = (int)below(state, 5);
    plan->redis_pauses = (int)below(state, 5);
    plan->losses = below(state, 2) == 0 ? 10 : 0;
}

/* Nothing is wrong but that links to Redis are cut: no client notices. */
static void links(struct fleet_plan *plan, uint64_t state[2])
{
    plan->instances = 4;
    plan->clients = 12 + (int)below(state, 20);
    plan->link_cuts = 60 + (int)below(state, 200);
    plan->polling = 600;
    plan->plain = below(state, 2) == 0 ? 300 : 0;
    plan->busy = below(state, 2) == 0;
    plan->large = below(state, 3) == 0;
    plan->freezes = plan->seed % 4 == 0;
    plan->patient = true;
}

/* Clients that do what python-engineio does, to the letter. In a third of the fleets nothing is wrong but that the
 * ingress ends requests; in a quarter instances stand still. */
static void python(struct fleet_plan *plan, uint64_t state[2])
{
    plan->instances = 3 + (int)below(state, 6);
    plan->clients = 10 + (int)below(state, 20);
    plan->faults_us = LOOP_S(12);
    plan->python = true;
    plan->polling = below(state, 3) == 0 ? 700 : EVERYBODY_POLLS;
    plan->busy = below(state, 2) == 0;
    plan->pages = below(state, 2) == 0;
    plan->freezes = plan->seed % 4 == 0;
    if (plan->seed % 3 == 0) {
        plan->steady = true;
        plan->timeout_s = plan->freezes ? 0 : 4 + (int)below(state, 5);
        return;
    }
    plan->cuts = 50 + (int)below(state, 200);
    plan->losses = (int)below(state, 20);
    plan->kills = (int)below(state, 20);
    plan->link_cuts = (int)below(state, 20);
    plan->drains = (int)below(state, 10);
    plan->redis_kills = (int)below(state, 5);
    plan->unheard = below(state, 3) == 0 ? 30 : 0;
    plan->directs = below(state, 2) == 0;
}

/* Clients of raw rooms, or clients that ask each other. In a quarter of the fleets nothing is wrong, in another one but
 * that the ingress ends requests; in the third connections and instances end; in the last one Redis has its faults,
 * too.
 */
static void guests(struct fleet_plan *plan, uint64_t state[2])
{
    uint64_t kind = plan->seed % 4;
    plan->instances = 3 + (int)below(state, 3);
    plan->clients = 6;
    plan->faults_us = LOOP_S(14);
    plan->polling = POLLING_SHARE;
    plan->steady = kind < 2;
    if (kind == 1)
        plan->timeout_s = 4 + (int)below(state, 5);
    if (kind < 2)
        return;
    plan->cuts = 50 + (int)below(state, 250);
    plan->kills = (int)below(state, 30);
    plan->drains = (int)below(state, 20);
    plan->losses = below(state, 2) == 0 ? 10 : 0;
    plan->repeats = plan->losses > 0 ? REPEATS_SURE : 0;
    if (kind == 2)
        return;
    plan->link_cuts = (int)below(state, 40);
    plan->redis_kills = (int)below(state, 6);
    plan->redis_pauses = (int)below(state, 6);
    plan->pauses = (int)below(state, 10);
    plan->silences = (int)below(state, 10);
    plan->unheard = below(state, 3) == 0 ? 30 : 0;
}

static void raw(struct fleet_plan *plan, uint64_t state[2])
{
    guests(plan, state);
    /* Nothing tells such a client that its connection only seems to stand, or that its message waits for Redis. */
    plan->silences = plan->pauses = plan->redis_pauses = 0;
    plan->raws = 8 + (int)below(state, 24);
}

static void asking(struct fleet_plan *plan, uint64_t state[2])
{
    guests(plan, state);
    plan->askers = 8 + (int)below(state, 24);
    plan->freezes = below(state, 3) == 0;
    if (plan->freezes)
        plan->pauses = 0;
}

static void surveying(struct fleet_plan *plan, uint64_t state[2])
{
    guests(plan, state);
    plan->surveyors = 8 + (int)below(state, 24);
    plan->unlogged = below(state, 2) == 0;
    plan->silences = 0; /* a client whose connection only seems to stand is not there */
    plan->freezes = below(state, 3) == 0;
    if (plan->freezes)
        plan->pauses = 0;
}

/* A backend publishes and gives directives, to sockets that are on any instance, poll, or are cut off. */
static void publishing(struct fleet_plan *plan, uint64_t state[2])
{
    guests(plan, state);
    plan->clients = 12 + (int)below(state, 16);
    plan->polling = below(state, 2) == 0 ? POLLING_SHARE : EVERYBODY_POLLS;
    plan->plain = below(state, 2) == 0 ? PLAIN_SHARE : 0;
    plan->publishes = plan->directs = true;
    plan->freezes = below(state, 3) == 0;
    if (plan->freezes)
        plan->pauses = plan->plain = 0;
}

void fleet_plan_from_seed(struct fleet_plan *plan, uint64_t seed)
{
    static const struct {
        uint64_t first, end;
        void (*plan)(struct fleet_plan *plan, uint64_t state[2]);
    } ranges[] = {{PROGRAM_SEEDS, PROGRAM_SEEDS_END, program},
                  {LINK_SEEDS, LINK_SEEDS_END, links},
                  {PYTHON_SEEDS, PYTHON_SEEDS_END, python},
                  {RAW_SEEDS, RAW_SEEDS_END, raw},
                  {ASK_SEEDS, ASK_SEEDS_END, asking},
                  {SURVEY_SEEDS, SURVEY_SEEDS_END, surveying},
                  {PUBLISH_SEEDS, PUBLISH_SEEDS_END, publishing}};
    uint64_t state[2] = {seed * 0x9e3779b97f4a7c15u + 7, seed + 1};
    for (int i = 0; i < 8; i++)
        sim_random_next(state);
    *plan = (struct fleet_plan){
        .seed = seed, .instances = 8, .clients = 200, .faults_us = LOOP_S(8), .log_entries = MANY, .traced = -1};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (seed >= ranges[i].first && seed < ranges[i].end) {
            ranges[i].plan(plan, state);
            return;
        }
    switch (seed % KINDS) {
    case 0: /* a broker that loses data while everything else is well, and little that clients were told: they live on
             */
        plan->cuts = 200 + (int)below(state, 300);
        plan->failovers = 40;
        plan->quiet = true;
        break;
    case 1:
        presence(plan, state, false);
        break;
    case 2:
        stalled(plan, state, false);
        break;
    case 3: /* nothing but the request timeout ends a connection */
        plan->timeout_s = 4 + (int)below(state, 5);
        plan->faults_us = LOOP_S(14);
        plan->steady = plan->pages = true;
        break;
    case 4:
        swallowed(plan, state);
        break;
    case 5:
        short_lived(plan, state);
        break;
    case 6:
        presence(plan, state, true);
        break;
    case 16:
        vanishing(plan, state);
        break;
    case 17:
        hostile(plan, state);
        break;
    case 7:
        stalled(plan, state, true);
        break;
    default:
        mixed(plan, state);
        break;
    }
    polling(plan, state);
    varied(plan);
}

void fleet_plan_small(struct fleet_plan *plan, uint64_t seed)
{
    *plan = (struct fleet_plan){.seed = seed,
                                .instances = 2,
                                .clients = 6,
                                .faults_us = LOOP_S(4),
                                .log_entries = MANY,
                                .traced = -1,
                                .cuts = 300,
                                .link_cuts = 40,
                                .replay = seed % 2 == 0 ? -1 : 0,
                                .pages = true,
                                .busy = true};
}

void fleet_plan_print(const struct fleet_plan *plan)
{
    printf(
        "seed %llu: %d instances, %d clients; in a thousand faults: %d cuts, %d silences, %d cuts of links, %d kills, "
        "%d pauses, %d drains, %d ends of Redis, %d failovers, %d pauses of Redis, %d script flushes, %d refusals, "
        "%d clock jumps, %d swallowed pushes, %d vanished keys; %d hostile clients (%x), %d polling, %d plain, %d "
        "unheard, "
        "%d answers lost, %d repeated%s\n",
        (unsigned long long)plan->seed, plan->instances, plan->clients, plan->cuts, plan->silences, plan->link_cuts,
        plan->kills, plan->pauses, plan->drains, plan->redis_kills, plan->failovers, plan->redis_pauses,
        plan->script_flushes, plan->refusals, plan->clock_jumps, plan->swallows, plan->vanishings, plan->hostiles,
        plan->hostile_kinds, plan->polling, plan->plain, plan->unheard, plan->losses, plan->repeats,
        plan->freezes ? ", instances freeze" : "");
    printf("    replay %d; logs keep %llu entries, %llu bytes, %llu ms; requests take %d s at most%s%s%s%s%s%s%s%s%s\n",
           plan->replay, (unsigned long long)plan->log_entries, (unsigned long long)plan->log_bytes,
           (unsigned long long)plan->log_age_ms, plan->timeout_s, plan->presence ? ", presence" : "",
           plan->stay_away ? ", some stay away" : "", plan->pages ? ", history" : "", plan->stalls ? ", stalls" : "",
           plan->large ? ", large" : "", plan->quiet ? ", quiet" : "", plan->busy ? ", busy" : "",
           plan->directs ? ", a backend" : "",
           plan->surveyors == 0 ? ""
           : plan->unlogged     ? ", surveys where nothing is logged"
                                : ", surveys");
}
