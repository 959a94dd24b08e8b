/* resume: clients of one instance come back, all behind by the same number of messages; measures the cost.
 *
 *     CONNECTING all -> TOKENS: each gets one message -> AWAY: all are cut, what they miss is published -> BACK
 *
 * Only BACK is counted: Redis' commands (by its own statistics, set to zero before) and CPU, the server's CPU, the time
 * from a client's connect to the last message that it had missed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_link.h"
#include "client.h"
#include "flags.h"
#include "load/histogram.h"
#include "loop/process.h"

enum { CONNECTING_MAX = 256, TICK_MS = 1, AWAY_MS = 1000, STEP_MS_MAX = 120000, PUBLISH_AT_ONCE = 100 };

enum step { STEP_CONNECTING, STEP_TOKENS, STEP_AWAY, STEP_BACK };

struct runner {
    struct client client;
    uint64_t missed; /* of what it missed, how much has come */
    uint64_t began_us;
};

struct resume {
    struct loop *loop;
    struct net net;
    struct addr addr;
    uint64_t port, pid, redis_port, redis_pid, clients, missed, rate, bytes;
    enum step step;
    struct client publisher;
    struct runner *runners;
    uint64_t started, connected, done, recovered;
    uint64_t published, acknowledged;
    struct redis_link redis;
    struct timer tick, deadline;
    uint64_t began_us, own_us, server_us, redis_us;
    struct histogram taken;
};

static uint64_t cpu_us(uint64_t pid)
{
    uint64_t used;
    struct err err;
    if (!process_cpu_read((pid_t)pid, &used, &err))
        bench_fail("%s", err.text);
    return used;
}

static void step_begin(struct resume *resume, enum step step)
{
    resume->step = step;
    timer_start(resume->loop, &resume->deadline, LOOP_MS(STEP_MS_MAX));
}

static void on_deadline(struct timer *timer)
{
    struct resume *resume = container_of(timer, struct resume, deadline);
    bench_fail("step %d did not end: %llu of %llu clients connected, %llu had got all", (int)resume->step,
               (unsigned long long)resume->connected, (unsigned long long)resume->clients,
               (unsigned long long)resume->done);
}

static void publish_one(struct resume *resume)
{
    struct buf packet = {0};
    buf_printf(&packet, "42%llu[\"drawing\",{\"id\":\"%llu\",\"pad\":\"", (unsigned long long)resume->published,
               (unsigned long long)resume->published);
    for (uint64_t i = 0; i < resume->bytes; i++)
        buf_append_char(&packet, 'x');
    buf_append(&packet, SPAN_LIT("\"}]"));
    resume->published++;
    client_send(&resume->publisher, buf_span(&packet));
    buf_finish(&packet);
}

static void reported(void *arg, const struct resp *reply)
{
    struct resume *resume = arg;
    struct buf stats = {0};
    uint64_t us = loop_now_us(resume->loop) - resume->began_us;
    if (reply == NULL || reply->type != RESP_STRING)
        bench_fail("Redis does not tell its statistics");
    buf_append_json(&stats, reply->text);
    printf("{\"clients\":%llu,\"missed\":%llu,\"recovered\":%llu,\"us\":%llu,\"own_us\":%llu,\"server_us\":%llu,"
           "\"redis_us\":%llu,\"p50_us\":%llu,\"p99_us\":%llu,\"commandstats\":\"" SPAN_FMT "\"}\n",
           (unsigned long long)resume->clients, (unsigned long long)resume->missed,
           (unsigned long long)resume->recovered, (unsigned long long)us,
           (unsigned long long)(cpu_us(0) - resume->own_us),
           (unsigned long long)(cpu_us(resume->pid) - resume->server_us),
           (unsigned long long)(cpu_us(resume->redis_pid) - resume->redis_us),
           (unsigned long long)histogram_permille(&resume->taken, 500),
           (unsigned long long)histogram_permille(&resume->taken, 990), SPAN_ARG(buf_span(&stats)));
    fflush(stdout);
    exit(0); /* connections and all: this process has nothing that anybody needs */
}

static void back_begin(void *arg, const struct resp *reply)
{
    struct resume *resume = arg;
    if (reply == NULL || reply->type == RESP_ERROR)
        bench_fail("Redis does not set its statistics to zero");
    step_begin(resume, STEP_BACK);
    resume->started = resume->connected = resume->done = 0;
    resume->began_us = loop_now_us(resume->loop);
    resume->own_us = cpu_us(0);
    resume->server_us = cpu_us(resume->pid);
    resume->redis_us = cpu_us(resume->redis_pid);
    timer_start(resume->loop, &resume->tick, 0);
}

static void runner_start(struct resume *resume)
{
    struct runner *runner = &resume->runners[resume->started++];
    runner->began_us = loop_now_us(resume->loop);
    client_connect(&runner->client, &resume->addr);
}

static void away_begin(struct resume *resume)
{
    step_begin(resume, STEP_AWAY);
    for (uint64_t i = 0; i < resume->clients; i++)
        client_cut(&resume->runners[i].client);
    timer_start(resume->loop, &resume->tick, LOOP_MS(AWAY_MS)); /* the server notices */
}

