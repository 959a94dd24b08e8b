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

static void start(struct publish *publish)
{
    publish->follower = (struct follower){.arg = publish, .up = on_up, .subscribed = on_subscribed};
    follower_start(&publish->follower, &publish->net, publish->port, "bench");
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
