/* fleet_redis: the fleet's Redis: streams to it, its ends and returns. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fake_redis_stream.h"
#include "fleet_parts.h"

enum { CLOCK_S = 1700000000 }; /* when it all begins, since 1970 */

struct redis_stream {
    struct list node;
    struct fleet *fleet;
    struct instance *instance; /* at the other end */
    struct sim_end *end;
    struct fake_redis_client *client;
};

static void redis_out(void *arg, const char *bytes, size_t len)
{
    struct redis_stream *stream = arg;
    if (stream->end != NULL)
        sim_send(stream->end, bytes, len);
}

static void redis_clock(struct fleet *fleet)
{
    fake_redis_time(fleet->redis,
                    CLOCK_S * INT64_C(1000000) + (int64_t)sim_now_us(fleet->sim) + fleet->clock_jump_ms * 1000);
}

static struct instance *instance_of(struct fleet *fleet, const struct loop *loop)
{
    struct instance *instance = fleet->instances;
    while (instance->loop != loop)
        instance++;
    return instance;
}

static void stream_destroy(struct redis_stream *stream)
{
    check_link_lost(&stream->fleet->check, stream->instance->number);
    stream->end = NULL;
    fake_redis_disconnect(stream->client);
    list_remove(&stream->node);
    free(stream);
}

static void *redis_accepted(void *arg, struct sim_end *end)
{
    struct fleet *fleet = arg;
    struct redis_stream *stream = mem_zero(1, sizeof *stream);
    stream->fleet = fleet;
    stream->instance = instance_of(fleet, sim_host_of(end));
    stream->end = end;
    check_link_lost(&fleet->check, stream->instance->number);
    list_init(&stream->node);
    list_append(&fleet->streams, &stream->node);
    stream->client = fake_redis_connect(fleet->redis, redis_out, stream);
    return stream;
}

static void redis_received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    struct redis_stream *stream = owner;
    redis_clock(stream->fleet);
    if (fake_redis_feed(stream->client, bytes, len))
        return;
    check_fail(&stream->fleet->check, "an instance sent Redis what is no command");
    stream_destroy(stream);
    sim_close(end, true);
}

static void redis_closed(struct sim_end *end, void *owner)
{
    stream_destroy(owner);
}

static const struct sim_peer redis_peer = {NULL, redis_received, redis_closed};

struct instance *redis_stream_instance(const void *arg)
{
    const struct redis_stream *stream = arg;
    return stream->instance;
}

static void redis_streams_cut(struct fleet *fleet)
{
    list_each (node, &fleet->streams) {
        struct redis_stream *stream = container_of(node, struct redis_stream, node);
        struct sim_end *end = stream->end;
        stream_destroy(stream);
        sim_close(end, true);
    }
}

static void redis_up(struct fleet *fleet)
{
    sim_listen(fleet->sim, REDIS_PORT, &redis_peer, redis_accepted, fleet);
    fleet->redis_down = false;
}

static void redis_change(struct timer *timer)
{
    struct fleet *fleet = container_of(timer, struct fleet, redis_change);
    if (fleet->redis_down)
        redis_up(fleet);
    if (fleet->redis_paused)
        sim_listen_pause(fleet->sim, REDIS_PORT, false);
    fleet->redis_paused = false;
    fleet_trouble(fleet);
    program_trouble(fleet, -1);
}

void redis_kill(struct fleet *fleet, bool failover)
{
    redis_streams_cut(fleet);
    sim_unlisten(fleet->sim, REDIS_PORT);
    redis_clock(fleet);
    fleet_say(fleet, "Redis ends%s", failover ? ": what came since the snapshot is lost" : "");
    if (failover && fleet->snapshot != NULL) {
        fake_redis_restore(fleet->redis, fleet->snapshot);
        check_restored(&fleet->check);
        for (int i = 0; i < fleet->plan->clients; i++)
            stock_client_broker_lost(&fleet->clients[i], fleet->snapshot_us);
    } else {
        fake_redis_restart(fleet->redis, true);
        if (fleet->plan->tape != NULL)
            tape_scripts_forgotten(fleet->plan->tape);
    }
    fleet->redis_down = true;
    program_trouble(fleet, -1);
    sim_timer_start(fleet->sim, &fleet->redis_change, LOOP_MS(1 + sim_below(fleet->sim, 2000)));
}

