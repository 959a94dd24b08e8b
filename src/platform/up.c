/* up: starts and stops the parts in order: the ingress' port, the switch of user, the status page, then each service
 * with its managed Redis and its instances; at the end the ingress and the services. */
#include "platform/up.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shown.h"
#include "loop/process.h"
#include "platform/ingress.h"
#include "platform/status.h"

enum {
    FILES_KEPT = 128,   /* descriptors of the platform, of Redis, and of clients that get a refusal at the door */
    FILES_INSTANCE = 6, /* two outputs, one to watch its end, a probe, and two for a moment at its start */
    FILES_CLIENT = 2,
    CONNECTIONS_MAX = 50000, /* unless the operator asks for more */
};

struct up {
    struct loop *loop;
    struct net net;
    struct programs programs;
    const struct up_options *options;
    struct route route; /* lists the services, which `up` owns */
    struct ingress ingress;
    struct status status;
    struct signal_watch interrupt, term, hangup;
    uint32_t running; /* services that are not stopped yet */
    bool stopping;
};

static struct service *service_of(struct list *node)
{
    return container_of(node, struct service, of_route);
}

static void service_stopped(struct service *service)
{
    struct up *up = container_of(service->programs, struct up, programs);
    if (--up->running > 0)
        return;
    ingress_cut(&up->ingress);
    loop_stop(up->loop);
}

static void stop(struct up *up)
{
    if (up->stopping)
        return;
    up->stopping = true;
    log_event(LOG_INFO, "stopping: the ingress, then the instances (SIGTERM, ten seconds), then the managed Redis");
    ingress_stop(&up->ingress);
    status_close(&up->status);
    list_each (node, &up->route.services) {
        service_stop(service_of(node));
    }
}

/* A person who presses Ctrl-C again does not want to wait. Other programs often repeat their SIGTERM at once (a shell
 * and its supervisor, say), and mean one. */
static void on_interrupt(struct signal_watch *watch, int number)
{
    struct up *up = container_of(watch, struct up, interrupt);
    if (!up->stopping) {
        stop(up);
        return;
    }
    log_event(LOG_WARNING, "asked twice: killing the remaining processes");
    list_each (node, &up->route.services) {
        service_kill(service_of(node));
    }
}

static void on_term(struct signal_watch *watch, int number)
{
    stop(container_of(watch, struct up, term));
}

static void on_hangup(struct signal_watch *watch, int number)
{
    stop(container_of(watch, struct up, hangup));
}

/* Says where this platform differs from what the file asks for. */
static void differences_tell(const struct service_spec *spec)
{
    for (size_t i = 0; i < spec->lacking.count; i++)
        log_event(LOG_WARNING, "a field has no effect here", LOG_C("field", spec->lacking.list[i]));
    if (spec->inert.len != 0)
        log_event(LOG_INFO, "these fields change nothing here", LOG_S("fields", buf_span(&spec->inert)));
}

/* Limits need control groups, which an ordinary user often may not make. */
static void limits_tell(const struct up *up, const struct service_spec *spec)
{
    if (spec->cpu_milli != 0 && !cgroups_limit_cpu(&up->programs.cgroups))
        log_event(LOG_WARNING, "this user may not bound the CPU of instances: resources.limits.cpu has no effect");
    if (spec->memory_bytes_max != 0 && !cgroups_limit_memory(&up->programs.cgroups))
        log_event(LOG_WARNING,
                  "this user may not bound the memory of instances: it is looked at once a second instead");
}

/* The host under which clients reach the ingress. True if only this machine reaches it. */
static bool address_print(const struct up *up, char address[ADDR_TEXT_MAX + 2])
{
    const char *bind = up->options->bind;
    bool is_own = bind == NULL || strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0;
    bool is_any = bind != NULL && (strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0);
    if (bind == NULL || is_any)
        snprintf(address, ADDR_TEXT_MAX + 2, "%s", "localhost");
    else
        snprintf(address, ADDR_TEXT_MAX + 2, strchr(bind, ':') != NULL ? "[%s]" : "%s", bind);
    return is_own;
}

