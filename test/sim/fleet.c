/* fleet: see fleet.h. Here: its life, and its instances. */
#include "fleet.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "fleet_parts.h"

enum {
    IDLE_S = 65, /* a connection that never said anything is closed too by then */
    STEP_MS = 10,
    BOUNDS_EVERY = 5,  /* steps */
    ROTATE_SHARE = 10, /* as the product's default */
    CALM_MESSAGES = 40,
    PAUSE_MS_MAX = 6000,
    PAUSE_US = (50 + PAUSE_MS_MAX) * 1000,
    ACK_MS_MAX = 500, /* of a client whose neighbours are hostile, and nothing else is wrong */
    ACK_REMINDED_MS =
        1000, /* later, if word about its session was lost: so long the instance waits until it asks again */
};

void fleet_say(const struct fleet *fleet, const char *format, ...)
{
    va_list args;
    if (!fleet->plan->verbose)
        return;
    printf("%.6f ", (double)sim_now_us(fleet->sim) / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void fleet_trouble(struct fleet *fleet)
{
    if (fleet->world.rosters != NULL)
        rosters_trouble(fleet->world.rosters);
}

static void instance_start(struct instance *instance)
{
    struct fleet *fleet = instance->fleet;
    char port[8], timeout[8];
    struct err err = {0};
    snprintf(port, sizeof port, "%u", instance->port);
    snprintf(timeout, sizeof timeout, "%d", fleet->plan->timeout_s);
    struct serve_options options = {.config_path = fleet->config,
                                    .port = port,
                                    .broker = {.redis_url = "redis://127.0.0.1:6379"},
                                    .request_timeout = timeout};
    fleet_say(fleet, "instance %u starts", instance->port);
    instance->loop = sim_host_create(fleet->sim);
    instance->paused = instance->draining = instance->frozen = false;
    instance->started_us = sim_now_us(fleet->sim);
    instance->server = &instance->own;
    if (fleet->plan->programs + fleet->plan->surveyors > 0
            ? !program_open(instance, &options, &err)
            : !server_open(instance->server, instance->loop, &options, &err))
        check_fail(&fleet->check, "an instance does not start: %s", err.text);
}

static void instance_end(struct instance *instance, bool killed)
{
    struct fleet *fleet = instance->fleet;
    if (instance->loop == NULL)
        return;
    fleet->slowed += instance->server->sessions.counters.slowed;
    if (killed)
        sim_host_sever(instance->loop);
    if (instance->embed != NULL)
        program_close(instance, killed);
    else
        server_close(instance->server);
    end_check_closed(fleet, instance->server);
    if (instance->embed != NULL)
        program_free(instance);
    sim_host_destroy(instance->loop);
    instance->loop = NULL;
    sim_timer_stop(fleet->sim, &instance->change);
}

static void instance_change(struct timer *timer)
{
    struct instance *instance = container_of(timer, struct instance, change);
    if (instance->loop == NULL) {
        instance_start(instance);
    } else if (instance->paused) {
        instance->paused = false;
        instance->fleet->rosters.absent_us = sim_now_us(instance->fleet->sim);
        sim_host_pause(instance->loop, false);
        fleet_trouble(instance->fleet);
        program_trouble(instance->fleet, instance->number);
    } else if (instance->draining) {
        if (instance->loop->stopped) {
            instance_end(instance, false);
            instance_start(instance);
        } else {
            sim_timer_start(instance->fleet->sim, timer, LOOP_MS(20));
        }
    }
}

void instance_kill(struct instance *instance)
{
    fleet_say(instance->fleet, "instance %u is killed", instance->port);
    due_killed(instance->fleet, instance);
    instance_end(instance, true);
    sim_timer_start(instance->fleet->sim, &instance->change, LOOP_MS(10 + sim_below(instance->fleet->sim, 3000)));
}

void instance_pause(struct instance *instance)
{
    fleet_say(instance->fleet, "instance %u stands still", instance->port);
    fleet_trouble(instance->fleet);
    program_trouble(instance->fleet, instance->number);
    guests_trouble(instance->fleet, instance->number, PAUSE_US);
    instance->paused = true;
    sim_host_pause(instance->loop, true);
    sim_timer_start(instance->fleet->sim, &instance->change,
                    LOOP_MS(50 + sim_below(instance->fleet->sim, PAUSE_MS_MAX)));
}

void instance_drain(struct instance *instance)
{
    fleet_say(instance->fleet, "instance %u drains", instance->port);
    instance->draining = true;
    sim_host_signal(instance->loop, SIGTERM);
    sim_timer_start(instance->fleet->sim, &instance->change, LOOP_MS(20));
}

static uint16_t instance_pick(void *arg)
{
    struct fleet *fleet = arg;
    uint16_t ports[INSTANCES_MAX];
    uint64_t count = 0;
    /* An ingress does not know that an instance is stopped, only that it is gone or going. Where nothing may go wrong,
     * it waits until an instance listens. */
    for (int i = 0; i < fleet->plan->instances; i++) {
        const struct instance *instance = &fleet->instances[i];
        bool listens = instance->loop != NULL && io_is_open(&instance->server->listener.io);
        if (instance->loop != NULL && !instance->draining && (listens || !fleet->world.stays))
            ports[count++] = instance->port;
    }
    return count > 0 ? ports[sim_below(fleet->sim, count)] : 0;
}

static uint64_t position_of(void *arg, uint16_t port)
{
    struct fleet *fleet = arg;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < fleet->plan->instances; i++) {
        const struct instance *instance = &fleet->instances[i];
        uint64_t position = instance->loop != NULL ? hub_position(instance->server->hub) : 0;
        if ((port == 0 || port == instance->port) && position < least)
            least = position;
    }
    return least;
}

static int number_of(void *arg, uint16_t port)
{
    return port - INSTANCE_PORT;
}

static bool is_leaving(void *arg, uint16_t port)
{
    struct fleet *fleet = arg;
    const struct instance *instance = &fleet->instances[port - INSTANCE_PORT];
    return instance->loop == NULL || instance->draining;
}

/* With a clock that jumps, whoever is away may be so for as long as it was off; and where connections end all the time,
 * there is no moment in which nothing changes. */
static bool presence_is_certain(const struct fleet_plan *plan)
{
    return plan->presence && plan->clock_jumps == 0 && plan->timeout_s == 0;
}

void fleet_run_until(struct fleet *fleet, uint64_t until_us)
{
    while (fleet->check.failure == NULL && sim_now_us(fleet->sim) < until_us) {
        uint64_t next = sim_now_us(fleet->sim) + LOOP_MS(STEP_MS);
        sim_run(fleet->sim, next < until_us ? next : until_us, fleet->freezes ? freeze_step : NULL, fleet);
        if (fleet->steps++ % BOUNDS_EVERY != 0)
            continue;
        bounds_check(fleet);
        due_check(fleet);
        guests_due(fleet);
        if (fleet->world.rosters != NULL && presence_is_certain(fleet->plan))
            rosters_compare(fleet->world.rosters);
    }
}

static void run_for(struct fleet *fleet, uint64_t us)
{
    fleet_run_until(fleet, sim_now_us(fleet->sim) + us);
}

static struct check_rules rules_of(const struct fleet_plan *plan)
{
    return (struct check_rules){
        .loses = plan->failovers > 0,
        .trims = plan->log_entries < 1000 || plan->log_bytes != 0 || plan->log_age_ms != 0 || plan->vanish_kinds != 0,
        .vanishes = plan->vanish_kinds != 0,
        .directs = plan->directs,
        .hostile = plan->hostiles > 0,
        .swallows = plan->swallows > 0,
        .calm = plan->link_cuts + plan->redis_kills + plan->redis_pauses + plan->failovers + plan->script_flushes +
                    plan->refusals + plan->silences + plan->pauses + plan->clock_jumps ==
                0,
        .replay = plan->replay,
        .name_life_us =
            plan->vanish_kinds >> VANISH_NAMES & 1 ? 0 : LOOP_MS(plan->log_age_ms != 0 ? plan->log_age_ms : 3600000),
    };
}

static void world_make(struct fleet *fleet)
{
    const struct fleet_plan *plan = fleet->plan;
    /* A link to Redis that breaks and comes back ends no session. */
    int ends = plan->cuts + plan->silences + plan->kills + plan->pauses + plan->drains + plan->redis_kills +
               plan->redis_pauses + plan->failovers + plan->refusals + plan->unheard + plan->repeats + plan->losses;
    fleet->clients = mem_zero((size_t)plan->clients, sizeof *fleet->clients);
    fleet->witnesses = mem_zero((size_t)plan->clients, sizeof(struct witness *));
    fleet->hostiles = mem_zero((size_t)plan->hostiles, sizeof *fleet->hostiles);
    for (int i = 0; i < plan->clients; i++)
        fleet->witnesses[i] = &fleet->clients[i].witness;
    fleet->world = (struct client_world){
        .sim = fleet->sim,
        .check = &fleet->check,
        .instance_pick = instance_pick,
        .position_of = position_of,
        .number_of = number_of,
        .is_leaving = is_leaving,
        .arg = fleet,
        .clients = fleet->clients,
        .count = plan->clients,
        .quiet = plan->quiet,
        .busy = plan->busy,
        .large = plan->large,
        .stalls = plan->stalls,
        .pages = plan->pages,
        .directs = plan->directs,
        .ack_us_max = plan->hostiles > 0 && plan->redis_pauses == 0
                          ? LOOP_MS(ACK_MS_MAX + (plan->unheard > 0 ? ACK_REMINDED_MS : 0))
                          : 0,
        .dawdles = plan->vanish_kinds != 0,
        .links_break = plan->link_cuts > 0,
        .strict = plan->python,
        .stays = ends == 0 && !fleet->check.rules.trims,
        .seed = plan->seed,
        .repeats = (uint64_t)plan->repeats,
        .losses = (uint64_t)plan->losses,
        .timeout_us = LOOP_S(plan->timeout_s),
        .rotate_lead_us = LOOP_S(plan->timeout_s) / ROTATE_SHARE,
        .traced = plan->traced,
        .leases_follow = plan->silences + plan->kills + plan->pauses + plan->drains + plan->link_cuts +
                             plan->redis_kills + plan->redis_pauses + plan->refusals + plan->freezes ==
                         0,
    };
    if (!plan->presence)
        return;
    rosters_init(&fleet->rosters, &fleet->check, fleet->witnesses, plan->clients);
    fleet->rosters.jumps = plan->clock_jumps > 0;
    if (plan->silences > 0)
        fleet->rosters.quiet_us = LOOP_S(ROSTER_SILENT_S);
    fleet->rosters.strict = fleet->check.rules.calm && !plan->swallows && !plan->stalls;
    fleet->world.rosters = &fleet->rosters;
}

/* The default client is the most frequent. */
static enum engine_kind kind_pick(struct fleet *fleet)
{
    static const enum engine_kind kinds[] = {ENGINE_DEFAULT, ENGINE_DEFAULT, ENGINE_DEFAULT,       ENGINE_POLLING,
                                             ENGINE_POLLING, ENGINE_PYTHON,  ENGINE_PYTHON_POLLING};
    if (fleet->plan->plain > 0 && sim_chance(fleet->sim, (uint64_t)fleet->plan->plain))
        return ENGINE_PLAIN;
    if (fleet->plan->polling == 0 || !sim_chance(fleet->sim, (uint64_t)fleet->plan->polling))
        return ENGINE_WEBSOCKET;
    if (fleet->plan->python)
        return sim_chance(fleet->sim, 500) ? ENGINE_PYTHON : ENGINE_PYTHON_POLLING;
    return kinds[sim_below(fleet->sim, sizeof kinds / sizeof kinds[0])];
}

static void fleet_start(struct fleet *fleet)
{
    const struct fleet_plan *plan = fleet->plan;
    struct check_rules rules = rules_of(plan);
    struct sim_delays delays = {.min_us = 50,
                                .max_us = 500 + sim_below(fleet->sim, 5000),
                                .spike_us = sim_below(fleet->sim, 300000),
                                .spike_per_mille = sim_below(fleet->sim, 30)};
    if (plan->steady)
        delays = (struct sim_delays){.min_us = 50, .max_us = STEADY_DELAY_US};
    sim_delays_set(fleet->sim, &delays);
    fleet->slack_us = 3 * (delays.max_us + delays.spike_us);
    list_init(&fleet->deaths);
    list_init(&fleet->swallowed);
    fleet->freezes = plan->freezes;
    check_init(&fleet->check, fleet->sim, &rules);
    redis_start(fleet);
    config_write(fleet);
    world_make(fleet);
    programs_init(fleet);
    guests_init(fleet);
    for (int i = 0; i < plan->instances; i++) {
        struct instance *instance = &fleet->instances[i];
        instance->fleet = fleet;
        instance->number = i;
        instance->port = (uint16_t)(INSTANCE_PORT + i);
        timer_init(&instance->change, instance_change);
        instance_start(instance);
    }
    for (int i = 0; i < plan->clients; i++)
        stock_client_init(&fleet->clients[i], &fleet->world, i, kind_pick(fleet));
    for (int i = 0; i < plan->hostiles; i++)
        hostile_init(&fleet->hostiles[i], &fleet->world, i, plan->hostile_kinds);
    if (plan->directs)
        api_caller_init(&fleet->caller, &fleet->world);
    if (plan->programs > 0)
        programs_start(fleet);
    guests_start(fleet);
}

static void fleet_finish(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->instances; i++)
        instance_end(&fleet->instances[i], true);
    redis_finish(fleet);
    sim_timer_stop(fleet->sim, &fleet->fault);
    sim_timer_stop(fleet->sim, &fleet->vanish);
    sim_drop_loose_ends(fleet->sim);
    unlink(fleet->config);
    due_finish(fleet);
    programs_finish(fleet);
    guests_finish(fleet);
    free(fleet->clients);
    free(fleet->hostiles);
    free(fleet->witnesses);
    if (fleet->plan->presence)
        rosters_finish(&fleet->rosters);
}

