/* routes: passes each request to the handler of its path: the engine, the client library, /health and the like, files.
 */
#include <stdlib.h>

#include "serve/client.h"
#include "serve/conditional.h"
#include "serve/files.h"
#include "wire/engineio.h"
#include "wire/ws.h"

#define TEXT SPAN_LIT("text/plain; charset=utf-8")
#define RETRY_SOON SPAN_LIT("Retry-After: 1\r\n")
#define NO_STORE SPAN_LIT("Cache-Control: no-store\r\n")

/* As upstream answers: an upgrade gets the bare message, and the end. */
static void engine_error(struct client *client, const struct http1_head *head, enum engineio_error error)
{
    struct buf body = {0};
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&client->http.conn.peer, ip);
    refusals_note(&client_server(client)->sessions.refusals, REFUSAL_HANDSHAKE_INVALID, span_str(ip),
                  span_str(engineio_error_text(error)));
    if (head->upgrade_websocket) {
        http_last(&client->http, CLOSE_DONE);
        http_respond(&client->http, 400, TEXT, SPAN_LIT(""), span_str(engineio_error_text(error)));
        return;
    }
    buf_printf(&body, "{\"code\":%d,\"message\":\"%s\"}", (int)error, engineio_error_text(error));
    http_respond(&client->http, 400, SPAN_LIT("application/json"), SPAN_LIT(""), buf_span(&body));
    buf_finish(&body);
}