/* Prints what the operator wants to see first: the address, the bounds, and what to try. */
static void greet(const struct up *up, const struct service *service)
{
    const struct service_spec *spec = &service_latest(service)->spec;
    uint16_t port = listener_port(&up->ingress.listener);
    char address[ADDR_TEXT_MAX + 2];
    bool is_own = address_print(up, address);
    differences_tell(spec);
    limits_tell(up, spec);
    if (!up->options->text_log) {
        log_event(LOG_INFO, "serving", LOG_C("service", spec->name), LOG_C("address", address), LOG_N("port", port));
        return;
    }
    printf("\n  %s  http://%s:%u%s\n\n", spec->name, address, port,
           up->options->bind != NULL && !is_own ? "  (open to the network: --bind)" : "");
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
 * refusals at the door need some, too. If there are few, they get half. */
static bool door_open(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    uint64_t files = process_files_allow(0), kept = FILES_KEPT;
    list_each (node, &up->route.services) {
        kept += service_instances_max(service_of(node)) * FILES_INSTANCE;
    }
    kept = kept < files / 2 ? kept : files / 2;
    uint64_t fit = (files - kept) / FILES_CLIENT;
    struct ingress_options ingress = {
        .bind = options->bind,
        .port = options->port,
        .log = (enum request_log_choice)options->request_log,
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
    return ingress_open(&up->ingress, &up->net, &up->route, &ingress, err);
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

static bool load(struct up *up, const char *path, struct err *err)
{
    struct service_spec spec;
    bool ok = service_spec_read(&spec, path, err);
    if (ok) {
        struct service *service = service_create(&up->programs, up->options, service_stopped);
        service_add(service, &spec);
        route_add(&up->route, service);
    }
    service_spec_finish(&spec);
    return ok;
}

static bool services_prepare(struct up *up, struct err *err)
{
    list_each (node, &up->route.services) {
        if (!service_prepare(service_of(node), err))
            return false;
    }
    return true;
}

static bool services_start(struct up *up, struct err *err)
{
    list_each (node, &up->route.services) {
        if (!service_start(service_of(node), err))
            return false;
        up->running++;
    }
    return true;
}

static void signals_watch(struct up *up)
{
    signal_watch_start(up->loop, &up->interrupt, SIGINT, on_interrupt);
    signal_watch_start(up->loop, &up->term, SIGTERM, on_term);
    /* The terminal was closed. A user who does not want that to count has SIGHUP ignored (nohup). */
    if (!signal_is_ignored(SIGHUP))
        signal_watch_start(up->loop, &up->hangup, SIGHUP, on_hangup);
}

static bool start(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    /* The port comes first: only root opens ports below 1024. */
    if (!load(up, options->path, err) || !door_open(up, err) || !user_become(up, err) || !services_prepare(up, err))
        return false;
    cgroups_find(&up->programs.cgroups);
    up->status = (struct status){.service = service_of(up->route.services.next),
                                 .ingress = &up->ingress,
                                 .ingress_port = listener_port(&up->ingress.listener)};
    if (options->status_port >= 0 && !status_open(&up->status, &up->net, (uint16_t)options->status_port, err))
        return false;
    if (!services_start(up, err))
        return false;
    signals_watch(up);
    list_each (node, &up->route.services) {
        greet(up, service_of(node));
    }
    if (options->status_port >= 0)
        log_event(LOG_INFO, "status", LOG_N("port", listener_port(&up->status.listener)));
    return true;
}

static void finish(struct up *up)
{
    signal_watch_stop(up->loop, &up->interrupt);
    signal_watch_stop(up->loop, &up->term);
    signal_watch_stop(up->loop, &up->hangup);
    listener_close(&up->ingress.listener);
    listener_close(&up->ingress.listener6);
    status_close(&up->status);
    net_finish(&up->net);
    ingress_finish(&up->ingress);
    list_each (node, &up->route.services) {
        service_destroy(service_of(node));
    }
    cgroups_finish(&up->programs.cgroups);
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
        route_init(&up->route);
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

bool up_check(const struct up_options *options, struct err *err)
{
    struct service_spec spec;
    struct command command = {0};
    bool ok = service_spec_read(&spec, options->path, err);
    if (ok) {
        differences_tell(&spec);
        if (!command_find(&command, &spec, options->path, options->run, err))
            log_event(LOG_WARNING, "the file is right, but cannot be run here", LOG_C("error", err->text));
        log_event(LOG_INFO, "the file is right", LOG_C("service", spec.name), LOG_C("revision", spec.revision));
    }
    command_finish(&command);
    service_spec_finish(&spec);
    return ok;
}
