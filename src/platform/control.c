/* control: the socket, and the handlers of its requests. */
#include "platform/control.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/private.h"
#include "platform/control_logs.h"
#include "platform/control_query.h"

enum { CLIENT_MS_MAX = 10000, CLIENT_LINGER_MS = 1000, CONTROL_QUEUE_BYTES_MAX = 16 << 20 };

struct control_client {
    struct http http;
    struct buf body;
    char *target; /* of a request whose body is being read */
};

static struct control *control_of(struct http *http)
{
    return container_of(http->server, struct control, http);
}

static void answer_error(struct http *http, int status, const char *text)
{
    struct buf body = {0};
    buf_append(&body, SPAN_LIT("{\"error\":\""));
    buf_append_json(&body, span_str(text));
    buf_append(&body, SPAN_LIT("\"}\n"));
    http_respond(http, status, SPAN_LIT("application/json"), SPAN_LIT(""), buf_span(&body));
    buf_finish(&body);
}

static void answer_services(struct http *http)
{
    const struct control *control = control_of(http);
    struct buf body = {0};
    buf_append(&body, SPAN_LIT("{\"services\":"));
    control_services_encode(&body, control->catalog, control->port);
    buf_append(&body, SPAN_LIT("}\n"));
    http_respond(http, 200, SPAN_LIT("application/json"), SPAN_LIT(""), buf_span(&body));
    buf_finish(&body);
}

static void answer_logs(struct http *http, struct span query)
{
    struct buf body = {0};
    struct err err;
    if (control_logs_encode(&body, control_of(http)->catalog, query, &err))
        http_respond(http, 200, SPAN_LIT("application/json"), SPAN_LIT(""), buf_span(&body));
    else
        answer_error(http, 409, err.text);
    buf_finish(&body);
}

static void answer(struct http *http, bool ok, const struct err *err)
{
    if (ok)
        answer_services(http);
    else
        answer_error(http, 409, err->text);
}

static bool traffic_change(struct service *service, struct span query, struct err *err)
{
    struct traffic traffic = {0};
    char *shares = control_value_get(query, "to"), *tags = control_value_get(query, "tags");
    traffic_copy(&traffic, &service->traffic);
    bool ok = (shares != NULL || tags != NULL) || err_set(err, "neither shares nor tags are given");
    ok = ok && (shares == NULL || traffic_shares_set(&traffic, span_str(shares), err)) &&
         (tags == NULL || traffic_tags_set(&traffic, span_str(tags), err)) &&
         service_traffic_check(service, &traffic, NULL, err);
    if (ok)
        service_traffic_set(service, &traffic);
    traffic_finish(&traffic);
    free(shares);
    free(tags);
    return ok;
}

/* /services/NAME/WHAT */
static void service_change(struct http *http, struct span path, struct span query)
{
    struct span name, what = span_from(path, sizeof "/services/" - 1);
    struct err err;
    span_next(&what, '/', &name);
    struct service *service = route_find(&control_of(http)->catalog->route, name);
    if (service == NULL) {
        answer_error(http, 404, "there is no service of that name: `sennit services` lists them");
    } else if (span_equal(what, SPAN_LIT("traffic"))) {
        answer(http, traffic_change(service, query, &err), &err);
    } else if (span_equal(what, SPAN_LIT("rollback"))) {
        char *to = control_value_get(query, "to");
        answer(http, service_roll_back(service, to, &err), &err);
        free(to);
    } else {
        answer_error(http, 404, "there is no such command");
    }
}

static void apply(struct http *http, struct span query, struct span body)
{
    struct buf path = {0};
    struct err err;
    control_decoded_append(&path, query);
    char *file = mem_text(path.len > 0 ? buf_span(&path) : SPAN_LIT("service.yaml"));
    answer(http, catalog_apply(control_of(http)->catalog, file, body, &err), &err);
    free(file);
    buf_finish(&path);
}

