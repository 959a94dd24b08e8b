/* listener: accepts streams, a bounded number per turn. When descriptors run out, it accepts one stream after the other
 * with a reserved descriptor, so that the owner can answer it, or stops accepting for a moment. */
#ifndef SENNIT_NET_LISTENER_H
#define SENNIT_NET_LISTENER_H

#include "loop/io.h"
#include "net/net.h"

struct listener;
/* A stream arrived. Hand `io` to conn_adopt; otherwise it is closed. */
typedef void listener_accepted_fn(struct listener *listener, struct io *io, const struct addr *peer);
struct listener {
    struct net *net;
    struct io io;
    struct timer pause;
    uint64_t told_us; /* time of the last log line about missing descriptors; 0: none */
    listener_accepted_fn *accepted;
    /* A stream arrived on the reserved descriptor: answer it at once, because it is closed after this call. Set before
     * the listener is opened. NULL: the listener waits until there are descriptors again. */
    listener_accepted_fn *exhausted;
    struct io reserve;
};

/* Port 0 picks a free one. False with `err` set; for a port in use, the text names the port and the cure. */
bool listener_open(struct listener *listener, struct net *net, const struct addr *addr, listener_accepted_fn *accepted,
                   struct err *err);
uint16_t listener_port(const struct listener *listener);
/* Harmless when closed. */
void listener_close(struct listener *listener);

#endif
