/* routes: what this instance answers on which path. */
#include <stdlib.h>

#include "base/mem.h"
#include "serve/client.h"
#include "serve/files.h"
#include "wire/engineio.h"
#include "wire/ws.h"

static void engine_error(struct client *client, const struct http1_head *head, enum engineio_error error)
{
    struct buf body = {0};
    if (head->upgrade_websocket) {
        /* As upstream answers an upgrade: the bare message, and the end. */
        client->http->keep_alive = false;
        client_respond(client, 400, SPAN_LIT("text/html"), SPAN_LIT(""), span_str(engineio_error_text(error)));
        return;
    }
    buf_printf(&body, "{\"code\":%d,\"message\":\"%s\"}", (int)error, engineio_error_text(error));
    client_respond(client, error == ENGINEIO_FORBIDDEN ? 403 : 400, SPAN_LIT("application/json"), SPAN_LIT(""),
                   buf_span(&body));
    buf_finish(&body);
}

/* The handshake's checks, in upstream's order. Only the WebSocket transport is served. */
static void engine_request(struct client *client, const struct http1_head *head, struct span query)
{
    struct engineio_query asked;
    engineio_query_decode(query, &asked);
    if (!span_equal(asked.transport, SPAN_LIT("websocket"))) {
        engine_error(client, head, ENGINEIO_UNKNOWN_TRANSPORT);
    } else if (asked.sid.data != NULL) {
        engine_error(client, head, ENGINEIO_UNKNOWN_SID);
    } else if (!span_equal(head->method, SPAN_LIT("GET"))) {
        engine_error(client, head, ENGINEIO_BAD_METHOD);
    } else if (!head->upgrade_websocket) {
        engine_error(client, head, ENGINEIO_BAD_REQUEST);
    } else if (!span_equal(asked.eio, SPAN_LIT("4"))) {
        engine_error(client, head, ENGINEIO_UNSUPPORTED_VERSION);
    } else if (!span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Version")), SPAN_LIT("13"))) {
        client->http->keep_alive = false;
        client_respond(client, 426, SPAN_LIT("text/plain"), SPAN_LIT("Sec-WebSocket-Version: 13\r\n"),
                       SPAN_LIT("Upgrade Required"));
    } else if (!ws_key_is_valid(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key")))) {
        engine_error(client, head, ENGINEIO_BAD_REQUEST);
    } else if (client->server->draining) {
        client->http->keep_alive = false;
        client_respond(client, 503, SPAN_LIT("text/plain"), SPAN_LIT("Retry-After: 1\r\n"), SPAN_LIT("shutting down"));
    } else {
        client_upgrade(client, head);
    }
}

static void not_found(struct client *client)
{
    client_respond(client, 404, SPAN_LIT("text/plain"), SPAN_LIT(""), SPAN_LIT("Not Found"));
}

/* Served as Socket.IO servers do, so that `<script src="/socket.io/socket.io.js">` of unmodified pages works. */
static void client_library(struct client *client, const struct http1_head *head, struct span name)
{
    struct server *server = client->server;
    struct buf body = {0}, path = {0}, fields = {0};
    const char *type;
    struct span etag = span_str(server->client_etag);
    buf_append_char(&path, '/');
    buf_append(&path, name);
    buf_printf(&fields, "Cache-Control: public, max-age=0\r\nETag: " SPAN_FMT "\r\n", SPAN_ARG(etag));
    if (server->config.client_dir == NULL || !files_read(server->config.client_dir, buf_span(&path), &body, &type))
        client_respond(client, 404, SPAN_LIT("text/plain"), SPAN_LIT(""),
                       SPAN_LIT("socket.io-client is not installed here; run npm install socket.io-client, or set "
                                "`client:` in the configuration to its dist directory"));
    else if (http1_field_has_token(head, SPAN_LIT("If-None-Match"), etag))
        client_respond(client, 304, SPAN_LIT(""), buf_span(&fields), SPAN_LIT(""));
    else
        client_respond(client, 200,
                       span_ends_with(name, SPAN_LIT(".map")) ? SPAN_LIT("application/json")
                                                              : SPAN_LIT("application/javascript; charset=utf-8"),
                       buf_span(&fields), buf_span(&body));
    buf_finish(&body);
    buf_finish(&path);
    buf_finish(&fields);
}

static void static_file(struct client *client, const struct http1_head *head, struct span path)
{
    struct server *server = client->server;
    struct buf body = {0};
    const char *type;
    if (server->config.static_dir != NULL && files_read(server->config.static_dir, path, &body, &type))
        client_respond(client, 200, span_str(type),
                       SPAN_LIT("Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"), buf_span(&body));
    else
        not_found(client);
    buf_finish(&body);
}

void route_request(struct client *client, const struct http1_head *head)
{
    static const struct span engine_path = {"/socket.io/", sizeof "/socket.io/" - 1};
    struct span query = head->target, path;
    bool reads = span_equal(head->method, SPAN_LIT("GET")) || span_equal(head->method, SPAN_LIT("HEAD"));
    span_next(&query, '?', &path);
    if (span_starts_with(path, engine_path)) {
        struct span name = span_from(path, engine_path.len);
        if (reads && files_is_client(name))
            client_library(client, head, name);
        else
            engine_request(client, head, query);
    } else if (!reads) {
        client->http->keep_alive = false;
        client_respond(client, 405, SPAN_LIT("text/plain"), SPAN_LIT("Allow: GET, HEAD\r\n"),
                       SPAN_LIT("Method Not Allowed"));
    } else if (span_equal(path, SPAN_LIT("/health"))) {
        client_respond(client, 200, SPAN_LIT("text/plain"), SPAN_LIT("Cache-Control: no-store\r\n"),
                       SPAN_LIT("alive\n"));
    } else if (span_equal(path, SPAN_LIT("/ready"))) {
        ready_request(client, head);
    } else if (span_equal(path, SPAN_LIT("/metrics"))) {
        metrics_request(client, head);
    } else {
        static_file(client, head, path);
    }
}
