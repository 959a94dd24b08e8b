/* catalog: plans what a text asks for, service by service, and carries all of it out or nothing. */
#include "platform/catalog.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/private.h"
#include "loop/process.h"
#include "platform/revision.h"

enum { STATE_BYTES_MAX = 64 << 20, STATE_AGAIN_MS = 1000 };

/* The task for one service. */
struct plan {
    struct service *service;
    struct revision *revision; /* to be deployed; NULL: none, it has one with this template */
    struct traffic traffic;
    bool is_new; /* the service is not in the route yet */
};

static struct service *service_of(struct list *node)
{
    return container_of(node, struct service, of_route);
}

const char *catalog_scheme(const struct catalog *catalog)
{
    return catalog->options->tls || catalog->options->tls_cert != NULL ? "https" : "http";
}

char *catalog_directory(const char *state_dir)
{
    char *home = state_dir == NULL ? process_state_home() : NULL;
    char *directory = mem_printf("%s/control", state_dir != NULL ? state_dir : home);
    free(home);
    return directory;
}

static void on_late(struct timer *timer);

void catalog_init(struct catalog *catalog, struct programs *programs, const struct up_options *options)
{
    *catalog = (struct catalog){.programs = programs, .options = options, .lock = {.fd = -1}};
    route_init(&catalog->route);
    timer_init(&catalog->late, on_late);
    logbooks_init(&catalog->books, programs->loop);
}

void catalog_close(struct catalog *catalog)
{
    list_each (node, &catalog->route.services) {
        managed_redis_close(&service_of(node)->redis);
    }
}

void catalog_finish(struct catalog *catalog)
{
    if (catalog->programs != NULL)
        timer_stop(catalog->programs->loop, &catalog->late);
    list_each (node, &catalog->route.services) {
        service_destroy(service_of(node));
    }
    specs_finish(&catalog->specs);
    catalog->books.file = NULL;
    logfile_close(&catalog->logs);
    ledger_close(&catalog->ledger);
    file_lock_drop(&catalog->lock);
    free(catalog->directory);
}

static bool read_all(const struct catalog *catalog, struct specs *specs, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < catalog->options->path_count; i++)
        ok = specs_read(specs, catalog->options->paths[i], catalog->options->may_be_empty, err);
    return ok;
}

bool catalog_read(struct catalog *catalog, struct err *err)
{
    return read_all(catalog, &catalog->specs, err);
}

struct buf catalog_paths(const struct catalog *catalog)
{
    struct buf text = {0};
    for (size_t i = 0; i < catalog->options->path_count; i++) {
        buf_append(&text, i > 0 ? SPAN_LIT(", ") : SPAN_LIT(""));
        buf_append(&text, span_str(catalog->options->paths[i]));
    }
    return text;
}

uint64_t catalog_instances_max(const struct catalog *catalog)
{
    uint64_t count = 0;
    for (size_t i = 0; list_empty(&catalog->route.services) && i < catalog->specs.count; i++)
        count += catalog->specs.list[i].instances_max;
    list_each (node, &catalog->route.services) {
        list_each (inner, &service_of(node)->revisions) {
            const struct revision *revision = container_of(inner, struct revision, of_service);
            if (!revision->fleet.retired || !list_empty(&revision->fleet.instances))
                count += revision->spec.instances_max;
        }
    }
    return count;
}

static struct catalog *catalog_of(const struct service *service)
{
    return service->owner;
}

static void service_stopped(struct service *service)
{
    struct catalog *catalog = catalog_of(service);
    if (--catalog->running == 0)
        catalog->stopped(catalog);
}

static bool state_write(const struct catalog *catalog, struct err *err)
{
    struct buf json = {0};
    char *path = mem_printf("%s/state.json", catalog->directory);
    catalog_state_encode(&json, catalog);
    bool ok = file_replace(path, buf_span(&json), err);
    buf_finish(&json);
    free(path);
    return ok;
}

