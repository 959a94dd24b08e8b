/* tunnel: relays bytes both ways, the ends of both sides, the timeout. */
#include "platform/tunnel.h"

#include <stdlib.h>

#include "base/mem.h"
#include "platform/fleet.h"
#include "wire/ws.h"
#include "wire/ws_border.h"

enum {
    ACK_LATE_EVERY = 16, /* reads of a busy tunnel: then the kernel is asked again */
    CLOSE_CODE_GOING_AWAY = 1001,
};

struct tunnel {
    struct ingress *ingress;
    struct list of_ingress;
    struct conn client;
    struct upstream *upstream;    /* NULL: the instance has ended it, or it is over */
    struct instance *instance;    /* it holds a slot of this one; NULL: it is over */
    struct door_address *address; /* counts the client at the door; NULL: not counted */
    struct timer deadline;        /* of the request */
    struct request_record record;
    uint32_t busy_ms;          /* the millisecond in which it last carried bytes */
    uint8_t reads;             /* since the kernel was last asked to acknowledge late */
    bool instance_ended;       /* its half: it may still read what the client sends */
    struct ws_border border[]; /* where the instance's bytes stand: one with --close-frame, else none */
};

static struct tunnel *tunnel_of(struct conn *client)
{
    return container_of(client, struct tunnel, client);
}

static struct tunnel *tunnel_of_upstream(struct conn *conn)
{
    return container_of(conn, struct upstream, conn)->tunnel;
}

/* Nothing more will be sent to the instance: what waits goes out to it, then the connection ends. */
static void upstream_finish(struct ingress *ingress, struct conn *conn)
{
    conn_limits_set(conn, &ingress->tail_limits);
    conn_shutdown(conn, CLOSE_PEER_CLOSED, INGRESS_LINGER_MS);
}

/* A tunnel's connection to its instance that outlives it: what waits still goes out to the instance, which may take
 * some time to end its half. The ingress lists tails, so that its own end is theirs, too. */
struct tail {
    struct list of_ingress;
    struct upstream *upstream;
};

static size_t tail_received(struct conn *conn, char *bytes, size_t len)
{
    return len; /* there is no client any more */
}

static void tail_closed(struct conn *conn, enum close_reason reason)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    list_remove(&upstream->tail->of_ingress);
    free(upstream->tail);
    free(upstream);
}

static void tail_create(struct ingress *ingress, struct upstream *upstream)
{
    static const struct conn_events events = {.received = tail_received, .closed = tail_closed};
    struct tail *tail = mem_zero(1, sizeof *tail);
    tail->upstream = upstream;
    list_init(&tail->of_ingress);
    list_append(&ingress->tails, &tail->of_ingress);
    upstream->tail = tail;
    upstream->conn.events = &events;
}

/* The tunnel is over: its connection to the instance ends, behind what the instance still gets. */
static void upstream_leave(struct tunnel *tunnel, struct upstream *upstream)
{
    struct ingress *ingress = tunnel->ingress;
    if (tunnel->instance_ended) /* what waits for it goes out first */
        upstream_finish(ingress, &upstream->conn);
    upstream->tunnel = NULL;
    if (upstream->conn.state == CONN_DRAINING && !ingress->is_cut)
        tail_create(ingress, upstream);
    else
        conn_close(&upstream->conn, CLOSE_DONE);
}

/* Ends what the tunnel has besides its client's connection: closes the one to the instance, behind what that still
 * gets, writes the request's line, and gives the slot back. Harmless when it has. */
static void tunnel_over(struct tunnel *tunnel)
{
    char ip[ADDR_TEXT_MAX];
    struct upstream *upstream = tunnel->upstream;
    struct instance *instance = tunnel->instance;
    if (instance == NULL)
        return;
    timer_stop(tunnel->ingress->loop, &tunnel->deadline);
    tunnel->upstream = NULL;
    tunnel->instance = NULL;
    if (upstream != NULL)
        upstream_leave(tunnel, upstream);
    addr_ip_print(&tunnel->client.peer, ip);
    request_record_ends(&tunnel->record, REQUEST_TUNNEL_BY_CLIENT);
    request_record_over(&tunnel->ingress->log, &tunnel->record, ip, instance->fleet->book, instance_origin(instance));
    instance_release(instance);
}

