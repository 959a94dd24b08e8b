/* publish: publishes messages into a Redis as fast as it takes them, in one of several ways, and measures the cost for
 * Redis.
 *
 * `--publishers` of them are under way at any time, and the next follows when one is answered: so Redis is never idle,
 * and its CPU time by its own clock, divided by messages, is what a message costs. What comes first is not counted: a
 * tenth of it, or `--warm` of them. */
#include "publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "flags.h"
#include "loop/process.h"

void publish_room(struct buf *to, uint32_t room)
{
    buf_clear(to);
    buf_append(to, SPAN_LIT("/,bench-"));
    buf_append_u64(to, room);
}

static uint64_t cpu_us(uint64_t pid)
{
    uint64_t used;
    struct err err;
    if (!process_cpu_read((pid_t)pid, &used, &err))
        bench_fail("%s", err.text);
    return used;
}

static void marks_take(struct publish *publish)
{
    publish->began_us = loop_now_us(publish->loop);
    publish->redis_us = cpu_us(publish->pid);
    publish->own_us = cpu_us(0);
}

static void send_next(struct publish *publish)
{
    publish->way->send(publish, publish->order[publish->sent++]);
}

void publish_ready(struct publish *publish)
{
    for (uint64_t i = 0; i < publish->publishers && i < publish->messages; i++)
        send_next(publish);
}

static void report(const struct publish *publish)
{
    printf("{\"messages\":%llu,\"redis_us\":%llu,\"own_us\":%llu,\"us\":%llu}\n",
           (unsigned long long)(publish->messages - publish->warm),
           (unsigned long long)(cpu_us(publish->pid) - publish->redis_us),
           (unsigned long long)(cpu_us(0) - publish->own_us),
           (unsigned long long)(loop_now_us(publish->loop) - publish->began_us));
}

void publish_done(struct publish *publish)
{
    publish->done++;
    if (publish->done == publish->warm)
        marks_take(publish);
    if (publish->done == publish->messages) {
        report(publish);
        fflush(stdout);
        exit(0); /* links and all: this process has nothing that anybody needs */
    }
    if (publish->sent < publish->messages)
        send_next(publish);
}

/* The same for every way. */
static void rooms_order(struct publish *publish)
{
    uint64_t state = 1;
    publish->order = mem_zero(publish->messages, sizeof *publish->order);
    for (uint64_t i = 0; i < publish->messages; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        publish->order[i] = (uint32_t)((publish->in_turn != 0 ? i : state >> 33) % publish->rooms);
    }
}

static const struct publish_way *way_find(const char *name)
{
    const struct publish_way *way = strcmp(name, "broker") == 0       ? &publish_way_broker
                                    : strcmp(name, "everywhere") == 0 ? &publish_way_everywhere
                                                                      : publish_way_raw(name);
    if (way == NULL)
        bench_fail("--way: there is no way %s", name);
    return way;
}

int main(int argc, char **argv)
{
    struct publish publish = {.rooms = 1, .bytes = 64, .messages = 100000, .publishers = 1000, .keep = 1000};
    const char *way = "broker";
    const struct flag flags[] = {
        {"port", NULL, &publish.port},
        {"pid", NULL, &publish.pid},
        {"way", &way, NULL},
        {"rooms", NULL, &publish.rooms},
        {"bytes", NULL, &publish.bytes},
        {"messages", NULL, &publish.messages},
        {"publishers", NULL, &publish.publishers},
        {"subscribed", NULL, &publish.subscribed},
        {"warm", NULL, &publish.warm},
        {"keep", NULL, &publish.keep},
        {"in-turn", NULL, &publish.in_turn},
    };
    flags_read(argc, argv, flags, sizeof flags / sizeof flags[0]);
    if (publish.rooms == 0 || publish.keep == 0 || publish.messages < 10 || publish.publishers == 0)
        bench_fail("--rooms, --keep and --publishers must be above 0, --messages 10 at least");
    publish.loop = bench_begin(&publish.net);
    publish.way = way_find(way);
    char *body = mem_alloc(publish.bytes);
    memset(body, 'x', publish.bytes);
    publish.body = span_of(body, publish.bytes);
    if (publish.warm == 0 || publish.warm >= publish.messages)
        publish.warm = publish.messages / 10;
    rooms_order(&publish);
    publish.way->start(&publish);
    loop_run(publish.loop);
    return 1;
}
