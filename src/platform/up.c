/* up: starts and stops the parts in order: the ingress' port, the switch of user, the state folder, the status page,
 * then each service with its managed servers and its instances, and the control socket; at the end the ingress and the
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
#include "platform/identity.h"
#include "platform/ingress.h"
#include "platform/metadata.h"
#include "platform/status.h"

enum {
    FILES_KEPT = 128,   /* descriptors of the platform, of Redis, and of clients that get a refusal at the door */
    FILES_INSTANCE = 8, /* two outputs, one to watch its end, a probe, metadata and its reader, two for its start */
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
    struct tls_server *tls; /* NULL: the ingress speaks plain HTTP */
    struct status status;
    struct identities identities;
    struct metadata metadata;
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
    log_event(LOG_INFO,
              "stopping: the ingress, then the instances (SIGTERM, ten seconds), then what is managed beside them");
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
static uint64_t files_kept(const struct up *up, uint64_t files)
{
    uint64_t kept = FILES_KEPT + catalog_instances_max(&up->catalog) * FILES_INSTANCE;
    return kept < files / 2 ? kept : files / 2;
}

static uint32_t per_address_max(const struct up_options *options, uint32_t connections_max)
{
    return options->connections_per_address != 0 ? options->connections_per_address : (connections_max + 1) / 2;
}

/* A deployment may want more instances than there were at the start, and they need descriptors. */
static void door_fit(struct catalog *catalog)
{
    struct up *up = container_of(catalog, struct up, catalog);
    uint64_t files = process_files_allow(0), fit = (files - files_kept(up, files)) / FILES_CLIENT;
    uint64_t wanted = up->options->connections != 0 ? up->options->connections : CONNECTIONS_MAX;
    uint32_t bound = (uint32_t)(wanted < fit ? wanted : fit), before = up->ingress.door.count_max;
    if (bound == before)
        return;
    ingress_bounds_set(&up->ingress, bound, per_address_max(up->options, bound));
    log_event(bound < up->options->connections ? LOG_WARNING : LOG_INFO,
              "the bound of connections has changed with the number of instances that may run: ulimit -n decides",
              LOG_N("connections", bound), LOG_N("before", before), LOG_N("files", files));
}

static bool door_open(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    uint64_t files = process_files_allow(0);
    uint64_t kept = files_kept(up, files);
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
    ingress.trusted_hops = options->trusted_hops;
    ingress.close_frame = options->close_frame;
    ingress.propagate_disconnect = options->propagate_disconnect;
    if (options->proxies != NULL && !proxies_read(&ingress.proxies, options->proxies, err))
        return err_prefix(err, "--proxy-protocol: ");
    ingress.connections_per_address = per_address_max(options, ingress.connections_max);
    return ingress_open(&up->ingress, &up->net, &up->catalog.route, &ingress, err);
}

/* The operator's certificate: before the switch of user, for the key may be root's alone. */
static bool certificate_read(struct up *up, struct err *err)
{
    const struct up_options *options = up->options;
    if (options->tls_cert == NULL)
        return true;
    up->tls = tls_server_create(options->tls_cert, options->tls_key, err);
    return up->tls != NULL || err_prefix(err, "--tls-");
}

/* An authority of ours: made once, and kept, so that it need not be trusted anew with each start. It certifies the
 * names below `localhost` one by one, because no browser takes a wildcard directly below it. */
static bool certificate_make(struct up *up, struct err *err)
{
    if (!up->options->tls || up->tls != NULL)
        return true;
    if (up->catalog.directory == NULL)
        return err_set(err, "--tls: there is no state folder to keep a certificate in: name one with --state");
    char *cert = mem_printf("%s/tls-cert.pem", up->catalog.directory);
    char *key = mem_printf("%s/tls-key.pem", up->catalog.directory);
    up->tls = tls_server_create_local(cert, key, err);
    if (up->tls != NULL)
        log_event(LOG_NOTICE,
                  "TLS with certificates of our own making, for localhost and all names below it: `curl --cacert FILE` "
                  "and NODE_EXTRA_CA_CERTS=FILE trust them, and browsers do once FILE is imported as an authority",
                  LOG_C("file", cert));
    else
        err_prefix(err, "--tls: ");
    free(cert);
    free(key);
    return up->tls != NULL;
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

/* Said before anything runs, and not by each instance that cannot start. */
static bool networks_try(const struct up *up, struct err *err)
{
    struct netspace space;
    if (up->options->network != NETWORK_PRIVATE)
        return true;
    if (!netspace_open(&space, err))
        return err_prefix(err, "--network private: ");
    netspace_close(&space);
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
    if (!catalog_read(&up->catalog, err) || !door_open(up, err) || !certificate_read(up, err) ||
        !user_become(up, err) || !networks_try(up, err) || !catalog_open(&up->catalog, err) || !bare_set(up, err))
        return false;
    cgroups_find(&up->programs.cgroups);
    if (up->catalog.directory != NULL)
        roster_open(&up->programs.roster, up->catalog.directory, &up->programs.cgroups);
    up->status = (struct status){
        .catalog = &up->catalog, .ingress = &up->ingress, .ingress_port = listener_port(&up->ingress.listener)};
    if (options->status_port >= 0 && !status_open(&up->status, &up->net, (uint16_t)options->status_port, err))
        return false;
    if (!certificate_make(up, err) || !identities_open(&up->identities, up->loop, up->catalog.directory,
                                                       options->identity_keys, options->identity_issuer, err))
        return false;
    metadata_open(&up->metadata, &up->net, &up->identities, options->project, options->region);
    up->programs.metadata = &up->metadata;
    if (!catalog_start(&up->catalog, err))
        return false;
    ingress_tls_set(&up->ingress, up->tls);
    ingress_identities_set(&up->ingress, &up->identities, options->closed);
    control_open(&up->control, &up->net, &up->catalog, listener_port(&up->ingress.listener));
    up->catalog.changed = door_fit;
    signals_watch(up);
    if (list_empty(&up->catalog.route.services))
        log_event(LOG_INFO, "serving no service yet: sennit deploy and sennit apply add them",
                  LOG_N("port", listener_port(&up->ingress.listener)));
    else
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
    metadata_close(&up->metadata);
    catalog_close(&up->catalog);
    net_finish(&up->net);
    tls_server_destroy(up->tls);
    ingress_finish(&up->ingress);
    catalog_finish(&up->catalog);
    cgroups_finish(&up->programs.cgroups);
    roster_finish(&up->programs.roster);
    identities_finish(&up->identities);
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
        ok = specs_read(&specs, options->paths[i], options->may_be_empty, err);
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
