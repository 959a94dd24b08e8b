/* engine: the answers, and what is done with a request that engine_check has found good. */
#include "serve/engine.h"

#include <stdlib.h>

#include "base/mem.h"
#include "http/http_coding.h"
#include "serve/engine_check.h"
#include "serve/files.h"
#include "session/polling.h"
#include "session/socket.h"
#include "wire/ws.h"

#define RETRY_SOON SPAN_LIT("Retry-After: 1\r\n")
#define NOTHING SPAN_LIT("")

enum { PYTHON_PACKETS_MAX = 16 };

struct engine_request {
    struct polling_exchange exchange;
    struct client *client;
    struct buf cors;  /* lines of the answer */
    struct buf token; /* in a header or a cookie of the request */
    struct buf handshake;
    char sid[ENGINEIO_SID_BYTES];
    enum engine_use use;
    bool is_octets;   /* a POST of a media type that this revision of the protocol does not have */
    bool old_browser; /* Internet Explorer, which takes text for HTML */
};

static const struct engine_config *config_of(const struct client *client)
{
    return &client_server(client)->config.engine;
}

static void request_free(struct engine_request *request)
{
    buf_finish(&request->cors);
    buf_finish(&request->token);
    buf_finish(&request->handshake);
    free(request);
}

/* Byte for byte as upstream answers a WebSocket handshake that it refuses; and the connection ends. */
static void error_raw(struct client *client, const char *message)
{
    struct buf head = {0};
    buf_printf(
        &head,
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\nContent-Length: %zu\r\n\r\n",
        strlen(message));
    http_last(&client->http, CLOSE_REFUSED);
    http_stream_begin_head(&client->http, buf_span(&head), false);
    http_stream_send(&client->http, span_str(message));
    http_stream_end(&client->http);
    buf_finish(&head);
}

/* The body is what clients know. The reason and the cure are in fields of our own, and in the log. */
static void error_json(struct client *client, enum engineio_error error, enum refusal refusal, const char *message,
                       struct span cors)
{
    struct buf body = {0}, fields = {0};
    buf_printf(&body, "{\"code\":%d,\"message\":\"%s\"}", (int)error, message);
    buf_append(&fields, cors);
    client_reason_encode(&fields, refusal);
    http_respond(&client->http, 400, SPAN_LIT("application/json"), buf_span(&fields), buf_span(&body));
    buf_finish(&fields);
    buf_finish(&body);
}

/* The target of a handshake for the log: its path, and the parameters that the engine reads. Whoever has a sid has its
 * session, and in other parameters people put tokens: both stay out of the log. */
static void target_shown(struct buf *to, struct span target)
{
    struct span rest = target, part;
    span_next(&rest, '?', &part);
    buf_append(to, part);
    char before = '?';
    while (span_next(&rest, '&', &part)) {
        if (!span_starts_with(part, SPAN_LIT("EIO=")) && !span_starts_with(part, SPAN_LIT("transport=")))
            continue;
        buf_append_char(to, before);
        buf_append(to, part);
        before = '&';
    }
}

static void refuse(struct client *client, const struct http1_head *head, const struct engine_ask *ask, struct span cors)
{
    const char *message = ask->message != NULL ? ask->message : engineio_error_text(ask->error);
    struct buf shown = {0};
    target_shown(&shown, head->target);
    client_note(client, ask->refusal, ask->sid.len > 0 ? head->method : buf_span(&shown));
    buf_finish(&shown);
    if (head->upgrade_websocket)
        error_raw(client, message);
    else
        error_json(client, ask->error, ask->refusal, message, cors);
}

/* In upstream's order. */
static void respond_ok(struct engine_request *request, struct span type, struct span body)
{
    struct client *client = request->client;
    struct buf fields = {0};
    if (request->old_browser)
        buf_append(&fields, SPAN_LIT("X-XSS-Protection: 0\r\n"));
    buf_append(&fields, SPAN_LIT("cache-control: no-store\r\n"));
    if (request->use == ENGINE_HANDSHAKE)
        cookie_encode(&fields, &config_of(client)->cookie,
                      span_of(request->exchange.sid, sizeof request->exchange.sid));
    buf_append(&fields, buf_span(&request->cors));
    http_respond_coded(&client->http, 200, type, buf_span(&fields), body);
    buf_finish(&fields);
}

static void respond_empty(struct engine_request *request, int status, enum refusal refusal)
{
    client_note(request->client, refusal, NOTHING);
    client_reason_encode(&request->cors, refusal);
    http_respond(&request->client->http, status, NOTHING, buf_span(&request->cors), NOTHING);
}

static void respond_error(struct engine_request *request, enum engineio_error error, enum refusal refusal)
{
    client_note(request->client, refusal, NOTHING);
    error_json(request->client, error, refusal, engineio_error_text(error), buf_span(&request->cors));
}

