/* api: routes, access, the number of requests under way, and answers. */
#include "serve/api_parts.h"

#include <stdlib.h>

#include "base/mem.h"

#define PREFIX "/api/v1/"
#define JSON SPAN_LIT("application/json")
#define NO_STORE SPAN_LIT("Cache-Control: no-store\r\n")

struct api_route {
    const char *path;
    bool posts; /* else it is asked by GET */
    void (*handler)(struct api_request *request);
    const char *fields; /* that it takes */
};

#define SELECTION "namespace rooms except socket local "

static const struct api_route routes[] = {
    {"publish", true, api_publish, SELECTION "event args id volatile "},
    {"ask", true, api_ask, SELECTION "event args timeout_ms "},
    {"emitWithAck", true, api_ask, SELECTION "event args timeout_ms "}, /* as Socket.IO's server calls it */
    {"sockets/join", true, api_join, SELECTION "join "},
    {"sockets/leave", true, api_leave, SELECTION "leave "},
    {"sockets/disconnect", true, api_disconnect, SELECTION "close "},
    {"rooms", false, api_rooms, "namespace limit after local "},
    {"sockets", false, api_sockets, "namespace room except limit after local "},
    {"count", false, api_count, "namespace room except local "},
    {"history", false, api_history, "namespace room limit before after "},
};
/* sockets/SID */
static const struct api_route socket_route = {"sockets/", false, api_socket, "namespace local "};

bool api_has(struct span path)
{
    return span_starts_with(path, SPAN_LIT("/api/"));
}

static void error_encode(struct buf *to, enum refusal refusal, const char *field, const char *cure)
{
    const char *text = refusal_text(refusal), *colon = strstr(text, ": ");
    size_t fault = colon != NULL ? (size_t)(colon - text) : strlen(text);
    buf_append(to, SPAN_LIT("{\"error\":\""));
    buf_append_json(to, span_of(text, fault));
    buf_printf(to, "\",\"reason\":\"%s\"", refusal_name(refusal));
    if (field != NULL) {
        buf_append(to, SPAN_LIT(",\"field\":\""));
        buf_append_json(to, span_str(field));
        buf_append_char(to, '"');
    }
    buf_append(to, SPAN_LIT(",\"cure\":\""));
    buf_append_json(to, span_str(cure != NULL ? cure : colon != NULL ? colon + 2 : text));
    buf_append(to, SPAN_LIT("\"}\n"));
}

static struct span fields_of(int status)
{
    return status == 401   ? SPAN_LIT("WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n")
           : status == 405 ? SPAN_LIT("Allow: GET, HEAD, POST\r\nCache-Control: no-store\r\n")
           : status == 503 ? SPAN_LIT("Retry-After: 1\r\nCache-Control: no-store\r\n")
                           : NO_STORE;
}

/* A refusal of a request that was not begun. */
static void refuse(struct client *client, int status, enum refusal refusal, const char *field, struct span what)
{
    struct buf body = {0};
    client_note(client, refusal, what);
    error_encode(&body, refusal, field, NULL);
    http_respond(&client->http, status, JSON, fields_of(status), buf_span(&body));
    buf_finish(&body);
}

void api_answer(struct api_request *request, int status, struct span json)
{
    struct client *client = request->client;
    if (client == NULL)
        return;
    timer_stop(request->server->loop, &request->late);
    request->client = NULL;
    client->speaking.api = NULL;
    http_respond(&client->http, status, JSON, fields_of(status), json);
}

void api_refuse(struct api_request *request, int status, enum refusal refusal, const char *field, const char *cure)
{
    struct buf body = {0};
    if (request->client != NULL)
        client_note(request->client, refusal, span_str(field != NULL ? field : request->route->path));
    error_encode(&body, refusal, field, cure);
    api_answer(request, status, buf_span(&body));
    buf_finish(&body);
}

void api_done(struct api_request *request)
{
    timer_stop(request->server->loop, &request->late);
    if (request->client != NULL)
        request->client->speaking.api = NULL;
    request->server->api_requests--;
    api_input_finish(&request->input);
    nsp_unref(request->server->sessions.app, request->nsp);
    buf_finish(&request->room);
    free(request);
}

bool api_nsp_find(struct api_request *request)
{
    struct session_app *app = request->server->sessions.app;
    struct span name = request->input.nsp.len != 0 ? buf_span(&request->input.nsp) : SPAN_LIT("/");
    enum refusal refusal = REFUSAL_COUNT;
    request->nsp = app->nsp_find(app, name, &refusal);
    if (request->nsp == NULL)
        api_refuse(request, refusal == REFUSAL_NAMESPACE_UNKNOWN ? 404 : 503, refusal, "namespace", NULL);
    return request->nsp != NULL;
}

/* Whether it is accepted is not known. */
static void late(struct timer *timer)
{
    api_refuse(container_of(timer, struct api_request, late), 504, REFUSAL_API_LATE, NULL, NULL);
}

