/* ticks: timers and watched descriptors of a program, in the server's loop. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"

enum { MS_MAX = 0x7fffffff };

struct tick {
    struct list node;
    struct timer timer;
    sennit_timer *handle;
    struct embed *embed;
    uint64_t every_ms; /* 0: once */
    void (*fire)(void *data);
    void *data;
};

struct watched {
    struct list node;
    struct io io; /* of a duplicate */
    int fd;       /* the program's */
    sennit_watch *handle;
    void (*ready)(int fd, unsigned ready, void *data);
    void *data;
};

static void tick_destroy(struct tick *tick)
{
    timer_stop(tick->embed->loop, &tick->timer);
    handle_end(tick->handle);
    list_remove(&tick->node);
    free(tick);
}

static void fire(struct timer *timer)
{
    struct tick *tick = container_of(timer, struct tick, timer);
    void (*call)(void *data) = tick->fire;
    void *data = tick->data;
    const char *name = tick->every_ms != 0 ? "sennit_every" : "sennit_after";
    if (tick->every_ms != 0)
        timer_start(tick->embed->loop, timer, LOOP_MS(tick->every_ms));
    else
        tick_destroy(tick);
    int64_t begun_ms = loop_clock_ms();
    call(data); /* which may end the timer */
    embed_took(name, begun_ms);
}

static sennit_timer *tick_start(sennit_server *server, uint64_t ms, uint64_t every_ms, void (*fire_it)(void *data),
                                void *data, const char *call)
{
    struct embed *embed = embed_find(server, call);
    if (embed == NULL)
        return NULL;
    if (fire_it == NULL || ms > MS_MAX) {
        handle_misused(call, "a timer has a function, and fires within 24 days");
        return NULL;
    }
    struct tick *tick = mem_zero(1, sizeof *tick);
    *tick = (struct tick){.embed = embed, .every_ms = every_ms, .fire = fire_it, .data = data};
    tick->handle = handle_create(HANDLE_TIMER, tick);
    list_init(&tick->node);
    list_append(&embed->ticks, &tick->node);
    timer_init(&tick->timer, fire);
    timer_start(embed->loop, &tick->timer, LOOP_MS(ms));
    return tick->handle;
}

sennit_timer *sennit_after(sennit_server *server, uint64_t ms, void (*fire_it)(void *data), void *data)
{
    return tick_start(server, ms, 0, fire_it, data, "sennit_after");
}

sennit_timer *sennit_every(sennit_server *server, uint64_t ms, void (*fire_it)(void *data), void *data)
{
    ms = ms > 0 ? ms : 1;
    return tick_start(server, ms, ms, fire_it, data, "sennit_every");
}

void sennit_timer_stop(sennit_timer *handle)
{
    struct tick *tick = handle_object(handle, HANDLE_TIMER, "sennit_timer_stop");
    if (tick != NULL)
        tick_destroy(tick);
}

static void watched_destroy(struct watched *watched)
{
    io_give_back(&watched->io);
    handle_end(watched->handle);
    list_remove(&watched->node);
    free(watched);
}

static void is_ready(struct io *io, unsigned ready)
{
    struct watched *watched = container_of(io, struct watched, io);
    if (!io_is_of(io, watched->fd)) {
        handle_told("a watch has ended", "sennit_watch_fd", "the descriptor was closed while it was watched");
        watched_destroy(watched);
        return;
    }
    int64_t begun_ms = loop_clock_ms();
    watched->ready(watched->fd, ready & (SENNIT_READ | SENNIT_WRITE), watched->data); /* which may end it */
    embed_took("sennit_watch_fd", begun_ms);
}

sennit_watch *sennit_watch_fd(sennit_server *server, int fd, unsigned wanted,
                              void (*ready)(int fd, unsigned ready, void *data), void *data)
{
    struct embed *embed = embed_find(server, "sennit_watch_fd");
    if (embed == NULL)
        return NULL;
    if (fd < 0 || ready == NULL || wanted == 0 || (wanted & ~(unsigned)(SENNIT_READ | SENNIT_WRITE)) != 0) {
        handle_misused("sennit_watch_fd", "it wants an open descriptor, SENNIT_READ or SENNIT_WRITE, and a function");
        return NULL;
    }
    struct watched *watched = mem_zero(1, sizeof *watched);
    watched->ready = ready;
    watched->data = data;
    watched->handle = handle_create(HANDLE_WATCH, watched);
    io_init(&watched->io, embed->loop, is_ready);
    watched->fd = fd;
    list_init(&watched->node);
    list_append(&embed->watches, &watched->node);
    if (io_borrow(&watched->io, fd))
        io_want(&watched->io, wanted);
    if (watched->io.want == wanted)
        return watched->handle;
    watched_destroy(watched);
    handle_misused("sennit_watch_fd", "the descriptor is none that can be waited for: it is closed, or of a file");
    return NULL;
}

void sennit_watch_stop(sennit_watch *handle)
{
    struct watched *watched = handle_object(handle, HANDLE_WATCH, "sennit_watch_stop");
    if (watched != NULL)
        watched_destroy(watched);
}

void ticks_finish(struct embed *embed)
{
    struct list *node;
    while ((node = list_take(&embed->ticks)) != NULL)
        tick_destroy(container_of(node, struct tick, node));
    while ((node = list_take(&embed->watches)) != NULL)
        watched_destroy(container_of(node, struct watched, node));
}