/* Writes the state folder. What cannot be written is told, and tried again each second; all goes on. */
static void keep(struct catalog *catalog)
{
    struct err err;
    if (catalog->changed != NULL && !catalog->stopping)
        catalog->changed(catalog);
    if (catalog->directory == NULL || catalog->stopping || timer_running(&catalog->late) || state_write(catalog, &err))
        return;
    log_event(LOG_ERROR,
              "the state cannot be kept, and is tried again each second: make room on the disk, or services and "
              "revisions may be lost with this process",
              LOG_C("error", err.text));
    timer_start(catalog->programs->loop, &catalog->late, LOOP_MS(STATE_AGAIN_MS));
}

static void on_late(struct timer *timer)
{
    struct catalog *catalog = container_of(timer, struct catalog, late);
    struct err ignored;
    if (state_write(catalog, &ignored))
        log_event(LOG_INFO, "the state is kept again");
    else
        timer_start(catalog->programs->loop, timer, LOOP_MS(STATE_AGAIN_MS));
}

static void service_changed(struct service *service)
{
    keep(catalog_of(service));
}

struct service *catalog_service(struct catalog *catalog)
{
    struct service *service = service_create(catalog->programs, catalog->options, service_stopped);
    service->owner = catalog;
    service->bill.ledger = &catalog->ledger;
    service->changed = service_changed;
    service->is_first = list_empty(&catalog->route.services);
    return service;
}

/* Drops what was planned and not carried out. */
static void plan_finish(struct plan *plan)
{
    if (plan->revision != NULL)
        revision_destroy(plan->revision);
    if (plan->is_new && plan->service != NULL)
        service_destroy(plan->service);
    traffic_finish(&plan->traffic);
}

/* The revision that has this template already; NULL: none, or the last try failed. */
static struct revision *same_find(struct service *service, const struct service_spec *spec)
{
    struct revision *before = spec->revision_given              ? service_find(service, spec->revision)
                              : list_empty(&service->revisions) ? NULL
                                                                : service_latest(service);
    bool is_same = before != NULL && before->state != REVISION_FAILED &&
                   span_equal(buf_span(&before->spec.shape), buf_span(&spec->shape));
    return is_same ? before : NULL;
}

static bool revision_plan(struct plan *plan, struct catalog *catalog, struct service_spec *spec, struct err *err)
{
    struct service *service = plan->service;
    revision_shape_complete(spec, catalog->options);
    if (same_find(service, spec) != NULL)
        return true;
    if (spec->revision_given && service_find(service, spec->revision) != NULL)
        return err_set(err,
                       "%s: the revision %s exists, and a revision never changes: give the new one another name, or "
                       "leave out spec.template.metadata.name",
                       spec->path, spec->revision);
    if (service->state == SERVICE_RUNNING && ((spec->redis && service->redis.managed.state == MANAGED_OFF) ||
                                              (spec->postgres && service->postgres.managed.state == MANAGED_OFF)))
        return err_set(err, "%s: a managed %s starts with its service: stop sennit up, and start it again", spec->path,
                       spec->redis && service->redis.managed.state == MANAGED_OFF ? "Redis" : "Postgres");
    if (!spec->revision_given && !plan->is_new) {
        free(spec->revision);
        spec->revision = service_name_next(service);
    }
    plan->revision = revision_create(service, spec, catalog->programs, catalog->options);
    return revision_prepare(plan->revision, catalog->options, err);
}

/* Takes what it needs out of `spec`. False with `err` set, and nothing is changed. */
static bool plan_make(struct plan *plan, struct catalog *catalog, struct service_spec *spec, bool at_start,
                      struct err *err)
{
    struct service *found = route_find(&catalog->route, span_str(spec->name));
    plan->is_new = found == NULL;
    plan->service = found != NULL ? found : catalog_service(catalog);
    if (found != NULL && found->state != (at_start ? SERVICE_LOADED : SERVICE_RUNNING))
        return err_set(err, "the service %s is still starting, or stops: come back later", spec->name);
    traffic_copy(&plan->traffic, &spec->traffic);
    if (plan->traffic.count == 0)
        traffic_add(&plan->traffic, SPAN_LIT(""), SPAN_LIT(""), TRAFFIC_PERCENT);
    if (!revision_plan(plan, catalog, spec, err))
        return false;
    const char *coming = plan->revision != NULL ? plan->revision->spec.revision : NULL;
    struct err unknown;
    if (service_traffic_check(plan->service, &plan->traffic, coming, &unknown))
        return true;
    if (!at_start)
        return err_set(err, "%s", unknown.text);
    log_event(LOG_WARNING, "traffic for a revision that is not here goes to the latest one",
              LOG_C("why", unknown.text));
    return true;
}

