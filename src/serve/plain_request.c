/* plain_request: handshakes of clients that speak sennit.v1 (session/plain.h) or no protocol (session/raw.h). Of the
 * former, the query may name the namespace, and bring what the client resumes by: `?ns=/&resume=...&at=...&auth=...`.
 * Of the latter, the path names the room. */
#include <stdlib.h>

#include "serve/client.h"
#include "session/plain.h"
#include "session/raw.h"
#include "wire/uri.h"
#include "wire/utf8.h"
#include "wire/ws.h"

/* Whether the client offers the subprotocol, or none at all; `*any`: it offers some. */
static bool is_offered(const struct http1_head *head, bool *any)
{
    struct span offered = http1_field_get(head, SPAN_LIT("Sec-WebSocket-Protocol")), one;
    *any = offered.data != NULL;
    while (offered.data != NULL && span_next(&offered, ',', &one)) {
        if (span_equal(span_trim(one), SPAN_LIT(PLAIN_SUBPROTOCOL)))
            return true;
    }
    return !*any;
}

/* The value of a member of the query, which the caller frees; NULL: there is none, or it cannot be decoded. */
static char *query_get(struct span query, const char *name)
{
    struct span pair, key;
    while (query.data != NULL && span_next(&query, '&', &pair)) {
        if (span_next(&pair, '=', &key) && span_equal(key, span_str(name)) && pair.data != NULL)
            return uri_form_decode(pair);
    }
    return NULL;
}

static void begin(struct client *client, const struct http1_head *head, struct span query, struct span subprotocol)
{
    char *nsp = query_get(query, "ns"), *resume = query_get(query, "resume"), *at = query_get(query, "at");
    char *auth = query_get(query, "auth");
    struct plain_connect connect = {
        .nsp = span_str(nsp), .resume = span_str(resume), .at = span_str(at), .auth = span_str(auth)};
    if (client_upgrade(client, head, &plain_protocol, subprotocol, SPAN_LIT("")) && nsp != NULL &&
        client_session(client) != NULL)
        plain_connect(client_session(client), &connect);
    free(nsp);
    free(resume);
    free(at);
    free(auth);
}

/* The checks that every kind of WebSocket handshake passes (RFC 6455 section 4.2.1). False: it is refused. */
static bool handshake_check(struct client *client, const struct http1_head *head)
{
    const struct server *server = client_server(client);
    if (!head->upgrade_websocket || !span_equal(head->method, SPAN_LIT("GET")))
        client_refuse(client, 426, REFUSAL_UPGRADE_MISSING, SPAN_LIT("Upgrade: websocket\r\nConnection: Upgrade\r\n"),
                      head->method);
    else if (!span_equal(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Version")), SPAN_LIT("13")))
        client_refuse(client, 426, REFUSAL_HANDSHAKE_INVALID, SPAN_LIT("Sec-WebSocket-Version: 13\r\n"), SPAN_LIT(""));
    else if (!ws_key_is_valid(http1_field_get(head, SPAN_LIT("Sec-WebSocket-Key"))))
        client_refuse(client, 400, REFUSAL_HANDSHAKE_INVALID, SPAN_LIT(""), SPAN_LIT(""));
    else if (!origins_allow(&server->config.origins, head) && !cors_allows(&server->config.engine.cors, head))
        client_refuse(client, 403, REFUSAL_ORIGIN, SPAN_LIT(""), http1_field_get(head, SPAN_LIT("Origin")));
    else if (server->draining)
        client_refuse(client, 503, REFUSAL_DRAINING, SPAN_LIT("Retry-After: 1\r\n"), SPAN_LIT(""));
    else
        return true;
    return false;
}

static void plain_handshake(struct client *client, const struct http1_head *head, struct span query)
{
    bool any;
    if (!handshake_check(client, head))
        return;
    if (is_offered(head, &any))
        begin(client, head, query, any ? SPAN_LIT(PLAIN_SUBPROTOCOL) : (struct span){NULL, 0});
    else
        client_refuse(client, 400, REFUSAL_SUBPROTOCOL_UNKNOWN, SPAN_LIT(""),
                      http1_field_get(head, SPAN_LIT("Sec-WebSocket-Protocol")));
}

static void raw_handshake(struct client *client, const struct http1_head *head, struct span path)
{
    struct server *server = client_server(client);
    const struct nsp *nsp = &server->config.relay.raw.nsp;
    if (!handshake_check(client, head))
        return;
    char *room = uri_decode(path);
    struct span name = span_str(room);
    enum refusal refusal = utf8_is_valid(name) ? raw_check(&server->sessions, nsp, name) : REFUSAL_ROOM_INVALID;
    if (refusal != REFUSAL_COUNT)
        client_refuse(client, refusal == REFUSAL_INSTANCE_ROOMS_FULL ? 503 : 400, refusal, SPAN_LIT(""), path);
    else if (client_upgrade(client, head, &raw_protocol, (struct span){NULL, 0}, SPAN_LIT("")) &&
             client_session(client) != NULL)
        raw_enter(client_session(client), nsp, name);
    free(room);
}

static bool is_below(struct span path, const char *place, struct span *rest)
{
    size_t len = place != NULL ? strlen(place) : 0;
    *rest = span_from(path, len + 1);
    return place != NULL && span_starts_with(path, span_str(place)) && path.len > len && path.data[len] == '/';
}

static bool is_at(struct span path, const char *place)
{
    struct span rest;
    return place != NULL && (span_equal(path, span_str(place)) || (is_below(path, place, &rest) && rest.len == 0));
}

bool plain_request(struct client *client, const struct http1_head *head, struct span path, struct span query)
{
    const struct plain_config *config = &client_server(client)->config.plain;
    struct span room;
    if (is_at(path, config->path))
        plain_handshake(client, head, query);
    else if (is_below(path, config->raw_path, &room))
        raw_handshake(client, head, room);
    else
        return false;
    return true;
}