/* `socket`: the sid of the path, or empty. */
static void begin(struct client *client, const struct api_route *route, struct span socket, struct span query)
{
    struct server *server = client_server(client);
    struct api_request *request = mem_zero(1, sizeof *request);
    const char *field, *cure;
    request->client = client;
    request->server = server;
    request->route = route;
    timer_init(&request->late, late);
    buf_append(&request->input.socket, socket);
    client->speaking.api = request;
    server->api_requests++;
    if (route->posts) {
        http_read_body(&client->http, server->config.limits.payload_bytes_max + API_BODY_EXTRA, HTTP_BODY_WHOLE);
        return;
    }
    if (!api_input_query(&request->input, query, route->fields, &field, &cure)) {
        api_refuse(request, 400, REFUSAL_API_FIELD, field, cure);
        api_done(request);
        return;
    }
    route->handler(request);
}

void api_body(struct client *client, struct span body)
{
    struct api_request *request = client->speaking.api;
    const char *field = NULL, *cure = NULL;
    if (!api_input_body(&request->input, body, request->route->fields, &field, &cure)) {
        api_refuse(request, 400, field != NULL ? REFUSAL_API_FIELD : REFUSAL_API_JSON, field, cure);
        api_done(request);
        return;
    }
    timer_start(request->server->loop, &request->late, LOOP_MS(API_LATE_MS));
    request->route->handler(request);
}

/* A handler that waits for the broker goes on by itself. */
static void forget(struct api_request *request)
{
    timer_stop(request->server->loop, &request->late);
    request->client->speaking.api = NULL;
    request->client = NULL;
    if (!request->acting)
        api_done(request);
}

void api_aborted(struct client *client)
{
    if (client->speaking.api != NULL)
        forget(client->speaking.api);
}

bool api_refused(struct client *client, enum http_fault fault, int status)
{
    struct buf body = {0};
    if (client->speaking.api == NULL)
        return false;
    forget(client->speaking.api);
    if (status == 0)
        return true;
    error_encode(&body, fault == HTTP_FAULT_BODY_TOO_LARGE ? REFUSAL_BODY_TOO_LARGE : REFUSAL_BODY_LATE, NULL,
                 fault == HTTP_FAULT_BODY_TOO_LARGE ? "send less at a time, or raise `max_payload:`" : NULL);
    http_respond(&client->http, status, JSON, NO_STORE, buf_span(&body));
    buf_finish(&body);
    return true;
}

/* The route of this path, or NULL. */
static const struct api_route *route_find(struct span path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (span_equal(path, span_str(routes[i].path)))
            return &routes[i];
    struct span sid = span_from(path, sizeof "sockets/" - 1);
    return span_starts_with(path, SPAN_LIT("sockets/")) && engineio_sid_is_valid(sid) ? &socket_route : NULL;
}

/* What Socket.IO's server has, and this one has not. */
static bool is_for_later(struct span path)
{
    return span_equal(path, SPAN_LIT("serverSideEmit"));
}

/* A web page in a browser on this machine comes from this machine, too, and can make the browser send a POST. A browser
 * says with it which origin the page is of. */
static bool may_ask(struct client *client, const struct http1_head *head)
{
    struct server *server = client_server(client);
    struct admin *access = &server->config.api.access;
    bool from_page = http1_field_get(head, SPAN_LIT("Origin")).data != NULL ||
                     http1_field_get(head, SPAN_LIT("Sec-Fetch-Site")).data != NULL;
    admin_refresh(access, server->loop);
    return from_page ? admin_has_token(access, head) : admin_allows(access, &client->http.conn.peer, head);
}

void api_request(struct client *client, const struct http1_head *head, struct span path, struct span query)
{
    struct server *server = client_server(client);
    bool reads = span_equal(head->method, SPAN_LIT("GET")) || span_equal(head->method, SPAN_LIT("HEAD"));
    bool is_ours =
        span_starts_with(path, SPAN_LIT(PREFIX)) && client->speaking.by_api_port == server->config.api.has_port;
    const struct api_route *route = is_ours ? route_find(span_from(path, sizeof PREFIX - 1)) : NULL;
    if (client->speaking.by_api_port && reads && span_equal(path, SPAN_LIT("/health")))
        http_respond(&client->http, 200, SPAN_LIT("text/plain; charset=utf-8"), NO_STORE, SPAN_LIT("alive\n"));
    else if (!may_ask(client, head))
        refuse(client, server->config.api.access.token != NULL ? 401 : 403, REFUSAL_API_FORBIDDEN, NULL, path);
    else if (is_ours && is_for_later(span_from(path, sizeof PREFIX - 1)))
        refuse(client, 501, REFUSAL_API_LATER, NULL, path);
    else if (route == NULL)
        refuse(client, 404, REFUSAL_API_PATH, NULL, path);
    else if (route->posts ? !span_equal(head->method, SPAN_LIT("POST")) : !reads)
        refuse(client, 405, REFUSAL_API_METHOD, NULL, head->method);
    else if (server->api_requests >= server->config.bounds.api_requests)
        refuse(client, 503, REFUSAL_API_BUSY, NULL, path);
    else
        begin(client, route, route == &socket_route ? span_from(path, sizeof PREFIX "sockets/" - 1) : SPAN_LIT(""),
              query);
}