static bool traffic_is_equal(const struct traffic *a, const struct traffic *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++) {
        const struct traffic_target *left = &a->list[i], *right = &b->list[i];
        if (left->percent != right->percent || !span_equal(span_str(left->revision), span_str(right->revision)) ||
            !span_equal(span_str(left->tag), span_str(right->tag)))
            return false;
    }
    return a->count == b->count;
}

/* A new service has nothing to fall back to while it starts, so requests wait for it. */
static bool plan_carry_out(struct plan *plan, struct catalog *catalog, bool at_start, struct err *err)
{
    struct service *service = plan->service;
    struct revision *revision = plan->revision;
    plan->revision = NULL;
    if (at_start && plan->is_new) {
        service_add(service, revision, NULL);
        service_traffic_set(service, &plan->traffic);
    } else if (revision != NULL) {
        service_deploy(service, revision, &plan->traffic);
    } else if (!traffic_is_equal(&service->traffic, &plan->traffic)) {
        service_traffic_set(service, &plan->traffic);
    }
    if (!plan->is_new)
        return true;
    if (!at_start && !service_start(service, err))
        return false;
    plan->is_new = false;
    catalog->running += !at_start;
    route_add(&catalog->route, service);
    return true;
}

static bool count_check(const struct catalog *catalog, const struct specs *specs, struct err *err)
{
    size_t count = 0;
    list_each (node, &catalog->route.services) {
        count++;
    }
    return count + specs->count <= SPECS_MAX || err_set(err, "more than %d services", SPECS_MAX);
}

/* `is_file`: they are those of the operator's file. */
static bool specs_take(struct catalog *catalog, struct specs *specs, bool at_start, bool is_file, struct err *err)
{
    struct plan *plans = mem_zero(specs->count, sizeof *plans);
    char **documents = mem_zero(specs->count, sizeof *documents);
    bool ok = count_check(catalog, specs, err);
    for (size_t i = 0; ok && i < specs->count; i++) {
        struct service *known = route_find(&catalog->route, span_str(specs->list[i].name));
        documents[i] = mem_text(buf_span(&specs->list[i].document));
        if (is_file && known != NULL && known->document != NULL && strcmp(known->document, documents[i]) == 0)
            continue;
        ok = plan_make(&plans[i], catalog, &specs->list[i], at_start, err);
    }
    for (size_t i = 0; ok && i < specs->count; i++) {
        if (plans[i].service == NULL)
            continue;
        plans[i].service->is_first =
            plans[i].service->is_first && (!plans[i].is_new || list_empty(&catalog->route.services));
        if (is_file) {
            free(plans[i].service->document);
            plans[i].service->document = documents[i];
            documents[i] = NULL;
        }
        ok = plan_carry_out(&plans[i], catalog, at_start, err);
    }
    for (size_t i = 0; i < specs->count; i++) {
        plan_finish(&plans[i]);
        free(documents[i]);
    }
    free(plans);
    free(documents);
    keep(catalog);
    return ok;
}

/* The file is in the folder that the operator has named. */
static bool is_inside(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return file_is_directory(directory) && strncmp(path, directory, len) == 0 && path[len] == '/' &&
           strchr(path + len + 1, '/') == NULL;
}

/* It is there, and one of those of the options, or in a folder of theirs. */
static bool is_own_file(const struct catalog *catalog, const char *path)
{
    struct file_about asked, own;
    bool found = false;
    for (size_t i = 0; !found && i < catalog->options->path_count; i++)
        found = is_inside(path, catalog->options->paths[i]) ||
                (file_about_get(path, &asked) && file_about_get(catalog->options->paths[i], &own) &&
                 file_about_equal(&asked, &own));
    return found;
}

bool catalog_apply(struct catalog *catalog, const char *path, struct span text, struct err *err)
{
    struct specs specs = {0};
    if (catalog->stopping)
        return err_set(err, "sennit up is stopping");
    bool ok =
        specs_parse(&specs, path, text, err) && specs_take(catalog, &specs, false, is_own_file(catalog, path), err);
    specs_finish(&specs);
    return ok;
}

