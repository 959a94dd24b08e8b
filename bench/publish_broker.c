/* publish_broker: by our broker, as the hub calls it. */
#include "broker/redis.h"
#include "flags.h"
#include "publish.h"

static const struct broker_retention retention = {
    .entries_max = PUBLISH_LOG_ENTRIES, .bytes_max = 1 << 30, .age_ms_max = PUBLISH_AGE_MS};

static void on_up(void *arg, struct span epoch, struct span previous, uint64_t previous_end)
{
    struct publish *publish = arg;
    struct buf room = {0};
    if (publish->subscribed == 0) {
        publish_ready(publish);
        return;
    }
    for (uint32_t i = 0; i < publish->rooms; i++) {
        publish_room(&room, i);
        broker_subscribe(publish->broker, buf_span(&room));
    }
    buf_finish(&room);
}

static void on_down(void *arg)
{
    bench_fail("the link to Redis broke");
}

static void on_unusable(void *arg, const char *why)
{
    bench_fail("%s", why);
}

static void on_subscribed(void *arg, struct span room, uint64_t last, uint64_t position)
{
    struct publish *publish = arg;
    if (++publish->ready == publish->rooms)
        publish_ready(publish);
}

static void on_pushed(void *arg, const struct broker_entry *entry)
{
}

static void on_top(void *arg, struct span room, uint64_t last)
{
}

static void on_reached(void *arg, uint64_t position)
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
    .unusable = on_unusable,
    .subscribed = on_subscribed,
    .pushed = on_pushed,
    .top = on_top,
    .reached = on_reached,
    .presence = on_presence,
    .superseded = on_superseded,
};

static void start(struct publish *publish)
{
    struct err err;
    publish->broker = broker_redis_create(
        &publish->net, &(struct broker_redis_config){.url = publish->url, .prefix = "bench", .instance = "bench"},
        &err);
    if (publish->broker == NULL)
        bench_fail("%s", err.text);
    broker_attach(publish->broker, &events, publish);
}

static void accepted(void *arg, enum broker_result result)
{
    publish_done(arg);
}

static void send(struct publish *publish, uint32_t number)
{
    struct buf room = {0};
    publish_room(&room, number);
    struct broker_publish message = {.room = buf_span(&room), .body = publish->body, .retention = &retention};
    if (!broker_publish(publish->broker, &message, accepted, publish))
        bench_fail("the broker's backlog is full: fewer --publishers");
    buf_finish(&room);
}

const struct publish_way publish_way_broker = {"broker", start, send};
