/* managed_redis: Debian's redis-server beside the service, for `sennit.dev/redis: managed`: on a free loopback port,
 * with an append-only file, started again on the same port and file when it ends. */
#ifndef SENNIT_PLATFORM_MANAGED_REDIS_H
#define SENNIT_PLATFORM_MANAGED_REDIS_H

#include "loop/child.h"
#include "loop/file.h"
#include "net/conn.h"

enum { REDIS_RESTART_MS_MIN = 250, REDIS_RESTART_MS_MAX = 5000, REDIS_STOP_MS = 10000, REDIS_PROBE_MS = 25 };

struct managed_redis {
    struct loop *loop;
    struct net *net;
    struct child child;
    struct conn probe;
    struct timer timer;    /* the next start, or the next probe */
    struct timer deadline; /* SIGKILL */
    char *directory, *url;
    uint16_t port;
    uint64_t restart_ms, restart_delay_ms;
    struct file_lock lock; /* on the directory */
    char last[256];        /* line of its output that is not empty */
    bool running, answers, answered, probing, stopping;
    void (*ready)(struct managed_redis *redis);   /* it answers, for the first time */
    void (*stopped)(struct managed_redis *redis); /* after managed_redis_stop */
};

/* `directory` (made if it is missing) holds its data, and only one such Redis at a time. False with `err` set: no
 * redis-server names the package to install. */
bool managed_redis_start(struct managed_redis *redis, struct net *net, const char *directory, uint64_t restart_delay_ms,
                         struct err *err);
/* SIGTERM; `stopped` follows, at once if it does not run. */
void managed_redis_stop(struct managed_redis *redis);
void managed_redis_kill(struct managed_redis *redis);
void managed_redis_finish(struct managed_redis *redis); /* accepts zeroed */

#endif