/* Whoever was seen connected, with everything it is owed and everything acknowledged, needs nothing more: nobody sends
 * anything. */
static bool all_were_settled(struct fleet *fleet, bool *settled)
{
    bool all = true;
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct stock_client *client = &fleet->clients[i];
        settled[i] = settled[i] || (client->state == CLIENT_CONNECTED && client->waiting_count == 0 &&
                                    check_is_settled(&fleet->check, &client->witness));
        all = all && settled[i];
    }
    return all;
}

static void blame_the_absent(struct fleet *fleet, const bool *settled)
{
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct stock_client *client = &fleet->clients[i];
        if (settled[i])
            continue;
        if (client->state != CLIENT_CONNECTED)
            check_fail(&fleet->check, "%s: is not back %d s after the faults (state %d)", client->witness.name,
                       BACK_WITHIN_S, client->state);
        else if (client->waiting_count > 0)
            check_fail(&fleet->check, "%s: message %u was never acknowledged", client->witness.name,
                       client->waiting[0].message);
        check_settled(&fleet->check, &client->witness);
    }
}

/* Goes on until nobody needs anything more, or until then. */
static void settle(struct fleet *fleet, bool *settled, uint64_t until_us)
{
    while (fleet->check.failure == NULL &&
           !(all_were_settled(fleet, settled) && programs_are_settled(fleet) && guests_are_settled(fleet)) &&
           sim_now_us(fleet->sim) < until_us)
        run_for(fleet, LOOP_MS(100));
}

