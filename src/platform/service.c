/* service: starts and stops the managed Redis and the fleets in their order, and divides requests among revisions. The
 * moves of its state are a table. */
#include "platform/service.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"
#include "platform/environment.h"

#define SERVICE_MOVES(MOVE) \
    MOVE(SERVICE_LOADED, SERVICE_STARTING) \
    MOVE(SERVICE_STARTING, SERVICE_RUNNING) \
    MOVE(SERVICE_STARTING, SERVICE_DRAINING) \
    MOVE(SERVICE_RUNNING, SERVICE_DRAINING) \
    MOVE(SERVICE_DRAINING, SERVICE_CLOSING) \
    MOVE(SERVICE_CLOSING, SERVICE_STOPPED)

/* The only function that changes a service's state. service.h has the picture. */
static void set_state(struct service *service, enum service_state state)
{
    static const bool legal[SERVICE_STATES][SERVICE_STATES] = {SERVICE_MOVES(MOVE_LEGAL)};
    assert(legal[service->state][state]);
    service->state = (uint8_t)state;
}

static struct revision *revision_of(struct list *node)
{
    return container_of(node, struct revision, of_service);
}

struct service *service_create(struct programs *programs, const struct up_options *options,
                               void (*stopped)(struct service *service))
{
    struct service *service = mem_zero(1, sizeof *service);
    service->programs = programs;
    service->options = options;
    service->stopped = stopped;
    list_init(&service->of_route);
    list_init(&service->revisions);
    return service;
}

void service_destroy(struct service *service)
{
    list_remove(&service->of_route);
    list_each (node, &service->revisions) {
        list_remove(node);
        revision_destroy(revision_of(node));
    }
    managed_redis_finish(&service->redis);
    free(service->name);
    free(service);
}

static void stopped(struct service *service)
{
    set_state(service, SERVICE_STOPPED);
    service->stopped(service);
}

static void redis_stopped(struct managed_redis *redis)
{
    stopped(container_of(redis, struct service, redis));
}

static void fleet_stopped(struct fleet *fleet)
{
    struct service *service = container_of(fleet, struct revision, fleet)->service;
    if (--service->draining > 0)
        return;
    set_state(service, SERVICE_CLOSING);
    if (service->redis.state == MANAGED_REDIS_OFF) {
        stopped(service);
        return;
    }
    log_event(LOG_INFO, "stopping redis");
    managed_redis_stop(&service->redis);
}

static void run(struct service *service)
{
    set_state(service, SERVICE_RUNNING);
    list_each (node, &service->revisions) {
        fleet_start(&revision_of(node)->fleet);
    }
}

/* It answers again after a restart, too. */
static void redis_ready(struct managed_redis *redis)
{
    struct service *service = container_of(redis, struct service, redis);
    if (service->state == SERVICE_STARTING)
        run(service);
}

struct revision *service_add(struct service *service, struct service_spec *spec)
{
    struct revision *revision = revision_create(service, spec, service->programs, service->options);
    if (service->name == NULL)
        service->name = mem_text(span_str(revision->spec.name));
    list_each (node, &service->revisions) {
        revision_of(node)->percent = 0;
    }
    revision->percent = SERVICE_PERCENT;
    revision->fleet.stopped = fleet_stopped;
    list_append(&service->revisions, &revision->of_service);
    return revision;
}

bool service_prepare(struct service *service, struct err *err)
{
    list_each (node, &service->revisions) {
        if (!revision_prepare(revision_of(node), service->options, err))
            return false;
    }
    return true;
}

static char *state_directory(const struct service *service)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (service->options->state_dir != NULL)
        return mem_printf("%s/redis", service->options->state_dir);
    if (state != NULL && state[0] == '/')
        return mem_printf("%s/sennit/%s/redis", state, service->name);
    return mem_printf("%s/.local/state/sennit/%s/redis", home != NULL ? home : "/tmp", service->name);
}

static bool redis_start(struct service *service, struct err *err)
{
    const struct service_spec *spec = &service_latest(service)->spec;
    char *directory = state_directory(service);
    service->redis.ready = redis_ready;
    service->redis.stopped = redis_stopped;
    const struct managed_redis_options options = {.directory = directory,
                                                  .restart_delay_ms = spec->redis_restart_delay_ms,
                                                  .memory_bytes_max = spec->redis_memory_bytes_max};
    bool ok = managed_redis_start(&service->redis, service->programs, &options, err);
    free(directory);
    list_each (node, &service->revisions) {
        if (ok)
            environment_set(&revision_of(node)->environment, mem_printf("REDIS_URL=%s", service->redis.url));
    }
    return ok;
}

bool service_start(struct service *service, struct err *err)
{
    bool has_redis = service_latest(service)->spec.redis;
    if (has_redis && !redis_start(service, err))
        return false;
    set_state(service, SERVICE_STARTING);
    if (!has_redis)
        run(service);
    return true;
}

void service_stop(struct service *service)
{
    set_state(service, SERVICE_DRAINING);
    list_each (node, &service->revisions) {
        service->draining++;
    }
    list_each (node, &service->revisions) {
        fleet_stop(&revision_of(node)->fleet);
    }
}

void service_kill(struct service *service)
{
    list_each (node, &service->revisions) {
        fleet_kill(&revision_of(node)->fleet);
    }
    managed_redis_kill(&service->redis);
}

struct revision *service_revision(const struct service *service, uint32_t draw)
{
    assert(draw < SERVICE_PERCENT);
    list_each (node, &service->revisions) {
        struct revision *revision = revision_of(node);
        if (draw < revision->percent)
            return revision;
        draw -= revision->percent;
    }
    return service_latest(service);
}

struct revision *service_latest(const struct service *service)
{
    assert(!list_empty(&service->revisions));
    return revision_of(service->revisions.prev);
}

uint64_t service_instances_max(const struct service *service)
{
    uint64_t count = 0;
    list_each (node, &service->revisions) {
        count += revision_of(node)->spec.instances_max;
    }
    return count;
}
