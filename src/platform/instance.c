/* instance: starts the program with its environment, keeps its last lines of output, and counts its requests. */
#include "platform/instance.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/listening.h"
#include "loop/process.h"
#include "platform/environment.h"
#include "platform/fleet.h"
#include "platform/instance_image.h"
#include "platform/instance_user.h"
#include "platform/secrets.h"

struct log_origin instance_origin(const struct instance *instance)
{
    return (struct log_origin){.revision = instance->fleet->spec->revision, .instance = instance->id};
}

static struct instance *instance_of(struct program *program)
{
    return container_of(program, struct instance, program);
}

static void instance_destroy(struct instance *instance)
{
    for (int i = 0; i < INSTANCE_LAST_LINES; i++)
        free(instance->last[i]);
    cgroup_destroy(&instance->cgroup);
    volumes_shown_finish(&instance->volumes, &instance->fleet->spec->volumes);
    free(instance->id);
    free(instance);
}

/* The process is gone, but requests that the instance held may still be ending, and so may its probes. */
static void destroy_if_unused(struct instance *instance)
{
    if (instance->program.state == PROGRAM_OFF && instance->requests == 0 && probe_is_over(&instance->liveness) &&
        probe_is_over(&instance->readiness))
        instance_destroy(instance);
}

/* Takes its CPU away, or gives it back. */
static void freeze(struct instance *instance, bool frozen)
{
    if (instance->frozen == frozen)
        return;
    instance->frozen = frozen;
    if (!cgroup_freeze(&instance->cgroup, frozen))
        child_signal_group(&instance->program.child, frozen ? SIGSTOP : SIGCONT);
}

bool instance_is_starting(const struct instance *instance)
{
    return instance->program.state == PROGRAM_STARTING ||
           (instance->program.state == PROGRAM_READY && instance->unproved);
}

bool instance_is_ready(const struct instance *instance)
{
    return instance->program.state == PROGRAM_READY && !instance->unproved;
}

/* As on Cloud Run, it has CPU while it starts, serves, is probed, or stops. */
static void gate(struct instance *instance)
{
    struct loop *loop = instance->fleet->loop;
    bool rests = instance->fleet->spec->throttled && instance_is_ready(instance) && instance->requests == 0 &&
                 instance->probing == 0;
    if (instance->account.meter.runs == rests) {
        account_run(&instance->account, !rests);
        fleet_idle_changed(instance->fleet);
    }
    if (!rests) {
        timer_stop(loop, &instance->still);
        freeze(instance, false);
    } else if (!instance->frozen && !timer_running(&instance->still)) {
        timer_start(loop, &instance->still, LOOP_MS(INSTANCE_STILL_MS));
    }
}

static void on_still(struct timer *timer)
{
    freeze(container_of(timer, struct instance, still), true);
}

void instance_stop(struct instance *instance)
{
    timer_stop(instance->fleet->loop, &instance->still);
    freeze(instance, false);
    program_stop(&instance->program);
    gate(instance);
}

static void memory_tell(struct instance *instance, uint64_t used)
{
    uint64_t limit = instance->fleet->spec->memory_bytes_max;
    instance->out_of_memory = true;
    INSTANCE_EVENT(instance, LOG_ERROR,
                   "Memory limit exceeded: the instance is terminated. Consider increasing the memory limit",
                   LOG_C("instance", instance->id), LOG_N("limit_mib", limit >> 20), LOG_N("used_mib", used >> 20),
                   LOG_N("requests_open", instance->requests));
}

bool instance_is_out_of_memory(struct instance *instance)
{
    if (!instance->out_of_memory && cgroup_oom_kills(&instance->cgroup) > 0)
        memory_tell(instance, instance->fleet->spec->memory_bytes_max);
    return instance->out_of_memory;
}

void instance_check_memory(struct instance *instance)
{
    const struct fleet *fleet = instance->fleet;
    struct process_memory memory;
    struct err ignored;
    if (cgroups_limit_memory(&fleet->programs->cgroups) || fleet->spec->memory_bytes_max == 0 ||
        instance->program.state == PROGRAM_OFF || instance->doomed ||
        !process_memory_read(instance->program.pid, &memory, &ignored) ||
        memory.resident <= fleet->spec->memory_bytes_max)
        return;
    memory_tell(instance, memory.resident);
    instance->doomed = true;
    program_kill(&instance->program);
}

static void on_asking(struct instance *instance, bool begins)
{
    instance->probing += begins ? 1u : -1u;
    gate(instance);
}

