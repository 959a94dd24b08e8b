/* listener: accepts streams, a bounded number a turn. When descriptors run out, it says so to those that come, one
 * after the other, with a descriptor that it has kept back, or stops for a moment. */
#ifndef SENNIT_NET_LISTENER_H
#define SENNIT_NET_LISTENER_H

#include "loop/io.h"
#include "net/net.h"

struct listener;
/* A stream came: hand `io` to conn_adopt, or leave it and it is closed. */
typedef void listener_accepted_fn(struct listener *listener, struct io *io, const struct addr *peer);
struct listener {
    struct net *net;
    struct io io;
    struct timer pause;
    uint64_t told_us; /* when the log was told that there are no descriptors; 0: never */
    listener_accepted_fn *accepted;
    /* A stream came and takes the last descriptor: say something to it at once; it is closed behind this call. Set
     * before the listener is opened; NULL: it waits until there are descriptors again. */
    listener_accepted_fn *exhausted;
    struct io reserve;
};

/* False with `err` set: a port in use names it and what to do. Port 0 picks a free one. */
bool listener_open(struct listener *listener, struct net *net, const struct addr *addr, listener_accepted_fn *accepted,
                   struct err *err);
uint16_t listener_port(const struct listener *listener);
/* Harmless when closed. */
void listener_close(struct listener *listener);

#endif
