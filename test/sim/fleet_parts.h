/* fleet_parts: what the files of the fleet share. */
#ifndef SENNIT_SIM_FLEET_PARTS_H
#define SENNIT_SIM_FLEET_PARTS_H

#include "fake_redis.h"
#include "fleet.h"
#include "serve/serve.h"
#include "sim_parts.h"
#include "stock_client.h"
#include "wire/resp.h"

enum {
    REDIS_PORT = 6379,
    INSTANCE_PORT = 10001,
    INSTANCES_MAX = 16,
    BACK_WITHIN_S = 10, /* everybody is connected and has everything so soon after faults end */
};

struct instance {
    struct fleet *fleet;
    uint16_t port;
    struct loop *loop; /* NULL: not running */
    struct server server;
    struct timer change; /* starts again, or goes on */
    bool paused, draining;
};

struct fleet {
    const struct fleet_plan *plan;
    struct sim *sim;
    struct check check;
    struct client_world world;
    struct instance instances[INSTANCES_MAX];
    struct stock_client *clients;
    struct fake_redis *redis;
    struct fake_redis_client *observer;
    struct resp_reader *observed;
    struct fake_redis_snapshot *snapshot;
    uint64_t snapshot_us;
    struct list streams; /* to Redis */
    struct timer redis_change, fault;
    bool redis_down, redis_paused;
    int64_t clock_jump_ms; /* of Redis */
    char config[64];
    uint64_t faults;
    bool verbose; /* says what befalls the fleet */
};

/* Says what happens, for a reader; printf's rules. */
void fleet_say(const struct fleet *fleet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* fleet.c: instances end and start. */
void instance_kill(struct instance *instance);
void instance_pause(struct instance *instance);
void instance_drain(struct instance *instance);

/* fleet_redis.c: the broker, and the observer that hears everything it accepts. */
void redis_start(struct fleet *fleet);
void redis_finish(struct fleet *fleet);
/* It ends, and comes back later, with its data or with what it had at the last snapshot. */
void redis_kill(struct fleet *fleet, bool failover);
void redis_pause(struct fleet *fleet);
/* It goes on, or comes back, now. */
void redis_heal(struct fleet *fleet);
void redis_snapshot(struct fleet *fleet);
void redis_clock_jump(struct fleet *fleet, int64_t offset_ms);
/* The keys, one a line, that would be there once everything that ends has ended. */
void redis_keys_for_ever(struct fleet *fleet, struct buf *names);

/* fleet_faults.c */
void faults_start(struct fleet *fleet);
/* Nothing more goes wrong by itself, and everything that was broken is whole again. */
void faults_heal(struct fleet *fleet);

#endif