/* From the first fault to the moment when everybody must be back. */
static void fleet_live(struct fleet *fleet)
{
    const struct fleet_plan *plan = fleet->plan;
    uint64_t end_us = sim_now_us(fleet->sim) + plan->faults_us;
    bool *settled = mem_zero((size_t)plan->clients, sizeof *settled);
    faults_start(fleet);
    fleet_run_until(fleet, end_us);
    faults_heal(fleet);
    fleet_run_until(fleet, end_us + LOOP_S(2));
    for (int i = 0; i < plan->clients; i++)
        stock_client_quiet(&fleet->clients[i]);
    programs_quiet(fleet);
    guests_quiet(fleet);
    api_caller_finish(&fleet->caller);
    settle(fleet, settled, end_us + LOOP_S(BACK_WITHIN_S + plan->stalls * 4));
    blame_the_absent(fleet, settled);
    programs_check(fleet);
    guests_check(fleet);
    run_for(fleet, LOOP_S(1));
    /* What was on its way until now may be owed to a client whose connection is silent, which it notices late. */
    if (plan->silences > 0) {
        memset(settled, 0, (size_t)plan->clients * sizeof *settled);
        settle(fleet, settled, sim_now_us(fleet->sim) + LOOP_S(BACK_WITHIN_S));
    }
    free(settled);
    for (int i = 0; i < plan->clients; i++)
        check_settled(&fleet->check, &fleet->clients[i].witness);
}

