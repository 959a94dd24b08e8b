/* fleet: see fleet.h. Here: its life, and its instances. */
#include "fleet.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fleet_parts.h"

enum {
    IDLE_S = 65, /* a connection that never said anything is closed too by then */
};

void fleet_say(const struct fleet *fleet, const char *format, ...)
{
    va_list args;
    if (!fleet->verbose)
        return;
    printf("%.6f ", (double)sim_now_us(fleet->sim) / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static void instance_start(struct instance *instance)
{
    struct fleet *fleet = instance->fleet;
    char port[8];
    struct err err = {0};
    snprintf(port, sizeof port, "%u", instance->port);
    struct serve_options options = {.config_path = fleet->config, .port = port, .redis_url = "redis://127.0.0.1:6379"};
    fleet_say(fleet, "instance %u starts", instance->port);
    instance->loop = sim_host_create(fleet->sim);
    instance->paused = instance->draining = false;
    if (!server_open(&instance->server, instance->loop, &options, &err))
        check_fail(&fleet->check, "an instance does not start: %s", err.text);
}

static void instance_end(struct instance *instance, bool killed)
{
    if (instance->loop == NULL)
        return;
    if (killed)
        sim_host_sever(instance->loop);
    server_close(&instance->server);
    sim_host_destroy(instance->loop);
    instance->loop = NULL;
    sim_timer_stop(instance->fleet->sim, &instance->change);
}

static void instance_change(struct timer *timer)
{
    struct instance *instance = container_of(timer, struct instance, change);
    if (instance->loop == NULL) {
        instance_start(instance);
    } else if (instance->paused) {
        instance->paused = false;
        sim_host_pause(instance->loop, false);
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
    instance_end(instance, true);
    sim_timer_start(instance->fleet->sim, &instance->change, LOOP_MS(10 + sim_below(instance->fleet->sim, 3000)));
}

void instance_pause(struct instance *instance)
{
    fleet_say(instance->fleet, "instance %u stands still", instance->port);
    instance->paused = true;
    sim_host_pause(instance->loop, true);
    sim_timer_start(instance->fleet->sim, &instance->change, LOOP_MS(50 + sim_below(instance->fleet->sim, 6000)));
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
    /* An ingress does not know that an instance is stopped, only that it is gone or going. */
    for (int i = 0; i < fleet->plan->instances; i++)
        if (fleet->instances[i].loop != NULL && !fleet->instances[i].draining)
            ports[count++] = fleet->instances[i].port;
    return count > 0 ? ports[sim_below(fleet->sim, count)] : 0;
}

static bool all_settled(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct stock_client *client = &fleet->clients[i];
        if (client->state != CLIENT_CONNECTED || client->waiting_count > 0 ||
            !check_is_settled(&fleet->check, &client->witness))
            return false;
    }
    return true;
}

static void blame_the_absent(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct stock_client *client = &fleet->clients[i];
        if (client->state != CLIENT_CONNECTED)
            check_fail(&fleet->check, "%s: is not back %d s after the faults (state %d)", client->witness.name,
                       BACK_WITHIN_S, client->state);
        else if (client->waiting_count > 0)
            check_fail(&fleet->check, "%s: message %u of room %d was never acknowledged", client->witness.name,
                       client->waiting[0].message, fleet->check.messages[client->waiting[0].message].room);
    }
}

/* Runs on, a little at a time, so that a failure stops it where it happens. */
static void run_until(struct fleet *fleet, uint64_t until_us)
{
    while (fleet->check.failure == NULL && sim_now_us(fleet->sim) < until_us) {
        uint64_t next = sim_now_us(fleet->sim) + LOOP_MS(10);
        sim_run(fleet->sim, next < until_us ? next : until_us, NULL, NULL);
    }
}

static void config_write(struct fleet *fleet)
{
    static const char text[] =
        "ping_interval: 2s\nping_timeout: 2s\nconnect_timeout: 3s\n"
        "namespaces:\n  /:\n    log: {entries: %d, age: 1h}\n    replay: %s\n    announce: true\n"
        "    recovery: 10m\n    events:\n"
        "      all: {to: everyone, log: true, id: 0.id}\n"
        "      others: {to: others, log: true, id: 0.id}\n"
        "      say: {to: room, room: 0, log: true, id: 1.id}\n"
        "      tell: {to: room-others, room: 0, log: true, id: 1.id}\n"
        "      cursor: {to: others}\n"
        "      join: {join: 0}\n      leave: {leave: 0}\n";
    snprintf(fleet->config, sizeof fleet->config, "/tmp/sennit-sim-XXXXXX");
    int fd = mkstemp(fleet->config);
    assert(fd >= 0);
    dprintf(fd, text, fleet->plan->small_log ? 20 : 100000, fleet->plan->replay_all ? "all" : "none");
    close(fd);
}

static void fleet_start(struct fleet *fleet)
{
    const struct fleet_plan *plan = fleet->plan;
    check_init(&fleet->check, fleet->sim);
    redis_start(fleet);
    config_write(fleet);
    fleet->world = (struct client_world){
        .sim = fleet->sim,
        .check = &fleet->check,
        .instance_pick = instance_pick,
        .arg = fleet,
        .replay_all = plan->replay_all,
        .quiet = plan->quiet,
        .traced = plan->traced,
        .resumes_may_fail = plan->small_log || plan->failovers > 0,
        .leases_follow = plan->silences + plan->kills + plan->pauses + plan->drains + plan->link_cuts +
                             plan->redis_kills + plan->redis_pauses + plan->refusals ==
                         0,
    };
    for (int i = 0; i < plan->instances; i++) {
        struct instance *instance = &fleet->instances[i];
        instance->fleet = fleet;
        instance->port = (uint16_t)(INSTANCE_PORT + i);
        timer_init(&instance->change, instance_change);
        instance_start(instance);
    }
    fleet->clients = mem_zero((size_t)plan->clients, sizeof *fleet->clients);
    for (int i = 0; i < plan->clients; i++)
        stock_client_init(&fleet->clients[i], &fleet->world, i);
}

/* Whatever is written for somebody ends by itself; what belongs to the partition does not. */
static void check_keys(struct fleet *fleet)
{
    static const char *const partition[] = {"sennit:{0}:state", "sennit:{0}:lives", "sennit:{0}:recent",
                                            "sennit:{0}:away"};
    struct buf names = {0};
    redis_keys_for_ever(fleet, &names);
    struct span rest = buf_span(&names), name;
    while (span_next(&rest, '\n', &name) && name.len > 0) {
        bool known = false;
        for (size_t i = 0; i < sizeof partition / sizeof partition[0]; i++)
            known |= span_equal(name, span_str(partition[i]));
        if (!known)
            check_fail(&fleet->check, "the key " SPAN_FMT " stays in Redis for ever", SPAN_ARG(name));
    }
    buf_finish(&names);
}

/* Nobody is there any more: what is still held for them? */
static void check_leftovers(struct fleet *fleet)
{
    size_t streams = sim_streams(fleet->sim);
    for (int i = 0; i < fleet->plan->instances && fleet->check.failure == NULL; i++) {
        const struct instance *instance = &fleet->instances[i];
        const struct server *server = &instance->server;
        if (instance->loop == NULL || server->client_count != 0 || server->sessions.count != 0 ||
            server->sessions.socket_count != 0 || server->sessions.sockets.count != 0)
            check_fail(&fleet->check, "instance %u holds %zu connections, %zu sessions, %zu sockets of nobody",
                       instance->port, server->client_count, server->sessions.count, server->sessions.socket_count);
        else if (!list_empty(&server->hub.members) || server->hub.rooms.count != 0 || server->hub.page_bytes != 0)
            check_fail(&fleet->check, "instance %u holds %zu rooms and %zu bytes of pages for nobody", instance->port,
                       server->hub.rooms.count, server->hub.page_bytes);
    }
    /* Each instance has two to Redis. */
    if (fleet->check.failure == NULL && streams != (size_t)fleet->plan->instances * 2)
        check_fail(&fleet->check, "the instances hold %zu streams", streams);
    if (fleet->check.failure == NULL)
        check_keys(fleet);
}

static void clients_finish(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->clients; i++)
        stock_client_finish(&fleet->clients[i]);
    free(fleet->clients);
}

