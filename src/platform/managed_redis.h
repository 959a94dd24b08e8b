/* managed_redis: Debian's redis-server, or valkey-server, beside a service, for `sennit.dev/redis: managed`. It listens on a unix socket;
 * a port of ours leads there (redis_port). It has bounded memory and an append-only file. */
#ifndef SENNIT_PLATFORM_MANAGED_REDIS_H
#define SENNIT_PLATFORM_MANAGED_REDIS_H

#include "platform/managed.h"
#include "platform/redis_port.h"

struct managed_redis_options {
    const char *directory;     /* of its data; created if missing */
    uint64_t restart_delay_ms; /* see struct managed */
    uint64_t memory_bytes_max;
};

/* Zeroed memory is OFF. */
struct managed_redis {
    struct managed managed;
    struct redis_port port; /* for REDISHOST and REDISPORT */
    char *url;
    uint64_t memory_bytes_max;
};

/* Closes the directory to other users (loop/private.h). The owner has set the callbacks in `managed`. False with `err`
 * set; if there is neither, the text names the package to install. Call managed_redis_finish in either case. */
bool managed_redis_start(struct managed_redis *redis, struct programs *programs,
                         const struct managed_redis_options *options, struct err *err);
/* Sets the variables by which a program finds it: REDIS_URL, REDISHOST and REDISPORT. */
void managed_redis_tell(const struct managed_redis *redis, struct words *environment);
/* As managed_stop. */
void managed_redis_stop(struct managed_redis *redis);
/* No longer listens for clients; before net_finish. Accepts zeroed memory. */
void managed_redis_close(struct managed_redis *redis);
/* The process is gone, and it is closed. Accepts zeroed memory. */
void managed_redis_finish(struct managed_redis *redis);

#endif