/* Nothing has changed for a while: everybody knows who is where, and may ask. */
static void fleet_rest(struct fleet *fleet)
{
    if (!presence_is_certain(fleet->plan))
        return;
    run_for(fleet, fleet->rosters.quiet_us + LOOP_MS(500));
    for (int room = 0; room < ROOMS && fleet->check.failure == NULL; room++) {
        int from = (int)sim_below(fleet->sim, (uint64_t)fleet->plan->clients);
        for (int i = 0; i < fleet->plan->clients; i++) {
            struct stock_client *client = &fleet->clients[(from + i) % fleet->plan->clients];
            if (client->who_ack != 0 || client->state != CLIENT_CONNECTED || !check_is_in(&client->witness, room))
                continue;
            stock_client_who(client, room);
            break;
        }
    }
    run_for(fleet, LOOP_S(1) + fleet->slack_us * 8);
    for (int i = 0; i < fleet->plan->clients; i++)
        if (fleet->clients[i].who_ack != 0)
            check_fail(&fleet->check, "client %d: was never told who is in room %d", i, fleet->clients[i].who_room);
    if (fleet->check.failure == NULL)
        end_check_presence(fleet);
}

/* Nothing is wrong: what is not logged arrives, too. */
static void fleet_pass(struct fleet *fleet)
{
    uint32_t numbers[CALM_MESSAGES];
    bool sure[CALM_MESSAGES];
    int count = 0;
    uint64_t from_us = sim_now_us(fleet->sim), wait_us = LOOP_S(1) + fleet->slack_us * 4;
    for (int i = 0; i < CALM_MESSAGES * 2 && count < CALM_MESSAGES; i++) {
        struct stock_client *client = &fleet->clients[sim_below(fleet->sim, (uint64_t)fleet->plan->clients)];
        /* A client that polls may send on a connection that went silent while it was idle, and notices it late. */
        sure[count] = fleet->plan->silences == 0 || !client->witness.polls;
        count += stock_client_pass(client, &numbers[count]);
    }
    run_for(fleet, wait_us);
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct stock_client *client = &fleet->clients[i];
        /* An unlogged event is not kept while an instance takes the session to a WebSocket. */
        if (client->state != CLIENT_CONNECTED || client->connected_us > from_us || client->dialled_us > from_us ||
            client->witness.polls || client->moved_us + wait_us > from_us)
            continue;
        for (int j = 0; j < count && fleet->check.failure == NULL; j++)
            if (sure[j] && (fleet->check.truths.messages[numbers[j]].rooms != 0 ||
                            strcmp(fleet->check.truths.messages[numbers[j]].to_sid, client->witness.lease->sid) == 0))
                check_passed(&fleet->check, &client->witness, numbers[j]);
    }
}

