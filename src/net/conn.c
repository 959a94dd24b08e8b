/* conn: a connection's states, reading and closing. The output queue is in conn_queue.c, TLS in conn_tls.c. */
#include "net/conn.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn_parts.h"

enum { INPUT_SHRINK_BYTES = 4096 };

/* The only place where the state changes; the legal moves are the picture in conn.h. */
static void set_state(struct conn *conn, enum conn_state state)
{
    static const uint8_t legal[] = {
        [CONN_CLOSED] = 1 << CONN_CONNECTING | 1 << CONN_OPEN,
        [CONN_CONNECTING] = 1 << CONN_OPEN | 1 << CONN_CLOSING,
        [CONN_OPEN] = 1 << CONN_DRAINING | 1 << CONN_CLOSING,
        [CONN_DRAINING] = 1 << CONN_CLOSING,
        [CONN_CLOSING] = 1 << CONN_CLOSED,
    };
    assert(legal[conn->state] & 1 << state);
    conn->state = (uint8_t)state;
}

void conn_update_want(struct conn *conn)
{
    bool shaking = conn_tls_is_shaking(conn);
    unsigned want = 0;
    if ((conn->state == CONN_CONNECTING && !shaking) || conn->blocked)
        want |= IO_WRITE;
    if (shaking || (conn_takes_input(conn) && !conn->read_ended))
        want |= IO_READ;
    else if (conn->state == CONN_OPEN && conn->events->ending != NULL)
        want |= (conn->ending || conn->read_ended ? 0 : IO_ENDED) | (conn->lost ? 0 : IO_BROKEN);
    if (io_is_open(&conn->io))
        io_want(&conn->io, want);
}

bool conn_takes_input(const struct conn *conn)
{
    return (conn->state == CONN_OPEN || conn->state == CONN_DRAINING) && !conn->read_paused && !conn->resuming;
}

static void on_stall(struct timer *timer);

/* Its extra part, made if there is none. */
static struct conn_extra *extra(struct conn *conn)
{
    if (conn->extra == NULL) {
        conn->extra = mem_zero(1, sizeof *conn->extra);
        conn->extra->conn = conn;
        timer_init(&conn->extra->stall, on_stall);
    }
    return conn->extra;
}

/* Frees the extra part of an open connection that needs nothing of it. */
static void extra_trim(struct conn *conn)
{
    const struct conn_extra *held = conn->extra;
    if (held == NULL || conn->state != CONN_OPEN || held->tls != NULL || held->input.len > 0 ||
        timer_running(&held->stall))
        return;
    free(conn->extra);
    conn->extra = NULL;
}

void conn_stall_begin(struct conn *conn, uint64_t in_us)
{
    timer_start(conn->net->loop, &extra(conn)->stall, in_us);
}

void conn_stall_end(struct conn *conn)
{
    if (conn->extra == NULL)
        return;
    timer_stop(conn->net->loop, &conn->extra->stall);
    extra_trim(conn);
}

/* Frees memory when little is left of much input. */
static void input_shrink(struct buf *input)
{
    struct buf less = {0};
    if (input->cap < INPUT_SHRINK_BYTES || input->len > input->cap / 4)
        return;
    buf_append(&less, buf_span(input));
    buf_finish(input);
    *input = less;
}

static void input_consume(struct conn *conn, size_t used)
{
    struct buf *input = &conn->extra->input;
    buf_consume(input, used);
    if (input->len > 0) {
        input_shrink(input);
        return;
    }
    buf_finish(input);
    extra_trim(conn);
}

/* Gives the owner `len` bytes at `bytes`, which are the kept ones if there are any, and keeps those that it does not
 * consume. */
static void hand_out(struct conn *conn, char *bytes, size_t len)
{
    size_t used = conn->events->received(conn, bytes, len);
    if (conn->state == CONN_CLOSING)
        return;
    assert(used <= len);
    if (conn_kept(conn) > 0)
        input_consume(conn, used);
    else if (used < len)
        buf_append(&extra(conn)->input, span_of(bytes + used, len - used));
    if (conn_kept(conn) > conn->limits->input_bytes_max)
        conn_close(conn, CLOSE_INPUT_LIMIT);
}

