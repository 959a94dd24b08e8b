/* run: moves a run through its phases, each with its deadline, and takes the server's figures. */
#include "load/run.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "load/progress.h"
#include "load/publish.h"

enum {
    SETTLE_TICK_MS = 50,
    SETTLE_QUIET_MS = 500, /* how long after the last missing message a repetition may still come */
    CUT_TRIES = 8,
};

static void deadline_start(struct run *run, double seconds)
{
    timer_start(run->loop, &run->deadline, (uint64_t)(seconds * 1e6));
}

static void phase_begin(struct run *run, enum run_phase phase)
{
    assert(phase > run->phase || phase == RUN_RESOLVING);
    run->phase = phase;
    run->phase_us = loop_now_us(run->loop);
}

/* The server's CPU time and memory now; zeros when its process is not known or gone. */
static void usage_take(struct run *run, struct run_usage *usage)
{
    struct err err;
    *usage = (struct run_usage){0};
    if (run->options->pid == 0)
        return;
    if (!process_cpu_read(run->options->pid, &usage->cpu_us, &err) ||
        !process_memory_read(run->options->pid, &usage->memory, &err))
        run_abort(run, "--pid: %s any more", err.text);
}

static uint64_t own_cpu_us(void)
{
    uint64_t used = 0;
    struct err err;
    return process_cpu_read(0, &used, &err) ? used : 0;
}

/* Records how long the run published, and our own CPU time for it. */
static void publishing_measure(struct run *run)
{
    run->publish_us = loop_now_us(run->loop) - run->publish_began_us;
    run->own_cpu_us = own_cpu_us() - run->own_cpu_us;
}

static void run_end(struct run *run)
{
    uint64_t now_us = loop_now_us(run->loop);
    if (run->phase == RUN_PUBLISHING)
        publishing_measure(run);
    if (run->phase == RUN_PUBLISHING || run->phase == RUN_SETTLING)
        run->deliver_us = (run->quiet_us != 0 ? run->quiet_us : now_us) - run->publish_began_us;
    phase_begin(run, RUN_OVER);
    loop_stop(run->loop);
}

void run_abort(struct run *run, const char *format, ...)
{
    va_list args;
    if (run->phase == RUN_OVER)
        return;
    va_start(args, format);
    err_vset(&run->why, format, args); /* which an argument may be part of */
    va_end(args);
    run->outcome = LOAD_ABORTED;
    run_end(run);
}

void run_resolved(struct run *run)
{
    phase_begin(run, RUN_CONNECTING);
    usage_take(run, &run->before);
    if (run->phase == RUN_OVER)
        return;
    deadline_start(run, run->options->connect_timeout_s);
    run_connect(run);
}

static void on_connect_tick(struct timer *timer)
{
    run_connect(container_of(timer, struct run, connect_tick));
}

/* Cuts clients one after the other, at random, each once in cut_every_s on average. */
static void on_cut_tick(struct timer *timer)
{
    struct run *run = container_of(timer, struct run, cut_tick);
    const struct load_options *options = run->options;
    timer_start(run->loop, timer, (uint64_t)(options->cut_every_s * 1e6 / options->clients) + 1);
    for (int i = 0; i < CUT_TRIES; i++) {
        struct client *client = &run->clients[loop_random_below(run->loop, options->clients)];
        enum cut_kind kind = (enum cut_kind)loop_random_below(run->loop, CUT_KINDS);
        if (client->state != CLIENT_READY)
            continue;
        while ((options->cuts & 1u << kind) == 0)
            kind = (kind + 1) % CUT_KINDS;
        client_cut(client, kind);
        return;
    }
}

void run_all_connected(struct run *run)
{
    const struct load_options *options = run->options;
    run->connect_us = loop_now_us(run->loop) - run->phase_us;
    usage_take(run, &run->after_connect);
    if (run->phase == RUN_OVER)
        return;
    if (options->idle) {
        phase_begin(run, RUN_IDLING);
        progress_say(run, "%u clients are connected, and idle for %g s", options->clients, options->duration_s);
    } else {
        phase_begin(run, RUN_PUBLISHING);
        progress_say(run, "%u clients are connected; %g messages a second for %g s", options->clients, options->rate,
                     options->duration_s);
        run->publish_began_us = run->phase_us;
        run->own_cpu_us = own_cpu_us();
        publish_start(run);
        if (options->cut_every_s != 0)
            timer_start(run->loop, &run->cut_tick, (uint64_t)(options->cut_every_s * 1e6 / options->clients));
    }
    deadline_start(run, options->duration_s);
}

