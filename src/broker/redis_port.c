/* redis_port: what listens at the address, if it does not answer as Redis does: another protocol's first bytes, or TLS
 * in place of plain text and the reverse.
 *
 * A server that speaks TLS mostly cuts a plain connection without an answer. So do proxies whose Redis is away. To tell
 * them apart, a connection is made with TLS: a handshake, or an alert, proves it. This is tried after each fifth
 * connection that ended so. A plain Redis takes a TLS handshake for the beginning of a long line, and waits. So when
 * the handshake is not answered for a second, a plain connection asks PING. Both are tried only while the broker was
 * never up: then it is the operator who mistook the port. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"
#include "net/tls.h"

#define SPEAKS_PLAIN "the port does not speak TLS: write redis:// in REDIS_URL, or give the port that speaks TLS"
#define SPEAKS_TLS "the port speaks TLS: write rediss:// in REDIS_URL, or give the port without TLS"

enum { PROBE_BYTES_MAX = 64 << 10, CUTS = 5, SILENT_MS = 1000 };

static const struct conn_limits limits = {.queue_bytes_max = PROBE_BYTES_MAX, .input_bytes_max = PROBE_BYTES_MAX};

const char *redis_stranger_text(struct span first)
{
    static const struct {
        struct span begin;
        const char *text;
    } table[] = {
        {SPAN_LIT("\x15\x03"), SPEAKS_TLS},
        {SPAN_LIT("\x16\x03"), SPEAKS_TLS},
        {SPAN_LIT("HTTP/"), "an HTTP server answers, not a Redis: correct host and port in REDIS_URL"},
        {SPAN_LIT("SSH-"), "an SSH server answers, not a Redis: correct host and port in REDIS_URL"},
        {SPAN_LIT("220 "), "a mail or FTP server answers, not a Redis: correct host and port in REDIS_URL"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (span_starts_with(first, table[i].begin))
            return table[i].text;
    return NULL;
}

static struct redis_port *port_of(struct conn *conn)
{
    return container_of(conn, struct redis_port, conn);
}

static struct redis_broker *broker_of(struct redis_port *port)
{
    return container_of(port, struct redis_broker, port);
}

static void on_opened(struct conn *conn)
{
    if (conn_tls(conn) == NULL) {
        conn_send(conn, SPAN_LIT("PING\r\n"));
        return;
    }
    port_of(conn)->why = SPEAKS_TLS;
    conn_close(conn, CLOSE_DONE);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    if (conn_tls(conn) == NULL && (bytes[0] == '+' || bytes[0] == '-'))
        port_of(conn)->why = SPEAKS_PLAIN;
    conn_close(conn, CLOSE_DONE);
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct redis_port *port = port_of(conn);
    struct redis_broker *redis = broker_of(port);
    enum tls_fault fault = conn_tls_problem(conn)->fault;
    port->busy = false;
    /* A fault of its certificate, or an alert, is TLS, too. */
    if (fault != TLS_FAULT_NONE && fault != TLS_FAULT_NOT_TLS && fault != TLS_FAULT_OTHER)
        port->why = SPEAKS_TLS;
    if (port->why != NULL && !redis->destroying && !redis->trouble.proven)
        redis_unusable(redis, port->why);
}

static const struct conn_events events = {.opened = on_opened, .received = on_received, .closed = on_closed};

static void probe(struct redis_broker *redis, const struct tls_client *tls)
{
    struct redis_port *port = &redis->port;
    port->busy = true;
    port->why = NULL;
    conn_init(&port->conn, redis->net, &events, &limits);
    if (tls != NULL)
        conn_connect_tls(&port->conn, &redis->dial.addr, tls);
    else
        conn_connect(&port->conn, &redis->dial.addr);
}

static bool may_ask(const struct redis_broker *redis)
{
    return !redis->port.busy && !redis->trouble.proven && !redis->trouble.unusable && redis->url.host != NULL;
}

void redis_port_cut(struct redis_broker *redis)
{
    struct redis_port *port = &redis->port;
    const struct tls_client_options options = {.name = redis->url.host, .verify_off = true};
    struct err err;
    if (redis->tls != NULL || ++port->cuts % CUTS != 0 || !may_ask(redis))
        return;
    if (port->tls == NULL)
        port->tls = tls_client_create(&options, &err);
    if (port->tls != NULL)
        probe(redis, port->tls);
}

static void silent(struct timer *timer)
{
    struct redis_broker *redis = broker_of(container_of(timer, struct redis_port, silence));
    const struct tls *tls = redis->commands.busy ? conn_tls(&redis->commands.conn) : NULL;
    if (redis->state == REDIS_CONNECTING && tls != NULL && tls->begun && !tls->heard && may_ask(redis))
        probe(redis, NULL);
}

void redis_port_init(struct redis_port *port)
{
    timer_init(&port->silence, silent);
}

void redis_port_connecting(struct redis_broker *redis)
{
    if (redis->tls != NULL && !redis->trouble.proven)
        timer_start(redis->loop, &redis->port.silence, LOOP_MS(SILENT_MS));
}

void redis_port_end(struct redis_broker *redis)
{
    timer_stop(redis->loop, &redis->port.silence);
    if (redis->port.busy)
        conn_close(&redis->port.conn, CLOSE_DONE);
}

void redis_port_finish(struct redis_port *port)
{
    tls_client_destroy(port->tls);
    port->tls = NULL;
}
