/* service: starts and stops the managed servers and the fleets in their order, and divides requests among revisions.
 * The moves of its state are a table. */
#include "platform/service.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"
#include "loop/process.h"
#include "platform/catalog.h"
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

struct revision *service_find(const struct service *service, const char *name)
{
    list_each (node, &service->revisions) {
        if (strcmp(revision_of(node)->spec.revision, name) == 0)
            return revision_of(node);
    }
    return NULL;
}

struct revision *service_latest_ready(const struct service *service)
{
    struct revision *latest = NULL;
    list_each (node, &service->revisions) {
        if (revision_of(node)->state == REVISION_READY)
            latest = revision_of(node);
    }
    return latest;
}

/* One that is gone leaves its share to the latest. */
static struct revision *target_find(const struct service *service, const struct traffic_target *target)
{
    struct revision *named = target->revision != NULL ? service_find(service, target->revision) : NULL;
    return named != NULL && named->state == REVISION_READY ? named : service_latest_ready(service);
}

/* Says each revision its share, and whether requests are to come. */
static void traffic_resolve(struct service *service)
{
    list_each (node, &service->revisions) {
        revision_of(node)->percent = 0;
        fleet_retire(&revision_of(node)->fleet, true);
    }
    for (size_t i = 0; i < service->traffic.count; i++) {
        const struct traffic_target *target = &service->traffic.list[i];
        struct revision *revision = target_find(service, target);
        if (revision == NULL)
            continue;
        revision->percent += target->percent;
        if (target->percent > 0 || target->tag != NULL)
            fleet_retire(&revision->fleet, false);
    }
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
    bill_init(&service->bill, programs->loop, options->time_scale);
    return service;
}

void service_destroy(struct service *service)
{
    list_remove(&service->of_route);
    list_each (node, &service->revisions) {
        list_remove(node);
        revision_destroy(revision_of(node));
    }
    bill_finish(&service->bill);
    logbook_finish(&service->book);
    managed_redis_finish(&service->redis);
    managed_postgres_finish(&service->postgres);
    traffic_finish(&service->traffic);
    traffic_finish(&service->awaited);
    free(service->document);
    free(service->name);
    free(service);
}

static void one_closed(struct service *service)
{
    if (--service->closing > 0)
        return;
    set_state(service, SERVICE_STOPPED);
    service->stopped(service);
}

static void redis_stopped(struct managed *managed)
{
    one_closed(container_of(managed, struct service, redis.managed));
}

static void postgres_stopped(struct managed *managed)
{
    one_closed(container_of(managed, struct service, postgres.managed));
}

static void one_drained(struct service *service)
{
    if (--service->draining > 0)
        return;
    set_state(service, SERVICE_CLOSING);
    bool has_redis = service->redis.managed.state != MANAGED_OFF;
    bool has_postgres = service->postgres.managed.state != MANAGED_OFF;
    service->closing = 1U + has_redis + has_postgres; /* 1: this function itself, so that the end comes once */
    if (has_redis) {
        log_event(LOG_INFO, "stopping redis");
        managed_redis_stop(&service->redis);
    }
    if (has_postgres) {
        log_event(LOG_INFO, "stopping postgres");
        managed_stop(&service->postgres.managed);
    }
    one_closed(service);
}

static void fleet_stopped(struct fleet *fleet)
{
    struct service *service = container_of(fleet, struct revision, fleet)->service;
    if (service->state == SERVICE_DRAINING) /* else it is a revision's that failed */
        one_drained(service);
}

static void run(struct service *service)
{
    set_state(service, SERVICE_RUNNING);
    list_each (node, &service->revisions) {
        struct revision *revision = revision_of(node);
        if (revision->state == REVISION_PROVING)
            revision_start(revision, true);
        else if (revision->state == REVISION_READY)
            revision_start(revision, false);
    }
}

static bool serves(const struct managed *managed)
{
    return managed->state == MANAGED_OFF || managed->state == MANAGED_READY;
}

/* They serve again after a restart, too. */
static void run_if_served(struct service *service)
{
    if (service->state == SERVICE_STARTING && serves(&service->redis.managed) && serves(&service->postgres.managed))
        run(service);
}

static void redis_ready(struct managed *managed)
{
    run_if_served(container_of(managed, struct service, redis.managed));
}

static void postgres_ready(struct managed *managed)
{
    run_if_served(container_of(managed, struct service, postgres.managed));
}

static void changed(struct service *service)
{
    if (service->changed != NULL)
        service->changed(service);
}

void service_traffic_set(struct service *service, const struct traffic *traffic)
{
    traffic_copy(&service->traffic, traffic);
    traffic_resolve(service);
    changed(service);
}

