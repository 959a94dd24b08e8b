/* redis_port: passes bytes on both ways, with back-pressure. */
#include "platform/redis_port.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/listening.h"
#include "net/conn.h"

/* A client and its connection to Redis. It is freed when both are over. */
struct link {
    struct redis_port *port; /* NULL: closed */
    struct list of_port;
    struct conn client, redis;
    bool client_over, redis_over;
};

static const struct conn_limits limits = {.queue_bytes_max = REDIS_PORT_QUEUE_BYTES_MAX,
                                          .input_bytes_max = REDIS_PORT_PAUSE_BYTES,
                                          .write_stall_ms_max = REDIS_PORT_STALL_MS_MAX};

static struct link *of_client(struct conn *conn)
{
    return container_of(conn, struct link, client);
}

static struct link *of_redis(struct conn *conn)
{
    return container_of(conn, struct link, redis);
}

static size_t pass_on(struct conn *from, struct conn *to, char *bytes, size_t len)
{
    conn_send(to, span_of(bytes, len));
    if (conn_queued(to) > REDIS_PORT_PAUSE_BYTES) {
        conn_read_pause(from, true);
        conn_await_drained(to); /* the kernel may take all of it at once */
    }
    return len;
}

static size_t client_received(struct conn *conn, char *bytes, size_t len)
{
    return pass_on(conn, &of_client(conn)->redis, bytes, len);
}

static size_t redis_received(struct conn *conn, char *bytes, size_t len)
{
    return pass_on(conn, &of_redis(conn)->client, bytes, len);
}

static void client_drained(struct conn *conn)
{
    conn_read_pause(&of_client(conn)->redis, false);
}

static void redis_drained(struct conn *conn)
{
    conn_read_pause(&of_redis(conn)->client, false);
}

static void free_if_over(struct link *link)
{
    if (!link->client_over || !link->redis_over)
        return;
    list_remove(&link->of_port);
    if (link->port != NULL)
        link->port->count--;
    free(link);
}

/* What the other side has said goes out before its connection ends. */
static void client_closed(struct conn *conn, enum close_reason reason)
{
    struct link *link = of_client(conn);
    link->client_over = true;
    if (!link->redis_over)
        conn_close(&link->redis, CLOSE_DONE);
    free_if_over(link);
}

static void redis_closed(struct conn *conn, enum close_reason reason)
{
    struct link *link = of_redis(conn);
    link->redis_over = true;
    if (!link->client_over)
        conn_close(&link->client, CLOSE_DONE);
    free_if_over(link);
}

static const struct conn_events client_events = {
    .received = client_received, .drained = client_drained, .closed = client_closed};
static const struct conn_events redis_events = {
    .received = redis_received, .drained = redis_drained, .closed = redis_closed};

/* The text is an error of Redis' protocol, so that a client shows it. */
static void turn_away(struct redis_port *port, struct io *io, const char *text)
{
    struct iovec part = {.iov_base = (char *)text, .iov_len = strlen(text)};
    io_writev(io, &part, 1);
    if (port->refused++ == 0)
        log_event(LOG_WARNING, "a connection to REDISPORT is refused; later ones are counted", LOG_C("why", text));
}

static void link_begin(struct redis_port *port, struct io *io, const struct addr *peer)
{
    if (port->count == REDIS_PORT_CLIENTS_MAX) {
        turn_away(port, io, "-ERR 1000 connections at REDISPORT are the most: close some, or use REDIS_URL\r\n");
        return;
    }
    struct link *link = mem_zero(1, sizeof *link);
    link->port = port;
    port->count++;
    list_append(&port->links, &link->of_port);
    conn_init(&link->client, port->net, &client_events, &limits);
    conn_init(&link->redis, port->net, &redis_events, &limits);
    conn_adopt(&link->client, io, peer);
    conn_connect(&link->redis, &port->target);
}

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct redis_port *port = container_of(listener, struct redis_port, listener);
    if (listening_peer_is_own(addr_port(peer), port->number))
        link_begin(port, io, peer);
    else
        turn_away(port, io, "-NOPERM this Redis is for processes of the user who runs sennit up\r\n");
}

/* Nobody else is in the instance's network. */
static void on_entered(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct redis_port *port = container_of(listener, struct redis_door, listener)->port;
    if (port->net != NULL)
        link_begin(port, io, peer);
}

bool redis_port_open(struct redis_port *port, struct net *net, const struct addr *target, struct err *err)
{
    struct addr addr;
    *port = (struct redis_port){.net = net, .target = *target};
    list_init(&port->links);
    addr_loopback(&addr, 0);
    if (!listener_open(&port->listener, net, &addr, on_accepted, err))
        return false;
    port->number = listener_port(&port->listener);
    return true;
}

void redis_port_close(struct redis_port *port)
{
    if (port->net == NULL)
        return;
    listener_close(&port->listener);
    list_each (node, &port->links) {
        struct link *link = container_of(node, struct link, of_port);
        list_remove(node);
        link->port = NULL;
        conn_close(&link->client, CLOSE_DRAINED);
    }
    port->net = NULL;
}

bool redis_door_open(struct redis_door *door, struct redis_port *port, const struct netspace *netspace, struct err *err)
{
    struct addr addr;
    addr_loopback(&addr, port->number);
    netspace_enter(netspace);
    bool ok = listener_open(&door->listener, port->net, &addr, on_entered, err);
    netspace_leave(netspace);
    door->port = ok ? port : NULL;
    return ok;
}

void redis_door_close(struct redis_door *door)
{
    if (door->port == NULL)
        return;
    listener_close(&door->listener);
    door->port = NULL;
}