void run_client_ready(struct run *run, struct client *client)
{
    if (client->was_ready || run->phase != RUN_CONNECTING)
        return;
    run->connected++;
    deadline_start(run, run->options->connect_timeout_s);
    if (run->connected == run->options->clients)
        run_all_connected(run);
    else
        run_connect(run);
}

void run_client_lost(struct run *run, struct client *client, bool was_in, const char *why)
{
    if (run->phase == RUN_OVER)
        return;
    if (was_in)
        run->counters.closed_by_server++;
    else
        run->counters.connect_failures++;
    if (client->was_ready)
        return;
    snprintf(run->why.text, sizeof run->why.text, "%s", why);
    /* The server refused this client, or none ever connected to any address: trying again would not help. */
    if (client->state == CLIENT_GONE || (run->connected == 0 && !run_address_next(run)))
        run_abort(run, "%s: %s", run->url.shown, why);
}

static void settled(struct run *run)
{
    usage_take(run, &run->after_publish);
    if (run->phase != RUN_OVER)
        run_end(run);
}

/* As far as we know, nothing is under way any more. */
static bool everything_came(const struct run *run)
{
    const struct load_options *options = run->options;
    if (run->counters.delivered < run->expected && run->check == NULL)
        return false;
    for (uint32_t i = 0; i < options->clients; i++) {
        const struct client *client = &run->clients[i];
        if ((!client->was_back && client->state != CLIENT_GONE) || client->outbox.count != 0 ||
            (run->check != NULL && check_lacks(run->check, i)))
            return false;
    }
    return true;
}

static void on_settle_tick(struct timer *timer)
{
    struct run *run = container_of(timer, struct run, settle_tick);
    uint64_t now_us = loop_now_us(run->loop);
    if (!everything_came(run))
        run->quiet_us = 0;
    else if (run->quiet_us == 0)
        run->quiet_us = now_us;
    if (run->quiet_us != 0 && (run->check == NULL || now_us - run->quiet_us >= LOOP_MS(SETTLE_QUIET_MS))) {
        settled(run);
        return;
    }
    timer_start(run->loop, timer, LOOP_MS(SETTLE_TICK_MS));
}

static void publishing_ended(struct run *run)
{
    publish_stop(run);
    timer_stop(run->loop, &run->cut_tick);
    publishing_measure(run);
    phase_begin(run, RUN_SETTLING);
    for (uint32_t i = 0; i < run->options->clients; i++)
        run->clients[i].was_back = run->clients[i].state == CLIENT_READY;
    deadline_start(run, run->options->settle_s);
    timer_start(run->loop, &run->settle_tick, 0);
}

static void on_deadline(struct timer *timer)
{
    struct run *run = container_of(timer, struct run, deadline);
    switch (run->phase) {
    case RUN_RESOLVING:
        run_abort(run, "%s: the name server does not answer", run->url.host);
        break;
    case RUN_CONNECTING:
        run_abort(run, "%s: %u of %u clients connected, and then none for %g s; the last one that failed: %s",
                  run->url.shown, run->connected, run->options->clients, run->options->connect_timeout_s,
                  run->why.text[0] != '\0' ? run->why.text : "no answer");
        break;
    case RUN_IDLING:
        usage_take(run, &run->after_idle);
        if (run->phase != RUN_OVER)
            run_end(run);
        break;
    case RUN_PUBLISHING:
        publishing_ended(run);
        break;
    case RUN_SETTLING:
        settled(run);
        break;
    case RUN_OVER:
        break;
    }
}

void run_start(struct run *run)
{
    list_init(&run->dials);
    timer_init(&run->connect_tick, on_connect_tick);
    timer_init(&run->cut_tick, on_cut_tick);
    timer_init(&run->settle_tick, on_settle_tick);
    timer_init(&run->deadline, on_deadline);
    run->began_us = loop_now_us(run->loop);
    phase_begin(run, RUN_RESOLVING);
    deadline_start(run, run->options->connect_timeout_s);
    run_resolve(run);
}

void run_stop(struct run *run)
{
    publish_stop(run);
    timer_stop(run->loop, &run->connect_tick);
    timer_stop(run->loop, &run->cut_tick);
    timer_stop(run->loop, &run->settle_tick);
    timer_stop(run->loop, &run->deadline);
    resolve_cancel(run->resolve);
    run->resolve = NULL;
}