static void on_body(struct http *http, struct span bytes, bool last)
{
    struct control_client *client = container_of(http, struct control_client, http);
    struct span query = span_str(client->target), path;
    buf_append(&client->body, bytes);
    if (!last)
        return;
    span_next(&query, '?', &path);
    if (span_equal(path, SPAN_LIT("/apply")))
        apply(http, query, buf_span(&client->body));
    else if (span_starts_with(path, SPAN_LIT("/services/")))
        service_change(http, path, query);
    else
        answer_error(http, 404, "there is no such command");
}

static void on_request(struct http *http, const struct http1_head *head)
{
    struct control_client *client = container_of(http, struct control_client, http);
    http_last(http, CLOSE_DONE);
    bool is_get = span_equal(head->method, SPAN_LIT("GET"));
    if (is_get && span_equal(head->target, SPAN_LIT("/services"))) {
        answer_services(http);
    } else if (is_get && span_starts_with(head->target, SPAN_LIT("/logs?"))) {
        answer_logs(http, span_from(head->target, sizeof "/logs?" - 1));
    } else if (!span_equal(head->method, SPAN_LIT("POST"))) {
        answer_error(http, 405, "GET /services, GET /logs, or POST");
    } else {
        client->target = mem_text(head->target);
        http_read_body(http, CONTROL_BODY_BYTES_MAX, HTTP_BODY_WHOLE);
    }
}

static void on_closed(struct http *http, enum close_reason reason)
{
    struct control_client *client = container_of(http, struct control_client, http);
    buf_finish(&client->body);
    free(client->target);
    free(client);
}

static const struct http_events events = {.request = on_request, .body = on_body, .closed = on_closed};
static const struct http_rules rules = {
    .body_bytes_max = CONTROL_BODY_BYTES_MAX,
    .body_ms = CLIENT_MS_MAX,
    .linger_ms = CLIENT_LINGER_MS,
    .linger_body_ms = CLIENT_LINGER_MS,
};
static const struct conn_limits limits = {.queue_bytes_max = CONTROL_QUEUE_BYTES_MAX,
                                          .input_bytes_max = CONTROL_BODY_BYTES_MAX + HTTP1_HEAD_BYTES_MAX,
                                          .write_stall_ms_max = CLIENT_MS_MAX};

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct control *control = container_of(listener, struct control, listener);
    if (!io_peer_is_own(io)) {
        log_event(LOG_WARNING, "another user asked for a change, and got no answer");
        return;
    }
    if (control->http.count == CONTROL_CLIENTS_MAX)
        return; /* the listener closes it; a client has CLIENT_MS_MAX */
    struct control_client *client = mem_zero(1, sizeof *client);
    http_accept(&control->http, &client->http, io, peer, CLIENT_MS_MAX);
}

void control_open(struct control *control, struct net *net, struct catalog *catalog, uint16_t port)
{
    struct addr addr;
    struct err err;
    unsigned corrected;
    if (catalog->directory == NULL)
        return;
    control->catalog = catalog;
    control->port = port;
    http_server_init(&control->http, net, &events, &limits, &rules);
    char *path = mem_printf("%s/socket", catalog->directory);
    bool ok = addr_from_unix(&addr, span_str(path)) ||
              err_set(&err, "%s is longer than a socket's path may be: --state DIR with a shorter one", path);
    ok = ok && listener_open(&control->listener, net, &addr, on_accepted, &err);
    if (ok) /* the folder is its user's alone already; now the socket is, too */
        free(private_directory_make(catalog->directory, &corrected, &err));
    else
        log_event(LOG_WARNING, "commands like `sennit apply` do not reach this sennit up", LOG_C("error", err.text));
    free(path);
}

void control_close(struct control *control)
{
    if (control->http.net == NULL)
        return;
    listener_close(&control->listener);
    http_server_cut(&control->http, CLOSE_DRAINED);
}
