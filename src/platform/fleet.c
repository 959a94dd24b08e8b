/* fleet: grants slots to waiting requests, starts and stops instances by the autoscaler, and writes their output to the
 * log. */
#include "platform/fleet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"
#include "base/shown.h"
#include "loop/process.h"
#include "wire/json.h"

enum { CPU_PARTS = 1000, CPU_EVERY_US = 900000 };

#define FLEET_MOVES(MOVE) \
    MOVE(FLEET_OPEN, FLEET_SCALING) \
    MOVE(FLEET_OPEN, FLEET_CLOSING) \
    MOVE(FLEET_SCALING, FLEET_CLOSING) \
    MOVE(FLEET_CLOSING, FLEET_CLOSED)

/* The only function that changes a fleet's state. fleet.h has the picture. */
static void set_state(struct fleet *fleet, enum fleet_state state)
{
    static const bool legal[FLEET_STATES][FLEET_STATES] = {FLEET_MOVES(MOVE_LEGAL)};
    assert(legal[fleet->state][state]);
    fleet->state = (uint8_t)state;
}

static bool takes_requests(const struct fleet *fleet)
{
    return fleet->state == FLEET_OPEN || fleet->state == FLEET_SCALING;
}

uint64_t fleet_now_us(const struct fleet *fleet)
{
    return loop_now_us(fleet->loop) * fleet->time_scale;
}

uint32_t fleet_timeout_s(const struct fleet *fleet)
{
    uint32_t seconds = fleet->spec->timeout_s / fleet->time_scale;
    return seconds > 0 ? seconds : 1;
}

uint64_t fleet_left_us(const struct fleet *fleet, uint64_t began_us)
{
    uint64_t past_us = loop_now_us(fleet->loop) - began_us, timeout_us = LOOP_S(fleet_timeout_s(fleet));
    return past_us < timeout_us ? timeout_us - past_us : 0;
}

static void demand_changed(struct fleet *fleet)
{
    demand_note(&fleet->requests, fleet->open + fleet->ask_count, fleet_now_us(fleet));
}

/* The queue of waiting requests becomes longer or shorter. */
static void asks_add(struct fleet *fleet, int change)
{
    fleet->ask_count += (uint32_t)change;
    demand_changed(fleet);
}

void fleet_requests_add(struct fleet *fleet, int change)
{
    fleet->open += (uint32_t)change;
    demand_changed(fleet);
}

static struct instance *instance_of(struct list *node)
{
    return container_of(node, struct instance, of_fleet);
}

static uint32_t ready_count(const struct fleet *fleet)
{
    uint32_t count = 0;
    list_each (node, &fleet->instances) {
        count += instance_is_ready(instance_of(node));
    }
    return count;
}

static bool has_slot(const struct fleet *fleet, const struct instance *instance)
{
    bool is_suspect = instance->doomed || (instance->refused_us != 0 &&
                                           loop_now_us(fleet->loop) - instance->refused_us < LOOP_MS(FLEET_SUSPECT_MS));
    return !is_suspect && instance->program.state == PROGRAM_READY && !instance->unready &&
           instance->requests < fleet->spec->concurrency;
}

/* The instance that it prefers, if that has a free slot. */
static struct instance *preferred(struct fleet *fleet, const struct ask *ask)
{
    if (!fleet->spec->affinity || ask->affinity[0] == '\0')
        return NULL;
    list_each (node, &fleet->instances) {
        if (has_slot(fleet, instance_of(node)) && strcmp(instance_of(node)->affinity, ask->affinity) == 0)
            return instance_of(node);
    }
    return NULL;
}

/* Chooses uniformly at random among the instances with a free slot. */
static struct instance *choose_any(struct fleet *fleet)
{
    uint64_t free_count = 0;
    list_each (node, &fleet->instances) {
        free_count += has_slot(fleet, instance_of(node));
    }
    if (free_count == 0)
        return NULL;
    uint64_t chosen = loop_random_below(fleet->loop, free_count);
    list_each (node, &fleet->instances) {
        struct instance *instance = instance_of(node);
        if (has_slot(fleet, instance) && chosen-- == 0)
            return instance;
    }
    return NULL;
}

