/* status: accepts readers, checks their Host and Origin, and encodes the JSON. */
#include "platform/status.h"

#include <stdlib.h>

#include "base/mem.h"

enum { STATUS_MS_MAX = 5000, STATUS_READERS_MAX = 64 };

struct reader {
    struct conn conn;
    struct list of_status;
    struct timer deadline;
    struct status *status;
    size_t seen; /* bytes of a head that is not whole yet */
    bool answered;
};

static void redis_encode(struct buf *to, const struct managed_redis *redis)
{
    if (redis->state == MANAGED_REDIS_OFF) {
        buf_append(to, SPAN_LIT("null"));
        return;
    }
    buf_printf(to, "{\"pid\":%d,\"ready\":%s,\"socket\":\"", (int)managed_redis_pid(redis),
               redis->state == MANAGED_REDIS_READY ? "true" : "false");
    buf_append_json(to, span_str(redis->socket));
    buf_append(to, SPAN_LIT("\"}"));
}

/* What all revisions' fleets count together. */
struct sums {
    uint32_t instances, queued, started;
    uint64_t refused, crashed;
};

static void fleet_encode(struct buf *to, const struct fleet *fleet, struct sums *sums)
{
    list_each (node, &fleet->instances) {
        const struct instance *instance = container_of(node, struct instance, of_fleet);
        buf_printf(to, "%s{\"id\":\"%s\",\"pid\":%d,\"port\":%u,\"state\":\"%s\",\"requests\":%u,\"started_ms\":%lld}",
                   sums->instances++ == 0 ? "" : ",", instance->id, (int)instance->program.pid, instance->port,
                   instance_state_name(instance), instance->requests, (long long)instance->started_ms);
    }
    sums->queued += fleet->ask_count;
    sums->started += fleet->started;
    sums->refused += fleet->counters.refused;
    sums->crashed += fleet->counters.crashed;
}

void status_encode(struct buf *to, const struct status *status)
{
    const struct service *service = status->service;
    const struct ingress *ingress = status->ingress;
    struct sums sums = {0};
    buf_printf(to, "{\"service\":\"%s\",\"revision\":\"%s\",\"url\":\"http://localhost:%u\",\"redis\":", service->name,
               service_latest(service)->spec.revision, status->ingress_port);
    redis_encode(to, &service->redis);
    buf_append(to, SPAN_LIT(",\"instances\":["));
    list_each (node, &service->revisions) {
        fleet_encode(to, &container_of(node, struct revision, of_service)->fleet, &sums);
    }
    buf_printf(to,
               "],\"queued\":%u,\"clients\":%zu,\"limits\":{\"connections\":%u,\"connections_per_address\":%u},"
               "\"counters\":{\"instances_started\":%u,\"exchanges\":%llu,\"tunnels\":%llu,\"timeouts\":%llu,"
               "\"failures\":%llu,\"refused\":%llu,\"crashed\":%llu},\"refusals\":{",
               sums.queued, ingress->client_count, ingress->door.count_max, ingress->door.address_max, sums.started,
               (unsigned long long)ingress->counters.exchanges, (unsigned long long)ingress->counters.tunnels,
               (unsigned long long)ingress->counters.timeouts, (unsigned long long)ingress->counters.failures,
               (unsigned long long)sums.refused, (unsigned long long)sums.crashed);
    for (int i = 0; i < DENIAL_COUNT; i++)
        buf_printf(to, "%s\"%s\":%llu", i > 0 ? "," : "", denial_reason((enum denial)i),
                   (unsigned long long)ingress->denials.counts[i]);
    buf_append(to, SPAN_LIT("}}\n"));
}

/* The authority without its port names this machine. A page of elsewhere whose name was made to lead here (DNS
 * rebinding) has another name in Host. */
static bool is_local(struct span authority)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct span name = span_str(names[i]), rest = span_from(authority, name.len);
        if (authority.len >= name.len && span_equal_nocase(span_sub(authority, 0, name.len), name) &&
            (rest.len == 0 || rest.data[0] == ':'))
            return true;
    }
    return false;
}

/* A page of elsewhere says so in Origin. Without Host (HTTP/1.0) and Origin it is no browser. */
static bool is_allowed(const struct http1_head *head)
{
    static const struct span scheme = SPAN_LIT("http://");
    struct span origin = http1_field_get(head, SPAN_LIT("Origin"));
    bool same = origin.data == NULL || (span_starts_with(origin, scheme) && is_local(span_from(origin, scheme.len)));
    return same && (head->host.data == NULL || is_local(head->host));
}

static void answer(struct buf *to, const struct status *status, const struct http1_head *head)
{
    static const struct span fields =
        SPAN_LIT("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                 "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
                 "Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n");
    struct span type = SPAN_LIT("text/plain"), text;
    struct buf body = {0};
    bool is_head = span_equal(head->method, SPAN_LIT("HEAD"));
    int code = 200;
    if (!is_allowed(head)) {
        code = 403;
        text = SPAN_LIT("This page is for programs on this machine: ask for it by localhost, 127.0.0.1 or [::1], and "
                        "not from a page of another origin.\n");
    } else if (!is_head && !span_equal(head->method, SPAN_LIT("GET"))) {
        code = 405;
        text = SPAN_LIT("GET and HEAD are allowed.\n");
    } else if (!span_equal(head->target, SPAN_LIT("/status"))) {
        code = 404;
        text = SPAN_LIT("Try /status\n");
    } else {
        type = SPAN_LIT("application/json");
        status_encode(&body, status);
        text = buf_span(&body);
    }
    http1_response_encode(to, code, type, fields, text, false);
    if (is_head)
        to->len -= text.len;
    buf_finish(&body);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    static struct http1_head head;
    struct reader *reader = container_of(conn, struct reader, conn);
    if (reader->answered)
        return len;
    struct buf text = {0};
    int status;
    ptrdiff_t used = http1_request_decode(span_of(bytes, len), reader->seen, &head, &status);
    if (used == 0) {
        reader->seen = len;
        return 0;
    }
    if (used < 0)
        http1_response_encode(&text, status, SPAN_LIT("text/plain"), SPAN_LIT("X-Content-Type-Options: nosniff\r\n"),
                              SPAN_LIT("Bad Request\n"), false);
    else
        answer(&text, reader->status, &head);
    conn_send(conn, buf_span(&text));
    conn_shutdown(conn, CLOSE_DONE, 1000);
    buf_finish(&text);
    reader->answered = true;
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct reader *reader = container_of(conn, struct reader, conn);
    timer_stop(conn->net->loop, &reader->deadline);
    list_remove(&reader->of_status);
    reader->status->reader_count--;
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
    struct status *status = container_of(listener, struct status, listener);
    if (status->reader_count == STATUS_READERS_MAX)
        return; /* the listener closes it; a reader has STATUS_MS_MAX */
    struct reader *reader = mem_zero(1, sizeof *reader);
    reader->status = status;
    status->reader_count++;
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
