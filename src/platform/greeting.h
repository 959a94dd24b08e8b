/* greeting: what `sennit up` says once it serves: every service with its address, its bounds, what to try, and what
 * this platform does otherwise than the file asks. On a terminal for people, else as lines of the log. `up` calls it.
 */
#ifndef SENNIT_PLATFORM_GREETING_H
#define SENNIT_PLATFORM_GREETING_H

#include "platform/catalog.h"

struct cgroups;

/* The catalog has started, and the ingress listens on `port`. */
void greeting_tell(const struct catalog *catalog, const struct cgroups *cgroups, uint16_t port);
/* Logs which fields of the file have no effect here. */
void greeting_differences_tell(const struct service_spec *spec);

#endif
