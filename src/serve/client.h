/* client: a client's connection to this instance. It speaks HTTP first; after an upgrade its bytes go to a session. The
 * crowd lists clients; each owns its connection and frees itself when that is closed. */
#ifndef SENNIT_SERVE_CLIENT_H
#define SENNIT_SERVE_CLIENT_H

#include "serve/crowd.h"
#include "serve/serve.h"
#include "serve/store.h"

struct api_request;
struct engine_request;

/* What it has as long as it speaks HTTP: no larger than the WebSocket that takes its place. */
struct client_speaking {
    struct api_request *api;       /* the request to the HTTP API that is under way (api.h), or NULL */
    struct engine_request *engine; /* the request to a polling session that is under way (engine.h), or NULL */
    struct addr_ip *proxy;         /* with trusted_hops, the address that it is connected from: see below; else NULL */
    uint32_t kept;                 /* bytes of requests, see crowd_keeps */
    bool by_api_port;              /* it came by the API's own port, where nothing else is served */
};

struct client {
    struct http http;
    union {
        struct client_speaking speaking; /* until it is upgraded */
        struct websocket websocket;      /* from then on */
    };
    struct crowd_member crowd;
};

static inline bool client_is_upgraded(const struct client *client)
{
    return client->crowd.place == CROWD_UPGRADED;
}
/* NULL: it speaks HTTP, or its WebSocket has no session (yet, or any more). */
static inline struct session *client_session(const struct client *client)
{
    return client_is_upgraded(client) ? client->websocket.transport.session : NULL;
}

static inline struct server *client_server(const struct client *client)
{
    return container_of(client->http.server, struct server, http);
}

/* With `trusted_hops`, `http.conn.peer` is the address that the proxies in front name in the request under way:
 * whatever logs, counts or bounds by address takes it from there. client.c alone decides it, when a request's head has
 * come. */

/* Makes the server that clients are accepted with; `server` has read its configuration. */
void client_server_init(struct server *server);
/* Takes over an accepted stream, or closes it. */
void client_accept(struct server *server, struct io *io, const struct addr *peer, bool by_api_port);
/* Answers the bytes that a stream has sent so far; for a stream on the reserved descriptor, which is closed at once. */
void client_answer_unkept(struct server *server, struct io *io, const struct addr *peer);
/* Refuses a request: answers with the fault and the cure, counts it, logs it with `what`, and ends the connection. */
void client_refuse(struct client *client, int status, enum refusal refusal, struct span fields, struct span what);
/* The crowd needs its place: tells the peer and ends the connection at once. */
void client_give_way(struct client *client);
/* Appends fields of an answer that say why it refuses, and the cure; for answers whose body is fixed. */
void client_reason_encode(struct buf *to, enum refusal refusal);
/* Counts and logs a refusal with `what`. */
void client_note(struct client *client, enum refusal refusal, struct span what);
/* The token in a header or a cookie of a request, as it came; empty: there is none, or none is taken. */
struct span client_token(const struct client *client, const struct http1_head *head);
/* The client begins a session. False if its address has begun too many lately: it is refused with 429, and with
 * `fields`. */
bool client_may_begin(struct client *client, struct span fields);
/* Appends what is to be kept of a client's first request (handshake.h); one that is too long is noted, and not kept. */
void client_handshake_encode(const struct client *client, const struct http1_head *head, struct buf *to);
/* Upgrades, and begins a session, or is to take over the polling session `sid` (empty: none). `subprotocol`: NULL data:
 * the first one offered. The caller has checked the request. False: it was refused here. */
bool client_upgrade(struct client *client, const struct http1_head *head, const struct protocol *protocol,
                    struct span subprotocol, struct span sid);

/* routes.c: acts on one request. */
void route_request(struct client *client, const struct http1_head *head);
/* The same for a file of the client library, `name`; `fields`: further lines of the answer. */
void library_request(struct client *client, const struct http1_head *head, struct span name, struct span fields);
/* welcome.c: says what runs here. */
void welcome_request(struct client *client, const struct http1_head *head);
/* plain_request.c: acts on one request, if its path is one of those of plain_config.h. False: it is not. */
bool plain_request(struct client *client, const struct http1_head *head, struct span path, struct span query);
/* ready.c: responds later, with the outcome of a probe. */
void ready_request(struct client *client, const struct http1_head *head);
/* metrics.c: responds later, with the instance's counters and the broker's figures. */
void metrics_request(struct client *client, const struct http1_head *head);

#endif
