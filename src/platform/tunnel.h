/* tunnel: two connections, a client's and an instance's, and the bytes between them, behind the 101 that begins a
 * WebSocket. The ingress lists tunnels; each owns its client's connection and frees itself when that is closed.
 *
 * Bytes are opaque. What one read brings goes to the other side by one write at once; only what the kernel does not
 * take is copied and waits, and then the side that it came from is not read. A tunnel at rest holds no buffer. It holds
 * a slot of its instance until it ends. */
#ifndef SENNIT_PLATFORM_TUNNEL_H
#define SENNIT_PLATFORM_TUNNEL_H

#include "platform/exchange.h"

/* Takes over an exchange's client, its connection to the instance, the slot, the place at the door and the record. The
 * request timeout goes on. Of `http` nothing is left. */
void tunnel_create(struct ingress *ingress, struct http *http, struct upstream *upstream, struct instance *instance,
                   struct door_address *address, const struct request_record *record);
/* Ends all of them, and what is left of those that are over. */
void tunnels_cut(struct ingress *ingress, enum close_reason reason);

#endif