static void liveness_asking(struct probe *probe, bool begins)
{
    on_asking(container_of(probe, struct instance, liveness), begins);
}

static void readiness_asking(struct probe *probe, bool begins)
{
    on_asking(container_of(probe, struct instance, readiness), begins);
}

/* It may get requests. */
static void started(struct instance *instance)
{
    instance->ready_us = loop_now_us(instance->fleet->loop);
    instance->idle_since_us = fleet_now_us(instance->fleet);
    fleet_instance_ready(instance->fleet, instance);
    gate(instance);
}

static void liveness_judged(struct probe *probe, bool is_well)
{
    struct instance *instance = container_of(probe, struct instance, liveness);
    if (is_well || instance->program.state != PROGRAM_READY)
        return;
    INSTANCE_EVENT(instance, LOG_ERROR,
                   "LIVENESS probe failed: the instance is shut down, and its requests end with 503",
                   LOG_C("instance", instance->id), LOG_C("probe", probe_kind_name(probe->spec)),
                   LOG_N("times", probe->spec->failures), LOG_N("requests_open", instance->requests));
    instance->doomed = true;
    probe_stop(probe);
    program_kill(&instance->program);
}

static void readiness_judged(struct probe *probe, bool is_well)
{
    struct instance *instance = container_of(probe, struct instance, readiness);
    if (instance->unready != is_well)
        return;
    instance->unready = !is_well;
    if (instance->unproved) {
        instance->unproved = false;
        started(instance);
        return;
    }
    INSTANCE_EVENT(instance, is_well ? LOG_INFO : LOG_WARNING,
                   is_well ? "READINESS probe succeeded: the instance gets requests again"
                           : "READINESS probe failed: the instance gets no new requests, and keeps those that it has",
                   LOG_C("instance", instance->id), LOG_C("probe", probe_kind_name(probe->spec)));
    if (is_well)
        fleet_slot_freed(instance->fleet);
}

static void liveness_over(struct probe *probe)
{
    destroy_if_unused(container_of(probe, struct instance, liveness));
}

static void readiness_over(struct probe *probe)
{
    destroy_if_unused(container_of(probe, struct instance, readiness));
}

static void probes_start(struct instance *instance)
{
    const struct probe_spec *probes = instance->fleet->spec->probes;
    if (probes[SPEC_PROBE_LIVENESS].kind != PROBE_NONE)
        probe_start(&instance->liveness, &probes[SPEC_PROBE_LIVENESS], &instance->program.addr,
                    &instance->network.space);
    instance->readiness.eager = true; /* until the first success, which clients wait for */
    if (probes[SPEC_PROBE_READINESS].kind != PROBE_NONE)
        probe_start(&instance->readiness, &probes[SPEC_PROBE_READINESS], &instance->program.addr,
                    &instance->network.space);
}

/* On Cloud Run such a program does not start. */
static void loopback_tell(const struct instance *instance)
{
    if (instance->fleet->loopback_told || listening_on(instance->program.pid, instance->port) != LISTENING_LOOPBACK)
        return;
    instance->fleet->loopback_told = true;
    INSTANCE_EVENT(instance, LOG_WARNING,
                   "the program listens on 127.0.0.1 only, and would not start on Cloud Run: let it listen on "
                   "0.0.0.0",
                   LOG_C("instance", instance->id), LOG_N("PORT", instance->port));
}

/* Of one that listens on its port, and whose start waits for a connection there. In a network of its own its peer is
 * another address than 127.0.0.1, as on Cloud Run; else it is 127.0.0.1. */
static void unreachable_tell(struct instance *instance)
{
    bool is_private = instance->network.space.is_open;
    bool is_loopback = listening_on(instance->program.pid, instance->port) == LISTENING_LOOPBACK;
    bool is_asked = instance->fleet->spec->probes[SPEC_PROBE_STARTUP].kind != PROBE_HTTP;
    if (is_private ? !is_loopback : !is_asked)
        return;
    instance->ports_told = true;
    INSTANCE_EVENT(instance, LOG_ERROR,
                   is_private
                       ? "the program listens on 127.0.0.1 only, and gets no requests: let it listen on 0.0.0.0"
                       : "the program listens on $PORT, but not on 127.0.0.1 (on ::1 only, or on another address "
                         "only), and gets no requests: let it listen on 0.0.0.0",
                   LOG_C("instance", instance->id), LOG_N("PORT", instance->port));
}

