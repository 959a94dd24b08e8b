/* status: the handler of the page: checks Host and Origin, and encodes the JSON. */
#include "platform/status.h"

#include <stdlib.h>

#include "base/mem.h"

enum { STATUS_MS_MAX = 5000, STATUS_LINGER_MS = 1000, STATUS_READERS_MAX = 64 };

/* False: there is none, and all is written. */
static bool managed_begin(struct buf *to, const char *name, const struct managed *managed)
{
    buf_printf(to, ",\"%s\":", name);
    if (managed->state == MANAGED_OFF) {
        buf_append(to, SPAN_LIT("null"));
        return false;
    }
    buf_printf(to, "{\"pid\":%d,\"ready\":%s,\"socket\":\"", (int)managed_pid(managed),
               managed->state == MANAGED_READY ? "true" : "false");
    buf_append_json(to, span_str(managed->socket));
    buf_append_char(to, '"');
    return true;
}

static void managed_encode(struct buf *to, const struct service *service)
{
    const struct redis_port *port = &service->redis.port;
    if (managed_begin(to, "redis", &service->redis.managed))
        buf_printf(to, ",\"port\":%u,\"port_clients\":%u,\"port_refused\":%llu}", port->number, port->count,
                   (unsigned long long)port->refused);
    if (managed_begin(to, "postgres", &service->postgres.managed))
        buf_append_char(to, '}');
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
        buf_printf(to,
                   "%s{\"id\":\"%s\",\"revision\":\"%s\",\"pid\":%d,\"port\":%u,\"state\":\"%s\",\"requests\":%u,"
                   "\"cpu\":%s,\"started_ms\":%lld}",
                   sums->instances++ == 0 ? "" : ",", instance->id, fleet->spec->revision, (int)instance->program.pid,
                   instance->port, instance_state_name(instance), instance->requests,
                   instance->frozen ? "false" : "true", (long long)instance->started_ms);
    }
    sums->queued += fleet->ask_count;
    sums->started += fleet->started;
    sums->refused += fleet->counters.refused;
    sums->crashed += fleet->counters.crashed;
}

void status_encode(struct buf *to, const struct status *status)
{
    const struct list *services = &status->catalog->route.services;
    const struct service *service = container_of(services->next, struct service, of_route);
    const struct ingress *ingress = status->ingress;
    struct sums sums = {0};
    buf_printf(to, "{\"service\":\"%s\",\"revision\":\"%s\",\"url\":\"%s://localhost:%u\"", service->name,
               service_latest(service)->spec.revision, catalog_scheme(status->catalog), status->ingress_port);
    managed_encode(to, service);
    buf_append(to, SPAN_LIT(",\"instances\":["));
    list_each (outer, services) {
        list_each (node, &container_of(outer, struct service, of_route)->revisions) {
            fleet_encode(to, &container_of(node, struct revision, of_service)->fleet, &sums);
        }
    }
    buf_printf(to,
               "],\"queued\":%u,\"clients\":%zu,\"limits\":{\"connections\":%u,\"connections_per_address\":%u},"
               "\"counters\":{\"instances_started\":%u,\"exchanges\":%llu,\"tunnels\":%llu,\"timeouts\":%llu,"
               "\"failures\":%llu,\"clients_left\":%llu,\"trailers_dropped\":%llu,\"refused\":%llu,"
               "\"crashed\":%llu},\"refusals\":{",
               sums.queued, ingress->http.count + ingress->tunnel_count, ingress->door.count_max,
               ingress->door.address_max, sums.started, (unsigned long long)ingress->counters.exchanges,
               (unsigned long long)ingress->counters.tunnels, (unsigned long long)ingress->counters.timeouts,
               (unsigned long long)ingress->counters.failures, (unsigned long long)ingress->counters.left,
               (unsigned long long)ingress->counters.trailers_dropped, (unsigned long long)sums.refused,
               (unsigned long long)sums.crashed);
    for (int i = 0; i < DENIAL_COUNT; i++)
        buf_printf(to, "%s\"%s\":%llu", i > 0 ? "," : "", denial_reason((enum denial)i),
                   (unsigned long long)ingress->denials.counts[i]);
    const struct metadata *metadata = status->catalog->programs->metadata;
    buf_printf(to, "},\"metadata\":{\"answered\":%llu,\"refused\":%llu},\"services\":",
               (unsigned long long)(metadata != NULL ? metadata->answered : 0),
               (unsigned long long)(metadata != NULL ? metadata->refused : 0));
    control_services_encode(to, status->catalog, status->ingress_port);
    buf_append(to, SPAN_LIT("}\n"));
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

static void on_request(struct http *http, const struct http1_head *head)
{
    const struct status *status = container_of(http->server, struct status, http);
    struct span type = SPAN_LIT("text/plain"), text;
    struct buf body = {0};
    int code = 200;
    if (!is_allowed(head)) {
        code = 403;
        text = SPAN_LIT("This page is for programs on this machine: ask for it by localhost, 127.0.0.1 or [::1], and "
                        "not from a page of another origin.\n");
    } else if (!span_equal(head->method, SPAN_LIT("HEAD")) && !span_equal(head->method, SPAN_LIT("GET"))) {
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
    http_last(http, CLOSE_DONE); /* a reader's place is for the next one */
    http_respond(http, code, type, SPAN_LIT(""), text);
    buf_finish(&body);
}

static void on_closed(struct http *http, enum close_reason reason)
{
    free(http);
}

static const struct http_events events = {.request = on_request, .closed = on_closed};
static const struct http_rules rules = {
    .body_bytes_max = UINT64_MAX, /* nobody reads one */
    .linger_ms = STATUS_LINGER_MS,
    .linger_body_ms = STATUS_LINGER_MS,
};
static const struct conn_limits limits = {
    .queue_bytes_max = 1 << 20, .input_bytes_max = HTTP1_HEAD_BYTES_MAX, .write_stall_ms_max = STATUS_MS_MAX};

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct status *status = container_of(listener, struct status, listener);
    if (status->http.count == STATUS_READERS_MAX)
        return; /* the listener closes it; a reader has STATUS_MS_MAX */
    http_accept(&status->http, mem_zero(1, sizeof(struct http)), io, peer, STATUS_MS_MAX);
}

bool status_open(struct status *status, struct net *net, uint16_t port, struct err *err)
{
    struct addr addr;
    http_server_init(&status->http, net, &events, &limits, &rules);
    status->http.fields = SPAN_LIT("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                                   "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
                                   "Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n");
    addr_loopback(&addr, port);
    return listener_open(&status->listener, net, &addr, on_accepted, err) || err_prefix(err, "--status-port: ");
}

void status_close(struct status *status)
{
    if (status->http.net == NULL)
        return;
    listener_close(&status->listener);
    http_server_cut(&status->http, CLOSE_DRAINED);
}
