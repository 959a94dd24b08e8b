/* unleased: sockets without a lease, of namespaces that log nothing. A question about sockets (inquiry.h) is waited for
 * only where sockets may be, and the broker knows them by their leases. So an instance that has sockets without one
 * keeps one lease for all of them. */
#ifndef SENNIT_SESSION_UNLEASED_H
#define SENNIT_SESSION_UNLEASED_H

#include <stddef.h>
#include <stdint.h>

struct sessions;

struct unleased {
    size_t count;
    uint64_t due_us; /* when the lease is to be written again */
};

/* One more socket without a lease is here, or one less. */
void unleased_begin(struct sessions *sessions);
void unleased_end(struct sessions *sessions);
/* Writes the lease if it is time. */
void unleased_sweep(struct sessions *sessions);
/* The link is up again, under a new life: the lease is written anew. */
void unleased_link_up(struct sessions *sessions);

#endif
