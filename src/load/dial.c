/* dial: connecting, and the kinds of cuts. */
#include "load/dial.h"

#include "load/run.h"

static void on_connect_ready(struct io *io, unsigned ready)
{
    struct dial *dial = container_of(io, struct dial, connecting);
    int error = io_connected(io);
    if (error != 0) {
        io_close(io, false);
        dial->why = strerror(error);
        timer_start(dial->run->loop, &dial->drop, 0);
        return;
    }
    conn_adopt(&dial->conn, io, run_address(dial->run));
    dial->events->opened(dial);
}

static void on_drop(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, drop);
    if (dial->conn.state != CONN_CLOSED) {
        conn_close(&dial->conn, CLOSE_DONE);
        return;
    }
    io_close(&dial->connecting, false);
    dial->events->failed(dial, dial->why);
}

void dial_start(struct dial *dial, struct run *run, const struct dial_events *events,
                const struct conn_events *conn_events, const struct conn_limits *limits)
{
    struct addr source;
    *dial = (struct dial){.run = run, .events = events};
    list_init(&dial->of_run);
    list_append(&run->dials, &dial->of_run);
    timer_init(&dial->drop, on_drop);
    io_init(&dial->connecting, run->loop, on_connect_ready);
    conn_init(&dial->conn, &run->net, conn_events, limits);
    if (io_connect_from(&dial->connecting, run_address(run), run_source(run, &source) ? &source : NULL)) {
        io_want(&dial->connecting, IO_WRITE);
        return;
    }
    dial->why = "no port is left (one address of this machine has about 28,000 to one server), or no route leads there";
    timer_start(run->loop, &dial->drop, 0);
}

void dial_finish(struct dial *dial)
{
    timer_stop(dial->run->loop, &dial->drop);
    list_remove(&dial->of_run);
}

void dial_drop(struct dial *dial)
{
    if (dial->conn.state == CONN_CLOSED)
        timer_start(dial->run->loop, &dial->drop, 0);
    else
        conn_close(&dial->conn, CLOSE_DONE);
}

void dial_drop_later(struct dial *dial, uint32_t delay_ms)
{
    timer_start(dial->run->loop, &dial->drop, LOOP_MS(delay_ms));
}

void dial_cut(struct dial *dial, enum cut_kind kind)
{
    if (!conn_is_open(&dial->conn)) {
        dial_drop(dial);
        return;
    }
    switch (kind) {
    case CUT_FIN:
        conn_shutdown(&dial->conn, CLOSE_DONE, DIAL_LINGER_MS);
        break;
    case CUT_RST:
        /* Before the connection closes, which would end it in order. */
        io_close(&dial->conn.io, true);
        conn_close(&dial->conn, CLOSE_DONE);
        break;
    case CUT_HALFOPEN:
        conn_read_pause(&dial->conn, true);
        dial_drop_later(dial, DIAL_HALF_OPEN_MS);
        break;
    case CUT_CLOSE:
    case CUT_KINDS:
        dial_drop(dial);
        break;
    }
}
