/* managed_redis: Debian's redis-server beside the service, for `sennit.dev/redis: managed`: on a unix socket that only
 * this user can reach (no port), with bounded memory and an append-only file, started again on the same socket and file
 * when it ends. */
#ifndef SENNIT_PLATFORM_MANAGED_REDIS_H
#define SENNIT_PLATFORM_MANAGED_REDIS_H

#include "loop/child.h"
#include "loop/file.h"
#include "net/conn.h"

enum { REDIS_RESTART_MS_MIN = 250, REDIS_RESTART_MS_MAX = 5000, REDIS_STOP_MS = 10000, REDIS_PROBE_MS = 25 };

struct managed_redis_options {
    const char *directory;     /* of its data; made if it is missing */
    uint64_t restart_delay_ms; /* how long it stays away when it has ended; 0: not long */
    uint64_t memory_bytes_max;
};

struct managed_redis {
    struct loop *loop;
    struct net *net;
    struct child child;
    struct conn probe;
    struct timer timer;    /* the next start, or the next probe */
    struct timer deadline; /* SIGKILL */
    char *directory;       /* of its data, absolute */
    char *short_directory; /* of the socket, where its path would not fit in the other; NULL: it does */
    char *socket, *url;
    struct addr addr; /* the socket */
    uint64_t restart_ms;
    struct managed_redis_options options;
    struct file_lock lock; /* on the directory */
    char last[256];        /* line of its output that is not empty */
    bool running, answers, answered, probing, stopping;
    void (*ready)(struct managed_redis *redis);   /* it answers, for the first time */
    void (*stopped)(struct managed_redis *redis); /* after managed_redis_stop */
};

/* The directory is closed to other users (loop/private.h), and holds the data of one such Redis at a time. False with
 * `err` set: no redis-server names the package to install. */
bool managed_redis_start(struct managed_redis *redis, struct net *net, const struct managed_redis_options *options,
                         struct err *err);
/* SIGTERM; `stopped` follows, at once if it does not run. */
void managed_redis_stop(struct managed_redis *redis);
void managed_redis_kill(struct managed_redis *redis);
void managed_redis_finish(struct managed_redis *redis); /* accepts zeroed */

#endif