static void on_answer(struct polling_exchange *exchange, enum polling_outcome outcome, struct span payload)
{
    struct engine_request *request = container_of(exchange, struct engine_request, exchange);
    request->client->speaking.engine = NULL;
    if (request->is_octets && outcome == POLLING_OK)
        outcome = POLLING_REFUSED;
    switch (outcome) {
    case POLLING_PAYLOAD:
        respond_ok(request, SPAN_LIT("text/plain; charset=UTF-8"), payload);
        break;
    case POLLING_OK:
        respond_ok(request, SPAN_LIT("text/html"), SPAN_LIT("ok"));
        break;
    case POLLING_UNKNOWN_SID:
        respond_error(request, ENGINEIO_UNKNOWN_SID, REFUSAL_SESSION_UNKNOWN);
        break;
    case POLLING_BAD_REQUEST:
        respond_error(request, ENGINEIO_BAD_REQUEST, REFUSAL_TRANSPORT_OTHER);
        break;
    case POLLING_REFUSED:
        respond_empty(request, 400, request->is_octets ? REFUSAL_POST_BINARY : REFUSAL_POLLS_OVERLAP);
        break;
    }
    request_free(request);
}

static bool is_old_browser(const struct http1_head *head)
{
    struct span agent = http1_field_get(head, SPAN_LIT("User-Agent"));
    return agent.len > 0 &&
           (memmem(agent.data, agent.len, ";MSIE", 5) != NULL || memmem(agent.data, agent.len, "Trident/", 8) != NULL);
}

/* python-engineio ends its session when an answer has more packets (Payload.max_decode_packets). */
static uint32_t packets_max_of(const struct http1_head *head)
{
    struct span agent = http1_field_get(head, SPAN_LIT("User-Agent"));
    return agent.len > 0 && (memmem(agent.data, agent.len, "python", 6) || memmem(agent.data, agent.len, "Python", 6))
               ? PYTHON_PACKETS_MAX
               : 0;
}

static struct engine_request *request_create(struct client *client, const struct http1_head *head,
                                             const struct engine_ask *ask)
{
    struct engine_request *request = mem_zero(1, sizeof *request);
    struct span type = http1_field_get(head, SPAN_LIT("Content-Type"));
    request->exchange = (struct polling_exchange){
        .answer = on_answer, .peer = &client->http.conn.peer, .packets_max = packets_max_of(head), .mark = ask->mark};
    buf_append(&request->token, client_token(client, head));
    request->exchange.token = buf_span(&request->token);
    if (ask->use == ENGINE_HANDSHAKE)
        client_handshake_encode(client, head, &request->handshake);
    request->exchange.handshake = buf_span(&request->handshake);
    request->client = client;
    request->use = ask->use;
    request->is_octets = span_equal(type, SPAN_LIT("application/octet-stream"));
    request->old_browser = is_old_browser(head);
    if (ask->sid.len == sizeof request->sid)
        memcpy(request->sid, ask->sid.data, sizeof request->sid);
    cors_encode(&request->cors, &config_of(client)->cors, head);
    client->speaking.engine = request;
    return request;
}

static void handshake(struct client *client, struct engine_request *request)
{
    struct server *server = client_server(client);
    if (!client_may_begin(client, buf_span(&request->cors))) {
        client->speaking.engine = NULL;
        request_free(request);
        return;
    }
    bool is_crowded = polling_is_crowded(&server->sessions);
    bool is_full = !is_crowded && !polling_admit(&server->sessions, server->config.bounds.connections);
    if (!server->draining && !is_full && !is_crowded) {
        polling_handshake(&server->sessions, server->sessions.polling_protocol, &request->exchange);
        return;
    }
    buf_append(&request->cors, RETRY_SOON);
    client->speaking.engine = NULL;
    client_refuse(client, 503,
                  is_crowded ? REFUSAL_POLLS_FULL
                  : is_full  ? REFUSAL_CONNECTIONS_FULL
                             : REFUSAL_DRAINING,
                  buf_span(&request->cors), NOTHING);
    request_free(request);
}

/* An exchange with a polling session: begins one, polls, or brings packets. None of these functions touches the request
 * behind the call that may answer it. */
static void exchange_begin(struct client *client, const struct http1_head *head, const struct engine_ask *ask)
{
    struct sessions *sessions = &client_server(client)->sessions;
    struct engine_request *request = request_create(client, head, ask);
    struct span sid = span_of(request->sid, sizeof request->sid);
    http_end_aborts(&client->http);
    switch (ask->use) {
    case ENGINE_HANDSHAKE:
        handshake(client, request);
        break;
    case ENGINE_GET:
        polling_get(sessions, &request->exchange, sid);
        break;
    case ENGINE_POST:
        if (polling_post_begin(sessions, &request->exchange, sid))
            http_read_body(&client->http, sessions->limits.payload_bytes_max, HTTP_BODY_WHOLE);
        break;
    default: /* upstream's answer to a method that its transport does not know */
        client->speaking.engine = NULL;
        respond_empty(request, 500, REFUSAL_METHOD);
        request_free(request);
        break;
    }
}