static void deployment_failed(struct service *service, const char *fault)
{
    struct revision *revision = service->deploying;
    bool has_other = service_latest_ready(service) != NULL;
    service->deploying = NULL;
    revision_set_state(revision, REVISION_FAILED, fault);
    LOGBOOK_EVENT(&service->book, ((struct log_origin){.revision = revision->spec.revision}), LOG_ERROR,
                  has_other ? "the deployment failed: all requests stay where they are"
                            : "the deployment failed, and the service has no other revision",
                  LOG_C("service", service->name), LOG_C("revision", revision->spec.revision), LOG_C("why", fault));
    if (has_other && revision->fleet.state != FLEET_OPEN)
        fleet_stop(&revision->fleet);
    changed(service);
}

static void deployment_done(struct service *service)
{
    struct revision *revision = service->deploying;
    service->deploying = NULL;
    revision_set_state(revision, REVISION_READY, NULL);
    service_traffic_set(service, &service->awaited);
    LOGBOOK_EVENT(&service->book, ((struct log_origin){.revision = revision->spec.revision}), LOG_NOTICE, "deployed",
                  LOG_C("service", service->name), LOG_C("revision", revision->spec.revision),
                  LOG_N("percent", revision->percent));
}

static void proved(struct fleet *fleet, const char *fault)
{
    struct revision *revision = container_of(fleet, struct revision, fleet);
    struct service *service = revision->service;
    if (service->deploying != revision)
        return;
    if (fault != NULL)
        deployment_failed(service, fault);
    else
        deployment_done(service);
}

/* Nothing refers to it: no request, no instance, no traffic. */
static bool is_disposable(const struct service *service, const struct revision *revision)
{
    const struct fleet *fleet = &revision->fleet;
    return revision != service->deploying && fleet->retired && list_empty(&fleet->instances) && fleet->open == 0 &&
           fleet->ask_count == 0;
}

static void oldest_drop(struct service *service)
{
    uint32_t count = 0;
    list_each (node, &service->revisions) {
        count++;
    }
    list_each (node, &service->revisions) {
        if (count < SERVICE_REVISIONS_MAX)
            return;
        if (!is_disposable(service, revision_of(node)))
            continue;
        list_remove(node);
        revision_destroy(revision_of(node));
        count--;
    }
}

/* Redis comes first: with both, it is the broker. */
static void managed_give(struct service *service, struct revision *revision)
{
    if (service->redis.managed.state != MANAGED_OFF) {
        managed_redis_tell(&service->redis, &revision->environment);
        revision->fleet.redis = &service->redis.port;
    }
    if (service->postgres.managed.state != MANAGED_OFF)
        managed_postgres_tell(&service->postgres, &revision->environment);
}

void service_deploy(struct service *service, struct revision *revision, const struct traffic *traffic)
{
    if (service->deploying != NULL)
        deployment_failed(service, "a newer revision was deployed before it was ready");
    oldest_drop(service);
    if (service->name == NULL)
        service->name = mem_text(span_str(revision->spec.name));
    managed_give(service, revision);
    service->deploying = revision;
    traffic_copy(&service->awaited, traffic);
    revision->fleet.stopped = fleet_stopped;
    revision->fleet.proved = proved;
    revision_set_state(revision, REVISION_PROVING, NULL);
    list_append(&service->revisions, &revision->of_service);
    LOGBOOK_EVENT(&service->book, ((struct log_origin){.revision = revision->spec.revision}), LOG_INFO, "deploying",
                  LOG_C("service", service->name), LOG_C("revision", revision->spec.revision));
    if (service->state == SERVICE_RUNNING)
        revision_start(revision, true);
    changed(service);
}

void service_add(struct service *service, struct revision *revision, const char *fault)
{
    if (service->name == NULL)
        service->name = mem_text(span_str(revision->spec.name));
    revision_set_state(revision, fault != NULL ? REVISION_PROVING : REVISION_READY, NULL);
    if (fault != NULL)
        revision_set_state(revision, REVISION_FAILED, fault);
    revision->fleet.stopped = fleet_stopped;
    list_append(&service->revisions, &revision->of_service);
    if (service->traffic.count == 0)
        traffic_add(&service->traffic, SPAN_LIT(""), SPAN_LIT(""), TRAFFIC_PERCENT);
    traffic_resolve(service);
}

