/* connect: where to connect, from where, and how fast. */
#include <stdio.h>
#include <string.h>

#include "load/run.h"

enum {
    IN_FLIGHT_MAX = 256,      /* clients that have begun to connect and are not READY */
    PORTS_PER_SOURCE = 20000, /* of about 28,000 that the kernel has for one address to another address and port */
    TIME_WAIT_S = 60,         /* a port cannot be used again for this long after we ended its connection first */
    SOURCES_MAX = 254 * 254,  /* in 127.0.0.0/8 */
};

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct run *run = arg;
    run->resolve = NULL;
    if (count == 0) {
        run_abort(run, "%s: %s", run->url.host, why);
        return;
    }
    for (size_t i = 0; i < count && run->address_count < RUN_ADDRESSES_MAX; i++)
        run->addresses[run->address_count++] = addrs[i];
    run_resolved(run);
}

void run_resolve(struct run *run)
{
    run->resolve = resolve_start(run->loop, run->url.host, run->url.port, resolved, run);
}

const struct addr *run_address(const struct run *run)
{
    return &run->addresses[run->address_at];
}

bool run_address_next(struct run *run)
{
    if (run->connected != 0 || run->address_at + 1 == run->address_count)
        return false;
    run->address_at++;
    return true;
}

/* Addresses of this machine to spread the connections over: 1 where the kernel may choose. */
static uint32_t sources_count(const struct run *run)
{
    const struct load_options *options = run->options;
    char ip[ADDR_TEXT_MAX];
    double ports = (double)options->clients * options_connections_each(options);
    addr_ip_text(run_address(run), ip);
    if (options->cut_every_s != 0)
        ports += ports / options->cut_every_s * TIME_WAIT_S;
    if (strncmp(ip, "127.", 4) != 0 || ports <= PORTS_PER_SOURCE)
        return 1;
    double sources = ports / PORTS_PER_SOURCE + 1;
    return sources < SOURCES_MAX ? (uint32_t)sources : SOURCES_MAX;
}

bool run_source(struct run *run, struct addr *source)
{
    char ip[ADDR_TEXT_MAX];
    uint32_t count = sources_count(run);
    if (count == 1)
        return false;
    uint32_t at = run->source_at++ % count;
    snprintf(ip, sizeof ip, "127.0.%u.%u", at / 254, at % 254 + 1);
    return addr_from_ip(source, span_str(ip), 0);
}

void run_connect(struct run *run)
{
    const struct load_options *options = run->options;
    double elapsed_s = (double)(loop_now_us(run->loop) - run->phase_us) / 1e6;
    uint32_t due = options->clients;
    if (options->connect_rate != 0 && elapsed_s * options->connect_rate + 1 < due)
        due = (uint32_t)(elapsed_s * options->connect_rate) + 1;
    while (run->started < due && run->started - run->connected < IN_FLIGHT_MAX)
        client_start(&run->clients[run->started++]);
    if (run->started == options->clients || run->started < due)
        return; /* a client that becomes READY makes room */
    uint64_t next_us = (uint64_t)(run->started * 1e6 / options->connect_rate), now_us = loop_now_us(run->loop);
    uint64_t at_us = run->phase_us + next_us;
    timer_start(run->loop, &run->connect_tick, at_us > now_us ? at_us - now_us : 0);
}