static struct instance *choose(struct fleet *fleet, const struct ask *ask)
{
    struct instance *instance = preferred(fleet, ask);
    return instance != NULL ? instance : choose_any(fleet);
}

static struct ask *ask_take(struct fleet *fleet)
{
    struct list *node = list_take(&fleet->asks);
    if (node == NULL)
        return NULL;
    asks_add(fleet, -1);
    return container_of(node, struct ask, queued);
}

static void grant(struct fleet *fleet, struct ask *ask, struct instance *instance)
{
    instance_hold(instance);
    ask->granted(ask, instance);
}

static void refuse(struct fleet *fleet, struct ask *ask, enum fleet_refusal refusal)
{
    fleet->counters.refused++;
    ask->refused(ask, refusal);
}

static void refuse_all(struct fleet *fleet, enum fleet_refusal refusal)
{
    struct ask *ask;
    while ((ask = ask_take(fleet)) != NULL)
        refuse(fleet, ask, refusal);
}

static void serve_queue(struct fleet *fleet)
{
    struct instance *instance;
    while (fleet->ask_count > 0 &&
           (instance = choose(fleet, container_of(fleet->asks.next, struct ask, queued))) != NULL)
        grant(fleet, ask_take(fleet), instance);
}

static uint64_t queue_us_max(const struct fleet *fleet)
{
    uint64_t average = fleet->startup_count > 0 ? fleet->startup_us_sum / fleet->startup_count : 0;
    uint64_t us = average * 7 / 2;
    return us > LOOP_MS(FLEET_QUEUE_MS_MIN) ? us : LOOP_MS(FLEET_QUEUE_MS_MIN);
}

static uint32_t floor_of(const struct fleet *fleet)
{
    uint32_t min = fleet->retired ? 0 : fleet->spec->instances_min;
    return fleet->proving && min == 0 ? 1 : min;
}

void fleet_idle_changed(struct fleet *fleet)
{
    uint32_t idle = 0, billed = 0, min = floor_of(fleet);
    if (fleet->idle.bill == NULL)
        return;
    list_each (node, &fleet->instances) {
        idle += !instance_of(node)->account.meter.runs;
        billed += instance_of(node)->account.meter.runs;
    }
    uint32_t missing = min > billed ? min - billed : 0;
    account_idle(&fleet->idle, missing < idle ? missing : idle);
}

/* Instances that have CPU always are billed for themselves. */
static void idle_begin(struct fleet *fleet)
{
    const struct service_spec *spec = fleet->spec;
    if (spec->throttled && spec->instances_min > 0)
        account_begin(&fleet->idle, fleet->bill, METER_IDLE,
                      (struct account_size){.memory_bytes = spec->memory_bytes_max, .cpu_milli = spec->cpu_milli},
                      spec->revision, NULL);
}

/* Tells the owner from the loop, because it may stop the fleet then. */
static void judge(struct fleet *fleet, char *fault)
{
    fleet->proving = false;
    free(fleet->fault);
    fleet->fault = fault;
    timer_start(fleet->loop, &fleet->verdict, 0);
}

static void on_verdict(struct timer *timer)
{
    struct fleet *fleet = container_of(timer, struct fleet, verdict);
    fleet->proved(fleet, fleet->fault);
}

