/* follower: our broker as a load needs it: it is up, something is subscribed, something comes. Ends the process when
 * anything else happens. */
#ifndef SENNIT_BENCH_FOLLOWER_H
#define SENNIT_BENCH_FOLLOWER_H

#include "broker/broker.h"
#include "net/net.h"

/* All but `broker` are filled by the owner. */
struct follower {
    void *arg;
    const char *options; /* behind the URL; NULL: none */
    void (*up)(void *arg);
    void (*subscribed)(void *arg);
    void (*pushed)(void *arg, const struct broker_entry *entry); /* NULL: it does not matter */
    struct broker *broker;
};

/* Connects to the Redis on this port of this machine, as `instance`, with the prefix "bench". */
void follower_start(struct follower *follower, struct net *net, uint64_t port, const char *instance);

#endif