void instance_check_ports(struct instance *instance)
{
    uint16_t ports[8];
    uint64_t passed = loop_now_us(instance->fleet->loop) - instance->started_us;
    if (instance->ports_told || instance->program.state != PROGRAM_STARTING || passed < LOOP_MS(INSTANCE_PORTS_MS))
        return;
    size_t count = listening_ports(instance->program.pid, ports, sizeof ports / sizeof ports[0]);
    for (size_t i = 0; i < count; i++) {
        if (ports[i] == instance->port) {
            unreachable_tell(instance);
            continue;
        }
        instance->ports_told = true;
        if (instance_network_insists(instance, ports[i]))
            return;
        INSTANCE_EVENT(
            instance, LOG_ERROR,
            "the program listens on another port than $PORT, and gets no requests: let it read PORT from its "
            "environment, or name its port as containerPort (sennit deploy --port)",
            LOG_C("instance", instance->id), LOG_N("listens_on", ports[i]), LOG_N("PORT", instance->port));
    }
}

void instance_check_volumes(struct instance *instance)
{
    const struct fleet *fleet = instance->fleet;
    struct err err;
    unsigned failed = volumes_refresh(&instance->volumes, &fleet->spec->volumes, fleet->secrets, &err);
    if (failed > 0 && !instance->volumes_told)
        INSTANCE_EVENT(instance, LOG_ERROR,
                       "a mounted secret is not there any more, and its file has gone until it is there again",
                       LOG_C("instance", instance->id), LOG_C("error", err.text), LOG_N("files", failed));
    instance->volumes_told = failed > 0;
}

static void on_ready(struct program *program)
{
    struct instance *instance = instance_of(program);
    loopback_tell(instance);
    instance->ready_us = loop_now_us(instance->fleet->loop);
    instance->unproved = instance->unready = instance->fleet->spec->probes[SPEC_PROBE_READINESS].kind != PROBE_NONE;
    probes_start(instance);
    if (!instance->unproved)
        started(instance);
}

void instance_check_readiness(struct instance *instance)
{
    const struct fleet *fleet = instance->fleet;
    uint64_t passed_us = loop_now_us(fleet->loop) - instance->ready_us; /* its startup probe had its own time */
    if (!instance->unproved || instance->doomed || instance->program.state != PROGRAM_READY ||
        passed_us < LOOP_MS(fleet->startup_ms_max))
        return;
    INSTANCE_EVENT(instance, LOG_ERROR, "READINESS probe never succeeded: the instance was not started",
                   LOG_C("instance", instance->id), LOG_C("probe", probe_kind_name(instance->readiness.spec)),
                   LOG_N("passed_s", passed_us / LOOP_S(1)));
    instance->doomed = true;
    program_kill(&instance->program);
}

static void on_late(struct program *program)
{
    struct instance *instance = instance_of(program);
    const struct probe_spec *startup = &instance->fleet->spec->probes[SPEC_PROBE_STARTUP];
    if (startup->kind != PROBE_NONE && program->probe.failed > 0)
        INSTANCE_EVENT(instance, LOG_ERROR, "STARTUP probe failed: the instance was not started",
                       LOG_C("instance", instance->id), LOG_C("probe", probe_kind_name(startup)),
                       LOG_N("times", program->probe.failed), LOG_N("PORT", instance->port));
    else
        INSTANCE_EVENT(instance, LOG_ERROR, "the instance does not listen; it must listen on 0.0.0.0:$PORT",
                       LOG_C("instance", instance->id), LOG_N("PORT", instance->port));
}

static void on_line(struct program *program, bool is_stderr, struct span line)
{
    struct instance *instance = instance_of(program);
    char **slot = &instance->last[instance->last_count++ % INSTANCE_LAST_LINES];
    free(*slot);
    *slot = mem_text(span_sub(line, 0, 400));
    instance_network_line(instance, line);
    fleet_line(instance->fleet, instance, is_stderr, line);
}

static void on_ended(struct program *program, enum program_state before, struct child_end end)
{
    struct instance *instance = instance_of(program);
    if (before == PROGRAM_READY && instance->unproved)
        before = PROGRAM_STARTING;
    list_remove(&instance->of_fleet);
    timer_stop(instance->fleet->loop, &instance->still);
    instance->frozen = false;
    cgroup_kill(&instance->cgroup); /* what has left its process group, too, as in a container */
    metadata_port_close(&instance->metadata);
    instance_network_close(instance);
    account_end(&instance->account);
    fleet_idle_changed(instance->fleet);
    instance_is_out_of_memory(instance);
    probe_stop(&instance->liveness);
    probe_stop(&instance->readiness);
    fleet_instance_gone(instance->fleet, instance, before, end);
}

