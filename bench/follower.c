/* follower: a receiver of the broker's events that ends the process on those that a load must not see. See follower.h.
 */
#include "follower.h"

#include <stdio.h>

#include "broker/redis.h"
#include "flags.h"

enum { URL_BYTES = 64 };

static void on_up(void *arg, struct span epoch, struct span previous, uint64_t previous_end)
{
    struct follower *follower = arg;
    follower->up(follower->arg);
}

static void on_down(void *arg)
{
    bench_fail("the link to Redis broke");
}

static void on_unusable(void *arg, const char *why)
{
    bench_fail("%s", why);
}

static const struct broker_watcher watcher = {.unusable = on_unusable};

static void on_subscribed(void *arg, struct span room, uint64_t last, uint64_t position)
{
    struct follower *follower = arg;
    follower->subscribed(follower->arg);
}

static void on_pushed(void *arg, const struct broker_entry *entry)
{
    struct follower *follower = arg;
    if (follower->pushed != NULL)
        follower->pushed(follower->arg, entry);
}

static void on_top(void *arg, struct span room, uint64_t last)
{
}

static void on_reached(void *arg, uint64_t position)
{
}

static void on_forgotten(void *arg, struct span room, uint64_t floor)
{
}

static void on_kept(void *arg, uint64_t number)
{
}

static void on_presence(void *arg, struct span room, const struct broker_present *who, bool entered, uint64_t count)
{
}

static void on_superseded(void *arg, struct span pid, uint64_t generation)
{
}

static const struct broker_events events = {
    .up = on_up,
    .down = on_down,
    .subscribed = on_subscribed,
    .forgotten = on_forgotten,
    .kept = on_kept,
    .pushed = on_pushed,
    .top = on_top,
    .reached = on_reached,
    .presence = on_presence,
    .superseded = on_superseded,
};

void follower_start(struct follower *follower, struct net *net, uint64_t port, const char *instance)
{
    char url[URL_BYTES];
    struct err err;
    snprintf(url, sizeof url, "redis://127.0.0.1:%u%s", (unsigned)port,
             follower->options != NULL ? follower->options : "");
    follower->broker = broker_redis_create(
        net, &(struct broker_redis_config){.url = url, .prefix = "bench", .instance = instance}, &err);
    if (follower->broker == NULL)
        bench_fail("%s", err.text);
    broker_attach(follower->broker, &events, follower);
    broker_watch(follower->broker, &watcher, follower);
}
