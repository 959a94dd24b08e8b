/* instance: starts the process, probes its port, keeps its last lines of output, and stops it. */
#include "platform/instance.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/listener.h"
#include "platform/environment.h"
#include "platform/fleet.h"

static void set_state(struct instance *instance, enum instance_state state)
{
    static const uint8_t legal[] = {
        [INSTANCE_STARTING] = 1 << INSTANCE_READY | 1 << INSTANCE_DRAINING | 1 << INSTANCE_GONE,
        [INSTANCE_READY] = 1 << INSTANCE_DRAINING | 1 << INSTANCE_GONE,
        [INSTANCE_DRAINING] = 1 << INSTANCE_GONE,
        [INSTANCE_GONE] = 0,
    };
    assert(legal[instance->state] & 1 << state);
    instance->state = (uint8_t)state;
}

static void probe_connect(struct timer *timer)
{
    struct instance *instance = container_of(timer, struct instance, probe_timer);
    struct addr addr;
    if (instance->state != INSTANCE_STARTING || instance->probing)
        return;
    addr_loopback(&addr, instance->port);
    instance->probing = true;
    conn_connect(&instance->probe, &addr);
}

static void probe_opened(struct conn *conn)
{
    struct instance *instance = container_of(conn, struct instance, probe);
    conn_close(conn, CLOSE_DONE);
    if (instance->state != INSTANCE_STARTING)
        return;
    set_state(instance, INSTANCE_READY);
    timer_stop(instance->fleet->loop, &instance->deadline);
    instance->ready_us = instance->idle_since_us = loop_now_us(instance->fleet->loop);
    fleet_instance_ready(instance->fleet, instance);
}

static size_t probe_received(struct conn *conn, char *bytes, size_t len)
{
    return len;
}

static void destroy_if_unused(struct instance *instance);

static void probe_closed(struct conn *conn, enum close_reason reason)
{
    struct instance *instance = container_of(conn, struct instance, probe);
    instance->probing = false;
    if (instance->state == INSTANCE_GONE)
        destroy_if_unused(instance);
    else if (instance->state == INSTANCE_STARTING)
        timer_start(instance->fleet->loop, &instance->probe_timer, LOOP_MS(INSTANCE_PROBE_MS));
}

static const struct conn_events probe_events = {
    .opened = probe_opened, .received = probe_received, .closed = probe_closed};
static const struct conn_limits probe_limits = {.queue_bytes_max = 1, .input_bytes_max = 1};

static void line_received(struct child *child, bool is_stderr, struct span line)
{
    struct instance *instance = container_of(child, struct instance, child);
    char **slot = &instance->last[instance->last_count++ % INSTANCE_LAST_LINES];
    free(*slot);
    *slot = mem_text(span_sub(line, 0, 400));
    fleet_line(instance->fleet, instance, is_stderr, line);
}

static void instance_destroy(struct instance *instance)
{
    for (int i = 0; i < INSTANCE_LAST_LINES; i++)
        free(instance->last[i]);
    free(instance->id);
    free(instance);
}

/* Requests that it held may still be ending. */
static void destroy_if_unused(struct instance *instance)
{
    if (instance->state == INSTANCE_GONE && !instance->probing && instance->requests == 0)
        instance_destroy(instance);
}

static void ended(struct child *child, struct child_end end)
{
    struct instance *instance = container_of(child, struct instance, child);
    struct fleet *fleet = instance->fleet;
    enum instance_state before = (enum instance_state)instance->state;
    timer_stop(fleet->loop, &instance->deadline);
    timer_stop(fleet->loop, &instance->probe_timer);
    set_state(instance, INSTANCE_GONE);
    list_remove(&instance->of_fleet);
    fleet_instance_gone(fleet, instance, before, end);
    conn_close(&instance->probe, CLOSE_DONE);
    destroy_if_unused(instance);
}

static void deadline_passed(struct timer *timer)
{
    struct instance *instance = container_of(timer, struct instance, deadline);
    if (instance->state == INSTANCE_STARTING)
        log_event(LOG_ERROR, "the instance does not listen; it must listen on 0.0.0.0:$PORT",
                  LOG_C("instance", instance->id), LOG_N("PORT", instance->port));
    instance_kill(instance);
}

