/* up: starts and stops the parts in order: the ingress' port, the switch of user, the state folder, the status page,
 * then each service with its managed Redis and its instances, and the control socket; at the end the ingress and the
 * services.
 */
#include "platform/up.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "loop/process.h"
#include "platform/control.h"
#include "platform/greeting.h"
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
    struct catalog catalog; /* of the services */
    struct control control;
    struct ingress ingress;
    struct status status;
    struct signal_watch interrupt, term, hangup;
    bool stopping;
    bool has_terminal; /* at the start: a closed one does not say any more that it is one */
};

static struct service *service_of(struct list *node)
{
    return container_of(node, struct service, of_route);
}

static void services_stopped(struct catalog *catalog)
{
    struct up *up = container_of(catalog, struct up, catalog);
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
    control_close(&up->control);
    catalog_stop(&up->catalog);
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
    catalog_kill(&up->catalog);
}

static void on_term(struct signal_watch *watch, int number)
{
    stop(container_of(watch, struct up, term));
}

static void on_hangup(struct signal_watch *watch, int number)
{
    struct up *up = container_of(watch, struct up, hangup);
    struct err err;
    if (up->has_terminal) { /* it was closed */
        stop(up);
        return;
    }
    if (up->stopping)
        return;
    struct buf paths = catalog_paths(&up->catalog);
    log_event(LOG_INFO, "SIGHUP: reading the file again", LOG_S("file", buf_span(&paths)));
    buf_finish(&paths);
    if (!catalog_reload(&up->catalog, &err))
        log_event(LOG_ERROR, "the file is refused as a whole, and nothing changes", LOG_C("error", err.text));
}

/* A client takes one descriptor, and one more for its request's way to an instance. Instances, Redis, their outputs and
 * refusals at the door need some, too. If there are few, they get half. */
static bool door_open(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    uint64_t files = process_files_allow(0);
    uint64_t kept = FILES_KEPT + catalog_instances_max(&up->catalog) * FILES_INSTANCE;
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
    return ingress_open(&up->ingress, &up->net, &up->catalog.route, &ingress, err);
}

/* The service that the operator chose for the bare address. */
static bool bare_set(struct up *up, struct err *err)
{
    const char *name = up->options->bare;
    if (name != NULL && route_find(&up->catalog.route, span_str(name)) == NULL)
        return err_set(err, "--default: there is no service %s in the files", SHOWN_FOUND(span_str(name)));
    up->catalog.route.bare = name;
    return true;
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

static void signals_watch(struct up *up)
{
    up->has_terminal = file_stdout_is_terminal();
    signal_watch_start(up->loop, &up->interrupt, SIGINT, on_interrupt);
    signal_watch_start(up->loop, &up->term, SIGTERM, on_term);
    /* A user who does not want a closed terminal to count has SIGHUP ignored (nohup). */
    if (!signal_is_ignored(SIGHUP))
        signal_watch_start(up->loop, &up->hangup, SIGHUP, on_hangup);
}

static bool start(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    /* The port comes first: only root opens ports below 1024. */
    if (!catalog_read(&up->catalog, err) || !door_open(up, err) || !user_become(up, err) ||
        !catalog_open(&up->catalog, err) || !bare_set(up, err))
        return false;
    cgroups_find(&up->programs.cgroups);
    if (up->catalog.directory != NULL)
        roster_open(&up->programs.roster, up->catalog.directory, &up->programs.cgroups);
    up->status = (struct status){
        .catalog = &up->catalog, .ingress = &up->ingress, .ingress_port = listener_port(&up->ingress.listener)};
    if (options->status_port >= 0 && !status_open(&up->status, &up->net, (uint16_t)options->status_port, err))
        return false;
    if (!catalog_start(&up->catalog, err))
        return false;
    control_open(&up->control, &up->net, &up->catalog, listener_port(&up->ingress.listener));
    signals_watch(up);
    greeting_tell(&up->catalog, &up->programs.cgroups, listener_port(&up->ingress.listener));
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
    control_close(&up->control);
    net_finish(&up->net);
    ingress_finish(&up->ingress);
    catalog_finish(&up->catalog);
    cgroups_finish(&up->programs.cgroups);
    roster_finish(&up->programs.roster);
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
        net_init(&up->net, up->loop);
        programs_init(&up->programs, &up->net);
        catalog_init(&up->catalog, &up->programs, options);
        up->catalog.stopped = services_stopped;
        ok = start(up, err);
        if (ok) {
            loop_run(up->loop);
            list_each (node, &up->catalog.route.services) {
                bill_tell(&service_of(node)->bill);
            }
            log_event(LOG_INFO, "stopped");
        }
        finish(up);
    }
    free(up);
    return ok;
}

bool up_check(const struct up_options *options, struct err *err)
{
    struct specs specs = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < options->path_count; i++)
        ok = specs_read(&specs, options->paths[i], err);
    for (size_t i = 0; ok && i < specs.count; i++) {
        const struct service_spec *spec = &specs.list[i];
        struct command command = {0};
        greeting_differences_tell(spec);
        if (!command_find(&command, spec, spec->path, options->run, err))
            log_event(LOG_WARNING, "the file is right, but cannot be run here", LOG_C("error", err->text));
        log_event(LOG_INFO, "the file is right", LOG_C("service", spec->name), LOG_C("revision", spec->revision));
        command_finish(&command);
    }
    specs_finish(&specs);
    return ok;
}
