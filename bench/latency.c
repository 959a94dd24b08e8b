/* latency: from publishing to receipt, by our ordered feed and by plain PUBLISH, in turns of a quarter of a second.
 *
 * Each has a link that publishes and one that is subscribed; both ends are in this process, so no clocks are compared.
 * The time is taken before a message is handed over, and again in the turn of the loop in which it had come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/redis_link.h"
#include "flags.h"
#include "follower.h"
#include "load/histogram.h"

enum { SLICE_MS = 250, READY_ENDS = 4, WARM_SLICES = 4, SETTLE_MS = 50 };

struct latency {
    struct loop *loop;
    struct net net;
    uint64_t port, rate, seconds, bytes;
    struct follower publisher, subscriber; /* ours */
    struct redis_link commands, feed;      /* plain */
    int ready, slice;
    bool resting; /* between two slices nothing is sent, so that neither pays for the other */
    struct timer tick, change;
    uint64_t began_us, sent; /* of this slice */
    char *body;              /* begins with when it was sent */
    struct histogram ours, plain;
};

#define ROOM SPAN_LIT("/,bench")
#define CHANNEL SPAN_LIT("bench:{0}:plain:/,bench")

static bool slice_is_ours(const struct latency *latency)
{
    return latency->slice % 2 == 0;
}

static void received(struct latency *latency, struct histogram *histogram, struct span body)
{
    uint64_t sent_us;
    memcpy(&sent_us, body.data, sizeof sent_us);
    if (latency->slice >= WARM_SLICES)
        histogram_add(histogram, loop_now_us(latency->loop) - sent_us);
}

static void accepted(void *arg, enum broker_result result)
{
}

static void published(void *arg, const struct resp *reply)
{
}

static void send_one(struct latency *latency)
{
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    uint64_t now_us = loop_now_us(latency->loop);
    struct span body = span_of(latency->body, latency->bytes);
    memcpy(latency->body, &now_us, sizeof now_us);
    if (slice_is_ours(latency))
        broker_publish(latency->publisher.broker,
                       &(struct broker_publish){.room = ROOM, .body = body, .retention = &retention}, accepted,
                       latency);
    else
        redis_link_send(&latency->commands, (struct span[]){SPAN_LIT("PUBLISH"), CHANNEL, body}, 3, published, latency);
}

static void on_tick(struct timer *timer)
{
    struct latency *latency = container_of(timer, struct latency, tick);
    uint64_t elapsed_us = loop_now_us(latency->loop) - latency->began_us;
    while (latency->sent * 1000000 / latency->rate <= elapsed_us) {
        send_one(latency);
        latency->sent++;
    }
    timer_start(latency->loop, timer, latency->sent * 1000000 / latency->rate - elapsed_us);
}

static void report(const struct latency *latency)
{
    const struct histogram *ours = &latency->ours, *plain = &latency->plain;
    printf(
        "{\"ours\":{\"count\":%llu,\"p50\":%llu,\"p99\":%llu},\"plain\":{\"count\":%llu,\"p50\":%llu,\"p99\":%llu}}\n",
        (unsigned long long)ours->total, (unsigned long long)histogram_permille(ours, 500),
        (unsigned long long)histogram_permille(ours, 990), (unsigned long long)plain->total,
        (unsigned long long)histogram_permille(plain, 500), (unsigned long long)histogram_permille(plain, 990));
    fflush(stdout);
    exit(0); /* links and all: this process has nothing that anybody needs */
}

static void on_change(struct timer *timer)
{
    struct latency *latency = container_of(timer, struct latency, change);
    if (!latency->resting) {
        timer_stop(latency->loop, &latency->tick);
        latency->resting = true;
        timer_start(latency->loop, timer, LOOP_MS(SETTLE_MS));
        return;
    }
    latency->resting = false;
    if (++latency->slice >= WARM_SLICES &&
        (uint64_t)(latency->slice - WARM_SLICES) * SLICE_MS >= latency->seconds * 1000)
        report(latency);
    latency->began_us = loop_now_us(latency->loop);
    latency->sent = 0;
    timer_start(latency->loop, &latency->tick, 0);
    timer_start(latency->loop, timer, LOOP_MS(SLICE_MS));
}

static void end_ready(struct latency *latency)
{
    if (++latency->ready < READY_ENDS)
        return;
    latency->resting = true;
    latency->slice = -1;
    timer_start(latency->loop, &latency->change, 0);
}

static void on_publisher_up(void *arg)
{
    end_ready(arg);
}

static void on_subscriber_up(void *arg)
{
    struct latency *latency = arg;
    broker_subscribe(latency->subscriber.broker, ROOM);
}

static void on_subscribed(void *arg)
{
    end_ready(arg);
}

static void on_pushed(void *arg, const struct broker_entry *entry)
{
    struct latency *latency = arg;
    received(latency, &latency->ours, entry->body);
}

static struct latency *latency_of(struct redis_link *link)
{
    return link->subscriber ? container_of(link, struct latency, feed) : container_of(link, struct latency, commands);
}

static void link_opened(struct redis_link *link)
{
    if (link->subscriber)
        redis_link_send(link, (struct span[]){SPAN_LIT("SUBSCRIBE"), CHANNEL}, 2, NULL, NULL);
    else
        end_ready(latency_of(link));
}

static void link_pushed(struct redis_link *link, const struct resp *reply)
{
    struct latency *latency = latency_of(link);
    if (span_equal(reply->items[0].text, SPAN_LIT("message")))
        received(latency, &latency->plain, reply->items[2].text);
    else
        end_ready(latency);
}

static void link_closed(struct redis_link *link)
{
    bench_fail("the link to Redis broke");
}

static const struct redis_link_events link_events = {link_opened, link_pushed, link_closed};

static void start(struct latency *latency)
{
    struct addr addr;
    addr_loopback(&addr, (uint16_t)latency->port);
    latency->publisher = (struct follower){.arg = latency, .up = on_publisher_up};
    latency->subscriber =
        (struct follower){.arg = latency, .up = on_subscriber_up, .subscribed = on_subscribed, .pushed = on_pushed};
    follower_start(&latency->publisher, &latency->net, latency->port, "publisher");
    follower_start(&latency->subscriber, &latency->net, latency->port, "subscriber");
    latency->feed.subscriber = true;
    redis_link_init(&latency->commands, &latency->net, &link_events);
    redis_link_init(&latency->feed, &latency->net, &link_events);
    redis_link_open(&latency->commands, &addr, NULL);
    redis_link_open(&latency->feed, &addr, NULL);
    timer_init(&latency->tick, on_tick);
    timer_init(&latency->change, on_change);
}

int main(int argc, char **argv)
{
    struct latency *latency = mem_zero(1, sizeof *latency);
    latency->rate = 200;
    latency->seconds = 5;
    latency->bytes = 64;
    const struct flag flags[] = {
        {"port", NULL, &latency->port},
        {"rate", NULL, &latency->rate},
        {"seconds", NULL, &latency->seconds},
        {"bytes", NULL, &latency->bytes},
    };
    flags_read(argc, argv, flags, sizeof flags / sizeof flags[0]);
    if (latency->rate == 0 || latency->bytes < sizeof(uint64_t))
        bench_fail("--rate must be above 0, --bytes 8 at least");
    latency->body = mem_zero(1, latency->bytes);
    latency->loop = bench_begin(&latency->net);
    start(latency);
    loop_run(latency->loop);
    return 1;
}
