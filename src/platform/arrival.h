/* arrival: a stream from a load balancer that is believed, before the ingress knows its client: the header of the PROXY
 * protocol comes first (wire/proxy.h). Nothing behind it is read here. The ingress lists arrivals; each frees itself.
 *
 * An arrival is not counted at the door, so there are ARRIVALS_MAX at most: beyond that the oldest one ends. */
#ifndef SENNIT_PLATFORM_ARRIVAL_H
#define SENNIT_PLATFORM_ARRIVAL_H

#include "platform/ingress.h"

enum { ARRIVALS_MAX = 64, ARRIVAL_MS_MAX = 5000 };

/* Takes over the stream, and gives it to `ingress_take` with the client's address once that is known. A header that is
 * malformed or late is refused, counted and logged. */
void arrival_begin(struct ingress *ingress, struct io *io, const struct addr *peer);
void arrivals_cut(struct ingress *ingress);

#endif
