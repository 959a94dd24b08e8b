/* up: starts and stops the parts in order: the ingress' port, the switch of user, the status page, the managed Redis,
 * the instances; at the end the ingress, the instances, the managed Redis. */
#include "platform/up.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shown.h"
#include "loop/process.h"
#include "platform/environment.h"
#include "platform/ingress.h"
#include "platform/managed_redis.h"
#include "platform/status.h"

enum {
    FILES_KEPT = 128,   /* of descriptors: ours, Redis', those of clients that are answered at the door */
    FILES_INSTANCE = 6, /* two outputs, one to watch it, a probe, and what its start takes for a moment */
    FILES_CLIENT = 2,
    CONNECTIONS_MAX = 50000, /* unless asked for */
};

struct up {
    struct loop *loop;
    struct net net;
    struct programs programs;
    const struct up_options *options;
    struct service_spec spec;
    struct command command;
    struct words environment; /* of every instance */
    struct managed_redis redis;
    struct fleet fleet;
    struct ingress ingress;
    struct status status;
    struct signal_watch interrupt, term, hangup;
    bool stopping, scaling;
};

static void redis_stopped(struct managed_redis *redis)
{
    struct up *up = container_of(redis, struct up, redis);
    ingress_cut(&up->ingress);
    loop_stop(up->loop);
}

static void fleet_stopped(struct fleet *fleet)
{
    struct up *up = container_of(fleet, struct up, fleet);
    if (up->redis.state == MANAGED_REDIS_OFF) {
        ingress_cut(&up->ingress);
        loop_stop(up->loop);
        return;
    }
    log_event(LOG_INFO, "stopping redis");
    managed_redis_stop(&up->redis);
}

static void redis_ready(struct managed_redis *redis)
{
    struct up *up = container_of(redis, struct up, redis);
    if (!up->stopping && !up->scaling) {
        up->scaling = true;
        fleet_start(&up->fleet);
    }
}

static void stop(struct up *up)
{
    if (up->stopping) {
        log_event(LOG_WARNING, "asked twice: killing the remaining processes");
        fleet_kill(&up->fleet);
        if (up->redis.state != MANAGED_REDIS_OFF)
            managed_redis_kill(&up->redis);
        return;
    }
    up->stopping = true;
    log_event(LOG_INFO, "stopping: the ingress, then the instances (SIGTERM, ten seconds), then the managed Redis");
    ingress_stop(&up->ingress);
    status_close(&up->status);
    fleet_stop(&up->fleet);
}

static void on_interrupt(struct signal_watch *watch, int number)
{
    stop(container_of(watch, struct up, interrupt));
}

static void on_term(struct signal_watch *watch, int number)
{
    stop(container_of(watch, struct up, term));
}

static void on_hangup(struct signal_watch *watch, int number)
{
    stop(container_of(watch, struct up, hangup));
}

static char *state_directory(const struct up *up)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (up->options->state_dir != NULL)
        return mem_printf("%s/redis", up->options->state_dir);
    if (state != NULL && state[0] == '/')
        return mem_printf("%s/sennit/%s/redis", state, up->spec.name);
    return mem_printf("%s/.local/state/sennit/%s/redis", home != NULL ? home : "/tmp", up->spec.name);
}

static bool redis_start(struct up *up, struct err *err)
{
    if (!up->spec.redis)
        return true;
    char *directory = state_directory(up);
    up->redis.ready = redis_ready;
    up->redis.stopped = redis_stopped;
    const struct managed_redis_options options = {.directory = directory,
                                                  .restart_delay_ms = up->spec.redis_restart_delay_ms,
                                                  .memory_bytes_max = up->spec.redis_memory_bytes_max};
    bool ok = managed_redis_start(&up->redis, &up->programs, &options, err);
    free(directory);
    if (ok)
        environment_set(&up->environment, mem_printf("REDIS_URL=%s", up->redis.url));
    return ok;
}

static bool environment_read(struct up *up, struct err *err)
{
    const struct words *own = &up->spec.env;
    environment_add_system(&up->environment);
    for (size_t i = 0; i < own->count; i++)
        environment_set(&up->environment, mem_text(span_str(own->list[i])));
    return environment_pass(&up->environment, up->options->pass, up->options->pass_count, err);
}

/* What a person wants to see first. */
static void greet(const struct up *up)
{
    const struct service_spec *spec = &up->spec;
    uint16_t port = listener_port(&up->ingress.listener);
    if (spec->inert.len != 0)
        log_event(LOG_WARNING, "these fields have no effect on this machine", LOG_S("fields", buf_span(&spec->inert)));
    if (!up->options->text_log) {
        log_event(LOG_INFO, "serving", LOG_C("service", spec->name), LOG_N("port", port));
        return;
    }
    printf("\n  %s  http://localhost:%u\n\n", spec->name, port);
    printf("  %u to %u instances, %u requests each, request timeout %u s, %s\n", spec->instances_min,
           spec->instances_max, spec->concurrency, spec->timeout_s,
           spec->redis ? "Redis beside them" : "no Redis of ours");
    if (spec->hint != NULL) {
        struct buf hint = {0};
        shown_append(&hint, span_str(spec->hint), SIZE_MAX);
        printf("  Try: " SPAN_FMT "\n", SPAN_ARG(buf_span(&hint)));
        buf_finish(&hint);
    }
    printf("  Ctrl-C stops everything.\n\n");
    fflush(stdout);
}

