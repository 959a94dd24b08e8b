/* listener: the accept loop of one turn, and the handling of missing descriptors. */
#include "net/listener.h"

#include "base/list.h"
#include "base/log.h"

enum { PAUSE_MS = 100, TELL_MS = 10000 };

/* It goes on for as long as the peers like; the log need not fill with it. */
static void pause_accepting(struct listener *listener)
{
    struct loop *loop = listener->net->loop;
    uint64_t now_us = loop_now_us(loop);
    if (now_us >= listener->told_us + LOOP_MS(TELL_MS) || listener->told_us == 0) {
        listener->told_us = now_us;
        log_event(LOG_WARNING, "out of descriptors: connections wait until others end (ulimit -n)");
    }
    io_want(&listener->io, 0);
    timer_start(loop, &listener->pause, LOOP_MS(PAUSE_MS));
}

/* Accepts one with the descriptor that was kept back; false when that does not help. */
static bool accept_last(struct listener *listener)
{
    struct io stream;
    struct addr peer;
    if (listener->exhausted == NULL || !io_is_open(&listener->reserve))
        return false;
    io_close(&listener->reserve, false);
    io_init(&stream, listener->net->loop, NULL);
    int result = io_accept(&listener->io, &stream, &peer);
    if (result == 0)
        listener->exhausted(listener, &stream, &peer);
    io_close(&stream, false);
    io_reserve(&listener->reserve);
    return result == 0;
}

static void on_ready(struct io *io, unsigned ready)
{
    struct listener *listener = container_of(io, struct listener, io);
    struct net *net = listener->net;
    for (uint32_t i = 0; i < net->budget.accepts_per_turn && io_is_open(&listener->io); i++) {
        struct io stream;
        struct addr peer;
        io_init(&stream, net->loop, NULL);
        int result = io_accept(&listener->io, &stream, &peer);
        if (result == IO_AGAIN)
            return;
        if (result == IO_EXHAUSTED && accept_last(listener))
            continue;
        if (result == IO_EXHAUSTED) {
            pause_accepting(listener);
            return;
        }
        if (result != 0)
            continue;
        listener->accepted(listener, &stream, &peer);
        io_close(&stream, false);
    }
}

static void on_pause_over(struct timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, pause);
    if (listener->exhausted != NULL)
        io_reserve(&listener->reserve);
    if (io_is_open(&listener->io))
        io_want(&listener->io, IO_READ);
}

bool listener_open(struct listener *listener, struct net *net, const struct addr *addr, listener_accepted_fn *accepted,
                   struct err *err)
{
    listener->net = net;
    listener->accepted = accepted;
    io_init(&listener->io, net->loop, on_ready);
    timer_init(&listener->pause, on_pause_over);
    io_init(&listener->reserve, net->loop, NULL);
    if (!io_listen(&listener->io, addr, err))
        return false;
    if (listener->exhausted != NULL)
        io_reserve(&listener->reserve);
    io_want(&listener->io, IO_READ);
    return true;
}

uint16_t listener_port(const struct listener *listener)
{
    struct addr addr;
    io_local(&listener->io, &addr);
    return addr_port(&addr);
}

void listener_close(struct listener *listener)
{
    if (listener->net == NULL)
        return;
    timer_stop(listener->net->loop, &listener->pause);
    io_close(&listener->io, false);
    io_close(&listener->reserve, false);
}
