/* fake_redis: a Redis 7 in this process: bytes of RESP2 in, bytes of RESP2 out, no descriptor and no clock of its own.
 *
 * It runs the script text that the product ships, and answers as the real one does, errors included (test_fake_redis.c
 * holds it to that). Its behaviour follows from its seed, the bytes it was fed and the time it was given. */
#ifndef SENNIT_SIM_FAKE_REDIS_H
#define SENNIT_SIM_FAKE_REDIS_H

#include "base/span.h"

struct fake_redis;
struct fake_redis_client;
struct fake_redis_snapshot;

struct fake_redis *fake_redis_create(uint64_t seed);
/* Every client was disconnected before. Accepts NULL. */
void fake_redis_destroy(struct fake_redis *redis);

/* Sets its clock, in microseconds since 1970; 0 at first. It may go back. */
void fake_redis_time(struct fake_redis *redis, int64_t wall_us);

/* Takes replies and pushes; must not call the fake. Called at the end of fake_redis_feed, for each client that has
 * something to hear. */
typedef void fake_redis_out_fn(void *arg, const char *bytes, size_t len);
struct fake_redis_client *fake_redis_connect(struct fake_redis *redis, fake_redis_out_fn *out, void *arg);
/* Bytes of requests, cut anywhere. False when they are no RESP, after an error reply, or when the server has dropped
 * this client: nothing more is taken from it. */
bool fake_redis_feed(struct fake_redis_client *client, const char *bytes, size_t len);
/* Accepts NULL. */
void fake_redis_disconnect(struct fake_redis_client *client);

/* It ends and comes back: another run id, no scripts, no clients (those that are left are dropped, and are still to be
 * disconnected); with its data or without. */
void fake_redis_restart(struct fake_redis *redis, bool keep_data);
/* All of its data, to be destroyed by the caller; restoring it, as often as wanted, is a restart that loses what came
 * since. */
struct fake_redis_snapshot *fake_redis_snapshot(const struct fake_redis *redis);
void fake_redis_restore(struct fake_redis *redis, const struct fake_redis_snapshot *snapshot);
void fake_redis_snapshot_destroy(struct fake_redis_snapshot *snapshot); /* accepts NULL */

/* Somebody who looks on, and sees everything in the order in which it happens. Must not call the fake; spans are
 * borrowed until it returns. */
struct fake_redis_watcher {
    /* A request was run, or refused with an error; its reply. */
    void (*ran)(void *arg, uint64_t client, const struct span *args, size_t count, struct span reply);
    /* A message was published, with or without subscribers. */
    void (*published)(void *arg, struct span channel, struct span message);
    /* A subscriber is about to be sent it; `out_arg` as in fake_redis_connect. False: it is not, and never learns of
     * it. */
    bool (*heard)(void *arg, uint64_t client, void *out_arg, struct span channel, struct span message);
    /* A key is gone because its time was over. */
    void (*expired)(void *arg, struct span key);
    /* A client is gone. */
    void (*left)(void *arg, uint64_t client);
};
/* NULL: nobody does. */
void fake_redis_watch(struct fake_redis *redis, const struct fake_redis_watcher *watcher, void *arg);

/* The next `count` commands to which this error can happen get it: OOM befalls those that may take memory, READONLY
 * those that write (both also inside of scripts, before their first write), NOSCRIPT EVALSHA, LOADING and anything else
 * all but the few that a loading server answers. "" or 0 ends it. */
void fake_redis_fail_next(struct fake_redis *redis, const char *error, int count);
/* As SCRIPT FLUSH. */
void fake_redis_scripts_forget(struct fake_redis *redis);

#endif