static void on_tick(struct timer *timer)
{
    struct resume *resume = container_of(timer, struct resume, tick);
    uint64_t due = resume->clients;
    if (resume->step == STEP_AWAY) {
        for (uint64_t i = 0; i < PUBLISH_AT_ONCE && i < resume->missed; i++)
            publish_one(resume);
        return;
    }
    if (resume->step == STEP_BACK && resume->rate != 0)
        due = (loop_now_us(resume->loop) - resume->began_us) * resume->rate / 1000000 + 1;
    else if (resume->step == STEP_CONNECTING)
        due = resume->connected + CONNECTING_MAX;
    while (resume->started < due && resume->started < resume->clients)
        runner_start(resume);
    if (resume->started < resume->clients)
        timer_start(resume->loop, timer, LOOP_MS(TICK_MS));
}

static struct runner *runner_of(struct client *client)
{
    return container_of(client, struct runner, client);
}

static void tokens_begin(struct resume *resume)
{
    step_begin(resume, STEP_TOKENS);
    publish_one(resume);
}

static void on_connected(struct client *client, bool recovered)
{
    struct resume *resume = client->owner;
    if (client == &resume->publisher) {
        timer_start(resume->loop, &resume->tick, 0);
        return;
    }
    resume->connected++;
    resume->recovered += recovered;
    if (resume->step == STEP_BACK && !recovered)
        bench_fail("a client was not recovered");
    if (resume->step == STEP_CONNECTING && resume->connected == resume->clients)
        tokens_begin(resume);
}

static void on_received(struct client *client, struct span array)
{
    struct resume *resume = client->owner;
    struct runner *runner = runner_of(client);
    if (client == &resume->publisher)
        bench_fail("the publisher got its own message");
    if (resume->step == STEP_TOKENS) {
        client_offset_take(client, array);
        if (++resume->done == resume->clients)
            away_begin(resume);
    } else if (++runner->missed == resume->missed) {
        histogram_add(&resume->taken, loop_now_us(resume->loop) - runner->began_us);
        if (++resume->done == resume->clients)
            redis_link_send(&resume->redis, (struct span[]){SPAN_LIT("INFO"), SPAN_LIT("commandstats")}, 2, reported,
                            resume);
    }
}

/* The publisher's: all are away, and what they will have missed is accepted. */
static void on_acknowledged(struct client *client)
{
    struct resume *resume = client->owner;
    uint64_t all = resume->missed + 1; /* with the one that brought the tokens */
    resume->acknowledged++;
    if (resume->step == STEP_AWAY && resume->published < all)
        publish_one(resume);
    if (resume->acknowledged == all)
        redis_link_send(&resume->redis, (struct span[]){SPAN_LIT("CONFIG"), SPAN_LIT("RESETSTAT")}, 2, back_begin,
                        resume);
}

static void on_closed(struct client *client, const char *why)
{
    bench_fail("a client lost its connection: %s", why);
}

static const struct client_events client_events = {on_connected, on_received, on_acknowledged, on_closed};

static void redis_opened(struct redis_link *link)
{
    struct resume *resume = container_of(link, struct resume, redis);
    step_begin(resume, STEP_CONNECTING);
    client_connect(&resume->publisher, &resume->addr);
}

static void redis_pushed(struct redis_link *link, const struct resp *reply)
{
}

static void redis_closed(struct redis_link *link)
{
    bench_fail("the link to Redis broke");
}

static const struct redis_link_events redis_events = {redis_opened, redis_pushed, redis_closed};

static void start(struct resume *resume)
{
    struct addr redis;
    addr_loopback(&redis, (uint16_t)resume->redis_port);
    addr_loopback(&resume->addr, (uint16_t)resume->port);
    resume->runners = mem_zero(resume->clients, sizeof *resume->runners);
    for (uint64_t i = 0; i < resume->clients; i++)
        client_init(&resume->runners[i].client, &resume->net, &client_events, resume);
    client_init(&resume->publisher, &resume->net, &client_events, resume);
    timer_init(&resume->tick, on_tick);
    timer_init(&resume->deadline, on_deadline);
    redis_link_init(&resume->redis, &resume->net, &redis_events);
    redis_link_open(&resume->redis, &redis, NULL);
}

int main(int argc, char **argv)
{
    struct resume resume = {.clients = 1000, .missed = 1000, .rate = 3000, .bytes = 40};
    const struct flag flags[] = {
        {"port", NULL, &resume.port},
        {"pid", NULL, &resume.pid},
        {"redis-port", NULL, &resume.redis_port},
        {"redis-pid", NULL, &resume.redis_pid},
        {"clients", NULL, &resume.clients},
        {"missed", NULL, &resume.missed},
        {"rate", NULL, &resume.rate},
        {"bytes", NULL, &resume.bytes},
    };
    flags_read(argc, argv, flags, sizeof flags / sizeof flags[0]);
    if (resume.clients == 0 || resume.missed == 0)
        bench_fail("--clients and --missed must be above 0");
    if (process_files_allow(resume.clients + 64) < resume.clients + 64)
        bench_fail("%llu clients need more descriptors: ulimit -n", (unsigned long long)resume.clients);
    resume.loop = bench_begin(&resume.net);
    start(&resume);
    loop_run(resume.loop);
    return 1;
}