/* Those that are starting do not listen yet. */
static bool port_is_taken(const struct fleet *fleet, uint16_t port)
{
    list_each (node, &fleet->instances) {
        if (container_of(node, struct instance, of_fleet)->port == port)
            return true;
    }
    return false;
}

static bool port_try(struct fleet *fleet, uint16_t *port, struct err *err)
{
    struct io io;
    struct addr addr;
    addr_loopback(&addr, 0);
    io_init(&io, fleet->loop, NULL);
    if (!io_listen(&io, &addr, err))
        return false;
    io_local(&io, &addr);
    *port = addr_port(&addr);
    io_close(&io, false);
    return true;
}

/* A free port. Another program may take it before the instance does; then the instance ends and another is started. */
static bool port_find(struct fleet *fleet, uint16_t *port, struct err *err)
{
    enum { TRIES = 1000 };
    for (int i = 0; i < TRIES; i++) {
        if (!port_try(fleet, port, err))
            return false;
        if (!port_is_taken(fleet, *port))
            return true;
    }
    return err_set(err, "no free port was found");
}

static void environment_make(struct words *env, const struct instance *instance)
{
    const struct fleet *fleet = instance->fleet;
    const struct service_spec *spec = fleet->spec;
    for (size_t i = 0; i < fleet->environment->count; i++)
        words_add(env, mem_text(span_str(fleet->environment->list[i])));
    environment_set(env, mem_printf("PORT=%u", instance->port));
    environment_set(env, mem_printf("K_SERVICE=%s", spec->name));
    environment_set(env, mem_printf("K_REVISION=%s", spec->revision));
    environment_set(env, mem_printf("K_CONFIGURATION=%s", spec->name));
    environment_set(env, mem_printf("SENNIT_INSTANCE=%s", instance->id));
    environment_set(env, mem_printf("SENNIT_REQUEST_TIMEOUT_SECONDS=%u", spec->timeout_s));
    if (fleet->text_log)
        environment_set(env, mem_text(SPAN_LIT("SENNIT_LOG_FORMAT=text")));
}

struct instance *instance_start(struct fleet *fleet, struct err *err)
{
    struct instance *instance = mem_zero(1, sizeof *instance);
    struct words env = {0};
    instance->fleet = fleet;
    instance->id = mem_printf("%s-%u", fleet->spec->revision, ++fleet->started);
    instance->started_us = loop_now_us(fleet->loop);
    instance->started_ms = loop_wall_ms(fleet->loop);
    timer_init(&instance->probe_timer, probe_connect);
    timer_init(&instance->deadline, deadline_passed);
    list_init(&instance->of_fleet);
    bool ok = port_find(fleet, &instance->port, err);
    if (ok) {
        environment_make(&env, instance);
        struct child_spec spec = {
            .argv = (const char *const *)fleet->command->argv.list,
            .env = (const char *const *)env.list,
            .directory = fleet->command->directory,
        };
        ok = child_start(&instance->child, fleet->loop, &spec, line_received, ended, err);
        words_finish(&env);
    }
    if (!ok) {
        instance_destroy(instance);
        return NULL;
    }
    instance->pid = instance->child.pid;
    list_append(&fleet->instances, &instance->of_fleet);
    conn_init(&instance->probe, fleet->net, &probe_events, &probe_limits);
    timer_start(fleet->loop, &instance->probe_timer, LOOP_MS(INSTANCE_PROBE_MS));
    timer_start(fleet->loop, &instance->deadline, LOOP_MS(fleet->startup_ms_max));
    return instance;
}

void instance_stop(struct instance *instance)
{
    if (instance->state == INSTANCE_DRAINING || instance->state == INSTANCE_GONE)
        return;
    set_state(instance, INSTANCE_DRAINING);
    child_signal(&instance->child, SIGTERM);
    timer_start(instance->fleet->loop, &instance->deadline, LOOP_MS(INSTANCE_STOP_MS));
}

void instance_kill(struct instance *instance)
{
    child_signal_group(&instance->child, SIGKILL);
}

void instance_hold(struct instance *instance)
{
    instance->requests++;
}

void instance_release(struct instance *instance)
{
    struct fleet *fleet = instance->fleet;
    assert(instance->requests > 0);
    if (--instance->requests == 0)
        instance->idle_since_us = loop_now_us(fleet->loop);
    destroy_if_unused(instance);
    fleet_slot_freed(fleet);
}