static struct autoscaler_policy policy_of(const struct fleet *fleet)
{
    return (struct autoscaler_policy){
        .instances_min = floor_of(fleet),
        .instances_max = fleet->spec->instances_max,
        .concurrency = fleet->spec->concurrency,
        .idle_us_max = fleet->retired ? 0 : LOOP_MS(fleet->idle_ms),
        .concurrency_target = fleet->spec->scaling.concurrency_target,
        .cpu_target = fleet->spec->scaling.cpu_target,
        .is_manual = fleet->spec->scaling.is_manual && !fleet->retired,
        .instances_manual = fleet->spec->scaling.instances_manual,
        .kpa = fleet->spec->scaling.is_kpa && !fleet->retired ? &fleet->spec->scaling.kpa : NULL,
    };
}

/* False if the program cannot even be executed. */
static bool start_one(struct fleet *fleet)
{
    struct err err;
    struct instance *instance = instance_start(fleet, &err);
    if (instance != NULL) {
        INSTANCE_EVENT(instance, LOG_INFO, "instance starts", LOG_C("instance", instance->id),
                       LOG_N("pid", instance->program.pid), LOG_N("port", instance->port));
        return true;
    }
    LOGBOOK_EVENT(fleet->book, ((struct log_origin){.revision = fleet->spec->revision}), LOG_ERROR,
                  "an instance cannot be started", LOG_C("why", err.text));
    if (fleet->proving)
        judge(fleet, mem_text(span_str(err.text)));
    if (list_empty(&fleet->instances))
        refuse_all(fleet, FLEET_START_FAILED);
    return false;
}

static bool is_idle(const struct instance *instance)
{
    return instance_is_ready(instance) && instance->requests == 0;
}

static void stop_idle(struct fleet *fleet, uint32_t count)
{
    struct autoscaler_policy policy = policy_of(fleet);
    list_each (node, &fleet->instances) {
        struct instance *instance = instance_of(node);
        if (count > 0 && is_idle(instance) &&
            autoscaler_idle_is_over(&policy, instance->idle_since_us, fleet_now_us(fleet))) {
            INSTANCE_EVENT(instance, LOG_INFO, "instance stops: idle", LOG_C("instance", instance->id));
            instance_stop(instance);
            count--;
        }
    }
}

/* Knative averages over the seconds that there are. Here a revision that is new starts from nothing: else its first
 * second would count for the whole minute. A retired one needs no room for more requests than it has. */
static void means_measure(struct fleet *fleet, const struct autoscaler_policy *policy,
                          struct autoscaler_measure *measure, uint64_t now_us)
{
    double (*mean)(struct demand *, uint32_t, uint64_t) = policy->kpa != NULL ? demand_mean : demand_mean_whole;
    uint32_t window_s = autoscaler_window_s(policy);
    measure->requests_mean = fleet->retired ? 0 : mean(&fleet->requests, window_s, now_us);
    measure->cpu_mean = fleet->retired ? 0 : mean(&fleet->cpu, window_s, now_us) / CPU_PARTS;
    if (policy->kpa != NULL)
        measure->panic_mean = demand_mean(&fleet->requests, kpa_panic_window_s(policy->kpa), now_us);
}

/* The number of instances that are missing (above 0) or too many (below 0). */
static int64_t step(struct fleet *fleet, bool start_failed)
{
    uint64_t idle_since_us[SPEC_INSTANCES_MAX];
    uint32_t unready = 0;
    struct autoscaler_policy policy = policy_of(fleet);
    struct autoscaler_measure measure = {
        .queued = fleet->ask_count, .idle_since_us = idle_since_us, .start_failed = start_failed};
    list_each (node, &fleet->instances) {
        struct instance *instance = instance_of(node);
        measure.ready += instance_is_ready(instance);
        unready += instance_is_ready(instance) && instance->unready;
        measure.starting += instance_is_starting(instance);
        if (is_idle(instance) && measure.idle_count < SPEC_INSTANCES_MAX)
            idle_since_us[measure.idle_count++] = instance->idle_since_us;
    }
    /* What makes all of them unready at once, a broker say, would make others unready, too. */
    if (unready > 0 && unready == measure.ready)
        measure.queued = 0;
    uint64_t now_us = fleet_now_us(fleet);
    means_measure(fleet, &policy, &measure, now_us);
    uint32_t wanted = autoscaler_step(&fleet->autoscaler, &policy, &measure, now_us);
    return (int64_t)wanted - measure.ready - measure.starting;
}

