/* greeting: prints the addresses first, then the services one by one. */
#include "platform/greeting.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/shown.h"
#include "platform/admission.h"
#include "platform/image.h"
#include "platform/instance_user.h"

static struct service *service_of(struct list *node)
{
    return container_of(node, struct service, of_route);
}

void greeting_differences_tell(const struct service_spec *spec)
{
    for (size_t i = 0; i < spec->lacking.count; i++)
        log_event(LOG_WARNING, "a field has no effect here", LOG_C("field", spec->lacking.list[i]));
    if (instance_user_is_ours(spec) && !image_is_local(spec->image))
        log_event(LOG_WARNING, "a field has no effect here",
                  LOG_C("field", "securityContext.runAsUser: only root can start programs as another user, so they run "
                                 "as the user of sennit up"));
    if (spec->inert.len != 0)
        log_event(LOG_INFO, "these fields change nothing here", LOG_S("fields", buf_span(&spec->inert)));
}

/* Limits need control groups, which an ordinary user often may not make. */
static void limits_tell(const struct cgroups *cgroups, const struct service_spec *spec)
{
    if (spec->cpu_milli != 0 && !cgroups_limit_cpu(cgroups))
        log_event(LOG_WARNING, "this user may not bound the CPU of instances: resources.limits.cpu has no effect");
    if (spec->memory_bytes_max != 0 && !cgroups_limit_memory(cgroups))
        log_event(LOG_WARNING,
                  "this user may not bound the memory of instances: it is looked at once a second instead");
}

/* The host under which clients reach the ingress. True if only this machine reaches it. */
static bool address_print(const char *bind, char address[ADDR_TEXT_MAX + 2])
{
    bool is_own = bind == NULL || strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0;
    bool is_any = bind != NULL && (strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0);
    if (bind == NULL || is_any)
        snprintf(address, ADDR_TEXT_MAX + 2, "%s", "localhost");
    else
        snprintf(address, ADDR_TEXT_MAX + 2, strchr(bind, ':') != NULL ? "[%s]" : "%s", bind);
    return is_own;
}

/* Below the services' own addresses: which one the bare address is, and what helps where a name does not lead here. */
static void several_print(const struct catalog *catalog, const char *address, uint16_t port)
{
    const struct route *route = &catalog->route;
    if (route->bare == NULL)
        printf("  %-14s %s://%s:%u\n", "all of them", catalog_scheme(catalog), address, port);
    printf("\n  Chromium, Firefox and curl know that names below localhost are this machine. For others, a line in "
           "/etc/hosts:\n      127.0.0.1");
    list_each (node, &route->services) {
        printf(" %s.localhost", service_of(node)->name);
    }
    printf("\n");
}

static void addresses_print(const struct catalog *catalog, uint16_t port)
{
    const struct route *route = &catalog->route;
    const char *bind = catalog->options->bind;
    char address[ADDR_TEXT_MAX + 2];
    bool is_own = address_print(bind, address);
    const char *scheme = catalog_scheme(catalog);
    const char *open = bind != NULL && !is_own ? "  (open to the network: --bind)" : "";
    printf("\n");
    list_each (node, &route->services) {
        const char *name = service_of(node)->name;
        if (!route_is_several(route))
            printf("  %s  %s://%s:%u%s\n", name, scheme, address, port, open);
        else if (route_bare(route) == service_of(node))
            printf("  %-14s %s://%s:%u, %s://%s.localhost:%u%s\n", name, scheme, address, port, scheme, name, port,
                   open);
        else
            printf("  %-14s %s://%s.localhost:%u%s\n", name, scheme, name, port, open);
    }
    if (route_is_several(route))
        several_print(catalog, address, port);
    printf("\n");
}

/* The bounds of one, and what to try. */
static void service_print(const struct service_spec *spec)
{
    printf("  %s: %u to %u instances, %u requests each, request timeout %u s, %s\n", spec->name, spec->instances_min,
           spec->instances_max, spec->concurrency, spec->timeout_s,
           spec->redis && spec->postgres ? "Redis and Postgres beside them"
           : spec->redis                 ? "Redis beside them"
           : spec->postgres              ? "Postgres beside them"
                                         : "no Redis of ours");
    if (spec->hint == NULL)
        return;
    struct buf hint = {0};
    shown_append(&hint, span_str(spec->hint), SIZE_MAX);
    printf("      Try: " SPAN_FMT "\n", SPAN_ARG(buf_span(&hint)));
    buf_finish(&hint);
}

/* How to be let in. */
static void access_tell(const struct catalog *catalog, const struct service *service, uint16_t port)
{
    const char *scheme = catalog_scheme(catalog);
    if (!admission_is_closed(service, catalog->options->closed))
        return;
    if (catalog->options->text_log)
        printf("      Requests need an identity token: curl -H \"Authorization: Bearer $(sennit token --audience "
               "%s://%s.localhost:%u)\" ...\n",
               scheme, service->name, port);
    else
        log_event(LOG_INFO, "requests need an identity token, as `sennit token` prints it",
                  LOG_C("service", service->name), LOG_N("port", port));
}

static void service_log(const struct catalog *catalog, const struct service_spec *spec, uint16_t port)
{
    char address[ADDR_TEXT_MAX + 2], host[300];
    address_print(catalog->options->bind, address);
    snprintf(host, sizeof host, "%s.localhost", spec->name);
    log_event(LOG_INFO, "serving", LOG_C("service", spec->name),
              LOG_C("address", route_is_several(&catalog->route) ? host : address), LOG_N("port", port));
}

void greeting_tell(const struct catalog *catalog, const struct cgroups *cgroups, uint16_t port)
{
    bool for_people = catalog->options->text_log;
    list_each (node, &catalog->route.services) {
        const struct service_spec *spec = &service_latest(service_of(node))->spec;
        greeting_differences_tell(spec);
        limits_tell(cgroups, spec);
    }
    if (for_people)
        addresses_print(catalog, port);
    list_each (node, &catalog->route.services) {
        const struct service_spec *spec = &service_latest(service_of(node))->spec;
        if (for_people)
            service_print(spec);
        else
            service_log(catalog, spec, port);
        access_tell(catalog, service_of(node), port);
    }
    if (!for_people)
        return;
    printf("  Ctrl-C stops everything.\n\n");
    fflush(stdout);
}
