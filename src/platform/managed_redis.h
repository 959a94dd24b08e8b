/* managed_redis: runs Debian's redis-server beside the service, for `sennit.dev/redis: managed`. It listens on a unix
 * socket that only this user can reach, and on no port. It has bounded memory and an append-only file. When it ends, it
 * is restarted on the same socket and file. `up` owns it. */
#ifndef SENNIT_PLATFORM_MANAGED_REDIS_H
#define SENNIT_PLATFORM_MANAGED_REDIS_H

#include "loop/child.h"
#include "loop/file.h"
#include "net/conn.h"

enum { REDIS_RESTART_MS_MIN = 250, REDIS_RESTART_MS_MAX = 5000, REDIS_STOP_MS = 10000, REDIS_PROBE_MS = 25 };

struct managed_redis_options {
    const char *directory;     /* of its data; created if missing */
    uint64_t restart_delay_ms; /* time from its end to the restart; 0: a short backoff */
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
    char *short_directory; /* of the socket, if its path in `directory` would be too long; else NULL */
    char *socket, *url;
    struct addr addr; /* the socket */
    uint64_t restart_ms;
    struct managed_redis_options options;
    struct file_lock lock; /* on the directory */
    char last[256];        /* the last line of its output that is not empty */
    bool running, answers, answered, probing, stopping;
    void (*ready)(struct managed_redis *redis);   /* it answers, for the first time */
    void (*stopped)(struct managed_redis *redis); /* after managed_redis_stop */
};

/* Closes the directory to other users (loop/private.h), and locks it for one Redis at a time. False with `err` set; if
 * there is no redis-server, the text names the package to install. */
bool managed_redis_start(struct managed_redis *redis, struct net *net, const struct managed_redis_options *options,
                         struct err *err);
/* Sends SIGTERM; `stopped` follows, at once if Redis does not run. */
void managed_redis_stop(struct managed_redis *redis);
void managed_redis_kill(struct managed_redis *redis);
void managed_redis_finish(struct managed_redis *redis); /* accepts zeroed memory */

#endif