/* Starts or stops instances, as the autoscaler says, and comes back when a pause after a failed start is over. */
static void scale(struct fleet *fleet, bool start_failed)
{
    if (!takes_requests(fleet) || fleet->unpacks)
        return;
    int64_t missing = step(fleet, start_failed);
    while (missing > 0)
        missing = start_one(fleet) ? missing - 1 : step(fleet, true);
    if (missing < 0)
        stop_idle(fleet, (uint32_t)-missing);
    uint64_t pause_us = autoscaler_pause_left_us(&fleet->autoscaler, fleet_now_us(fleet));
    if (pause_us > 0)
        timer_start(fleet->loop, &fleet->pause, pause_us / fleet->time_scale + 1);
}

static void pause_over(struct timer *timer)
{
    scale(container_of(timer, struct fleet, pause), false);
}

/* CPU that the instances used since the last time, of their first processes. */
static void cpu_measure(struct fleet *fleet)
{
    uint64_t now = loop_now_us(fleet->loop), used = 0, cpu_us;
    struct err ignored;
    if (fleet->spec->scaling.cpu_target <= 0 || fleet->spec->scaling.is_kpa || now - fleet->cpu_us < CPU_EVERY_US)
        return;
    list_each (node, &fleet->instances) {
        struct instance *instance = instance_of(node);
        if (instance->program.state != PROGRAM_READY || !process_cpu_read(instance->program.pid, &cpu_us, &ignored))
            continue;
        if (instance->cpu_us != 0 && cpu_us > instance->cpu_us)
            used += cpu_us - instance->cpu_us;
        instance->cpu_us = cpu_us;
    }
    demand_note(&fleet->cpu, (uint32_t)(used * CPU_PARTS / (now - fleet->cpu_us)), fleet_now_us(fleet));
    fleet->cpu_us = now;
}

static void tick(struct timer *timer)
{
    struct fleet *fleet = container_of(timer, struct fleet, tick);
    uint64_t now = loop_now_us(fleet->loop), longest = queue_us_max(fleet);
    bool at_max = ready_count(fleet) >= fleet->spec->instances_max;
    list_each (node, &fleet->asks) {
        struct ask *ask = container_of(node, struct ask, queued);
        if (now - ask->since_us < longest)
            break;
        list_remove(&ask->queued);
        asks_add(fleet, -1);
        refuse(fleet, ask, at_max ? FLEET_MAX_INSTANCES : FLEET_COLD_START);
    }
    cpu_measure(fleet);
    list_each (node, &fleet->instances) {
        instance_check_ports(instance_of(node));
        instance_check_memory(instance_of(node));
        instance_check_readiness(instance_of(node));
        instance_check_volumes(instance_of(node));
    }
    serve_queue(fleet);
    scale(fleet, false);
    timer_start(fleet->loop, timer, LOOP_MS(FLEET_TICK_MS) / fleet->time_scale);
}

void fleet_init(struct fleet *fleet, struct programs *programs, const struct service_spec *spec,
                const struct command *command, const struct words *environment)
{
    *fleet = (struct fleet){
        .loop = programs->loop,
        .programs = programs,
        .spec = spec,
        .command = command,
        .environment = environment,
        .startup_ms_max = FLEET_STARTUP_MS_MAX,
        .time_scale = 1,
        .idle_ms = FLEET_IDLE_MS,
    };
    list_init(&fleet->instances);
    list_init(&fleet->asks);
    timer_init(&fleet->tick, tick);
    timer_init(&fleet->pause, pause_over);
    timer_init(&fleet->verdict, on_verdict);
}