void redis_snapshot(struct fleet *fleet)
{
    fleet_say(fleet, "a snapshot of Redis' data");
    fake_redis_snapshot_destroy(fleet->snapshot);
    redis_clock(fleet);
    fleet->snapshot = fake_redis_snapshot(fleet->redis);
    fleet->snapshot_us = sim_now_us(fleet->sim);
    check_snapshot(&fleet->check);
}

void redis_pause(struct fleet *fleet)
{
    fleet_say(fleet, "Redis pauses");
    fleet->redis_paused = true;
    program_trouble(fleet, -1);
    sim_listen_pause(fleet->sim, REDIS_PORT, true);
    sim_timer_start(fleet->sim, &fleet->redis_change, LOOP_MS(50 + sim_below(fleet->sim, 4000)));
}

void redis_heal(struct fleet *fleet)
{
    fake_redis_fail_next(fleet->redis, "", 0);
    fleet->swallow_left = 0;
    sim_timer_stop(fleet->sim, &fleet->redis_change);
    redis_change(&fleet->redis_change);
}

void redis_clock_jump(struct fleet *fleet, int64_t offset_ms)
{
    fleet_say(fleet, "Redis' clock is off by %lld ms", (long long)offset_ms);
    fleet->clock_jump_ms = offset_ms;
}

struct fake_key *redis_key(struct fleet *fleet, const char *kind, struct span name)
{
    struct buf key = {0};
    struct fake_redis_client nobody = {.redis = fleet->redis};
    struct fake_call look = {.redis = fleet->redis, .client = &nobody};
    redis_clock(fleet);
    buf_printf(&key, "sennit:{0}:%s" SPAN_FMT, kind, SPAN_ARG(name));
    struct fake_key *found = fake_key_find(&look, buf_span(&key));
    buf_finish(&key);
    return found;
}

/* Ids are <seq>-<ms>. An entry that is too old must not be read any more, although it is still there. */
static uint64_t oldest(void *arg, struct span room)
{
    struct fleet *fleet = arg;
    const struct fake_key *key = redis_key(fleet, "log:", room);
    uint64_t age = fleet->plan->log_age_ms, now = (uint64_t)fleet->redis->now_us / 1000;
    if (key == NULL)
        return UINT64_MAX;
    const struct fake_stream *stream = key->stream;
    for (struct stream_place at = stream_place_find(stream, (struct stream_id){0, 0}); at.node < stream->count;
         at = (struct stream_place){.node = at.node + 1}) {
        const struct stream_node *node = stream->nodes[at.node];
        for (; at.entry < node->count; at.entry++)
            if (age == 0 || node->entries[at.entry]->id.seq + age >= now)
                return node->entries[at.entry]->id.ms;
    }
    return UINT64_MAX;
}

void redis_start(struct fleet *fleet)
{
    list_init(&fleet->streams);
    fleet->redis = fake_redis_create(sim_random(fleet->sim));
    fleet->replies = resp_reader_create(1 << 20);
    fake_redis_watch(fleet->redis, &fleet_watcher, fleet);
    fleet->check.truths.oldest = oldest;
    fleet->check.truths.arg = fleet;
    timer_init(&fleet->redis_change, redis_change);
    redis_clock(fleet);
    redis_up(fleet);
}

void redis_finish(struct fleet *fleet)
{
    sim_timer_stop(fleet->sim, &fleet->redis_change);
    redis_streams_cut(fleet);
    fake_redis_snapshot_destroy(fleet->snapshot);
    fake_redis_destroy(fleet->redis);
    resp_reader_destroy(fleet->replies);
}
