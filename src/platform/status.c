/* status: see status.h. */
#include "platform/status.h"

#include <stdlib.h>

#include "base/mem.h"

enum { STATUS_MS_MAX = 5000 };

struct reader {
    struct conn conn;
    struct list of_status;
    struct timer deadline;
    struct status *status;
};

static const char *const state_names[] = {"starting", "ready", "draining", "gone"};

void status_encode(struct buf *to, const struct status *status)
{
    const struct fleet *fleet = status->fleet;
    const struct ingress *ingress = status->ingress;
    buf_printf(to,
               "{\"service\":\"%s\",\"revision\":\"%s\",\"url\":\"http://localhost:%u\",\"redis\":", fleet->spec->name,
               fleet->spec->revision, status->ingress_port);
    if (status->redis->loop != NULL) {
        buf_printf(to, "{\"pid\":%d,\"ready\":%s,\"socket\":\"", (int)status->redis->child.pid,
                   status->redis->answers ? "true" : "false");
        buf_append_json(to, span_str(status->redis->socket));
        buf_append(to, SPAN_LIT("\"}"));
    } else {
        buf_append(to, SPAN_LIT("null"));
    }
    buf_append(to, SPAN_LIT(",\"instances\":["));
    for (const struct list *node = fleet->instances.next; node != &fleet->instances; node = node->next) {
        const struct instance *instance = container_of(node, struct instance, of_fleet);
        buf_printf(to, "%s{\"id\":\"%s\",\"pid\":%d,\"port\":%u,\"state\":\"%s\",\"requests\":%u,\"started_ms\":%lld}",
                   node == fleet->instances.next ? "" : ",", instance->id, (int)instance->pid, instance->port,
                   state_names[instance->state], instance->requests, (long long)instance->started_ms);
    }
    buf_printf(to,
               "],\"queued\":%u,\"clients\":%zu,\"counters\":{\"instances_started\":%u,\"exchanges\":%llu,"
               "\"tunnels\":%llu,\"timeouts\":%llu,\"failures\":%llu,\"refused\":%llu,\"crashed\":%llu}}\n",
               fleet->ask_count, ingress->client_count, fleet->started, (unsigned long long)ingress->counters.exchanges,
               (unsigned long long)ingress->counters.tunnels, (unsigned long long)ingress->counters.timeouts,
               (unsigned long long)ingress->counters.failures, (unsigned long long)fleet->counters.refused,
               (unsigned long long)fleet->counters.crashed);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    static struct http1_head head;
    struct reader *reader = container_of(conn, struct reader, conn);
    struct buf text = {0}, body = {0};
    int status;
    ptrdiff_t used = http1_request_decode(span_of(bytes, len), 0, &head, &status);
    if (used == 0)
        return 0;
    if (used < 0) {
        http1_response_encode(&text, status, SPAN_LIT("text/plain"), SPAN_LIT(""), SPAN_LIT("Bad Request\n"), false);
    } else if (!span_equal(head.target, SPAN_LIT("/status"))) {
        http1_response_encode(&text, 404, SPAN_LIT("text/plain"), SPAN_LIT(""), SPAN_LIT("Try /status\n"), false);
    } else {
        status_encode(&body, reader->status);
        http1_response_encode(&text, 200, SPAN_LIT("application/json"), SPAN_LIT("Cache-Control: no-store\r\n"),
                              buf_span(&body), false);
    }
    conn_send(conn, buf_span(&text));
    conn_shutdown(conn, CLOSE_DONE, 1000);
    buf_finish(&text);
    buf_finish(&body);
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct reader *reader = container_of(conn, struct reader, conn);
    timer_stop(conn->net->loop, &reader->deadline);
    list_remove(&reader->of_status);
    free(reader);
}

static void on_deadline(struct timer *timer)
{
    conn_close(&container_of(timer, struct reader, deadline)->conn, CLOSE_HEAD_TIMEOUT);
}

static const struct conn_events events = {.received = on_received, .closed = on_closed};
static const struct conn_limits limits = {.queue_bytes_max = 1 << 20, .input_bytes_max = HTTP1_HEAD_BYTES_MAX};

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct reader *reader = mem_zero(1, sizeof *reader);
    reader->status = container_of(listener, struct status, listener);
    list_init(&reader->of_status);
    list_append(&reader->status->readers, &reader->of_status);
    conn_init(&reader->conn, listener->net, &events, &limits);
    timer_init(&reader->deadline, on_deadline);
    timer_start(listener->net->loop, &reader->deadline, LOOP_MS(STATUS_MS_MAX));
    conn_adopt(&reader->conn, io, peer);
}

bool status_open(struct status *status, struct net *net, uint16_t port, struct err *err)
{
    struct addr addr;
    status->net = net;
    list_init(&status->readers);
    addr_loopback(&addr, port);
    return listener_open(&status->listener, net, &addr, on_accepted, err) || err_prefix(err, "--status-port: ");
}

void status_close(struct status *status)
{
    if (status->net == NULL)
        return;
    listener_close(&status->listener);
    list_each (node, &status->readers) {
        conn_close(&container_of(node, struct reader, of_status)->conn, CLOSE_DRAINED);
    }
}
