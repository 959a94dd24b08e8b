/* probe: one question at a time, and how many in a row were answered well. */
#include "platform/probe.h"

#include <string.h>

static const struct conn_limits limits = {.queue_bytes_max = 16 << 10, .input_bytes_max = 64 << 10};

const char *probe_kind_name(const struct probe_spec *spec)
{
    static const char *const names[] = {
        [PROBE_NONE] = "no", [PROBE_TCP] = "TCP", [PROBE_HTTP] = "HTTP", [PROBE_LINE] = "line"};
    return names[spec->kind];
}

/* The next one begins a period after the last one began. */
static void schedule(struct probe *probe)
{
    uint64_t passed = loop_now_us(probe->loop) - probe->begun_us, period = LOOP_MS(probe->spec->period_ms);
    if (probe->eager && period > LOOP_S(1))
        period = LOOP_S(1);
    timer_start(probe->loop, &probe->timer, passed < period ? period - passed : 0);
}

static void judge(struct probe *probe, bool is_well)
{
    const struct probe_spec *spec = probe->spec;
    probe->answered = true;
    conn_close(&probe->conn, CLOSE_DONE);
    if (!probe->on)
        return;
    probe->failed = is_well ? 0 : probe->failed + 1;
    probe->succeeded = is_well ? probe->succeeded + 1 : 0;
    if (is_well && probe->succeeded == spec->successes)
        probe->eager = false;
    if (is_well ? probe->succeeded == spec->successes : probe->failed == spec->failures)
        probe->judged(probe, is_well);
}

static void on_opened(struct conn *conn)
{
    struct probe *probe = container_of(conn, struct probe, conn);
    const struct probe_spec *spec = probe->spec;
    if (spec->kind == PROBE_TCP)
        judge(probe, true);
    else
        conn_send(conn,
                  spec->question_bytes != 0 ? span_of(spec->question, spec->question_bytes) : span_str(spec->question));
}

/* "HTTP/1.1 200": 200 to 399 is well. */
static bool status_is_well(struct span line)
{
    return span_starts_with(line, SPAN_LIT("HTTP/1.")) && (line.data[9] == '2' || line.data[9] == '3');
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    enum { STATUS_BYTES = 12 };
    struct probe *probe = container_of(conn, struct probe, conn);
    const struct probe_spec *spec = probe->spec;
    struct span came = span_of(bytes, len);
    size_t needed = spec->kind == PROBE_LINE ? strlen(spec->answer) : STATUS_BYTES;
    if (probe->answered)
        return len;
    if (len < needed)
        return 0;
    judge(probe, spec->kind == PROBE_LINE ? span_starts_with(came, span_str(spec->answer)) : status_is_well(came));
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct probe *probe = container_of(conn, struct probe, conn);
    probe->asking = false;
    if (!probe->answered)
        judge(probe, false);
    if (probe->asks != NULL)
        probe->asks(probe, false);
    if (probe->on)
        schedule(probe);
    else
        probe->over(probe);
}

static const struct conn_events events = {.opened = on_opened, .received = on_received, .closed = on_closed};

static void on_timer(struct timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);
    if (probe->asking) { /* no answer in time */
        conn_close(&probe->conn, CLOSE_DONE);
        return;
    }
    probe->asking = true;
    probe->answered = false;
    if (probe->asks != NULL)
        probe->asks(probe, true);
    probe->begun_us = loop_now_us(probe->loop);
    netspace_enter(probe->netspace);
    conn_connect(&probe->conn, &probe->addr);
    netspace_leave(probe->netspace);
    timer_start(probe->loop, timer, LOOP_MS(probe->spec->timeout_ms));
}

void probe_init(struct probe *probe, struct net *net, probe_judged_fn *judged, probe_over_fn *over)
{
    *probe = (struct probe){.loop = net->loop, .judged = judged, .over = over};
    timer_init(&probe->timer, on_timer);
    conn_init(&probe->conn, net, &events, &limits);
}

void probe_start(struct probe *probe, const struct probe_spec *spec, const struct addr *addr,
                 const struct netspace *netspace)
{
    probe->spec = spec;
    probe->addr = *addr;
    probe->netspace = netspace;
    if (spec->port != 0)
        addr_port_set(&probe->addr, spec->port);
    probe->failed = probe->succeeded = 0;
    probe->on = true;
    timer_start(probe->loop, &probe->timer, LOOP_MS(spec->delay_ms));
}

void probe_stop(struct probe *probe)
{
    if (!probe->on)
        return;
    probe->on = false;
    probe->answered = true;
    timer_stop(probe->loop, &probe->timer);
    conn_close(&probe->conn, CLOSE_DONE);
}

bool probe_is_over(const struct probe *probe)
{
    return !probe->on && !probe->asking;
}