static void hostiles_finish(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->hostiles; i++) {
        fleet->evil += fleet->hostiles[i].sent;
        hostile_finish(&fleet->hostiles[i]);
    }
}

static void result_take(struct fleet *fleet, struct fleet_result *result)
{
    const struct check *check = &fleet->check;
    const struct client_world *world = &fleet->world;
    *result = (struct fleet_result){
        .failure = check->failure,
        .digest = check->digest,
        .accepted = check->counts.accepted,
        .lost_by_broker = check->counts.lost_by_broker,
        .shown = check->counts.shown,
        .passing = check->counts.passing,
        .resumed = check->counts.resumed,
        .fresh = check->counts.fresh,
        .refused_resumes = check->counts.refused_resumes,
        .excused = check->counts.excused,
        .faults = fleet->faults,
        .polling = world->counts.polling,
        .polls = world->counts.polls,
        .upgraded = world->counts.upgraded,
        .frozen = fleet->frozen,
        .unheard = fleet->unheard,
        .repeated = world->counts.repeated,
        .lost_answers = world->counts.lost_answers,
        .directives = fleet->caller.counts.directives,
        .dismissed = world->counts.dismissed,
        .plain = world->counts.plain,
        .moved_ahead = world->counts.moved_ahead,
        .backend_published = fleet->caller.counts.published,
        .directs = world->counts.directs,
        .wide = world->counts.wide,
        .announced = fleet->rosters.announced,
        .compared = fleet->rosters.compared_count,
        .pages = world->counts.pages,
        .page_entries = world->counts.page_entries,
        .stalls = world->counts.stalls,
        .slowed = fleet->slowed,
        .rotated = world->counts.rotated,
        .timed_out = world->counts.timed_out,
        .swallowed = fleet->swallowed_count,
        .missed = fleet->missed,
        .vanished = fleet->vanished,
        .evil = fleet->evil,
        .ack_us = world->ack_us_most,
    };
    programs_count(fleet, result);
    guests_count(fleet, result);
}