void conn_take_input(struct conn *conn, char *bytes, size_t len)
{
    if (conn_kept(conn) > 0) {
        struct buf *input = &conn->extra->input;
        buf_append(input, span_of(bytes, len));
        hand_out(conn, input->data + input->off, input->len);
    } else {
        hand_out(conn, bytes, len);
    }
}

void conn_end_input(struct conn *conn)
{
    conn->read_ended = true;
    if (conn->state == CONN_DRAINING && conn->shut)
        conn_close(conn, conn->reason);
    else if (conn->state == CONN_DRAINING)
        conn_touch(conn); /* it still reads: once everything is written, this ends */
    else if (conn->events->ended != NULL)
        conn->events->ended(conn);
    else
        conn_close(conn, CLOSE_PEER_CLOSED);
    conn_update_want(conn);
}

void conn_broken(struct conn *conn)
{
    if (conn->state == CONN_OPEN && conn->events->broken != NULL)
        conn->events->broken(conn);
    if (conn_tls_problem(conn)->fault != TLS_FAULT_NONE)
        conn_close(conn, CLOSE_TLS_FAILED);
    else
        conn_close(conn, conn->state == CONN_CONNECTING ? CLOSE_CONNECT_FAILED : CLOSE_PEER_RESET);
}

static void read_some(struct conn *conn)
{
    struct net *net = conn->net;
    size_t budget = net->budget.read_bytes_per_turn;
    while (budget > 0 && conn_takes_input(conn) && !conn->read_ended) {
        size_t size = budget < NET_RECEIVE_BYTES ? budget : NET_RECEIVE_BYTES;
        ssize_t got = io_read(&conn->io, net->receive, size);
        if (got == IO_AGAIN)
            return;
        if (got == IO_ERROR) {
            conn_broken(conn);
            return;
        }
        if (got == 0) {
            conn_end_input(conn);
            return;
        }
        net->bytes_in += (uint64_t)got;
        budget -= (size_t)got;
        conn_take_input(conn, net->receive, (size_t)got);
        if ((size_t)got < size)
            return; /* the kernel has no more for now */
    }
}

void conn_read_last(struct conn *conn)
{
    struct net *net = conn->net;
    ssize_t got;
    while (conn_takes_input(conn) && !conn->read_ended &&
           (got = io_read(&conn->io, net->receive, NET_RECEIVE_BYTES)) > 0) {
        net->bytes_in += (uint64_t)got;
        conn_take_input(conn, net->receive, (size_t)got);
    }
}

static void connect_ended(struct conn *conn)
{
    if (io_connected(&conn->io) != 0)
        conn_close(conn, CLOSE_CONNECT_FAILED);
    else if (conn_tls(conn) != NULL)
        conn_tls_begin(conn);
    else
        conn_established(conn);
}

void conn_established(struct conn *conn)
{
    set_state(conn, CONN_OPEN);
    conn_stall_end(conn);
    conn_update_want(conn);
    if (conn_has_output(conn))
        conn_touch(conn);
    if (conn->events->opened != NULL)
        conn->events->opened(conn);
}

/* The peer has ended its half, or is gone, while nothing is read. */
static void ends_unread(struct conn *conn, bool broken)
{
    conn->ending = true;
    conn->lost = broken;
    conn_update_want(conn);
    conn->events->ending(conn, broken);
}

static void on_ready(struct io *io, unsigned ready)
{
    struct conn *conn = container_of(io, struct conn, io);
    if (conn->state == CONN_CONNECTING && !conn_tls_is_shaking(conn)) {
        connect_ended(conn);
        return;
    }
    if (ready & IO_WRITE && conn->blocked)
        conn_touch(conn);
    if (ready & IO_READ && conn_tls(conn) != NULL)
        conn_tls_read(conn);
    else if (ready & IO_READ)
        read_some(conn);
    else if (ready & (IO_ENDED | IO_BROKEN))
        ends_unread(conn, ready & IO_BROKEN);
}

