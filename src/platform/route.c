/* route: compares the Host's first label with the services' names. */
#include "platform/route.h"

#include <assert.h>

void route_init(struct route *route)
{
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

struct service *route_service(const struct route *route, struct span host)
{
    struct span label = first_label(host);
    assert(!list_empty(&route->services));
    list_each (node, &route->services) {
        struct service *service = container_of(node, struct service, of_route);
        if (span_equal_nocase(span_str(service->name), label))
            return service;
    }
    return container_of(route->services.next, struct service, of_route);
}

struct revision *route_revision(const struct route *route, struct span host, uint32_t draw)
{
    return service_revision(route_service(route, host), draw);
}