/* A client takes one descriptor, and one more for its request's way to an instance. Instances, Redis, their outputs and
 * refusals at the door need some, too; of a small number they get half. */
static bool door_open(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    uint64_t files = process_files_allow(0), kept = FILES_KEPT + (uint64_t)up->spec.instances_max * FILES_INSTANCE;
    kept = kept < files / 2 ? kept : files / 2;
    uint64_t fit = (files - kept) / FILES_CLIENT;
    struct ingress_options ingress = {
        .port = options->port,
        .connections_max = options->connections != 0 ? options->connections
                                                     : (uint32_t)(fit < CONNECTIONS_MAX ? fit : CONNECTIONS_MAX),
    };
    if (ingress.connections_max > fit || fit == 0)
        return err_set(err,
                       "%u connections need more than the %llu files that may be open: ulimit -n %llu, or fewer "
                       "--connections",
                       ingress.connections_max, (unsigned long long)files,
                       (unsigned long long)(kept + (uint64_t)(ingress.connections_max + 1) * FILES_CLIENT));
    ingress.connections_per_address =
        options->connections_per_address != 0 ? options->connections_per_address : (ingress.connections_max + 1) / 2;
    return ingress_open(&up->ingress, &up->net, &up->fleet, &ingress, err);
}

static bool user_become(const struct up *up, struct err *err)
{
    const char *user = up->options->user;
    if (user != NULL)
        return process_user_become(user, err) || err_prefix(err, "--user: ");
    if (process_is_root())
        log_event(LOG_NOTICE, "the instances run as root: --user NAME runs them as an ordinary user");
    return true;
}

static bool start(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    if (!service_spec_read(&up->spec, options->path, err))
        return false;
    fleet_init(&up->fleet, &up->programs, &up->spec, &up->command, &up->environment);
    up->fleet.text_log = options->text_log;
    up->fleet.stopped = fleet_stopped;
    if (options->idle_ms != 0)
        up->fleet.idle_ms = options->idle_ms;
    if (options->startup_ms != 0)
        up->fleet.startup_ms_max = options->startup_ms;
    /* The door first: only root opens ports below 1024. */
    if (!door_open(up, err) || !user_become(up, err) || !environment_read(up, err) ||
        !command_find(&up->command, &up->spec, options->path, options->run, err))
        return false;
    up->status = (struct status){.fleet = &up->fleet,
                                 .ingress = &up->ingress,
                                 .redis = &up->redis,
                                 .ingress_port = listener_port(&up->ingress.listener)};
    if (options->status_port >= 0 && !status_open(&up->status, &up->net, (uint16_t)options->status_port, err))
        return false;
    if (!redis_start(up, err))
        return false;
    signal_watch_start(up->loop, &up->interrupt, SIGINT, on_interrupt);
    signal_watch_start(up->loop, &up->term, SIGTERM, on_term);
    /* The terminal was closed; unless it was said that this does not matter (nohup). */
    if (!signal_is_ignored(SIGHUP))
        signal_watch_start(up->loop, &up->hangup, SIGHUP, on_hangup);
    greet(up);
    if (options->status_port >= 0)
        log_event(LOG_INFO, "status", LOG_N("port", listener_port(&up->status.listener)));
    if (!up->spec.redis)
        fleet_start(&up->fleet);
    return true;
}

static void finish(struct up *up)
{
    signal_watch_stop(up->loop, &up->interrupt);
    signal_watch_stop(up->loop, &up->term);
    signal_watch_stop(up->loop, &up->hangup);
    listener_close(&up->ingress.listener);
    status_close(&up->status);
    net_finish(&up->net);
    ingress_finish(&up->ingress);
    fleet_finish(&up->fleet);
    managed_redis_finish(&up->redis);
    command_finish(&up->command);
    words_finish(&up->environment);
    service_spec_finish(&up->spec);
    loop_destroy(up->loop);
}

bool up_run(const struct up_options *options, struct err *err)
{
    struct up *up = mem_zero(1, sizeof *up);
    up->options = options;
    up->loop = loop_create(err);
    bool ok = up->loop != NULL;
    if (ok) {
        list_init(&up->interrupt.node);
        list_init(&up->term.node);
        list_init(&up->hangup.node);
        list_init(&up->fleet.instances);
        net_init(&up->net, up->loop);
        programs_init(&up->programs, &up->net);
        ok = start(up, err);
        if (ok) {
            loop_run(up->loop);
            log_event(LOG_INFO, "stopped");
        }
        finish(up);
    }
    free(up);
    return ok;
}