bool catalog_reload(struct catalog *catalog, struct err *err)
{
    struct specs specs = {0};
    bool ok = read_all(catalog, &specs, err) && specs_take(catalog, &specs, false, true, err);
    specs_finish(&specs);
    return ok;
}

static void files_open(struct catalog *catalog)
{
    struct loop *loop = catalog->programs->loop;
    ledger_open(&catalog->ledger, loop, catalog->directory);
    logfile_open(&catalog->logs, loop, catalog->directory);
    catalog->books.file = &catalog->logs;
}

/* Without a state folder, services run all the same; they cannot be changed, and nothing is kept. */
static void state_open(struct catalog *catalog)
{
    char *wanted = catalog_directory(catalog->options->state_dir), *lock = NULL;
    unsigned corrected;
    struct err err;
    catalog->directory = private_directory_make(wanted, &corrected, &err);
    if (catalog->directory != NULL) {
        lock = mem_printf("%s/lock", catalog->directory);
        if (!file_lock_take(&catalog->lock, lock, &err)) {
            free(catalog->directory);
            catalog->directory = NULL;
        }
    }
    if (catalog->directory == NULL)
        log_event(
            LOG_WARNING,
            "no state folder: commands like `sennit apply` do not reach this sennit up, and revisions end with it; "
            "--state DIR names a folder of its own",
            LOG_C("error", err.text));
    else
        files_open(catalog);
    free(lock);
    free(wanted);
}

/* The next change writes over it. */
static void state_put_aside(const struct catalog *catalog, struct span json)
{
    struct err err;
    char *path = mem_printf("%s/state.damaged.json", catalog->directory);
    if (file_replace(path, json, &err))
        log_event(LOG_ERROR, "the kept state is damaged: services begin anew, and what is left of it is put aside",
                  LOG_C("path", path), LOG_N("bytes", json.len));
    else
        log_event(LOG_ERROR, "the kept state is damaged: services begin anew", LOG_C("error", err.text));
    free(path);
}

static void state_read(struct catalog *catalog)
{
    struct buf json = {0};
    struct err err;
    if (catalog->directory == NULL)
        return;
    char *path = mem_printf("%s/state.json", catalog->directory);
    if (file_exists(path) && !file_read(path, STATE_BYTES_MAX, &json, &err))
        log_event(LOG_ERROR, "the kept state cannot be read", LOG_C("error", err.text));
    else if (file_exists(path) && !catalog_state_restore(catalog, buf_span(&json)))
        state_put_aside(catalog, buf_span(&json));
    buf_finish(&json);
    free(path);
}

/* Images that no revision has any more. */
static void images_keep(const struct catalog *catalog)
{
    const char **digests = mem_zero(1, sizeof *digests);
    size_t count = 0;
    list_each (node, &catalog->route.services) {
        list_each (inner, &service_of(node)->revisions) {
            const struct revision *revision = container_of(inner, struct revision, of_service);
            digests = mem_resize(digests, (count + 2) * sizeof *digests);
            digests[count++] = revision->command.image.digest;
            digests[count] = NULL;
        }
    }
    if (catalog->directory != NULL)
        images_sweep(catalog->options->state_dir, digests);
    free(digests);
}

bool catalog_open(struct catalog *catalog, struct err *err)
{
    state_open(catalog);
    state_read(catalog);
    bool ok = specs_take(catalog, &catalog->specs, true, true, err);
    if (ok)
        images_keep(catalog);
    return ok;
}

bool catalog_start(struct catalog *catalog, struct err *err)
{
    list_each (node, &catalog->route.services) {
        if (!service_start(service_of(node), err))
            return false;
        catalog->running++;
    }
    return true;
}

void catalog_stop(struct catalog *catalog)
{
    catalog->stopping = true;
    if (timer_running(&catalog->late))
        on_late(&catalog->late); /* a last time */
    timer_stop(catalog->programs->loop, &catalog->late);
    if (catalog->running == 0)
        catalog->stopped(catalog);
    list_each (node, &catalog->route.services) {
        service_stop(service_of(node));
    }
}

void catalog_kill(struct catalog *catalog)
{
    list_each (node, &catalog->route.services) {
        service_kill(service_of(node));
    }
}
