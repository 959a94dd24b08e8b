/* route: which revision gets a request. The ingress asks it for each request; `up` fills it. Pure.
 *
 *     Host ---> service ---> draw against the percentages, or tag ---> revision
 */
#ifndef SENNIT_PLATFORM_ROUTE_H
#define SENNIT_PLATFORM_ROUTE_H

#include "platform/service.h"

struct route {
    struct list services; /* of one `up`, which owns them; at least one when the ingress opens */
    const char *bare;     /* the name of the service that a bare Host means; NULL: none. Borrowed */
};

void route_init(struct route *route);
/* Adds a service. `up` destroys it, which takes it out. */
void route_add(struct route *route, struct service *service);
/* The service of that name; NULL: none. */
struct service *route_find(const struct route *route, struct span name);
/* The service that a bare Host means; NULL: none. */
struct service *route_bare(const struct route *route);
/* A Host without a name of ours: localhost, an IP address, or none at all. */
bool route_is_bare(struct span host);
/* There are several services. */
bool route_is_several(const struct route *route);
/* The revision for a request to this Host, without regard to case and port: NAME.anything is the service's, TAG---NAME.
 * anything that of its tag. If there is one service, any other Host, or none, means it;
 * of several, a bare Host means `bare`. `draw` is uniform below
 * SERVICE_PERCENT. NULL: the Host names no service, or none of the service's tags. */
struct revision *route_revision(const struct route *route, struct span host, uint32_t draw);

#endif
