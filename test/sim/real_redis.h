/* real_redis: a redis-server of this machine, on a unix socket in a directory of its own, to compare the fake one with.
 */
#ifndef SENNIT_SIM_REAL_REDIS_H
#define SENNIT_SIM_REAL_REDIS_H

#include <sys/types.h>

#include "base/buf.h"

struct real_redis {
    pid_t pid;
    char directory[64], socket[96];
};

/* Starts it; false when there is no redis-server on this machine (or it does not start within ten seconds). */
bool real_redis_start(struct real_redis *redis);
/* Ends it and removes its directory. */
void real_redis_stop(struct real_redis *redis);
/* A connected stream; the caller closes it. */
int real_redis_connect(const struct real_redis *redis);
void real_redis_write(int fd, struct span bytes);
/* Appends what has come to `to`, some bytes at least; waits for five seconds at most. */
void real_redis_read_some(int fd, struct buf *to);
/* Appends replies to `to` until `count` more are whole; five seconds at most. */
void real_redis_read(int fd, struct buf *to, size_t count);

/* A script's text, which the caller frees, with every reading of the clock replaced by one of a hash's fields `s` and
 * `us`: so two servers see the same moment, and time passes without waiting. */
char *script_with_clock(const char *text, const char *key);
/* Bytes of the whole reply at the front of `bytes`, 0 when it is not whole. */
size_t reply_length(struct span bytes);

#endif