static void on_released(struct program *program)
{
    destroy_if_unused(instance_of(program));
}

static const struct program_events program_events = {
    .ready = on_ready, .late = on_late, .line = on_line, .ended = on_ended, .released = on_released};

/* Secrets are read by each instance when it starts, so `latest` is the latest then. */
static bool environment_make(struct words *env, const struct instance *instance, struct err *err)
{
    const struct fleet *fleet = instance->fleet;
    const struct service_spec *spec = fleet->spec;
    for (size_t i = 0; i < fleet->environment->count; i++)
        words_add(env, mem_text(span_str(fleet->environment->list[i])));
    if (!secrets_take(env, &spec->secrets, fleet->secrets, err))
        return false;
    environment_set(env, mem_printf("PORT=%u", instance->port));
    environment_set(env, mem_printf("K_SERVICE=%s", spec->name));
    environment_set(env, mem_printf("K_REVISION=%s", spec->revision));
    environment_set(env, mem_printf("K_CONFIGURATION=%s", spec->name));
    environment_set(env, mem_printf("SENNIT_INSTANCE=%s", instance->id));
    environment_set(env, mem_printf("SENNIT_REQUEST_TIMEOUT_SECONDS=%u", fleet_timeout_s(fleet)));
    if (spec->concurrency > 0)
        environment_set(env, mem_printf("SENNIT_CONCURRENCY=%u", spec->concurrency));
    if (fleet->text_log)
        environment_set(env, mem_text(SPAN_LIT("SENNIT_LOG_FORMAT=text")));
    return true;
}

/* Few programs ask, so an instance starts without it, too. The kernel may offer the port of a program that does not
 * listen yet. */
static void metadata_begin(struct instance *instance)
{
    enum { TRIES = 10 };
    const struct fleet *fleet = instance->fleet;
    struct metadata *metadata = fleet->programs->metadata;
    struct err err;
    bool taken = true;
    for (int i = 0; metadata != NULL && taken && i < TRIES; i++) {
        if (!metadata_port_open(&instance->metadata, metadata, instance->id, fleet->spec->service_account,
                                &instance->network.space, &err)) {
            INSTANCE_EVENT(instance, LOG_WARNING, "the instance has no metadata server",
                           LOG_C("instance", instance->id), LOG_C("error", err.text));
            return;
        }
        taken = !instance->metadata.is_private && programs_have_port(fleet->programs, instance->metadata.number);
        if (taken)
            metadata_port_close(&instance->metadata);
    }
}

/* Where it is to listen. */
static bool port_find(struct instance *instance, struct addr *addr, struct err *err)
{
    if (instance->network.space.is_open) {
        instance->port = (uint16_t)instance->fleet->spec->container_port;
        return addr_from_ip(addr, SPAN_LIT(NETSPACE_ADDRESS), instance->port);
    }
    if (!programs_find_port(instance->fleet->programs, &instance->port, err))
        return false;
    addr_loopback(addr, instance->port);
    return true;
}

/* Secrets that are mounted are read here, too, and followed later. */
static bool mounts_make(const struct instance *instance, const struct mount_image *image, struct mounts *mounts,
                        struct volumes_shown *shown, struct child_spec *child, struct err *err)
{
    const struct fleet *fleet = instance->fleet;
    struct buf hosts = {0};
    struct volumes_place place = {.secrets = fleet->secrets, .memory_bytes = fleet->spec->memory_bytes_max};
    place.image = image->root != NULL ? image : NULL;
    if (instance_network_hosts(instance, &hosts))
        place.hosts = buf_span(&hosts).data;
    if (!volumes_any(&fleet->spec->volumes) && place.image == NULL && place.hosts == NULL)
        return true;
    child->mounts = mounts;
    bool ok = volumes_plan(mounts, shown, &fleet->spec->volumes, &place, err);
    buf_finish(&hosts);
    return ok;
}