/* Most connections end before the ingress would end them. */
static void check_rotation(struct fleet *fleet)
{
    const struct client_world *world = &fleet->world;
    uint64_t all = world->counts.rotated + world->counts.timed_out;
    if (world->stays && world->timeout_us != 0 && (all == 0 || world->counts.timed_out * 20 > all))
        check_fail(&fleet->check, "%llu connections were rotated, and %llu were cut by the ingress",
                   (unsigned long long)world->counts.rotated, (unsigned long long)world->counts.timed_out);
}

void fleet_run(const struct fleet_plan *plan, struct fleet_result *result)
{
    struct fleet *fleet = mem_zero(1, sizeof *fleet);
    fleet->plan = plan;
    fleet->sim = sim_create(plan->seed);
    fleet_start(fleet);
    fleet_live(fleet);
    fleet_rest(fleet);
    fleet_pass(fleet);
    check_rotation(fleet);
    for (int i = 0; i < plan->clients; i++)
        stock_client_finish(&fleet->clients[i]);
    hostiles_finish(fleet);
    programs_leave(fleet);
    guests_leave(fleet);
    freeze_end(fleet);
    fleet->world.rosters = NULL;
    fleet_run_until(fleet, sim_now_us(fleet->sim) + LOOP_S(IDLE_S));
    if (plan->programs > 0)
        program_check_end(&fleet->program);
    guests_end(fleet);
    if (fleet->check.failure == NULL)
        end_check_instances(fleet);
    if (fleet->check.failure == NULL)
        end_check_keys(fleet);
    fleet_finish(fleet);
    result_take(fleet, result);
    fleet->check.failure = NULL;
    check_finish(&fleet->check);
    sim_destroy(fleet->sim);
    free(fleet);
}