static void fleet_finish(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->instances; i++)
        instance_end(&fleet->instances[i], true);
    redis_finish(fleet);
    sim_timer_stop(fleet->sim, &fleet->fault);
    sim_drop_loose_ends(fleet->sim);
    unlink(fleet->config);
    check_finish(&fleet->check);
}

/* From the first fault to the moment when everybody must be back. */
static void fleet_live(struct fleet *fleet)
{
    const struct fleet_plan *plan = fleet->plan;
    uint64_t end_us = sim_now_us(fleet->sim) + plan->faults_us;
    faults_start(fleet);
    run_until(fleet, end_us);
    faults_heal(fleet);
    run_until(fleet, end_us + LOOP_S(2));
    for (int i = 0; i < plan->clients; i++)
        stock_client_quiet(&fleet->clients[i]);
    while (fleet->check.failure == NULL && !all_settled(fleet) &&
           sim_now_us(fleet->sim) < end_us + LOOP_S(BACK_WITHIN_S))
        run_until(fleet, sim_now_us(fleet->sim) + LOOP_MS(100));
    blame_the_absent(fleet);
    run_until(fleet, sim_now_us(fleet->sim) + LOOP_S(1));
    for (int i = 0; i < plan->clients; i++)
        check_settled(&fleet->check, &fleet->clients[i].witness);
}

void fleet_run(const struct fleet_plan *plan, struct fleet_result *result)
{
    struct fleet *fleet = mem_zero(1, sizeof *fleet);
    fleet->plan = plan;
    fleet->verbose = plan->verbose;
    fleet->sim = sim_create(plan->seed);
    sim_delays_set(fleet->sim, &(struct sim_delays){.min_us = 50,
                                                    .max_us = 500 + sim_below(fleet->sim, 5000),
                                                    .spike_us = sim_below(fleet->sim, 300000),
                                                    .spike_per_mille = sim_below(fleet->sim, 30)});
    fleet_start(fleet);
    fleet_live(fleet);
    clients_finish(fleet);
    run_until(fleet, sim_now_us(fleet->sim) + LOOP_S(IDLE_S));
    check_leftovers(fleet);
    const struct check *check = &fleet->check;
    *result = (struct fleet_result){
        .failure = check->failure,
        .digest = check->digest,
        .accepted = check->counts.accepted,
        .lost_by_broker = check->counts.lost_by_broker,
        .shown = check->counts.shown,
        .shown_late = check->counts.shown_late,
        .resumed = check->counts.resumed,
        .fresh = check->counts.fresh,
        .refused_resumes = check->counts.refused_resumes,
        .faults = fleet->faults,
    };
    fleet->check.failure = NULL;
    fleet_finish(fleet);
    sim_destroy(fleet->sim);
    free(fleet);
}