static bool program_begin(struct instance *instance, struct err *err)
{
    struct fleet *fleet = instance->fleet;
    struct words env = {0};
    struct mounts mounts = {0};
    struct instance_image image = {0};
    struct child_user user;
    char *variable = mem_printf("SENNIT_INSTANCE=%s", instance->id);
    const struct probe_spec *startup = &fleet->spec->probes[SPEC_PROBE_STARTUP];
    bool own = startup->kind != PROBE_NONE;
    struct program_spec spec = {.probe = own ? startup : &program_probe_default,
                                .start_ms_max = own ? 0 : fleet->startup_ms_max};
    bool has_network = instance_network_open(instance, err);
    if (has_network)
        metadata_begin(instance);
    if (!has_network || !port_find(instance, &spec.addr, err) || !environment_make(&env, instance, err)) {
        words_finish(&env);
        free(variable);
        return false;
    }
    metadata_port_name(&instance->metadata, &env);
    spec.variable = variable;
    spec.child = (struct child_spec){
        .argv = (const char *const *)fleet->command->argv.list,
        .env = (const char *const *)env.list,
        .directory = fleet->command->directory,
        .cgroups = instance->cgroup.members,
        .netspace = &instance->network.space,
    };
    cgroup_create(
        &instance->cgroup, &fleet->programs->cgroups, instance->id,
        &(struct cgroup_limits){fleet->spec->memory_bytes_max, fleet->spec->cpu_milli, fleet->spec->cpu_request_milli});
    bool is_image = fleet->command->image.digest[0] != '\0';
    bool ok = (is_image || instance_user_choose(fleet->spec, &user, &env, &spec.child, err)) &&
              instance_image_make(&image, instance, &env, &spec.child, err) &&
              mounts_make(instance, &image.mount, &mounts, &instance->volumes, &spec.child, err) &&
              (program_start(&instance->program, &spec, err) || instance_image_explain(&image, err));
    if (ok)
        volumes_begin(&instance->volumes, &mounts);
    mounts_finish(&mounts);
    instance_image_finish(&image);
    words_finish(&env);
    free(variable);
    return ok;
}

struct instance *instance_start(struct fleet *fleet, struct err *err)
{
    struct instance *instance = mem_zero(1, sizeof *instance);
    instance->fleet = fleet;
    instance->id = mem_printf("%s-%u", fleet->spec->revision, ++fleet->started);
    loop_random_hex(fleet->loop, instance->affinity, AFFINITY_BYTES);
    instance->started_us = loop_now_us(fleet->loop);
    instance->started_ms = loop_wall_ms(fleet->loop);
    program_init(&instance->program, fleet->programs, &program_events);
    timer_init(&instance->still, on_still);
    probe_init(&instance->liveness, fleet->programs->net, liveness_judged, liveness_over);
    probe_init(&instance->readiness, fleet->programs->net, readiness_judged, readiness_over);
    instance->liveness.asks = liveness_asking;
    instance->readiness.asks = readiness_asking;
    list_init(&instance->of_fleet);
    if (!program_begin(instance, err)) {
        metadata_port_close(&instance->metadata);
        instance_network_close(instance);
        instance_destroy(instance);
        return NULL;
    }
    list_append(&fleet->instances, &instance->of_fleet);
    account_begin(
        &instance->account, fleet->bill, fleet->spec->throttled ? METER_REQUEST : METER_INSTANCE,
        (struct account_size){.memory_bytes = fleet->spec->memory_bytes_max, .cpu_milli = fleet->spec->cpu_milli},
        fleet->spec->revision, instance->id);
    fleet_idle_changed(fleet);
    return instance;
}

const char *instance_state_name(const struct instance *instance)
{
    static const char *const names[PROGRAM_STATES] = {
        [PROGRAM_OFF] = "gone",          [PROGRAM_STARTING] = "starting", [PROGRAM_READY] = "ready",
        [PROGRAM_STOPPING] = "draining", [PROGRAM_ENDED] = "gone",
    };
    if (instance_is_starting(instance))
        return names[PROGRAM_STARTING];
    return instance->unready && instance_is_ready(instance) ? "unready" : names[instance->program.state];
}

void instance_hold(struct instance *instance)
{
    instance->requests++;
    account_request(&instance->account);
    gate(instance);
    fleet_requests_add(instance->fleet, 1);
}

void instance_release(struct instance *instance)
{
    struct fleet *fleet = instance->fleet;
    assert(instance->requests > 0);
    if (--instance->requests == 0)
        instance->idle_since_us = fleet_now_us(fleet);
    fleet_requests_add(fleet, -1);
    gate(instance);
    destroy_if_unused(instance);
    fleet_slot_freed(fleet);
}