void engine_body(struct client *client, struct span body)
{
    struct engine_request *request = client->speaking.engine;
    polling_post(&client_server(client)->sessions, &request->exchange, span_of(request->sid, sizeof request->sid),
                 request->is_octets ? NOTHING : body); /* no packet at all ends the session, too */
}

void engine_aborted(struct client *client)
{
    struct engine_request *request = client->speaking.engine;
    if (request == NULL)
        return;
    client->speaking.engine = NULL;
    polling_aborted(&request->exchange);
    request_free(request);
}

bool engine_refused(struct client *client, enum http_fault fault)
{
    struct engine_request *request = client->speaking.engine;
    if (request == NULL)
        return false;
    if (fault != HTTP_FAULT_BODY_TOO_LARGE) {
        engine_aborted(client);
        return false;
    }
    client->speaking.engine = NULL;
    polling_post_forget(&request->exchange); /* the session goes on without it */
    client_reason_encode(&request->cors, REFUSAL_BODY_TOO_LARGE);
    http_respond(&client->http, 413, NOTHING, buf_span(&request->cors), NOTHING);
    request_free(request);
    return true;
}

/* The handshake of RFC 6455 section 4.2.1. */
static void websocket_request(struct client *client, const struct http1_head *head, struct engine_ask *ask)
{
    const struct server *server = client_server(client);
    if (!span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Version")), SPAN_LIT("13"))) {
        client_refuse(client, 426, REFUSAL_HANDSHAKE_INVALID, SPAN_LIT("Sec-WebSocket-Version: 13\r\n"), NOTHING);
    } else if (!ws_key_is_valid(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key")))) {
        ask->error = ENGINEIO_BAD_REQUEST;
        ask->refusal = REFUSAL_HANDSHAKE_INVALID;
        refuse(client, head, ask, NOTHING);
    } else if (!origins_allow(&server->config.origins, head) && !cors_allows(&server->config.engine.cors, head)) {
        client_refuse(client, 403, REFUSAL_ORIGIN, NOTHING, http1_field_get(head, SPAN_LIT("Origin")));
    } else if (server->draining && ask->use == ENGINE_WEBSOCKET) {
        client_refuse(client, 503, REFUSAL_DRAINING, RETRY_SOON, NOTHING);
    } else {
        client_upgrade(client, head, client_server(client)->sessions.polling_protocol, (struct span){NULL, 0},
                       ask->use == ENGINE_PROBE ? ask->sid : NOTHING);
    }
}

static void preflight(struct client *client, const struct http1_head *head)
{
    struct buf fields = {0};
    cors_preflight_encode(&fields, &config_of(client)->cors, head);
    buf_append(&fields, SPAN_LIT("Content-Length: 0\r\n")); /* old browsers wait for a body without it */
    http_respond(&client->http, 204, NOTHING, buf_span(&fields), NOTHING);
    buf_finish(&fields);
}

/* A browser keeps the answer from a page of another origin, and tells the page only that something failed. */
static void note_foreign_page(struct client *client, const struct http1_head *head)
{
    struct span origin = http1_field_get(head, SPAN_LIT("Origin"));
    if (origin.len > 0 && !cors_allows(&config_of(client)->cors, head) && !origin_is_ours(head))
        client_note(client, REFUSAL_CORS, origin);
}

void engine_request(struct client *client, const struct http1_head *head, struct span rest, struct span query)
{
    const struct engine_config *config = config_of(client);
    bool reads = span_equal(head->method, SPAN_LIT("GET")) || span_equal(head->method, SPAN_LIT("HEAD"));
    struct engine_ask ask;
    struct buf cors = {0};
    if (config->cors.origin != CORS_OFF && span_equal(head->method, SPAN_LIT("OPTIONS"))) {
        preflight(client, head);
        return;
    }
    cors_encode(&cors, &config->cors, head);
    if (reads && files_is_client(rest, true)) {
        library_request(client, head, rest, buf_span(&cors));
        buf_finish(&cors);
        return;
    }
    engine_check(&ask, config, &client_server(client)->sessions, head, query);
    if (!head->upgrade_websocket && ask.sid.len == 0)
        note_foreign_page(client, head);
    if (ask.use == ENGINE_REFUSED)
        refuse(client, head, &ask, buf_span(&cors));
    else if (ask.use == ENGINE_WEBSOCKET || ask.use == ENGINE_PROBE)
        websocket_request(client, head, &ask);
    else
        exchange_begin(client, head, &ask);
    buf_finish(&cors);
}
