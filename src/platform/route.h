/* route: which revision gets a request. The ingress asks it for each request; `up` fills it. Pure.
 *
 *     Host ---> service ---> draw against the percentages ---> revision
 */
#ifndef SENNIT_PLATFORM_ROUTE_H
#define SENNIT_PLATFORM_ROUTE_H

#include "platform/service.h"

struct route {
    struct list services; /* of one `up`, which owns them; at least one when the ingress opens */
};

void route_init(struct route *route);
/* Adds a service. `up` destroys it, which takes it out. */
void route_add(struct route *route, struct service *service);
/* The service that a request's Host names, NAME.anything, without regard to case and port. Any other Host, or none,
 * means the first service. */
struct service *route_service(const struct route *route, struct span host);
/* The revision for a request to this Host. `draw` is uniform below SERVICE_PERCENT. */
struct revision *route_revision(const struct route *route, struct span host, uint32_t draw);

#endif