/* Where many tunnels carry a little each, a turn of the loop for each of them costs more than the bytes. */
static void gather(struct tunnel *tunnel)
{
    struct ingress *ingress = tunnel->ingress;
    uint64_t ms = loop_now_us(ingress->loop) / 1000;
    if (ms != ingress->tunnels_ms) {
        ingress->tunnels_busy = ms == ingress->tunnels_ms + 1 ? ingress->tunnels_busy / 2 : 0;
        ingress->tunnels_ms = ms;
    }
    if (tunnel->busy_ms != (uint32_t)ms)
        ingress->tunnels_busy++;
    tunnel->busy_ms = (uint32_t)ms;
    if (ingress->tunnels_busy >= INGRESS_MANY_TUNNELS)
        loop_gather(ingress->loop, INGRESS_GATHER_US);
}

/* Back-pressure: `from` is not read while too much waits for `to`. */
static void relay(struct tunnel *tunnel, struct conn *from, struct conn *to, struct span bytes)
{
    if (tunnel->reads++ % ACK_LATE_EVERY == 0)
        io_ack_late(&from->io);
    gather(tunnel);
    conn_relay(to, bytes);
    if (conn_queued(to) > INGRESS_PAUSE_BYTES) {
        conn_read_pause(from, true);
        conn_await_drained(to); /* the kernel may take all of it at once */
    }
}

static size_t client_received(struct conn *conn, char *bytes, size_t len)
{
    struct tunnel *tunnel = tunnel_of(conn);
    if (tunnel->upstream == NULL) /* the instance has ended it */
        return len;
    tunnel->record.bytes_in += len;
    relay(tunnel, conn, &tunnel->upstream->conn, span_of(bytes, len));
    return len;
}

static void client_drained(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of(conn);
    if (tunnel->upstream != NULL)
        conn_read_pause(&tunnel->upstream->conn, false);
}

/* The client has said its last: that goes out to the instance, which may still answer. */
static void client_ended(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of(conn);
    request_record_ends(&tunnel->record, REQUEST_TUNNEL_BY_CLIENT);
    if (tunnel->upstream != NULL)
        upstream_finish(tunnel->ingress, &tunnel->upstream->conn);
}

static void client_ending(struct conn *conn, bool broken)
{
    struct tunnel *tunnel = tunnel_of(conn);
    if (broken)
        conn_close(conn, CLOSE_PEER_RESET);
    else if (tunnel->upstream != NULL) /* it says its last, but the instance has to read it */
        conn_limits_set(&tunnel->upstream->conn, &tunnel->ingress->tail_limits);
}

static enum request_end end_of(enum close_reason reason)
{
    switch (reason) {
    case CLOSE_WRITE_TIMEOUT:
    case CLOSE_SLOW_CONSUMER:
        return REQUEST_CLIENT_STALLED;
    case CLOSE_UPSTREAM_FAILED:
        return REQUEST_BROKEN_OFF;
    case CLOSE_DRAINED:
        return REQUEST_STOPPED;
    default:
        return REQUEST_TUNNEL_BY_CLIENT;
    }
}

static void client_closed(struct conn *conn, enum close_reason reason)
{
    struct tunnel *tunnel = tunnel_of(conn);
    request_record_ends(&tunnel->record, end_of(reason));
    tunnel_over(tunnel);
    list_remove(&tunnel->of_ingress);
    tunnel->ingress->tunnel_count--;
    door_leave(&tunnel->ingress->door, tunnel->address);
    free(tunnel);
}

static size_t instance_received(struct conn *conn, char *bytes, size_t len)
{
    struct tunnel *tunnel = tunnel_of_upstream(conn);
    if (tunnel == NULL)
        return len;
    tunnel->record.bytes_out += len;
    if (tunnel->ingress->close_frame)
        ws_border_feed(tunnel->border, span_of(bytes, len));
    relay(tunnel, conn, &tunnel->client, span_of(bytes, len));
    return len;
}

static void instance_drained(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_upstream(conn);
    if (tunnel != NULL)
        conn_read_pause(&tunnel->client, false);
}

/* What the instance said last, its Close frame perhaps, is flushed before the client's connection ends. */
static void end_by_instance(struct tunnel *tunnel)
{
    request_record_ends(&tunnel->record, REQUEST_TUNNEL_BY_INSTANCE);
    conn_shutdown(&tunnel->client, CLOSE_PEER_CLOSED, INGRESS_LINGER_MS);
    tunnel_over(tunnel);
}

