/* route: compares the Host's first label with the services' names. */
#include "platform/route.h"

#include <assert.h>

void route_init(struct route *route)
{
    *route = (struct route){0};
    list_init(&route->services);
}

void route_add(struct route *route, struct service *service)
{
    list_append(&route->services, &service->of_route);
}

static struct span first_label(struct span host)
{
    struct span label = host;
    span_next(&host, ':', &label);
    host = label;
    span_next(&host, '.', &label);
    return label;
}

struct service *route_find(const struct route *route, struct span name)
{
    list_each (node, &route->services) {
        struct service *service = container_of(node, struct service, of_route);
        if (span_equal_nocase(span_str(service->name), name))
            return service;
    }
    return NULL;
}

bool route_is_bare(struct span host)
{
    struct span name = host;
    struct addr addr;
    if (span_starts_with(host, SPAN_LIT("["))) /* an IPv6 address, whose colons separate no port */
        return true;
    span_next(&host, ':', &name);
    return name.len == 0 || span_equal_nocase(name, SPAN_LIT("localhost")) || addr_from_ip(&addr, name, 0);
}

bool route_is_several(const struct route *route)
{
    return route->services.next != route->services.prev;
}

struct service *route_bare(const struct route *route)
{
    if (!route_is_several(route))
        return container_of(route->services.next, struct service, of_route);
    return route->bare != NULL ? route_find(route, span_str(route->bare)) : NULL;
}

/* Splits TAG---NAME: a tag and a name have no three hyphens in a row at this place, because neither ends with one. */
static bool tag_split(struct span label, struct span *tag, struct span *name)
{
    for (size_t i = 1; i + 3 < label.len; i++) {
        if (!span_equal(span_sub(label, i, 3), SPAN_LIT("---")))
            continue;
        *tag = span_sub(label, 0, i);
        *name = span_from(label, i + 3);
        return true;
    }
    return false;
}

struct revision *route_revision(const struct route *route, struct span host, uint32_t draw)
{
    struct span label = first_label(host), tag, name;
    struct service *service = route_find(route, label);
    assert(!list_empty(&route->services));
    if (service == NULL && tag_split(label, &tag, &name) && (service = route_find(route, name)) != NULL)
        return service_tagged(service, tag);
    if (service == NULL && (!route_is_several(route) || route_is_bare(host)))
        service = route_bare(route);
    return service != NULL ? service_revision(service, draw) : NULL;
}