void fleet_start(struct fleet *fleet)
{
    set_state(fleet, FLEET_SCALING);
    idle_begin(fleet);
    timer_start(fleet->loop, &fleet->tick, 0);
}

void fleet_prove(struct fleet *fleet)
{
    fleet->proving = true;
    fleet_start(fleet);
}

void fleet_unpacked(struct fleet *fleet)
{
    fleet->unpacks = false;
    scale(fleet, false);
}

void fleet_retire(struct fleet *fleet, bool retired)
{
    fleet->retired = retired;
    fleet_idle_changed(fleet);
}

void fleet_ask(struct fleet *fleet, struct ask *ask)
{
    struct instance *instance = fleet->ask_count == 0 ? choose(fleet, ask) : NULL;
    list_init(&ask->queued);
    ask->fleet = fleet;
    ask->since_us = loop_now_us(fleet->loop);
    if (!takes_requests(fleet)) {
        refuse(fleet, ask, FLEET_STOPPING);
    } else if (instance != NULL) {
        grant(fleet, ask, instance);
    } else if (fleet->ask_count >= FLEET_QUEUE_MAX) {
        refuse(fleet, ask, FLEET_QUEUE_FULL);
    } else {
        list_append(&fleet->asks, &ask->queued);
        asks_add(fleet, 1);
        scale(fleet, false);
    }
}

void fleet_forget(struct ask *ask)
{
    if (ask->queued.next == NULL || list_empty(&ask->queued))
        return;
    list_remove(&ask->queued);
    asks_add(ask->fleet, -1);
}

void fleet_slot_freed(struct fleet *fleet)
{
    serve_queue(fleet);
}

void fleet_instance_ready(struct fleet *fleet, struct instance *instance)
{
    fleet->startup_us_sum += instance->ready_us - instance->started_us;
    fleet->startup_count++;
    INSTANCE_EVENT(instance, LOG_INFO, "instance is ready", LOG_C("instance", instance->id),
                   LOG_N("ms", (instance->ready_us - instance->started_us) / 1000));
    if (fleet->proving)
        judge(fleet, NULL);
    serve_queue(fleet);
}

enum { HOW_BYTES = 64 };

static void end_print(char how[HOW_BYTES], struct child_end end)
{
    if (end.signal != 0)
        snprintf(how, HOW_BYTES, "signal %d (%s)", end.signal, strsignal(end.signal));
    else
        snprintf(how, HOW_BYTES, "exit status %d", end.exit_status);
}

/* What a start was waiting for. */
static const char *awaited(const struct instance *instance)
{
    return instance->unproved ? "its readiness probe succeeded" : "it listened on $PORT";
}

/* Why the first instance did not become ready: how it ended, and the last line that it wrote. */
static char *fault_of(const struct instance *instance, struct child_end end)
{
    char how[HOW_BYTES];
    uint32_t lines = instance->last_count;
    const char *last = lines > 0 ? instance->last[(lines - 1) % INSTANCE_LAST_LINES] : "";
    end_print(how, end);
    return mem_printf("its first instance ended before %s (%s)%s%s", awaited(instance), how,
                      lines > 0 ? "; its last output: " : "", last);
}

static void tell_end(const struct instance *instance, enum program_state before, struct child_end end)
{
    char how[HOW_BYTES];
    enum log_level level = before == PROGRAM_STOPPING ? LOG_INFO : LOG_ERROR;
    end_print(how, end);
    INSTANCE_EVENT(instance, level,
                   before != PROGRAM_STARTING ? "instance ended"
                   : instance->unproved       ? "the instance ended before its readiness probe succeeded"
                                              : "the instance ended before it listened on $PORT",
                   LOG_C("instance", instance->id), LOG_C("how", how), LOG_N("requests_open", instance->requests));
    uint32_t first = instance->last_count > INSTANCE_LAST_LINES ? instance->last_count - INSTANCE_LAST_LINES : 0;
    for (uint32_t i = first; before == PROGRAM_STARTING && i < instance->last_count; i++)
        log_event(LOG_ERROR, "its last output", LOG_C("line", instance->last[i % INSTANCE_LAST_LINES]));
}

