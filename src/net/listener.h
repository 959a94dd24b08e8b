/* listener: accepts streams, a bounded number a turn, and stops for a moment when descriptors run out. */
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
};

/* False with `err` set: a port in use names it and what to do. Port 0 picks a free one. */
bool listener_open(struct listener *listener, struct net *net, const struct addr *addr, listener_accepted_fn *accepted,
                   struct err *err);
uint16_t listener_port(const struct listener *listener);
/* Harmless when closed. */
void listener_close(struct listener *listener);

#endif
