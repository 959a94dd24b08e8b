/* redis_port: a port of 127.0.0.1 that leads to the managed Redis' socket, for programs that know REDISHOST and
 * REDISPORT alone. Only processes of this user, or of root, get through: the kernel's table of connections says whose
 * each one is. `managed_redis` owns it.
 *
 *     program -- TCP --> redis_port -- unix socket --> redis-server */
#ifndef SENNIT_PLATFORM_REDIS_PORT_H
#define SENNIT_PLATFORM_REDIS_PORT_H

#include "loop/netspace.h"
#include "net/listener.h"

enum {
    REDIS_PORT_CLIENTS_MAX = 1000,
    REDIS_PORT_QUEUE_BYTES_MAX = 64 << 20, /* one answer of Redis may be large; beyond it the client is cut */
    REDIS_PORT_PAUSE_BYTES = 64 << 10,     /* so much waits for one side before the other one is not read */
    REDIS_PORT_STALL_MS_MAX = 60000,
};

/* Zeroed memory is closed. */
struct redis_port {
    struct net *net;
    struct listener listener;
    struct addr target;
    struct list links;
    uint16_t number;
    uint32_t count;
    uint64_t refused; /* connections of other users */
};

/* The same port number in an instance's own network. Zeroed memory is closed. */
struct redis_door {
    struct redis_port *port;
    struct listener listener;
};

/* Listens on a free port. False with `err` set. */
bool redis_port_open(struct redis_port *port, struct net *net, const struct addr *target, struct err *err);
/* Ends all connections; harmless if it is closed. */
void redis_port_close(struct redis_port *port);
/* `port` outlives the door. False with `err` set. */
bool redis_door_open(struct redis_door *door, struct redis_port *port, const struct netspace *netspace,
                     struct err *err);
/* Its connections go on. Harmless if it is closed. */
void redis_door_close(struct redis_door *door);

#endif