bool service_roll_back(struct service *service, const char *name, struct err *err)
{
    struct revision *to = name != NULL ? service_find(service, name) : NULL, *most = NULL;
    struct traffic traffic = {0};
    if (name != NULL && (to == NULL || to->state != REVISION_READY))
        return err_set(err, "%s: no revision of that name is ready", name);
    list_each (node, &service->revisions) {
        if (most == NULL || revision_of(node)->percent > most->percent)
            most = revision_of(node);
    }
    list_each (node, &service->revisions) {
        if (name != NULL || revision_of(node) == most)
            break;
        if (revision_of(node)->state == REVISION_READY)
            to = revision_of(node);
    }
    if (to == NULL)
        return err_set(err, "%s has no ready revision before %s", service->name, most->spec.revision);
    traffic_copy(&traffic, &service->traffic);
    char *share = mem_printf("%s=%d", to->spec.revision, TRAFFIC_PERCENT);
    bool ok = traffic_shares_set(&traffic, span_str(share), err);
    if (ok)
        service_traffic_set(service, &traffic);
    free(share);
    traffic_finish(&traffic);
    return ok;
}

bool service_traffic_check(const struct service *service, const struct traffic *traffic, const char *coming,
                           struct err *err)
{
    for (size_t i = 0; i < traffic->count; i++) {
        const char *name = traffic->list[i].revision;
        const struct revision *revision = name != NULL ? service_find(service, name) : NULL;
        if (name == NULL || (coming != NULL && strcmp(name, coming) == 0))
            continue;
        if (revision == NULL)
            return err_set(err, "%s has no revision %s: `sennit revisions` lists those that it has",
                           service->name != NULL ? service->name : "the service", name);
        if (revision->state != REVISION_READY)
            return err_set(err, "the revision %s is not ready, and can have no traffic", name);
    }
    return true;
}

char *service_name_next(struct service *service)
{
    for (;;) {
        char *name = mem_printf("%s-%05u", service->name, ++service->number);
        if (service_find(service, name) == NULL)
            return name;
        free(name);
    }
}

/* No other user can enter root's home, and Postgres does not run as root. */
static char *state_home(bool of_postgres)
{
    return of_postgres && process_is_root() ? mem_text(SPAN_LIT("/var/lib/sennit")) : process_state_home();
}

/* Of the managed server `name`. */
static char *state_directory(const struct service *service, const char *name, bool of_postgres)
{
    const char *given = service->options->state_dir;
    if (given != NULL && service->is_first)
        return mem_printf("%s/%s", given, name);
    char *home = given == NULL ? state_home(of_postgres) : NULL;
    char *directory = mem_printf("%s/%s/%s", given != NULL ? given : home, service->name, name);
    free(home);
    return directory;
}

static bool redis_start(struct service *service, struct err *err)
{
    const struct service_spec *spec = &service_latest(service)->spec;
    char *directory = state_directory(service, "redis", false);
    service->redis.managed.ready = redis_ready;
    service->redis.managed.stopped = redis_stopped;
    const struct managed_redis_options options = {.directory = directory,
                                                  .restart_delay_ms = spec->redis_restart_delay_ms,
                                                  .memory_bytes_max = spec->redis_memory_bytes_max};
    bool ok = managed_redis_start(&service->redis, service->programs, &options, err);
    free(directory);
    return ok;
}

static bool postgres_start(struct service *service, struct err *err)
{
    char *directory = state_directory(service, "postgres", true);
    service->postgres.managed.ready = postgres_ready;
    service->postgres.managed.stopped = postgres_stopped;
    bool ok = managed_postgres_start(&service->postgres, service->programs, directory, service->name, err);
    free(directory);
    return ok;
}

bool service_start(struct service *service, struct err *err)
{
    const struct service_spec *spec = &service_latest(service)->spec;
    if ((spec->redis && !redis_start(service, err)) || (spec->postgres && !postgres_start(service, err)))
        return false;
    list_each (node, &service->revisions) {
        managed_give(service, revision_of(node));
    }
    set_state(service, SERVICE_STARTING);
    service->bill.service = service->name;
    bill_start(&service->bill);
    if (service->owner != NULL)
        logbook_open(&service->book, &service->owner->books, service->name);
    run_if_served(service);
    return true;
}

void service_stop(struct service *service)
{
    set_state(service, SERVICE_DRAINING);
    service->draining = 1; /* this function itself, so that the end comes once */
    list_each (node, &service->revisions) {
        service->draining += revision_of(node)->fleet.state != FLEET_CLOSED;
    }
    list_each (node, &service->revisions) {
        if (revision_of(node)->fleet.state == FLEET_OPEN || revision_of(node)->fleet.state == FLEET_SCALING)
            fleet_stop(&revision_of(node)->fleet);
    }
    one_drained(service);
}

void service_kill(struct service *service)
{
    list_each (node, &service->revisions) {
        fleet_kill(&revision_of(node)->fleet);
    }
    managed_kill(&service->redis.managed);
    managed_kill(&service->postgres.managed);
}

struct revision *service_tagged(const struct service *service, struct span tag)
{
    const struct traffic_target *target = traffic_tagged(&service->traffic, tag);
    return target != NULL ? target_find(service, target) : NULL;
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