static void closed(struct fleet *fleet)
{
    set_state(fleet, FLEET_CLOSED);
    account_end(&fleet->idle);
    fleet->stopped(fleet);
}

void fleet_instance_gone(struct fleet *fleet, struct instance *instance, enum program_state before,
                         struct child_end end)
{
    if (before == PROGRAM_STARTING && takes_requests(fleet) && instance_network_was_missing(instance)) {
        scale(fleet, false);
        return;
    }
    tell_end(instance, before, end);
    if (!takes_requests(fleet)) {
        if (list_empty(&fleet->instances))
            closed(fleet);
        return;
    }
    bool young = before == PROGRAM_READY && loop_now_us(fleet->loop) - instance->ready_us < LOOP_MS(FLEET_YOUNG_MS);
    if (before == PROGRAM_STARTING) {
        fleet->counters.crashed++;
        if (fleet->proving)
            judge(fleet, fault_of(instance, end));
        if (list_empty(&fleet->instances))
            refuse_all(fleet, FLEET_START_FAILED);
    }
    scale(fleet, before == PROGRAM_STARTING || young);
}

void fleet_stop(struct fleet *fleet)
{
    set_state(fleet, FLEET_CLOSING);
    timer_stop(fleet->loop, &fleet->tick);
    timer_stop(fleet->loop, &fleet->pause);
    timer_stop(fleet->loop, &fleet->verdict);
    refuse_all(fleet, FLEET_STOPPING);
    list_each (node, &fleet->instances) {
        instance_stop(instance_of(node));
    }
    if (list_empty(&fleet->instances))
        closed(fleet);
}

void fleet_kill(struct fleet *fleet)
{
    list_each (node, &fleet->instances) {
        program_kill(&instance_of(node)->program);
    }
}

void fleet_finish(struct fleet *fleet)
{
    if (fleet->loop == NULL)
        return;
    timer_stop(fleet->loop, &fleet->tick);
    timer_stop(fleet->loop, &fleet->pause);
    timer_stop(fleet->loop, &fleet->verdict);
    account_end(&fleet->idle);
    free(fleet->fault);
}

void fleet_line(struct fleet *fleet, const struct instance *instance, bool is_stderr, struct span line)
{
    struct buf out = {0};
    logbook_add_line(fleet->book, is_stderr ? LOG_OF_STDERR : LOG_OF_STDOUT, instance_origin(instance), line);
    if (fleet->text_log) {
        /* The number behind the revision's name tells them apart; the name itself is the same for all. */
        buf_printf(&out, "%s | ", instance->id);
        shown_append(&out, line, SIZE_MAX);
        buf_append_char(&out, '\n');
    } else if (line.len > 0 && line.data[0] == '{' && json_is_valid(line) &&
               json_object_get(line, SPAN_LIT("from")).data == NULL) {
        struct span rest = span_trim(span_from(line, 1));
        buf_printf(&out, "{\"from\":\"%s\"%s", instance->id, rest.data[0] == '}' ? "" : ",");
        shown_append_json_text(&out, rest);
        buf_append_char(&out, '\n');
    } else {
        /* The log cuts a long value; a program's output is passed on whole, in as many lines as it takes. */
        do {
            struct span piece = shown_cut(line, LOG_VALUE_BYTES_MAX);
            log_event(is_stderr ? LOG_WARNING : LOG_INFO, "output", LOG_C("instance", instance->id),
                      LOG_S("line", piece));
            line = span_from(line, piece.len > 0 ? piece.len : line.len);
        } while (line.len > 0);
    }
    fwrite(buf_span(&out).data, 1, out.len, stdout);
    fflush(stdout);
    buf_finish(&out);
}