/* Bytes wait and none was taken, the peer lingers, a connect takes too long, or failed before it began. */
static void on_stall(struct timer *timer)
{
    struct conn *conn = container_of(timer, struct conn_extra, stall)->conn;
    if (conn_tls_is_shaking(conn))
        tls_set_problem(conn_tls(conn), TLS_FAULT_OTHER, "the peer does not answer the handshake");
    if (conn->state == CONN_CONNECTING)
        conn_close(conn, io_is_open(&conn->io) ? CLOSE_CONNECT_TIMEOUT : CLOSE_CONNECT_FAILED);
    else if (conn->state == CONN_DRAINING)
        conn_close(conn, conn->reason);
    else
        conn_close(conn, CLOSE_WRITE_TIMEOUT);
}

void conn_resume(struct conn *conn)
{
    if (!conn->resuming)
        return;
    conn->resuming = false;
    conn_update_want(conn);
    if (conn_takes_input(conn) && conn_kept(conn) > 0) {
        struct buf *input = &conn->extra->input;
        hand_out(conn, input->data + input->off, input->len);
    }
    if (conn_tls(conn) != NULL)
        conn_tls_resume(conn);
}

void conn_init(struct conn *conn, struct net *net, const struct conn_events *events, const struct conn_limits *limits)
{
    *conn = (struct conn){.net = net, .events = events, .limits = limits};
    io_init(&conn->io, net->loop, on_ready);
}

/* A life begins; nothing of an earlier one is left. */
static void begin(struct conn *conn, enum conn_state state, const struct addr *peer)
{
    set_state(conn, state);
    conn->reason = CLOSE_NONE;
    conn->read_ended = conn->blocked = conn->shut = conn->resuming = conn->ending = conn->lost = false;
    conn->extra = NULL;
    addr_ip_of(peer, &conn->peer);
    conn->net->conns_open++;
}

void conn_adopt(struct conn *conn, struct io *from, const struct addr *peer)
{
    io_move(&conn->io, from);
    begin(conn, CONN_OPEN, peer);
    conn_update_want(conn);
}

void conn_adopt_tls(struct conn *conn, struct io *from, const struct addr *peer, const struct tls_server *server)
{
    io_move(&conn->io, from);
    begin(conn, CONN_CONNECTING, peer);
    extra(conn)->tls = tls_accept(server);
    conn_stall_begin(conn, LOOP_MS(CONN_CONNECT_MS_MAX));
    conn_update_want(conn);
}

void conn_move(struct conn *to, struct conn *from, const struct conn_events *events)
{
    assert(from->state == CONN_OPEN);
    bool touched = from->turn != 0;
    *to = *from;
    to->events = events;
    io_init(&to->io, from->net->loop, on_ready);
    io_move(&to->io, &from->io);
    to->turn = 0;
    net_turn_remove(&from->net->touched, from);
    if (to->extra != NULL)
        to->extra->conn = to;
    if (to->extra != NULL && timer_running(&to->extra->stall)) /* what waits may wait from now on */
        conn_stall_begin(to, LOOP_MS(to->limits->write_stall_ms_max));
    conn_init(from, from->net, from->events, from->limits);
    if (touched || to->resuming || to->queue != NULL)
        conn_touch(to);
    conn_update_want(to);
}

void conn_connect(struct conn *conn, const struct addr *addr)
{
    begin(conn, CONN_CONNECTING, addr);
    bool begun = io_connect(&conn->io, addr);
    conn_stall_begin(conn, begun ? LOOP_MS(CONN_CONNECT_MS_MAX) : 0);
    conn_update_want(conn);
}

