/* net: the state that all connections of one loop share: the receive buffer, the lists of the turn, budgets, counters.
 * The program's entry (serve, up, load) owns it and passes it to every connection. */
#ifndef SENNIT_NET_NET_H
#define SENNIT_NET_NET_H

#include "loop/loop.h"
#include "net/close_reasons.h"

struct conn;

/* The connections that the end of a turn has to do with, in order. Each knows its place, so that it can be taken out;
 * then NULL is there. */
struct net_turn {
    struct conn **conns;
    uint32_t at; /* those before it are done */
    uint32_t count, cap;
};

struct net_budget {
    uint32_t accepts_per_turn;    /* default 64, so that a burst of connects does not starve open connections */
    uint32_t read_bytes_per_turn; /* per connection; default 256 KiB */
};

struct net {
    struct loop *loop;
    struct net_budget budget;
    struct net_turn touched, closing;
    struct task flush, reap;
    char *receive; /* shared by all: NET_RECEIVE_BYTES */
    char *piece;   /* of a source, on its way out, or of ciphertext, on its way in: NET_PIECE_BYTES */
    struct {
        const struct conn *conn;       /* NULL: none */
        const struct tls_problem *tls; /* it stays to be asked for: conn_tls_problem */
    } closing_now;                     /* its `closed` is being called */
    uint64_t conns_open;
    uint64_t bytes_in, bytes_out, writes;
    uint64_t closed[CLOSE_REASON_COUNT];
};

enum { NET_RECEIVE_BYTES = 64 * 1024, NET_PIECE_BYTES = 64 * 1024 };

void net_init(struct net *net, struct loop *loop);
/* Reaps closed connections now instead of at the end of the turn; for an owner that must free a connection before it is
 * freed itself. */
void net_reap(struct net *net);
/* Reaps the rest. All connections must have been closed. Accepts zeroed memory. */
void net_finish(struct net *net);

#endif
