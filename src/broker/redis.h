/* redis: the broker on a Redis server (standalone, 6.2 or later): a stream and a channel per room, Lua scripts, one
 * command link and one subscriber link. */
#ifndef SENNIT_BROKER_REDIS_H
#define SENNIT_BROKER_REDIS_H

#include "broker/broker.h"
#include "net/net.h"

struct broker_redis_config {
    const char *url;      /* its forms: broker/redis_url.h */
    const char *prefix;   /* of all keys and channels; default "sennit" */
    const char *instance; /* this instance's id, unique in the fleet: publisher id and inbox */
    struct broker_bounds bounds;
};

/* NULL with `err` set if the URL, or a file that it names, is wrong. Connects from the loop, and reconnects without
 * end, with backoff (100 ms doubling to 2 s, jittered). Logs changes of state. */
struct broker *broker_redis_create(struct net *net, const struct broker_redis_config *config, struct err *err);

#endif