void conn_connect_tls(struct conn *conn, const struct addr *addr, const struct tls_client *client)
{
    conn_connect(conn, addr);
    extra(conn)->tls = tls_create(client);
}

const struct tls_problem *conn_tls_problem(const struct conn *conn)
{
    static const struct tls_problem none;
    if (conn_tls(conn) != NULL)
        return &conn_tls(conn)->problem;
    return conn->net != NULL && conn->net->closing_now.conn == conn ? conn->net->closing_now.tls : &none;
}

static bool is_alive(const struct conn *conn)
{
    return conn->state == CONN_OPEN || conn->state == CONN_DRAINING;
}

void conn_read_pause(struct conn *conn, bool paused)
{
    bool lives = is_alive(conn);
    bool has_kept = conn_kept(conn) > 0 || (conn_tls(conn) != NULL && tls_has_input(conn_tls(conn)));
    if (!paused && lives && (conn->read_paused || has_kept)) {
        /* Kept input, also input that is kept after the call in progress, is handed out by the loop and not from here.
         * Nothing is read before that: with an owner that pauses often, each read would add to the kept input, up to
         * the limit. */
        conn->resuming = true;
        conn_touch(conn);
    }
    conn->read_paused = paused;
    conn_update_want(conn);
}

size_t conn_unread(const struct conn *conn)
{
    if (conn_tls(conn) != NULL || !io_is_open(&conn->io))
        return 0;
    return conn_kept(conn) + io_unread(&conn->io);
}

void conn_limits_set(struct conn *conn, const struct conn_limits *limits)
{
    conn->limits = limits;
    if (is_alive(conn) && conn->blocked && !conn->shut && limits->write_stall_ms_max != 0)
        conn_stall_begin(conn, LOOP_MS(limits->write_stall_ms_max));
}

void conn_shutdown(struct conn *conn, enum close_reason reason, uint32_t linger_ms)
{
    if (conn->state == CONN_CONNECTING) {
        conn_close(conn, reason);
        return;
    }
    if (conn->state != CONN_OPEN)
        return;
    conn->reason = (uint8_t)reason;
    extra(conn)->linger_ms = linger_ms;
    set_state(conn, CONN_DRAINING);
    /* With a bound on stalls, time counts from the flush: until what waits stalls, and when all of it is out. */
    if (conn->limits->write_stall_ms_max == 0)
        conn_stall_begin(conn, LOOP_MS(linger_ms));
    conn_touch(conn);
    conn_update_want(conn);
}

void conn_close(struct conn *conn, enum close_reason reason)
{
    if (conn->state == CONN_CLOSING || conn->state == CONN_CLOSED)
        return;
    if (conn->reason == CLOSE_NONE)
        conn->reason = (uint8_t)reason;
    /* One last attempt. */
    if (conn_tls(conn) != NULL)
        conn_tls_last_words(conn);
    else if (conn->state != CONN_CONNECTING)
        conn_queue_write(conn);
    set_state(conn, CONN_CLOSING);
    conn_stall_end(conn);
    net_turn_remove(&conn->net->touched, conn);
    net_turn_add(&conn->net->closing, conn);
    loop_at_reap(conn->net->loop, &conn->net->reap);
}

void conn_reap(struct conn *conn)
{
    io_close(&conn->io, false);
    conn_queue_drop(conn);
    set_state(conn, CONN_CLOSED);
    conn->read_paused = false;
    conn->net->conns_open--;
    conn->net->closed[conn->reason]++;
    /* `closed` may look at its problem, and free or open the connection. */
    struct net *net = conn->net;
    struct conn_extra *last = conn->extra;
    if (conn_tls(conn) != NULL) {
        net->closing_now.conn = conn;
        net->closing_now.tls = conn_tls_problem(conn);
    }
    conn->extra = NULL;
    conn->events->closed(conn, (enum close_reason)conn->reason);
    net->closing_now.conn = NULL;
    if (last == NULL)
        return;
    buf_finish(&last->input);
    tls_destroy(last->tls);
    free(last);
}
