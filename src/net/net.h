/* net: what the connections of one loop share: the receive buffer, the lists of the turn, budgets and counters. */
#ifndef SENNIT_NET_NET_H
#define SENNIT_NET_NET_H

#include "base/list.h"
#include "loop/loop.h"
#include "net/close_reasons.h"

struct net_budget {
    uint32_t accepts_per_turn;    /* default 64, so that a herd does not starve the living */
    uint32_t read_bytes_per_turn; /* per connection; default 256 KiB */
};

struct net {
    struct loop *loop;
    struct net_budget budget;
    struct list touched, closing;
    struct task flush, reap;
    char *receive; /* shared by all: NET_RECEIVE_BYTES */
    char *piece;   /* of a source, on its way out: NET_PIECE_BYTES */
    uint64_t conns_open;
    uint64_t bytes_in, bytes_out, writes;
    uint64_t closed[CLOSE_REASON_COUNT];
};

enum { NET_RECEIVE_BYTES = 64 * 1024, NET_PIECE_BYTES = 64 * 1024 };

void net_init(struct net *net, struct loop *loop);
/* Reaps what was closed now instead of at the end of the turn; for whoever must be rid of a connection before it goes
 * itself. */
void net_reap(struct net *net);
/* All connections are closed before; what is left of them is reaped. Accepts zeroed. */
void net_finish(struct net *net);

#endif
