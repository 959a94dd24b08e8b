/* publish_broker: by our broker, as the hub calls it. */
#include "flags.h"
#include "follower.h"
#include "publish.h"

static void on_up(void *arg)
{
    struct publish *publish = arg;
    struct buf room = {0};
    if (publish->subscribed == 0) {
        publish_ready(publish);
        return;
    }
    for (uint32_t i = 0; i < publish->rooms; i++) {
        publish_room(&room, i);
        broker_subscribe(publish->follower.broker, buf_span(&room));
    }
    buf_finish(&room);
}

static void on_subscribed(void *arg)
{
    struct publish *publish = arg;
    if (++publish->ready == publish->rooms)
        publish_ready(publish);
}

static void start_with(struct publish *publish, const char *options)
{
    publish->follower = (struct follower){.arg = publish, .options = options, .up = on_up, .subscribed = on_subscribed};
    follower_start(&publish->follower, &publish->net, publish->port, "bench");
}

static void start(struct publish *publish)
{
    start_with(publish, NULL);
}

static void start_everywhere(struct publish *publish)
{
    start_with(publish, "?sharded=no");
}

static void accepted(void *arg, enum broker_result result)
{
    publish_done(arg);
}

static void send(struct publish *publish, uint32_t number)
{
    struct buf room = {0};
    struct broker_retention retention = {
        .entries_max = publish->keep, .bytes_max = UINT64_C(1) << 40, .age_ms_max = PUBLISH_AGE_MS};
    publish_room(&room, number);
    struct broker_publish message = {.room = buf_span(&room), .body = publish->body, .retention = &retention};
    if (!broker_publish(publish->follower.broker, &message, accepted, publish))
        bench_fail("the broker's backlog is full: fewer --publishers");
    buf_finish(&room);
}

const struct publish_way publish_way_broker = {"broker", start, send};
const struct publish_way publish_way_everywhere = {"everywhere", start_everywhere, send};