/* The instance has said its last, which goes out to the client. It may still read: what the client sends before it ends
 * too goes to it. */
static void instance_ended(struct conn *conn)
{
    struct tunnel *tunnel = tunnel_of_upstream(conn);
    if (tunnel == NULL) {
        conn_close(conn, CLOSE_PEER_CLOSED);
        return;
    }
    bool waits = conn_queued(conn) > 0 || conn_unread(&tunnel->client) > 0;
    tunnel->instance_ended = true;
    request_record_ends(&tunnel->record, REQUEST_TUNNEL_BY_INSTANCE);
    conn_shutdown(&tunnel->client, CLOSE_PEER_CLOSED, waits ? INGRESS_TAIL_MS : INGRESS_LINGER_MS);
}

static void instance_closed(struct conn *conn, enum close_reason reason)
{
    struct upstream *upstream = container_of(conn, struct upstream, conn);
    struct tunnel *tunnel = upstream->tunnel;
    free(upstream);
    if (tunnel == NULL)
        return;
    tunnel->upstream = NULL;
    if (tunnel->instance_ended) { /* it reads no more; the client still gets its last words */
        tunnel_over(tunnel);
    } else if (reason == CLOSE_PEER_CLOSED) {
        end_by_instance(tunnel);
    } else {
        request_record_ends(&tunnel->record,
                            reason == CLOSE_WRITE_TIMEOUT ? REQUEST_INSTANCE_STALLED : REQUEST_BROKEN_OFF);
        conn_close(&tunnel->client, CLOSE_UPSTREAM_FAILED);
    }
}

static void deadline_passed(struct timer *timer)
{
    struct tunnel *tunnel = container_of(timer, struct tunnel, deadline);
    tunnel->ingress->counters.timeouts++;
    /* In the middle of a frame it would be taken for a part of it: then there is none. */
    if (tunnel->ingress->close_frame && ws_border_is_between(tunnel->border)) {
        struct frame *frame = ws_close_create(CLOSE_CODE_GOING_AWAY, SPAN_LIT("timeoutSeconds is over"));
        conn_send_frame(&tunnel->client, frame);
        frame_unref(frame);
    }
    request_record_ends(&tunnel->record, REQUEST_TIMEOUT);
    conn_close(&tunnel->client, CLOSE_REQUEST_TIMEOUT);
    tunnel_over(tunnel);
}

void tunnel_create(struct ingress *ingress, struct http *http, struct upstream *upstream, struct instance *instance,
                   struct door_address *address, const struct request_record *record)
{
    static const struct conn_events client_events = {
        .received = client_received,
        .ended = client_ended,
        .ending = client_ending,
        .drained = client_drained,
        .closed = client_closed,
    };
    static const struct conn_events instance_events = {
        .received = instance_received,
        .ended = instance_ended,
        .drained = instance_drained,
        .closed = instance_closed,
    };
    struct tunnel *tunnel = mem_zero(1, sizeof *tunnel + (ingress->close_frame ? sizeof tunnel->border[0] : 0));
    tunnel->ingress = ingress;
    tunnel->upstream = upstream;
    tunnel->instance = instance;
    tunnel->address = address;
    tunnel->record = *record;
    upstream->tunnel = tunnel;
    upstream->conn.events = &instance_events;
    list_init(&tunnel->of_ingress);
    list_append(&ingress->tunnels, &tunnel->of_ingress);
    ingress->tunnel_count++;
    ingress->counters.tunnels++;
    timer_init(&tunnel->deadline, deadline_passed);
    timer_start(ingress->loop, &tunnel->deadline, fleet_left_us(tunnel->instance->fleet, tunnel->record.began_us));
    http_hand_over_to(http, &tunnel->client, &client_events);
}

void tunnels_cut(struct ingress *ingress, enum close_reason reason)
{
    list_each (node, &ingress->tails) {
        conn_close(&container_of(node, struct tail, of_ingress)->upstream->conn, reason);
    }
    list_each (node, &ingress->tunnels) {
        conn_close(&container_of(node, struct tunnel, of_ingress)->client, reason);
    }
}