/* The handshake's checks, in upstream's order. Only the WebSocket transport is served. */
static void engine_request(struct client *client, const struct http1_head *head, struct span query)
{
    struct engineio_query asked;
    engineio_query_decode(query, &asked);
    if (!span_equal(asked.transport, SPAN_LIT("websocket")))
        engine_error(client, head, ENGINEIO_UNKNOWN_TRANSPORT);
    else if (asked.sid.data != NULL)
        engine_error(client, head, ENGINEIO_UNKNOWN_SID);
    else if (!span_equal(head->method, SPAN_LIT("GET")))
        engine_error(client, head, ENGINEIO_BAD_METHOD);
    else if (!head->upgrade_websocket)
        engine_error(client, head, ENGINEIO_BAD_REQUEST);
    else if (!span_equal(asked.eio, SPAN_LIT("4")))
        engine_error(client, head, ENGINEIO_UNSUPPORTED_VERSION);
    else if (!span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Version")), SPAN_LIT("13")))
        client_refuse(client, 426, REFUSAL_HANDSHAKE_INVALID, SPAN_LIT("Sec-WebSocket-Version: 13\r\n"), SPAN_LIT(""));
    else if (!ws_key_is_valid(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key"))))
        engine_error(client, head, ENGINEIO_BAD_REQUEST);
    else if (!origins_allow(&client_server(client)->config.origins, head))
        client_refuse(client, 403, REFUSAL_ORIGIN, SPAN_LIT(""), http1_field_get(head, SPAN_LIT("Origin")));
    else if (client_server(client)->draining)
        client_refuse(client, 503, REFUSAL_DRAINING, RETRY_SOON, SPAN_LIT(""));
    else
        client_upgrade(client, head);
}

static void not_found(struct client *client, struct span path, struct span text)
{
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&client->http.conn.peer, ip);
    refusals_note(&client_server(client)->sessions.refusals, REFUSAL_NOT_FOUND, span_str(ip), path);
    http_respond(&client->http, 404, TEXT, SPAN_LIT(""), text);
}

/* Cache-Control and what else says which version it is and that parts of it can be had. */
static void version_fields(struct buf *to, const struct stored *stored, const struct conditional_answer *answer,
                           struct span caching)
{
    char date[CONDITIONAL_DATE_BYTES];
    conditional_date_encode(stored->about.modified_ns / 1000000000, date);
    buf_printf(to, "Cache-Control: " SPAN_FMT "\r\nETag: %s\r\nLast-Modified: %.*s\r\nAccept-Ranges: bytes\r\n",
               SPAN_ARG(caching), stored->etag, CONDITIONAL_DATE_BYTES, date);
    if (answer->status == 206)
        buf_printf(to, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)answer->from,
                   (unsigned long long)answer->end - 1, (unsigned long long)stored->about.bytes);
    if (answer->status == 416)
        buf_printf(to, "Content-Range: bytes */%llu\r\n", (unsigned long long)stored->about.bytes);
}

static void file_send(struct client *client, const struct http1_head *head, struct stored *stored, struct span type,
                      struct span caching)
{
    struct buf fields = {0};
    struct conditional_version version = {
        .etag = span_str(stored->etag),
        .modified_s = stored->about.modified_ns / 1000000000,
        .bytes = stored->about.bytes,
    };
    struct conditional_answer answer = conditional_answer(head, &version);
    version_fields(&fields, stored, &answer, caching);
    if (answer.status == 200 || answer.status == 206) {
        http_respond_source(&client->http, answer.status, type, buf_span(&fields), &stored->source, answer.from,
                            answer.end);
    } else {
        stored_unref(stored);
        bool has_body = answer.status != 304;
        http_respond(&client->http, answer.status, has_body ? TEXT : SPAN_LIT(""), buf_span(&fields),
                     has_body ? span_str(http1_status_text(answer.status)) : SPAN_LIT(""));
    }
    buf_finish(&fields);
}

/* Answers with a file that `path` names under `directory`; 404 with `absent` when there is none. */
static void file_request(struct client *client, const struct http1_head *head, const char *directory, struct span path,
                         struct span type, struct span caching, struct span absent)
{
    struct server *server = client_server(client);
    struct stored *stored;
    char *file = directory != NULL ? files_path(directory, path) : NULL;
    enum store_result result =
        file != NULL ? store_find(&server->store, file, loop_wall_ms(server->loop), &stored) : STORE_ABSENT;
    free(file);
    if (result == STORE_FOUND)
        file_send(client, head, stored, type, caching);
    else if (result == STORE_BUSY)
        client_refuse(client, 503, REFUSAL_FILES_FULL, RETRY_SOON, path);
    else
        not_found(client, path, absent);
}

/* Served as Socket.IO servers do, so that `<script src="/socket.io/socket.io.js">` of unmodified pages works. */
static void client_library(struct client *client, const struct http1_head *head, struct span name)
{
    struct buf path = {0};
    buf_append_char(&path, '/');
    buf_append(&path, name);
    file_request(client, head, client_server(client)->config.client_dir, buf_span(&path),
                 span_ends_with(name, SPAN_LIT(".map")) ? SPAN_LIT("application/json")
                                                        : SPAN_LIT("application/javascript; charset=utf-8"),
                 SPAN_LIT("public, max-age=0"),
                 SPAN_LIT("socket.io-client is not installed here; run npm install socket.io-client, or set "
                          "`client:` in the configuration to its dist directory"));
    buf_finish(&path);
}

/* One that has no place: it may ask whether this instance lives, and the operator may ask why it is full. */
static bool is_refused(struct client *client, const struct http1_head *head, struct span path)
{
    if (client->crowd.place != CROWD_SPARE)
        return false;
    if (span_equal(path, SPAN_LIT("/health")) ||
        (span_equal(path, SPAN_LIT("/metrics")) &&
         admin_allows(&client_server(client)->config.admin, &client->http.conn.peer, head))) {
        http_last(&client->http, CLOSE_DONE);
        return false;
    }
    client_refuse(client, client->crowd.refusal == REFUSAL_ADDRESS_FULL ? 429 : 503, client->crowd.refusal,
                  SPAN_LIT("Retry-After: 5\r\n"), path);
    return true;
}

static void admin_request(struct client *client, const struct http1_head *head, struct span path)
{
    const struct admin *admin = &client_server(client)->config.admin;
    if (admin_allows(admin, &client->http.conn.peer, head))
        metrics_request(client, head);
    else if (admin->token != NULL)
        client_refuse(client, 401, REFUSAL_ADMIN, SPAN_LIT("WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n"),
                      path);
    else
        client_refuse(client, 403, REFUSAL_ADMIN, NO_STORE, path);
}

void route_request(struct client *client, const struct http1_head *head)
{
    static const struct span engine_path = {"/socket.io/", sizeof "/socket.io/" - 1};
    struct span query = head->target, path;
    bool reads = span_equal(head->method, SPAN_LIT("GET")) || span_equal(head->method, SPAN_LIT("HEAD"));
    span_next(&query, '?', &path);
    if (is_refused(client, head, path))
        return;
    if (span_starts_with(path, engine_path)) {
        struct span name = span_from(path, engine_path.len);
        if (reads && files_is_client(name))
            client_library(client, head, name);
        else
            engine_request(client, head, query);
    } else if (!reads) {
        client_refuse(client, 405, REFUSAL_METHOD, SPAN_LIT("Allow: GET, HEAD\r\n"), head->method);
    } else if (span_equal(path, SPAN_LIT("/health"))) {
        http_respond(&client->http, 200, TEXT, NO_STORE, SPAN_LIT("alive\n"));
    } else if (span_equal(path, SPAN_LIT("/ready"))) {
        ready_request(client, head);
    } else if (span_equal(path, SPAN_LIT("/metrics"))) {
        admin_request(client, head, path);
    } else if (span_equal(path, SPAN_LIT("/")) && client_server(client)->config.static_dir == NULL) {
        welcome_request(client, head);
    } else {
        file_request(client, head, client_server(client)->config.static_dir, path, span_str(files_type(path)),
                     SPAN_LIT("no-cache"), span_str(refusal_text(REFUSAL_NOT_FOUND)));
    }
}
