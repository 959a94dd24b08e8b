/* managed_redis: runs Debian's redis-server beside a service, for `sennit.dev/redis: managed`. It listens on a unix
 * socket that only this user can reach; a port of ours leads there (redis_port). It has bounded memory and an
 * append-only file. When it ends, it is restarted on the same socket and file. The service owns it.
 *
 *   MANAGED_REDIS_MOVES:
 *     OFF --managed_redis_start--> STARTING --it answers PING--> READY
 *     STARTING, READY --it ended by itself--> WAITING --the delay is over--> STARTING
 *     STARTING, READY --managed_redis_stop--> STOPPING --it ended--> STOPPED
 *     WAITING --managed_redis_stop--> STOPPED
 */
#ifndef SENNIT_PLATFORM_MANAGED_REDIS_H
#define SENNIT_PLATFORM_MANAGED_REDIS_H

#include "loop/file.h"
#include "platform/program.h"
#include "platform/redis_port.h"
#include "platform/words.h"

enum { REDIS_RESTART_MS_MIN = 250, REDIS_RESTART_MS_MAX = 5000 };

enum managed_redis_state {
    MANAGED_REDIS_OFF,
    MANAGED_REDIS_STARTING,
    MANAGED_REDIS_READY,
    MANAGED_REDIS_WAITING,
    MANAGED_REDIS_STOPPING,
    MANAGED_REDIS_STOPPED,
    MANAGED_REDIS_STATES,
};

struct managed_redis_options {
    const char *directory;     /* of its data; created if missing */
    uint64_t restart_delay_ms; /* time from its end to the restart; 0: a short backoff */
    uint64_t memory_bytes_max;
};

/* Zeroed memory is OFF. */
struct managed_redis {
    struct program program;
    struct timer restart;
    char *directory;       /* of its data, absolute */
    char *short_directory; /* of the socket, if its path in `directory` would be too long; else NULL */
    char *socket, *url;
    struct redis_port port; /* for REDISHOST and REDISPORT */
    struct addr addr;       /* the socket */
    uint64_t restart_ms;
    struct managed_redis_options options;
    struct file_lock lock; /* on the directory */
    char last[256];        /* the last line of its output that is not empty */
    uint8_t state;         /* enum managed_redis_state */
    /* The owner's callbacks, set before the start. */
    void (*ready)(struct managed_redis *redis);   /* it answers, after each start */
    void (*stopped)(struct managed_redis *redis); /* after managed_redis_stop */
};

/* Closes the directory to other users (loop/private.h), and locks it for one Redis at a time. False with `err` set; if
 * there is no redis-server, the text names the package to install. Call managed_redis_finish in either case. */
bool managed_redis_start(struct managed_redis *redis, struct programs *programs,
                         const struct managed_redis_options *options, struct err *err);
/* Sets the variables by which a program finds it: REDIS_URL, REDISHOST and REDISPORT. */
void managed_redis_tell(const struct managed_redis *redis, struct words *environment);
/* The process, 0 while there is none. */
pid_t managed_redis_pid(const struct managed_redis *redis);
/* Sends SIGTERM; `stopped` follows, at once if Redis does not run. It has been started, and is not stopped twice. */
void managed_redis_stop(struct managed_redis *redis);
/* Sends SIGKILL; harmless if it does not run. */
void managed_redis_kill(struct managed_redis *redis);
/* No longer listens for clients; before net_finish. Accepts zeroed memory. */
void managed_redis_close(struct managed_redis *redis);
/* The process is gone, and it is closed. Accepts zeroed memory. */
void managed_redis_finish(struct managed_redis *redis);

#endif
