/* departed: the leases that clients of this instance left when they were cut off. The broker keeps each for its
 * recovery window, so a stranger who connects and cuts, again and again, would fill it.
 *
 * What they take is bounded for the instance (`lease_bytes_max`), and one address has at most as much as is left: a
 * single greedy one gets half, the next one half of the rest. A client beyond that leaves nothing, and starts anew when
 * it returns. Nobody is refused whom this instance itself closed, because it ends or the stream does: no stranger can
 * bring that about. */
#ifndef SENNIT_SESSION_DEPARTED_H
#define SENNIT_SESSION_DEPARTED_H

#include "session/session.h"

enum { LEASE_BYTES = 1024 }; /* what one takes on the broker, without its rooms */

void departed_init(struct sessions *sessions);
void departed_finish(struct sessions *sessions);
/* A client was cut off, and its lease of so many bytes of rooms stays for `window_ms`. False when that is too much,
 * unless it `must`: then it is to be ended. */
bool departed_keep(struct sessions *sessions, struct span lease, const struct addr_ip *peer, size_t rooms_bytes,
                   uint64_t window_ms, bool must);
/* It came back, here or elsewhere. Harmless when it is not known. */
void departed_returned(struct sessions *sessions, struct span lease);
/* Forgets those whose window has passed. */
void departed_sweep(struct sessions *sessions);

#endif
